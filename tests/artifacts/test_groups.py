"""groups.txt: one group name a line, one line a sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.group_list import GroupList, GroupPart, part_about, read_groups, write_groups
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.errors import InputError, SpurWarning

PROBABLE = b'# spurcli groups v2 {"probability_of":"x","splits":[{"name":"a","num_samples":1}]}\n'
NAMES = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda name: not name.startswith("#") and name.splitlines() == [name]
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.sampled_from(["waterbird/land", "0", " x ", "ü", "a#b", "a\tb", "0\t0.5"]) | NAMES, min_size=1, max_size=20
    ),
    num_train=st.integers(0, 20),
    aligned=st.none() | st.just("land"),
    probability=st.none() | st.lists(st.floats(0, 1, width=32) | st.just(np.nan), min_size=20, max_size=20),
)
def test_round_trip(tmp_path, names, num_train, aligned, probability):
    path = tmp_path / "groups.txt"
    order = (*sorted(set(names) - {"landbird/land"}), "landbird/land")  # the last may have no sample
    group = np.array([order.index(name) for name in names])
    known = None if probability is None else np.array(probability[: len(names)], dtype=np.float32)

    def part(chosen, subject):
        return GroupPart(group[chosen], subject, None if known is None else known[chosen])

    subjects = Subject(Fingerprint(num_train, "ab", "cd"), "ef"), Subject.unknown()
    parts = {"train": part(np.s_[:num_train], subjects[0]), "val": part(np.s_[num_train:], subjects[1])}
    of = None if known is None else "x"
    write_groups(path, GroupList(order, parts, within_class=True, aligned=aligned, probability_of=of))
    found = read_groups(path)
    assert (found.names, found.within_class, found.aligned, found.probability_of) == (order, True, aligned, of)
    assert list(found.splits) == ["train", "val"]
    for (mine, read), subject in zip(((parts[s], found.splits[s]) for s in parts), subjects, strict=True):
        assert read.group.tolist() == mine.group.tolist()
        assert read.subject == subject
        assert known is None or np.array_equal(read.probability, mine.probability, equal_nan=True)
    assert found.sizes() == {name: names[:num_train].count(name) for name in order}
    if known is None:
        assert path.read_text(encoding="utf-8").split("\n")[1:-1] == names


def test_without_injection_in_the_header_none_is_checked(tmp_path):
    write_groups(tmp_path / "groups.txt", GroupList(("a", "b"), {"train": GroupPart(np.array([0, 0]))}))
    found = read_groups(tmp_path / "groups.txt")
    assert (found.names, found.main.subject) == (("a", "b"), Subject.unknown())


@pytest.mark.parametrize("version", [1, 2])
def test_cut_at_any_byte_is_refused(golden, tmp_path, version):
    whole, path = (golden / f"groups-v{version}.txt").read_bytes(), tmp_path / "groups.txt"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_groups(path)


def test_without_header_and_with_windows_line_ends(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_bytes(b"\xef\xbb\xbfb\r\na\r\n# a remark\r\nb")
    found = read_groups(path)
    assert found.main.group.tolist() == [0, 1, 0]
    assert found.main.group.dtype == np.int64
    assert found.names == ("b", "a")
    assert found.main.subject.fingerprint is None
    assert found.part("test") is found.main


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"a\n\nb\n", "no group name for sample 1"),
        (b"# only\n", "holds no group"),
        (b"", "is empty"),
        (b"a\n\xff\n", "not a text file"),
        (b'# spurcli groups v1 {"num_samples":3}\na\nb\n', "is truncated: 2 lines of 3"),
        (b'# spurcli groups v1 {"num_samples":"3"}\na\nb\n', "'num_samples' is missing or of the wrong kind"),
        (b'# spurcli groups v1 {"num_samples":1,"fingerprint":{}}\na\n', "'num_samples' is missing"),
        (b"# spurcli groups v9 {}\na\n", "has version '9'"),
        (b'# spurcli groups v1 {"num_samples":1,"group_names":["b"]}\na\n', "'a' that its header does not name"),
        (b'# spurcli groups v1 {"num_samples":1,"group_names":["a","a"]}\na\n', "is not a list of unique names"),
        (b'# spurcli groups v1 {"num_samples":1,"group_names":[["a"]]}\na\n', "is not a list of unique names"),
        (b'# spurcli groups v1 {"num_samples":1,"within_class":1}\na\n', "'within_class' is missing or of the wrong"),
        (
            b'# spurcli groups v1 {"num_samples":1,"group_names":["a/x"],"aligned":"y"}\na/x\n',
            "no group in 'group_names' has the aligned attribute 'y'",
        ),
        (b'# spurcli groups v1 {"num_samples":1,"provenance":[]}\na\n', "'provenance' is not an object"),
        (b'# spurcli indices v1 {"kind":"keep","num_indices":1}\n1\n', "is an index list, not a groups list"),
        (b'# spurcli groups v2 {"splits":[]}\na\n', "'splits' is empty"),
        (b'# spurcli groups v2 {"splits":[5]}\na\n', "'splits' is not a list of objects"),
        (b'# spurcli groups v2 {"splits":[{"name":"a","num_samples":-1}]}\na\n', "with its number of samples"),
        (b'# spurcli groups v2 {"splits":[{"name":"","num_samples":1}]}\na\n', "'splits' needs unique names"),
        (
            b'# spurcli groups v2 {"splits":[{"name":"a","num_samples":1},{"name":"a","num_samples":1}]}\na\na\n',
            "unique names",
        ),
        (b'# spurcli groups v2 {"splits":[{"name":"a","num_samples":1e99}]}\na\n', "'num_samples' is missing or"),
        (b'# spurcli groups v2 {"splits":[{"name":"a","num_samples":2}]}\na\n', "is truncated: 1 line of 2"),
        (b'# spurcli groups v2 {"splits":[{"name":"a","num_samples":1}]}\na\nb\n', "is truncated: 2 lines of 1"),
        (PROBABLE + b"a\n", "'a' of sample 0 is not a probability"),
        (PROBABLE + b"a\t1.5\n", "'1.5' of sample 0 is not a probability"),
        (PROBABLE + b"a\t0_1\n", "is not a probability"),
        (PROBABLE + b"a\tnan\n", "'nan' of sample 0 is not a probability"),
        (PROBABLE + b"a\t-1\n", "is not a probability"),
        (PROBABLE + b"\t0.5\n", "has no group name for sample 0"),
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
        write_groups(tmp_path / "groups.txt", GroupList(("fine", name), {"train": GroupPart(np.array([0, 1]))}))
    assert not list(tmp_path.iterdir())


def test_two_groups_of_one_name_are_not_written(tmp_path):
    with pytest.raises(InputError, match="Two groups are called 'a'"):
        write_groups(tmp_path / "groups.txt", GroupList(("a", "a"), {"train": GroupPart(np.array([0, 1]))}))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_of_another_program_may_end_lines_as_windows_does_and_is_warned_of_look_alikes(tmp_path, end):
    path = tmp_path / "groups.txt"
    path.write_bytes(b"\xef\xbb\xbf" + end.join(["a, b", "c", "a, b", ""]).encode())
    assert read_groups(path).names == ("a, b", "c")
    path.write_bytes(end.join(["cat", "cat ", "Cat", "dog", ""]).encode())
    with pytest.warns(SpurWarning, match="groups that may be the same.*cat"):
        read_groups(path)


def test_a_part_must_be_about_the_samples_of_the_split_that_is_asked_for(tmp_path):
    path, train, test = (
        tmp_path / "groups.txt",
        Subject(Fingerprint(3, "ab")),
        Subject(Fingerprint(2, "cd"), name="data"),
    )
    write_groups(path, GroupList(("a",), {"train": GroupPart(np.zeros(3, dtype=np.int64), train)}))
    found = read_groups(path)
    assert part_about(found, path, train, InjectionPolicy.SAME, "train").group.tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="no groups of the split 'test', only of train"):
        part_about(found, path, test, InjectionPolicy.SAME, "test")
    for content in ('# spurcli groups v1 {"num_samples":3,"fingerprint":{"num_samples":3}}\n', ""):
        path.write_text(f"{content}a\na\na\n")
        with pytest.raises(
            InputError, match=r"3 samples against 2|3 lines for 2 samples of the split 'test'"
        ) as caught:
            part_about(read_groups(path), path, test, InjectionPolicy.SAME, "test")
        assert "covers one split only" in caught.value.hint
