"""A user's own table: columns by name, classes, groups, splits and ids, images that lie below it."""

from __future__ import annotations

import csv
import hashlib
import warnings

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from spurcli.datasets import Texts, load_dataset
from spurcli.errors import InputError, SpurWarning, UsageError

SPLITS = ["train", "train", "train", "train", "valid", "test"]
TEXTS = [f"text {number}" for number in range(6)]
LABELS = ["dog", "cat", "dog", "cat", "dog", "cat"]


def table(root, name="own.csv", **columns):
    """A table of 6 rows: texts and labels, in fixed splits, if nothing else is said; None leaves a column out."""
    columns = {"text": TEXTS, "label": LABELS, "split": SPLITS, **columns}
    columns = {key: values for key, values in columns.items() if values is not None}
    root.mkdir(exist_ok=True)
    if name.endswith(".parquet"):
        parquet.write_table(pa.table(columns), root / name)
        return
    with (root / name).open("w", newline="") as stream:
        csv.writer(stream).writerows([list(columns), *zip(*columns.values(), strict=True)])


def load(root, name="own.csv", **options):
    return load_dataset("table", {"path": name, **options}, data_root=root, image_size=4)


def images(root, *names):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), (number, 0, 0)).save(root / name)


def test_texts_in_the_order_of_the_rows(tmp_path):
    table(tmp_path, text_pair=[f"second {number}" for number in range(6)])
    found = load(tmp_path)
    assert (found.name, found.class_names, found.attribute_names) == ("own.csv", ("cat", "dog"), ())
    digests = [hashlib.sha256(f"text {row}\nsecond {row}".encode()).hexdigest()[:8] for row in range(6)]
    ids = [f"{row + 2}-{digest}" for row, digest in enumerate(digests)]
    assert {name: split.sample_id for name, split in found.splits.items()} == {
        "train": ids[:4],
        "val": [ids[4]],
        "test": [ids[5]],
    }
    train = found.splits["train"]
    assert train.label.tolist() == [1, 0, 1, 0]
    assert isinstance(train.inputs, Texts)
    assert train.inputs.read(np.array([2, 0])) == [("text 2", "second 2"), ("text 0", "second 0")]


def test_columns_by_other_names(tmp_path):
    table(
        tmp_path, text=None, label=None, split=None, review=TEXTS, stars=LABELS, part=list("000012"), key=list("abcdef")
    )
    found = load(tmp_path, text="review", label="stars", split="part", id="key")
    assert found.splits["train"].sample_id == ["a", "b", "c", "d"]
    assert found.splits["test"].inputs.read(np.array([0])) == [("text 5",)]


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({}, {"label": "lable"}, "no column 'lable', did you mean label.*\n.*--label label"),
        ({"label": None}, {}, r"no column 'label'\nIt has: text, split\. Say which with --label "),
        ({"text": None}, {}, "no column 'image' \\(paths\\) or 'text'\nIt has: label, split"),
        ({"image": TEXTS}, {}, "images and texts: which are classified"),
        ({}, {"attribute": ["splt"]}, "no column 'splt', did you mean split"),
        ({}, {"attribute": 5}, "attribute = 5 is not a list of names"),
        ({}, {"attributes": ["a"]}, "orders attributes, but the data has no attributes"),
        ({}, {"group": "split", "attribute": "split"}, "both make groups"),
        ({}, {"folder": "x"}, "are for images"),
        ({}, {"classes": ["cat"]}, "line 2: label is 'dog'\nIt must be one of: cat"),
        ({}, {"classes": ["cat", "dog", "emu"]}, "no training sample is of class 'emu', which is in the option"),
        ({}, {"classes": ["cat", "cat"]}, "names one twice"),
        ({"label": ["dog", "cat", "", "cat", "dog", "cat"]}, {}, "line 4: label is empty"),
        ({"label": ["dog", "cat", "dog", "cat", "dog", " "], "split": ["train"] * 6}, {}, "line 7: label is empty"),
        ({"label": ["dog"] * 6}, {}, "has one class only: 'dog'"),
        ({"label": ["dog", "cat", "a\nb", "cat", "dog", "cat"]}, {}, "line 4: label is .*not a name: with a character"),
        ({"label": ["dog", "M" * 201, "L" * 201, "K" * 201, "dog", "cat"]}, {}, "line 3: label is 'M{40}', which is not a name: longer"),
        ({"label": ["dog", "cat", "\0", "cat", "dog", "cat"]}, {}, "line 4: label is .*not a name"),
        ({"split": ["train", "", *SPLITS[2:]]}, {}, "line 3: split is empty"),
        ({"split": ["a", "b", "c", "d", "e", "f"]}, {}, "split says a, b, c, d, e, but no row is for training"),
        ({"text": ["a", "", "c", "d", "e", "f"]}, {}, "line 3: text is empty"),
        ({"id": list("abcabd")}, {}, "line 5: the id 'a' is already used at .*line 2"),
        ({"id": ["", *"bcdef"]}, {}, "line 2: the id is empty|line 2: the id empty"),
        ({"attribute": ["x", "", "x", "x", "x", "x"]}, {}, "line 3: attribute is empty"),
        ({"attribute": ["b/c", "c", "c", "c", "c", "c"], "label": ["a", "a/b", "a", "a/b", "a", "a/b"]}, {}, "two groups called 'a/b/c'"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(tmp_path, columns, options, words):
    table(tmp_path, **columns)
    with pytest.raises((InputError, UsageError), match=words):
        load(tmp_path, **options)


def test_a_column_of_numbers_is_no_label(tmp_path):
    count = 300
    table(
        tmp_path,
        text=[f"t{number}" for number in range(count)],
        label=[number / 7 for number in range(count)],
        split=["train"] * count,
    )
    with pytest.raises(InputError, match="label has 300 different values in 300 rows"):
        load(tmp_path)
    table(
        tmp_path,
        text=[f"t{number}" for number in range(20)],
        label=[number / 7 for number in range(20)],
        split=["train"] * 20,
    )
    with pytest.raises(InputError, match="label has 20 different values in 20 rows"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("labels", "options", "names", "codes"),
    [
        ([10, 9, 10, 9, 10, 9], {}, ("9", "10"), [1, 0, 1, 0]),
        (["1.5", "-2", "1.5", "-2", "1.5", "-2"], {}, ("-2", "1.5"), [1, 0, 1, 0]),
        (["nan", "b", "nan", "b", "b", "b"], {"classes": ["b", "nan"]}, ("b", "nan"), [1, 0, 1, 0]),
        (["1.0", "0.0", "1", "0", "1e0", "0"], {"classes": ["cat", "dog"]}, ("cat", "dog"), [1, 0, 1, 0]),
        (
            ["True", "False", "True", "False", "True", "False"],
            {"classes": ["cat", "dog"]},
            ("cat", "dog"),
            [1, 0, 1, 0],
        ),
        (["caf\u00e9", "cafe\u0301", "cafz", "cafz", "cafz", "cafz"], {}, ("caf\u00e9", "cafz"), [0, 0, 1, 1]),
        (["cat\u200b", "dog", "\ufeffcat", "dog", "cat\u00a0", "dog"], {}, ("cat", "dog"), [0, 1, 0, 1]),
        (LABELS, {"classes": ["dog", "cat"]}, ("dog", "cat"), [0, 1, 0, 1]),
        ([1, 0, 1, 0, 1, 0], {"classes": ["cat", "dog"]}, ("cat", "dog"), [1, 0, 1, 0]),
        ([" dog", "cat ", "dog", "cat", "dog", "cat"], {}, ("cat", "dog"), [1, 0, 1, 0]),
    ],
)
def test_classes_in_order(tmp_path, labels, options, names, codes):
    table(tmp_path, label=labels)
    found = load(tmp_path, **options)
    assert found.class_names == names
    assert found.splits["train"].label.tolist() == codes


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["Ant", "ant", "bee", "Ant", "bee", "bee"], "Ant and ant"),
        (["True", "1", "TRUE", "0", "True", "0"], "0 and|1 and|True"),
        (["1", "01", "1", "2", "2", "2"], "1 and 01|01 and 1"),
        (["cat", "c\u0430t", "cat", "dog", "dog", "dog"], r"cat and c\\u0430t"),
        (["-1", "\u22121", "-1", "1", "1", "1"], "-1 and \u22121"),
        (["yes", "no", "y", "no", "N", "no"], "N and no|no and N"),
        (['"ant', "ant", "bee", "ant", "bee", "bee"], '"ant and ant'),
        (["NA", "b", "NA", "b", "b", "b"], "'NA' in 2 rows"),
        (["None", "b", "None", "b", "b", "b"], "'None' in 2 rows"),
    ],
)
def test_spellings_that_may_be_one_name_are_said(tmp_path, values, shown):
    for column, option in (("label", "classes"), ("attribute", "attributes")):
        table(tmp_path, **{"split": ["train"] * 6, column: values})
        with pytest.warns(SpurWarning, match=f"{column}.*{shown}") as said:
            found = load(tmp_path)
        assert len(said) == 1
        names = found.class_names if column == "label" else found.attribute_names
        assert set(names) == set(values)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load(tmp_path, **{option: list(names)})  # listed, they are meant


@pytest.mark.parametrize("empty", ["nan", "NaN", "<NA>", "NaT", "#N/A", "#NV", "#DIV/0!", "\u200b"])
def test_what_programs_write_for_nothing_is_an_empty_cell(tmp_path, empty):
    for column in ("label", "attribute", "group", "split"):
        table(tmp_path, **{column: ["train", "b", empty, "b", "b", "b"]})
        with pytest.raises(InputError, match=f"line 4: {column} is (empty|'.*', which means an empty cell)"):
            load(tmp_path)


def test_labels_of_parquet(tmp_path):
    table(
        tmp_path, "own.parquet", label=[1.0, 0.0, 1.0, 0.0, 1.0, 0.0], attribute=[True, False, True, True, False, True]
    )
    found = load(tmp_path, "own.parquet")
    assert (found.class_names, found.attribute_names) == (("0", "1"), ("false", "true"))
    table(tmp_path, "own.parquet", label=[1.0, float("nan"), 1.0, 0.0, 1.0, 0.0])
    with pytest.raises(InputError, match="row 2: label is empty"):
        load(tmp_path, "own.parquet")


@pytest.mark.parametrize(
    ("columns", "options", "names", "codes"),
    [
        ({"attribute": ["x", "y", "y", "x", "x", "y"]}, {}, ("x", "y"), [0, 1, 1, 0]),
        ({"place": [1, 0, 0, 1, 0, 1]}, {"attribute": "place", "attributes": ["land", "sea"]}, ("land", "sea"), [1, 0, 0, 1]),
        ({"a": list("pqpqpq"), "b": list("rrssrs")}, {"attribute": ["a", "b"]}, ("p, r", "p, s", "q, r", "q, s"), [0, 2, 1, 3]),
        ({"group": ["dog/x", "cat/y", "dog/y", "cat/x", "dog/x", "cat/x"]}, {}, ("x", "y"), [0, 1, 1, 0]),
        ({"group": ["x_dog", "y_cat", "y_dog", "x_cat", "x_dog", "x_cat"]}, {}, ("x", "y"), [0, 1, 1, 0]),
        ({"group": [3, 0, 2, 1, 3, 1]}, {}, ("0", "1"), [1, 0, 0, 1]),
        ({"group": ["here", "here", "there", "there", "here", "there"]}, {}, ("here", "there"), [0, 0, 1, 1]),
        ({"attribute": ["x", "y", "y", "x", "x", "y"], "group": list("aaaaaa")}, {}, ("x", "y"), [0, 1, 1, 0]),
    ],
)  # fmt: skip
def test_groups_are_class_and_attribute(tmp_path, columns, options, names, codes):
    table(tmp_path, **columns)
    found = load(tmp_path, **options)
    assert found.attribute_names == names
    assert found.splits["train"].attribute.tolist() == codes
    assert found.group("train").tolist() == [len(names) * y + a for y, a in zip([1, 0, 1, 0], codes, strict=True)]


def test_groups_that_say_nothing_across_classes(tmp_path):
    table(tmp_path, group=["old", "red", "new", "blue", "old", "red"])
    with pytest.warns(SpurWarning, match="every group belongs to one class"):
        found = load(tmp_path)
    assert found.attribute_names == ("blue", "new", "old", "red")
    names = [found.group_names[group] for group in found.group("train")]
    assert names == ["dog/old", "cat/red", "dog/new", "cat/blue"]


def test_a_seeded_split_keeps_the_shares_of_groups(tmp_path):
    count = 200
    labels = ["cat", "dog"] * (count // 2)
    lights = ["day" if number % 10 else "night" for number in range(count)]  # night: 20 cats, no dog
    table(tmp_path, text=[f"t{number}" for number in range(count)], label=labels, split=None, attribute=lights)
    with pytest.warns(SpurWarning, match="10% val, 20% test"):
        found = load(tmp_path)
    for name, sizes in (("train", [56, 14, 70, 0]), ("val", [8, 2, 10, 0]), ("test", [16, 4, 20, 0])):
        assert np.bincount(found.group(name), minlength=4).tolist() == sizes
        lines = [int(identifier.partition("-")[0]) for identifier in found.splits[name].sample_id]
        assert lines == sorted(lines)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpurWarning)
        assert set(load(tmp_path, val_share=0).splits) == {"train", "test"}


def test_rows_of_texts_that_traded_places_are_another_data_set(tmp_path):
    table(tmp_path, label=["cat"] * 3 + ["dog"] * 3, split=["train"] * 6)
    before = load(tmp_path).splits["train"].fingerprint
    path = tmp_path / "own.csv"
    lines = path.read_text().splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    path.write_text("\n".join(lines) + "\n")
    after = load(tmp_path).splits["train"].fingerprint
    assert after.labels_sha256 == before.labels_sha256
    assert after != before
