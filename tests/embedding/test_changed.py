"""Data that changed under the same name, with the same ids and labels: no result of the older contents is taken for theirs."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest

EMBEDDINGS = "patched.embeddings.h5"
SHORT = ("--set", "training.epochs=2", "--set", "scoring.epoch=1")


def changed(what: str, split: str) -> None:
    """Change embeddings, or attributes, of a split of the file."""
    with h5py.File(EMBEDDINGS, "r+") as file:
        rows = file[f"split/{split}/{what}"]
        rows[...] = rows[...] + 1 if what == "embedding" else 1 - rows[...]


def restate(key: str, value: object) -> None:
    """Let the file say another thing of the model that made it."""
    with h5py.File(EMBEDDINGS, "r+") as file:
        file.attrs["backbone"] = json.dumps({**json.loads(file.attrs["backbone"]), key: value})


@pytest.mark.parametrize(
    "words", [("score",), ("train", "--keep", "all"), ("infer", "--by", "predictions", "--epoch", "1")]
)
def test_what_was_made_of_other_embeddings_is_not_finished(words, in_embedded):
    line = (words[0], "--dataset", EMBEDDINGS, *words[1:], *SHORT)
    assert in_embedded(*line).code == 0
    assert "nothing to do" in in_embedded(*line).err
    changed("embedding", "train")
    again = in_embedded(*line)
    assert again.code == 1
    assert "data_embeddings_sha256" in again.err
    assert in_embedded(*line, "--force").code == 0


def test_corrected_groups_matter_where_they_are_read(in_embedded):
    erm = ("train", "--dataset", EMBEDDINGS, "--keep", "all", *SHORT)
    dro = (*erm, "--method", "group_dro", "-o", "dro.safetensors")
    scores = ("score", "--dataset", EMBEDDINGS, *SHORT)
    for line in (erm, dro, scores):
        assert in_embedded(*line).code == 0
    changed("attribute", "train")
    assert in_embedded(*erm).code == 0
    for line in (dro, scores):
        again = in_embedded(*line)
        assert again.code == 1
        assert "data_groups_sha256" in again.err


def test_a_study_evaluates_again_where_groups_were_corrected(in_embedded):
    def group_counts():
        found = json.loads(Path("study/seed1/erm/evaluation.json").read_text())
        return {
            item["group"]: item["accuracy"]["num_samples"]
            for item in found["per_group"]
            if item["accuracy"]["num_samples"]
        }

    line = ("compare", "--dataset", EMBEDDINGS, "--arms", "erm", "--seeds", "1", *SHORT, "-o", "study")
    assert in_embedded(*line).code == 0
    before, model = group_counts(), Path("study/seed1/erm/model.safetensors").stat().st_mtime_ns
    changed("attribute", "test")
    assert in_embedded(*line).code == 0
    after = group_counts()
    assert after["0/patch"] == 2 * before["0/no patch"] > 0  # the twins are counted too
    assert Path("study/seed1/erm/model.safetensors").stat().st_mtime_ns == model


def test_a_head_is_not_used_on_images_that_were_prepared_otherwise(in_embedded):
    assert in_embedded("train", "--dataset", EMBEDDINGS, "--keep", "all", *SHORT).code == 0
    restate("preprocessing", {"image_size": 8})
    refused = in_embedded("evaluate")
    assert refused.code == 3
    assert "prepared" in refused.err


def test_embeddings_by_a_model_whose_weights_have_changed_are_not_finished(in_embedded):
    """A file of weights is known by its name alone until it is read."""
    embed = ("data", "embed", "inject.json", "--recipe", "demo", "--model", "parts.py:net")
    line = (*embed, "--set", "scoring.batch_size=64", "-o", EMBEDDINGS)
    assert "nothing to do" in in_embedded(*line).err
    restate("weights_sha256", "0" * 64)
    again = in_embedded(*line)
    assert (again.code, "other weights" in again.err) == (1, True), again.err
