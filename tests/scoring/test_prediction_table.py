"""score --predictions: the train rows of a table get the scores of the same logits as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.scores import open_scores
from spurcli.errors import InputError, SpurError, SpurWarning, UsageError
from spurcli.progress import Silent
from spurcli.requests.options import Caller
from spurcli.requests.score import ScoreRequest, run


def score(**asked):
    return run(ScoreRequest(**asked), Caller(Silent()))


@pytest.fixture
def logits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 40)
    logits = (np.eye(2)[label] * 2 + rng.normal(size=(40, 2))).astype(np.float32)
    lines = ["name,y,z_b,z_a,p_b,p_a,part,site"]
    for n in range(40):
        p = np.exp(float(logits[n, 1])) / np.exp(logits[n].astype(float)).sum()
        z = [repr(float(v)) for v in logits[n, ::-1]]
        part, site = ("train", "test")[n % 2], "ew"[n // 2 % 2]
        lines.append(",".join([f"s{n}", "ab"[label[n]], *z, f"{p:.2f}", f"{1 - p:.2f}", part, site]))
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    np.save("logits.npy", logits[::2])
    np.save("labels.npy", label[::2])
    return logits


COLUMNS = {"predictions": "t.csv", "label": "y", "id": "name", "split_column": "part", "group": "site"}


def test_the_same_scores_with_ids_and_groups(logits, spurcli):
    assert score(**COLUMNS, logit="z_*", output="t.h5")["num_samples"] == 20
    score(logits="logits.npy", labels="labels.npy", output="a.h5")
    with open_scores(Path("t.h5")) as mine, open_scores(Path("a.h5")) as theirs:
        assert list(mine.scores) == list(theirs.scores)
        for name in mine.scores:
            np.testing.assert_array_equal(mine.values(name, 0), theirs.values(name, 0))
        assert mine.header.group_names == ("a/e", "a/w", "b/e", "b/w")
    kept = spurcli("prune", "t.h5", "--fraction", "0.2")
    assert kept.code == 0, kept.err
    with pytest.raises(SpurError):  # other columns are another run, not this one again
        score(**{**COLUMNS, "group": None, "split_column": None}, logit="z_*", output="t.h5")


def test_what_would_give_wrong_scores_is_refused(logits):
    with pytest.warns(SpurWarning, match="2 decimals|0 or 1"), pytest.raises(InputError, match="rounded"):
        score(**COLUMNS, proba="p_*")
    with pytest.raises(UsageError, match="--runs has no effect"):
        score(**COLUMNS, logit="z_*", runs=2)
    with pytest.raises(UsageError, match="--logit requires a table"):
        score(logit="z_*", dataset="demo")
