"""CelebA on small folders: the procedure, its options, the images, what is named when something is missing."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spurcli.datasets.celeba import Counts, choose, load, read_folder, train_quota
from spurcli.datasets.celeba_files import Table
from spurcli.errors import InputError, SpurWarning, UsageError

OFFICIAL = {"training": (8, 6, 6, 6), "validation": (2, 2, 2, 2), "test": (2, 2, 2, 2)}
# Of the six coins the first falls on test, the next two on val, the last three on test.
SMALL = Counts(OFFICIAL, {"train": (8, 0, 4, 4), "val": (2, 4, 2, 2), "test": (2, 6, 2, 2)})


def read(folder, **options):
    return read_folder(folder, **{"image_size": 8, "num_train_per_class": 8, "published": SMALL, **options})


def group_counts(dataset):
    return {name: np.bincount(dataset.group(name), minlength=4).tolist() for name in dataset.splits}


def obvious(rows, quota, there=None):
    """The procedure in its words, row by row: (name, male, glasses, official split) to names of each split."""
    random.seed(1)
    train, val, test, kept = [], [], [], {}
    for name, male, glasses, official in rows:
        is_here = there is None or name in there
        if official != 0:
            target = val if official == 1 else test
        elif glasses and not male:
            target = val if random.random() > 0.5 else test
        else:
            target = train
            kind = (male, glasses)
            if not is_here or kept.get(kind, 0) >= quota[2 * male + glasses]:
                continue
            kept[kind] = kept.get(kind, 0) + 1
        if is_here:
            target.append(name)
    return {"train": train, "val": val, "test": test}


def table_of(rows):
    male, glasses, official = (np.array([row[column] for row in rows], dtype=np.int64) for column in (1, 2, 3))
    return Table(None, None, [row[0] for row in rows], male, glasses, official)


ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=80)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.integers(1, 12), st.sampled_from([0, 0.1, 0.29, 0.5, 1]), st.none() | st.sets(st.integers(0, 79)))
def test_the_subset_is_that_of_the_obvious_loop(codes, number, share, present):
    rows = [(f"{row:06d}.jpg", *code) for row, code in enumerate(codes)]
    there = None if present is None else {f"{row:06d}.jpg" for row in present}
    quota = train_quota(number, share)
    chosen = choose(table_of(rows), quota, there)
    expected = obvious(rows, quota, there)
    assert {split: [rows[row][0] for row in chosen[split]] for split in expected} == expected
    official = {name for name, *_, split in rows if split == 2}
    assert [rows[row][0] for row in chosen["test_official"]] == [name for name in expected["test"] if name in official]


@settings(max_examples=50, deadline=None)
@given(ROWS, st.sets(st.integers(0, 79)))
def test_a_partial_download_moves_no_image_to_another_split(codes, present):
    rows = [(f"{row:06d}.jpg", *code) for row, code in enumerate(codes)]
    there = {f"{row:06d}.jpg" for row in present}
    whole, part = (choose(table_of(rows), train_quota(80, 0.5), names) for names in (None, there))
    for split in ("val", "test", "test_official"):
        assert part[split].tolist() == [row for row in whole[split].tolist() if rows[row][0] in there]


def test_the_first_coins_fall_as_published():
    names = ["000093", "000189", "000275", "000373", "000375", "000392", "000451", "000484"]
    chosen = choose(table_of([(name, 0, 1, 0) for name in names]), train_quota(5000, 0.5))
    assert [names[row] for row in chosen["val"]] == ["000189", "000275", "000451", "000484"]
    assert [names[row] for row in chosen["test"]] == ["000093", "000373", "000375", "000392"]


def test_shares_are_exact_decimals():
    assert train_quota(5000, 0.5) == (5000, 0, 2500, 2500)
    assert train_quota(5000, 0) == (5000, 0, 5000, 0)
    assert train_quota(5000, 1) == (5000, 0, 0, 5000)
    assert train_quota(100, 0.29) == (100, 0, 71, 29)  # 0.29 · 100 is 28.999… in floating point
    assert train_quota(2500, 0.1) == (2500, 0, 2250, 250)


def test_a_small_celeba(celeba_folder):
    dataset = read(celeba_folder())
    assert dataset.class_names == ("female", "male")
    assert dataset.attribute_names == ("no glasses", "glasses")
    assert group_counts(dataset) == {
        "train": [8, 0, 4, 4], "val": [2, 4, 2, 2], "test": [2, 6, 2, 2], "test_official": [2, 2, 2, 2],
    }  # fmt: skip
    ids = dataset.splits["train"].sample_id
    assert list(ids) == sorted(ids)
    assert not set(ids) & (set(dataset.splits["val"].sample_id) | set(dataset.splits["test"].sample_id))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lists_may_lie_in_the_data_root_itself_with_either_line_end(celeba_folder, monkeypatch, line_end):
    folder = celeba_folder(line_end=line_end)
    monkeypatch.setattr("spurcli.datasets.celeba.read_folder", lambda folder, **_: folder)
    assert load(data_root=folder) == folder
    assert load(data_root=folder.parent) == folder
    assert read(folder).splits["val"].sample_id[-1] == "000034.jpg"


def test_the_picture_is_the_centre_square_at_full_width(celeba_folder):
    folder = celeba_folder(images=[])
    rng = np.random.default_rng(3)
    original = rng.integers(0, 255, (218, 178, 3), dtype=np.uint8)
    for number in range(1, 43):
        Image.fromarray(original).save(folder / "img_align_celeba" / f"{number:06d}.jpg", format="PNG")
    inputs = read(folder, image_size=178).splits["test"].inputs
    assert inputs.shape == (178, 178, 3)
    np.testing.assert_array_equal(inputs.read(np.array([4]))[0], original[20:198])
    small = read(folder, image_size=64).splits["test"].inputs.read(np.array([1, 0]))
    expected = Image.fromarray(original[20:198]).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(small[1], np.asarray(expected))


def test_missing_images_are_counted_and_named_with_the_way_out(celeba_folder):
    folder = celeba_folder(images=[f"{number:06d}.jpg" for number in range(6, 43)])
    with pytest.raises(InputError) as error:
        read(folder)
    assert "5 of CelebA's 38 images are not in" in error.value.problem
    assert "000001.jpg, 000002.jpg, 000003.jpg, …" in error.value.problem
    for word in ("img_align_celeba.zip", "mmlab.ie.cuhk.edu.hk", "dataset.options.available_only=true"):
        assert word in error.value.hint


def test_images_that_the_subset_leaves_out_are_not_needed(celeba_folder):
    folder = celeba_folder()
    whole = read(folder, num_train_per_class=4)
    needed = {name for split in whole.splits.values() for name in split.sample_id}
    left_out = sorted({f"{number:06d}.jpg" for number in range(1, 43)} - needed)
    assert len(left_out) == 26 - 6 - 8
    for name in left_out:
        (whole.splits["train"].inputs.paths[0].parent / name).unlink()
    assert group_counts(read(folder, num_train_per_class=4)) == group_counts(whole)


def test_only_what_is_there(celeba_folder):
    folder = celeba_folder(images=[f"{number:06d}.jpg" for number in range(9, 36)])
    with pytest.warns(SpurWarning, match=r"27 of CelebA's 42 images are here: not the paper's subset \(train 10, val"):
        dataset = read(folder, available_only=True, num_train_per_class=5, glasses_share=0.4)
    assert group_counts(dataset) == {
        "train": [5, 0, 3, 2], "val": [2, 3, 2, 2], "test": [1, 3, 0, 0], "test_official": [1, 0, 0, 0],
    }  # fmt: skip
    assert dataset.splits["train"].sample_id[0] == "000010.jpg"


def test_only_what_is_there_of_a_whole_copy_is_the_subset_itself(celeba_folder):
    folder = celeba_folder()
    whole, part = read(folder), read(folder, available_only=True)
    assert {n: s.fingerprint for n, s in whole.splits.items()} == {n: s.fingerprint for n, s in part.splits.items()}


def test_splits_without_an_image_are_left_out(celeba_folder):
    folder = celeba_folder(images=["000002.jpg", "000003.jpg", "000004.jpg"])
    with pytest.warns(SpurWarning, match="3 of CelebA's 42"):
        dataset = read(folder, available_only=True, num_train_per_class=1, glasses_share=0)
    assert {name: list(split.sample_id) for name, split in dataset.splits.items()} == {
        "train": ["000002.jpg", "000004.jpg"]
    }


@pytest.mark.parametrize(("share", "most"), [(0.5, 6), (1, 4), (0.1, 3)])
def test_a_quota_that_cannot_be_filled_says_what_can(celeba_folder, share, most):
    names = [f"{number:06d}.jpg" for number in range(1, 43) if number not in (2, 3, 6, 7, 10)]
    folder = celeba_folder(images=names)
    with pytest.raises(InputError, match="are requested") as error:
        read(folder, available_only=True, glasses_share=share)
    assert f"num_train_per_class={most}." in error.value.hint
    with pytest.warns(SpurWarning):
        read(folder, available_only=True, glasses_share=share, num_train_per_class=most)
    with pytest.raises(InputError):
        read(folder, available_only=True, glasses_share=share, num_train_per_class=most + 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"glasses_share": 1.5}, r"glasses_share = 1\.5 is not within"),
        ({"glasses_share": -0.1}, "glasses_share"),
        ({"glasses_share": float("nan")}, "glasses_share"),
        ({"num_train_per_class": 0}, "num_train_per_class = 0 is below 1"),
        ({"image_size": 0}, "image_size = 0"),
    ],
)
def test_options_out_of_range(celeba_folder, options, words):
    with pytest.raises(UsageError, match=words):
        read(celeba_folder(), **options)


def test_other_sizes_are_flagged_by_their_size(celeba_folder):
    folder = celeba_folder(size=(89, 109))
    with pytest.warns(SpurWarning, match="89×109 pixels, not 178×218"):
        read(folder)


def test_a_file_that_is_no_image_is_named(celeba_folder):
    folder = celeba_folder()
    (folder / "img_align_celeba" / "000027.jpg").write_bytes(b"<html>quota exceeded</html>")
    with pytest.raises(InputError, match=r"000027\.jpg is not an image"):
        read(folder)
