"""Optimizers and schedules against torch's own, and what is decayed."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler

from spurcli.randomness import generator
from spurcli.settings import TrainingSettings
from spurcli.training import fit
from spurcli.training.optimization import build_optimizer, learning_rate


def recipe(**changes) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 12, "batch_size": 8, "learning_rate": 0.2, **changes})


def rates_of_torch(scheduler_of, num_steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    scheduler = scheduler_of(optimizer)
    found = []
    for _ in range(num_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 7), st.lists(st.integers(0, 12), unique=True, max_size=3).map(sorted), st.sampled_from([0.1, 0.5])
)
def test_step_schedule_is_multi_step_lr(steps_per_epoch, milestones, gamma):
    total = 12 * steps_per_epoch
    mine = recipe(schedule="step", milestones=tuple(milestones), gamma=gamma)
    expected = rates_of_torch(
        lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [m * steps_per_epoch for m in milestones if m], gamma),
        total,
    )
    at_once = gamma if 0 in milestones else 1.0
    assert [learning_rate(mine, step, total) for step in range(total)] == pytest.approx([r * at_once for r in expected])


def test_step_schedule_falls_exactly_at_the_first_step_after_the_milestone():
    mine = recipe(epochs=160, schedule="step", milestones=(80, 120))
    total = 160 * 782
    found = [learning_rate(mine, step, total) for step in (0, 80 * 782 - 1, 80 * 782, 120 * 782 - 1, 120 * 782)]
    assert found == pytest.approx([0.2, 0.2, 0.02, 0.02, 0.002])


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 60))
def test_linear_and_cosine_are_torchs(total):
    linear = rates_of_torch(lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 - step / total), total)
    cosine = rates_of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, total), total)
    assert [learning_rate(recipe(schedule="linear"), s, total) for s in range(total)] == pytest.approx(linear)
    assert [learning_rate(recipe(schedule="cosine"), s, total) for s in range(total)] == pytest.approx(cosine)
    assert {learning_rate(recipe(), s, total) for s in range(total)} == {0.2}


def test_schedules_end_near_zero():
    assert learning_rate(recipe(schedule="linear"), 99, 100) == pytest.approx(0.002)
    assert learning_rate(recipe(schedule="cosine"), 99, 100) == pytest.approx(0.1 * (1 + math.cos(math.pi * 0.99)))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"optimizer": "sgd", "momentum": 0.8, "weight_decay": 0.01}, torch.optim.SGD),
        ({"optimizer": "adam", "epsilon": 1e-5, "weight_decay": 0.02}, torch.optim.Adam),
        ({"optimizer": "adamw", "epsilon": 1e-6, "weight_decay": 0.03}, torch.optim.AdamW),
    ],
)
def test_the_optimizer_is_the_recipes_and_leaves_frozen_parameters_out(changes, kind):
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    optimizer = build_optimizer(model, recipe(**changes))
    assert isinstance(optimizer, kind)
    assert type(optimizer).__name__ == kind.__name__  # torch's AdamW is an Adam
    group = optimizer.param_groups[0]
    assert [id(parameter) for parameter in group["params"]] == [id(model.weight)]
    assert (group["lr"], group["weight_decay"]) == (0.2, changes["weight_decay"])
    assert group.get("momentum", 0.8) == 0.8
    assert group.get("eps", changes.get("epsilon")) == changes.get("epsilon")


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12)
    torch.manual_seed(0)
    return BertForSequenceClassification(config)


def decay_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Weight decay by parameter name; fails if a parameter stands in two groups or in none."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [(names[id(p)], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(name for name, _ in found) == sorted(names.values())
    return dict(found)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_of_a_bert_exactly_biases_and_layer_norms_are_without_decay(kind):
    """The rule of the original implementation; the mistake to watch for is its inverse."""
    model = bert()
    changes = {"optimizer": kind, "weight_decay": 0.3}
    decays = decay_of(model, build_optimizer(model, recipe(**changes, decay_norm_and_bias=False)))
    for name, decay in decays.items():
        assert decay == (0.0 if any(part in name for part in ("bias", "LayerNorm.weight")) else 0.3), name
    # the embeddings' norm; of each layer six biases and two norms; the biases of pooler and classifier
    assert sum(decay == 0.0 for decay in decays.values()) == 2 + 2 * (6 + 2 * 2) + 2
    assert set(decay_of(model, build_optimizer(model, recipe(**changes))).values()) == {0.3}


def test_norms_of_every_kind_are_without_decay_and_embeddings_with_it():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.batch = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.group, self.layer = nn.GroupNorm(2, 4), nn.LayerNorm([4, 5, 5])
            self.embedding, self.recurrent = nn.Embedding(3, 4), nn.GRU(4, 4)
            self.tied = nn.Linear(4, 3, bias=False)
            self.tied.weight = self.embedding.weight
            self.scale = nn.Parameter(torch.ones(()))

    model = Net()
    decays = decay_of(model, build_optimizer(model, recipe(weight_decay=0.3, decay_norm_and_bias=False)))
    decayed = {name for name, decay in decays.items() if decay}
    assert decayed == {"convolution.weight", "embedding.weight", "recurrent.weight_ih_l0", "recurrent.weight_hh_l0"}


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_linear_rate_clipping_and_exempt_biases_against_a_slow_loop(build_trainer, kind):
    """A run of the loop beside updates written out, a parameter at a time; some of the norms are clipped."""
    changes = {"optimizer": kind, "weight_decay": 0.1, "decay_norm_and_bias": False, "schedule": "linear"}
    # no batch norm: it makes the gradient of the bias before it pure rounding, which Adam blows up
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3))
    mine, other = build_trainer(**changes, clip_norm=0.8, model=copy.deepcopy(model)), build_trainer(model=model)
    fit(mine, until_epoch=3)
    pixels = torch.from_numpy(other.feed.inputs.pixels).permute(0, 3, 1, 2)
    parameters = dict(other.model.train().named_parameters())
    first = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    second = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    step, total, clipped = 0, 3 * 5, []  # 47 samples in batches of 10
    for epoch in range(3):
        order = generator("order", other.seed, epoch).permutation(other.method.samples.kept)
        for begin in range(0, 47, 10):
            index = torch.from_numpy(order[begin : begin + 10])
            other.model.zero_grad()
            inputs = pixels[index].float() / 127.5 - 1
            nn.functional.cross_entropy(other.model(inputs), other.label[index]).backward()
            norm = math.sqrt(sum(float((parameter.grad**2).sum()) for parameter in parameters.values()))
            clipped.append(norm > 0.8)
            rate, step = 0.05 * (1 - step / total), step + 1
            for name, parameter in parameters.items():
                value, gradient = parameter.data, parameter.grad * min(1.0, 0.8 / norm)
                decay = 0.1 * value if name in ("1.weight", "4.weight") else torch.zeros_like(value)
                if kind == "sgd":
                    first[name] = 0.9 * first[name] + gradient + decay
                    value -= rate * first[name]
                    continue
                if kind == "adam":
                    gradient = gradient + decay
                else:
                    value -= rate * decay
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.999 * second[name] + 0.001 * gradient**2
                root = (second[name] / (1 - 0.999**step)).sqrt() + 1e-8
                value -= rate * first[name] / (1 - 0.9**step) / root
    assert 0 < sum(clipped) < len(clipped)
    for name, parameter in parameters.items():
        torch.testing.assert_close(mine.model.get_parameter(name), parameter, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_no_record_for_the_profiler_around_a_step(name):
    """Torch wraps the step of each optimizer that it makes, which takes as long as a small layer."""
    model = nn.Linear(2, 2)
    optimizer = build_optimizer(model, recipe(optimizer=name))
    model(torch.ones(1, 2)).sum().backward()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
    events = {event.key for event in profile.key_averages()}
    assert any("fused" in event for event in events)
    assert not any(event.startswith("Optimizer.step") for event in events)
