"""scores.h5 from anywhere: refused in two lines, or read; nothing outside the file is ever touched."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.scores import open_scores
from spurcli.errors import InputError


def foreign(path, **changes):
    """A file as another program may write it; `changes` replace parts, None leaves them out."""
    parts = {
        "format": "spurcli.scores",
        "version": 1,
        "label": np.array([0, 1, 1]),
        "values": np.array([[0.5, 0.25, 1.0]], dtype=np.float32),
        "higher_is": "harder",
        **changes,
    }
    with h5py.File(path, "w") as file:
        group = file.create_group("scores/el2n")
        for name, value in parts.items():
            if value is None:
                continue
            if name in ("label", "group", "class_names", "sample_id"):
                file[name] = value
            elif name == "values":
                group["values"] = value
            else:
                (group if name in ("higher_is", "seeds", "epoch") else file).attrs[name] = value
    return path


def read_all(path):
    with open_scores(path) as reader:
        for name, info in reader.scores.items():
            for run in range(info.num_runs):
                reader.values(name, run)
        reader.sample_ids(np.arange(reader.header.num_samples))


def everything(path):
    with open_scores(path) as reader:
        values = [
            reader.values(name, run).tolist() for name, info in reader.scores.items() for run in range(info.num_runs)
        ]
        indices = np.arange(reader.header.num_samples)
        return reader.header, reader.scores, values, reader.labels().tolist(), reader.sample_ids(indices)


def refuse(path, match):
    with pytest.raises(InputError, match=match) as caught:
        read_all(path)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


def test_the_least_that_another_program_must_write_is_enough(tmp_path):
    with open_scores(foreign(tmp_path / "s.h5")) as reader:
        assert reader.values("el2n", 0).tolist() == [0.5, 0.25, 1.0]
        assert reader.header.num_samples == 3
        assert reader.scores["el2n"].epoch is None


def test_other_number_types_are_read(tmp_path):
    changes = {"label": np.array([0, 1, 1], ">u2"), "values": np.array([[0.5, 0.25, 1]], ">f8"), "seeds": "[4]"}
    with open_scores(foreign(tmp_path / "s.h5", **changes)) as reader:
        assert reader.values("el2n", 0).tolist() == [0.5, 0.25, 1.0]
        assert reader.labels().tolist() == [0, 1, 1]
        assert reader.scores["el2n"].seeds == (4,)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": None}, "no format name"),
        ({"format": "spurcli.predictions"}, "is a predictions file, not a score file"),
        ({"format": np.arange(3)}, "no format name"),
        ({"version": None}, "no usable version"),
        ({"version": "1"}, "no usable version"),
        ({"version": 0}, "no usable version"),
        ({"version": 2}, "has version 2; this spurcli reads spurcli.scores up to version 1\nUpdate"),
        ({"label": None}, "no labels"),
        ({"label": np.array([0.0, 1.0, 1.0])}, "'label' is float64"),
        ({"label": np.array([[0, 1, 1]])}, "'label' is int64 with 2 axes"),
        ({"label": np.array([], int)}, "'label' is empty"),
        ({"label": np.array([b"0", b"1", b"1"])}, "'label' is |S1"),
        ({"values": None}, "needs `values`"),
        ({"values": np.zeros(3, np.float32)}, "'values' is float32 with 1 axes"),
        ({"values": np.zeros((1, 4), np.float32)}, "has 4 values, 3 expected"),
        ({"values": np.zeros((0, 3), np.float32)}, "'values' is empty"),
        ({"values": np.zeros((1, 3), np.int32)}, "'values' is int32"),
        ({"values": np.array([[0, np.nan, 0]], np.float32)}, "sample 1 is not a finite"),
        ({"values": np.array([[0, 0, 1e300]])}, "sample 2 is not a finite"),
        ({"higher_is": None}, "higher_is"),
        ({"higher_is": "better"}, "higher_is"),
        ({"group": np.array([0, 1])}, "'group' has 2 values, 3"),
        ({"sample_id": np.array([b"a", b"b"])}, "'sample_id' has 2 values"),
        ({"sample_id": np.array([b"a", b"\xff", b"c"])}, "cannot be read as HDF5"),
        ({"class_names": np.array([1, 2])}, "'class_names' is int64"),
        ({"seeds": "7"}, "'seeds' is not a JSON list"),
        ({"seeds": "[NaN]"}, "not valid JSON: NaN"),
        ({"provenance": "[]"}, "'provenance' is not an object"),
        ({"provenance": '{"settings": 3}'}, "'settings' is missing or of the wrong kind"),
        ({"provenance": '{"lineage": "x"}'}, "'lineage' is missing or of the wrong kind"),
        ({"provenance": b"\xff"}, "'provenance' is not valid JSON"),
        ({"fingerprint": "[]"}, None),
        ({"fingerprint": "5"}, "no usable fingerprint"),
        ({"fingerprint": '{"num_samples": -1}'}, "negative"),
        ({"fingerprint": '{"num_samples": true}'}, "'num_samples' is missing or of the wrong kind"),
        ({"fingerprint": '{"num_samples": 4}'}, "differ in length"),
        ({"fingerprint": '{"num_samples": 3, "labels_sha256": 3}'}, "'labels_sha256' is missing or of the wrong"),
        ({"fingerprint": '{"num_samples": 3, "labels_sha256": "00"}'}, "labels do not match the fingerprint"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changes, match):
    path = foreign(tmp_path / "s.h5", **changes)
    if match is None:  # an empty fingerprint says nothing: it is that of the labels
        with open_scores(path) as reader:
            assert reader.header.subject.fingerprint == Fingerprint.of(reader.labels())
    else:
        refuse(path, match)


def test_no_scores_at_all(tmp_path):
    path = foreign(tmp_path / "s.h5", values=None, higher_is=None)
    with h5py.File(path, "a") as file:
        del file["scores/el2n"]
    refuse(path, "holds no scores")


@pytest.mark.parametrize("kind", ["soft", "external"])
@pytest.mark.parametrize("where", ["label", "scores", "scores/el2n", "scores/el2n/values"])
def test_links_are_never_followed(tmp_path, kind, where):
    other = foreign(tmp_path / "other.h5")
    path = foreign(tmp_path / "s.h5")
    with h5py.File(path, "a") as file:
        file.copy(where, file, "elsewhere")
        del file[where]
        file[where] = h5py.SoftLink("/elsewhere") if kind == "soft" else h5py.ExternalLink(str(other), f"/{where}")
    refuse(path, "is a link, which is not allowed")


def test_virtual_data_are_refused(tmp_path):
    foreign(tmp_path / "other.h5")
    layout = h5py.VirtualLayout((1, 3), dtype="f4")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "scores/el2n/values", shape=(1, 3))
    path = foreign(tmp_path / "s.h5", values=None)
    with h5py.File(path, "a") as file:
        file["scores/el2n"].create_virtual_dataset("values", layout)
    refuse(path, "stores its data outside the file")


def test_data_in_another_file_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones(3, np.float32).tobytes())
    path = foreign(tmp_path / "s.h5", values=None)
    with h5py.File(path, "a") as file:
        file["scores/el2n"].create_dataset("values", (1, 3), "f4", external=[(str(secret), 0, 12)])
    refuse(path, "stores its data outside the file")


def test_a_claim_of_more_than_the_file_can_hold_is_refused(tmp_path):
    path = foreign(tmp_path / "s.h5", label=None, values=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("label", (1 << 40,), "i8", chunks=(1 << 16,), compression="gzip")
    refuse(path, "claims 8,796,093,022,208 bytes that are not in the file")


def test_huge_chunks_are_refused(tmp_path):
    path = foreign(tmp_path / "s.h5", label=None, values=None)
    with h5py.File(path, "a") as file:
        label = file.create_dataset("label", (1 << 28,), "i8", chunks=(1 << 28,), compression="gzip")
        label.id.write_direct_chunk((0,), bytes(1 << 21))
    refuse(path, "chunks over 1 GiB")


def test_unknown_filters_are_refused(tmp_path):
    path = foreign(tmp_path / "s.h5", label=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("label", data=np.array([0, 1, 1]), chunks=(3,), scaleoffset=4)
    refuse(path, "unknown HDF5 filter")


def test_a_filter_without_its_level_is_refused(tmp_path):
    path = foreign(tmp_path / "s.h5", label=None)
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((3,))
    made.set_filter(h5py.h5z.FILTER_DEFLATE, h5py.h5z.FLAG_OPTIONAL, ())
    with h5py.File(path, "a") as file:
        h5py.h5d.create(file.id, b"label", h5py.h5t.STD_I64LE, h5py.h5s.create_simple((3,)), made)
        file["label"][:] = [0, 1, 1]
    refuse(path, "cannot be read as HDF5")


def test_truncated_anywhere_is_refused(golden, tmp_path):
    whole, path = (golden / "scores-v1.h5").read_bytes(), tmp_path / "s.h5"
    for length in [*range(1, 2000, 97), *range(2000, len(whole), 611), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            read_all(path)
        assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(("offset", "content"), [(16, bytes(16)), (24, b"\xf8" + b"\xff" * 7), (8, b"\xff" * 5)])
def test_a_heap_that_would_keep_hdf5_busy_forever_is_refused(tmp_path, offset, content):
    path = foreign(tmp_path / "s.h5")
    whole = bytearray(path.read_bytes())
    heap = whole.find(b"GCOL")
    whole[heap + offset : heap + offset + len(content)] = content
    path.write_bytes(whole)
    refuse(path, "holds a damaged HDF5 heap|cannot be read as HDF5")


def test_any_flipped_bit_of_our_own_files_is_noticed(golden, tmp_path):
    """Checksums cover all but padding: a flipped bit is refused, or changes nothing that is read."""
    whole, path = (golden / "scores-v1.h5").read_bytes(), tmp_path / "s.h5"
    expected = everything(golden / "scores-v1.h5")
    refused = 0
    for position in range(0, len(whole), 13):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
        try:
            found = everything(path)
        except InputError:
            refused += 1
        else:
            assert found == expected
    assert refused > 100


def test_edited_labels_are_noticed(golden, tmp_path):
    path = tmp_path / "s.h5"
    path.write_bytes((golden / "scores-v1.h5").read_bytes())
    with h5py.File(path, "a") as file:
        file["label"][0] = 1
    refuse(path, "labels do not match the fingerprint")


def test_other_hdf5_and_no_hdf5(tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["weights"] = np.zeros(3)
    refuse(other, "no format name")
    other.write_text(json.dumps({"format": "spurcli.scores", "version": 1}))
    refuse(other, "cannot be read as HDF5")
    refuse(tmp_path, "is a folder")
    refuse(tmp_path / "absent.h5", "No such file")
    other.write_bytes(b"")
    refuse(other, "is empty")
