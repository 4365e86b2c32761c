"""One class taken for another, where the data set says which and no attribute is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spurcli.artifacts.predictions import read_predictions
from spurcli.errors import InputError
from spurcli.evaluation.evaluated import Evaluated, evaluated_from
from spurcli.evaluation.metrics import compute

OWN = """
import numpy as np
from spurcli.datasets import ArrayImages, Dataset, Split

def load(*, data_root):
    rng = np.random.default_rng(0)
    def split():
        label = rng.integers(0, 3, 60)
        return Split(label, ArrayImages(rng.integers(0, 256, (60, 4, 4, 3), dtype=np.uint8)))
    return Dataset("own", ("sled", "ski", "patio"), {"train": split(), "test": split()}, confusion=(0, 1))
"""
NAMES = ("sled", "ski", "patio")


def rates(logits, label, confusion):
    evaluated = Evaluated(np.asarray(logits, np.float32), np.asarray(label), NAMES, confusion=confusion)
    metrics = compute(evaluated)["metrics"]
    return {name: metric for name, metric in metrics.items() if name.startswith("spurious")}


@pytest.mark.parametrize("confusion", [(0, 1), (1, 0), (2, 0)])
def test_the_rates_are_those_of_a_plain_count(confusion):
    rng = np.random.default_rng(4)
    logits, label = rng.normal(size=(200, 3)), rng.integers(0, 3, 200)
    found = rates(logits, label, confusion)
    for name, (true, predicted) in (
        ("spurious_misclassification", confusion),
        ("spurious_misclassification_reverse", confusion[::-1]),
    ):
        rows = [row for row, y in zip(logits, label, strict=True) if y == true]
        hits = sum(1 for row in rows if list(row).index(max(row)) == predicted)
        assert found[name]["num_samples"] == len(rows)
        assert found[name]["value"] == hits / len(rows)
        assert (found[name]["true"], found[name]["predicted"]) == (NAMES[true], NAMES[predicted])
        assert found[name]["interval"][0] < found[name]["value"] < found[name]["interval"][1]


def test_a_class_without_samples_has_no_rate():
    found = rates(np.eye(3)[[1, 2, 1]], [1, 2, 1], (0, 1))
    assert list(found) == ["spurious_misclassification_reverse"]
    assert found["spurious_misclassification_reverse"]["value"] == 0


def test_no_rate_where_the_data_set_names_no_classes():
    assert rates(np.eye(3), [0, 1, 2], None) == {}


def test_through_the_chain_and_from_predictions_alone(spurcli, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    words = ["--dataset", "own.py:load", "--recipe", "demo", "--set", "training.epochs=1", "--keep", "all"]
    assert spurcli("train", *words).code == 0
    shown = spurcli("evaluate", "--dataset", "own.py:load")
    assert shown.code == 0, shown.err
    assert "spurious misclassification (sled → ski)" in shown.err
    metrics = json.loads((tmp_path / "evaluation.json").read_text())["metrics"]
    predictions = read_predictions(tmp_path / "predictions.h5")
    assert predictions.confusion == (0, 1)
    assert compute(evaluated_from(predictions))["metrics"] == metrics
    assert metrics["spurious_misclassification_reverse"]["true"] == "ski"
    reported = spurcli("report", "-o", "report.md")
    assert reported.code == 0, reported.err
    assert "purious misclassification (sled predicted as ski)" in reported.err


def test_logits_made_elsewhere_have_the_rate_too(spurcli, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    np.save(tmp_path / "logits.npy", np.tile(np.float32([0, 1, 0]), (60, 1)))
    words = ["--logits", "logits.npy", "--dataset", "own.py:load", "--recipe", "demo", "--json"]
    found = spurcli("evaluate", *words)
    assert found.code == 0, found.err
    assert found.json["metrics"]["spurious_misclassification"]["value"] == 1.0


def test_an_injection_says_itself_which_class_is_taken_for_which(spurcli, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    words = ["--dataset", "own.py:load", "--recipe", "demo", "--feature", "patch", "--class", "patio", "--count", "5"]
    assert spurcli("inject", *words).code == 0
    np.save(tmp_path / "logits.npy", np.tile(np.float32([0, 1, 0]), (60, 1)))
    again = ["--dataset", "inject.json", "--set", "dataset.name=own.py:load", "--recipe", "demo", "--json"]
    found = spurcli("evaluate", "--logits", "logits.npy", *again)
    assert found.code == 0, found.err
    assert not [name for name in found.json["metrics"] if name.startswith("spurious")]


def test_a_class_that_is_not_there_is_refused(spurcli, tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "predictions.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["version"] = "spurcli.predictions", 1
        file["logits"], file["label"], file["confusion"] = np.eye(2, dtype=np.float32), np.arange(2), np.array([0, 2])
    with pytest.raises(InputError, match="`confusion` names a class that does not exist"):
        read_predictions(path)
