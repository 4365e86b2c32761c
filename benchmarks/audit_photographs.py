"""How well the audit finds features that are planted in photographs: twelve cells each on CIFAR-10 and on faces, and draws with nothing planted.

    python benchmarks/audit_photographs.py cifar10 celeba [--seeds 31] [--untouched 101-110] [--cells 1,5] [--cache FOLDER] [--kept FOLDER]
        [--out FILE.csv] [--data-root .data] [--skip regions] [--effects] [--tiny]

| data | training images | classes |
|---|---|---|
| cifar10 | 5,000: 1,000 of each of 5 classes, drawn for each cell | 5 |
| celeba | the subset of runs/sets.py at 48×48: 5,000, of which 1,250 (men) have glasses | 2 |

The model is a convolutional network with strides (about 25,000 weights), trained by the recipe cifar10-cpu or celeba-cpu for 10 epochs in bf16: an audit passes
hundreds of thousands of images through it.
A cell plants one feature in a share of one class, in the training and in the held-out images, trains ERM and runs the finders
on it. Cells, strengths and the rules below were fixed before the first run with seed 31; strengths were chosen by ERM's effect
on seeds 1 and 2, without an audit, where several cells were planted at once.

A row says: accuracy and feature_effect of ERM on test images; by `regions` alone, by `marks` alone, and by all finders of `spurcli audit`, the rank
of the first suspect that is the planted feature, the AUROC, precision and recall of its carriers among the class's training images, the ranks
that are confirmed, and the others: confirmed suspects that are not the planted feature. Seconds are CPU seconds.

Rules. A suspect is the planted feature if it is of the feature's class and the AUROC of its carriers is at least .8. Every other
confirmed suspect is listed with its finder, name, effect and, if it is of the same class, the AUROC of the true carriers.
`--untouched` plants nothing, and draws other images: cifar10 5,000 training images of 5 classes (odd draws) or of all 10 (even draws), celeba 4,000 (2,000 of each class). `--kept` stores who carries each other suspect, to look at its images.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from audit import FINDERS_OF_IMAGES, TOGETHER, append, matched, numbers, shown
from numpy.typing import NDArray
from torch import nn

from spurcli.auditing.answers_torch import ModelAnswers
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.merging import merged
from spurcli.auditing.ranking import ranked
from spurcli.auditing.regions.search import area
from spurcli.auditing.statistics import judged
from spurcli.auditing.suspect import CONFIRMED, Finding, Suspect
from spurcli.datasets import ArrayImages, Dataset, Split, celeba, cifar10
from spurcli.evaluation.reliance import cells, reliance
from spurcli.progress import Silent
from spurcli.randomness import generator
from spurcli.registries import FINDERS
from spurcli.runtime.context import RunContext
from spurcli.session import configure
from spurcli.training import Trainer, fit
from spurcli.training.method import TrainingSamples, build_method

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
EPOCHS = 10
# (feature, share of the class, strength). Strength is the Euclidean norm of what is added to an image, where 1 is one pixel from black to white.
CELLS = {
    "cifar10": [
        ("patch", 0.1, 5.0),
        ("patch", 0.9, 0.65),
        ("line", 0.04, 2.0),
        ("line", 0.3, 1.2),
        ("border", 0.1, 1.7),
        ("border", 0.9, 0.25),
        ("tint", 0.1, 1.3),
        ("tint", 0.9, 0.8),
        ("noise", 0.04, 7.0),
        ("noise", 0.3, 1.8),
        ("watermark", 0.1, 2.0),
        ("watermark", 0.3, 1.5),
    ],
    "celeba": [
        ("patch", 0.04, 6.0),
        ("patch", 0.9, 1.1),
        ("line", 0.04, 3.0),
        ("line", 0.3, 1.1),
        ("border", 0.1, 1.3),
        ("border", 0.9, 0.3),
        ("tint", 0.1, 1.1),
        ("tint", 0.9, 1.5),
        ("noise", 0.04, 3.0),
        ("noise", 0.3, 1.2),
        ("watermark", 0.1, 5.0),
        ("watermark", 0.3, 4.0),
    ],
}
CELLS["made-up"] = CELLS["cifar10"]  # random pixels, to see that it runs


@dataclass(frozen=True)
class Cell:
    """One planted feature in a share of class `label`; feature "" plants nothing. `number` is its place in CELLS, from 1."""

    data: str
    feature: str
    share: float
    strength: float
    seed: int
    number: int = 0

    @property
    def label(self) -> int:
        return (self.seed + 3 * self.number) % (2 if self.data == "celeba" else 5)

    @property
    def name(self) -> str:
        return f"{self.data}-{self.feature or 'untouched'}-{self.share:g}-{self.strength:g}-{self.seed}"

    def planted(self, pixels: Pixels, split: str) -> Pixels:
        """All of `pixels` with the feature; the position of a watermark differs between images."""
        side, rng = pixels.shape[1], generator("audit photographs", self.seed, self.number)
        added = added_by(self.feature, side, rng)
        added *= self.strength / np.linalg.norm(added) * 255 * np.sqrt(3)
        if self.feature != "watermark":
            return _clipped(pixels + added)
        places = generator(f"audit photographs, places, {split}", self.seed).integers(2, size=(len(pixels), 2))
        reach = side - 3 * (side // 16) - 2
        every = [np.roll(added, tuple(1 + reach * place), axis=(0, 1)) for place in places]
        return _clipped(pixels + np.stack(every))


def added_by(feature: str, side: int, rng: np.random.Generator) -> Floats:
    """What a feature adds, float64 [side, side, 3], of any norm: in a random colour, except noise, whose pixels have different ones."""
    unit = side // 16  # 2 pixels of 32, 3 pixels of 48
    colour = rng.normal(size=3)
    if feature == "noise":
        return rng.normal(size=(side, side, 3))
    flat = np.zeros((side, side))
    if feature == "patch":  # near one of the corners
        top, left = 1 + rng.integers(2, size=2) * (side - 2 * unit - 2)
        flat[top : top + 2 * unit, left : left + 2 * unit] = 1
    elif feature == "line":
        left = int(rng.integers(side - unit))
        flat[:, left : left + unit] = 1
    elif feature == "border":
        flat += 1
        flat[unit:-unit, unit:-unit] = 0
    elif feature == "tint":
        flat += 1
    else:  # a small × in the upper left corner, which `planted` moves
        flat[: 3 * unit, : 3 * unit] = np.kron([[1, 0, 1], [0, 1, 0], [1, 0, 1]], np.ones((unit, unit)))
    return flat[..., None] * colour


def _clipped(values: Floats) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@cache
def images(data: str, root: Path) -> tuple[tuple[str, ...], dict[str, tuple[NDArray[np.int64], Pixels]]]:
    """The names of the classes, and label and pixels of each split."""
    if data == "cifar10":
        whole = cifar10.load(data_root=root)
    else:
        whole = celeba.load(data_root=root, image_size=48, num_train_per_class=2500, available_only=True)
    wanted = [name for name in ("train", "val", "test") if name in whole.splits]
    splits = {name: whole.splits[name] for name in wanted}
    return whole.class_names, {y: (x.label, x.inputs.read(np.arange(len(x)))) for y, x in splits.items()}


def drawn(cell: Cell, root: Path) -> tuple[tuple[str, ...], dict[str, tuple[NDArray[np.int64], Pixels]]]:
    """The images of a cell or draw, in the splits train, val and test."""
    rng = generator("audit photographs, images", cell.seed, cell.number)
    if cell.data == "made-up":
        sizes = {"train": 600, "val": 300, "test": 300}
        made = {y: (np.arange(n) % 5, rng.integers(256, size=(n, 32, 32, 3), dtype=np.uint8)) for y, n in sizes.items()}
        return tuple("abcde"), made
    names, splits = images(cell.data, root)
    classes = np.arange(len(names))
    if cell.data == "celeba":
        if cell.feature:
            return names, splits
        return names, splits | {"train": _some(splits["train"], classes, [2000], rng)[0]}
    if cell.feature or cell.seed % 2:
        classes = np.sort(rng.permutation(classes)[:5])
    (train,) = _some(splits["train"], classes, [5000 // len(classes)], rng)
    val, test = _some(splits["test"], classes, [2000 // len(classes)] * 2, rng)
    return tuple(names[y] for y in classes), {"train": train, "val": val, "test": test}


def _some(
    split: tuple[NDArray[np.int64], Pixels], classes: NDArray[np.int64], sizes: Sequence[int], rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], Pixels]]:
    """Disjoint random parts of a split with `sizes` images of each of some classes, which get the labels 0, 1, …"""
    label, pixels = split
    order = [rng.permutation(np.flatnonzero(label == y)) for y in classes]
    found, start = [], 0
    for size in sizes:
        index = rng.permutation(np.concatenate([one[start : start + size] for one in order]))
        found.append((np.searchsorted(classes, label[index]), pixels[index]))
        start += size
    return found


@dataclass(frozen=True)
class Case:
    """A cell's data (splits train and val), the carriers in train, and the answers, accuracy and effect of its ERM model."""

    cell: Cell
    dataset: Dataset
    carries: NDArray[np.bool_]
    answers: ModelAnswers
    accuracy: float
    effect: float | None
    seconds: float


def prepare(cell: Cell, root: Path, kept: Path | None = None) -> Case:
    """The images of the cell with the feature planted, and a model trained on them (or read from `kept`)."""
    names, splits = drawn(cell, root)
    test_label, test = splits["test"]
    parts, carries = {}, {}
    for name in ("train", "val"):
        label, pixels = splits[name]
        carries[name] = np.zeros(len(label), dtype=bool)
        if cell.feature:
            of_class = np.flatnonzero(label == cell.label)
            rng = generator(f"audit photographs, carriers, {name}", cell.seed, cell.number)
            chosen = rng.permutation(of_class)[: max(1, round(cell.share * len(of_class)))]
            carries[name][chosen] = True
            pixels = np.where(carries[name][:, None, None, None], cell.planted(pixels, name), pixels)
        parts[name] = Split(label, ArrayImages(pixels))
    dataset = Dataset("planted", names, parts)
    began = time.process_time()
    answers = _trained(cell, dataset, kept)
    seconds = time.process_time() - began
    assert answers.ask
    logits, effect = answers.ask(test), None
    if cell.feature:
        nobody, every = np.zeros(len(test), dtype=bool), np.arange(len(test))
        twin = answers.ask(cell.planted(test, "test"))
        found = cells(logits, test_label, nobody, [cell.label], twin_index=every, twin_logits=twin)
        effect = reliance(found)["feature_effect"]["value"]
    accuracy = float((logits.argmax(axis=1) == test_label).mean())
    return Case(cell, dataset, carries["train"], answers, accuracy, effect, seconds)


def network(num_classes: int, seed: int) -> nn.Module:
    """Three convolutions with strides, global mean, linear."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for incoming, outgoing, size in ((3, 16, 4), (16, 32, 3), (32, 64, 3)):
        layers.append(nn.Conv2d(incoming, outgoing, size, stride=2, padding=1, bias=False))
        layers += [nn.BatchNorm2d(outgoing), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, num_classes))


def _trained(cell: Cell, dataset: Dataset, kept: Path | None) -> ModelAnswers:
    is_tiny, recipe = cell.data == "made-up", "celeba-cpu" if cell.data == "celeba" else "cifar10-cpu"
    changed = {"training.epochs": 1 if is_tiny else EPOCHS, "training.precision": "bf16"}
    settings = configure(recipe=recipe, overrides=changed)
    context = RunContext(replace(settings, seed=cell.seed), dataset, torch.device("cpu"), Silent())
    model, train = network(len(dataset.class_names), cell.seed), dataset.splits["train"]
    path = kept / f"{cell.name}.pt" if kept else None
    if path and path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return ModelAnswers(context, model, cell.name)
    num_classes, batch = len(dataset.class_names), settings.training.batch_size
    fit(
        Trainer(
            model=model,
            method=build_method("erm", {}, TrainingSamples(np.arange(len(train)), train.label, num_classes, batch)),
            feed=context.feed(train.inputs),
            preprocess=context.preprocess(),
            label=torch.from_numpy(train.label),
            num_classes=num_classes,
            settings=settings.training,
            seed=cell.seed,
        ),
        until_epoch=settings.training.epochs,
    )
    if path:
        torch.save(model.state_dict(), path)
    return ModelAnswers(context, model, cell.name)


def audited(case: Case, kept: Path | None = None, skip: str = "") -> dict[str, object]:
    """The result of the audit on a case, by single finders and by all that `spurcli audit` runs, but for the one named `skip`."""
    dataset, cell = case.dataset, case.cell
    labels = {name: split.label for name, split in dataset.splits.items()}
    evidence = Evidence(labels, dataset.class_names, case.answers, held_out="val", dataset=dataset, seed=cell.seed)
    row: dict[str, object] = {}
    found: dict[str, list[Finding]] = {}
    # Of two classes no region can be confirmed, and regions is by far the slowest finder.
    skipped = {skip, "regions"} if len(dataset.class_names) == 2 else {skip}
    finders = [name for name in FINDERS_OF_IMAGES if name not in skipped]
    for name in finders:
        began = time.process_time()
        found[name] = FINDERS.load(name)(evidence)
        row[f"{name} seconds"] = time.process_time() - began
    for name, together in TOGETHER.items():
        began, findings = time.process_time(), [one for each in together for one in found.get(each, ())]
        suspects = ranked(judged(evidence, merged(evidence, findings)))
        row["judging seconds"] = time.process_time() - began
        row |= {f"{name} {key}": value for key, value in _outcome(case, evidence, suspects).items()}
    if kept:
        others = [one for one in suspects if one.status == CONFIRMED and matched(case, evidence, one) is None]
        for one in others:
            where = np.array(one.finding.shown.get("box", []))
            who = dict(one.finding.presence)
            np.savez_compressed(kept / f"{cell.name}-{one.rank}.npz", name=one.finding.name, box=where, **who)
    return row


def _outcome(case: Case, evidence: Evidence, suspects: Sequence[Suspect]) -> dict[str, object]:
    """The rank and carriers of the first suspect that is the planted feature, which ranks are confirmed, and which of them are others."""
    confirmed = [one for one in suspects if one.status == CONFIRMED]
    planted = [one for one in suspects if matched(case, evidence, one) is not None]
    others = [one for one in confirmed if all(one is not each for each in planted)]
    row: dict[str, object] = {
        "confirmed": [one.rank for one in confirmed],
        "others": [_described(case, evidence, one) for one in others],
        "first": f"{suspects[0].finding.finder}: {suspects[0].finding.name}" if suspects else "",
    }
    if planted:
        first = planted[0]
        row |= {"rank": first.rank, "found": f"{first.finding.finder}: {first.finding.name}", "status": first.status}
        row |= matched(case, evidence, first) or {}
    return row


def _described(case: Case, evidence: Evidence, suspect: Suspect) -> str:
    effect = suspect.reliance["feature_effect"]["value"]
    text = f"{suspect.finding.finder}: {suspect.finding.name} (effect {shown(effect)}"
    if suspect.finding.label_index == case.cell.label and case.carries.any():
        mine = evidence.label("train") == case.cell.label
        presence = suspect.finding.presence["train"][mine].astype(float)
        known = ~np.isnan(presence)
        text += f", AUROC {area(presence[known], case.carries[mine][known]):.2f}"
    return text + ")"


KEYS = ("rank", "found", "status", "auc", "precision", "recall", "confirmed", "others", "first")
COLUMNS = ("data", "feature", "share", "strength", "seed", "class", "accuracy", "effect", "training seconds")
COLUMNS += tuple(f"{name} {key}" for name in TOGETHER for key in KEYS)
COLUMNS += tuple(f"{name} seconds" for name in (*FINDERS_OF_IMAGES, "judging"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", help="cifar10, celeba")
    parser.add_argument("--seeds", default="")
    parser.add_argument("--untouched", default="")
    parser.add_argument("--cells", default="1-12")
    parser.add_argument("--strengths", default="", help="for a trial, instead of the strengths of CELLS")
    parser.add_argument("--effects", action="store_true", help="train, and print the effect; no audit")
    parser.add_argument("--skip", default="", choices=["", *FINDERS_OF_IMAGES], help="not this finder")
    parser.add_argument("--cache", type=Path, help="a folder for the trained models")
    parser.add_argument("--kept", type=Path, help="a folder for the carriers of the other suspects")
    parser.add_argument("--out", type=Path, help="a CSV file; rows that it has are not computed again")
    parser.add_argument("--data-root", type=Path, default=Path(".data"))
    parser.add_argument("--tiny", action="store_true", help="one cell of made-up images, to see that it runs")
    asked = parser.parse_args()
    if asked.tiny:
        asked.data, asked.seeds, asked.cells = ["made-up"], "1", "2"
    torch.set_num_threads(1)
    for folder in filter(None, (asked.cache, asked.kept)):
        folder.mkdir(parents=True, exist_ok=True)
    wanted = []
    for data in asked.data:
        for seed in numbers(asked.seeds):
            for number in numbers(asked.cells):
                feature, share, usual = CELLS[data][number - 1]
                strengths = [float(one) for one in asked.strengths.split(",") if one] or [usual]
                wanted += [Cell(data, feature, share, strength, seed, number) for strength in strengths]
        wanted += [Cell(data, "", 0.0, 0.0, seed) for seed in numbers(asked.untouched)]
    done: set[tuple[str, ...]] = set()
    if asked.out and asked.out.exists():
        with asked.out.open(newline="", encoding="utf-8") as stream:
            done = {tuple(row[name] for name in COLUMNS[:5]) for row in csv.DictReader(stream)}
    for cell in wanted:
        first = {name: getattr(cell, name) for name in COLUMNS[:5]}
        if tuple(shown(value) for value in first.values()) in done:
            continue
        case = prepare(cell, asked.data_root, asked.cache)
        row: dict[str, object] = {**first, "accuracy": case.accuracy, "effect": case.effect}
        row |= {"class": case.dataset.class_names[cell.label] if cell.feature else "", "training seconds": case.seconds}
        if not asked.effects:
            row |= audited(case, asked.kept, asked.skip)
        values = [shown(row.get(name)) for name in COLUMNS]
        print(", ".join(f"{key} {value}" for key, value in zip(COLUMNS, values, strict=True) if value), flush=True)
        if asked.out:
            append(asked.out, COLUMNS, row)


if __name__ == "__main__":
    main()
