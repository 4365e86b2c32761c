"""Dynamics: taken after each epoch or from the training pass, and every score against a slow loop over epochs."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from statistics import mean, pstdev, stdev

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.artifacts.dynamics import EpochDynamics, open_dynamics
from spurcli.artifacts.scores import open_scores
from spurcli.registries import DYNAMICS
from spurcli.scoring.dynamics import needed_epochs


def slowly(name: str, p: list[float], margins: list[float], right: list[bool]) -> float:
    """One sample, in plain words."""
    num_epochs = len(p)
    size = min(10, num_epochs)
    windows = [p[start : start + size] for start in range(num_epochs - size + 1)]
    if name == "aum":
        return mean(margins)
    if name == "forgetting":
        if not any(right):
            return num_epochs
        return sum(before and not now for before, now in itertools.pairwise(right))
    if name == "first_learned":
        for epoch in range(num_epochs):
            if all(right[epoch:]):
                return epoch + 1
        return num_epochs + 1
    if name == "confidence":
        return mean(p)
    if name == "variability":
        return pstdev(p)
    if name == "correctness":
        return sum(right) / num_epochs
    if name == "dynamic_uncertainty":
        return mean([stdev(window) for window in windows])
    assert name == "dual"
    return mean([stdev(window) * (1 - mean(window)) for window in windows])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 14), st.integers(0, 10_000))
def test_every_score_is_what_a_loop_over_epochs_gives(num_epochs, seed):
    rng = np.random.default_rng(seed)
    log_p = -rng.exponential(1, (num_epochs, 7)).astype(np.float32)
    margin = rng.normal(size=(num_epochs, 7)).astype(np.float32)
    correct = rng.random((num_epochs, 7)) < rng.choice([0.0, 0.5, 1.0], 7)
    taken = EpochDynamics(log_p, margin, correct)
    for name in DYNAMICS.entries:
        found = DYNAMICS.load(name)(taken)
        for i in range(7):
            p = [math.exp(float(value)) for value in log_p[:, i]]
            expected = slowly(name, p, [float(m) for m in margin[:, i]], [bool(c) for c in correct[:, i]])
            assert found[i] == pytest.approx(expected, abs=1e-9), name


def test_directions_are_those_of_a_sample_that_is_hard_to_learn():
    easy, hard = np.linspace(0.8, 0.99, 12), 0.2 + 0.2 * (np.arange(12) % 2)
    p = np.stack([easy, hard], axis=1)
    taken = EpochDynamics(np.log(p).astype(np.float32), (p - (1 - p)).astype(np.float32), p > 0.35)
    for name, entry in DYNAMICS.entries.items():
        values = DYNAMICS.load(name)(taken)
        assert (values[1] > values[0]) == (entry.facts["higher_is"] == "harder"), name


TRAIN = ("train", "--dataset", "demo", "--keep", "all", "--save-epochs", "1,2,3")


@pytest.fixture
def trained(spurcli, tiny_flags):
    """Three epochs of the demo set with dynamics, and the checkpoint of each."""
    done = spurcli(*TRAIN, *tiny_flags, "--dynamics", "eval")
    assert done.code == 0, done.err
    assert "a pass over the training split after each epoch" in done.err
    return spurcli


def test_dynamics_are_what_the_checkpoint_of_each_epoch_says(trained):
    with open_dynamics(Path("dynamics.h5")) as reader:
        taken, label = reader.values(0, 300), reader.labels()
        assert (reader.num_epochs, reader.facts.view, reader.facts.seed) == (3, "eval", 0)
    for epoch in (1, 2, 3):
        assert trained("score", "--checkpoint", f"model.epoch{epoch}.safetensors", "-o", f"s{epoch}.h5").code == 0
        with open_scores(Path(f"s{epoch}.h5")) as reader:
            assert np.allclose(-taken.log_p[epoch - 1], reader.values("loss", 0), atol=1e-6)
            assert np.allclose(taken.margin[epoch - 1], reader.values("margin_logit", 0), atol=1e-5)
            assert reader.labels().tolist() == label.tolist()
    assert np.array_equal(taken.correct, taken.margin > 0)


def test_aum_is_the_mean_of_all_epochs_and_of_logits(trained):
    """Not of the last epoch alone, as where it is made anew in each; and not of probabilities under its name."""
    assert trained("score", "--dynamics", "dynamics.h5").code == 0
    margins, probabilities = [], []
    for epoch in (1, 2, 3):
        trained("score", "--checkpoint", f"model.epoch{epoch}.safetensors", "-o", f"s{epoch}.h5")
        with open_scores(Path(f"s{epoch}.h5")) as reader:
            margins.append(reader.values("margin_logit", 0))
            probabilities.append(reader.values("margin", 0))
    with open_scores(Path("scores.h5")) as reader:
        aum, info = reader.values("aum", 0), reader.scores["aum"]
        assert set(reader.scores) == set(DYNAMICS.entries)
    assert np.allclose(aum, np.mean(margins, axis=0), atol=1e-5)
    assert np.abs(aum - margins[-1]).max() > 0.01
    assert np.abs(aum - np.mean(probabilities, axis=0)).max() > 0.01
    assert (info.higher_is, info.epoch, info.view, info.seeds) == ("easier", 3, "eval", (0,))
    # the first epochs alone, and what prune makes of it
    assert trained("score", "--dynamics", "dynamics.h5", "--epoch", "2", "-o", "two.h5").code == 0
    with open_scores(Path("two.h5")) as reader:
        assert np.allclose(reader.values("aum", 0), np.mean(margins[:2], axis=0), atol=1e-5)
    assert trained("score", "--dynamics", "dynamics.h5", "--epoch", "1", "-o", "one.h5").code == 0
    with open_scores(Path("one.h5")) as reader:
        assert set(reader.scores) == {name for name in DYNAMICS.entries if needed_epochs(name) == 1}
    done = trained("prune", "--score", "aum", "--fraction", "0.1", "--json")
    assert done.code == 0, done.err
    kept = set(map(int, [line for line in Path("keep.txt").read_text().splitlines() if not line.startswith("#")]))
    assert set(range(300)) - kept == set(np.argsort(aum, kind="stable")[:30].tolist())
    for words, code in (
        (("--epoch", "4"), 2),
        (("--dataset", "demo"), 2),
        (("--runs", "2"), 2),
        (("--set", "training.epochs=2"), 2),
    ):
        assert trained("score", "--dynamics", "dynamics.h5", *words, "-o", "x.h5").code == code, words


def test_weights_do_not_depend_on_dynamics(trained, tiny_flags):
    for mode in ("", "in-training"):
        more = ["--dynamics", mode] if mode else []
        assert trained(*TRAIN, *tiny_flags, *more, "-o", f"{mode or 'plain'}.safetensors").code == 0
    digests = {json.loads(path.read_text())["weights_sha256"] for path in Path().glob("*history.json")}
    assert len(digests) == 1
    with open_dynamics(Path("in-training.dynamics.h5")) as reader:
        assert reader.facts.view == "in-training"
        mine = reader.values(0, 300)
    with open_dynamics(Path("dynamics.h5")) as reader:
        theirs = reader.values(0, 300)
    assert not np.allclose(mine.margin, theirs.margin)  # while weights moved
    history = json.loads(Path("in-training.history.json").read_text())
    # what the training pass said is what its record says of it
    assert [row["accuracy"] for row in history["epochs"]] == pytest.approx(mine.correct.mean(axis=1))
    assert [row["loss"] for row in history["epochs"]] == pytest.approx(-mine.log_p.mean(axis=1), rel=1e-5)


def test_in_training_knows_kept_samples_only_and_one_visit_an_epoch(spurcli, tiny_flags):
    Path("keep.txt").write_text("\n".join(map(str, range(1, 300))))
    done = spurcli("train", "--dataset", "demo", *tiny_flags, "--dynamics", "in-training")
    assert done.code == 0, done.err
    assert spurcli("show", "dynamics.h5").code == 0
    refused = spurcli("score", "--dynamics", "dynamics.h5")
    assert (refused.code, "sample 0 has no value" in refused.err) == (3, True)
    often = spurcli(*TRAIN, *tiny_flags, "--method", "rwy", "--dynamics", "in-training", "-o", "r.safetensors")
    assert (often.code, "visits each sample once per epoch" in often.err) == (2, True)
    unknown = spurcli(*TRAIN, *tiny_flags, "--dynamics", "evil", "-o", "u.safetensors")
    assert (unknown.code, "did you mean eval" in unknown.err) == (2, True)


@pytest.mark.parametrize("mode", ["eval", "in-training"])
def test_killed_in_the_middle_it_goes_on_to_the_same_file(spurcli, tiny, tmp_path, mode, monkeypatch):
    from spurcli.session import configure
    from spurcli.stages.train import train
    from spurcli.training.options import TrainOptions

    class Killed(BaseException):
        pass

    class KillAt:
        def __init__(self, count):
            self.count = count

        def start(self, *_):
            pass

        def say(self, *_):
            pass

        def advance(self, num_samples):
            self.count -= num_samples > 0
            if self.count == 0:
                raise Killed

    settings = configure("demo", overrides={**tiny, "training.save_seconds": 0, "training.batch_size": 32})
    options = TrainOptions(dynamics=mode)
    train(settings, options=options, output=tmp_path / "whole" / "model.safetensors")
    part = tmp_path / "part" / "model.safetensors"
    for count in (14, 5):
        with pytest.raises(Killed):
            train(settings, options=options, output=part, progress=KillAt(count))
    train(settings, options=options, output=part)
    values = []
    for folder in ("whole", "part"):
        with h5py.File(tmp_path / folder / "dynamics.h5") as file:
            values.append({name: file[name][:] for name in ("log_p", "margin", "correct")})
    assert all(np.array_equal(values[0][name], values[1][name]) for name in values[0])
