"""PDE against its paper's algorithm, played with sets and plain SGD, and its ways of going wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from spurcli.errors import SpurWarning, UsageError
from spurcli.training import fit
from spurcli.training.method import Annotation, Phase, TrainingSamples, build_method
from spurcli.training.state import StateFile

NAMES = ("a/x", "a/y", "b/x", "b/y", "c/x", "c/y")


def samples(group: np.ndarray, kept: np.ndarray | None = None) -> TrainingSamples:
    kept = np.arange(len(group)) if kept is None else kept
    return TrainingSamples(kept, (group // 2)[kept], 3, 10, Annotation(group, "data set", NAMES))


def pde(known: TrainingSamples, **options):
    return build_method("pde", options, known)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=70),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(0, 2**40),
    st.booleans(),
    st.randoms(),
)
def test_the_algorithm_played_with_sets(codes, warmup, size, interval, seed, balanced, random):
    """Draw from what is not used yet, never again what is; every epoch is found without those before it."""
    group = np.array(codes)
    kept = np.array(sorted(random.sample(range(len(codes)), max(1, len(codes) - 5))), dtype=np.int64)
    options = {"warmup_epochs": warmup, "expansion_size": size, "expansion_interval": interval}
    method = pde(samples(group, kept), balanced_expansion=balanced, **options)
    members = {code: {i for i in kept.tolist() if group[i] == code} for code in set(group[kept].tolist())}
    smallest = min(len(of_group) for of_group in members.values())
    used: set[int] = set()
    for epoch in range(warmup + 4 * interval):
        visited = method.order(seed, epoch).tolist()
        assert len(visited) == len(set(visited))
        new = set(visited) - used
        if epoch == 0:
            assert all(len(new & of_group) == smallest for of_group in members.values())
            assert len(new) == smallest * len(members)
        elif epoch >= warmup and (epoch - warmup) % interval == 0:
            assert len(new) == min(size, len(kept) - len(used))
            if balanced:
                left = {code: len(of_group - used) for code, of_group in members.items()}
                counts = {code: len(new & of_group) for code, of_group in members.items()}
                unspent = [counts[code] for code in members if counts[code] < left[code]]
                assert not unspent or max(counts.values()) - min(unspent) <= 1
        else:
            assert not new
        assert used <= set(visited) <= set(kept.tolist())
        used |= new
        fresh = pde(samples(group, kept), balanced_expansion=balanced, **options)
        assert fresh.order(seed, epoch).tolist() == visited
    late = method.order(seed, warmup + len(kept) * interval)
    assert sorted(late.tolist()) == kept.tolist()


def test_new_samples_are_drawn_plainly_unless_told_otherwise():
    group = np.repeat([0, 1, 2, 3], [8000, 60, 1500, 500])
    for balanced, expected in ((False, [796, 0, 145, 44]), (True, [333, 0, 333, 334])):
        method = pde(samples(group), expansion_size=1000, balanced_expansion=balanced)
        warmup, first = (set(method.order(0, epoch).tolist()) for epoch in (139, 140))
        counts = np.bincount(group[sorted(first - warmup)], minlength=4)
        assert np.abs(counts - expected).max() < (60 if not balanced else 2)


def test_subset_and_draws_depend_on_the_seed_and_each_sample_may_come_first():
    group = np.repeat([0, 1], [30, 3])
    method = pde(samples(group), warmup_epochs=1, expansion_size=1)
    firsts = set()
    for seed in range(300):
        warmup, first = (set(method.order(seed, epoch).tolist()) for epoch in (0, 1))
        (added,) = first - warmup
        firsts.add(added)
    assert firsts == set(range(30))


def test_defaults_are_the_published_settings_for_waterbirds():
    method = pde(samples(np.repeat([0, 1, 2, 3], [3498, 184, 56, 1057])))
    sizes = {epoch: len(method.order(0, epoch)) for epoch in (0, 139, 140, 149, 150, 299)}
    assert sizes == {0: 224, 139: 224, 140: 234, 149: 234, 150: 244, 299: 384}
    phases = [method.phase(epoch) for epoch in range(300)]
    assert phases[:140] == [Phase()] * 140
    assert phases[140] == Phase(0.01, restart=True)
    assert phases[141:] == [Phase(0.01)] * 159  # the momentum is dropped once


@pytest.mark.parametrize(
    ("option", "value"),
    [("warmup_epochs", 0), ("expansion_size", 0), ("expansion_interval", 0), ("rate_after_warmup", 0.0)],
)
def test_options_that_mean_nothing_are_refused(option, value):
    with pytest.raises(UsageError, match=f"method.options.{option} = {value} is"):
        pde(samples(np.array([0, 1])), **{option: value})


OPTIONS = {"warmup_epochs": 2, "expansion_size": 6, "expansion_interval": 1, "rate_after_warmup": 0.25}


def trainer(build_trainer, **changes):
    plain = build_trainer(momentum=0.9, epochs=5, **changes)
    label = plain.label.numpy()
    known = samples(2 * label + (np.arange(53) % 5 == 0), plain.method.samples.kept)
    plain.method, plain.groups = pde(known, **OPTIONS), known.groups
    return plain


def test_training_equals_plain_sgd_whose_momentum_starts_anew_with_the_expansion(build_trainer):
    fitted = fit(trainer(build_trainer), until_epoch=5)
    slow = trainer(build_trainer)
    model, parameters = slow.model, list(slow.model.parameters())
    model.train()
    rates = []
    velocity = [torch.zeros_like(parameter) for parameter in parameters]
    for epoch in range(5):
        rate = 0.05 if epoch < 2 else 0.05 * 0.25
        rates.append(rate)
        if epoch == 2:
            velocity = [torch.zeros_like(parameter) for parameter in parameters]
        order = slow.method.order(slow.seed, epoch)
        for index, pixels in slow.feed.batches(order, 10, 0):
            inputs = slow.preprocess.training(pixels, index, slow.seed, epoch)
            loss = functional.cross_entropy(model(inputs), slow.label[index])
            gradients = torch.autograd.grad(loss, parameters)
            for parameter, v, gradient in zip(parameters, velocity, gradients, strict=True):
                v.mul_(0.9).add_(gradient)
                parameter.data -= rate * v
    assert [record["learning_rate"] for record in fitted.records] == pytest.approx(rates)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(fitted.chosen.weights[name], value, msg=name)


@pytest.mark.parametrize("count", [1, 5, 8, 9, 13])
def test_a_killed_run_goes_on_to_the_same_bits(build_trainer, fit_killed_at, tmp_path, count):
    """The momentum is dropped at the start of the expansion, not where a run goes on within that epoch."""
    whole = fit(trainer(build_trainer), until_epoch=5)
    state = StateFile(tmp_path / "state", {})
    fit_killed_at(count, trainer(build_trainer, state_file=state, save_seconds=0.0), until_epoch=5)
    found = fit(trainer(build_trainer, state_file=state), until_epoch=5)
    assert all(torch.equal(value, found.chosen.weights[name]) for name, value in whole.chosen.weights.items())


def test_through_the_command_line(spurcli, tiny_flags, tmp_path):
    (tmp_path / "groups.txt").write_text("".join(f"g/{'rare' if i % 6 == 0 else 'often'}\n" for i in range(300)))
    options = ("warmup_epochs=1", "expansion_size=40", "expansion_interval=1", "rate_after_warmup=0.5")
    words = [word for option in options for word in ("--set", f"method.options.{option}")]
    result = spurcli(
        "train", "--dataset", "demo", "--keep", "all", *tiny_flags, "--method", "pde", "--group-labels", "groups.txt", *words,
        "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert result.json["last"]["samples_seen"] == 180
    assert result.json["labels_used"]["training_groups"] == "file"


def test_a_warm_up_that_fills_the_training_is_warned_of():
    known = replace(samples(np.arange(60) % 6), num_epochs=5)
    with pytest.warns(SpurWarning, match=r"warm-up.* 5 .*subg"):
        pde(known, warmup_epochs=5)
    pde(known, warmup_epochs=4)  # warnings are errors here
