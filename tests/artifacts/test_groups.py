"""groups.txt: one group name a line, one line a sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.group_list import GroupList, read_groups, write_groups
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError, SpurWarning

NAMES = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda name: not name.startswith("#") and name.splitlines() == [name]
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(["waterbird/land", "0", " x ", "ü", "a#b"]) | NAMES, min_size=1, max_size=20))
def test_round_trip(tmp_path, names):
    path, fingerprint = tmp_path / "groups.txt", Fingerprint(len(names), "ab", "cd")
    order = (*sorted(set(names)), "a group without a sample")
    group = np.array([order.index(name) for name in names])
    written = GroupList(group, order, Subject(fingerprint, "ef"), within_class=True)
    write_groups(path, written)
    found = read_groups(path)
    assert found.group.tolist() == group.tolist()
    assert replace(found, group=group) == written
    assert found.sizes() == {name: names.count(name) for name in order}
    assert path.read_text(encoding="utf-8").split("\n")[1:-1] == names


def test_without_injection_in_the_header_none_is_checked(tmp_path):
    write_groups(tmp_path / "groups.txt", GroupList(np.array([0, 0]), ("a", "b")))
    found = read_groups(tmp_path / "groups.txt")
    assert (found.names, found.subject) == (("a", "b"), Subject.unknown())


def test_cut_at_any_byte_is_refused(golden, tmp_path):
    whole, path = (golden / "groups-v1.txt").read_bytes(), tmp_path / "groups.txt"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_groups(path)


def test_without_header_and_with_windows_line_ends(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_bytes(b"\xef\xbb\xbfb\r\na\r\n# a remark\r\nb")
    found = read_groups(path)
    assert found.group.tolist() == [0, 1, 0]
    assert found.group.dtype == np.int64
    assert found.names == ("b", "a")
    assert found.subject.fingerprint is None


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"a\n\nb\n", "no group name for sample 1"),
        (b"# only\n", "holds no group"),
        (b"", "is empty"),
        (b"a\n\xff\n", "not a text file"),
        (b'# spurcli groups v1 {"num_samples":3}\na\nb\n', "is cut: 2 lines of 3"),
        (b'# spurcli groups v1 {"num_samples":"3"}\na\nb\n', "'num_samples' is missing or of the wrong kind"),
        (b'# spurcli groups v1 {"num_samples":1,"fingerprint":{}}\na\n', "'num_samples' is missing"),
        (b"# spurcli groups v9 {}\na\n", "has version '9'"),
        (b'# spurcli groups v1 {"num_samples":1,"group_names":["b"]}\na\n', "'a' that its header does not name"),
        (b'# spurcli groups v1 {"num_samples":1,"group_names":["a","a"]}\na\n', "are not names, each once"),
        (b'# spurcli groups v1 {"num_samples":1,"group_names":[["a"]]}\na\n', "are not names, each once"),
        (b'# spurcli groups v1 {"num_samples":1,"within_class":1}\na\n', "'within_class' is missing or of the wrong"),
        (b'# spurcli groups v1 {"num_samples":1,"provenance":[]}\na\n', "'provenance' is not an object"),
        (b'# spurcli indices v1 {"kind":"keep","num_indices":1}\n1\n', "is an index list, not a groups list"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, content, match):
    path = tmp_path / "groups.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=match) as caught:
        read_groups(path)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["", "#x", "a\nb", "a\rb", "a\u2028b"])
def test_names_that_could_not_be_read_back_are_not_written(tmp_path, name):
    with pytest.raises(InputError, match="cannot be a line"):
        write_groups(tmp_path / "groups.txt", GroupList(np.array([0, 1]), ("fine", name)))
    assert not list(tmp_path.iterdir())


def test_two_groups_of_one_name_are_not_written(tmp_path):
    with pytest.raises(InputError, match="Two groups are called 'a'"):
        write_groups(tmp_path / "groups.txt", GroupList(np.array([0, 1]), ("a", "a")))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_of_another_program_may_end_lines_as_windows_does_and_is_warned_of_look_alikes(tmp_path, end):
    path = tmp_path / "groups.txt"
    path.write_bytes(b"\xef\xbb\xbf" + end.join(["a, b", "c", "a, b", ""]).encode())
    assert read_groups(path).names == ("a, b", "c")
    path.write_bytes(end.join(["cat", "cat ", "Cat", "dog", ""]).encode())
    with pytest.warns(SpurWarning, match="groups that may be the same.*cat"):
        read_groups(path)
