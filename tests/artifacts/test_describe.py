"""`spurcli show` on everything that spurcli writes, and on everything else."""

from __future__ import annotations

import json

import pytest
import safetensors.numpy

from spurcli.artifacts.describe import describe
from spurcli.errors import InputError

EXPECTED = {
    "scores-v1.h5": {"kind": "scores", "num_samples": 6, "classes": ["cat", "dog"]},
    "dynamics-v1.h5": {"kind": "dynamics", "num_samples": 6, "num_epochs": 2, "view": "eval", "seed": 7},
    "predictions-v1.h5": {"kind": "predictions", "split": "test", "num_samples": 4, "num_twin_samples": 2},
    "predictions-v2.h5": {"kind": "predictions"},
    "embeddings-v1.h5": {"kind": "embeddings", "name": "demo", "num_dimensions": 3, "has_twins": True},
    "keep-v1.txt": {"kind": "index list (keep)", "num_indices": 4, "num_samples": 6},
    "remove-v1.txt": {"kind": "index list (remove)", "num_indices": 2, "num_samples": 6},
    "errors-v1.txt": {"kind": "error list", "num_indices": 2, "num_samples": 6},
    "groups-v1.txt": {"kind": "groups", "num_samples": 6, "splits": {}},
    "groups-v2.txt": {"kind": "groups", "num_samples": 6, "splits": {"train": 6, "val": 2}, "probability_of": "line"},
    "model-v1.safetensors": {"kind": "checkpoint", "num_tensors": 2, "epoch": 2, "num_kept": 4, "num_train": 6},
    "history-v1.json": {"kind": "history", "num_epochs": 1, "epoch": 2, "device": "cpu"},
    "inject-v1.json": {"kind": "injection", "feature": "line", "num_carriers": 2, "feature_of": 0, "seed": 7},
    "inject-v2.json": {"kind": "injection", "num_carriers": 2},
    "canary-v1.json": {"kind": "canary", "verdict": "helps", "fraction": "0.2", "ratios": {"0.2": 0.75}},
    "evaluation-v1.json": {"kind": "evaluation", "metrics": {"accuracy": 0.75}, "num_samples": 4},
    "audit-v1.json": {"kind": "audit", "held_out": "val"},
    "addition-v1.h5": {"kind": "addition", "name": "cat corner", "class": "cat", "adds": "stamp"},
    "report-v1.json": {"kind": "report", "title": "demo"},
}


def test_every_golden_file_is_expected_here(golden):
    assert {path.name for path in golden.glob("*-v*")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_show_says_what_a_file_is_and_how_it_was_made(spurcli, golden, name):
    found = spurcli("show", golden / name, "--json").json
    assert EXPECTED[name].items() <= found.items()
    shown = spurcli("show", golden / name)
    assert shown.code == 0
    assert shown.out.startswith(f"kind: {EXPECTED[name]['kind']}\n")
    if name != "report-v1.json":
        assert found["provenance"]["lineage"] == ["spurcli before", "spurcli golden"]
        assert "$ spurcli before\n$ spurcli golden\n" in shown.out
        assert "spurcli 0.1.0\n" in shown.out


def test_the_name_is_no_matter(golden, tmp_path):
    for name in ("scores-v1.h5", "keep-v1.txt", "inject-v1.json", "model-v1.safetensors"):
        (tmp_path / "thing").write_bytes((golden / name).read_bytes())
        assert describe(tmp_path / "thing") == describe(golden / name)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.html", b"<html>", "is not a file of spurcli"),
        ("x", b"\x00\x01", "is not a file of spurcli"),
        ("x.sh", b"#!/bin/sh\n", "is not a file of spurcli"),
        ("x", b"\x89HDF\r\n\x1a\n garbage", "cannot be read as HDF5"),
        ("x.safetensors", b"garbage", "is not a checkpoint, or it is truncated"),
        ("x.json", b"{", "not valid JSON"),
        ("x.json", b"{}", "is not a file of spurcli"),
        ("x.json", b'{"format":"spurcli.other","version":1}', "is not a file of spurcli"),
        ("x.json", b'{"format":["spurcli.history"],"version":1}', "is not a file of spurcli"),
        ("x.json", b'{"format":"spurcli.history","version":9}', "has version 9"),
        ("x.json", b'{"format":"spurcli.history"}', "no usable version"),
        ("x.json", b'{"format":"spurcli.history","version":1,"epochs":5}', "'epochs' is missing or of the wrong kind"),
        ("x.json", b'{"format":"spurcli.evaluation","version":1,"metrics":[]}', "'metrics'"),
        ("x.json", b'{"format":"spurcli.evaluation","version":1,"metrics":{"a":[]}}', "'a' is missing or of the wrong"),
        ("x.json", b'{"format":"spurcli.injection","version":1,"carriers":{"train":5}}', "'train'"),
        ("x.json", b'{"format":"spurcli.injection","version":1,"provenance":5}', "'provenance'"),
        ("x.txt", b"# a recipe\n[dataset]\n", "is not a file of spurcli"),
        ("x.txt", b"", "is empty"),
    ],
)
def test_garbage_is_refused_in_two_lines(spurcli, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    done = spurcli("show", name)
    assert done.code == 3
    assert words in done.err
    assert done.err.startswith("Error: ")
    assert len(done.err.splitlines()) == 2
    assert done.out == ""
    assert (tmp_path / name).read_bytes() == content


def test_a_file_cannot_steer_the_terminal(spurcli, tmp_path):
    hostile = "\x1b[2J[bold]x[/bold]\x07\n\x9b31m"
    made = {"lineage": [hostile, 5], "versions": {hostile: hostile}}
    facts = {"format": "spurcli.history", "version": 1, "epochs": [], hostile: hostile, "provenance": made}
    (tmp_path / "h.json").write_text(json.dumps(facts))
    done = spurcli("show", "h.json")
    assert done.code == 0
    assert not {"\x1b", "\x07", "\x9b"} & set(done.out)
    assert "[bold]x[/bold]" in done.out


def test_a_foreign_checkpoint_is_described_by_its_tensors(tmp_path):
    import numpy as np

    safetensors.numpy.save_file({"w": np.zeros(3)}, tmp_path / "m.safetensors")
    found = describe(tmp_path / "m.safetensors")
    assert (found["kind"], found["num_tensors"], found["architecture"]) == ("checkpoint", 1, None)


def test_folders_and_nothing(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        describe(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        describe(tmp_path / "absent")
