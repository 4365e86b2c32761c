"""How a study is shown: the plan as a table, its time as a line, the report at the end."""

from __future__ import annotations

from dataclasses import replace

from rich.table import Table
from rich.text import Text

from spurcli.comparing.arms import Arm
from spurcli.comparing.estimate import Estimate
from spurcli.reporting.document import Report
from spurcli.words import counted, duration

_LONG = 600  # seconds


def plan_table(plan: Estimate) -> Table:
    """One row per arm: its samples, its method, and how many runs exist already."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("arm", "method", "trains on", "done"):
        table.add_column(name, justify="right" if name == "done" else "left", overflow="fold")
    study = plan.study
    for arm in study.all_arms:
        steps = [step for step in study.steps if step.arm == arm.name and step.stage == "train"]
        done = sum(step.output.exists() for step in steps)
        told = arm
        if study.looks.suspects and arm.rule:  # the command names the suspects above the table
            told = replace(arm, rule=replace(arm.rule, group=("the carriers",)))
        table.add_row(*map(Text, (arm.name, arm.method, _trains_on(told), f"{done} of {len(steps)}")))
    return table


def _trains_on(arm: Arm) -> str:
    rule = arm.rule
    if arm.keep:
        return f"the list {arm.keep}"
    if arm.match:
        return f"random samples removed, as many as in {arm.match}"
    if rule is None:
        groups = f", groups: {arm.inferred or arm.group_labels}" if arm.inferred or arm.group_labels else ""
        return f"all samples{groups}"
    where = f" of {', '.join(rule.group)}" if rule.group else " of each class" if rule.per_class else ""
    if rule.takes_all:
        return f"all but {', '.join(rule.group)}"
    where += f", groups: {rule.inferred}" if rule.inferred else ""
    return f"all but the {rule.select} {100 * float(rule.fraction):g} %{where}"


def time_line(plan: Estimate) -> str:
    study = plan.study
    trainings = counted(sum(step.stage == "train" for step in study.steps), "training")
    commands = counted(len(study.steps) + 1, "command")
    seconds = plan.seconds()
    left = "unknown time" if seconds is None else f"about {duration(seconds)} on this machine"
    if not plan.to_do:
        left = "everything is there, the report is written again"
    return f"{counted(len(study.seeds), 'seed')}, {trainings}, {commands} → {study.folder}: {left}"


def shorter_line(plan: Estimate) -> str:
    """How a plan of more than ten minutes can be made shorter; "" for a short one."""
    seconds = plan.seconds()
    if seconds is None or seconds <= _LONG:
        return ""
    ways = []
    if found := plan.fewer_epochs(_LONG):
        epochs, left = found
        ways.append(f"train less (--set training.epochs={epochs}: about {duration(left)})")
    if plan.study.settings.dataset.name != "embeddings":
        ways.append("train a linear head on a frozen network (spurcli data embed --help)")
    return f"To make it shorter: {' or '.join(ways)}" if ways else ""


def show_report(report: Report) -> None:
    """The tables of arms on stderr, and the claims of the report."""
    from spurcli.cli.console import console, say
    from spurcli.reporting.terminal import terminal_tables

    if report.metrics:
        for table in terminal_tables(report):
            console().print(table)
    for sentence in report.verdict:
        say(sentence)
