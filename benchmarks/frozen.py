"""One arm on frozen embeddings: the complete command `train` with its files, compared with a hand-written loop.

    python benchmarks/frozen.py [--repeats 5] [--tiny]

Both sides run alternately in this process and read the same embeddings.h5. The script prints the CPU seconds of an arm (fastest) and its
speed relative to the loop, fastest and median: above 1 is faster. `--tiny` only checks that the script works.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from train import race

import spurcli
from spurcli.artifacts.embeddings import EmbeddedSplit, Embeddings, read_embeddings, write_embeddings
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.models import build_model

CASES = {"linear": {}, "mlp": {"hidden": [128, 128]}}
EPOCHS, BATCH, RATE, DECAY = 20, 128, 1e-3, 1e-4  # those of own-images-frozen


def make(path: Path, num_samples: int, width: int) -> None:
    rng = np.random.default_rng(0)
    splits = {}
    for name, size in (("train", num_samples), ("test", num_samples // 4)):
        label = rng.integers(0, 2, size)
        rows = rng.normal(size=(size, width)).astype(np.float32) + label[:, None].astype(np.float32) / 8
        splits[name] = EmbeddedSplit(rows, label, Fingerprint.of(label))
    write_embeddings(path, Embeddings("made up", ("no", "yes"), splits, {}, {}))


def ours(path: Path, model: str) -> None:
    output = path.with_name("model.safetensors")
    spurcli.train(dataset=path, recipe="own-images-frozen", model=model, keep="all", output=output, force=True)


def by_hand(path: Path, name: str) -> None:
    train = read_embeddings(path).splits["train"]
    rows, label = torch.from_numpy(train.embedding), torch.from_numpy(train.label)
    rows = (rows - rows.mean(0)) / rows.std(0)
    model = build_model(name, CASES[name], num_classes=2, input_shape=(rows.shape[1],))
    optimizer = torch.optim.Adam(model.parameters(), RATE, weight_decay=DECAY)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(rows)).split(BATCH):
            loss = functional.cross_entropy(model(rows[index]), label[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    num_samples, width, repeats = (200, 16, 1) if asked.tiny else (5000, 1280, asked.repeats)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.h5"
        make(path, num_samples, width)
        for name in CASES:
            mine, theirs = race((partial(ours, path, name), partial(by_hand, path, name)), repeats)
            median = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
            print(f"{name:8} {min(mine):6.2f} s {min(theirs) / min(mine):6.2f} {median:6.2f}")


if __name__ == "__main__":
    main()
