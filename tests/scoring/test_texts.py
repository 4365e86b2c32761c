"""Scores of texts against one unpadded text at a time, whatever the batch size and the length of the others."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest
import torch

from spurcli.artifacts.checkpoint_torch import load_tensors, restore
from spurcli.datasets import load_dataset
from spurcli.models import build_model
from spurcli.runtime.tokens import words_tokenizer

SETS = {
    "preprocessing.max_length": 24,
    "model.options.width": 16,
    "model.options.num_heads": 2,
}


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    words = ["good", "bad", "never", "film", "plot", "cat"]
    rows = ["review,stars,split"]
    for number in range(90):
        text = " ".join(rng.choice(words, rng.integers(1, 20)))
        rows.append(f"{text} {number},{('low', 'high')[rng.integers(0, 2)]},{'train' if number < 70 else 'test'}")
    (tmp_path / "reviews.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def run(spurcli, *words, **more):
    sets = [word for key, value in {**SETS, **more}.items() for word in ("--set", f"{key}={value}")]
    recipe = ["--recipe", "own-text-cpu", "--dataset", "reviews.csv", "--set", "dataset.options.text=review"]
    result = spurcli(*words, *recipe, "--set", "dataset.options.label=stars", *sets)
    assert result.code == 0, result.err


def el2n_of(path):
    with h5py.File(path) as file:
        return file["scores/el2n/values"][0]


def test_scores_are_those_of_each_text_alone(table, spurcli):
    run(spurcli, "train", "--keep", "all", **{"training.epochs": 1})
    for size in (1, 7, 512):
        run(spurcli, "score", "--checkpoint", "model.safetensors", "-o", f"{size}.h5", **{"scoring.batch_size": size})
    options = {"path": "reviews.csv", "text": "review", "label": "stars"}
    dataset = load_dataset("table", options, data_root=table)
    train = dataset.splits["train"]
    tokenizer = words_tokenizer(train.inputs, 24)
    model = build_model(
        "small_transformer", {"width": 16, "num_heads": 2}, num_classes=2,
        vocab_size=tokenizer.vocab_size, pad_id=tokenizer.pad_id, max_length=24,
    ).eval()  # fmt: skip
    restore(model, load_tensors(table / "model.safetensors"), "model")
    expected = []
    for text, label in zip(train.inputs.columns[0], train.label.tolist(), strict=True):
        ids = torch.tensor([tokenizer.tokenizer.encode(text).ids])
        tokens = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "token_type_ids": torch.zeros_like(ids),
        }
        with torch.no_grad():
            error = model(tokens).double().softmax(1)[0].numpy() - np.eye(2)[label]
        expected.append(np.sqrt((error**2).sum()))
    for size in (1, 7, 512):
        np.testing.assert_allclose(el2n_of(table / f"{size}.h5"), expected, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_of_other_tokens_or_texts_is_refused(table, spurcli):
    run(spurcli, "train", "--keep", "all", **{"training.epochs": 1})
    result = spurcli("evaluate", "model.safetensors", "--set", "preprocessing.max_length=20")
    assert result.code == 3
    assert "another tokeniser" in result.err
    text = (table / "reviews.csv").read_text()
    (table / "reviews.csv").write_text(text.replace("film", "movie"))
    result = spurcli("evaluate", "model.safetensors")
    assert result.code == 3
    assert "the sample ids differ" in result.err


def test_texts_have_no_augmented_view(table, spurcli):
    sets = ["--set", "dataset.options.text=review", "--set", "dataset.options.label=stars"]
    result = spurcli(
        "score", "--recipe", "own-text-cpu", "--dataset", "reviews.csv", *sets, "--set", "scoring.view=augmented"
    )
    assert result.code == 2
    assert "no augmented view" in result.err


def test_a_model_for_images_is_refused(table, spurcli):
    sets = ["--set", "dataset.options.text=review", "--set", "dataset.options.label=stars"]
    result = spurcli("train", "--recipe", "own-images-cpu", "--dataset", "reviews.csv", "--keep", "all", *sets)
    assert result.code == 2
    assert re.search("'small_cnn'.*images.*texts", result.err)
