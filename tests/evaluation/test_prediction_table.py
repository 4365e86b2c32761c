"""evaluate --predictions: a table of any program gives what predictions.h5 of the same samples gives."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.predictions import Predictions, read_predictions, write_predictions
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.evaluation.evaluated import evaluated_from
from spurcli.evaluation.metrics import compute
from spurcli.progress import Silent
from spurcli.requests.evaluate import EvaluateRequest, run
from spurcli.requests.options import Caller

CLASSES, HOSPITALS = ("cat", "dog", "owl"), ("east", "west")
PARTS = ("metrics", "per_class", "per_group", "features", "warnings")
rng = np.random.default_rng(5)
NUM = 300
LABEL = rng.integers(0, 3, NUM)
ATTRIBUTE = (rng.random(NUM) < np.where(LABEL == 1, 0.8, 0.3)).astype(int)
LOGITS = (1.5 * np.eye(3)[LABEL] + np.outer(ATTRIBUTE, [0, 1, 0]) + rng.normal(size=(NUM, 3))).astype(np.float32)
SPLIT = np.array(["train", "test", "val"])[np.arange(NUM) % 3]
PROBA = np.exp(LOGITS.astype(float)) / np.exp(LOGITS.astype(float)).sum(axis=1, keepdims=True)
BASE = {
    "id": [f"scan{n}" for n in range(NUM)],
    "y_true": [CLASSES[y] for y in LABEL],
    "hospital": [HOSPITALS[a] for a in ATTRIBUTE],
    "split": list(SPLIT),
}
# columns in another order than the classes
LOGIT_COLUMNS = {f"z_{CLASSES[y]}": [repr(float(v)) for v in LOGITS[:, y]] for y in (2, 0, 1)}
PROBA_COLUMNS = {f"p_{CLASSES[y]}": [repr(float(v)) for v in PROBA[:, y]] for y in (1, 2, 0)}


def write(path, columns, rows=None, separator=","):
    rows = range(len(next(iter(columns.values())))) if rows is None else rows
    lines = [
        separator.join(columns),
        *(separator.join(str(values[row]) for values in columns.values()) for row in rows),
    ]
    path.write_text("\n".join(lines) + "\n")


def evaluate(**asked):
    return run(EvaluateRequest(**asked), Caller(Silent()))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def expected(path, rows, *, groups=True, counts=True):
    """The numbers of predictions.h5 of the same samples."""
    label, train = LABEL[rows], SPLIT == "train"
    group = LABEL * 2 + ATTRIBUTE
    known = {}
    if groups:
        names = tuple(f"{y}/{a}" for y in CLASSES for a in HOSPITALS)
        known = {"group": group[rows], "group_names": names}
        if counts:
            known["train_group_counts"] = np.bincount(group[train], minlength=6)
    write_predictions(
        path, Predictions("test", LOGITS[rows], label, CLASSES, Subject(Fingerprint.of(label)), {}, **known)
    )
    return compute(evaluated_from(read_predictions(path)))


def close(found, wanted):
    """Equal but for the last digits, which log and softmax leave."""
    if isinstance(wanted, dict):
        assert set(found) == set(wanted)
        for key in wanted:
            close(found[key], wanted[key])
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            close(one, other)
    else:
        assert found == (pytest.approx(wanted, rel=1e-4, abs=1e-5) if isinstance(wanted, float) else wanted)


ALL = np.arange(NUM)
TEST = np.flatnonzero(SPLIT == "test")


def test_logits_are_those_of_predictions_h5_bit_for_bit(tmp_path):
    del_split = {name: values for name, values in BASE.items() if name != "split"}
    write(tmp_path / "preds.csv", {**del_split, **LOGIT_COLUMNS})
    found = evaluate(predictions="preds.csv", label="y_true", logit="z_*", group="hospital")
    wanted = expected(tmp_path / "x.h5", ALL, counts=False)
    assert {part: found[part] for part in PARTS} == {part: wanted[part] for part in PARTS}
    assert "training counts" in found["no_features"]
    stored = read_predictions(tmp_path / "predictions.h5")
    np.testing.assert_array_equal(stored.logits, LOGITS)
    assert stored.sample_id == tuple(BASE["id"])
    assert stored.class_names == CLASSES


def test_named_feature_without_training_counts(tmp_path):
    columns = {name: values for name, values in BASE.items() if name != "split"}
    write(tmp_path / "preds.csv", {**columns, **PROBA_COLUMNS})
    found = evaluate(
        predictions="preds.csv", label="y_true", proba="p_*", group="hospital", feature_of="dog/west", id="id"
    )
    assert [record["feature"] for record in found["features"]] == ["west"]
    assert found["metrics"]["probit_gap"]["value"] > 0


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_train_rows_give_the_counts_and_val_rows_the_threshold(tmp_path, ending):
    columns = {**BASE, **PROBA_COLUMNS}
    path = tmp_path / f"preds.{ending}"
    if ending == "jsonl":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif ending == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        numbers = {name: [float(v) for v in values] for name, values in PROBA_COLUMNS.items()}
        pq.write_table(pa.table({**BASE, **numbers}), path)
    else:
        write(path, columns, separator="\t" if ending == "tsv" else ",")
    found = evaluate(predictions=path, label="y_true", proba=["p_owl", "p_dog", "p_cat"], group=["hospital"])
    wanted = expected(tmp_path / "x.h5", TEST)
    assert found["num_samples"] == len(TEST)
    for name, entry in wanted["metrics"].items():
        if not name.endswith("_matched"):
            close(found["metrics"][name], entry)
    close(found["per_group"], wanted["per_group"])
    assert found["metrics"]["conflict_accuracy_matched"]["threshold"] == "val, samples without the feature"
    assert found["groups_from"] == {"file": path.name, "columns": ["hospital"]}
    again = evaluate(checkpoint="predictions.h5", output="again.json")
    assert {part: again[part] for part in (*PARTS, "groups_from")} == {
        part: found[part] for part in (*PARTS, "groups_from")
    }


def test_the_report_is_named_after_the_file(tmp_path, spurcli):
    write(tmp_path / "their.csv", {**BASE, **LOGIT_COLUMNS})
    words = ["--predictions", "their.csv", "--label", "y_true", "--logit", "z_*", "--group", "hospital"]
    assert spurcli("evaluate", *words).code == 0
    assert spurcli("report", "evaluation.json", "-o", "page.html", "--no-pictures").code == 0
    assert "their.csv" in (tmp_path / "page.html").read_text()


def binary(**more):
    """Two classes; L = log(p / (1 - p))."""
    p = PROBA[:, 1] / (PROBA[:, 1] + PROBA[:, 0])
    chosen = np.flatnonzero(LABEL < 2)
    p = p[chosen]
    label = [("no", "yes")[y] for y in LABEL[chosen]]
    return p, LABEL[chosen], {"label": label, "site": [BASE["hospital"][n] for n in chosen], **more}


@pytest.mark.parametrize(("column", "of"), [("p_yes", 1), ("p_no", 0), ("score", 1)])
def test_one_column_is_of_the_class_it_is_named_after_else_of_the_last(tmp_path, column, of):
    p, label, columns = binary()
    mine = p if of else 1 - p
    write(tmp_path / "p.csv", {**columns, column: [repr(float(v)) for v in mine]})
    asked = {"predictions": "p.csv", "proba": column, "group": "site", "feature_of": "yes/west"}
    if column == "score":
        with pytest.warns(SpurWarning, match="score is read as the probability of the class 'yes'"):
            found = evaluate(**asked)
    else:
        found = evaluate(**asked)
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(((p > 0.5) == label).mean())
    stored = read_predictions(tmp_path / "predictions.h5")
    np.testing.assert_allclose(stored.logits[:, 1] - stored.logits[:, 0], np.log(p / (1 - p)), rtol=1e-4, atol=1e-5)
    assert found["features"]


def test_one_column_of_logits(tmp_path):
    p, label, columns = binary()
    write(tmp_path / "p.csv", {**columns, "z_yes": [repr(float(v)) for v in np.log(p / (1 - p))]})
    found = evaluate(predictions="p.csv", logit="z_yes", group="site")
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(((p > 0.5) == label).mean())


def test_predicted_classes_alone_give_accuracies_and_no_reliance(tmp_path):
    predicted = LOGITS.argmax(axis=1)
    write(tmp_path / "p.csv", {**BASE, "guess": [CLASSES[y] for y in predicted]})
    found = evaluate(predictions="p.csv", label="y_true", predicted="guess", group="hospital")
    wanted = expected(tmp_path / "x.h5", TEST)
    for name in ("accuracy", "worst_group_accuracy", "conflict_accuracy", "adjusted_mean_accuracy"):
        assert found["metrics"][name] == wanted["metrics"][name]
    assert found["features"] == []
    assert "predicted classes" in found["no_features"]
    assert "probit_gap" not in found["metrics"]
    with pytest.warns(SpurWarning, match="predicted classes"):
        again = evaluate(checkpoint="predictions.h5", output="again.json")
    assert again["no_features"] == found["no_features"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: f"{p:.2f}", "are 0 or 1 in"),
        (lambda p: f"{min(max(p, 0.01), 0.99):.2f}", "2 decimals"),
        (lambda p: f"{min(max(p, 0.001), 0.999):.3f}", "3 decimals"),
    ],
)
def test_rounded_probabilities_give_no_reliance(tmp_path, change, says):
    p, _, columns = binary()
    rounded = [change(v) for v in p]
    write(tmp_path / "p.csv", {**columns, "p_yes": rounded, "p_no": [change(1 - float(v)) for v in rounded]})
    with pytest.warns(SpurWarning, match=says):
        found = evaluate(predictions="p.csv", proba="p_*", group="site", feature_of="yes/west")
    assert found["features"] == []
    assert "probabilities" in found["no_features"]
    assert found["metrics"]["accuracy"]["value"] > 0.5


def test_numbers_stand_for_names_in_order_and_that_is_said(tmp_path):
    numbered = {f"p_{y}": PROBA_COLUMNS[f"p_{CLASSES[y]}"] for y in (2, 0, 1)}
    write(tmp_path / "p.csv", {**BASE, **numbered})
    with pytest.warns(SpurWarning, match="p_0 as cat, p_1 as dog, p_2 as owl"):
        found = evaluate(predictions="p.csv", label="y_true", proba="p_*", group="hospital")
    close(found["metrics"]["accuracy"], expected(tmp_path / "x.h5", TEST)["metrics"]["accuracy"])


def test_many_numbers_become_quarters_with_a_word(tmp_path):
    age = [20 + n % 60 for n in range(NUM)]
    write(tmp_path / "p.csv", {**BASE, "age": age, **LOGIT_COLUMNS})
    with pytest.warns(SpurWarning, match="60 different numbers"):
        found = evaluate(predictions="p.csv", label="y_true", logit="z_*", group="age")
    quarter = np.searchsorted(np.quantile(age, [0.25, 0.5, 0.75], method="lower"), age)
    for y, name in enumerate(CLASSES):
        for q in range(4):
            mine = TEST[(LABEL[TEST] == y) & (quarter[TEST] == q)]
            entry = found["per_group"][y * 4 + q]
            assert entry["group"].startswith(f"{name}/age Q{q + 1}")
            assert entry["accuracy"]["value"] == pytest.approx((LOGITS[mine].argmax(axis=1) == y).mean())


def test_unused_columns_are_suggested_and_several_are_crossed(tmp_path):
    sex = ["fm"[n % 2] for n in range(NUM)]
    write(tmp_path / "p.csv", {**BASE, "sex": sex, "note": BASE["id"], **LOGIT_COLUMNS})
    with pytest.warns(SpurWarning, match=r"candidates: hospital, sex\. Choose one: --group hospital"):
        evaluate(predictions="p.csv", label="y_true", logit="z_*")
    found = evaluate(predictions="p.csv", label="y_true", logit="z_*", group=["hospital", "sex"])
    assert found["group_names"][:4] == ["cat/east, f", "cat/east, m", "cat/west, f", "cat/west, m"]


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({}, UsageError, "Which columns hold the predictions"),
        ({"logit": "z_*", "proba": "z_*"}, UsageError, "contradict"),
        ({"logit": "z_*", "label": "y_tru"}, InputError, "did you mean y_true"),
        ({"logit": "y_*", "label": "id"}, InputError, "y_true is one column"),
        ({"proba": "q_*"}, InputError, r"no column 'q_\*'"),
        ({"proba": "z_*"}, InputError, "Use --logit for logits"),
        ({"logit": "z_*", "group": "hopsital"}, InputError, "did you mean hospital"),
        ({"logit": "z_*", "group": "y_true"}, UsageError, "named twice"),
        ({"logit": ["z_cat", "z_dog"]}, InputError, "no column is of the class 'owl'"),
        ({"logit": "z_cat"}, InputError, "one column, and y_true has 3 classes"),
        ({"logit": "z_*", "split": "dev", "group": "hospital"}, InputError, "no row of the split 'dev'"),
        ({"logit": "z_*", "id": "hospital"}, InputError, "line 3: the id .* --id COLUMN"),
        ({"logit": "z_*", "group": "id"}, InputError, "300 different values"),
        ({"logit": "z_*", "dataset": "demo"}, UsageError, "--dataset has no effect"),
        ({"logit": "z_*", "checkpoint": "m.safetensors"}, UsageError, "the model m.safetensors has no effect"),
    ],
)
def test_wrong_columns(tmp_path, asked, error, says):
    write(tmp_path / "p.csv", {**{name: BASE[name] for name in sorted(BASE, key=str)}, **LOGIT_COLUMNS})
    with pytest.raises(error) as raised:
        evaluate(**{"predictions": "p.csv", "label": "y_true", **asked})
    assert re.search(says, f"{raised.value.problem} {raised.value.hint}")


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("p_dog", "", "line 6: p_dog is empty"),
        ("p_dog", "nan", "line 6: p_dog is"),
        ("p_dog", "0.4O", "line 6: p_dog is '0.4O'"),
        ("p_dog", "0.9999", "line 6: the probabilities"),
        ("p_dog", "-0.1", "line 6: p_dog is -0.1"),
        ("y_true", "", "line 6: y_true is empty"),
        ("p_dog", "40.5%", "Write it as a fraction: 0.5 for 50%."),
        ("y_true", CLASSES[LABEL[4]].upper(), "which differ only in upper and lower case"),
        ("y_true", "cow", "no column is of the class 'cow'"),
        ("hospital", "NaN", "line 6: hospital is"),
        ("split", "", "line 6: split is empty"),
        ("id", "scan0", "line 6: the id"),
    ],
)
def test_a_wrong_cell_is_named_by_its_line(tmp_path, column, value, says):
    columns = {name: list(values) for name, values in {**BASE, **PROBA_COLUMNS}.items()}
    columns[column][4] = value
    write(tmp_path / "p.csv", columns)
    with pytest.raises(InputError) as raised:
        evaluate(predictions="p.csv", label="y_true", proba="p_*", group="hospital")
    assert says in str(raised.value)


def test_a_pattern_leaves_the_columns_that_are_named_and_whole_groups_are_cut(tmp_path):
    whole = [f"{y}/{a}" for y, a in zip(BASE["y_true"], BASE["hospital"], strict=True)]
    write(tmp_path / "p.csv", {**BASE, **LOGIT_COLUMNS, "z_group": whole}, separator=";")
    with pytest.warns(SpurWarning, match="semicolons"):
        found = evaluate(predictions="p.csv", label="y_true", logit="z_*", group="z_group")
    assert found["per_group"] == expected(tmp_path / "x.h5", TEST)["per_group"]


def test_what_the_hints_of_the_table_reader_name_can_be_set(tmp_path):
    renamed = {**BASE, "y_true": [name.replace("dog", "hünd") for name in BASE["y_true"]]}
    columns = {name.replace("dog", "hünd"): values for name, values in {**renamed, **LOGIT_COLUMNS}.items()}
    columns["fold"] = ["AB"[name == "test"] for name in columns.pop("split")]
    write(tmp_path / "u.csv", columns)
    (tmp_path / "p.csv").write_bytes((tmp_path / "u.csv").read_text().encode("cp1252"))
    asked = {"predictions": "p.csv", "label": "y_true", "logit": "z_*", "group": "hospital", "split_column": "fold"}
    with pytest.raises(InputError, match="not UTF-8"):
        evaluate(**asked)
    options = {"dataset.options.encoding": "cp1252", "dataset.options.split_values": {"A": "train", "B": "test"}}
    assert evaluate(**asked, set=options)["class_names"] == ["cat", "hünd", "owl"]
    with pytest.raises(UsageError, match="--set training"):
        evaluate(**asked, set={"training.epochs": 1})


def test_a_column_of_splits_that_is_not_used_is_said(tmp_path):
    columns = {**BASE, **LOGIT_COLUMNS}
    columns["subset"] = columns.pop("split")
    write(tmp_path / "p.csv", columns)
    with pytest.warns(SpurWarning, match="--split-column subset"):
        assert evaluate(predictions="p.csv", label="y_true", logit="z_*", group="hospital")["num_samples"] == NUM


def test_flags_of_a_table_need_a_table(tmp_path):
    with pytest.raises(UsageError, match="--proba requires a table"):
        evaluate(proba="p_*")
    write(tmp_path / "p.csv", {**BASE, **LOGIT_COLUMNS})
    with pytest.raises(UsageError, match=r"p\.csv is a table") as raised:
        evaluate(checkpoint="p.csv")
    assert "--predictions p.csv" in raised.value.hint
    expected(tmp_path / "x.h5", TEST)
    with pytest.raises(UsageError, match="is not a table"):
        evaluate(predictions="x.h5", proba="p_*")
