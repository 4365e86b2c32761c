"""How long a study will take: from short trainings on this machine and the times of earlier runs in its folder."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from spurcli.artifacts.history import history_path, read_history
from spurcli.comparing.arms import Arm
from spurcli.comparing.chain import Keywords, needs_checkpoint
from spurcli.comparing.step import Step
from spurcli.comparing.study import Study
from spurcli.errors import SpurError, SpurWarning
from spurcli.progress import Silent
from spurcli.registries import WAYS
from spurcli.requests.evaluate import EvaluateRequest
from spurcli.requests.evaluate import run as run_evaluate
from spurcli.requests.infer import InferRequest
from spurcli.requests.options import Caller
from spurcli.requests.train import TrainRequest
from spurcli.requests.train import run as run_train
from spurcli.settings import Table

_ENOUGH = 1.0  # seconds of a training that say how fast it is
_FIRST = 8  # samples of the shortest one
_TRAININGS = {
    "cross-mistakes": 2,
    "xrm": 6,
}  # of a way of inferring: XRM has two networks for each of three learning rates
_LIGHT = {"inject": 0.5, "prune": 0.1}  # seconds
_FORWARD_SHARE = 0.35  # of the time of a training step, where reading a split to the end would take too long


@dataclass(frozen=True)
class Speed:
    """Seconds on this machine: of each training, of each sample that it sees, of each sample that a model only reads."""

    start: float
    trained: float
    read: float


@dataclass(frozen=True)
class Estimate:
    """The cost of steps in seconds. Without a measured speed, costs only rank the steps."""

    study: Study
    num_samples: Mapping[str, int]
    speed: Speed | None
    taken: Mapping[str, float] = field(default_factory=dict)  # seconds of earlier trainings, by arm

    def seconds(self) -> float | None:
        """The cost of all that is to be done; None if nothing is known."""
        return sum(map(self.cost, self.to_do)) if self.speed else None

    @cached_property
    def to_do(self) -> list[Step]:
        """The steps whose output is not there, or is of another command and is made again."""
        return [step for step in self.study.steps if not step.seems_done(force=bool(self.study.force))]

    def fewer_epochs(self, most: float) -> tuple[int, float] | None:
        """With how many epochs for all arms the study takes `most` seconds at most, and how many it takes; None if it has no
        other number of epochs to choose."""
        trainings = [step for step in self.to_do if step.stage == "train"]
        seconds, epochs = self.seconds(), self.study.settings.training.epochs
        trained = sum(map(self.cost, trainings))
        if seconds is None or not trained or epochs < 2:
            return None
        fewer = min(max(1, int(epochs * (most - seconds + trained) / trained)), epochs - 1)
        return fewer, seconds - trained * (1 - fewer / epochs)

    def cost(self, step: Step) -> float:
        speed, settings = self.speed or Speed(0.1, 1e-4, 3e-5), self.study.settings
        num_train = self.num_samples["train"]
        if step.stage in _LIGHT:
            return _LIGHT[step.stage]
        if step.stage == "evaluate":
            looks = self.study.looks
            times = 2 if self.study.inject or looks.planted or looks.suspects else 1
            num_read = times * self.num_samples.get(step.request.split, 0) + self.num_samples.get("val", 0)
            return 0.05 + num_read * speed.read
        if step.stage == "score":
            epochs = 0 if step.request.checkpoint else settings.scoring.epoch or 0
            runs: int = step.request.runs
            return 0.05 + runs * (self._training(epochs, speed) + num_train * speed.read)
        if step.stage == "infer":
            return 0.05 + self._inferring(step.request, speed)
        if step.arm in self.taken:
            return self.taken[step.arm]
        arm = next(arm for arm in self.study.all_arms if arm.name == step.arm)
        if needs_checkpoint(arm):
            return speed.start + 2 * num_train * speed.read
        epochs = arm.settings.get("training.epochs", settings.training.epochs)
        val = self.num_samples.get("val", 0) if self._looks_at_val(arm) else 0
        num_kept = num_train if arm.same_steps else _num_kept(arm, num_train)
        return speed.start + float(epochs) * (num_kept * speed.trained + val * speed.read)

    def _training(self, epochs: int, speed: Speed) -> float:
        """Seconds of a training on all samples; none for no epoch."""
        return speed.start + epochs * self.num_samples["train"] * speed.trained if epochs else 0

    def _inferring(self, asked: InferRequest, speed: Speed) -> float:
        settings, by = self.study.settings, str(asked.by)
        is_long = by in WAYS and WAYS.entries[by].facts.get("epochs") == "all"
        epochs = 0 if asked.source else settings.training.epochs if is_long else settings.scoring.epoch or 0
        passes = epochs if by == "sebra" else 1  # it ranks the samples of all splits after each epoch
        num_read = passes * sum(self.num_samples.values())
        return _TRAININGS.get(by, 1) * (self._training(epochs, speed) + num_read * speed.read)

    def _looks_at_val(self, arm: Arm) -> bool:
        chosen = arm.settings.get("training.selection", self.study.settings.training.selection)
        return any(rule != "last" for rule in (chosen, *self.study.looks.rules))


def _num_kept(arm: Arm, num_train: int) -> float:
    """About how many samples an arm trains on; how large the groups are that it prunes in is not known yet."""
    return num_train * (1 - float(arm.rule.fraction)) if arm.rule and not arm.rule.group else num_train


def estimate(study: Study) -> Estimate:
    """Load the data set and time a few short trainings on it, a second or two of each kind.

    Raises SpurError if the data set cannot be loaded, or an arm needs groups that it does not have.
    """
    from spurcli.runtime.context import RunContext

    context = RunContext.open(study.settings)
    study.require_groups(context.dataset.group("train") is not None)
    study.require_looks(context.dataset.splits)
    num_samples = {name: len(split) for name, split in context.dataset.splits.items()}
    taken = _taken(study)
    speed = None
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", SpurWarning
        )  # warnings from too few samples; the study itself gives the relevant ones
        with contextlib.suppress(SpurError), tempfile.TemporaryDirectory(prefix="spurcli-") as folder:
            speed = _timed(study, num_samples, Path(folder))
    return Estimate(study, num_samples, speed, taken)


def _timed(study: Study, num_samples: Mapping[str, int], folder: Path) -> Speed:
    num_train = num_samples["train"]
    counts, seconds = [min(_FIRST, num_train)] * 2, []
    for _ in range(2):  # the first one loads modules and decodes images
        seconds.append(_train(study, counts[0], num_train, folder))
    while counts[-1] < num_train and seconds[-1] < _ENOUGH:
        counts.append(min(8 * counts[-1], num_train))
        seconds.append(_train(study, counts[-1], num_train, folder))
    more = counts[-1] - counts[1]
    trained = (seconds[-1] - seconds[1]) / more if more else seconds[-1] / counts[-1]
    trained = max(trained, 1e-9)
    num_read = num_samples.get("val", num_train)
    if num_read * trained * _FORWARD_SHARE > 5:
        return Speed(max(seconds[1] - counts[1] * trained, 0), trained, trained * _FORWARD_SHARE)
    began = math.inf
    for _ in range(2):
        start = time.monotonic()
        _evaluate(study, "val" if "val" in num_samples else "train", folder)
        began = min(began, time.monotonic() - start)
    return Speed(max(seconds[1] - counts[1] * trained, 0), trained, began / max(num_read, 1))


def _train(study: Study, count: int, num_train: int, folder: Path) -> float:
    """Seconds of an epoch on `count` samples, taken at equal distances."""
    keep = folder / f"keep{count}.txt"
    keep.write_text("".join(f"{number * num_train // count}\n" for number in range(count)), encoding="utf-8")
    settings = {"training.epochs": 1, "training.selection": "last", "training.milestones": []}
    request = TrainRequest(keep=keep, output=folder / "model.safetensors", force=True, **_named(study, settings))
    start = time.monotonic()
    run_train(request, Caller(Silent()))
    return time.monotonic() - start


def _evaluate(study: Study, split: str, folder: Path) -> None:
    named = {key: value for key, value in _named(study, {}).items() if key in ("device", "workers", "data_root")}
    named |= {"dataset": study.source.dataset, "model": study.source.model}
    request = EvaluateRequest(folder / "model.safetensors", split=split, output=folder / "evaluation.json", **named)
    run_evaluate(request, Caller(Silent()))


def _named(study: Study, settings: Table) -> Keywords:
    source = study.source.at(study.seeds[0])
    return {
        "dataset": source.dataset,
        "recipe": source.recipe,
        "model": source.model,
        "set": {**source.settings, **settings},
        "data_root": source.data_root,
        "device": source.device,
        "workers": source.workers,
    }


def _taken(study: Study) -> dict[str, float]:
    """Seconds of a training of each arm that has one in the folder."""
    found: dict[str, float] = {}
    for step in study.steps:
        history = history_path(step.output)
        if step.stage == "train" and step.arm not in found and history.is_file():
            with contextlib.suppress(SpurError):
                epochs = read_history(history)["epochs"]
                found[step.arm] = sum(float(epoch.get("seconds") or 0) for epoch in epochs)
    return found
