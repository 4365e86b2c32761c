"""Columns of a user's table: short flags are the data set's options, and common names are found where nothing else is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from spurcli import configure
from spurcli.artifacts.injection import read_injection
from spurcli.comparing.canary.request import CanaryRequest
from spurcli.comparing.request import CompareRequest
from spurcli.comparing.running import study_of
from spurcli.datasets.own.columns import option_flag
from spurcli.errors import UsageError
from spurcli.requests.audit import AuditRequest, _of_data, _settings_beside
from spurcli.requests.evaluate import EvaluateRequest
from spurcli.requests.infer import InferRequest
from spurcli.requests.inject import InjectRequest
from spurcli.requests.options import ROLES, Caller, overrides_of, with_columns
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
    with pytest.raises(UsageError, match="--label requires"):
        plan(ScoreRequest(label="stars", logits="x.npy"))
    with pytest.raises(UsageError, match="--attribute has no effect"):
        score(ScoreRequest(predictions="reviews.csv", attribute="shop", label="stars"), Caller(progress=None))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("text,target", "target"),
        ("text,y", "y"),
        ("text,class", "class"),
        ("text,Label", "Label"),
        ("text,target,y", None),
        ("text,target,class", None),
        ("text,category", None),
        ("text,label,target", "label"),
        ("sentence,label", "label"),
    ],
)
def test_a_common_name_is_taken_only_where_nothing_else_may_be_meant(header, found, spurcli):
    columns = header.count(",") + 1
    rows = [",".join([f"text {n}", *["ab"[(n + place) % 2] for place in range(columns - 1)]]) for n in range(40)]
    Path("t.csv").write_text("\n".join([header, *rows]) + "\n")
    checked = spurcli("data", "check", "t.csv")
    assert (checked.code == 0) == (found is not None), checked.err
    assert ("is used as the label" in checked.err) == (found in ("target", "y", "class", "Label"))


@pytest.mark.parametrize(
    ("header", "candidates", "flag"),
    [
        ("text,target,class", "target, class", "--label target"),
        ("text,category", "", "--label category"),
        ("text,part", "", "--label COLUMN"),
        ("path,comment,label", "path, comment", "--image path, or --text comment"),
        ("path,my file,file,label", "path, file", "--image path"),
        ("picture 1,words,label", "", "--image COLUMN, or --text COLUMN"),
    ],
)
def test_one_line_names_the_candidates_and_the_flag_that_chooses(header, candidates, flag, spurcli):
    Path("t.csv").write_text(f"{header}\n" + ("a,b,c,d\n"[: 2 * header.count(",") + 1] + "\n") * 4)
    checked = spurcli("data", "check", "t.csv")
    assert checked.code == 3
    assert (f"; candidates: {candidates}" in checked.err) == bool(candidates)
    assert f"Say which with {flag}\n" in checked.err


def test_the_flag_of_a_message_is_the_flag_of_the_commands():
    assert {role: option_flag(role, "x y") for role in ROLES.values()} == {
        role: f"--{name.replace('_', '-')} 'x y'" for name, role in ROLES.items()
    }


@pytest.mark.parametrize("request_of", [InjectRequest, AuditRequest, InferRequest, CompareRequest, CanaryRequest])
def test_every_command_that_reads_a_table_takes_the_flags_of_columns(request_of):
    asked = request_of(dataset="t.csv", image="a", text="b", label="c", attribute=["d", "e"], split_column="f")
    options = {"image": "a", "text": "b", "label": "c", "attribute": ["d", "e"], "split": "f"}
    assert overrides_of(asked) == {f"dataset.options.{role}": value for role, value in options.items()}


def test_an_inject_json_says_the_columns_that_its_flags_named(reviews, spurcli):
    done = spurcli(
        *("inject", "--dataset", "reviews.csv", *FLAGS, "--feature", "word", "--class", "a", "--fraction", "0.5")
    )
    assert done.code == 0, done.err
    stored = read_injection(Path("inject.json")).dataset_options
    assert {key: stored[key] for key in ("text", "label", "split")} == {
        "text": "review",
        "label": "stars",
        "split": "part",
    }


def test_the_columns_of_compare_and_canary_reach_every_training(reviews):
    asked = {"dataset": "reviews.csv", "recipe": "own-text-cpu", "text": "review", "label": "stars", "seeds": "1,"}
    study = study_of(CompareRequest(**asked, attribute="shop", split_column="part", controls=False))
    assert study.settings.dataset.options["split"] == "part"
    trainings = [step.request for step in study.steps if step.stage == "train" and step.request.dataset]
    assert trainings
    assert all(each.set["dataset.options.label"] == "stars" for each in trainings)


def test_beside_a_table_of_predictions_a_label_is_that_of_the_predictions(reviews):
    asked = AuditRequest(predictions="p.csv", dataset="reviews.csv", text="review", label="true", proba="p_*")
    assert _of_data(asked).label is None
    with pytest.raises(UsageError, match="--text has no effect"):
        _settings_beside(AuditRequest(predictions="p.csv", text="review", label="true"))
    evaluated = EvaluateRequest(logits="l.npy", dataset="reviews.csv", text="review", label="stars", attribute="shop")
    assert overrides_of(evaluated) == {"dataset.options.text": "review", "dataset.options.label": "stars"}


@pytest.mark.parametrize(
    ("name", "found"), [("path", True), ("image_id", True), ("file", True), ("comment", False), ("file,comment", False)]
)
def test_images_are_found_by_common_names(name, found, spurcli):
    second = ",words" * name.count(",")
    Path("t.csv").write_text(f"{name},label\n" + "".join(f"{n}.png{second},{'ab'[n % 2]}\n" for n in range(4)))
    checked = spurcli("data", "check", "t.csv")
    assert checked.code == 3  # there are no such files
    assert ("is used as the image" in checked.err) == found
    assert ("no column 'image'" in checked.err) == (not found)
