"""evaluate --attribute and --group-labels: groups that a model was not trained with."""

from __future__ import annotations

import re

import numpy as np
import pytest

from spurcli.artifacts.group_list import GroupList, GroupPart, write_groups
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.metrics import compute
from spurcli.progress import Silent
from spurcli.requests.evaluate import EvaluateRequest, run
from spurcli.requests.options import Caller

CLASSES, SEXES = ("bad", "good"), ("f", "m")
PARTS = ("per_class", "per_group")
rng = np.random.default_rng(2)
NUM = 180
LABEL = rng.integers(0, 2, NUM)
SEX = (rng.random(NUM) < np.where(LABEL == 1, 0.8, 0.3)).astype(int)
LOGITS = (1.5 * np.eye(2)[LABEL] + np.outer(SEX, [0, 1]) + rng.normal(size=(NUM, 2))).astype(np.float32)
SPLIT = np.array(["train", "test", "val"])[np.arange(NUM) % 3]
ROWS = {name: np.flatnonzero(name == SPLIT) for name in ("train", "val", "test")}
WORDS = ("awful", "nice")


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch):
    """reviews.csv without an attribute that was named, and the logits of its test split."""
    monkeypatch.chdir(tmp_path)
    lines = ["id,text,label,split,sex,age,note"]
    for n in range(NUM):
        text = f"{WORDS[LABEL[n]]} film {n}"
        lines.append(f"r{n},{text},{CLASSES[LABEL[n]]},{SPLIT[n]},{SEXES[SEX[n]]},{n % 60},{n}x")
    (tmp_path / "reviews.csv").write_text("\n".join(lines) + "\n")
    np.save(tmp_path / "logits.npy", LOGITS[ROWS["test"]])
    return tmp_path


def evaluate(**asked):
    return run(EvaluateRequest(**asked), Caller(Silent()))


def expected(attribute, names, *, counts=True):
    group, width, test = LABEL * len(names) + attribute, len(names), ROWS["test"]
    train = np.bincount(group[ROWS["train"]], minlength=2 * width) if counts else None
    grid = tuple(f"{y}/{a}" for y in CLASSES for a in names)
    return compute(Evaluated(LOGITS[test], LABEL[test], CLASSES, group[test], grid, train))


def test_a_column_makes_the_groups_of_any_data_set_that_is_a_table():
    found = evaluate(logits="logits.npy", dataset="reviews.csv", attribute="sex")
    wanted = expected(SEX, SEXES)
    assert {part: found[part] for part in PARTS} == {part: wanted[part] for part in PARTS}
    for name in ("worst_group_accuracy", "conflict_accuracy", "adjusted_mean_accuracy", "probit_gap"):
        assert found["metrics"][name] == wanted["metrics"][name]
    assert found["groups_from"] == {"file": "reviews.csv", "columns": ["sex"]}


def test_several_columns_and_many_numbers():
    with pytest.warns(SpurWarning, match="60 different numbers"):
        found = evaluate(logits="logits.npy", dataset="reviews.csv", attribute="age")
    age = np.arange(NUM) % 60
    quarter = np.searchsorted(np.quantile(age, [0.25, 0.5, 0.75], method="lower"), age)
    assert [entry["num_train"] for entry in found["per_group"]] == np.bincount(
        (LABEL * 4 + quarter)[ROWS["train"]], minlength=8
    ).tolist()
    assert found["group_names"][0].startswith("bad/age Q1")


@pytest.mark.parametrize("rows", ["test", "all", "train and test"])
@pytest.mark.parametrize("written", ["f", "good/f"])
def test_a_file_of_ids_and_groups(table, rows, written):
    chosen = {"test": ROWS["test"], "all": np.arange(NUM), "train and test": np.flatnonzero(SPLIT != "val")}[rows]
    prefix = [f"{CLASSES[y]}/" if "/" in written else "" for y in LABEL]
    lines = [f"r{n},{prefix[n]}{SEXES[SEX[n]]}" for n in chosen[::-1]]
    (table / "groups.csv").write_text("id,group\n" + "\n".join(lines) + "\n")
    asked = {"logits": "logits.npy", "dataset": "reviews.csv", "group_labels": "groups.csv"}
    if rows == "test":
        with pytest.warns(SpurWarning, match="all samples of train"):
            found = evaluate(**asked)
    else:
        found = evaluate(**asked)
    wanted = expected(SEX, SEXES, counts=rows != "test")
    assert {part: found[part] for part in PARTS} == {part: wanted[part] for part in PARTS}
    assert found["groups_from"]["file"] == "groups.csv"


def test_a_groups_list_of_the_split(table):
    (table / "groups.txt").write_text("".join(f"{SEXES[SEX[n]]}\n" for n in ROWS["test"]))
    found = evaluate(logits="logits.npy", dataset="reviews.csv", group_labels="groups.txt")
    assert found["per_group"] == expected(SEX, SEXES, counts=False)["per_group"]


def test_a_groups_list_of_every_split_tells_the_counts_too(table):
    parts = {name: GroupPart(SEX[rows].astype(np.int64)) for name, rows in ROWS.items()}
    write_groups(table / "groups.txt", GroupList(SEXES, parts))
    found = evaluate(logits="logits.npy", dataset="reviews.csv", group_labels="groups.txt")
    wanted = expected(SEX, SEXES)
    assert {part: found[part] for part in PARTS} == {part: wanted[part] for part in PARTS}
    write_groups(table / "groups.txt", GroupList(SEXES, {"train": parts["train"]}))
    with pytest.raises(InputError, match="no groups of the split 'test', only of train"):
        evaluate(logits="logits.npy", dataset="reviews.csv", group_labels="groups.txt")


def test_a_trained_model_is_evaluated_in_groups_that_it_never_saw(spurcli, table):
    small = [
        "--set",
        "training.epochs=1",
        "--device",
        "cpu",
        "--set",
        "model.options.width=16",
        "--set",
        "model.options.depth=1",
    ]
    result = spurcli("train", "--dataset", "reviews.csv", "--recipe", "own-text-cpu", "--keep", "all", *small)
    assert result.code == 0, result.err
    plain = spurcli("evaluate", "model.safetensors", "-o", "plain.json", "--json")
    assert "sex" in plain.err
    assert "--attribute" in plain.err
    found = spurcli("evaluate", "model.safetensors", "--attribute", "sex", "--json", "-o", "evaluation.json")
    assert found.code == 0, found.err
    assert found.json["metrics"]["accuracy"] == plain.json["metrics"]["accuracy"]
    assert found.json["fingerprint"] == plain.json["fingerprint"]
    counts = np.bincount((LABEL * 2 + SEX)[ROWS["train"]], minlength=4)
    assert [entry["num_train"] for entry in found.json["per_group"]] == counts.tolist()
    assert found.json["model"] == plain.json["model"]
    result = spurcli("report", "plain.json", "evaluation.json", "-o", "page.html", "--no-pictures")
    assert result.code == 0, result.err


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"attribute": "sx"}, InputError, "did you mean sex.*--attribute"),
        ({"attribute": "sex", "group_labels": "g.csv"}, UsageError, "both make the groups"),
        ({"attribute": "sex", "dataset": "demo"}, UsageError, "the data set is 'demo'.*--group-labels"),
        ({"group_labels": "absent.csv"}, InputError, "absent.csv"),
        ({"group_labels": "reviews.csv"}, InputError, "no column 'group'"),
        ({"group_labels": "short.csv"}, InputError, "no row for .* of 60 samples"),
        ({"group_labels": "empty.csv"}, InputError, "line 3: group is empty"),
        ({"group_labels": "short.txt"}, InputError, "2 lines for 60 samples"),
        ({"attribute": "sex", "dataset": None, "labels": "logits.npy"}, UsageError, "need a data set"),
    ],
)
def test_wrong_words(table, asked, error, says):
    (table / "short.csv").write_text("id,group\nr1,f\n")
    (table / "empty.csv").write_text("id,group\nr1,f\nr4,\n")
    (table / "short.txt").write_text("f\nm\n")
    with pytest.raises(error) as raised:
        evaluate(**{"logits": "logits.npy", "dataset": "reviews.csv", **asked})
    assert re.search(says, f"{raised.value.problem} {raised.value.hint}")


def test_splits_that_nobody_named_stay_those_of_the_training(table, spurcli):
    """They are drawn within the groups, so other groups would draw others."""
    rows = "".join(f"{WORDS[LABEL[n]]} film {n},{CLASSES[LABEL[n]]},{SEXES[SEX[n]]}\n" for n in range(NUM))
    (table / "plain.csv").write_text(f"text,label,sex\n{rows}")
    tiny = ("--set", "training.epochs=1", "--set", "model.options.depth=1", "--set", "model.options.width=8")
    trained = spurcli("train", "--dataset", "plain.csv", "--recipe", "own-text-cpu", "--keep", "all", *tiny)
    assert trained.code == 0, trained.err
    plain, by_sex = spurcli("evaluate", "--json"), spurcli("evaluate", "--attribute", "sex", "-o", "sex.json", "--json")
    assert by_sex.code == 0, by_sex.err
    assert by_sex.json["num_samples"] == plain.json["num_samples"]
    assert by_sex.json["metrics"]["accuracy"] == plain.json["metrics"]["accuracy"]
    assert len(by_sex.json["per_group"]) == len(CLASSES) * len(SEXES)
