"""Columns of a user's table: short flags are the data set's options, and common names are found where nothing else is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from spurcli import configure
from spurcli.errors import UsageError
from spurcli.requests.options import Caller, with_columns
from spurcli.requests.score import ScoreRequest, plan
from spurcli.requests.score import run as score
from spurcli.requests.train import TrainRequest

PLACES = "review,stars,shop,part\n" + "".join(
    f"text {n},{'ab'[n % 2]},{'xy'[n // 2 % 2]},{'train' if n < 12 else 'test'}\n" for n in range(16)
)
FLAGS = ("--text", "review", "--label", "stars", "--attribute", "shop", "--split-column", "part")


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("reviews.csv").write_text(PLACES)


def test_flags_of_columns_are_options_of_the_data_set(reviews, spurcli):
    sets = [
        word
        for item in ("text=review", "label=stars", "attribute=shop", "split=part")
        for word in ("--set", f"dataset.options.{item}")
    ]
    short = spurcli("data", "check", "reviews.csv", *FLAGS, "--json")
    assert short.code == 0, short.err
    assert short.json == spurcli("data", "check", "reviews.csv", *sets, "--json").json
    assert short.json["splits"]["train"]["groups"] == {"a/x": 3, "a/y": 3, "b/x": 3, "b/y": 3}
    asked = {"text": "review", "label": "stars", "attribute": ["shop"], "split_column": "part"}
    overrides = {"dataset.options.text": "review", "dataset.options.label": "stars"}
    overrides |= {"dataset.options.attribute": "shop", "dataset.options.split": "part"}
    by_flags = plan(ScoreRequest(dataset="reviews.csv", recipe="own-text-cpu", **asked))
    assert by_flags
    assert by_flags.dataset == configure("reviews.csv", recipe="own-text-cpu", overrides=overrides).dataset
    assert set(asked) <= set(TrainRequest.__dataclass_fields__)


def test_a_column_named_twice_or_without_a_table_is_refused(reviews):
    with pytest.raises(UsageError, match="--label and --set"):
        with_columns({"label": "stars"}, {"dataset.options.label": "shop"})
    assert with_columns({"attribute": ["a", "b"]}, {}) == {"dataset.options.attribute": ["a", "b"]}
    with pytest.raises(UsageError, match="--label belongs to"):
        plan(ScoreRequest(label="stars", logits="x.npy"))
    with pytest.raises(UsageError, match="--attribute has no effect"):
        score(ScoreRequest(predictions="reviews.csv", attribute="shop", label="stars"), Caller(progress=None))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("text,target", "target"),
        ("text,y", "y"),
        ("text,target,y", None),
        ("text,target,class", None),
        ("text,category", None),
        ("text,label,target", "label"),
    ],
)
def test_a_common_name_is_taken_only_where_nothing_else_may_be_meant(header, found, tmp_path, monkeypatch, spurcli):
    columns = header.count(",") + 1
    rows = [",".join([f"text {n}", *["ab"[(n + place) % 2] for place in range(columns - 1)]]) for n in range(40)]
    Path("t.csv").write_text("\n".join([header, *rows]) + "\n")
    checked = spurcli("data", "check", "t.csv")
    assert (checked.code == 0) == (found is not None), checked.err
    assert ("is taken for the label" in checked.err) == (found in ("target", "y"))


@pytest.mark.parametrize(
    ("name", "found"), [("path", True), ("image_id", True), ("file", True), ("comment", False), ("file,comment", False)]
)
def test_images_are_found_by_common_names(name, found, spurcli):
    second = ",words" * name.count(",")
    Path("t.csv").write_text(f"{name},label\n" + "".join(f"{n}.png{second},{'ab'[n % 2]}\n" for n in range(4)))
    checked = spurcli("data", "check", "t.csv")
    assert checked.code == 3  # there are no such files
    assert ("is taken for the image" in checked.err) == found
    assert ("no column 'image'" in checked.err) == (not found)
