"""predictions.h5: logits that any metric can be computed from again."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.predictions import Predictions, read_predictions, write_predictions
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError

LABEL = np.array([0, 1, 1])
FULL = Predictions(
    split="val",
    logits=np.array([[1, -0.0], [0.5, 1e-45], [3, 4]], dtype=np.float32),
    label=LABEL,
    class_names=("a", "é"),
    subject=Subject(Fingerprint.of(LABEL, ["x", "y", "z"]), "ab" * 32),
    provenance={"stage": "evaluate"},
    group=np.array([0, 2, 3]),
    group_names=("a/0", "a/1", "é/0", "é/1"),
    twin_index=np.array([2, 0]),
    twin_logits=np.array([[1, 2], [3, 4]], dtype=np.float32),
)


def test_round_trip_with_and_without_what_is_optional(tmp_path):
    bare = Predictions("test", FULL.logits, LABEL, (), Subject(Fingerprint.of(LABEL)), {})
    for written in (FULL, bare):
        write_predictions(tmp_path / "p.h5", written)
        found = read_predictions(tmp_path / "p.h5")
        for name, value in vars(written).items():
            mine = getattr(found, name)
            if isinstance(value, np.ndarray):
                assert mine.dtype == value.dtype
                assert mine.tobytes() == value.tobytes()
            else:
                assert mine == value


def test_nothing_but_h5py_is_needed(tmp_path):
    write_predictions(tmp_path / "p.h5", FULL)
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["logits"][:].argmax(axis=1).tolist() == [0, 0, 1]
        assert file["injected/index"][:].tolist() == [2, 0]
        assert file["injected/logits"][:].tolist() == [[1, 2], [3, 4]]
        assert file.attrs["split"] == b"val"


WRONG = [
    ({"logits": np.array([[1, 2], [np.nan, 1], [1, 2]], np.float32)}, "logits hold NaN"),
    ({"twin_logits": np.array([[1, 2], [np.inf, 1]], np.float32)}, "logits hold NaN"),
    ({"label": np.array([0, 1, 2]), "subject": Subject(Fingerprint(3))}, "outside the 2 classes"),
    ({"label": np.array([0, 1, -1]), "subject": Subject(Fingerprint(3))}, "outside the 2 classes"),
    ({"class_names": ("a", "b", "c")}, "3 class names for 2 columns"),
    ({"group": np.array([0, 1, 4])}, "a group has no name"),
    ({"group": np.array([0, 1, -1])}, "a group has no name"),
    ({"twin_index": np.array([0])}, r"not \[len\(index\), classes\]"),
    ({"twin_logits": np.zeros((2, 3), np.float32)}, r"not \[len\(index\), classes\]"),
    ({"twin_index": np.array([0, 3])}, "outside the split"),
    ({"twin_index": np.array([-1, 0])}, "outside the split"),
]


@pytest.mark.parametrize(("change", "match"), WRONG)
def test_what_does_not_fit_is_neither_written_nor_read(tmp_path, change, match, monkeypatch):
    path, wrong = tmp_path / "p.h5", replace(FULL, **change)
    with pytest.raises(InputError, match=match):
        write_predictions(path, wrong)
    assert not path.exists()
    monkeypatch.setattr("spurcli.artifacts.predictions._check", lambda *_: None)
    write_predictions(path, wrong)
    monkeypatch.undo()
    with pytest.raises(InputError, match=match) as caught:
        read_predictions(path)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("label", np.array([0, 1, 0]), "labels do not match the fingerprint"),
        ("label", np.array([0, 1]), r"needs `label` \[n\] and `logits`"),
        ("logits", np.zeros(3, np.float32), "float32 with 1 axes"),
        ("logits", np.array([[0, 1], [0, 1e300], [0, 1]]), "logits hold NaN or infinity"),
        ("logits", None, r"needs `label` \[n\] and `logits`"),
        ("injected/index", None, "needs `index` and `logits`"),
        ("injected", np.zeros(3), "'injected' is not a group"),
        ("group", np.array([0]), "'group' has 1 value,"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, value, match):
    path = tmp_path / "p.h5"
    write_predictions(path, FULL)
    with h5py.File(path, "a") as file:
        del file[name]
        if value is not None:
            file[name] = value
    with pytest.raises(InputError, match=match):
        read_predictions(path)


def test_a_score_file_is_no_predictions_file(golden):
    with pytest.raises(InputError, match=r"is a score file, not a predictions file\n.*spurcli prune .*scores-v1.h5"):
        read_predictions(golden / "scores-v1.h5")
