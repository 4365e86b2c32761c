"""From the request of `compare` to its study, and the study run: plan, lock, steps, report."""

from __future__ import annotations

import csv
import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from spurcli.artifacts.atomic import write_text
from spurcli.artifacts.lock import lock
from spurcli.comparing.arms import read_arms, slug
from spurcli.comparing.arms_file import StudyFile, read_study_file
from spurcli.comparing.chain import Looks, Source, needs_groups
from spurcli.comparing.estimate import Estimate, estimate
from spurcli.comparing.processes import num_threads, run_in_processes
from spurcli.comparing.reachable import reachable
from spurcli.comparing.request import STANDARD_FOLDER, CompareRequest, CompareResult
from spurcli.comparing.study import Study, each_warning_once
from spurcli.comparing.workflow import run_by_snakemake
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.requests.options import Caller, command_of, overrides_of, several, words_of
from spurcli.requests.report import write as write_report
from spurcli.sharing import shared

if TYPE_CHECKING:
    from spurcli.reporting.document import Report


def study_of(asked: CompareRequest) -> Study:
    """The requested study. Raises UsageError or InputError if it is not possible."""
    folder = Path(asked.output or STANDARD_FOLDER)
    if asked.output == "-":
        raise UsageError("A study is a folder, which cannot go to stdout", "Name a folder with -o.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "Name a folder with -o.")
    named = "erm,prune:0.1" if asked.arms is None else asked.arms
    is_file = isinstance(named, str) and named.endswith(".toml")
    found = (
        read_study_file(Path(str(named)), controls=asked.controls)
        if is_file
        else StudyFile(read_arms(named, controls=asked.controls))
    )
    source = Source(
        reachable(asked.dataset, asked.data_root),
        asked.recipe,
        asked.model,
        overrides_of(asked),
        asked.group_labels,
        asked.feature,
        asked.data_root,
        asked.device,
        asked.workers,
    )
    if wrong := next((key for key in source.settings if key.startswith("method.")), None):
        raise UsageError(
            f"--set {wrong} applies to one method only", f'Put it into FILE.toml: [arms.NAME] set = {{ "{wrong}" = … }}'
        )
    rules = asked.select_epoch.split(",") if isinstance(asked.select_epoch, str) else asked.select_epoch
    looks = Looks(
        several(asked.split) or ["test"],
        [rule.strip() for rule in rules if rule.strip()],
        _groupings(asked),
        asked.evaluate_groups,
        several(asked.feature_of),
    )
    study = Study(
        folder,
        source,
        found.arms,
        read_seeds(asked.seeds),
        looks,
        found.inject,
        found.score,
        asked.title,
        several(asked.note),
        threads_of(asked.jobs, asked.threads),
        force=asked.force,
    )
    if asked.force and (asked.profile is not None or asked.cores is not None):
        raise UsageError("--force has no effect with --profile or --cores", "Name another folder with -o.")
    if asked.group_labels is not None and not any(map(needs_groups, study.all_arms)):
        raise UsageError(
            "--group-labels has no effect: no arm reads group labels",
            f"To evaluate by these groups, write --evaluate-groups {asked.group_labels}",
        )
    assert study.steps  # all errors in them are reported now
    return study


def threads_of(jobs: int, threads: int | None) -> int | None:
    """Threads of each run: as requested, else an equal share of the cores if several run at once; None as torch has it."""
    return threads or (max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None)


def _groupings(asked: CompareRequest) -> list[tuple[str, ...]]:
    """The columns of each evaluation: every `--evaluate-attribute` is one of its own, and A,B crosses two columns."""
    found: dict[str, tuple[str, ...]] = {}
    for word in several(asked.evaluate_attribute):
        # as in a CSV file, so that a name with a comma can be quoted
        columns = tuple(name.strip() for row in csv.reader([word], skipinitialspace=True) for name in row)
        if not columns or not all(columns) or len(set(columns)) < len(columns):
            raise UsageError(f"--evaluate-attribute {word}: a name is missing or twice", "Write, e.g., hospital,sex.")
        if found.setdefault(slug("-".join(columns)), columns) is not columns:
            raise UsageError(f"--evaluate-attribute {word} is there twice", "Name each column once.")
    return list(found.values())


def read_seeds(asked: str | int | Sequence[int]) -> list[int]:
    """5 as 1 to 5, "11-18", "1,4,7", or a sequence."""
    if not isinstance(asked, str | int):
        return [int(seed) for seed in asked]
    if re.fullmatch(r"\d{1,4}", text := str(asked).strip()):
        return list(range(1, int(text) + 1))
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})(?:\s*-\s*(\d{1,18}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not match or not 0 <= last - first < 10_000:
            raise UsageError(
                f"--seeds {asked}: {part!r} is not a seed", "Write --seeds 5, 11-18 or 1,4,7 (one seed: 3,)."
            )
        seeds += range(first, last + 1)
        if text == f"{part},":
            break
    return seeds


def script_of(study: Study) -> str:
    """All commands as a shell script."""
    commands = [*(step.words for step in study.steps), words_of("report", study.report)]
    threads = f"export OMP_NUM_THREADS={study.threads}\n" if study.threads else ""
    lines = "\n".join(shlex.join(["spurcli", *words]) for words in commands)
    return f"#!/bin/sh\n# Everything that this study runs.\nset -e\n{threads}{lines}\n"


def run(
    asked: CompareRequest, caller: Caller, show: Callable[[Estimate], None], show_report: Callable[[Report], None]
) -> CompareResult:
    """As `spurcli.comparing.request.run`."""
    study = study_of(asked)
    result: CompareResult = {
        "output": str(study.folder),
        "arms": [arm.name for arm in study.all_arms],
        "seeds": list(study.seeds),
        "num_commands": len(study.steps) + 1,
        "estimated_seconds": None,
        "report": None,
    }
    with shared(), num_threads(study.threads):
        told = set[str]()
        with each_warning_once(told, ""):
            plan = estimate(study)
        result["estimated_seconds"] = plan.seconds()
        show(plan)
        if asked.dry_run:
            return result

        def work() -> None:
            if asked.profile is not None or asked.cores is not None:
                run_by_snakemake(study, asked.profile, asked.cores)
            elif asked.jobs > 1:
                run_in_processes(study, caller.progress, asked.jobs, plan.cost, told)
            else:
                study.run(caller.progress, cost=plan.cost, told=told)

        result["report"] = carry_out(study, caller, work, show_report)[1]
    return result


def carry_out(
    study: Study,
    caller: Caller,
    work: Callable[[], None],
    show_report: Callable[[Report], None] = lambda _: None,
    lead: Callable[[], Sequence[str]] = lambda: (),
) -> tuple[Report, dict[str, object]]:
    """Do the `work` of the study alone in its folder, then write and show the report, also if some of it failed.

    `lead` are paragraphs that the results say, before the report's own.
    """
    reporter = Caller(caller.progress, command_of("report", study.report))
    with alone(study.folder):
        write_text(study.folder / "commands.sh", script_of(study))
        try:
            work()
        except SpurError:
            if any(step.stage == "evaluate" and step.output.exists() for step in study.steps):
                show_report(write_report(study.report, reporter)[0])
            raise
        found = write_report(study.report, reporter, lead())
    show_report(found[0])
    return found


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with this process."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with lock(folder / ".compare.lock"):
            yield
    except BlockingIOError as error:
        raise SpurError(f"Another spurcli compare is running in {folder}", "Wait for it, or end it.") from error
