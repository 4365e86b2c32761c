"""Several runs, resuming, replacing, and logits made elsewhere."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

from spurcli.artifacts.history import read_history
from spurcli.artifacts.indices import IndexList, write_indices
from spurcli.artifacts.scores import open_scores
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.progress import Silent
from spurcli.runtime.context import RunContext
from spurcli.scoring import formulas, forward
from spurcli.scoring.agreement import overlap_of_hardest, spearman
from spurcli.stages.score import score
from spurcli.stages.train import train
from spurcli.training import early_training
from spurcli.training.options import TrainOptions


class Epochs(Silent):
    """Notes every epoch that is really trained."""

    def __init__(self):
        self.trained = []

    def start(self, what, total, span=None):
        if "epoch" in what:
            self.trained.append(what)


def el2n(path):
    with open_scores(path) as reader:
        return [reader.values("el2n", run) for run in range(reader.scores["el2n"].num_runs)]


def test_k_runs_are_the_seeds_from_seed_on(configured, tmp_path):
    result = score(configured(seed=4), num_runs=3, output=tmp_path / "three.h5")
    runs = el2n(tmp_path / "three.h5")
    for number in range(3):
        score(configured(seed=4 + number), output=tmp_path / f"{number}.h5")
        assert np.array_equal(el2n(tmp_path / f"{number}.h5")[0], runs[number])
    with open_scores(tmp_path / "three.h5") as reader:
        info = reader.scores["random"]
        assert info.seeds == (4, 5, 6)
        assert len(set(info.weights_sha256)) == 3
        assert not np.array_equal(reader.values("random", 0), reader.values("random", 1))
    pairs = [(runs[0], runs[1]), (runs[0], runs[2]), (runs[1], runs[2])]
    assert result["agreement"]["spearman"] == pytest.approx(np.mean([spearman(*pair) for pair in pairs]))
    overlaps = [overlap_of_hardest(*pair, 0.1) for pair in pairs]
    assert result["agreement"]["overlap_hardest_tenth"] == pytest.approx(np.mean(overlaps))


def test_killed_between_runs_goes_on_and_repeats_nothing(configured, tmp_path, monkeypatch):
    score(configured(), num_runs=3, output=tmp_path / "whole.h5")
    epochs, again = Epochs(), Epochs()
    real = early_training.train_early

    def killed(context, feed, seed, *arguments, **more):
        if seed == 2:
            raise KeyboardInterrupt
        return real(context, feed, seed, *arguments, **more)

    monkeypatch.setattr(early_training, "train_early", killed)
    with pytest.raises(KeyboardInterrupt):
        score(configured(), num_runs=3, output=tmp_path / "scores.h5", progress=epochs)
    assert epochs.trained == [f"training run {run} of 3, epoch {epoch} of 2" for run in (1, 2) for epoch in (1, 2)]
    assert not (tmp_path / "scores.h5").exists()
    monkeypatch.setattr(early_training, "train_early", real)
    score(configured(), num_runs=3, output=tmp_path / "scores.h5", progress=again)
    assert again.trained == [f"training run 3 of 3, epoch {epoch} of 2" for epoch in (1, 2)]
    assert all(
        np.array_equal(a, b) for a, b in zip(el2n(tmp_path / "scores.h5"), el2n(tmp_path / "whole.h5"), strict=True)
    )
    assert not (tmp_path / "scores.h5.state").exists()


def test_state_of_another_epoch_is_not_passed_off(configured, tmp_path, monkeypatch):
    """Killed after three epochs of training, then asked for the scores after one."""
    real = forward.score_run
    monkeypatch.setattr(forward, "score_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        score(configured({"scoring.epoch": 3}), output=tmp_path / "scores.h5")
    monkeypatch.setattr(forward, "score_run", real)
    with pytest.raises(InputError, match="unfinished work of another run"):
        score(configured({"scoring.epoch": 1}), output=tmp_path / "scores.h5")
    score(configured({"scoring.epoch": 1}), output=tmp_path / "scores.h5", force=True)
    score(configured({"scoring.epoch": 1}), output=tmp_path / "fresh.h5")
    assert np.array_equal(el2n(tmp_path / "scores.h5")[0], el2n(tmp_path / "fresh.h5")[0])


def test_finished_work_is_not_repeated_and_not_replaced(configured, parts, tmp_path):
    out = tmp_path / "scores.h5"
    first = score(configured(), num_runs=2, output=out)
    content = out.read_bytes()
    epochs = Epochs()
    assert score(configured(), num_runs=2, output=out, progress=epochs) == first  # the agreement too
    assert epochs.trained == []
    for settings, more in (
        (configured(seed=1), {"num_runs": 2}),
        (configured(), {}),
        (configured({"training.batch_size": 8}), {"num_runs": 2}),
        (configured(), {"num_runs": 2, "further_scores": [f"{parts}:brier"]}),
    ):
        with pytest.raises(SpurError, match="--force"):
            score(settings, output=out, **more)
    assert out.read_bytes() == content
    score(configured(seed=1), output=out, force=True)
    assert out.read_bytes() != content


def test_an_edited_score_of_ones_own_is_another_run(configured, parts, tmp_path):
    out = tmp_path / "scores.h5"
    score(configured(), further_scores=[f"{parts}:brier"], output=out)
    parts.write_text(parts.read_text() + "\n# edited\n")
    with pytest.raises(SpurError, match="--force"):
        score(configured(), further_scores=[f"{parts}:brier"], output=out)
    with h5py.File(out) as file:
        origin = json.loads(file.attrs["provenance"])["arguments"]["own_scores"]
    assert [item["from"] for item in origin] == ["parts.py"]  # no absolute path


def test_logits_with_labels_or_with_a_data_set_or_both(configured, parts, tmp_path):
    settings = configured()
    dataset = RunContext.open(settings).dataset
    label = dataset.splits["train"].label
    logits = np.random.default_rng(0).normal(size=(83, 3)).astype(np.float32)
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "label.npy", label)
    safetensors.torch.save_file({"logits": torch.from_numpy(logits)}, tmp_path / "logits.safetensors")
    sources = {
        "labels": (None, "logits.npy", True), "data": (settings, "logits.npy", False), "both": (settings, "logits.npy", True),
        "safetensors": (None, "logits.safetensors", True),
    }  # fmt: skip
    for name, (given, file, with_labels) in sources.items():
        labels = tmp_path / "label.npy" if with_labels else None
        out = tmp_path / f"{name}.h5"
        score(given, logits=tmp_path / file, labels=labels, further_scores=[f"{parts}:brier"], output=out)
        with open_scores(out) as reader:
            assert set(reader.scores) == {*formulas.FROM_LOGITS, "brier"}
            for each, function in ((name, getattr(formulas, name)) for name in formulas.FROM_LOGITS):
                np.testing.assert_allclose(reader.values(each, 0), function(logits, label), rtol=1e-6)
            assert reader.scores["el2n"].view == reader.scores["el2n"].precision == "unknown"
            assert reader.has_groups == (given is not None)
            assert reader.header.class_names == (dataset.class_names if given else ("0", "1", "2"))
    with pytest.raises(SpurError, match="--force"):
        score(None, logits=tmp_path / "logits.npy", labels=tmp_path / "label.npy", output=tmp_path / "labels.h5")


def test_logits_that_do_not_belong(configured, tmp_path):
    settings = configured()
    label = RunContext.open(settings).dataset.splits["train"].label
    np.save(tmp_path / "logits.npy", np.zeros((83, 3), dtype=np.float32))
    np.save(tmp_path / "wide.npy", np.zeros((83, 4), dtype=np.float32))
    np.save(tmp_path / "short.npy", np.zeros((82, 3), dtype=np.float32))
    np.save(tmp_path / "nan.npy", np.full((83, 3), np.nan, dtype=np.float32))
    np.save(tmp_path / "other.npy", np.roll(label, 1))
    out = {"output": tmp_path / "none.h5"}
    for logits, labels, says in (
        ("wide.npy", None, "4 columns"),
        ("short.npy", None, "82 samples against 83"),
        ("nan.npy", None, "NaN"),
        ("logits.npy", "other.npy", "the labels differ"),
        ("absent.npy", None, "No such file"),
        ("logits.npy", "absent.npy", "No such file"),
    ):
        labels = tmp_path / labels if labels else None
        with pytest.raises(InputError, match=says):
            score(settings, logits=tmp_path / logits, labels=labels, **out)
    with pytest.raises(UsageError, match="Add --labels"):
        score(None, logits=tmp_path / "logits.npy", **out)
    assert not (tmp_path / "none.h5").exists()


def test_a_model_that_gives_nan_is_told_and_leaves_no_file(configured, tmp_path):
    """Finite weights whose products overflow."""
    settings = configured()
    model = RunContext.open(settings).model(0)
    weights = {name: torch.full_like(t, 3e38) if name == "5.weight" else t for name, t in model.state_dict().items()}
    safetensors.torch.save_file(weights, tmp_path / "huge.safetensors")
    with pytest.raises(InputError, match="not a finite number"):
        score(settings, checkpoint=tmp_path / "huge.safetensors", output=tmp_path / "none.h5")
    assert not (tmp_path / "none.h5").exists()


@pytest.mark.parametrize(("same_steps", "num_steps"), [(False, 3 * 3), (True, 3 * 6)])
def test_trap_10_epochs_or_steps_and_which_is_recorded(configured, tmp_path, same_steps, num_steps):
    """83 samples in batches of 16 are 6 steps an epoch, 40 are 3."""
    write_indices(
        tmp_path / "keep.txt",
        IndexList(np.arange(40), "keep", RunContext.open(configured()).dataset.subject("train")),
    )
    train(
        configured(),
        keep=tmp_path / "keep.txt",
        options=TrainOptions(same_steps=same_steps),
        output=tmp_path / "model.safetensors",
    )
    history = read_history(tmp_path / "history.json")
    assert history["epochs"][-1]["num_steps"] == num_steps
    assert history["budget"] == ("steps" if same_steps else "epochs")


# Trap 6 (AUM made anew each epoch, or on probabilities): its tests come with the scores of training dynamics, in
# test_dynamics.py; no registered score has that name until then.
def test_trap_6_one_epochs_logit_margin_is_not_called_aum():
    from spurcli.registries import SCORES

    assert not [name for name in SCORES.entries if "aum" in name.lower()]
