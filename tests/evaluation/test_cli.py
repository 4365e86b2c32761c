"""evaluate as typed."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def trained(spurcli, tiny_flags):
    assert spurcli("train", "--dataset", "demo", "--keep", "all", *tiny_flags).code == 0


@pytest.fixture
def arrays(tmp_path):
    np.save(tmp_path / "logits.npy", np.eye(3, dtype=np.float32)[np.arange(120) % 3])
    np.save(tmp_path / "label.npy", np.arange(120) % 3)


def test_standard_name_and_table(spurcli, trained, tmp_path):
    result = spurcli("evaluate")
    assert result.code == 0
    assert result.out == ""
    assert "Reading model.safetensors" in result.err
    assert "accuracy" in result.err
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert written["split"] == "test"
    as_json = spurcli("evaluate", "model.safetensors", "--split", "val", "--json", "-o", "val.json")
    assert as_json.json["num_samples"] == 100
    assert (tmp_path / "val.predictions.h5").exists()


def test_logits_never_touch_a_model_that_lies_there(spurcli, trained, arrays, tmp_path):
    result = spurcli("evaluate", "--logits", "logits.npy", "--labels", "label.npy", "--json")
    assert result.code == 0
    assert "model.safetensors" not in result.err
    assert result.json["metrics"]["accuracy"]["value"] == 1
    assert result.json["model"] is None


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "model.safetensors does not exist"),
        (["absent.safetensors"], 3, "No such file"),
        (["logits.npy"], 3, "logits.npy"),
        (["m.safetensors", "--logits", "logits.npy"], 2, "contradict"),
        (["--logits", "logits.npy"], 2, "Add --labels"),
        (["--logits", "logits.npy", "--labels", "absent.npy"], 3, "No such file"),
        (["--logits", "logits.npy", "--dataset", "demo"], 3, "120 samples against"),
        (["--logits", "logits.npy", "--labels", "label.npy", "-o", "-", "--json"], 2, "both write to stdout"),
    ],
)
def test_wrong_words(spurcli, arrays, tmp_path, words, code, says):
    result = spurcli("evaluate", *words)
    assert (result.code, result.out) == (code, "")
    assert says in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["label.npy", "logits.npy"]


def test_stdin_and_stdout(spurcli_forked, spurcli, trained, tmp_path):
    model = (tmp_path / "model.safetensors").read_bytes()
    result = spurcli_forked("evaluate", "-", "-o", "-", stdin=model)
    assert result.code == 0
    assert result.json["num_samples"] == 200
    assert not (tmp_path / "evaluation.json").exists()
    assert not (tmp_path / "predictions.h5").exists()
    assert spurcli_forked("evaluate", "-", stdin=model[: len(model) // 2]).code == 3
