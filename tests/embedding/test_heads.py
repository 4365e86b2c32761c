"""Embeddings as a data set: heads on them, with lists, groups and scores of the source, and what does not fit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from spurcli.datasets import Vectors, load_dataset
from spurcli.errors import SpurWarning
from spurcli.registries import METHODS
from spurcli.runtime.vectors import Standardisation, VectorFeed

EMBEDDINGS = "patched.embeddings.h5"
SHORT = ("--set", "training.epochs=2", "--set", "scoring.epoch=1")
SOURCE = ("--dataset", "inject.json", "--recipe", "demo", "--set", "model.options.hidden=[8]", *SHORT)


def test_the_whole_chain_on_embeddings_knows_the_groups_and_the_twins(in_embedded):
    for words in (
        ("score", "--dataset", EMBEDDINGS, *SHORT),
        ("prune", "--fraction", "0.2", "--per-class"),
        ("train", "--set", "training.epochs=20", "--set", "training.learning_rate=0.05"),
        ("evaluate",),
        ("report",),
    ):
        result = in_embedded(*words)
        assert result.code == 0, result.err
    found = json.loads(Path("evaluation.json").read_text())
    weights = found["model"]["backbone"]["weights_sha256"]
    assert any("frozen" in line and "parts.py:net" in line and weights[:12] in line for line in remarks("report.html"))
    assert found["metrics"]["feature_effect"]["value"] is not None
    assert found["metrics"]["flip_rate"]["value"] is not None
    assert {item["group"] for item in found["per_group"]} >= {"1/patch", "1/no patch"}


def remarks(page):
    return re.findall(r"<li>(.*?)</li>", Path(page).read_text(), re.DOTALL)


def test_lists_of_the_source_fit_its_embeddings_and_the_other_way(in_embedded):
    assert in_embedded("score", *SOURCE, "-o", "source.h5").code == 0
    assert in_embedded("prune", "source.h5", "--fraction", "0.1", "--per-class", "-o", "source.txt").code == 0
    here = in_embedded("train", "--dataset", EMBEDDINGS, "--keep", "source.txt", *SHORT, "--json")
    assert here.code == 0, here.err
    assert here.json["num_kept"] == 273  # a tenth of each class
    assert json.loads(Path("history.json").read_text())["provenance"]["settings"]["model"]["name"] == "linear"

    assert in_embedded("score", "--dataset", EMBEDDINGS, *SHORT).code == 0
    assert in_embedded("prune", "--fraction", "0.1", "--per-class").code == 0
    there = in_embedded("train", *SOURCE, "--keep", "keep.txt", "-o", "source.safetensors", "--json")
    assert there.code == 0, there.err
    groups = in_embedded("infer", "source.safetensors", "--by", "mistakes", "--dataset", "inject.json")
    assert groups.code == 0, groups.err
    given = ("--method", "group_dro", "--group-labels", "groups.txt", "--keep", "all", "-o", "dro.safetensors")
    assert in_embedded("train", "--dataset", EMBEDDINGS, *given, *SHORT).code == 0

    other = in_embedded("train", "--dataset", "demo", "--keep", "keep.txt", "-o", "x.safetensors")
    assert (other.code, "not about the same samples" in other.err) == (3, True)  # 2,000 samples


@pytest.fixture(scope="module")
def trained(embedded, tmp_path_factory):
    """model.safetensors of a head, errors.txt and groups.txt by it."""
    import spurcli

    folder = tmp_path_factory.mktemp("trained")
    data = str(embedded / EMBEDDINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        spurcli.train(dataset=data, keep="all", set={"training.epochs": 2, "training.learning_rate": 0.02})
        spurcli.infer("model.safetensors", by="predictions", save_errors="errors.txt", dataset=data)
    return folder


@pytest.mark.parametrize("method", METHODS.entries)
def test_every_method_trains_a_head(method, embedded, trained, tmp_path, monkeypatch):
    import spurcli

    monkeypatch.chdir(tmp_path)
    needs = METHODS.entries[method].facts.get("needs", "")
    given = {"errors": trained / "errors.txt"} if needs == "errors" else {}
    given |= (
        {"group_labels": trained / "groups.txt"} if method == "cnc" else {}
    )  # the patch is one class's feature only
    given |= {"model": "mlp"} if method == "cnc" else {}  # a linear head has no embedding of its own
    given |= {"checkpoint": trained / "model.safetensors"} if "checkpoint" in needs else {}
    options = {"pde": {"method.options.warmup_epochs": 1}, "cnc": {"training.batch_size": 136}}.get(method, {})
    found = spurcli.train(
        dataset=str(embedded / EMBEDDINGS), method=method, keep="all", set={"training.epochs": 2, **options}, **given
    )
    assert found["num_train"] == 300
    assert spurcli.evaluate("model.safetensors", data_root=embedded)["num_samples"] == 200


def test_a_method_of_the_embedding_warns_of_a_linear_head(embedded, trained, tmp_path, monkeypatch):
    import spurcli

    monkeypatch.chdir(tmp_path)
    sets = {"training.epochs": 1, "training.batch_size": 136}
    with pytest.warns(SpurWarning, match="--model mlp"):
        spurcli.train(
            dataset=embedded / EMBEDDINGS, method="cnc", group_labels=trained / "groups.txt", keep="all", set=sets
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("inject", "--dataset", EMBEDDINGS, "--feature", "patch", "--class", "1", "--count", "5"), "data embed inject.json"),
        (("train", "--dataset", EMBEDDINGS, "--model", "small_cnn", "--keep", "all"), "--model linear"),
        (("train", "--dataset", EMBEDDINGS, "--set", "scoring.view=augmented", "--keep", "all"), "no augmented view"),
        (("train", "--dataset", "demo", "--recipe", "own-images-frozen", "--keep", "all"), "data embed demo"),
        (("train", "--dataset", "absent.embeddings.h5", "--keep", "all"), "was not found"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_to_do(in_embedded, words, message):
    result = in_embedded(*words)
    assert result.code in (2, 3)
    assert message in result.err


def test_a_head_is_not_used_on_embeddings_by_another_model(in_embedded):
    assert in_embedded("train", "--dataset", EMBEDDINGS, "--keep", "all", *SHORT).code == 0
    words = (
        "data",
        "embed",
        "inject.json",
        "--recipe",
        "demo",
        "--model",
        "parts.py:net",
        "-o",
        "other.h5",
        "--seed",
        "9",
    )
    assert in_embedded(*words).code == 0
    for dataset in ("other.h5", "inject.json"):
        result = in_embedded("evaluate", "model.safetensors", "--dataset", dataset)
        assert (result.code, "was trained on embeddings by parts.py:net" in result.err) == (3, True), result.err


def test_vectors_are_standardised_by_all_of_train():
    rng = np.random.default_rng(0)
    values = rng.normal([3, -1, 0, 1e4], [2, 0.1, 1, 5], (50, 4)).astype(np.float32)
    values[:, 2] = 7  # does not vary
    found = Standardisation.of(Vectors(values))
    other = rng.normal(size=(9, 4)).astype(np.float32)
    expected = (other.astype(np.float64) - values.mean(0, dtype=np.float64)) / np.where(
        np.arange(4) == 2, 1, values.astype(np.float64).std(0)
    )
    np.testing.assert_allclose(found.apply(Vectors(other)).numpy(), expected, rtol=1e-4, atol=1e-4)
    feed = VectorFeed.build(Vectors(values), torch.device("cpu"), found)
    batches = list(feed.batches(np.array([4, 2, 49, 0, 7]), 2, 1))
    assert [index.tolist() for index, _ in batches] == [[49, 0], [7]]
    assert torch.equal(batches[1][1][0], found.apply(Vectors(values))[7])


def test_where_the_file_lies_is_no_matter(in_embedded, tmp_path):
    (tmp_path / "data").mkdir()
    Path(EMBEDDINGS).rename(tmp_path / "data" / EMBEDDINGS)
    dataset = load_dataset("embeddings", {"path": EMBEDDINGS}, data_root=tmp_path / "data")
    assert dataset.splits["train"].inputs.shape == (24,)
    assert in_embedded("train", "--dataset", EMBEDDINGS, "--keep", "all", *SHORT).code == 0
