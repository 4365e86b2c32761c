"""evaluate, score and audit --predictions of an HDF5 file of any program; what is wrong with it is one line with the next step."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.scores import open_scores
from spurcli.auditing.table_answers import unused_columns
from spurcli.datasets import tables_text
from spurcli.datasets.prediction_table import PredictionColumns, read_prediction_table
from spurcli.errors import InputError, SpurError, SpurWarning, UsageError
from spurcli.progress import Silent
from spurcli.reporting.origins import scored_with, source_of
from spurcli.requests.evaluate import EvaluateRequest, run
from spurcli.requests.options import Caller

CLASSES, HOSPITALS = np.array(["cat", "dog", "owl"]), np.array(["east", "west"])
NUM = 240
rng = np.random.default_rng(5)
LABEL = rng.integers(0, 3, NUM)
ATTRIBUTE = (rng.random(NUM) < np.where(LABEL == 1, 0.8, 0.3)).astype(int)
LOGITS = (1.5 * np.eye(3)[LABEL] + np.outer(ATTRIBUTE, [0, 1, 0]) + rng.normal(size=(NUM, 3))).astype(np.float32)
PROBA = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
SPLIT = np.array(["train", "test", "val"])[np.arange(NUM) % 3]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name="u.h5", **items):
    """An HDF5 file of another program; texts are written as h5py does by default."""
    with h5py.File(name, "w") as file:
        for key, value in items.items():
            value = np.asarray(value)
            file[key] = value.astype(object) if value.dtype.kind == "U" else value


def plain(**changed):
    items = {"logits": LOGITS, "label": CLASSES[LABEL], "hospital": HOSPITALS[ATTRIBUTE], "class_names": CLASSES}
    return {key: value for key, value in {**items, **changed}.items() if value is not None}


def evaluate(**asked):
    return run(EvaluateRequest(**asked), Caller(Silent()))


def asked(**changed):
    return evaluate(**{"predictions": "u.h5", "logit": "logits", "group": "hospital", **changed})


def write_csv(name="u.csv"):
    header = ["label", "hospital", *(f"z_{name}" for name in CLASSES)]
    rows = [[CLASSES[y], HOSPITALS[a], *map(str, z.tolist())] for y, a, z in zip(LABEL, ATTRIBUTE, LOGITS, strict=True)]
    with Path(name).open("w", encoding="utf-8") as stream:
        stream.write("\n".join(",".join(row) for row in [header, *rows]) + "\n")


def test_says_what_a_csv_of_the_same_numbers_says():
    write(**plain(), **{"scan id": np.arange(NUM), "embedding": rng.normal(size=(NUM, 8)), "made with": 3})
    write_csv()
    found = asked(id="scan id", feature_of="dog/west")
    wanted = evaluate(predictions="u.csv", logit="z_*", group="hospital", feature_of="dog/west", output="csv.json")
    for part in ("metrics", "per_class", "per_group", "features"):
        assert found[part] == wanted[part]
    stored = read_predictions(Path("predictions.h5"))
    np.testing.assert_array_equal(stored.logits, LOGITS)
    assert stored.class_names == tuple(CLASSES)
    assert stored.sample_id == tuple(map(str, range(NUM)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"label": CLASSES[LABEL].astype("S")}, {}),  # bytes of fixed length
        ({"label": LABEL}, {}),  # numbers, named by class_names
        ({"label": LABEL.astype(np.uint8), "hospital": ATTRIBUTE, "hospital_names": HOSPITALS}, {}),
        ({"hospital": None, "group": 2 * LABEL + ATTRIBUTE, "group_names": None}, {"group": "group"}),
        ({"class_names": None}, {}),  # the columns are numbers, the labels names
        ({"logits": None, "probs": PROBA.astype(np.float64)}, {"logit": None, "proba": "probs"}),
        ({"logits": None, **{f"z_{n}": LOGITS[:, k] for k, n in enumerate(CLASSES)}}, {"logit": "z_*"}),
        ({"logits": LOGITS.astype(np.float64)}, {"logit": "log*"}),
    ],
)
@pytest.mark.filterwarnings("ignore::spurcli.errors.SpurWarning")
def test_ways_to_write_it(changed, words):
    write(**plain(**changed))
    if "group_names" in changed:
        with h5py.File("u.h5", "a") as file:
            file.attrs["group_names"] = [f"{y}/{a}" for y in CLASSES for a in HOSPITALS]
    found = asked(**words)
    expected = np.mean(LOGITS.argmax(axis=1) == LABEL)
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(expected)
    assert [part["group"] for part in found["per_group"]] == [f"{y}/{a}" for y in CLASSES for a in HOSPITALS]


def test_splits_and_scores(spurcli):
    write(**plain(split=SPLIT))
    found = asked()
    assert found["num_samples"] == np.sum(SPLIT == "test")
    assert source_of(found, "evaluation.json").label == "u.h5"
    assert found["metrics"]["conflict_accuracy_matched"]["threshold"] == "val, samples without the feature"
    assert spurcli("score", "--predictions", "u.h5", "--logit", "logits", "--group", "hospital").code == 0
    with open_scores(Path("scores.h5")) as scores:
        assert scored_with(scores.header.provenance, 0) == "predictions u.h5"
        assert scores.header.num_samples == np.sum(SPLIT == "train")
        np.testing.assert_array_equal(scores.labels(), LABEL[SPLIT == "train"])


def test_audit_searches_the_other_columns_of_the_same_rows(spurcli):
    write(**plain(split=SPLIT, embedding=rng.normal(size=(NUM, 4)), other=np.arange(7)))
    done = spurcli("audit", "--predictions", "u.h5", "--logit", "logits", "--json")
    assert done.code == 0
    searched = unused_columns(Path("u.h5"), PredictionColumns(logit=("logits",)))
    assert {name: list(values) for name, values in searched.items()} == {"hospital": list(HOSPITALS[ATTRIBUTE])}


def test_one_column_is_the_positive_class():
    two = LABEL == 1
    score = 1 / (1 + np.exp(-(2.0 * two - 1 + rng.normal(size=NUM))))
    write(label=two, p=score, hospital=HOSPITALS[ATTRIBUTE])
    with pytest.warns(SpurWarning, match="'true'"):
        found = asked(logit=None, proba="p")
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(np.mean((score > 0.5) == two))


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_rounded_probabilities_show_no_reliance(kind):
    rounded = PROBA.astype(float).round(2)
    write(**plain(logits=None, p=np.clip(rounded, 0.01, 0.98).astype(kind)))
    with pytest.warns(SpurWarning, match="rounded to 2 decimals"):
        asked(logit=None, proba="p", feature_of="dog/west")


def test_a_large_matrix_is_not_written_out_as_text(monkeypatch):
    from spurcli.datasets import tables_hdf5

    written = []
    monkeypatch.setattr(tables_hdf5, "_text", lambda value: written.append(value) or str(value))
    write(label=CLASSES[LABEL], logits=LOGITS, class_names=CLASSES)
    evaluate(predictions="u.h5", logit="logits")
    assert len(written) == 0


def _external(file):
    file.create_dataset("logits", (NUM, 3), "f4", external=[("/etc/passwd", 0, 12 * NUM)])


def _virtual(file):
    layout = h5py.VirtualLayout((NUM, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "logits", (NUM, 3))
    file.create_virtual_dataset("logits", layout)


def _link(link):
    def put(file):
        file["logits"] = link

    return put


def _huge(file):
    file.create_dataset("logits", (10**12, 3), "f4", chunks=(1024, 3), compression="gzip")


def _bomb(file):
    file.create_dataset("logits", data=np.zeros((3_000_000, 3), "f4"), chunks=(100_000, 3), compression="gzip")


def _put(value):
    def put(file):
        file["logits"] = value

    return put


def _vlen(file):
    file.create_dataset("logits", (NUM,), h5py.vlen_dtype(np.float32))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_external, "outside the file"),
        (_virtual, "outside the file"),
        (_link(h5py.ExternalLink("/etc/other.h5", "/logits")), "link"),
        (_link(h5py.SoftLink("/label")), "link"),
        (_huge, "not in the file"),
        (_bomb, "times the file's size"),
        (_put(np.zeros((NUM, 3, 2), "f4")), "shape"),
        (_put(np.zeros((NUM, 3), "c8")), "not plain numbers"),
        (_put(np.zeros(NUM, [("a", "f4"), ("b", "i4")])), "not plain numbers"),
        (_put(np.zeros((NUM, 4), "f4")), "3 class names for 4 columns"),
        (_put(LOGITS[:-1]), f"{NUM} values"),
        (_put(np.full((NUM, 3), np.nan, "f4")), "empty"),
        (_put(np.full((NUM, 3), np.inf, "f4")), "finite"),
        (_put(np.zeros((0, 3), "f4")), "empty"),
        (_vlen, "not plain numbers"),
        (lambda file: file.create_group("logits"), "no column 'logits'"),
        (lambda file: None, "no column 'logits'"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_next_step(damage, says, spurcli, monkeypatch):
    monkeypatch.setattr(tables_text, "_MIN_LIMIT", 1 << 20)
    write(**plain(logits=None))
    with h5py.File("u.h5", "a") as file:
        damage(file)
    done = spurcli("evaluate", "--predictions", "u.h5", "--logit", "logits")
    assert done.code == 3
    error = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert len(error) == 1
    assert says in error[0]
    assert done.err.splitlines()[-1] != error[0]  # what to do comes after it
    assert not Path("evaluation.json").exists()


@pytest.mark.parametrize("name", ["label", "hospital"])
def test_texts_that_are_not_utf8(name):
    write(**plain(**{name: np.array([b"caf\xe9", b"bar"])[LABEL % 2]}))
    with pytest.raises(InputError):
        asked()


def test_a_matrix_and_columns_are_not_mixed():
    write(**plain(z_owl=LOGITS[:, 2]))
    with pytest.raises(InputError, match="is a matrix"):
        asked(logit=["logits", "z_owl"])


def test_other_hdf5_files(tmp_path):
    write(**plain())
    with pytest.raises(UsageError, match="another program") as raised:
        evaluate(checkpoint="u.h5")
    assert "--predictions u.h5" in raised.value.hint
    Path("u.csv").write_bytes(Path("u.h5").read_bytes())
    with pytest.raises(InputError, match="is an HDF5 file"):
        evaluate(predictions="u.csv", logit="logits")
    Path("no.h5").write_text("label,z_cat\n")
    with pytest.raises(SpurError, match="cannot be read as HDF5"):
        evaluate(predictions="no.h5", logit="logits")


def test_float32_of_parquet_that_is_rounded(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {f"p_{name}": pa.array([0.9, 0.05, 0.05], pa.float32()) for name in ("a",)}
    columns |= {"p_b": pa.array([0.1, 0.95, 0.95], pa.float32()), "label": ["a", "b", "b"]}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.warns(SpurWarning, match="rounded to 2 decimals"):
        read_prediction_table(tmp_path / "p.parquet", PredictionColumns(proba=("p_*",)))
