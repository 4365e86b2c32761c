"""Tables of predictions that an audit rejects: rounded probabilities, and other splits than those of the data set."""

from __future__ import annotations

import csv

import numpy as np
from PIL import Image


def written(path, rows):
    with path.open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def predictions(digits, folder="photos"):
    rng, rows = np.random.default_rng(0), []
    for n in range(60):
        name, p = ("cat", "dog")[n % 2], round(float(rng.uniform(0.1, 0.9)), digits)
        rows.append(
            {
                "id": f"{name}/{n}.png",
                "y": name,
                "p_cat": round(1 - p, digits),
                "p_dog": p,
                "split": ("train", "test")[n % 3 == 0],
            }
        )
    return rows


def test_rounded_probabilities_are_named_as_such(spurcli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "p.csv", predictions(2))
    done = spurcli("audit", "--predictions", "p.csv", "--label", "y", "--proba", "p_*")
    assert done.code == 3
    assert "probabilities that are not rounded" in done.err
    assert "not logits" not in done.err


def test_other_splits_than_those_of_the_data_set_are_named_as_such(spurcli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = predictions(9)
    written(tmp_path / "p.csv", rows)
    for row in rows:
        path = tmp_path / "photos" / row["id"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    words = ("--label", "y", "--proba", "p_*", "--id", "id", "--dataset", "photos")
    done = spurcli("audit", "--predictions", "p.csv", *words)
    assert done.code == 3
    assert "have other splits" in done.err
    assert "spelled" not in done.err
