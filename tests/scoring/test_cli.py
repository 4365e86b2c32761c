"""score and inject as typed: usage errors exit 2, bad input 3."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch

from spurcli.artifacts.scores import open_scores


def test_runs_print_their_agreement(spurcli, tiny_flags):
    result = spurcli("score", "--dataset", "demo", "--runs", "2", "--epoch", "1", *tiny_flags, "--json")
    assert result.code == 0
    assert result.json["num_runs"] == 2
    agreed = result.json["agreement"]
    assert f"Agreement of 2 runs: Spearman {agreed['spearman']:.2f}" in result.err
    again = spurcli("score", "--dataset", "demo", "--runs", "2", "--epoch", "1", *tiny_flags, "--json")
    assert again.json == result.json
    assert "already complete" in again.err
    other = spurcli("score", "--dataset", "demo", "--epoch", "1", *tiny_flags)
    assert other.code == 1
    assert "--force" in other.err
    assert spurcli("score", "--dataset", "demo", "--epoch", "1", *tiny_flags, "--force").code == 0


def test_checkpoints_of_ours_and_of_anyone(spurcli, tiny_flags, tmp_path):
    assert spurcli("train", "--dataset", "demo", "--keep", "all", *tiny_flags).code == 0
    ours = spurcli("score", "--checkpoint", "model.safetensors", "-o", "ours.h5")  # data set and model from the file
    assert ours.code == 0
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    safetensors.torch.save_file(weights, tmp_path / "plain.safetensors")
    unnamed = spurcli("score", "--checkpoint", "plain.safetensors", "-o", "plain.h5")
    assert unnamed.code == 3
    assert "--dataset NAME --model NAME" in unnamed.err
    words = ["--checkpoint", "plain.safetensors", "--dataset", "demo", "--model", "mlp", "--recipe", "demo"]
    pairs = [(flag, item) for flag, item in zip(tiny_flags[::2], tiny_flags[1::2], strict=True)]
    needed = [word for pair in pairs if not pair[1].startswith(("training.", "scoring.")) for word in pair]
    assert spurcli("score", *words, *needed, "-o", "plain.h5").code == 0
    values = []
    for name in ("ours.h5", "plain.h5"):
        with open_scores(tmp_path / name) as reader:
            values.append(reader.values("el2n", 0))
    assert np.array_equal(*values)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "--dataset demo"),
        (["--dataset", "dmeo"], 2, "did you mean demo"),
        (["--dataset", "demo", "--runs", "0"], 2, "--runs"),
        (["--dataset", "demo", "--labels", "l.npy"], 2, "Add --logits FILE"),
        (["--logits", "l.npy", "--epoch", "2"], 2, "needs no training"),
        (["--logits", "l.npy", "--runs", "2"], 2, "cannot be combined"),
        (["--checkpoint", "m.safetensors", "--epoch", "2"], 2, "needs no training"),
        (["--checkpoint", "m.safetensors", "--dataset", "demo"], 3, "No such file"),
        (["--logits", "l.npy", "--labels", "y.npy"], 3, "No such file"),
        (["--dataset", "demo", "--add-score", "own.py:f"], 2, "No such file: own.py"),
        (["--dataset", "demo", "--add-score", "loss"], 2, "always computed"),
        (["--dataset", "demo", "-o", "-", "--json"], 2, "both write to stdout"),
        (["--dataset", "demo", "--set", "scoring.view=train"], 2, "scoring.view"),
    ],
)
def test_wrong_words(spurcli, tmp_path, words, code, says):
    result = spurcli("score", *words)
    assert (result.code, result.out) == (code, "")
    assert says in result.err
    assert len(result.err.strip().splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []


def test_injection_chooses_carriers_by_clean_scores(spurcli, tiny_flags, tmp_path):
    flags = ["--dataset", "demo", *tiny_flags[:6]]
    assert spurcli("score", "--dataset", "demo", *tiny_flags).code == 0
    words = ["inject", *flags, "--feature", "patch", "--class", "3"]
    with open_scores(tmp_path / "scores.h5") as reader:
        label, values = reader.labels(), reader.mean_values("el2n")
    mine = np.flatnonzero(label == 3)
    ordered = mine[np.lexsort((-mine, values[mine]))]  # from easiest; of ties the lower index is the harder
    for select, count, expected in (
        ("hardest", ["--count", "5"], ordered[-5:]),
        ("easiest", ["--count", "5"], ordered[:5]),
        ("3:9", [], ordered[3:9]),
        ("hardest", ["--fraction", "1"], mine),
    ):
        result = spurcli(*words, "--select", select, *count, "--scores", "scores.h5", "--json")
        assert result.code == 0, result.err
        carriers = json.loads((tmp_path / "inject.json").read_text())["carriers"]["train"]
        assert sorted(carriers) == sorted(expected.tolist())
        assert result.json["num_carriers"] == len(expected)
    assert spurcli("score", "--dataset", "inject.json", "--recipe", "demo", *tiny_flags[6:], "-o", "i.h5").code == 0
    refused = spurcli(*words, "--select", "hardest", "--count", "5", "--scores", "i.h5")
    assert refused.code == 3
    assert "already injected" in refused.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "--class NAME"),
        (["--class", "3"], 2, "number of carriers"),
        (["--class", "3", "--count", "2", "--fraction", "0.1"], 2, "number of carriers"),
        (["--class", "12", "--count", "2"], 2, "no such class"),
        (["--class", "3", "--count", "2", "--twin-class", "3"], 2, "--twin-class"),
        (["--class", "3", "--count", "2", "--select", "hardest"], 2, "needs scores"),
        (["--class", "3", "--count", "9999"], 3, "9,999 were requested"),
        (["--class", "3", "--fraction", "1.5"], 2, "not between 0 and 1"),
        (["--class", "3", "--count", "2", "--set", "feature.size=99"], 2, "does not fit"),
        (["--class", "3", "--count", "2", "--set", "feature.sise=2"], 2, "did you mean size"),
    ],
)
def test_wrong_injections(spurcli, tmp_path, words, code, says):
    result = spurcli("inject", "--dataset", "demo", "--feature", "patch", *words)
    assert (result.code, result.out) == (code, "")
    assert says in result.err
    assert list(tmp_path.iterdir()) == []


def test_scoring_beyond_the_recipe_is_refused(spurcli, tiny_flags):
    result = spurcli("score", "--dataset", "demo", *tiny_flags, "--epoch", "4")
    assert result.code == 2
    assert "beyond the recipe's 3" in result.err
