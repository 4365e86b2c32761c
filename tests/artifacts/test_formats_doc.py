"""docs/formats.md: its examples run, spurcli reads what they write, and it names all that spurcli writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.addition import read_addition
from spurcli.artifacts.audit import read_audit
from spurcli.artifacts.checkpoint import read_checkpoint_metadata, weights_sha256_of_file
from spurcli.artifacts.describe import describe
from spurcli.artifacts.dynamics import open_dynamics
from spurcli.artifacts.embeddings import read_embeddings
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.foreign_logits import read_labels, read_logits
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.history import read_history
from spurcli.artifacts.indices import read_indices
from spurcli.artifacts.injection import read_injection
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.scores import open_scores
from spurcli.evaluation.metrics import METRICS

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "formats.md").read_text(encoding="utf-8")
LABEL, IDS = np.array([0, 1, 0, 1, 1, 0]), [f"{letter}.png" for letter in "abcdef"]


@pytest.fixture
def written(tmp_path, monkeypatch) -> dict:
    """All examples, run one after the other in an empty folder; what they defined."""
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```", DOCUMENT, flags=re.M | re.S):
        exec(compile(block, "docs/formats.md", "exec"), names)
    return names


def test_what_the_examples_write_is_what_spurcli_reads(written):
    fingerprint = Fingerprint.of(LABEL, IDS)
    assert Fingerprint.from_json(written["fingerprint"], "the example") == fingerprint
    with open_scores(Path("scores.h5")) as reader:
        assert reader.mean_values("my_score").tolist() == [0.5, 0.25, 1.0, 1.5, 0.0, 0.125]
        assert written["difficulty"].tolist() == reader.mean_values("my_score").tolist()
        assert reader.scores["my_score"].higher_is == "harder"
    with open_dynamics(Path("dynamics.h5")) as reader:
        assert reader.values(0, 6).correct.sum(axis=0).tolist() == [1, 1, 2, 2, 2, 2]
    listed = read_indices(Path("remove.txt"))
    assert (listed.kind, listed.indices.tolist(), listed.subject.fingerprint) == ("remove", [2, 3], fingerprint)
    assert not listed.subject.states_injection
    groups = read_groups(Path("groups.txt"))
    train = groups.splits["train"]
    assert [groups.names[code] for code in train.group] == written["names"]
    assert groups.names == ("cat/grass", "cat/sand", "dog/grass", "dog/sand")
    assert train.subject.fingerprint == fingerprint
    assert groups.splits["val"].probability.tolist() == [1.0, 0.25]
    metadata = read_checkpoint_metadata(Path("model.safetensors"))
    assert metadata["weights_sha256"] == weights_sha256_of_file(Path("model.safetensors"))
    assert Fingerprint.from_json(metadata["fingerprint"], "the example") == fingerprint
    assert read_history(Path("history.json"))["epochs"][0]["loss"] == 0.69
    injection = read_injection(Path("inject.json"))
    assert (injection.sha256, injection.carriers.tolist()) == (written["sha256"], [2, 5])
    assert read_evaluation(Path("evaluation.json"))["metrics"]["accuracy"]["value"] == 0.75
    assert read_audit(Path("audit.json"))["suspects"] == [written["suspect"]]
    assert read_addition(Path("addition.h5")).addition.arrays["colour"][0, 0, 0].tolist() == [255, 220, 0]
    assert read_predictions(Path("predictions.h5")).label.tolist() == [0, 1, 1, 1]
    assert read_embeddings(Path("embeddings.h5")).num_dimensions == 3
    assert read_logits(Path("logits.npy")).shape == (4, 2)
    assert read_labels(Path("labels.npy"), 4, 2).tolist() == [0, 1, 1, 1]


def test_the_examples_go_through_the_commands(written, spurcli):
    done = spurcli("prune", "scores.h5", "--score", "my_score", "--fraction", "0.34")
    assert done.code == 0, done.err
    assert read_indices(Path("keep.txt")).indices.tolist() == [0, 1, 4, 5]
    assert spurcli("evaluate", "--logits", "logits.npy", "--labels", "labels.npy", "-o", "mine.json").code == 0
    assert spurcli("score", "--logits", "logits.npy", "--labels", "labels.npy", "-o", "mine.h5").code == 0
    for name in (
        "remove.txt",
        "groups.txt",
        "model.safetensors",
        "history.json",
        "inject.json",
        "evaluation.json",
        "audit.json",
    ):
        assert spurcli("show", name).code == 0


def test_every_metric_has_its_line():
    table = DOCUMENT.partition("| metric | definition |")[2].partition("\n\n")[0]
    assert set(METRICS) == set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", table, flags=re.M))))


def keys_of(content, prefix=""):
    """Keys of objects and of objects in lists, but for tables whose keys are names or settings."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            if key not in ("metrics", "settings", "arguments", "parameters", "options", "preprocessing", "versions"):
                yield from keys_of(value)
    elif isinstance(content, list) and content:
        yield from keys_of(content[0])


def test_everything_that_is_written_is_documented(spurcli, tiny_flags, tmp_path):
    counts = tiny_flags[:6]
    chain = (
        ["inject", "--dataset", "demo", "--feature", "patch", "--class", "1", "--fraction", "0.3", *counts],
        ["score", "--dataset", "inject.json", *tiny_flags[6:]],
        ["prune", "--fraction", "0.1", "--per-class"],
        ["train"],
        ["evaluate"],
        ["report", "--format", "json", "-o", "report.json"],
    )
    for words in chain:
        done = spurcli(*words)
        assert done.code == 0, done.err
    documented = set(re.findall(r"[\w./]+", DOCUMENT))
    header = json.loads(Path("keep.txt").read_text().splitlines()[0].partition(" v1 ")[2])
    found = set(keys_of(header)) | set(keys_of(read_checkpoint_metadata(Path("model.safetensors"))))
    for name in ("inject.json", "history.json", "evaluation.json"):
        found |= set(keys_of(json.loads(Path(name).read_text())))
    found |= set(json.loads(Path("report.json").read_text()))
    found |= set(json.loads(Path("report.json").read_text())["arms"][0])
    found |= set(json.loads(Path("evaluation.json").read_text())["metrics"])
    assert found - documented == set()
    with open_scores(Path("scores.h5")) as reader:
        assert reader.has_groups
    assert describe(Path("report.json"))["kind"] == "report"
