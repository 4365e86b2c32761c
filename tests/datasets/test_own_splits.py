"""What a column says of the split: words, 0/1/2, flags like is_train; what is ambiguous is asked, never guessed."""

from __future__ import annotations

import json
import warnings

import pytest

from spurcli.datasets import load_dataset
from spurcli.datasets.own.split_column import splits_of
from spurcli.datasets.own.splitting import chosen_splits
from spurcli.datasets.tables import Table
from spurcli.errors import InputError, SpurWarning, UsageError


def read(tmp_path, column, values, meaning=None):
    table = Table(tmp_path / "own.csv", {column: list(map(str, values))}, range(2, len(values) + 2))
    return splits_of(table, column, meaning or {})


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        ("split", [0, 1, 2, 0], ["train", "val", "test", "train"]),
        ("part", ["0.0", "1.0", "2.0"], ["train", "val", "test"]),
        ("split", ["Train", " TRAIN", "Validation", "te\u200bst"], ["train", "train", "val", "test"]),
        ("split", ["train", "test_2"], ["train", "test_2"]),
        ("train_split", ["train", "test"], ["train", "test"]),
    ],
)
def test_words_and_the_numbers_of_the_field(tmp_path, column, values, found):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(tmp_path, column, values) == found


@pytest.mark.parametrize(
    ("column", "values", "found", "counts"),
    [
        ("is_train", [1, 1, 0], ["train", "train", "test"], r"0 is read as test \(1 row\), 1 is read as train \(2 rows\)"),
        ("is_training_image", ["1.0", "0.0"], ["train", "test"], "1 is read as train"),
        ("isTrain", ["True", "FALSE"], ["train", "test"], "True is read as train"),
        ("training", ["yes", "no"], ["train", "test"], "yes is read as train"),
        ("is_test", [1, 0], ["test", "train"], "0 is read as train"),
        ("is_val", ["true", "false"], ["val", "train"], "true is read as val"),
        ("is_train", [1, 1], ["train", "train"], "1 is read as train"),
        ("split", [0, 0, 2], ["train", "train", "test"], r"0 is read as train \(2 rows\)"),
        ("split", ["train", "val", "dev"], ["train", "val", "val"], "dev is read as val"),
    ],
)  # fmt: skip
def test_what_is_read_by_the_name_of_the_column_is_said(tmp_path, column, values, found, counts):
    with pytest.warns(SpurWarning, match=counts):
        assert read(tmp_path, column, values) == found


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("split", [0, 1, 1]), ("split", [1, 2]), ("fold", [0, 1, 2]), ("fold", [0, 1, 2, 3, 4]), ("kfold", [1, 2, 3]),
        ("split", ["True", "False"]), ("is_train", [0, 1, 2]), ("train_or_test", [0, 1]), ("split", ["train", "0"]), ("cv_fold", ["0.0", "1.0"]),
        ("not_train", [0, 1]), ("train_fold", [0, 1]), ("train_score", [0, 1, 1]),
    ],
)  # fmt: skip
def test_what_is_ambiguous_is_refused_with_the_option(tmp_path, column, values):
    with pytest.raises(InputError, match=r"own\.csv: .* rows?\).*\n.*dataset\.options\.split_values=\{") as error:
        read(tmp_path, column, values)
    assert error.value.exit_code == 3


def test_the_option_says_what_values_mean(tmp_path):
    told = {"0": "test", "1": "train"}
    assert read(tmp_path, "split", ["0", "1.0", " 1"], told) == ["test", "train", "train"]
    assert read(tmp_path, "fold", [0, 1, 2], {"0": "train", "1": "train", "2": "validation"}) == [
        "train",
        "train",
        "val",
    ]
    assert read(tmp_path, "split", ["True", "False"], {"True": "train", "False": "ood"}) == ["train", "ood"]
    with pytest.raises(InputError, match=r"line 4: fold is '2'.*split_values does not list"):
        read(tmp_path, "fold", [0, 1, 2], told)
    with pytest.raises(InputError, match="no row is for training"):
        read(tmp_path, "split", [0, 1], {"0": "test", "1": "val"})
    with pytest.raises(UsageError, match="not the name of a split"):
        read(tmp_path, "split", [0, 1], {"0": 1})


@pytest.mark.parametrize("empty", ["", " ", "nan", "\u200b"])
def test_an_empty_split_is_an_error_with_its_line(tmp_path, empty):
    with pytest.raises(InputError, match="line 3: split is empty"):
        read(tmp_path, "split", ["train", empty, "test"])


def test_the_splits_that_are_asked_for():
    there = ["train", "validation", "test", "unsupervised"]
    assert chosen_splits(there, [], "x") == there
    assert chosen_splits(there, ["val", "Train"], "x") == ["train", "validation"]
    with pytest.raises(UsageError, match=r"no split 'tset', did you mean test\?\nIt has: train, validation"):
        chosen_splits(there, ["train", "tset"], "x")
    with pytest.raises(UsageError, match="leaves out train"):
        chosen_splits(there, ["test"], "x")


def rows_of(root, labels, written, **options):
    lines = [f"text {row},{label},{split}" for row, (label, split) in enumerate(zip(labels, written, strict=True))]
    (root / "own.csv").write_text("\n".join(["text,label,split", *lines]) + "\n")
    return load_dataset("table", {"path": "own.csv", **options}, data_root=root)


TRAIN, TEST = ["a", "b"] * 3, ["train"] * 6 + ["test"] * 3


@pytest.mark.parametrize("mark", ["", " ", "nan", "-1", "-1.0", "NA", "None", "?"])
def test_a_split_of_a_table_without_labels_is_left_out(tmp_path, mark):
    with pytest.warns(SpurWarning, match=r"split test has no labels and is left out \(3 rows\)"):
        found = rows_of(tmp_path, TRAIN + [mark] * 3, TEST)
    assert (list(found.splits), found.class_names) == (["train"], ("a", "b"))


def test_splits_with_labels_stay(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(rows_of(tmp_path, ["1", "-1"] * 3 + ["-1"] * 3, TEST).splits) == ["train", "test"]
        assert list(rows_of(tmp_path, TRAIN + [""] * 3, TEST, splits=["train"]).splits) == ["train"]
        assert list(rows_of(tmp_path, TRAIN + ["b"] * 3, TEST).splits) == ["train", "test"]
    with pytest.raises(InputError, match="line 9: label is empty"):
        rows_of(tmp_path, [*TRAIN, "a", "", "b"], TEST)
    (tmp_path / "own.csv").write_text("text,label\nx,a\ny,b\n")
    with pytest.raises(UsageError, match="names no splits"):
        load_dataset("table", {"path": "own.csv", "splits": ["train"]}, data_root=tmp_path)


@pytest.mark.parametrize(
    ("values", "shown", "meant"),
    [
        (["train", "test", "trian"], "'trian' in 1 row", "train"),
        (["train", "test", "tset", "tset"], "'tset' in 2 rows", "test"),
        (["TRAIN", "TEST", "Validate"], "'Validate' in 1 row", "val"),
        (["train", "te"], "'te' in 1 row", "test"),  # a file that was cut ends so
        (["train", "t"], "'t' in 1 row", "train or test"),
    ],
)
def test_a_split_that_may_be_misspelled_is_said(tmp_path, values, shown, meant):
    with pytest.warns(SpurWarning, match=f"split is {shown}.*if {meant} is meant"):
        assert len(set(read(tmp_path, "split", values))) == len(set(values))


def test_splits_of_other_names_are_not_said(tmp_path):
    names = [
        "train",
        "val",
        "test",
        "test_2",
        "holdout",
        "PublicTest",
        "id_test",
        "ood",
        "rest",
        "unseen",
        "fold0",
        "extra",
        "dev_matched",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(set(read(tmp_path, "split", names))) == len(names)


def test_the_option_in_the_hint_is_the_likely_one(tmp_path):
    for values, option in (
        ([0, 1, 1], '{0="test", 1="train"}'),
        (["data/train", "data/test"], '{"data/test"="test", "data/train"="train"}'),
        (["fold0", "fold1", "fold2"], '{fold0="train", fold1="train", fold2="test"}'),
    ):
        with pytest.raises(InputError) as error:
            read(tmp_path, "split", values)
        assert f"split_values={option}" in error.value.hint


@pytest.mark.parametrize(
    ("column", "values", "is_said"),
    [
        ("subset", ["train", "test"], True),
        ("Split", ["TRAIN", "TEST"], True),
        ("is_train", ["1", "0"], True),
        ("data_set", ["training set", "test set"], True),
        ("train_score", ["0", "1"], False),
        ("fold", ["0", "1"], False),
        ("test", ["passed", "failed"], False),
        ("place", ["train", "test"], False),  # a photograph of a train
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_column_of_splits_that_is_not_used_is_said(tmp_path, column, values, is_said, suffix):
    """Test rows were mixed into train, with a warning only that there is no split."""
    rows = [{"text": f"t {n}", "label": "ab"[n % 2], column: values[n // 2 % 2]} for n in range(24)]
    if suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    (tmp_path / f"own{suffix}").write_text("\n".join(lines) + "\n")
    with pytest.warns(SpurWarning) as said:
        load_dataset("table", {"path": f"own{suffix}"}, data_root=tmp_path)
    found = [str(warning.message) for warning in said]
    assert any(f"--split-column {column}" in text for text in found) == is_said
    assert len(found) == 1 + is_said


def test_labels_of_a_test_split_that_are_all_one_are_said(tmp_path):
    """GLUE and competitions fill them in; the accuracy on them means nothing."""
    labels = ["a", "b"] * 10 + ["a"] * 12
    written = ["train"] * 20 + ["test"] * 12
    with pytest.warns(SpurWarning, match=r"every label of the split test \(12 rows\) is .*'a'.*splits=\[\"train\"\]"):
        rows_of(tmp_path, labels, written)
    with (
        pytest.raises(InputError, match=r"class 'unknown', which is in test\n.*splits=\[\"train\"\]"),
        pytest.warns(SpurWarning),
    ):
        rows_of(tmp_path, labels[:20] + ["unknown"] * 12, written)
