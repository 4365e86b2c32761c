"""The steps of a study in several processes of one machine, each as soon as its inputs exist."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path

from spurcli.comparing.step import Step, waits_for
from spurcli.comparing.study import Failures, Study, do, passed_on
from spurcli.errors import Interrupted, SpurError, SpurWarning
from spurcli.progress import Progress, Silent, Span
from spurcli.runtime.signals import leave_to_parent
from spurcli.sharing import shared


@contextmanager
def num_threads(count: int | None) -> Iterator[None]:
    """Let torch compute with `count` threads in this block."""
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_in_processes(
    study: Study, progress: Progress, jobs: int, cost: Callable[[Step], float], told: set[str]
) -> None:
    """As `Study.run`, `jobs` steps at once. Each process keeps the data set that it loaded; if this one dies, all do."""
    steps = study.steps
    failures = Failures(steps, has_force=study.force is not None)
    left = {step.output: step for step in steps}
    before = waits_for(steps)
    costs = {step.output: cost(step) * (0.01 if step.seems_done(force=bool(study.force)) else 1) for step in steps}
    done, total = 0.0, sum(costs.values()) or 1.0
    context = multiprocessing.get_context("spawn")
    running: dict[Future[tuple[list[str], SpurError | None]], Step] = {}
    with ProcessPoolExecutor(jobs, context, _begin, (study.threads,)) as pool:
        try:
            while left or running:
                for step in list(left.values()):
                    if failures.stop(step):
                        del left[step.output]
                    elif len(running) < jobs and not _pending(before[step.output], left, running.values()):
                        running[pool.submit(_do, step, steps, bool(study.force))] = left.pop(step.output)
                for future in wait(running, timeout=None, return_when=FIRST_COMPLETED).done:
                    step = running.pop(future)
                    done += costs[step.output]
                    progress.start(step.name, 0, Span(min(done / total, 1), 0))
                    said, error = future.result()
                    passed_on(said, told, step.name)
                    if error:
                        failures.add(step, error)
                        progress.say(f"{step.name} failed: {error.problem}")
        except BrokenProcessPool as error:
            raise SpurError(
                "A process of the study was killed, perhaps for lack of memory", "Use fewer --jobs."
            ) from error
        except BaseException as error:
            for process in list((pool._processes or {}).values()):
                process.terminate()  # trainings save their state
            if isinstance(error, Exception):
                raise
            number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
            raise Interrupted("The study is stopped", "Run the same command to resume.", number) from error
    failures.raise_any()


def _pending(needed: list[Path], left: dict[Path, Step], running: object) -> bool:
    """Whether an input does not exist yet."""
    at_work = {step.output for step in running}  # type: ignore[attr-defined]
    return any(path in left or path in at_work for path in needed)


def _begin(threads: int | None) -> None:
    """The start of each process: it ends with its parent, and uses its own share of the cores."""
    leave_to_parent()
    parent = multiprocessing.parent_process()
    assert parent

    def end_with_parent() -> None:
        wait_for_any([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    if threads:
        import torch

        torch.set_num_threads(threads)
    shared().__enter__()  # until the process ends


def _do(step: Step, steps: list[Step], force: bool) -> tuple[list[str], SpurError | None]:
    """Do a step; returns its warnings, and its error without parts that cannot be sent between processes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SpurWarning)
        try:
            do(step, Silent(), steps, force=force)
        except (SpurError, Interrupted) as error:  # of one process alone, for instance by a batch system
            failure = SpurError(error.problem, error.hint)
            failure.exit_code = error.exit_code
            return _texts(caught), failure
    return _texts(caught), None


def _texts(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(each.message) for each in caught if issubclass(each.category, SpurWarning)]
