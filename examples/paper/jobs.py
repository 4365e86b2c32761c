"""The spurcli commands behind a plan, with the files that each waits for: the Snakefile runs them, cost.py adds them up, collect.py reads them.

Everything is written for one seed, whose number is {seed} in paths and words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plan import CLEAN, ERM, LAST, RANDOM, Plan, Point, World

HEAVY = ("train", "score", "mistakes", "predictions", "evaluate")  # they compute with a model


@dataclass(frozen=True)
class Job:
    """One command of a `stage` (a rule of the Snakefile): it makes `output` of `inputs`. `arm` is what it trains, if anything."""

    stage: str
    output: str
    inputs: tuple[str, ...]
    words: str
    world: World
    arm: str = ""


class Jobs:
    """All jobs that the points of a plan need, by their first output; each once."""

    def __init__(self, plan: Plan, out: str) -> None:
        self.plan, self.out, self.workers = plan, out, f"--workers {plan.config['workers']}"
        self.by_output: dict[str, Job] = {}
        for point in plan.points:
            self.result_of(point)

    def result_of(self, point: Point) -> str:
        """The file that the point is read from."""
        is_of_scores = point.quartiles_of or point.strip_of
        return self._scores(self.plan.worlds[point.world]) if is_of_scores else self._evaluation(point)

    def behind(self, points: Iterable[Point]) -> list[Job]:
        """The jobs that these points rest on, directly or not, in an order in which they could be run."""
        found: dict[str, Job] = {}

        def need(output: str) -> None:
            job = self.by_output[output]
            for path in job.inputs:
                need(path)
            found.setdefault(output, job)

        for point in points:
            need(self.result_of(point))
        return list(found.values())

    def _job(self, stage: str, world: World, output: str, inputs: Iterable[str], *words: str, arm: str = "") -> str:
        job = Job(stage, output, tuple(inputs), " ".join(filter(None, words)), world, arm)
        return self.by_output.setdefault(output, job).output

    def _at(self, world: World, name: str) -> str:
        return f"{self.out}/{world.name}/seed{{seed}}/{name}"

    def _data(self, world: World, *, again: bool = False) -> str:
        """A data set, or the inject.json that stands for it; `again` to later stages, which know what has no path or code."""
        if world.inject:
            return f"--dataset {self._at(world, 'inject.json')}"
        return world.confirm if again else world.data

    def _injection(self, world: World) -> list[str]:
        if not world.inject:
            return []
        output = self._at(world, "inject.json")
        scores = [self._scores(self.plan.worlds[world.base])] if world.placed else []
        words = [f"inject {world.data} {world.inject}", *(f"--scores {path}" for path in scores)]
        return [self._job("inject", world, output, scores, *words, f"--seed {{seed}} -o {output}")]

    def _training(self, world: World, arm: str) -> str:
        """The empty file that says a training is done."""
        output, inputs, keep = self._at(world, f"{arm}/.trained"), self._injection(world), "all"
        if world.is_listed(arm):
            inputs.append(keep := self._list(world, arm))
        method = world.methods.get(arm, "")
        for key, make in (("errors", self._mistakes), ("predictions", self._predictions), ("erm", self._erm)):
            if f"{{{key}}}" in method:
                inputs.append(make(world))
                method = method.replace(f"{{{key}}}", model_of(inputs[-1]))
        saved = ",".join(world.saved_epochs(arm))
        words = [f"train {self._data(world)} {world.train}", method, f"--keep {keep}"]
        words += [f"--save-epochs {saved}" if saved else "", f"--seed {{seed}} {self.workers} -o {model_of(output)}"]
        return self._job("train", world, output, inputs, *words, arm=arm)

    def _erm(self, world: World) -> str:
        return self._training(world, ERM)

    def _early(self, world: World) -> str:
        """ERM after the epoch that is scored: it answers for all that want an early model."""
        return f"{model_of(self._erm(world), f'epoch{world.early}')} {self._data(world, again=True)}"

    def _scores(self, world: World) -> str:
        output = self._at(world, "scores.h5")
        words = f"score --checkpoint {self._early(world)} {self.workers} -o {output}"
        return self._job("score", world, output, [self._erm(world)], words)

    def _mistakes(self, world: World) -> str:
        """Of ERM's early model, or of JTT's own settings where the configuration has them."""
        output, groups = self._at(world, "errors.txt"), self._at(world, "mistakes.txt")
        own = f"{self._data(world)} {world.train} {world.stage1} --seed {{seed}}"
        words = f"infer {own if world.stage1 else self._early(world)} --by mistakes {self.workers}"
        inputs = [] if world.stage1 else [self._erm(world)]
        return self._job("mistakes", world, output, inputs, words, f"--save-errors {output} -o {groups}")

    def _predictions(self, world: World) -> str:
        output = self._at(world, "predictions.txt")
        words = f"infer {self._early(world)} --by predictions {self.workers} -o {output}"
        return self._job("predictions", world, output, [self._erm(world)], words)

    def _list(self, world: World, arm: str) -> str:
        output, scores = self._at(world, f"{arm}.txt"), self._scores(world)
        end = f"--seed {{seed}} -o {output}"
        if arm in world.lists:
            return self._job("prune", world, output, [scores], f"prune {scores} {world.lists[arm]}", end)
        other = self._list(world, arm.removesuffix(RANDOM))
        words = f"prune {scores} --match {other}"
        return self._job("control", world, output, [scores, other], words, world.control, end)

    def _evaluation(self, point: Point) -> str:
        world, is_clean = self.plan.worlds[point.world], point.arm == CLEAN
        output = self._at(world, f"{point.arm}/{point.model}.{point.split}.evaluation.json")
        source, arm = self.plan.training_behind(point.world, point.arm)
        trained = self._training(self.plan.worlds[source], arm)
        words = [f"evaluate {model_of(trained, point.model)}", self._data(world, again=True)]
        words += ["--allow-injection-mismatch" if is_clean else "", f"--split {point.split} {self.workers} -o {output}"]
        return self._job("evaluate", world, output, [trained, *(self._injection(world) if is_clean else [])], *words)


def model_of(path: str, which: str = LAST) -> str:
    """The model that a training leaves beside its .trained; another file as it is."""
    return path.replace(".trained", "model.safetensors" if which == LAST else f"model.{which}.safetensors")


def for_seed(text: str, seed: int | str) -> str:
    return text.replace("{seed}", str(seed))
