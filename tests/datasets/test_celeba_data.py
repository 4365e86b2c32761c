"""CelebA's real lists, and the images at hand."""

from __future__ import annotations

import functools
import hashlib
import json
import re

import numpy as np
import pytest

from spurcli.datasets.celeba import choose, load, train_quota
from spurcli.datasets.celeba_files import ATTRIBUTES, ATTRIBUTES_SHA256, PARTITION, read_table
from spurcli.errors import InputError, SpurWarning

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def table(celeba_data):
    return read_table(celeba_data / "celeba", "Male", "Eyeglasses")


def group_counts(table, rows):
    return np.bincount(table.group[rows], minlength=4).tolist()


def first_rows(table, rows, group, number):
    return [table.name[row] for row in rows[table.group[rows] == group][:number]]


def test_the_list_is_the_published_one(celeba_data):

    content = (celeba_data / "celeba" / ATTRIBUTES).read_bytes()
    assert hashlib.sha256(content).hexdigest() == ATTRIBUTES_SHA256


def test_the_papers_subset(table):
    rows = choose(table, train_quota(5000, 0.5))
    assert group_counts(table, rows["train"]) == [5000, 0, 2500, 2500]
    assert group_counts(table, rows["val"]) == [11166, 1337, 7318, 1140]
    assert group_counts(table, rows["test"]) == [11930, 1378, 6743, 972]
    assert group_counts(table, rows["test_official"]) == [11930, 317, 6743, 972]
    last = {group: table.name[rows["train"][table.group[rows["train"]] == group][-1]] for group in (0, 2, 3)}
    assert last == {2: "006788.jpg", 3: "048364.jpg", 0: "008871.jpg"}
    # the women with glasses of the official training split come first in file order
    to_test, to_val = (first_rows(table, rows[split], 1, number) for split, number in (("test", 4), ("val", 4)))
    assert to_test == ["000093.jpg", "000373.jpg", "000375.jpg", "000392.jpg"]
    assert to_val == ["000189.jpg", "000275.jpg", "000451.jpg", "000484.jpg"]
    moved = [row for split in ("val", "test") for row in rows[split] if table.official[row] == 0]
    assert set(table.group[moved]) == {1}
    assert sum(table.official[row] == 0 for row in rows["test"]) == 1061


def test_file_order(table):
    rows = choose(table, train_quota(5000, 0.5))
    assert all((np.diff(index) > 0).all() for index in rows.values())
    together = np.concatenate([rows["train"], rows["val"], rows["test"]])
    assert len(np.unique(together)) == len(together) == 51_984


@pytest.mark.parametrize(
    ("share", "counts"), [(0, [5000, 0, 5000, 0]), (0.01, [5000, 0, 4950, 50]), (0.1, [5000, 0, 4500, 500])]
)
def test_other_shares_keep_5000_men_and_the_same_test_set(table, share, counts):
    rows, paper = choose(table, train_quota(5000, share)), choose(table, train_quota(5000, 0.5))
    assert group_counts(table, rows["train"]) == counts
    np.testing.assert_array_equal(rows["test"], paper["test"])


def test_the_images_at_hand(celeba_data):
    with pytest.warns(SpurWarning) as warned:
        dataset = load(data_root=celeba_data, image_size=48, available_only=True, num_train_per_class=2500)
    text = " ".join(str(item.message) for item in warned)
    assert re.search("12,411 .*202,599 images", text)
    assert "89×109 pixels" in text
    counts = {name: np.bincount(dataset.group(name), minlength=4).tolist() for name in dataset.splits}
    assert counts["train"] == [2500, 0, 1250, 1250]
    assert counts["test_official"] == [441, 73, 398, 248]
    # 539 women with glasses of the official training split have an image; 57 and 73 are official val and test
    assert counts["val"][1] + counts["test"][1] == 539 + 57 + 73
    faces = dataset.splits["train"].inputs.read(np.array([4999, 0]))
    assert faces.shape == (2, 48, 48, 3)
    assert faces.std() > 30


def test_too_few_women_at_hand(celeba_data):
    with pytest.raises(InputError, match=r"3,627 women without glasses.* 5,000 "):
        load(data_root=celeba_data, available_only=True)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        (ATTRIBUTES, "000007.jpg", "000008.jpg", r"lists 000008\.jpg 2 times"),
        (PARTITION, "162770.jpg 0", "162770.jpg 1", "162,769 images in the official training split, not 162,770"),
        (PARTITION, "202598.jpg 2\n", "", r"has 202,598 images, .* 202598\.jpg is in one of them only"),
    ],
)
def test_data_check_on_a_damaged_copy(celeba_data, spurcli, tmp_path, name, old, new, words):
    for each in (ATTRIBUTES, PARTITION):
        text = (celeba_data / "celeba" / each).read_text()
        if each == name:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (tmp_path / each).write_text(text)
    result = spurcli("data", "check", "celeba", "--data-root", tmp_path)
    assert result.code == 3

    assert re.search(words, result.err), result.err
    assert len(result.err.strip().splitlines()) == 2


def test_the_chain_on_the_cpu_recipe_without_repeating_a_flag(celeba_data, spurcli, monkeypatch, tmp_path):
    monkeypatch.setenv("SPURCLI_DATA_ROOT", str(celeba_data))
    # its 202,599 rows are read once for all commands
    monkeypatch.setattr("spurcli.datasets.celeba.read_table", functools.cache(read_table))
    sets = {"dataset.options.available_only": True, "dataset.options.num_train_per_class": 60, "training.epochs": 1}
    sets["preprocessing.image_size"] = 16
    flags = [word for key, value in sets.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    scored = spurcli("score", "--recipe", "celeba-cpu", "--epoch", "1", "--workers", "0", *flags, "--json")
    assert scored.code == 0, scored.err
    assert scored.json["num_samples"] == 120
    assert spurcli("prune", "--fraction", "0.1", "--per-class").code == 0
    trained = spurcli("train", "--workers", "0", "--json")
    assert trained.code == 0, trained.err
    assert trained.json["num_kept"] == 108
    evaluated = spurcli("evaluate", "--split", "test_official", "--workers", "0", "--json")
    assert evaluated.code == 0, evaluated.err
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["metrics"]["conflict_accuracy"]["num_samples"] == 73
    assert content["group_names"] == ["female/no glasses", "female/glasses", "male/no glasses", "male/glasses"]
