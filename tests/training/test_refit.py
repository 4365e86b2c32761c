"""`spurcli train --method dfr --checkpoint erm.safetensors`: what is on disk afterwards, and what is refused."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.history import read_history
from spurcli.artifacts.predictions import read_predictions
from spurcli.training import refit
from spurcli.training.methods.dfr import DFR

ONE_C = ("--set", "method.options.C=0.1")
ON_VAL = ("--set", "method.options.on=val")


@pytest.fixture
def erm(spurcli, tiny_flags):
    """Trains erm.safetensors, beside its inject.json, and returns the flags that name both."""
    pairs = [tiny_flags[start : start + 2] for start in range(0, len(tiny_flags), 2)]
    of_data = [word for pair in pairs for word in pair if pair[1].startswith("dataset")]
    rest = [word for pair in pairs for word in pair if not pair[1].startswith("dataset")]
    words = ["inject", "--dataset", "demo", "--feature", "patch", "--class", "3", "--fraction", "0.5", *of_data]
    assert spurcli(*words).code == 0
    result = spurcli("train", "--dataset", "inject.json", "--keep", "all", *rest, "-o", "erm.safetensors")
    assert result.code == 0, result.err
    return ["--dataset", "inject.json", *rest]


@pytest.fixture
def dfr(spurcli):
    """Fits the last layer of erm.safetensors anew; nothing but it and the method is named."""

    def call(*words, checkpoint: str = "erm.safetensors", keep: str = "all", method: str = "dfr"):
        command = ["train", "--method", method, "--keep", keep, "--set", "method.options.num_refits=2", *words]
        return spurcli(*command, "--checkpoint", checkpoint)

    return call


@pytest.fixture
def no_features(monkeypatch):
    """Fails the test if features are computed."""
    monkeypatch.setattr(refit, "_embeddings", lambda *_: pytest.fail("features were computed"))


def labels_used(path: str) -> dict:
    training = read_checkpoint_metadata(Path(path))["training"]
    return {what: source for what, source in training["labels_used"].items() if source}


def selection_of(path: str) -> str:
    return read_checkpoint_metadata(Path(path))["training"]["selection"]


@pytest.mark.parametrize("on", ["train", "val"])
def test_only_the_last_layer_is_new(erm, dfr, spurcli, on):
    result = dfr("--set", f"method.options.on={on}", "--json", "--seed", "3")
    assert result.code == 0, result.err
    old, new = load_file("erm.safetensors"), load_file("model.safetensors")
    assert list(old) == list(new)
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == set(sorted(old)[-2:]), "the bias and the weight of the last layer"
    training = read_checkpoint_metadata(Path("model.safetensors"))["training"]
    assert (training["method"], training["epoch"], training["seed"]) == ("dfr", 3, 3)
    assert training["method_options"] == {"on": on, "num_refits": 2}
    val = {"val_labels": "data set", "val_groups": "data set"}
    assert labels_used("model.safetensors") == (val if on == "val" else {"training_groups": "data set", **val})
    history = read_history(Path("history.json"))
    (record,) = history["epochs"]
    assert record == result.json["last"]
    assert record["chosen"]["C"] in (1, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
    assert 0 < record["fit_seconds"] <= record["seconds"]
    assert not Path("model.safetensors.state").exists()
    assert spurcli("evaluate", "model.safetensors", "--split", "train", "-o", "train.json").code == 0
    found = json.loads(Path("train.json").read_text())
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(record["accuracy"])
    assert found["model"]["weights_sha256"] == history["weights_sha256"]


def test_settings_come_from_the_checkpoint(erm, dfr):
    assert dfr().code == 0
    named = dfr(*erm, "-o", "named.safetensors")
    assert named.code == 0, named.err
    assert Path("named.safetensors").stat().st_size > 0
    first, second = (read_checkpoint_metadata(Path(f"{name}.safetensors")) for name in ("model", "named"))
    assert first["weights_sha256"] == second["weights_sha256"]
    assert first["architecture"] == read_checkpoint_metadata(Path("erm.safetensors"))["architecture"]
    assert first["provenance"]["settings"]["model"]["options"] == {"hidden": [16]}
    commands = first["provenance"]["lineage"]
    assert [command.split()[1] for command in commands] == ["inject", "train", "train"]


def test_a_list_says_what_is_fitted_on_and_the_checkpoint_the_rest(erm, dfr, spurcli):
    words = ["prune", "--fraction", "0.5", "--per-class", "--select", "random"]
    scored = spurcli("score", *erm, "--set", "model.options.hidden=[4]", "--seed", "9")
    assert scored.code == 0, scored.err
    assert spurcli(*words).code == 0
    result = dfr("--json", keep="keep.txt")
    assert result.code == 0, result.err
    assert (result.json["num_kept"], result.json["num_train"]) == (
        len(Path("keep.txt").read_text().split("\n")) - 2,
        300,
    )
    assert read_checkpoint_metadata(Path("model.safetensors"))["architecture"]["options"] == {"hidden": [16]}
    everything = dfr("-o", "all.safetensors")
    assert everything.code == 0
    assert not torch.equal(*(list(load_file(f"{name}.safetensors").values())[-1] for name in ("model", "all")))


def test_a_list_and_a_checkpoint_of_different_data_contradict_each_other(erm, dfr, spurcli, tiny_flags, no_features):
    other = ["--dataset", "demo", *tiny_flags, "--set", "dataset.options.draw=1"]
    assert spurcli("score", *other).code == 0
    assert spurcli("prune", "--fraction", "0.5").code == 0
    lists = dfr(keep="keep.txt")
    assert lists.code == 3
    assert "keep.txt" in lists.err
    named = dfr("--dataset", "demo")
    assert named.code == 3
    assert "erm.safetensors was made with" in named.err
    assert not Path("model.safetensors").exists()


def test_the_same_fit_is_not_repeated_and_another_is_not_replaced(erm, dfr, monkeypatch):
    assert dfr().code == 0
    before = Path("model.safetensors").read_bytes()
    monkeypatch.setattr(refit, "_embeddings", lambda *_: pytest.fail("features were computed"))
    again = dfr()
    assert (again.code, "already complete" in again.err) == (0, True)
    for words in (["--seed", "1"], ONE_C):
        other = dfr(*words)
        assert (other.code, "--force" in other.err) == (1, True)
    assert Path("model.safetensors").read_bytes() == before


def test_after_a_stop_the_same_command_does_it_all(erm, dfr, monkeypatch):
    def stopped(*_arguments):
        signal.raise_signal(signal.SIGINT)
        time.sleep(60)  # the handler may run a moment later

    # A shell starts jobs in the background deaf to SIGINT, these tests among them.
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(DFR, "refit", stopped)
        try:
            assert dfr().code == 130
        finally:
            signal.signal(signal.SIGINT, earlier)
        assert not Path("model.safetensors").exists()
    assert dfr().code == 0
    assert dfr("-o", "again.safetensors").code == 0
    one, two = (load_file(f"{name}.safetensors") for name in ("model", "again"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_checkpoints_from_elsewhere(erm, dfr):
    weights = load_file("erm.safetensors")
    save_file(weights, "foreign.safetensors")
    torch.save({"state_dict": weights}, "foreign.pth")
    nameless = dfr(checkpoint="foreign.safetensors")
    assert (nameless.code, "--dataset NAME --model NAME" in nameless.err) == (3, True)
    assert dfr().code == 0
    own = read_checkpoint_metadata(Path("model.safetensors"))
    for file in ("foreign.safetensors", "foreign.pth"):
        result = dfr(*erm, "-o", "out.safetensors", "--force", checkpoint=file)
        assert result.code == 0, result.err
        found = read_checkpoint_metadata(Path("out.safetensors"))
        assert found["weights_sha256"] == own["weights_sha256"]
        assert found["training"]["epoch"] == 0


def test_labels_that_chose_the_checkpoint_count_too(erm, dfr, spurcli):
    selection = ["--set", "training.selection=best-val-worst-group", "-o", "best.safetensors"]
    assert spurcli("train", "--keep", "all", *erm, *selection).code == 0
    assert dfr(*ONE_C).code == 0
    assert labels_used("model.safetensors") == {"training_groups": "data set"}
    assert selection_of("model.safetensors") == "last"
    assert dfr(*ONE_C, "-o", "two.safetensors", checkpoint="best.safetensors").code == 0
    assert labels_used("two.safetensors") == {"training_groups": "data set", "val_labels": "data set", "val_groups": "data set"}  # fmt: skip
    assert selection_of("two.safetensors") == "best-val-worst-group"
    Path("groups.txt").write_text("\n".join(f"{index % 4}" for index in range(300)) + "\n")
    assert (
        dfr(*ONE_C, "--group-labels", "groups.txt", "-o", "three.safetensors", checkpoint="two.safetensors").code == 0
    )
    assert labels_used("three.safetensors")["training_groups"] == "data set, file"


def test_groups_of_a_file_replace_those_of_train_and_val_keeps_its_own(erm, dfr):
    Path("groups.txt").write_text("\n".join(f"cluster {index % 2}" for index in range(300)) + "\n")
    result = dfr("--group-labels", "groups.txt")
    assert result.code == 0, result.err
    assert labels_used("model.safetensors") == {"training_groups": "file", "val_labels": "data set", "val_groups": "data set"}  # fmt: skip
    idle = dfr("--group-labels", "groups.txt", *ON_VAL, "-o", "x.safetensors")
    assert (idle.code, "has no effect with dfr" in idle.err) == (2, True)


def test_without_groups_it_says_what_to_do(spurcli, tiny_flags, dfr, no_features):
    words = ["train", "--dataset", "demo", "--keep", "all", *tiny_flags, "-o", "erm.safetensors"]
    assert spurcli(*words).code == 0
    assert "--group-labels groups.txt" in dfr().err
    Path("groups.txt").write_text("\n".join(f"{index % 2}" for index in range(300)) + "\n")
    for words in (["--group-labels", "groups.txt"], ON_VAL):
        result = dfr(*words)
        assert result.code == 3
        assert "groups in the validation split" in result.err
        assert "--set method.options.C=0.1" in result.err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--same-steps"], "--same-steps"),
        (["--save-epochs", "1"], "--save-epochs"),
        (["--evaluate-each", "val"], "--evaluate-each"),
    ],
)
def test_what_only_epochs_have_is_refused(erm, dfr, no_features, words, problem):
    result = dfr(*words)
    assert (result.code, f"{problem} has no effect with dfr" in result.err) == (2, True)


def test_a_last_layer_needs_a_model_and_a_training_has_none(erm, spurcli, no_features):
    without = spurcli("train", *erm, "--keep", "all", "--method", "dfr")
    assert (without.code, "--checkpoint erm.safetensors" in without.err) == (2, True)
    plain = spurcli("train", "--keep", "all", "--checkpoint", "erm.safetensors")
    assert plain.code == 2
    assert "--checkpoint" in plain.err


OWN = """
import numpy as np

class Double:
    def __init__(self, samples, shape=(10, 16), num_refits=0):
        self.shape = shape
    def refit(self, train, val, seed):
        rng = np.random.default_rng(seed)
        np.savez("seen.npz", embedding=val.embedding)
        return rng.standard_normal(self.shape), np.arange(10.0)
"""


def test_a_users_own_last_layer(erm, dfr, spurcli):
    Path("own.py").write_text(OWN)
    assert dfr(method="own.py:Double").code == 0
    embedding = np.load("seen.npz")["embedding"]
    expected = embedding @ np.random.default_rng(0).standard_normal((10, 16)).T + np.arange(10.0)
    assert spurcli("evaluate", "model.safetensors", "--split", "val", "-o", "val.json").code == 0
    np.testing.assert_allclose(read_predictions(Path("val.predictions.h5")).logits, expected, rtol=1e-4, atol=1e-4)
    wrong = dfr("--set", "method.options.shape=[1, 16]", "-o", "x.safetensors", method="own.py:Double")
    assert wrong.code == 3
    assert "weight [1, 16] for one of [10, 16]" in wrong.err


MODELS = """
from torch import nn

def squashed(*, num_classes, hidden):
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.Linear(8, num_classes), nn.Softmax(1))

def no_bias(*, num_classes, hidden):
    return nn.Sequential(nn.Flatten(), nn.Linear(256, num_classes, bias=False))
"""


@pytest.mark.parametrize(
    ("name", "problem"), [("squashed", "differs from its last linear layer"), ("no_bias", "with a bias")]
)
def test_a_model_that_ends_otherwise_is_refused(erm, dfr, spurcli, name, problem):
    Path("models.py").write_text(MODELS)
    words = ["--model", f"models.py:{name}"]
    trained = spurcli("train", "--keep", "all", *erm, *words, "-o", "other.safetensors")
    assert trained.code == 0, trained.err
    result = dfr(*words, checkpoint="other.safetensors")
    assert result.code == 3
    assert problem in result.err
    assert not Path("model.safetensors").exists()
