"""What the processes of a test do, each the same, and what one process does to compare: `runs.py PART FOLDER`."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from spurcli.datasets import ArrayImages
from spurcli.errors import SpurWarning
from spurcli.inferring.twin_training import CrossRisk, TwinNets
from spurcli.progress import Silent
from spurcli.runtime.distributed import World, open_world
from spurcli.runtime.feed import ImageFeed
from spurcli.runtime.forward import embed, predict_logits
from spurcli.runtime.preprocess import ImagePreprocess
from spurcli.settings import PreprocessingSettings, TrainingSettings
from spurcli.training import Trainer, fit
from spurcli.training.method import Annotation, TrainingSamples, build_method
from spurcli.training.state import Position, StateFile
from spurcli.training.stateful import Join, Stateful, collect

CPU = torch.device("cpu")
TINY = {
    "dataset.options.num_train": 300,
    "dataset.options.num_val": 100,
    "dataset.options.num_test": 200,
    "model.options.hidden": [16],
    "training.epochs": 3,
    "scoring.batch_size": 32,
}
FLAGS = [
    "--dataset",
    "demo",
    *[word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}")],
]
METHODS: dict[str, dict[str, Any]] = {
    "erm": {},
    "group_dro": {"step_size": 0.3, "size_adjustment": 1.0},
    "jtt": {"upweight": 3},
    "cnc": {"num_anchors": 1, "num_positives": 2, "num_negatives": 1},
    "pde": {"warmup_epochs": 1, "expansion_interval": 1},
    "subg": {},
    "suby": {},
    "rwg": {},
    "rwy": {},
}
COMMANDS = [
    ["score", *FLAGS, "--epoch", "1", "--runs", "2", "--add-score", "prototype"],
    ["train", *FLAGS, "--keep", "all", "--evaluate-each", "val", "--save-epochs", "1,best-val-mean"],
    ["evaluate", "--json"],
    ["infer", "model.epoch1.safetensors", "--by", "mistakes", "--save-errors", "errors.txt"],
    ["infer", "model.epoch1.safetensors", "--by", "clusters", "-o", "clusters.txt"],
    ["train", "--checkpoint", "model.safetensors", "--method", "dfr", "--group-labels", "groups.txt", "--keep", "all",
     "-o", "dfr.safetensors", "--set", "method.options.num_refits=2", "--set", "method.options.C=1.0"],
    ["data", "embed", "--checkpoint", "model.safetensors", "--set", "scoring.batch_size=7"],
    ["prune", "--fraction", "0.1"],
]  # fmt: skip


class Network(nn.Module):
    """Two layers, perhaps with batch norm or dropout, and one that no loss reaches, as BERT's pooler."""

    def __init__(self, *between: nn.Module) -> None:
        super().__init__()
        self.first, self.between = nn.Linear(16, 8), nn.Sequential(*between)
        self.pooler, self.last = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.between(self.first(x.flatten(1))).relu())
        return logits


def trainer(world: World, name: str = "erm", *between: nn.Module, **changes: Any) -> Trainer:
    """A small training by method `name`, flips and all: 123 of 130 samples, two classes × two attributes.

    With batches of 14 or 20 the last of an epoch leaves processes without samples, of two and of four.
    """
    rng = np.random.default_rng(0)
    pixels, label = rng.integers(0, 256, (130, 4, 4, 1), dtype=np.uint8), rng.integers(0, 2, 130)
    attribute = np.where(rng.random(130) < 0.7, label, 1 - label)
    kept = np.sort(rng.permutation(130)[:123]).astype(np.int64)
    size = 20 if name == "cnc" else 14
    groups = Annotation(label * 2 + attribute, "a test", ("0/0", "0/1", "1/0", "1/1"))
    samples = TrainingSamples(kept, label[kept], 2, size, groups, Annotation(np.arange(0, 130, 7), "a test"))
    torch.manual_seed(3 + world.rank)  # the first process's weights are everyone's
    fields = {key: changes.pop(key) for key in list(changes) if key in Trainer.__dataclass_fields__}
    settings = {"epochs": 3, "batch_size": size, "learning_rate": 0.1, "weight_decay": 0.01, "clip_norm": 1.0}
    return Trainer(
        model=Network(*between),
        method=build_method(name, METHODS[name], samples),  # type: ignore[arg-type]
        feed=ImageFeed.build(ArrayImages(pixels), CPU, 0),
        preprocess=ImagePreprocess.build(PreprocessingSettings(flip=True), 1, CPU),
        label=torch.from_numpy(label),
        groups=groups,
        num_classes=fields.pop("num_classes", 2),
        settings=TrainingSettings(**{**settings, **changes}),
        seed=5,
        world=world,
        **fields,
    )


def methods(world: World, folder: Path) -> None:
    """Weights and records of each method."""
    for name in METHODS:
        mine = trainer(world, name)
        fitted = fit(mine, until_epoch=3)
        keep(world, folder / name, mine.model, fitted.records)


def twins(world: World, folder: Path) -> None:
    """XRM's twin networks, whose samples' labels flip while they train, and the labels that came of it."""
    mine = trainer(world, num_classes=4, learning_rate=0.5)  # the outputs of both
    label = mine.label.numpy()
    method = CrossRisk(TrainingSamples(np.arange(len(label)), label, 2, 14), 5, is_alone=world.is_alone)
    mine = replace(mine, model=TwinNets(Network(), Network()), method=method)
    keep(world, folder / "twins", mine.model, fit(mine, until_epoch=3).records)
    if world.is_first:
        np.savez(folder / "twins.npz", current=method.current, original=method.original)


def forwards(world: World, folder: Path) -> None:
    """Logits and embeddings of 130 samples, in batches that do not go round evenly."""
    mine = trainer(world)
    torch.manual_seed(3)
    model, sizes = Network(), {"num_samples": 130, "batch_size": 30, "world": world}
    logits = predict_logits(model, mine.feed, mine.preprocess, num_classes=2, **sizes)  # type: ignore[arg-type]
    embedding, again = embed(model, mine.feed, mine.preprocess, **sizes)  # type: ignore[arg-type]
    arrays = {"logits": logits, "embedding": embedding, "again": again}
    np.savez(folder / f"forward{world.rank}.npz", **arrays)
    by_sample(world, folder)


def by_sample(world: World, folder: Path) -> None:
    """Rows that each process has of the samples it saw, sample 3 twice, as the saved state holds them."""
    own = torch.tensor([3, 8, 0, 5, 3, 1, 9])[world.rank :: world.size]
    rows = {"index": own, "loss": torch.stack([own * 0.5, -own * 2.0], 1), "right": own % 2 == 0}
    parts = [
        Stateful("records", lambda: rows, lambda *_: None, lambda: {"epoch": 2}, Join.BY_SAMPLE),
        Stateful("rank", lambda: {"number": torch.tensor([world.rank])}, lambda *_: None),
    ]
    saved = collect(parts, Position(), world)
    if world.is_first:
        assert saved.facts == {"records": {"epoch": 2}}
        np.savez(folder / "rows.npz", **{name: tensor.numpy() for name, tensor in saved.tensors.items()})


class Killed(BaseException):
    """Ends a run at once, as a kill does."""


class KillAt(Silent):
    """Ends the run after `count` batches."""

    def __init__(self, count: int) -> None:
        self.count = count

    def advance(self, num_samples: int) -> None:
        self.count -= num_samples > 0
        if not self.count:
            raise Killed


def resumed(world: World, folder: Path) -> None:
    """A run with batch norm and dropout that nothing touched, one that was killed in its second epoch and went on, one that waits."""

    def start(name: str, **changes: Any) -> Trainer:
        # only the first process has a folder that holds anything: hosts share no disk
        place = folder / name if world.is_first else folder / f"elsewhere{world.rank}"
        state = StateFile(place, {}, world_size=world.size)
        between = nn.BatchNorm1d(8), nn.Dropout(0.3)
        return trainer(world, "group_dro", *between, state_file=state, save_seconds=0.0, **changes)

    whole = start("whole")
    keep(world, folder / "whole", whole.model, fit(whole, until_epoch=3).records)
    for name in ("killed", "waiting"):
        try:
            fit(start(name, progress=KillAt(13)), until_epoch=3)
        except Killed:
            world.barrier()
    again = start("killed")
    keep(world, folder / "again", again.model, fit(again, until_epoch=3).records)


def keep(world: World, path: Path, model: nn.Module, records: Any) -> None:
    """Write what a run gave, if all processes have the same."""
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    for tensor in weights.values():
        theirs = tensor.clone()
        world.broadcast([theirs])
        assert torch.equal(theirs, tensor)
    if world.is_first:
        safetensors.torch.save_file(weights, path.with_suffix(".safetensors"))
        path.with_suffix(".json").write_text(json.dumps(records))


def commands(folder: Path) -> None:
    """The command line, one stage after the other; what other processes than the first do in a folder of their own is lost."""
    from spurcli.cli.run import run

    rank = int(os.environ.get("RANK", "0"))
    codes = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", SpurWarning)
        os.chdir(folder)
        for words in COMMANDS:
            codes.append(run(words))
    (folder / f"codes{rank}.json").write_text(json.dumps(codes))


def fail(folder: Path) -> None:
    """One process has no file that the others have, and they wait for it."""
    from spurcli.cli.run import main

    os.chdir(folder)
    name = "missing.txt" if os.environ["RANK"] == "1" else "there.txt"
    main(["train", *FLAGS, "--keep", name])


def endless(folder: Path) -> None:
    """A training that only a signal ends."""
    from spurcli.cli.run import main

    os.chdir(folder)
    main(["train", *FLAGS, "--keep", "all", "--set", "training.epochs=100000", "--set", "training.save_seconds=0.2"])


def main(part: str, folder: Path) -> None:
    torch.set_num_threads(1)
    if part == "fail":
        fail(folder)
    elif part == "endless":
        endless(folder)
    elif part == "train":
        world, _ = open_world("cpu")
        methods(world, folder)
    else:
        world, _ = open_world("cpu")
        begun = time.monotonic()
        for each in (methods, twins, forwards, resumed):
            each(world, folder)
        if "commands" in part:
            commands(folder)
        if world.is_first:
            print(f"{time.monotonic() - begun:.1f} s")
        world.barrier()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
