"""The study that `spurcli demo` runs: the paper's claim on the built-in data set, with its controls and its caveats.

A faint mark on some training images of one digit is learned as if it meant that digit. Six ways to train on the same
data: on all samples; without the hardest of each class, which needs no group labels; without as many random ones; without
the easiest; and, knowing who carries the mark, without the hardest quarter of the carriers, or a random quarter of them.
The settings were chosen on draws 100 to 103 of the data; the demo shows draws from 11 on, which were not used before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spurcli.comparing.arms import Arm, Rule, with_control
from spurcli.comparing.chain import Source
from spurcli.comparing.step import Step
from spurcli.comparing.study import Study

FRACTION, CARRIERS = "0.3", "3/patch"
FIRST_SEED = 11
TITLE = "Does pruning the hardest samples sever a spurious correlation?"
NOTES = (
    "A favourable setting, found by trying about 60 on other draws: heavy-tailed clutter, the digits 3 and 8, an MLP, "
    "scored after 2 epochs. Settings were frozen on draws 100 to 103; the draws shown are others.",
    "Pruning the hardest samples of each class costs accuracy, because the test split has hard samples too. Pruning only among the "
    "carriers does not, but requires the list of carriers.",
    "Carriers tend to be easy here (see the quartiles below); in the paper's unidentifiable settings they are spread evenly.",
    "It fails elsewhere: on MNIST digits with the same clutter and on rendered font digits the feature is learned "
    "first, its carriers become easy, and pruning the hardest of each class does not help.",
)

_INJECT = {
    "feature": "patch",
    "class_name": "3",
    "fraction": "0.3",
    "twin_class": "8",
    "parameters": {"size": 2, "mode": "add", "value": 71},
}
_HEADINGS = {
    "inject": "A faint mark in the corner of 30 % of the training images of digit 3",
    "all": "Train on all samples, and keep the model of epoch 2",
    "score": "How difficult is each training sample for the model of epoch 2?",
    "hardest": "Remove the hardest samples of each class; as controls, as many random samples, and the easiest",
    "carriers": "With group labels: remove only the hardest quarter of the samples with the mark; as a control, a random quarter",
    "train": "Train from scratch on the remaining samples",
    "evaluate": "How does each model classify 8s with the mark?",
}
# Approximate seconds of each command: only their ratios matter, for the remaining time.
_COSTS = {"inject": 0.3, "score": 0.2, "prune": 0.03, "train": 1.5, "evaluate": 0.15}


def study(folder: str, seeds: Sequence[int]) -> Study:
    """The comparison: one seed is one draw of the data and one seed of the training."""
    arms = [
        Arm("all"),
        *with_control(Arm("hardest", rule=Rule(FRACTION)), control="random"),
        Arm("easiest", rule=Rule(FRACTION, select="easiest")),
        *with_control(Arm("carriers", rule=Rule("0.25", per_class=False, group=(CARRIERS,))), control="control"),
    ]
    source = Source("demo", settings={"dataset.options.draw": "{seed}"})
    return Study(Path(folder), source, arms, seeds, inject=_INJECT, title=TITLE, notes=NOTES, threads=1)


def heading(step: Step) -> str | None:
    """The heading above a command, if it begins a part of the demo."""
    named = step.output.stem.removeprefix("keep-") if step.stage == "prune" else step.arm or step.stage
    if step.arm and step.arm != "all":
        named = step.stage if step.arm == "hardest" and step.stage == "train" else ""
    elif step.stage == "evaluate":
        named = "evaluate"
    return _HEADINGS.get(named)


def cost(step: Step) -> float:
    return _COSTS[step.stage]
