"""spurcli data check and spurcli list, as typed."""

from __future__ import annotations

import re

import pytest

from spurcli.datasets import load_dataset

OWN = """
import numpy as np
from spurcli.datasets import ArrayImages, Dataset, Split

def load(*, data_root, size=8, classes=2):
    label = np.arange(size) % classes
    images = ArrayImages(np.zeros((size, 5, 6, 3), np.uint8))
    attribute = (label + (np.arange(size) < 2)) % 2
    names = tuple(f"class{number}" for number in range(classes))
    return Dataset("own", names, {"train": Split(label, images, attribute), "test": Split(label, images, attribute)},
                   ("red", "blue"))

def twice(*, data_root):
    images = ArrayImages(np.zeros((2, 5, 6, 3), np.uint8))
    return Dataset("own", ("a", "b"), {"train": Split(np.arange(2), images, sample_id=["x", "x"])})
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)


def test_ones_own_data_needs_no_recipe(spurcli, own):
    found = spurcli("data", "check", "own.py:load", "--set", "dataset.options.size=10", "--json")
    assert found.code == 0, found.err
    train = found.json["splits"]["train"]
    assert train["num_samples"] == 10
    assert train["image"] == [5, 6, 3]
    assert train["classes"] == {"class0": 5, "class1": 5}
    assert train["groups"] == {"class0/red": 4, "class0/blue": 1, "class1/red": 1, "class1/blue": 4}
    strong = {"share": 0.8, "lift": 1.6}  # 4 of 5, where red and blue are 5 of 10 each
    assert found.json["spurious_features"] == {
        "class0": {"attribute": "red", **strong},
        "class1": {"attribute": "blue", **strong},
    }
    assert found.json["aligned_groups"] == ["class0/red", "class1/blue"]
    assert found.json["conflict_groups"] == ["class0/blue", "class1/red"]
    assert (train["published"], train["as_published"]) == (None, None)
    assert found.err == ""


def test_the_table_for_people(spurcli, own):
    result = spurcli("data", "check", "own.py:load")
    lines = [line.split() for line in result.out.splitlines()]
    assert ["group", "train", "test"] in lines
    assert ["class1/blue", "3", "3"] in lines
    assert ["all", "8", "8"] in lines
    (labels,) = {line[-1] for line in lines if line[:3] == ["train", "image", "5×6×3"]}
    assert labels == load_dataset("own.py:load").splits["train"].fingerprint.labels_sha256[:16]
    assert ["class1", "blue", "75.0%", "1.50"] in lines
    assert re.search("--group auto.*class0/red, class1/blue", result.out)
    assert "ublished" not in result.out


def test_a_long_table_says_what_it_leaves_out(spurcli, own):
    words = ["data", "check", "own.py:load", "--set", "dataset.options.size=60", "--set", "dataset.options.classes=30"]
    result = spurcli(*words)
    assert "class19/blue" in result.out
    assert "class20/red" not in result.out.partition("Fingerprints")[0]
    assert re.search("20 more.*--json", result.out)
    assert len(spurcli(*words, "--json").json["splits"]["train"]["groups"]) == 60


def test_a_long_list_of_groups_says_what_it_leaves_out(spurcli, tmp_path):
    rows = [f"film,class{number:02d},feature{number:02d},train" for number in range(50)]
    (tmp_path / "many.csv").write_text("\n".join(["text,label,attribute,split", *rows * 2]) + "\n")
    result = spurcli("data", "check", tmp_path / "many.csv")
    pruned, conflict = result.out.splitlines()[-2:]
    assert pruned.endswith("class39/feature39 and 10 more")
    assert pruned.count("/") == conflict.count("/") == 40
    assert conflict.endswith(f"and {50 * 49 - 40:,} more")
    assert len(spurcli("data", "check", tmp_path / "many.csv", "--json").json["conflict_groups"]) == 50 * 49


def test_a_title_wider_than_its_table_stays_on_its_line(spurcli, tmp_path):
    (tmp_path / "reviews-of-films.csv").write_text("text,label,split\n" + "good,a,train\nbad,b,train\n")
    assert "reviews-of-films.csv: samples" in spurcli("data", "check", tmp_path / "reviews-of-films.csv").out


def test_an_id_given_twice_is_named(spurcli, own):
    result = spurcli("data", "check", "own.py:twice")
    assert result.code == 3
    assert "own, split 'train' has the id 'x' 2 times" in result.err


def test_an_injection_into_ones_own_data(spurcli, own):
    words = ["inject", "--dataset", "own.py:load", "--recipe", "demo", "--feature", "patch", "--class", "class1"]
    assert spurcli(*words, "--count", "2").code == 0
    refused = spurcli("data", "check", "inject.json")
    assert refused.code == 3
    assert "code is never run because a file names it" in refused.err
    (typed,) = [line.partition("name it again: ")[2] for line in refused.err.splitlines() if "again: " in line]
    found = spurcli("data", "check", "inject.json", *typed.split(), "--json")
    assert found.code == 0, found.err
    assert found.json["splits"]["train"]["groups"]["class1/patch"] == 2


@pytest.mark.parametrize("words", [["nowhere.json"], ["own.py:load"], ["no.such.module:load"], ["celba"]])
def test_names_that_lead_nowhere(spurcli, words):
    result = spurcli("data", "check", *words)
    assert result.code in (2, 3)
    assert 1 <= len(result.err.strip().splitlines()) <= 2
    assert result.out == ""


def test_the_fingerprint_shown_is_that_of_the_data_set(spurcli):
    found = spurcli("data", "check", "demo", "--json").json
    for name, split in load_dataset("demo").splits.items():
        assert found["splits"][name]["fingerprint"] == split.fingerprint.to_json()


def test_list_shows_options_and_their_defaults(spurcli):
    listed = spurcli("list", "features", "--json").json["features"]
    options = {row["name"]: row["options"] for row in listed}
    assert options["line"] == {"channel": 0, "position": 16, "width": 1, "value": 255, "noise": 0.0}
    shown = " ".join(spurcli("list", "datasets").out.split())
    assert "num_train_per_class=5000, glasses_share=0.5, available_only=false" in shown


def test_a_table_without_groups_is_told_how_to_make_them(spurcli, tmp_path):
    rows = [f"{n},{'ab'[n % 2]},{'xy'[n // 2 % 2]}" for n in range(40)]
    (tmp_path / "own.csv").write_text("\n".join(["text,label,place", *rows]) + "\n", encoding="utf-8")
    flag = "--attribute COLUMN"
    assert flag in spurcli("data", "check", "own.csv").err
    named = spurcli("data", "check", "own.csv", "--set", "dataset.options.attribute=place")
    assert "a/x" in named.out
    assert flag not in named.err


def test_texts_that_occur_more_than_once_are_counted(spurcli, tmp_path):
    """One text with two labels cannot be learned; test texts that are in train measure memory."""
    rows = [
        ("same", "a", "train"),
        ("same", "b", "train"),
        ("twice", "a", "train"),
        ("twice", "a", "train"),
        ("one", "b", "train"),
    ]
    rows += [("one", "b", "test"), ("same", "a", "test"), ("other", "a", "test")]
    (tmp_path / "own.csv").write_text("text,label,split\n" + "".join(",".join(row) + "\n" for row in rows))
    found = spurcli("data", "check", "own.csv", "--json").json["repeated_texts"]
    assert found == {"num_samples": 7, "with_other_labels": 3, "example": "same", "of_train": {"test": 2}}
    shown = spurcli("data", "check", "own.csv").out
    assert "occur more than once: 7 samples" in shown
    assert "3 samples, such as 'same'" in shown
    assert "2 of 3 samples of test" in shown
    (tmp_path / "own.csv").write_text("text,label,split\n" + "".join(f"t {n},{'ab'[n % 2]},train\n" for n in range(6)))
    assert "more than once" not in spurcli("data", "check", "own.csv").out
