"""Texts embedded by a transformers encoder from a local folder: the mean of its last hidden states, against transformers itself."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from spurcli.artifacts.embeddings import read_embeddings

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "sat", "never", "on", "mats"]


def test_texts_are_embedded_by_the_mean_of_a_local_encoder(spurcli, tmp_path):
    folder = tmp_path / "data" / "weights" / "tiny"
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    encoder = BertForSequenceClassification(BertConfig(vocab_size=len(WORDS), **sizes))
    encoder.save_pretrained(folder)
    texts = [" ".join(WORDS[5 + (number * step) % 6] for step in range(1, 3 + number % 5)) for number in range(60)]
    rows = [(text, "ab"[number % 2], ("train", "test")[number % 3 == 0]) for number, text in enumerate(texts)]
    with Path("texts.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label", "split"), *rows])

    words = ("data", "embed", "texts.csv", "--recipe", "own-text-frozen", "--data-root", "data")
    result = spurcli(*words, "--set", "model.options.path=tiny", "--set", "scoring.batch_size=8")
    assert result.code == 0, result.err
    found = read_embeddings(Path("embeddings.h5"))
    assert found.backbone["layer"] == "mean"
    body = encoder.bert.eval()
    for name, split in found.splits.items():
        mine = [text for text, _, of in rows if of == name]
        for row in (0, 7, len(mine) - 1):
            with torch.no_grad():
                states = body(**tokenizer(mine[row], return_tensors="pt")).last_hidden_state[0]
            torch.testing.assert_close(torch.from_numpy(split.embedding[row]), states.mean(0), rtol=1e-4, atol=1e-5)
    other = spurcli(*words, "--set", "model.options.path=tiny", "--layer", "cls", "-o", "cls.h5", "--seed", "5")
    assert other.code == 0
    weights = [read_embeddings(Path(name)).backbone["weights_sha256"] for name in ("embeddings.h5", "cls.h5")]
    assert weights[0] == weights[1]  # of the encoder alone: the new head, which follows the seed, is no part of it
