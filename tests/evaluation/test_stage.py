"""The stage `evaluate` on the built-in data: what it writes is enough, and nothing but weights and data show."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

from spurcli import configure
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.predictions import Predictions, read_predictions, write_predictions
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError, UsageError
from spurcli.evaluation.evaluated import evaluated_from
from spurcli.evaluation.metrics import compute
from spurcli.runtime import feed
from spurcli.stages.evaluate import evaluate
from spurcli.stages.inject import inject
from spurcli.stages.train import train


@pytest.fixture
def injected(tiny, tmp_path):
    """Settings of an injected data set, and a model trained on it in tmp_path."""
    inject(
        configure("demo", overrides={k: v for k, v in tiny.items() if k.startswith("dataset")}),
        feature="patch", class_name="3", fraction="0.3", twin_class="8", output=tmp_path / "inject.json",
    )  # fmt: skip

    def settings(**more):
        return configure(str(tmp_path / "inject.json"), recipe="demo", overrides={**tiny, **more}, device="cpu")

    train(settings(), output=tmp_path / "model.safetensors")
    return settings


def test_predictions_are_enough_to_recompute_every_metric(injected, tmp_path):
    found = evaluate(injected(), model=tmp_path / "model.safetensors", output=tmp_path / "evaluation.json")
    again = compute(evaluated_from(read_predictions(tmp_path / "predictions.h5")))
    written = json.loads((tmp_path / "evaluation.json").read_text())
    for part in ("metrics", "per_class", "per_group", "features", "warnings"):
        assert again[part] == found[part]
        assert json.loads(json.dumps(again[part])) == written[part]
    assert {"spurious_misclassification", "conflict_accuracy", "adjusted_mean_accuracy", "subgroup_auroc"} <= set(
        again["metrics"]
    )
    assert again["metrics"]["conflict_accuracy_matched"]["threshold"] == "val, samples without the feature"
    named = [(entry["feature"], entry["classes"], entry["against"]) for entry in again["features"]]
    assert named == [("patch", ["3"], None), ("patch", ["3"], "8")]


def test_predictions_are_evaluated_again_without_model_or_recipe(injected, tmp_path):
    first = evaluate(injected(), model=tmp_path / "model.safetensors", output=tmp_path / "evaluation.json")
    predictions = tmp_path / "predictions.h5"
    before = predictions.read_bytes()
    again = evaluate(predictions=predictions, output=tmp_path / "evaluation.json", command="spurcli evaluate again")
    assert predictions.read_bytes() == before
    for part in ("split", "metrics", "per_group", "features", "model", "training", "fingerprint", "injection_sha256"):
        assert again[part] == first[part]
    assert again["provenance"]["settings"] == first["provenance"]["settings"]
    # the injected feature may be named by its group, too
    named = evaluate(predictions=predictions, feature_of=["3/patch"], output=tmp_path / "named.json")
    assert named["metrics"]["feature_effect"] == first["metrics"]["feature_effect"]
    assert again["provenance"]["lineage"][:-1] == first["provenance"]["lineage"]


@pytest.mark.parametrize("beside", [True, False])
def test_predictions_of_version_1_have_every_metric_but_the_matched_ones(injected, tmp_path, beside):
    first = evaluate(injected(), model=tmp_path / "model.safetensors", output=tmp_path / "evaluation.json")
    with h5py.File(tmp_path / "predictions.h5", "r+") as file:
        file.attrs["version"] = 1
        del file.attrs["features"], file.attrs["about"]
    if not beside:
        (tmp_path / "evaluation.json").unlink()
    again = evaluate(predictions=tmp_path / "predictions.h5", output=tmp_path / "again.json")
    for name, entry in first["metrics"].items():
        if not name.endswith("_matched"):
            assert again["metrics"][name] == entry
    entry = again["metrics"]["conflict_accuracy_matched"]
    assert entry["value"] is None
    assert "val" in entry["reason"]
    # who trained it stands in the evaluation that was written with it
    assert (again["training"], again["model"]) == ((first["training"], first["model"]) if beside else (None, None))


def test_a_feature_may_be_named_for_groups_of_which_no_training_counts_are_known(tmp_path):
    rng = np.random.default_rng(0)
    label, attribute = rng.integers(2, size=400), rng.integers(2, size=400)
    names = ("land/no", "land/yes", "sea/no", "sea/yes")
    logits = rng.normal(size=(400, 2)).astype(np.float32) + 2 * np.eye(2, dtype=np.float32)[label]
    stored = Predictions(
        "test", logits, label, ("land", "sea"), Subject(Fingerprint.of(label)), {}, 2 * label + attribute, names
    )
    write_predictions(tmp_path / "own.h5", stored)
    found = evaluate(predictions=tmp_path / "own.h5", output=tmp_path / "evaluation.json")
    assert (found["features"], "--feature-of" in found["no_features"]) == ([], True)
    found = evaluate(predictions=tmp_path / "own.h5", feature_of=["sea/yes"], output=tmp_path / "evaluation.json")
    assert [(entry["feature"], entry["classes"]) for entry in found["features"]] == [("yes", ["sea"])]
    assert found["metrics"]["probit_gap"]["value"] is not None
    for words, says in ((["sea/maybe"], "unknown group"), (["land/yes", "sea/yes"], "every class")):
        with pytest.raises(UsageError, match=says):
            evaluate(predictions=tmp_path / "own.h5", feature_of=words, output=tmp_path / "none.json")


@pytest.mark.parametrize(
    "wrong", [{"classes": [9]}, {"classes": []}, {"attribute": 7}, {"name": 3}, {"threshold": {"value": "x"}}]
)
def test_a_feature_that_cannot_be_is_refused(tmp_path, wrong):
    label = np.arange(40) % 2
    logits = np.eye(2, dtype=np.float32)[label] * 3 - 1
    feature = {"name": "f", "classes": [1], "attribute": 1, "against": None, "note": "", "threshold": None, **wrong}
    names = ("a/no", "a/f", "b/no", "b/f")
    stored = Predictions(
        "test", logits, label, ("a", "b"), Subject(Fingerprint.of(label)), {}, 2 * label, names, features=(feature,)
    )
    write_predictions(tmp_path / "own.h5", stored)
    with pytest.raises(InputError, match="features"):
        evaluate(predictions=tmp_path / "own.h5", output=tmp_path / "none.json")


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (7, 2), (1000, 0)])
def test_batches_and_workers_do_not_show(injected, tmp_path, monkeypatch, batch_size, workers):
    evaluate(injected(), model=tmp_path / "model.safetensors", output=tmp_path / "evaluation.json")
    if workers:
        monkeypatch.setattr(feed, "RESIDENT_BYTES", 0)
    settings = injected(**{"scoring.batch_size": batch_size})
    object.__setattr__(settings, "num_workers", workers)
    evaluate(settings, model=tmp_path / "model.safetensors", output=tmp_path / "other" / "evaluation.json")
    one, other = (read_predictions(path / "predictions.h5") for path in (tmp_path, tmp_path / "other"))
    np.testing.assert_allclose(other.logits, one.logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(other.twin_logits, one.twin_logits, rtol=1e-4, atol=1e-5)
    assert np.array_equal(other.twin_index, one.twin_index)


def test_logits_from_elsewhere_give_the_metrics_of_the_model(injected, tmp_path):
    found = evaluate(injected(), model=tmp_path / "model.safetensors", output=tmp_path / "evaluation.json")
    predictions = read_predictions(tmp_path / "predictions.h5")
    np.save(tmp_path / "logits.npy", predictions.logits)
    np.save(tmp_path / "label.npy", predictions.label)
    for name, settings, labels in (
        ("labels", None, tmp_path / "label.npy"),
        ("data", injected(), None),
        ("both", injected(), tmp_path / "label.npy"),
    ):
        output = tmp_path / name / "evaluation.json"
        foreign = evaluate(settings, logits=tmp_path / "logits.npy", labels=labels, output=output)
        assert foreign["metrics"]["accuracy"] == found["metrics"]["accuracy"]
        assert bool(foreign["per_group"]) == (settings is not None)
        assert not [metric for metric in foreign["metrics"] if metric.startswith("spurious")]  # it saw no twin


def test_what_does_not_belong_is_refused(injected, tiny, tmp_path):
    model, out = tmp_path / "model.safetensors", {"output": tmp_path / "none.json"}
    clean = configure("demo", overrides=tiny, device="cpu")
    with pytest.raises(InputError, match="injection"):
        evaluate(clean, model=model, **out)
    evaluate(clean, model=model, allow_injection_mismatch=True, output=tmp_path / "allowed" / "evaluation.json")
    smaller = configure("demo", overrides={**tiny, "dataset.options.num_train": 200}, device="cpu")
    with pytest.raises(InputError, match="300 samples against 200"):
        evaluate(smaller, model=model, allow_injection_mismatch=True, **out)
    np.save(tmp_path / "short.npy", np.zeros((199, 10), dtype=np.float32))
    np.save(tmp_path / "wide.npy", np.zeros((200, 11), dtype=np.float32))
    np.save(tmp_path / "nan.npy", np.full((200, 10), np.nan, dtype=np.float32))
    for name, says in (("short", "199 samples against 200"), ("wide", "11 columns"), ("nan", "NaN")):
        with pytest.raises(InputError, match=says):
            evaluate(clean, logits=tmp_path / f"{name}.npy", **out)
    with pytest.raises(UsageError, match="Add --labels"):
        evaluate(None, logits=tmp_path / "wide.npy", **out)
    with pytest.raises(InputError, match="no split 'validation'"):
        evaluate(injected(), model=model, split="validation", **out)
    assert not (tmp_path / "none.json").exists()


@pytest.mark.filterwarnings("ignore:.*samples are right")  # it has hardly learned, on purpose
@pytest.mark.parametrize(("value", "says"), [(float("nan"), "NaN or infinity"), (3e38, "NaN or infinite")])
def test_weights_that_give_no_numbers_are_an_error(injected, tmp_path, value, says):
    """NaN weights are seen when they are read, finite ones whose products overflow when they predict."""
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    last = sorted(name for name in weights if name.endswith("weight"))[-1]
    weights[last] = torch.full_like(weights[last], value)
    safetensors.torch.save_file(weights, tmp_path / "bad.safetensors")
    with pytest.raises(InputError, match=says):
        evaluate(injected(), model=tmp_path / "bad.safetensors", output=tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


@pytest.mark.filterwarnings("ignore:.*samples are right")  # it has hardly learned, on purpose
def test_a_collapsed_model_is_called_out(injected, tmp_path):
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    zeros = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    safetensors.torch.save_file(zeros, tmp_path / "zero.safetensors")
    found = evaluate(injected(), model=tmp_path / "zero.safetensors", output=tmp_path / "evaluation.json")
    assert any("the model has collapsed" in warning for warning in found["warnings"])
    assert found["metrics"]["worst_group_accuracy"]["value"] == 0
