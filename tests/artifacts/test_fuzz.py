"""Every reader on mutated files: it reads, or says in two lines what is wrong; nothing else, and nothing is touched."""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy

from spurcli import recipes
from spurcli.artifacts.arrays import read_labels, read_logits
from spurcli.artifacts.checkpoint import read_checkpoint_metadata, weights_sha256_of_file
from spurcli.artifacts.checkpoint_torch import load_tensors
from spurcli.artifacts.describe import describe
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.history import read_history
from spurcli.artifacts.indices import read_indices
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.scores import open_scores
from spurcli.datasets.injection import read_injection
from spurcli.errors import SpurError, SpurWarning
from spurcli.session import configure

# More in a long run: SPURCLI_FUZZ=5000 pytest tests/artifacts/test_fuzz.py
NUM_MUTATIONS = int(os.environ.get("SPURCLI_FUZZ") or 150)
LOGITS = np.linspace(-3, 3, 24, dtype=np.float32).reshape(8, 3)


def read_scores(path: Path) -> None:
    with open_scores(path) as reader:
        for name in reader.scores:
            reader.mean_values(name)
        reader.sample_ids(np.arange(reader.header.num_samples))
        if reader.has_groups:
            reader.groups()


def read_checkpoint(path: Path) -> None:
    metadata = read_checkpoint_metadata(path, required=False)
    weights_sha256_of_file(path)
    load_tensors(path)
    settings = metadata.get("provenance", {}).get("settings")
    if settings:
        configure(inherited=settings)


def read_recipe(path: Path) -> None:
    configure(recipe=str(path))


READERS = {
    "scores-v1.h5": [read_scores, describe],
    "foreign.h5": [read_scores, describe],
    "predictions-v1.h5": [read_predictions, describe],
    "keep-v1.txt": [read_indices, describe],
    "remove-v1.txt": [read_indices],
    "groups-v1.txt": [read_groups, describe],
    "model-v1.safetensors": [read_checkpoint, describe],
    "history-v1.json": [read_history, describe],
    "inject-v1.json": [read_injection, describe],
    "evaluation-v1.json": [read_evaluation, describe],
    "logits.npy": [read_logits],
    "logits.h5": [read_logits],
    "logits.safetensors": [read_logits],
    "labels.npy": [lambda path: read_labels(path, 8, 3)],
    "recipe.toml": [read_recipe],
}


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> Path:
    """Valid files of every kind."""
    folder = tmp_path_factory.mktemp("valid")
    for path in (Path(__file__).parent.parent / "golden").glob("*-v*"):
        (folder / path.name).write_bytes(path.read_bytes())
    np.save(folder / "logits.npy", LOGITS)
    np.save(folder / "labels.npy", np.arange(8) % 3)
    safetensors.numpy.save_file({"logits": LOGITS}, folder / "logits.safetensors")
    with h5py.File(folder / "logits.h5", "w") as file:
        file.create_dataset("logits", data=LOGITS, chunks=(4, 3), compression="gzip")
    with h5py.File(folder / "foreign.h5", "w") as file:  # the old layout has no checksums
        file.attrs["format"], file.attrs["version"], file["label"] = "spurcli.scores", 1, np.arange(6)
        file["scores/el2n/values"] = np.zeros((2, 6), np.float32)
        file["scores/el2n"].attrs["higher_is"] = "harder"
    (folder / "recipe.toml").write_bytes(recipes.recipe_path("demo").read_bytes())
    return folder


def mutate(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to four of: a flipped bit, another byte, a cut, a piece doubled, removed, or taken from another file."""
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(max(1, len(content)))
        stop = min(len(content), start + rng.choice([1, 2, 8, 64]))
        choice = rng.randrange(7)
        if choice == 0:
            flipped = content[start : start + 1] or b"\0"
            content = content[:start] + bytes([flipped[0] ^ (1 << rng.randrange(8))]) + content[start + 1 :]
        elif choice == 1:
            content = (
                content[:start] + rng.choice([b"\0", b"\xff", b'"', b"{", b"9", b"-", b"\n"]) + content[start + 1 :]
            )
        elif choice == 2:
            content = content[:start]
        elif choice == 3:
            content = content[:stop] + content[start:stop] * rng.choice([1, 3, 100]) + content[stop:]
        elif choice == 4:
            content = content[:start] + content[stop:]
        elif choice == 5:
            other = rng.choice(others)
            begin = rng.randrange(len(other))
            content = content[:start] + other[begin : begin + 64] + content[stop:]
        else:
            words = [b"true", b"null", b"[]", b"{}", b'"x"', b"-1", b"1e999", b"NaN", b"9" * 30, b"\\ud800"]
            content = content[:start] + rng.choice(words) + content[stop:]
    return content


@pytest.mark.parametrize("name", READERS)
def test_mutated_files_are_read_or_refused(valid, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    whole = (valid / name).read_bytes()
    others = [path.read_bytes() for path in sorted(valid.iterdir())]
    rng = random.Random(name)
    path = tmp_path / name
    refused = longest = 0
    for number in range(NUM_MUTATIONS):
        content = mutate(whole, others, rng)
        path.write_bytes(content)
        for read in READERS[name]:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SpurWarning)
                    read(path)
            except SpurError as error:
                refused += 1
                longest = max(longest, len(str(error).splitlines()))
            except Exception as error:
                raise AssertionError(f"mutation {number} of {name} met {type(error).__name__}: {error}") from error
        assert path.read_bytes() == content
        assert [item.name for item in tmp_path.iterdir()] == [name]
    assert longest <= 2
    assert refused > NUM_MUTATIONS / 4  # the mutations do hurt
