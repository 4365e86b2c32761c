"""keep.txt and remove.txt: any order, any comments, and never a list that is not whole."""

from __future__ import annotations

import hashlib
import re
import struct
import tempfile
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.indices import IndexList, read_index_facts, read_indices, write_indices
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError, SpurWarning

HEADER = '# spurcli indices v1 {"kind":"keep","num_indices":3,"fingerprint":{"num_samples":10}}\n'


def refuse(path, match, content=None):
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=match) as caught:
        read_indices(path)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    num_samples=st.integers(1, 60),
    data=st.data(),
    kind=st.sampled_from(["keep", "remove"]),
    injection=st.none() | st.just("ab" * 32),
)
def test_round_trip_and_shuffled_with_comments(tmp_path, num_samples, data, kind, injection):
    chosen = data.draw(st.sets(st.integers(0, num_samples - 1)))
    path = tmp_path / "list.txt"
    written = IndexList(
        np.array(sorted(chosen), dtype=np.int64),
        kind,
        Subject(Fingerprint(num_samples, "ab", None), injection),
        rule={"x": 1},
    )
    write_indices(path, written)
    header, *lines = path.read_text().splitlines()
    assert lines == [str(index) for index in sorted(chosen)]
    shuffled = data.draw(st.permutations([*lines, "# a remark", "", "#"]))
    path.write_text("\n".join([header, *shuffled]) + "\n")
    found = read_indices(path)
    assert found.indices.tolist() == sorted(chosen)
    assert (found.kind, found.subject) == (kind, written.subject)
    assert found.rule == {"x": 1}
    assert found.subject.states_injection
    kept = [i for i in range(num_samples) if (i in chosen) == (kind == "keep")]
    assert found.kept(num_samples).tolist() == kept


def test_the_hash_is_that_of_little_endian_int64():
    packed = b"".join(struct.pack("<q", index) for index in (0, 3, 2**40))
    assert IndexList(np.array([0, 3, 2**40]), "keep").sha256 == hashlib.sha256(packed).hexdigest()


def test_more_lines_than_one_block(tmp_path, monkeypatch):
    monkeypatch.setattr("spurcli.artifacts.indices._LINES", 7)
    monkeypatch.setattr("spurcli.artifacts.index_lines._CHARACTERS", 25)
    path, indices = tmp_path / "list.txt", np.arange(0, 300, 3)
    write_indices(path, IndexList(indices, "keep", Subject(Fingerprint(300))))
    assert path.read_text().count("\n") == 101
    assert read_indices(path).indices.tolist() == indices.tolist()
    with path.open("a") as stream:
        stream.write("oops\n")
    refuse(path, "line 102: 'oops' is not an index")


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.sampled_from(["0", "7", "41", "+3", " 12", "5 ", "", "# a_b", "0099", "x", "1_0"]), min_size=1),
    in_order=st.booleans(),
    characters=st.integers(1, 30),
)
def test_the_facts_of_a_list_are_those_of_its_indices(lines, in_order, characters):
    """Whatever its lines, and wherever a block of them ends; so are the errors."""
    if in_order:
        lines = sorted({line for line in lines if line.isdigit()}, key=int)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore", SpurWarning)
        patched.setattr("spurcli.artifacts.index_lines._CHARACTERS", characters)
        path = Path(name) / "list.txt"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        try:
            found = read_indices(path)
        except InputError as error:
            with pytest.raises(InputError, match=re.escape(error.problem)):
                read_index_facts(path)
            return
        assert sorted(int(line) for line in lines if line.strip() and line[0] != "#") == found.indices.tolist()
        facts = read_index_facts(path)
        assert (facts.num_indices, facts.sha256) == (len(found.indices), found.sha256)


def test_what_a_list_says_is_read_without_holding_it(tmp_path, monkeypatch):
    monkeypatch.setattr("spurcli.artifacts.index_lines._CHARACTERS", 1 << 13)
    path, num_samples = tmp_path / "keep.txt", 200_000
    write_indices(path, IndexList(np.arange(0, num_samples, 2), "remove", Subject(Fingerprint(num_samples))))
    read_index_facts(path)
    tracemalloc.start()
    try:
        facts = read_index_facts(path)
        assert tracemalloc.get_traced_memory()[1] < 400_000
    finally:
        tracemalloc.stop()
    assert facts.num_kept == facts.num_indices == num_samples // 2


def test_cut_at_any_byte_is_refused(golden, tmp_path):
    for name in ("keep-v1.txt", "remove-v1.txt"):
        whole, path = (golden / name).read_bytes(), tmp_path / name
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a cut list must not pass as a bare one
                refuse(path, "v1.txt")


def test_bare_lists_are_read_with_a_warning(tmp_path):
    path = tmp_path / "bare.txt"
    for content in ("7\n0\n3\n", "7\n0\n3", "# mine\r\n7\r\n\r\n0\r\n3\r\n", "\ufeff7\n0\n3\n", " 7\n+0\n3 \n"):
        path.write_bytes(content.encode())
        with pytest.warns(SpurWarning, match=r"bare\.txt is a plain list"):
            found = read_indices(path, bare_kind="remove")
        assert found.indices.tolist() == [0, 3, 7]
        assert found.kind == "remove"
        assert found.subject == Subject.unknown()
    path.write_text("7\n1\n3\n")
    with pytest.warns(SpurWarning, match="smallest index is 1: positions start at 0, so subtract 1"):
        read_indices(path)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("3.0\n5.0\n", "fmt='%d'"),
        ("3.000000000000000000e+00\n", "fmt='%d'"),
        ("0\n1\n1\n0\n1\n", "mask of 0 and 1.*np.flatnonzero"),
        ("True\nFalse\n", "np.flatnonzero"),
        (",index\n0,5\n1,7\n", r"to_csv\(path, index=False, header=False\)"),
        ("index\n5\n7\n", "without its header"),
        ('"index"\n5\n', "without its header"),
        ("5;7;9\n", "one column"),
        ("[1, 2, 3]\n", "without brackets"),
        ("train/cat/1.png\n", "not ids or file names"),
    ],
)
def test_what_is_not_a_list_of_indices_gets_the_line_that_helps(tmp_path, content, advice):
    path = tmp_path / "list.txt"
    path.write_text(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpurWarning)
        refuse(path, rf"\n.*{advice}")


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("1\n2\n1\n", "holds index 1 more than once"),
        ("1\n2\n10\n", "holds index 10, outside the 10 samples"),
        ("1\n2\n-1\n", "holds index -1, outside"),
        ("1\n2\n", "is truncated: 2 complete indices of 3"),
        ("1\n2\n3\n4\n", "is truncated: 4 complete indices of 3"),
        ("1\n2\n3", "is truncated: 3 complete indices of 3"),
        ("1\n2\nx\n", "line 4: 'x' is not an index"),
        ("1\n2\n1.0\n", "line 4: '1.0' is not an index"),
        ("1\n# fine\n\n2 3\n", "line 5: '2 3' is not an index"),
        ("1\n1_0\n3\n", "line 3: '1_0' is not an index"),
        ("1\n٣\n3\n", "line 3: '٣' is not an index"),
        ("1\n \n3\n", "line 3: '' is not an index"),
        ("1\n9223372036854775808\n3\n", "is not an index"),
        ("1\n" + "9" * 5000 + "\n3\n", "is not an index"),
        ("1\n\x00\n3\n", "is not an index"),
    ],
)
def test_wrong_lines_are_named(tmp_path, body, match):
    refuse(tmp_path / "list.txt", match, HEADER + body)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("# spurcli indices v2 {}", "has version '2'; this spurcli reads spurcli.indices up to version 1\nUpdate"),
        ("# spurcli indices v0 {}", "has version '0'"),
        ("# spurcli indices v-1 {}", "has version '-1'"),
        ("# spurcli indices v1", "header is not valid JSON"),
        ("# spurcli indices v1 []", "header that is not a JSON object"),
        ("# spurcli indices v1 {", "header is not valid JSON"),
        ('# spurcli indices v1 {"kind":NaN}', "NaN is not a JSON number"),
        ('# spurcli indices v1 {"kind":1e999}', "is too large a number"),
        ("# spurcli indices v1 " + "[" * 100_000, "header is not valid JSON"),
        ('# spurcli indices v1 {"kind":"maybe","num_indices":1}', "kept or removed"),
        ('# spurcli indices v1 {"kind":"keep"}', "'num_indices' is missing"),
        ('# spurcli indices v1 {"kind":"keep","num_indices":true}', "'num_indices' is missing or of the wrong kind"),
        ('# spurcli indices v1 {"kind":"keep","num_indices":1,"fingerprint":0}', "no usable fingerprint"),
        ('# spurcli indices v1 {"kind":"keep","num_indices":1,"injection_sha256":5}', "'injection_sha256'"),
        ('# spurcli indices v1 {"kind":"keep","num_indices":1,"rule":[]}', "'rule' is missing or of the wrong kind"),
        ('# spurcli indices v1 {"kind":"keep","num_indices":1,"summary":5}', "'summary'"),
        ('# spurcli indices v1 {"kind":"keep","num_indices":1,"provenance":"x"}', "'provenance' is not an object"),
        ('# spurcli groups v1 {"num_samples":1}', "is a groups list, not an index list"),
        ("# spurcli ind", "is another kind of list, or damaged"),
    ],
)
def test_wrong_headers_are_named(tmp_path, header, match):
    refuse(tmp_path / "list.txt", match, header + "\n1\n")


def test_a_header_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("spurcli.artifacts.indices._MAX_HEADER", 1000)
    refuse(tmp_path / "list.txt", "header that is too long", "# spurcli indices v1 {" + " " * 2000 + "}\n1\n")


def test_what_is_no_text(tmp_path):
    refuse(tmp_path / "list.txt", "not a text file", b"1\n\xff\n")
    refuse(tmp_path / "list.txt", "not a text file", b"# spurcli indices v1 \xff\n")
    refuse(tmp_path / "list.txt", "is empty", b"")
    refuse(tmp_path / "list.txt", "holds no index", b"# nothing\n")
    refuse(tmp_path, "is a folder, not an index list")
    refuse(tmp_path / ("x" * 300), "cannot be read")


def test_a_pipe_is_not_robbed_of_its_first_byte(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    refuse(tmp_path / "pipe", "is a pipe or a device")


def test_lines_are_those_of_str_for_any_number_of_digits(tmp_path):
    ends = [position for width in range(1, 19) for position in (10**width - 1, 10**width)]
    indices = np.array([0, 1, *ends, 2**63 - 1])
    write_indices(tmp_path / "keep.txt", IndexList(indices, "keep", Subject.unknown("here")))
    lines = (tmp_path / "keep.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == [str(index) for index in indices.tolist()]
