"""audit --sheet, and its answers with infer --by ticks: from a page to the carriers of every split."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.group_list import read_groups
from spurcli.datasets import load_dataset
from spurcli.errors import InputError

OWN = """
import numpy as np
from spurcli.auditing.suspect import Finding

def even(evidence):
    presence = {split: (np.arange(len(label)) % 2).astype(np.float32) for split, label in evidence.labels.items()}
    return [Finding("even", "even", 0, presence, "")]
"""


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
    done = in_tiny_run(*words[:4], "--json")  # the same audit: the sheet is no part of what was found
    assert (done.code, done.json["pages"]) == (0, ["audit.html", "ticks.html"])
    assert "already complete" in done.err
    assert in_tiny_run(*words[:4], "--sheet").code == 0  # another sheet
    assert Path("audit/ticks.html").read_text(encoding="utf-8") != sheet
    assert in_tiny_run(*words[:4], "--force").code == 0  # without a sheet the older one is gone
    assert not Path("audit/ticks.html").exists()


def test_a_finished_audit_writes_its_sheet_without_another_search(in_tiny_run, monkeypatch):
    Path("own.py").write_text(OWN)
    words = ("audit", "model.safetensors", "--finder", "own.py:even", "--finder", "mistakes")
    sheet = ("--sheet", "--sheet-size", "20")
    assert in_tiny_run(*words, *sheet).code == 0
    names = ("audit/ticks.html", "audit/audit.html")
    expected = [Path(name).read_bytes() for name in names]
    stored = json.loads(Path("audit/audit.json").read_text())
    assert in_tiny_run(*words, "--force").code == 0
    assert not Path("audit/ticks.html").exists()

    def searched(*_, **__):
        raise AssertionError("searched again")

    monkeypatch.setattr("spurcli.stages.audit.found", searched)
    done = in_tiny_run(*words, *sheet)
    assert done.code == 0, done.err
    assert "only audit.html and ticks.html are written" in done.err
    assert [Path(name).read_bytes() for name in names] == expected
    assert json.loads(Path("audit/audit.json").read_text())["sheet"] == stored["sheet"]
    Path("audit/audit.html").unlink()
    assert in_tiny_run(*words).code == 0  # a page that is missing is written again, and the sheet stays
    assert [Path(name).read_bytes() for name in names] == expected
    assert "nothing to do" in in_tiny_run(*words).err


def test_the_sheet_of_embeddings_shows_the_images_from_which_they_were_made(in_tiny_run, monkeypatch):
    assert in_tiny_run("data", "embed", "--checkpoint", "model.safetensors").code == 0
    head = ("--dataset", "embeddings.h5", "--recipe", "own-images-frozen", "--set", "training.epochs=1")
    assert in_tiny_run("train", *head, "-o", "head.safetensors").code == 0
    Path("own.py").write_text(OWN)
    words = ("audit", "head.safetensors", "--finder", "own.py:even", "--sheet", "--sheet-size", "10")
    done = in_tiny_run(*words, "--json")
    assert done.code == 0, done.err
    assert "data:image/png" in Path("audit/ticks.html").read_text(encoding="utf-8")
    assert "data:image/png" in Path("audit/audit.html").read_text(encoding="utf-8")

    def other(name, *asked, **options):
        if name == "demo":
            raise InputError("demo is not here", "Name it.")
        return load_dataset(name, *asked, **options)

    for place in ("spurcli.datasets.load", "spurcli.runtime.context"):
        monkeypatch.setattr(f"{place}.load_dataset", other)
    done = in_tiny_run(*words, "-o", "again")
    assert (done.code, "demo is not here" in done.err) == (3, True)


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
