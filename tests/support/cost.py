"""What tests cost: CPU seconds of each, its child processes included, shown at the end by `pytest --cost 20`.

CPU time says the same on a busy machine; what a fixture takes counts for the first test that asks for it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest
from warm import cpu_seconds

_AT = pytest.StashKey[float]()
_TAKEN: Counter[str] = Counter()


def _now() -> float:
    times = os.times()  # of children only those that were waited for
    return times.user + times.system + times.children_user + times.children_system + cpu_seconds()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cost", type=int, default=0, metavar="N", help="show the N tests that took most CPU time")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[_AT] = _now()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    report.cpu = (now := _now()) - item.stash[_AT]  # type: ignore[attr-defined]  # goes from worker to controller with the rest
    item.stash[_AT] = now
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _TAKEN[report.nodeid] += getattr(report, "cpu", 0.0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if number := config.getoption("--cost"):
        terminalreporter.section(f"{sum(_TAKEN.values()):.0f} s of CPU time in {len(_TAKEN):,} tests; most took")
        for name, seconds in _TAKEN.most_common(number):
            terminalreporter.line(f"{seconds:7.2f} s  {name}")
