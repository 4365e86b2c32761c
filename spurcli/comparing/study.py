"""A study: arms × seeds on one data set, from scores to the report, in this process.

    from spurcli.comparing.arms import read_arms
    from spurcli.comparing.chain import Source
    from spurcli.comparing.study import Study

    study = Study(Path("study"), Source("xrays.csv", recipe="own-images-cpu"), read_arms("erm,prune:0.1"), seeds=[1, 2, 3])
    study.run(progress)     # every step in order, then study/report.html; what is done already is not repeated

`study.steps` are the commands in their order, each a request to one stage: `step.words` is its command line, `step.output`
its file. `study.run` takes part of them too (`only=`), so that other code can plan with arms and look at the files between.
The folders are study/seedN/ARM/, shared files are in study/seedN/. Data sets are loaded and decoded once.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spurcli.artifacts.unfinished import folder_of
from spurcli.comparing.arms import Arm, checked
from spurcli.comparing.chain import Chain, Looks, Source, needs_early, needs_groups
from spurcli.comparing.step import Step, waits_for
from spurcli.epoch_rules import RULES
from spurcli.errors import SpurError, SpurWarning, UsageError
from spurcli.progress import Progress, Span
from spurcli.registries import METHODS
from spurcli.registry import near
from spurcli.requests.configured import Inherited, configured
from spurcli.requests.report import ReportRequest
from spurcli.requests.train import TrainRequest
from spurcli.sharing import shared
from spurcli.words import counted

if TYPE_CHECKING:
    from spurcli.settings import Settings, Table


@dataclass(frozen=True)
class Study:
    """The comparison, and the location of the files. `inject` are keywords of `inject`, `score` says how to score."""

    folder: Path
    source: Source
    arms: Sequence[Arm]
    seeds: Sequence[int]
    looks: Looks = field(default_factory=Looks)
    inject: Table = field(default_factory=dict)
    score: Table = field(default_factory=dict)
    title: str | None = None
    notes: Sequence[str] = ()
    threads: int | None = None  # of each run; None as torch has it
    first: Sequence[Step] = ()  # what is done before the seeds
    force: bool | None = (
        None  # whether what other settings left in the folder is replaced; None: its command has no --force
    )

    @cached_property
    def all_arms(self) -> list[Arm]:
        """The arms with ERM on all samples before them, if others need its model and none of them is it."""
        arms = checked(self.arms)
        missing = any(map(needs_early, arms)) and not any(arm.is_erm for arm in arms)
        return checked([Arm("erm"), *arms]) if missing else arms

    @cached_property
    def settings(self) -> Settings:
        """The settings of the first seed's training on all samples."""
        source = self.source.at(self.seeds[0])
        asked = TrainRequest(
            dataset=source.planted or source.dataset,
            recipe=source.recipe,
            model=source.model,
            set={k: v for k, v in source.settings.items() if not (source.planted and k.startswith("dataset."))},
            feature=source.feature,
            device=source.device,
            data_root=source.data_root,
            workers=source.workers,
        )
        uses = ("dataset", "model", "method", "training")
        return configured(asked, Inherited(), seed=self.seeds[0], uses=uses)

    @cached_property
    def steps(self) -> list[Step]:
        """All commands but the report, seed by seed. Raises UsageError for an impossible study before any work."""
        if len(set(self.seeds)) < len(self.seeds) or not self.seeds:
            raise UsageError("--seeds is empty or names a seed twice", "Write --seeds 5, 11-18 or 1,4,7.")
        for rule in self.looks.rules:
            if rule not in RULES:
                raise UsageError(f"Unknown epoch rule {rule!r}{near(rule, RULES)}", f"Choose from: {', '.join(RULES)}")
        arms, early = self.all_arms, self._early()
        for arm in arms:
            if not arm.recipe:  # which may name a rule
                chosen = arm.settings.get("training.selection", self.settings.training.selection)
                _require_use(arm, (*self.looks.rules, str(chosen)))
        scoring = self.settings.scoring
        reading = {} if scoring.precision == type(scoring)().precision else {"scoring.precision": scoring.precision}
        found = list(self.first)
        for seed in self.seeds:
            source = self.source.at(seed)
            found += Chain(self.folder, seed, source, arms, self.looks, self.inject, self.score, early, reading).steps()
        return found

    def _early(self) -> int | None:
        """After which epoch the early model is taken; None if its training is not that of ERM on all samples.

        It is saved even if no arm needs it yet, because arms may be added later; not for a suspect, whose arms are fixed.
        """
        from spurcli.training.early_training import early_epoch

        is_needed = any(map(needs_early, self.all_arms))
        epoch = self.settings.scoring.epoch
        is_last = bool(self.looks.suspects) or epoch is None or epoch > self.settings.training.epochs
        if not is_needed and is_last:
            return None
        early = early_epoch(self.settings)
        if early == 0 and any(arm.rule and arm.rule.quotas for arm in self.all_arms):
            raise UsageError("Class quotas need a trained early model", "Set scoring.epoch=1 or more.")
        return early or None

    def require_groups(self, has_groups: bool) -> None:
        """Raise UsageError if an arm reads group labels and there are none."""
        lacking = [arm.name for arm in self.all_arms if needs_groups(arm)]
        if lacking and not has_groups and not self.inject and not self.source.group_labels:
            raise UsageError(
                f"{lacking[0]} needs group labels, and the data set has none",
                "Name them with --group-labels groups.txt, or infer them: METHOD+mistakes, prune:0.5@auto+sebra (spurcli infer "
                "--help).",
            )

    def require_looks(self, splits: Collection[str]) -> None:
        """Raise UsageError or InputError if models cannot be evaluated as requested; otherwise this would appear only after all trainings."""
        from spurcli.datasets import load_dataset
        from spurcli.evaluation.regroup import with_columns

        if lacking := [name for name in self.looks.splits if name not in splits]:
            others = [name for name in splits if name != "train"]
            hint = f"Name an existing split: --split {others[0]}" if others else "Add a split to evaluate on."
            raise UsageError(f"The data set has no split {lacking[0]!r}; it has: {', '.join(splits)}", hint)
        flags = [("--evaluate-attribute", self.looks.attributes), ("--evaluate-groups", self.looks.group_labels)]
        given = [flag for flag, value in flags if value]
        if len(given) == 2:
            raise UsageError(f"{' and '.join(given)} both make the groups", "Remove one of them.")
        if given and (self.inject or self.settings.dataset.injection):
            raise UsageError(f"{given[0]} has no effect: the injected feature makes the groups", "Remove it.")
        for columns in self.looks.attributes:
            named = {"flag": flags[0][0], "file_flag": flags[1][0]}
            dataset = with_columns(self.settings, columns, **named).dataset
            size = self.settings.preprocessing.decode_size
            load_dataset(dataset.name, dataset.options, data_root=self.settings.data_root, image_size=size)

    @property
    def report(self) -> ReportRequest:
        """What is asked of the report at the end."""
        return ReportRequest(
            [self.folder],
            title=self.title,
            note=list(self.notes) or None,
            data_root=self.source.data_root,
            output=self.folder / "report.html",
        )

    def run(
        self,
        progress: Progress,
        *,
        only: Collection[Step] | None = None,
        cost: Callable[[Step], float] = lambda _: 1.0,
        before: Callable[[Step], None] = lambda _: None,
        told: set[str] | None = None,
    ) -> None:
        """Do all steps, or `only` those, one after the other. Finished steps are kept; steps that depend on a failed one are left out.

        `cost` is the relative time of a step, for the remaining time; `before` is called with each step that begins; `told`
        are warnings that were given before (`each_warning_once`). Raises Interrupted at once, and SpurError at the end if a
        step failed.
        """
        steps = [step for step in self.steps if only is None or step in only]
        failures = Failures(steps, has_force=self.force is not None)
        seem_done = [step.seems_done(force=bool(self.force)) for step in steps]
        costs = [cost(step) * (0.01 if is_done else 1) for step, is_done in zip(steps, seem_done, strict=True)]
        done, total = 0.0, sum(costs) or 1.0
        told = set() if told is None else told
        with shared():
            for step, width, is_done in zip(steps, costs, seem_done, strict=True):
                span = Span(done / total, width / total)
                done += width
                if failures.stop(step):
                    continue
                before(step)
                progress.start(f"{step.place}: checking the files that are there" if is_done else step.name, 0, span)
                try:
                    with each_warning_once(told, step.name):
                        do(step, StepProgress(progress, step.place, span), steps, force=bool(self.force))
                except SpurError as error:
                    failures.add(step, error)
                    progress.say(f"{step.name} failed: {error.problem}")
        failures.raise_any()


def _require_use(arm: Arm, rules: Iterable[str]) -> None:
    """Raise UsageError if nothing reads the groups that an arm infers: neither its method nor one of the `rules` that choose its epoch."""
    needs = METHODS.entries[arm.method].facts.get("needs", "") if arm.method in METHODS.entries else "groups"
    is_read = "groups" in str(needs)
    if arm.inferred and not is_read and not any(RULES[rule].reads_inferred for rule in rules if rule in RULES):
        way = f"{arm.method}+{arm.inferred}"
        raise UsageError(
            f"{way}: {arm.method} reads no groups, so inferred ones have no effect",
            f"Write {arm.method}, or let the groups choose the epoch: --select-epoch best-val-inferred-worst-group.",
        )


def do(step: Step, progress: Progress, steps: Collection[Step], *, force: bool = False) -> None:
    """Do a step unless it is done; with `force` also where that replaces what another run left.

    Raises SpurError before a list is replaced that a model was trained with: the training would be refused afterwards.
    """
    made = {path for each in steps for path in each.makes}
    read = list(step.reads(made))
    if step.is_done(read):
        return
    if step.stage == "prune" and not force and step.is_of_another(read):
        trained = [each for each in steps if each.stage == "train" and step.output in each.reads(made)]
        if any(folder_of(each.output).exists() or each.output.exists() for each in trained):
            raise SpurError(
                f"{step.output} was made by another command or from other files, and a model was trained with it",
                "Choose another folder, or replace it with --force.",
            )
    step.run(progress, force=force)


class Failures:
    """The steps that failed, and those that depend on them."""

    def __init__(self, steps: Collection[Step], *, has_force: bool) -> None:
        self._waits_for, self._has_force = waits_for(steps), has_force
        self._failed: dict[Path, tuple[Step, SpurError]] = {}
        self._left_out: set[Path] = set()

    def add(self, step: Step, error: SpurError) -> None:
        self._failed[step.output] = step, error

    def stop(self, step: Step) -> bool:
        """Whether the step reads what a step that failed, or was left out, was to make."""
        lacking = any(each in self._failed or each in self._left_out for each in self._waits_for[step.output])
        if lacking:
            self._left_out.add(step.output)
        return lacking

    def raise_any(self) -> None:
        if self._failed:
            step, error = next(iter(self._failed.values()))
            num_more, num_left = len(self._failed) - 1, len(self._left_out)
            more = f"; {counted(num_more, 'more command')} failed" if num_more else ""
            if num_left:
                more += f"; {counted(num_left, 'later command')} {'was' if num_left == 1 else 'were'} left out"
            hint = f"{error.hint} Then run the same command again."
            if error.is_forceable:
                way = ", or replace what does not fit with --force" if self._has_force else ""
                hint = f"Name another folder with -o{way}."
            failure = SpurError(f"{step.name}: {error.problem}{more}", hint)
            failure.exit_code = error.exit_code
            raise failure from error


@dataclass(frozen=True)
class StepProgress:
    """The progress of one step of many: its part of the whole; its remarks are those of a command typed alone, left out."""

    job: Progress
    place: str
    outer: Span

    def start(self, what: str, total: int, span: Span | None = None) -> None:
        self.job.start(f"{self.place}: {what}", total, (span or Span(0, 0)).within(self.outer))

    def advance(self, num_samples: int) -> None:
        self.job.advance(num_samples)

    def say(self, message: str) -> None:
        pass


@contextmanager
def each_warning_once(told: set[str], where: str) -> Iterator[None]:
    """Pass on warnings, each with `where` it arose; of those that differ only in numbers and paths the first."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SpurWarning)
        yield
    for each in caught:
        if not issubclass(each.category, SpurWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    passed_on([str(each.message) for each in caught if issubclass(each.category, SpurWarning)], told, where)


def passed_on(messages: Sequence[str], told: set[str], where: str) -> None:
    """Pass on warnings that were not given yet."""
    for message in messages:
        kind = re.sub(r"\S*[/\d]\S*", "#", message)
        if kind not in told:
            told.add(kind)
            warnings.warn(f"{where}: {message}" if where else message, SpurWarning, stacklevel=2)
