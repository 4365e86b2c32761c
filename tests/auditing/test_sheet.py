"""audit --sheet, and its answers with infer --by ticks: from a page to the carriers of every split."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.group_list import read_groups


def test_from_a_sheet_to_carriers_of_every_split(in_tiny_run):
    words = (
        "audit",
        "model.safetensors",
        "--finder",
        "mistakes",
        "--sheet",
        "--sheet-class",
        "3",
        "--sheet-size",
        "20",
    )
    done = in_tiny_run(*words, "--json")
    assert done.code == 0, done.err
    assert done.json["pages"] == ["audit.html", "ticks.html"]
    sheet = Path("audit/ticks.html").read_text(encoding="utf-8")
    assert "spurcli infer model.safetensors --by ticks --ticks ticks.csv" in sheet
    data = json.loads(re.search(r'id="data">(.*?)</script>', sheet, re.DOTALL)[1])
    assert {item["class"] for item in data["items"]} == {"3"}
    assert len({item["id"] for item in data["items"]}) == 20
    with Path("ticks.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.DictWriter(stream, data["columns"], extrasaction="ignore")
        rows.writeheader()
        for item in data["items"]:
            answer = "yes" if int(re.search(r"\d+$", item["id"])[0]) % 2 else "no"
            rows.writerow({**item, "answer": answer, "feature": "odd"})
    done = in_tiny_run("infer", "model.safetensors", "--by", "ticks", "--ticks", "ticks.csv")
    assert done.code == 0, done.err
    assert "3/odd" in done.err or "undecided" in done.err
    found = read_groups(Path("groups.txt"))
    assert found.probability_of == "odd"
    assert list(found.splits) == ["train", "val", "test"]
    known = found.splits["train"].probability
    assert np.isin(known, (0, 1)).sum() >= 20
    assert in_tiny_run("evaluate", "model.safetensors", "--group-labels", "groups.txt").code == 0
    assert in_tiny_run(*words[:4]).code == 0  # without a sheet the older one is gone
    assert not Path("audit/ticks.html").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--sheet-class", "3"), "--sheet-class has no effect without --sheet"),
        (("--sheet", "--sheet-class", "cta"), "there is no such class"),
        (("--sheet", "--sheet-size", "2"), "--sheet-size"),
    ],
)
def test_slips(in_tiny_run, words, says):
    done = in_tiny_run("audit", "model.safetensors", "--finder", "mistakes", *words)
    assert done.code == 2
    assert says in done.err
    assert not Path("audit/audit.json").exists()
