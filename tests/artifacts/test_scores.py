"""scores.h5: what is written is what is read, in any slices, by anybody with h5py."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, mean_of_runs, open_scores, write_scores
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def bits(values):
    return np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).tolist()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=FINITE),
    cut=st.integers(1, 9),
)
def test_any_finite_values_come_back_to_the_bit_in_any_slices(tmp_path, values, cut):
    num_runs, num_samples = values.shape
    labels = np.arange(num_samples)
    path = tmp_path / "any.h5"
    with write_scores(path, ScoresHeader(Subject(Fingerprint.of(labels)), (), (), {}), labels) as writer:
        writer.add_score(ScoreInfo("s", "harder", num_runs=num_runs))
        for run in range(num_runs):
            for start in range(0, num_samples, cut):
                writer.write("s", run, start, values[run, start : start + cut])
    with open_scores(path) as reader:
        for run in range(num_runs):
            assert bits(reader.values("s", run)) == bits(values[run])
            pieces = [reader.values("s", run, start, start + cut) for start in range(0, num_samples, cut)]
            assert bits(np.concatenate(pieces)) == bits(values[run])
        assert reader.labels().tolist() == labels.tolist()


def test_subnormal_and_negative_zero_survive(scores_file):
    values = np.array([[-0.0, 0.0, 1e-45, -1e-45, np.finfo(np.float32).max, np.finfo(np.float32).tiny]], np.float32)
    with open_scores(scores_file(values)) as reader:
        assert bits(reader.values("el2n", 0)) == bits(values[0])


def test_header_comes_back_whole(tmp_path):
    labels, group = np.array([1, 0, 1]), np.array([2, 0, 3])
    ids = ["a/ü.png", "b", "日本"]
    info = ScoreInfo("m", "easier", "z_y", "me", 3, "augmented", "bf16", (5, 6), ("ab", "cd"), 2)
    header = ScoresHeader(
        Subject(Fingerprint.of(labels, ids), "ff" * 32), ("c0", "é"), ("w", "x", "y", "z"), {"stage": "score"}
    )
    path = tmp_path / "h.h5"
    with write_scores(path, header, labels, sample_id=ids, group=group) as writer:
        writer.add_score(info)
        for run in range(2):
            writer.write("m", run, 0, np.zeros(3, np.float32))
    with open_scores(path) as reader:
        assert reader.header == header
        assert reader.scores == {"m": info}
        assert reader.groups().tolist() == [2, 0, 3]
        assert reader.groups(1, 2).tolist() == [0]
        assert reader.sample_ids(np.array([0, 2])) == ["a/ü.png", "日本"]


def test_without_ids_the_index_is_the_id(scores_file):
    with open_scores(scores_file(np.zeros((1, 4)))) as reader:
        assert reader.sample_ids(np.array([1, 3])) == ["1", "3"]
        assert not reader.has_groups


def test_runs_are_averaged_in_float64_and_rounded_once(scores_file):
    big = np.float32(2.0**24)
    # In float32 2^24 + 1 is lost: (2^24 + 1 + 1) / 3 would come out too small.
    path = scores_file([[big, 0.1], [1, 0.2], [1, 0.3]])
    expected = [np.float32((float(big) + 2) / 3), np.float32(sum(map(float, np.float32([0.1, 0.2, 0.3]))) / 3)]
    with open_scores(path) as reader:
        assert bits(reader.mean_values("el2n")) == bits(expected)
    naive = np.float32((big + np.float32(1) + np.float32(1)) / np.float32(3))
    assert naive != expected[0]


def test_files_are_averaged_by_runs_not_by_files(scores_file):
    two, one = scores_file([[0.0, 3.0], [3.0, 3.0]], file="two.h5"), scores_file([[6.0, 0.0]], file="one.h5")
    with open_scores(two) as first, open_scores(one) as second:
        assert mean_of_runs([(first, "el2n"), (second, "el2n")]).tolist() == [3.0, 2.0]


def test_averaging_does_not_depend_on_the_slices_it_reads(scores_file, monkeypatch):
    values = np.random.default_rng(0).normal(size=(3, 100)).astype(np.float32)
    path = scores_file(values)
    monkeypatch.setattr("spurcli.artifacts.hdf5.CHUNK", 1)  # slices of 16
    with open_scores(path) as reader:
        assert bits(reader.mean_values("el2n")) == bits(values.astype(np.float64).mean(axis=0))


def test_nothing_but_h5py_is_needed(scores_file):
    path = scores_file([[0.5, 0.25, 1.0]])
    with h5py.File(path) as file:
        assert file.attrs["format"] == b"spurcli.scores"
        assert file.attrs["version"] == 1
        assert json.loads(file.attrs["provenance"]) == {"stage": "test"}
        assert file["label"][:].tolist() == [0, 1, 0]
        assert file["class_names"][:].tolist() == [b"a", b"b"]
        assert file["scores/el2n/values"].dtype == np.dtype("<f4")
        assert file["scores/el2n/values"][:].tolist() == [[0.5, 0.25, 1.0]]
        assert file["scores/el2n"].attrs["higher_is"].decode() == "harder"


def test_equal_content_gives_equal_bytes(scores_file):
    values = [[0.5, 0.25, 1.0]]
    assert scores_file(values, file="1.h5").read_bytes() == scores_file(values, file="2.h5").read_bytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_writer_refuses_what_is_no_number_and_leaves_the_old_file(tmp_path, bad):
    path, labels = tmp_path / "s.h5", np.zeros(5, int)
    path.write_bytes(b"old")
    values = np.array([0, 0, 0, bad, 0], dtype=np.float32)

    def write():
        with write_scores(path, ScoresHeader(Subject(Fingerprint.of(labels)), (), (), {}), labels) as writer:
            writer.add_score(ScoreInfo("el2n", "harder"))
            writer.write("el2n", 0, 1000, values)

    with pytest.raises(InputError, match=r"'el2n' of sample 1,003 "):
        write()
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["s.h5"]


def test_values_that_were_never_written_are_refused(tmp_path):
    path, labels = tmp_path / "s.h5", np.zeros(5, int)
    with write_scores(path, ScoresHeader(Subject(Fingerprint.of(labels)), (), (), {}), labels) as writer:
        writer.add_score(ScoreInfo("el2n", "harder"))
        writer.write("el2n", 0, 0, np.ones(3, dtype=np.float32))
    with open_scores(path) as reader, pytest.raises(InputError, match="sample 3 is not a finite number"):
        reader.values("el2n", 0)


def test_an_unknown_score_is_answered_with_those_there(scores_file):
    with open_scores(scores_file([[1.0]])) as reader:
        assert reader.require("el2n").higher_is == "harder"
        with pytest.raises(InputError, match=r"no score 'loss'\nIt has: el2n\. Choose with --score"):
            reader.require("loss")
