"""Logits of other programs in the order of a data set: by ids and class names, or with a word on what was not compared."""

from __future__ import annotations

import json
import re
import warnings

import h5py
import numpy as np
import pytest
import safetensors.numpy

from spurcli.artifacts.foreign_logits import ForeignLogits, read_foreign_logits
from spurcli.artifacts.scores import open_scores
from spurcli.datasets import ArrayImages, Dataset
from spurcli.datasets.alignment import align, match_ids
from spurcli.datasets.base import Split
from spurcli.datasets.own.foreign_order import class_order_note
from spurcli.errors import InputError, SpurWarning

OURS = [f"train/{c}/{name}" for c in ("ant", "bee") for name in ("a.png", "m/b.png", "m/y.png", "z.png")]
IMAGE_FOLDER = [0, 3, 1, 2, 4, 7, 5, 6]  # our positions in its order: files of a folder before those of folders in it
LABEL = np.repeat([0, 1], 4)
LOGITS = np.stack([np.arange(8), 10 - np.arange(8)], axis=1).astype(np.float32)


def data_set(ids=OURS, label=LABEL, class_names=("ant", "bee")):
    images = ArrayImages(np.zeros((len(label), 1, 1, 1), np.uint8))
    note = class_order_note(class_names)
    return Dataset("d", class_names, {"train": Split(label, images, sample_id=ids)}, class_order_note=note)


def aligned(logits, dataset=None, *, is_image_folder=True, **known):
    """Logits in our order, the note, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found, note = align(
            ForeignLogits("lg.npy", logits, **known), dataset or data_set(), "train", is_image_folder=is_image_folder
        )
    assert all(issubclass(each.category, SpurWarning) for each in caught)
    return found, note, [str(each.message) for each in caught]


def refuse(match, call, *arguments, **options):
    with pytest.raises(InputError, match=match) as caught:
        call(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "spelled",
    [
        lambda name: name,
        lambda name: f"/home/me/data/d/{name}",
        lambda name: name.removeprefix("train/"),
        lambda name: "./" + name,
        lambda name: "C:\\data\\" + name.replace("/", "\\"),
    ],
)
@pytest.mark.parametrize("order", [IMAGE_FOLDER, [7, 6, 5, 4, 3, 2, 1, 0]])
@pytest.mark.parametrize("has_label", [True, False])
def test_rows_are_matched_by_id(spelled, order, has_label):
    ids = tuple(spelled(OURS[place]) for place in order)
    label = LABEL[order] if has_label else None
    logits, note, warned = aligned(LOGITS[order], sample_id=ids, label=label)
    assert logits.tolist() == LOGITS.tolist()
    assert warned == []
    assert f"{sum(a != b for a, b in enumerate(order))} of 8" in note


def test_accents_composed_otherwise_are_the_same_id():
    assert match_ids(["cafe\u0301", "b"], ["b", "caf\u00e9"], "x", "y").tolist() == [1, 0]


def test_the_index_is_the_id_where_a_data_set_has_none():
    ids = tuple(map(str, reversed(range(8))))
    logits, _, _ = aligned(LOGITS[::-1], data_set(ids=None), sample_id=ids)
    assert logits.tolist() == LOGITS.tolist()


def test_rows_of_other_splits_are_left_out_with_a_word():
    ids = ["d/test/ant/a.png", *(f"d/{name}" for name in OURS)]
    with pytest.warns(SpurWarning, match=r"left out 1 row without a sample.*d/test/ant/a.png"):
        assert match_ids(ids, OURS, "x", "y").tolist() == list(range(1, 9))


@pytest.mark.parametrize(
    ("ids", "match"),
    [
        (OURS[:-2], r"no row for 2 of 8 samples.*train/bee/m/y.png, train/bee/z.png\nCompute"),
        (
            [name.replace("train", "test") for name in OURS],
            r"no row for 8 of 8.*\nThese rows match no sample: test/ant/a.png",
        ),
        ([*OURS[:-1], OURS[0]], "rows 0 and 7 are both for 'train/ant/a.png'"),
        ([*OURS, "x/" + OURS[3]], "rows 3 and 8 are both for 'train/ant/z.png'"),
        (["a.png", *OURS[1:]], "'a.png' fits several samples"),
        (list(map(str, range(8))), "no row for 8 of 8"),
    ],
)
def test_missing_double_and_ambiguous_ids_are_refused_by_name(ids, match):
    refuse(match, match_ids, ids, OURS, "lg.npy", "split 'train'")


def test_another_order_within_classes_is_warned_of_with_and_without_labels():
    for label in (None, LABEL):
        logits, note, warned = aligned(LOGITS, label=label)
        assert logits.tolist() == LOGITS.tolist()
        assert len(warned) == 1
        assert re.search(r"row 1 is 'train/ant/z.png' there and 'train/ant/m/b.png' here.*--ids FILE", warned[0])
        assert ("labels" in note) == (label is not None)
    flat = data_set(ids=[name.replace("m/", "") for name in OURS])
    assert aligned(LOGITS, flat)[2] == []
    assert aligned(LOGITS, is_image_folder=False)[2] == []


def test_labels_that_exclude_the_other_order_silence_the_warning():
    mixed = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    ids = [f"train/{'ab'[y]}/{'m/' * (n % 3 == 0)}{n}.png" for n, y in enumerate(mixed)]
    other = data_set(ids=ids, label=mixed, class_names=("a", "b"))
    assert len(aligned(LOGITS, other)[2]) == 1
    assert aligned(LOGITS, other, label=mixed)[2] == []


def test_labels_that_differ_say_what_may_have_happened():
    refuse("labels differ in 8 of 8.*\nThe classes have different numbers", aligned, LOGITS, label=1 - LABEL)
    other_order = LABEL[[0, 4, 1, 5, 2, 6, 3, 7]]
    refuse(
        "labels differ in 4 of 8.*'train/ant/m/b.png'\nThe rows are in another order.*--ids",
        aligned,
        LOGITS,
        label=other_order,
    )
    refuse("labels differ in 1 of 8", aligned, LOGITS, label=np.array([0, 0, 0, 0, 1, 1, 1, 0]))
    refuse("labels differ in 1 of 8", aligned, LOGITS, label=np.array([0, 0, 0, 0, 1, 1, 1, 0]), sample_id=tuple(OURS))


@pytest.mark.parametrize("has_label", [True, False])
def test_columns_are_matched_by_class_name(has_label):
    ours = data_set(label=np.array([0, 1, 2, 2, 1, 0, 1, 1]), class_names=("1", "2", "10"))
    logits = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    theirs = [0, 2, 1]  # 1, 10, 2
    label = np.argsort(theirs)[ours.splits["train"].label] if has_label else None
    found, _, warned = aligned(
        logits[:, theirs], ours, class_names=("1", "10", "2"), label=label, sample_id=tuple(OURS)
    )
    assert found.tolist() == logits.tolist()
    assert warned == []
    _, _, warned = aligned(logits, ours, is_image_folder=False)
    assert len(warned) == 1
    assert "1, 2, 10" in warned[0]
    assert "class_names" in warned[0]
    refuse("columns of other classes than .*: 3\n", aligned, logits, ours, class_names=("1", "10", "3"))


def test_shapes_that_do_not_fit():
    refuse("2, 8.*transposed\nWrite logits.T", aligned, LOGITS.T)
    refuse("5 samples against 8\n.*--ids", aligned, LOGITS[:5])
    refuse("3 columns, .* 2 classes", aligned, np.zeros((8, 3), np.float32))


# ---- what lies beside the logits


def as_h5(path, ids, names):
    with h5py.File(path, "w") as file:
        file["logits"], file["sample_id"], file["label"] = LOGITS, ids, LABEL
        file.attrs["class_names"] = names


def as_safetensors(path, ids, names):
    content = {"sample_id": json.dumps(ids), "class_names": json.dumps(names)}
    safetensors.numpy.save_file({"logits": LOGITS, "labels": LABEL}, path, content)


def as_bytes(path, ids, names):
    texts = np.array([name.encode() for name in ids])
    tensors = {"logits": LOGITS, "label": LABEL, "ids": texts.view(np.uint8).reshape(8, -1)}
    safetensors.numpy.save_file(tensors, path, {"class_names": json.dumps(names)})


@pytest.mark.parametrize(
    ("name", "write"), [("x.h5", as_h5), ("x.safetensors", as_safetensors), ("x.safetensors", as_bytes)]
)
def test_ids_labels_and_class_names_beside_the_logits(tmp_path, name, write):
    write(tmp_path / name, OURS, ["ant", "bee"])
    found = read_foreign_logits(tmp_path / name)
    assert found.logits.tolist() == LOGITS.tolist()
    assert found.sample_id == tuple(OURS)
    assert found.label.tolist() == LABEL.tolist()
    assert found.class_names == ("ant", "bee")
    write(tmp_path / name, OURS, ["ant"])
    refuse("1 class name for 2 columns", read_foreign_logits, tmp_path / name)
    write(tmp_path / name, OURS, ["ant", "ant "])
    refuse("a class name twice", read_foreign_logits, tmp_path / name)


@pytest.mark.parametrize("text", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_ids_as_lines_of_text(tmp_path, text, mark):
    np.save(tmp_path / "x.npy", LOGITS)
    (tmp_path / "ids.txt").write_bytes(mark + "".join(name + text for name in OURS).encode())
    assert read_foreign_logits(tmp_path / "x.npy", ids=tmp_path / "ids.txt").sample_id == tuple(OURS)


@pytest.mark.parametrize("array", [np.array(OURS), np.array([name.encode() for name in OURS]), np.arange(8)])
def test_ids_as_an_array(tmp_path, array):
    np.save(tmp_path / "x.npy", LOGITS)
    np.save(tmp_path / "ids.npy", array)
    found = read_foreign_logits(tmp_path / "x.npy", ids=tmp_path / "ids.npy").sample_id
    assert found == (tuple(map(str, range(8))) if array.dtype.kind == "i" else tuple(OURS))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("ids.txt", "a\nb\n", "2 ids for 8 rows"),
        ("ids.csv", "path\n" + "a\n" * 8, "9 ids for 8 rows.*\n.*without a header"),
        ("ids.txt", "a\n\nb\n", "line 2 is empty"),
        ("ids.npy", np.zeros(8), "ids of kind float64.*\nWrite texts"),
        ("ids.npy", np.array(OURS, dtype=object), "pickled.*\nTexts: np.save"),
    ],
)
def test_ids_that_cannot_be_read(tmp_path, name, content, match):
    np.save(tmp_path / "x.npy", LOGITS)
    if isinstance(content, str):
        (tmp_path / name).write_text(content)
    else:
        np.save(tmp_path / name, content, allow_pickle=True)
    refuse(match, read_foreign_logits, tmp_path / "x.npy", ids=tmp_path / name)


# ---- through the commands


@pytest.fixture
def folder(tmp_path):
    """An image folder whose order is not ImageFolder's; scores of logits need no pixels."""
    for split in ("train", "test"):
        for name in OURS:
            path = tmp_path / "e" / name.replace("train", split)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"not looked at")
    np.save(tmp_path / "x.npy", LOGITS[IMAGE_FOLDER])
    np.save(tmp_path / "y.npy", LABEL)
    ids = [f"{tmp_path}/e/{OURS[place]}" for place in IMAGE_FOLDER]
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    np.save(tmp_path / "ours.npy", LOGITS)
    return tmp_path


def test_score_and_evaluate_match_rows_by_id(spurcli, folder):
    words = ["--dataset", "e/", "--logits", "x.npy"]
    blind = spurcli("score", *words, "--labels", "y.npy", "-o", "blind.h5")
    assert blind.code == 0
    assert "ImageFolder" in blind.err
    assert spurcli("score", *words, "--ids", "ids.txt", "--labels", "y.npy", "-o", "named.h5").code == 0
    assert spurcli("score", *words[:2], "--logits", "ours.npy", "-o", "ours.h5").code == 0
    with (
        open_scores(folder / "named.h5") as named,
        open_scores(folder / "ours.h5") as ours,
        open_scores(folder / "blind.h5") as blind,
    ):
        assert np.array_equal(named.values("el2n", 0), ours.values("el2n", 0))
        assert not np.array_equal(named.values("el2n", 0), blind.values("el2n", 0))
        assert named.header.subject == ours.header.subject
    ids = folder / "ids.txt"
    ids.write_text(ids.read_text().replace("/train/", "/test/"))
    result = spurcli("evaluate", *words, "--ids", "ids.txt", "--json")
    assert result.code == 0
    with h5py.File(folder / "predictions.h5") as file:
        assert file["logits"][:].tolist() == LOGITS.tolist()
    assert "ImageFolder" not in result.err


def test_ids_are_kept_where_there_is_no_data_set(spurcli, folder):
    assert spurcli("score", "--logits", "x.npy", "--labels", "y.npy", "--ids", "ids.txt").code == 0
    with open_scores(folder / "scores.h5") as reader:
        assert reader.sample_ids(np.arange(8))[1].endswith("e/train/ant/z.png")
        assert reader.header.subject.samples.ids_sha256
    alone = spurcli("score", "--dataset", "e/", "--ids", "ids.txt", "-o", "n.h5")
    assert alone.code == 2
    assert "--ids requires --logits" in alone.err


def test_infer_matches_predictions_of_other_programs(spurcli, folder):
    wrong = LOGITS.copy()
    wrong[[1, 6]] = wrong[[1, 6], ::-1]
    with h5py.File(folder / "p.h5", "w") as file:
        file.attrs["format"], file.attrs["version"], file.attrs["split"] = "spurcli.predictions", 1, "train"
        file["logits"], file["label"] = wrong[IMAGE_FOLDER][:, ::-1], (1 - LABEL)[IMAGE_FOLDER]
        file["sample_id"] = [f"e/{OURS[place]}" for place in IMAGE_FOLDER]
        file["class_names"] = ["bee", "ant"]
    result = spurcli("infer", "p.h5", "--dataset", "e/", "--by", "predictions")
    assert result.code == 0, result.err
    names = [line for line in (folder / "groups.txt").read_text().splitlines() if not line.startswith("#")]
    predicted = wrong.argmax(axis=1)
    assert [name.partition("/")[0] for name in names] == ["ant"] * 4 + ["bee"] * 4
    assert [name.rpartition("/")[2].split()[-1] for name in names] == [("ant", "bee")[each] for each in predicted]


def test_infer_warns_of_probabilities(spurcli, folder):
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    with h5py.File(folder / "p.h5", "w") as file:
        file.attrs["format"], file.attrs["version"], file.attrs["split"] = "spurcli.predictions", 1, "train"
        file["logits"], file["label"] = p, LABEL
    result = spurcli("infer", "p.h5", "--by", "predictions")
    assert result.code == 0, result.err
    assert "np.log(p" in result.err
