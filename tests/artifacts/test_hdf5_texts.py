"""Texts of variable length, h5py's default, in scores and predictions; hostile ones refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.hdf5_texts import Texts, read_names, text_member
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.scores import open_scores
from spurcli.errors import InputError

IDS = ["train/ü.png", "b", "a longer name than the others"]
LABELS = np.array([0, 1, 1])
TEXT = h5py.string_dtype()


def scores_file(path, fill):
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["version"], file["label"] = "spurcli.scores", 1, LABELS
        file["scores/el2n/values"] = np.zeros((1, 3), np.float32)
        file["scores/el2n"].attrs["higher_is"] = "harder"
        fill(file)
    return path


def predictions_file(path, fill):
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["version"], file["label"] = "spurcli.predictions", 1, LABELS
        file["logits"] = np.array([[0, 1], [2, -1], [0.5, 3]], np.float32)
        fill(file)
    return path


def as_default(file, name, values):
    file[name] = values


def as_objects(file, name, values):
    file.create_dataset(name, data=np.array(values, dtype=object), dtype=TEXT)


def as_compressed(file, name, values):
    file.create_dataset(name, data=values, dtype=TEXT, chunks=(2,), compression="gzip")


def as_fixed(file, name, values):
    file[name] = np.array([value.encode() for value in values])


@pytest.mark.parametrize("write", [as_default, as_objects, as_compressed, as_fixed])
def test_every_way_of_writing_texts_is_read(tmp_path, write):
    def fill(file):
        for name, values in (("sample_id", IDS), ("class_names", ["cat", "chien"]), ("group_names", ["x", "y, z"])):
            write(file, name, values)
        file["group"] = np.array([0, 1, 1])

    with open_scores(scores_file(tmp_path / "s.h5", fill)) as reader:
        assert reader.sample_ids(np.array([0, 2])) == [IDS[0], IDS[2]]
        assert reader.header.class_names == ("cat", "chien")
        assert reader.header.group_names == ("x", "y, z")
        assert reader.header.subject.fingerprint == Fingerprint.of(LABELS, IDS)  # which the file does not state
    found = read_predictions(predictions_file(tmp_path / "p.h5", fill))
    assert (found.sample_id, found.class_names, found.group_names) == (tuple(IDS), ("cat", "chien"), ("x", "y, z"))


@pytest.mark.parametrize("values", [["cat", "chien"], np.array([b"cat", b"chien"]), np.array(["cat", "chien"], object)])
def test_names_may_be_attributes(tmp_path, values):
    def fill(file):
        file.attrs["class_names"] = values

    assert read_predictions(predictions_file(tmp_path / "p.h5", fill)).class_names == ("cat", "chien")


def refuse(path, match):
    with pytest.raises(InputError, match=match) as caught, open_scores(path) as reader:
        reader.sample_ids(np.arange(3))
    assert len(str(caught.value).splitlines()) == 2


def references(file):
    file.create_dataset("sample_id", data=[file.ref] * 3, dtype=h5py.ref_dtype)


def lists(file):
    file.create_dataset("sample_id", (3,), dtype=h5py.vlen_dtype(np.int64))


def elsewhere(file):
    layout = h5py.VirtualLayout((3,), TEXT)
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,), TEXT)
    file.create_virtual_dataset("sample_id", layout)


def linked(file):
    file["sample_id"] = h5py.SoftLink("/label")


def not_in_the_file(file):
    file.create_dataset("sample_id", (3,), dtype=TEXT)


@pytest.mark.parametrize(
    ("fill", "match"),
    [
        (references, "'sample_id' is references, not text\nWrite texts: .*dtype=\"S\""),
        (lists, "'sample_id' is values of variable length, not text"),
        (elsewhere, "outside the file"),
        (linked, "is a link"),
        (not_in_the_file, "not in the file"),
        (lambda file: file.create_dataset("sample_id", data=[IDS], dtype=TEXT), "2 axes"),
        (lambda file: file.create_dataset("sample_id", data=IDS[:2], dtype=TEXT), "2 values, 3 expected"),
        (lambda file: file.create_dataset("sample_id", data=[b"\xff", b"a", b"b"], dtype=TEXT), "cannot be read"),
        (lambda file: file.attrs.update({"class_names": "cat"}), "not a list of texts"),
        (lambda file: file.attrs.update({"class_names": [1, 2]}), "not a list of texts"),
    ],
)
def test_what_is_not_plain_text_in_the_file_is_refused(tmp_path, fill, match):
    refuse(scores_file(tmp_path / "s.h5", fill), match)


def test_many_references_to_one_text_are_not_followed(tmp_path, monkeypatch):
    """A file of some kilobytes must not become gigabytes: each reference gives the text once more."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("sample_id", data=["y" * 50_000] + ["z"] * 999, dtype=TEXT, chunks=(1000,))
    content = path.read_bytes()
    with h5py.File(path) as file:
        start = file["sample_id"].id.get_chunk_info(0).byte_offset
    path.write_bytes(content[:start] + content[start : start + 16] * 1000 + content[start + 16_000 :])
    monkeypatch.setattr("spurcli.artifacts.hdf5_texts._SLICE_BYTES", 100_000)
    with h5py.File(path) as file:
        texts = text_member(file, "sample_id", "x.h5")
        assert texts is not None
        assert texts.longest == 50_000
        taken = []
        with pytest.raises(InputError, match="more text than the file"):
            taken.extend(texts.stream())
        assert sum(map(len, taken)) <= path.stat().st_size + 200_000


def test_slices_change_nothing(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        as_compressed(file, "names", [f"name {n}" for n in range(40)])
        monkeypatch.setattr("spurcli.artifacts.hdf5_texts._SLICE_BYTES", 30)
        texts = text_member(file, "names", "x")
        assert isinstance(texts, Texts)
        assert read_names(file, "names", "x") == tuple(f"name {n}" for n in range(40))
        assert texts.read(np.array([3, 17, 39])) == ["name 3", "name 17", "name 39"]
