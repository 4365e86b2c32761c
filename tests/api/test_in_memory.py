"""Functions on arrays and tensors give what the commands give for the same numbers in files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import spurcli as package
from spurcli.artifacts.indices import read_indices
from spurcli.errors import InputError, SpurWarning, UsageError

rng = np.random.default_rng(3)
NUM, CLASSES, PLACES = 400, ("cat", "dog", "owl"), ("east", "west")
LABEL = rng.integers(0, 3, NUM)
PLACE = (rng.random(NUM) < np.where(LABEL == 1, 0.8, 0.3)).astype(int)
LOGITS = (1.5 * np.eye(3)[LABEL] + np.outer(PLACE, [0, 1, 0]) + rng.normal(size=(NUM, 3))).astype(np.float32)
SPLIT = np.array(["train", "test", "val"])[np.arange(NUM) % 3]
NAMES = np.array(PLACES)[PLACE]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scored(spurcli):
    """scores.h5 of the logits."""
    np.save("logits.npy", LOGITS)
    np.save("labels.npy", LABEL)
    assert spurcli("score", "--logits", "logits.npy", "--labels", "labels.npy").code == 0
    return "scores.h5"


def test_scores_are_those_of_the_command(scored):
    found = package.scores_of(LOGITS, LABEL)
    with h5py.File(scored) as file:
        assert set(found) == set(file["scores"])
        for name, values in found.items():
            np.testing.assert_array_equal(values, file[f"scores/{name}/values"][0])
            assert values.dtype == np.float32
    np.testing.assert_array_equal(package.el2n(LOGITS, LABEL), found["el2n"])
    p = np.exp(LOGITS.astype(float)) / np.exp(LOGITS.astype(float)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["el2n"], np.linalg.norm(p - np.eye(3)[LABEL], axis=1), rtol=1e-5)
    np.testing.assert_allclose(package.el2n(p, LABEL, probabilities=True), found["el2n"], rtol=1e-5)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_lists_and_tensors_of_any_kind_are_taken(device):
    torch = pytest.importorskip("torch")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    logits = torch.tensor(LOGITS, device=device, requires_grad=True)
    label = torch.tensor(LABEL, device=device)
    expected = package.el2n(LOGITS, LABEL)
    for given in ((logits, label), (LOGITS.tolist(), LABEL.tolist()), (logits.double(), label.to(torch.uint8))):
        found = package.el2n(*given)
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(package.el2n(logits.to(torch.bfloat16), label), expected, atol=0.05)
    assert len(package.kept_indices(torch.from_numpy(expected), label, fraction=0.1, per_class=True)) < NUM


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        (["--fraction", "0.29"], {"fraction": 0.29}),
        (["--fraction", "0.1", "--per-class"], {"fraction": "0.1", "per_class": True}),
        (["--fraction", "0.1", "--select", "easiest"], {"fraction": 0.1, "select": "easiest"}),
        (["--fraction", "0.1", "--select", "random", "--seed", "4"], {"fraction": 0.1, "select": "random", "seed": 4}),
        (["--select", "10:30"], {"select": "10:30"}),
    ],
)
def test_lists_are_those_of_the_command(scored, spurcli, flags, arguments):
    assert spurcli("prune", *flags).code == 0
    kept = package.kept_indices(package.el2n(LOGITS, LABEL), LABEL, **arguments)
    np.testing.assert_array_equal(kept, read_indices(Path("keep.txt")).kept(NUM))


def test_groups_are_pruned_as_by_the_command(scored, spurcli):
    group = LABEL * 2 + PLACE
    with h5py.File(scored, "a") as file:
        file["group"] = group
        file["group_names"] = [f"{label}/{place}" for label in range(3) for place in PLACES]
    scores = package.el2n(LOGITS, LABEL)
    for flags, within in ((["auto"], "auto"), (["1/west", "0/east"], ["1/west", "0/east"])):
        words = [word for flag in flags for word in ("--group", flag)]
        assert spurcli("prune", "--fraction", "0.2", *words).code == 0
        kept = package.kept_indices(scores, LABEL, fraction=0.2, groups=NAMES, within=within)
        np.testing.assert_array_equal(kept, read_indices(Path("keep.txt")).kept(NUM))
    with pytest.raises(UsageError, match="did you mean 1/west"):
        package.kept_indices(scores, LABEL, fraction=0.2, groups=NAMES, within="1/wets")


def test_an_easier_score_is_turned_round_and_names_are_labels():
    found = package.scores_of(LOGITS, LABEL)
    names = np.array(CLASSES)[LABEL]
    kept = package.kept_indices(found["margin"], names, fraction=0.1, per_class=True, higher_is="easier")
    removed = np.setdiff1d(np.arange(NUM), kept)
    for number in range(3):
        mine = number == LABEL
        assert mine[removed].sum() == mine.sum() // 10
        assert found["margin"][removed][mine[removed]].max() <= found["margin"][kept][mine[kept]].min()


def test_measures_are_those_of_the_command(spurcli):
    rows = [",".join([SPLIT[n], CLASSES[LABEL[n]], NAMES[n], *(repr(float(z)) for z in LOGITS[n])]) for n in range(NUM)]
    Path("preds.csv").write_text("\n".join(["split,label,place,z_cat,z_dog,z_owl", *rows]) + "\n")
    expected = package.evaluate(predictions="preds.csv", logit="z_*", group="place", split_column="split")
    found = package.measures(LOGITS, LABEL, groups={"place": NAMES}, splits=SPLIT, class_names=CLASSES)
    assert {"worst_group_accuracy", "adjusted_mean_accuracy"} <= set(found["metrics"])
    assert {part: expected[part] for part in found} == found
    by_names = package.measures(
        LOGITS, [CLASSES[y] for y in LABEL], groups={"place": NAMES}, splits=SPLIT, class_names=CLASSES
    )
    assert by_names == found
    everything = package.measures(LOGITS, LABEL)
    assert everything["metrics"]["accuracy"]["value"] == (LOGITS.argmax(axis=1) == LABEL).mean()


def test_scores_of_epochs_are_those_of_the_formulas():
    epochs = np.stack([LOGITS * factor for factor in (-1, 1, 0.5)])
    found = package.scores_of_epochs(epochs, LABEL)
    order = np.sort(np.where(np.eye(3, dtype=bool)[LABEL], -np.inf, epochs), axis=2)
    margin = (
        np.take_along_axis(epochs, np.broadcast_to(LABEL[None, :, None], (3, NUM, 1)), axis=2)[..., 0] - order[..., -1]
    )
    np.testing.assert_allclose(found["aum"], margin.mean(axis=0), atol=1e-5)
    right = epochs.argmax(axis=2) == LABEL
    np.testing.assert_allclose(found["correctness"], right.mean(axis=0), rtol=1e-6)
    assert set(package.scores_of_epochs(epochs[:1], LABEL)) == {"aum", "first_learned", "correctness", "confidence"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: package.el2n(LOGITS[0], LABEL), r"\[n, classes\]"),
        (lambda: package.el2n(LOGITS[:, :1], LABEL), r"\[n, classes\]"),
        (lambda: package.el2n(LOGITS, LABEL[:-1]), "399 values for 400 samples"),
        (lambda: package.el2n(LOGITS, LABEL + 1), "label 3 is not one of 3 classes"),
        (lambda: package.el2n(LOGITS, np.array(CLASSES)[LABEL]), "class_names"),
        (lambda: package.el2n(np.where(LABEL[:, None] > 1, np.nan, LOGITS), LABEL), "NaN or infinite"),
        (lambda: package.el2n(LOGITS, LABEL, probabilities=True), "not probabilities"),
        (lambda: package.el2n([LOGITS[:300].tolist(), LOGITS[300:].tolist()], LABEL), "Concatenate"),
        (lambda: package.measures(LOGITS, LABEL, class_names=["a", "b"]), "2 class names for 3 columns"),
        (lambda: package.measures(LOGITS, LABEL, groups=NAMES[:-1]), "399 values"),
        (lambda: package.measures(LOGITS, LABEL, splits=["train"] * NUM), "no row of the split 'test'"),
        (lambda: package.kept_indices(LOGITS, LABEL, fraction=0.1), "one finite number"),
        (lambda: package.kept_indices(LOGITS[:, 0], LABEL), "Either a fraction or a slice"),
        (lambda: package.kept_indices(LOGITS[:, 0], fraction=0.1, per_class=True), "need the labels"),
        (lambda: package.kept_indices(LOGITS[:, 0], LABEL, fraction=1), "Nothing would be kept"),
    ],
)
def test_what_does_not_fit_is_an_error_of_the_user(call, words):
    with pytest.raises((InputError, UsageError), match=words):
        call()


def test_probabilities_that_are_not_said_to_be_such_are_doubted():
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    with pytest.warns(SpurWarning, match="probabilities=True"):
        package.el2n(p, LABEL)
    with pytest.warns(SpurWarning, match="reliance are undefined"):
        package.measures(np.eye(3)[LOGITS.argmax(axis=1)], LABEL, groups=NAMES, probabilities=True)
