"""The commands of `spurcli demo`: the paper's claim on the built-in data set, with its controls and its caveats.

A faint mark on some training images of one digit is learned as if it meant that digit. Six ways to train on the same
data: on all samples; without the hardest of each class, which needs no group labels; without as many random ones; without
the easiest; and, knowing who carries the mark, without the hardest quarter of the carriers, or a random quarter of them.
The settings were chosen on draws 100 to 103 of the data; the demo shows draws from 11 on, not looked at before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from spurcli.progress import Span

FRACTION, CARRIERS = "0.3", "3/patch"
FIRST_SEED = 11
TITLE = "Does pruning the hardest samples sever a spurious correlation?"
NOTES = (
    "A favourable setting, found by trying about 60 on other draws: heavy-tailed clutter, the digits 3 and 8, an MLP, "
    "scored after 2 epochs. Settings were frozen on draws 100 to 103; the draws shown are others.",
    "Pruning the hardest of each class costs accuracy: the test split has hard samples too. Pruning only among the "
    "carriers does not, but needs to know who carries the feature.",
    "Carriers lean easy here (see the quartiles below); in the paper's unidentifiable settings they are spread evenly.",
    "It fails elsewhere: on MNIST digits with the same clutter and on rendered font digits the feature is learned "
    "first, its carriers become easy, and pruning the hardest of each class does not help.",
)

# Seconds of each command, about: only their relation matters, for the time left.
_COSTS = {"inject": 0.6, "score": 3.0, "prune": 0.1, "train": 2.0, "evaluate": 0.5}

Command = list[str]


def stages(folder: str, seed: int) -> Iterator[tuple[str, list[Command]]]:
    """What is done with one seed: a heading, and the words of the commands below it (without `spurcli`)."""
    here = PurePosixPath(folder, f"seed{seed}")
    data, scores = f"{here}/inject.json", f"{here}/scores.h5"
    lists = {arm: f"{here}/keep-{arm}.txt" for arm in ("hardest", "random", "easiest", "carriers", "control")}
    mark = ["--set", "feature.size=2", "--set", "feature.mode=add", "--set", "feature.value=71"]
    draw = ["--dataset", "demo", "--set", f"dataset.options.draw={seed}", "--seed", str(seed)]
    yield (
        "A faint mark in the corner of 30 % of the training images of digit 3",
        [
            [
                "inject",
                *draw,
                "--class",
                "3",
                "--fraction",
                "0.3",
                "--twin-class",
                "8",
                "--feature",
                "patch",
                *mark,
                "-o",
                data,
            ]
        ],
    )
    yield (
        "How difficult is each training sample, early in training?",
        [["score", "--dataset", data, "--seed", str(seed), "-o", scores]],
    )
    drawn = ["--seed", str(seed)]
    yield (
        "The hardest of each class go; as controls as many random ones, and the easiest",
        [
            ["prune", scores, "--fraction", FRACTION, "--per-class", "-o", lists["hardest"]],
            ["prune", scores, "--match", lists["hardest"], *drawn, "-o", lists["random"]],
            ["prune", scores, "--fraction", FRACTION, "--per-class", "--select", "easiest", "-o", lists["easiest"]],
        ],
    )
    yield (
        "With group labels: only the hardest quarter of those that carry the mark; as control a random quarter",
        [
            ["prune", scores, "--fraction", "0.25", "--group", CARRIERS, "-o", lists["carriers"]],
            ["prune", scores, "--match", lists["carriers"], "--match-groups", *drawn, "-o", lists["control"]],
        ],
    )
    models = {"all": ["--dataset", data, "--keep", "all"], **{arm: ["--keep", path] for arm, path in lists.items()}}
    yield (
        "Train from scratch on what is left",
        [
            ["train", *source, "--seed", str(seed), "-o", f"{here}/{arm}/model.safetensors"]
            for arm, source in models.items()
        ],
    )
    yield (
        "What does each model do with 8s that carry the mark?",
        [["evaluate", f"{here}/{arm}/model.safetensors", "-o", f"{here}/{arm}/evaluation.json"] for arm in models],
    )


def spans(folder: str, seed: int) -> Iterator[Span]:
    """Which part of the work of one seed each of its commands is, in order."""
    costs = [_COSTS[command[0]] for _, commands in stages(folder, seed) for command in commands]
    done = 0.0
    for cost in costs:
        yield Span(done / sum(costs), cost / sum(costs))
        done += cost


def report(folder: str) -> Command:
    """The words of the last command."""
    notes = [word for note in NOTES for word in ("--note", note)]
    return ["report", folder, "--title", TITLE, *notes, "-o", f"{folder}/report.html"]


def script(folder: str, seeds: Sequence[int]) -> list[Command]:
    """All commands in order, as they can be typed by hand."""
    every = [command for seed in seeds for _, commands in stages(folder, seed) for command in commands]
    return [*every, report(folder)]
