"""MultiNLI as vectors of a frozen sentence encoder: a user-defined data set on which a method takes seconds.

    python sentences.py DATA ENCODER        # once: DATA/multinli_vectors.npy; ENCODER is a Hugging Face folder
    spurcli train --recipe sentences.toml --dataset sentences.py:multinli --keep all

A pair of sentences with vectors u and v becomes u, v, |u - v| and u * v in 8 bits (Conneau et al., EMNLP 2017, Fig. 1), in
the place of an image with four channels. Labels, groups and split are those of `--dataset multinli`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets import ArrayImages, Dataset
from spurcli.datasets.multinli import load

# |u - v| and u * v of unit vectors are small: these ranges hold all but a few values in a thousand.
RANGES = ((-0.2, 0.2), (-0.2, 0.2), (0.0, 0.2), (-0.01, 0.03))


def multinli(*, data_root: Path, available_only: bool = False) -> Dataset:
    """The data set of texts, with the vectors of its pairs in the place of the texts."""
    texts = load(data_root=data_root, available_only=available_only)
    vectors = np.load(Path(data_root) / "multinli_vectors.npy")
    splits, start = {}, 0
    for name, split in texts.splits.items():
        stop = start + len(split)
        splits[name] = replace(split, inputs=ArrayImages(vectors[start:stop]))
        start = stop
    if start != len(vectors):
        raise ValueError(f"{len(vectors):,} vectors of {start:,} pairs: run sentences.py again")
    return replace(texts, name="multinli_vectors", splits=splits)


def encode(sentences: Sequence[str], folder: Path, batch_size: int = 64) -> NDArray[np.float32]:
    """Unit vectors [n, width]: the mean of the last layer over the tokens of each sentence."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    order = np.argsort([len(sentence) for sentence in sentences], kind="stable")  # little padding
    vectors = np.zeros((len(sentences), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            tokens = tokenizer(
                [sentences[row] for row in rows], padding=True, truncation=True, max_length=64, return_tensors="pt"
            )
            mask = tokens["attention_mask"][:, :, None]
            mean = (model(**tokens).last_hidden_state * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(mean).numpy()
            if start // batch_size % 50 == 0:
                print(f"\r{start:,} of {len(order):,} sentences", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return vectors


def in_8_bits(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 [n, width, 1, 4] of vectors [n, width] of the two sentences."""
    parts = (first, second, np.abs(first - second), first * second)
    scaled = [(part - low) / (high - low) for part, (low, high) in zip(parts, RANGES, strict=True)]
    return np.rint(np.clip(np.stack(scaled, axis=-1), 0, 1) * 255).astype(np.uint8)[:, :, None]


def main(data_root: Path, folder: Path) -> None:
    pairs = [split.inputs.columns for split in load(data_root=data_root, available_only=True).splits.values()]
    first, second = ([text for columns in pairs for text in columns[side]] for side in (0, 1))
    sentences = sorted({*first, *second})  # a premise stands in several pairs
    row = {sentence: number for number, sentence in enumerate(sentences)}
    vectors = encode(sentences, folder)
    both = [vectors[[row[text] for text in side]] for side in (first, second)]
    np.save(data_root / "multinli_vectors.npy", in_8_bits(both[0], both[1]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
