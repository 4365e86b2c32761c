"""Optimizers and schedules against torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler

from spurcli.settings import TrainingSettings
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
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert [id(parameter) for parameter in group["params"]] == [id(model.weight)]
    assert (group["lr"], group["weight_decay"]) == (0.2, changes["weight_decay"])
    assert group.get("momentum", 0.8) == 0.8
    assert group.get("eps", changes.get("epsilon")) == changes.get("epsilon")
