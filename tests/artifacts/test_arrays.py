"""Logits and labels made by any program."""

from __future__ import annotations

import io
import pickle
import re
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from spurcli.artifacts.foreign_logits import read_foreign_logits, read_labels, read_logits
from spurcli.errors import InputError, SpurWarning

LOGITS = np.array([[0.5, -0.0, 2.0], [1e-3, 3.0, -4.5]], dtype=np.float32)
LABELS = np.array([2, 0])


def write(path, name, array):
    """The array in the file's own format."""
    if path.suffix.lower() == ".npy":
        with path.open("wb") as stream:
            np.save(stream, array)
    elif path.suffix == ".npz":
        np.savez_compressed(path, **{name: array})
    elif path.suffix == ".safetensors":
        safetensors.numpy.save_file({name: np.ascontiguousarray(array)}, path)
    else:
        with h5py.File(path, "w") as file:
            file[name] = array
    return path


def refuse(read, match, *arguments):
    with pytest.raises(InputError, match=match) as caught:
        read(*arguments)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("suffix", [".npy", ".NPY", ".npz", ".safetensors", ".h5", ".hdf5"])
@pytest.mark.parametrize("name", ["logits", "output"])
def test_every_kind_of_file(tmp_path, suffix, name):
    found = read_logits(write(tmp_path / f"x{suffix}", name, LOGITS))
    assert found.dtype == np.float32
    assert found.tobytes() == LOGITS.tobytes()
    labels = read_labels(write(tmp_path / f"y{suffix}", "label" if name == "logits" else "target", LABELS), 2, 3)
    assert labels.dtype == np.int64
    assert labels.tolist() == [2, 0]


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_other_float_types_become_float32(tmp_path, kind, suffix):
    found = read_logits(write(tmp_path / f"x{suffix}", "logits", LOGITS.astype(kind)))
    assert found.dtype == np.float32
    assert found.tolist() == LOGITS.astype(kind).astype(np.float32).tolist()


@pytest.mark.parametrize("kind", ["u1", ">i2", "<i4", ">u8"])
def test_other_integer_types_become_int64(tmp_path, kind):
    assert read_labels(write(tmp_path / "y.npy", "label", LABELS.astype(kind)), 2, 3).tolist() == [2, 0]


def test_fortran_order_is_no_matter(tmp_path):
    assert read_logits(write(tmp_path / "x.npy", "logits", np.asfortranarray(LOGITS))).tolist() == LOGITS.tolist()


def test_half_precision_of_torch(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"logits": torch.from_numpy(LOGITS).half()}, path)
    assert read_logits(path).tolist() == LOGITS.astype(np.float16).tolist()
    safetensors.torch.save_file({"logits": torch.from_numpy(LOGITS).bfloat16()}, path)
    assert read_logits(path).tolist() == torch.from_numpy(LOGITS).bfloat16().float().tolist()
    eighths = torch.from_numpy(LOGITS).to(torch.float8_e4m3fn)
    safetensors.torch.save_file({"logits": eighths}, path)
    refuse(read_logits, r"'logits' cannot be read .*\nSave it as float32", path)


def test_pickles_are_refused_unopened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    path = tmp_path / "x.npy"
    np.save(path, np.array([[Bomb()]], dtype=object), allow_pickle=True)
    refuse(read_logits, "holds pickled objects, which are not read", path)
    path.write_bytes(pickle.dumps(Bomb()))
    refuse(read_logits, "cannot be read as .npy", path)
    assert not (tmp_path / "ran").exists()


def test_a_zip_called_npy_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", logits=LOGITS)
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    refuse(read_logits, "its header is not that of", tmp_path / "x.npy")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_no_number_is_named(tmp_path, monkeypatch, bad):
    monkeypatch.setattr("spurcli.artifacts.hdf5.CHUNK", 4)
    logits = np.zeros((11, 2), np.float32)
    logits[[9, 10], 1] = bad
    refuse(read_logits, "logits of sample 9 hold NaN or infinity", write(tmp_path / "x.npy", "logits", logits))


def test_what_float32_cannot_hold_is_named(tmp_path):
    logits = np.array([[0, 1], [0, 1e300]])
    refuse(read_logits, "logits of sample 1 hold", write(tmp_path / "x.npy", "logits", logits))


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros(3, np.float32), r"is float32 of shape \[3\]\nExpected floating-point \[n, classes\]"),
        (np.zeros((2, 3, 1), np.float32), "shape"),
        (np.zeros((2, 3), np.int64), "is int64"),
        (np.zeros((2, 3), np.complex64), "is complex64"),
        (np.zeros((2, 3), [("a", "f4")]), "shape"),
        (np.zeros((2, 1), np.float32), "at least 2 classes, found 1"),
        (np.zeros((0, 3), np.float32), "has no rows"),
    ],
)
def test_wrong_logits_are_named(tmp_path, array, match):
    refuse(read_logits, match, write(tmp_path / "x.npy", "logits", array))


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.array([0, 3]), "label 3 of sample 1 is outside the 3 classes"),
        (np.array([-1, 0]), "label -1 of sample 0 is outside"),
        (np.array([2**63, 0], dtype=np.uint64), "of sample 0 is outside"),
        (np.array([0, 1, 2]), "has 3 labels for 2 rows of logits"),
        (np.array([0.0, 0.5]), r"is float64, and label 0.5 of sample 1 is not an integer\nExpected integer"),
        (np.array([[0], [1]]), "shape"),
        (np.array([True, False]), "is bool"),
    ],
)
def test_wrong_labels_are_named(tmp_path, array, match):
    refuse(read_labels, match, write(tmp_path / "y.npy", "label", array), 2, 3)


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (np.zeros(3), "np.stack([0 * z, z], axis=1)"),
        (np.array([0.25, 1.0, 0.5]), "np.log(np.stack([1 - p, p], axis=1))"),
        (np.array([[-1.0], [2.0]]), "np.stack([0 * z, z], axis=1), flattened"),
        (np.zeros((4, 3, 1)), "logits.squeeze()"),
        (np.zeros((1, 4, 3), np.float16), "logits.squeeze()"),
        (np.arange(6).reshape(2, 3), "logits.astype('float32')"),
        (np.arange(6), "before its argmax"),
    ],
)
def test_logits_of_another_shape_or_kind_get_the_line_that_helps(tmp_path, array, line):
    refuse(read_logits, re.escape(line), write(tmp_path / "x.npy", "logits", array))


@pytest.mark.parametrize(
    ("array", "num_samples", "num_classes", "line"),
    [
        (np.array([1, 2, 3, 3]), 4, 3, "from 1 to 3.*labels - 1"),
        (np.array([1.0, 2.0]), 2, 2, "labels - 1"),
        (np.array([0, -1, 1]), 3, 2, "−1 marks samples without a label"),
        (np.eye(3)[[0, 1, 2, 1]], 4, 3, "labels.argmax"),
        (np.array([[0], [1]]), 2, 3, r"labels\.ravel\(\)"),
        (np.array([True, False]), 2, 2, r"labels\.astype\(int\)"),
        (np.arange(4) % 2, 2, 4, r"transposed\? Write logits\.T"),
        (np.array([0.0, np.nan]), 2, 2, "label nan of sample 1 is not an integer"),
        (np.array(["cat", "dog"]), 2, 2, "'cat'.*\nStore class_names"),
    ],
)
def test_labels_of_another_shape_or_kind_get_the_line_that_helps(tmp_path, array, num_samples, num_classes, line):
    refuse(read_labels, line, write(tmp_path / "y.npy", "label", array), num_samples, num_classes)


@pytest.mark.parametrize("kind", ["f4", "f8", "u1", "i1", ">i4"])
def test_whole_numbers_of_any_kind_are_labels(tmp_path, kind):
    assert read_labels(write(tmp_path / "y.npy", "label", LABELS.astype(kind)), 2, 3).tolist() == [2, 0]


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_labels_that_are_texts_are_classes_by_name(tmp_path, suffix):
    path = tmp_path / f"y{suffix}"
    if suffix == ".npy":
        np.save(path, np.array(["dog", "cat "]))
    else:
        with h5py.File(path, "w") as file:
            file["label"] = ["dog", "cat "]
    assert read_labels(path, 2, 2, ("cat", "dog")).tolist() == [1, 0]
    refuse(
        lambda each: read_labels(each, 2, 2, ("cat", "bee")),
        "label 'dog', which is not a class\nThe classes are cat, bee",
        path,
    )


def test_no_label_zero_is_worth_a_word(tmp_path):
    path = write(tmp_path / "y.npy", "label", np.array([1, 2, 1]))
    with pytest.warns(SpurWarning, match="no label is 0.*labels - 1"):
        assert read_labels(path, 3, 3).tolist() == [1, 2, 1]
    assert read_labels(path, 3, 4).tolist() == [1, 2, 1]  # another class is missing too


def test_several_arrays_and_none_called_so(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = file["b"] = LOGITS
    refuse(read_logits, "has no 'logits'\nIt has: a, b", tmp_path / "x.h5")
    safetensors.numpy.save_file({"a": LOGITS, "b": LOGITS}, tmp_path / "x.safetensors")
    refuse(read_logits, "has no 'logits'\nIt has: a, b", tmp_path / "x.safetensors")


def test_linked_logits_are_not_followed(tmp_path):
    write(tmp_path / "other.h5", "logits", LOGITS)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["logits"] = h5py.ExternalLink("other.h5", "/logits")
    refuse(read_logits, "is a link to elsewhere|has no 'logits'", tmp_path / "x.h5")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".h5"])
def test_truncated_anywhere_is_refused(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", "logits", LOGITS)
    whole = path.read_bytes()
    for length in range(0, len(whole) if suffix != ".h5" else 2000, 11):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_logits(path)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".h5"])
def test_probabilities_are_read_with_a_warning(tmp_path, suffix):
    p = np.array([[0.25, 0.75], [0.5, 0.5], [0.125, 0.875]], dtype=np.float32)
    path = write(tmp_path / f"p{suffix}", "logits", p)
    with pytest.warns(SpurWarning, match=rf"p\{suffix}: every row is ≥ 0 and sums to 1.*np.log\(p\)"):
        assert read_logits(path).tolist() == p.tolist()
    read_logits(write(tmp_path / f"log{suffix}", "logits", np.log(p)))


def test_names_and_kinds(tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n")
    refuse(read_logits, r"unknown file type '\.csv'\nAccepted: \.npy", tmp_path / "x.csv")
    refuse(read_logits, "No such file", tmp_path / "absent.npy")
    refuse(read_logits, "is a folder", tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_labels_ids_and_class_names(tmp_path, save):
    path = tmp_path / "x.npz"
    save(
        path,
        logits=np.asfortranarray(LOGITS),
        labels=LABELS,
        ids=np.array(["d/1.png", "d/\u00e9.png"]),
        class_names=["a", "b", "c"],
    )
    found = read_foreign_logits(path)
    assert found.logits.tolist() == LOGITS.tolist()
    assert found.label.tolist() == LABELS.tolist()
    assert (found.sample_id, found.class_names) == (("d/1.png", "d/\u00e9.png"), ("a", "b", "c"))
    save(path, LOGITS)  # arr_0
    assert read_logits(path).tolist() == LOGITS.tolist()


def test_npz_that_is_a_trap_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez(path, logits=np.array([{"a": 1}], dtype=object))
    refuse(read_logits, "pickled objects", path)
    np.savez(path, a=LOGITS, b=LOGITS)
    refuse(read_logits, "has no 'logits'", path)
    path.write_bytes(b"no archive")
    refuse(read_logits, "cannot be read as .npz", path)
    monkeypatch.setattr("spurcli.artifacts.npz._MIN_LIMIT", 1 << 16)
    np.savez_compressed(path, logits=np.zeros((4000, 1000), dtype=np.float32))
    refuse(read_logits, "unpacks to more than 100 times", path)
    header = npy_header(shape=(1 << 40, 2))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits.npy", header + bytes(64))
    refuse(read_logits, "unpacks to more than 100 times", path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits.npy", npy_header(shape=(100, 2)) + bytes(64))
    refuse(read_logits, "it is truncated", path)


def npy_header(shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def test_names_that_other_programs_give(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["outputs"], file["targets"], file["paths"] = LOGITS, LABELS, ["a.png", "b.png"]
    found = read_foreign_logits(tmp_path / "x.h5")
    assert (found.label.tolist(), found.sample_id) == ([2, 0], ("a.png", "b.png"))


def test_numbers_as_texts_are_labels(tmp_path):
    assert read_labels(write(tmp_path / "y.npy", "", np.array(["2", "0"])), 2, 3).tolist() == [2, 0]
    refuse(read_labels, "outside the 3 classes", write(tmp_path / "y.npy", "", np.array(["3", "0"])), 2, 3)


@pytest.mark.parametrize(
    ("name", "line"), [("x.pt", "torch.load"), ("x.csv", "pandas.read_csv"), ("x.pkl", "np.asarray")]
)
def test_what_other_files_are_written_as(tmp_path, name, line):
    (tmp_path / name).write_bytes(b"1")
    refuse(read_logits, rf"unknown file type .*\n.*np\.save\('logits\.npy', .*{re.escape(line)}", tmp_path / name)


def test_predictions_of_a_npy_file_need_no_copy_of_it(tmp_path):
    """NumPy's argmax copies an array that it may not write to, as a map of the file for reading would be."""
    np.save(tmp_path / "logits.npy", 9 * np.eye(10, dtype=np.float32).repeat(2000, axis=0) - 3)
    logits = read_logits(tmp_path / "logits.npy")
    tracemalloc.start()
    logits.argmax(axis=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < logits.nbytes / 2
    logits[0] = 5  # and nobody writes to the file
    assert read_logits(tmp_path / "logits.npy")[0, 1] == -3
