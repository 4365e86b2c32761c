"""Hard ImageNet's ranks: which end is free of the cue is told from the listed images, not assumed."""

from __future__ import annotations

import os
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.datasets.hard_imagenet_ranks import RANKS, choose_by_rank, cue_free_first, read_ranks
from spurcli.errors import InputError, SpurWarning

WNID, INDEX = "n03218198", 537
NAMES = [f"{WNID}_{number}.JPEG" for number in range(100)]
FREE = NAMES[:9]


def write(tmp_path, content, protocol=4):
    path = tmp_path / RANKS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def paths(names):
    return [f"train/{WNID}/{name}" for name in names]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_ranks_are_read_in_their_order(tmp_path, protocol):
    ranked = NAMES[::-1]
    path = write(tmp_path, {795: ["train/n04228054/n04228054_1.JPEG"], INDEX: paths(ranked)}, protocol)
    assert read_ranks(path, INDEX, WNID) == ranked


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({379: []}, "holds no list of train/n03218198/… under 537"),
        ({INDEX: []}, "holds no list"),
        ({INDEX: [1, 2]}, "holds no list"),
        ({INDEX: {"a": 1}}, "holds no list"),
        ({INDEX: [f"val/{WNID}/x.JPEG"]}, "holds no list"),
        ({INDEX: ["train/n04228054/n04228054_1.JPEG"]}, "holds no list"),
        ({INDEX: paths(NAMES[:3] * 2)}, "ranks an image of n03218198 twice"),
        ([paths(NAMES)], "holds a list, not a dictionary"),
    ],
    ids=str,
)
def test_what_are_no_ranks(tmp_path, content, words):
    with pytest.raises(InputError, match=words):
        read_ranks(write(tmp_path, content), INDEX, WNID)


def test_ranks_that_would_run_something_are_refused(tmp_path, monkeypatch):
    class Calls:
        def __reduce__(self):
            return os.system, ("touch owned",)

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"is rejected: it names posix\.system"):
        read_ranks(write(tmp_path, {INDEX: [Calls()]}), INDEX, WNID)
    assert not (tmp_path / "owned").exists()


def test_the_end_where_the_listed_lie_is_the_free_one(tmp_path):
    path = tmp_path / "ranks"
    assert cue_free_first(NAMES, FREE, path) == (NAMES, True)
    assert cue_free_first(NAMES[::-1], FREE, path) == (NAMES, False)


@pytest.mark.parametrize(
    ("ranked", "words"),
    [
        (NAMES[20:60] + FREE + NAMES[60:], "9 of 9 images known to be free of it are in the list, their median at 50%"),
        (NAMES[5:], "4 of 9 images known to be free of it are in the list"),
        (NAMES[9:], "0 of 9"),
    ],
)
def test_ranks_that_do_not_tell_are_refused(tmp_path, ranked, words):
    with pytest.raises(InputError, match=words) as error:
        cue_free_first(ranked, FREE, tmp_path / "ranks")
    assert "num_dog_sled at 59" in error.value.hint


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(40)), st.integers(1, 40), st.booleans(), st.sets(st.integers(0, 39), min_size=30))
def test_the_least_of_the_cue_among_those_there(tmp_path_factory, order, number, at_front, present):
    folder = tmp_path_factory.mktemp("ranks") / "images"
    ranked = [NAMES[row] for row in order]  # least of the cue first
    listed = ranked[:5]
    write(folder.parent, {INDEX: paths(ranked if at_front else ranked[::-1])})
    there = [NAMES[row] for row in sorted(present)]
    expected = [name for name in ranked if name in there][:number]
    end = "front" if at_front else "end"
    with pytest.warns(SpurWarning, match=f"{len(expected)} dog sleds are from the {end} of .*of the 5 .* 5 are listed"):
        chosen = choose_by_rank(folder, (INDEX, WNID), there, number, listed, whole=False)
    assert set(chosen) == set(expected)
    assert chosen == sorted(chosen, key=there.index)


def test_the_warning_counts_how_many_of_the_listed_the_ranks_agree_on(tmp_path):
    write(tmp_path, {INDEX: paths([*FREE[:6], *NAMES[9:20], *FREE[6:], *NAMES[20:]])})
    with pytest.warns(SpurWarning, match=r"12 dog sleds are from the front of paths_by_rank.pkl.* 9 .* 6 are listed"):
        choose_by_rank(tmp_path / "images", (INDEX, WNID), NAMES, 12, FREE, whole=True)


def test_more_than_are_ranked(tmp_path):
    write(tmp_path, {INDEX: paths(NAMES[:50])})
    with pytest.raises(InputError, match=r"ranks 50 .* 60 "):
        choose_by_rank(tmp_path / "images", (INDEX, WNID), NAMES, 60, FREE, whole=True)


def test_ranks_may_lie_beside_or_in_the_folder_of_images(tmp_path):
    inside = tmp_path / "images"
    write(inside, {INDEX: paths(NAMES)})
    with pytest.warns(SpurWarning, match="front"):
        assert choose_by_rank(inside, (INDEX, WNID), NAMES, 3, FREE, whole=True) == NAMES[:3]
    with pytest.raises(InputError, match=r"No such file: .*hardImageNet/meta/paths_by_rank\.pkl"):
        choose_by_rank(tmp_path / "elsewhere" / "images", (INDEX, WNID), NAMES, 3, FREE, whole=True)
