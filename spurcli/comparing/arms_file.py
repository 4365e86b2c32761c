"""Arms in a TOML file: a table for each, whose name is the arm's folder; and also an injected feature and user-defined scores."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spurcli.artifacts.envelope import require_file
from spurcli.comparing.arms import (
    Arm,
    Rule,
    checked,
    checked_fraction,
    checked_way,
    parse_arm,
    require_auto,
    with_control,
)
from spurcli.errors import InputError, UsageError
from spurcli.registries import METHODS
from spurcli.registry import near
from spurcli.settings import Table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TABLES = ("arms", "inject", "score")
_RULE = {
    "fraction": (str, int, float),
    "select": (str,),
    "per": (str,),
    "group": (str, list),
    "score": (str,),
    "balance_classes": (bool,),
    "balance_groups": (bool,),
    "quotas": (bool,),
}
_ARM = {
    "arm": (str,),
    "method": (str,),
    "keep": (str,),
    "group_labels": (str,),
    "inferred": (str,),
    "recipe": (str,),
    "set": (dict,),
    "same_steps": (bool,),
    "control": (bool, str),
    **_RULE,
}
_INJECT = {
    "class": (str,),
    "feature": (str,),
    "fraction": (str, int, float),
    "count": (int,),
    "twin_class": (str,),
    "parameters": (dict,),
}
_SCORE = {"add": (list,), "runs": (int,), "from_early": (bool,)}


@dataclass(frozen=True)
class StudyFile:
    """The content of a study's file: its arms, the feature to inject (keywords of `inject`), how to score."""

    arms: list[Arm]
    inject: Table = field(default_factory=dict)
    score: Table = field(default_factory=dict)


def read_study_file(path: Path, *, controls: bool = True) -> StudyFile:
    """Read a study's file. Raises InputError or UsageError that name the table and key that are wrong."""
    require_file(path, "a study", "docs/studies.md shows one.")
    if path.stat().st_size > 1 << 20:
        raise InputError(f"{path} is too large for a file of arms", "Check that the right file is named.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid TOML: {str(error)[:120]}", "Fix this line.") from error
    for key in content:
        if key not in _TABLES:
            raise InputError(f"{path}: unknown table {key!r}{near(key, _TABLES)}", f"Choose from: {', '.join(_TABLES)}")
    arms = _table(content.get("arms", {}), f"{path}: arms")
    found = [
        each
        for name, table in arms.items()
        for each in _arms_of(name, _checked(table, _ARM, f"{path}: [arms.{name}]"), path, controls=controls)
    ]
    score = _checked(content.get("score", {}), _SCORE, f"{path}: [score]")
    return StudyFile(checked(found), _injection(content.get("inject", {}), path), score)


def _arms_of(name: str, table: Table, path: Path, *, controls: bool) -> list[Arm]:
    where = f"{path}: [arms.{name}]"
    start = parse_arm(table["arm"]) if "arm" in table else Arm(name)
    method = table.get("method", start.method)
    METHODS.check(method)
    rule, way = start.rule, checked_way(table.get("inferred", start.inferred), where)
    if "fraction" in table or rule:
        rule = _rule(table, where, rule)
    elif wrong := [key for key in _RULE if key in table]:
        raise InputError(f"{where}: {wrong[0]} applies only to pruning", 'Add fraction = "0.1", or remove it.')
    if rule and "keep" in table:
        raise InputError(f"{where}: fraction and keep contradict each other", "Remove one of them.")
    if "inferred" in table and "group_labels" in table:
        raise InputError(f"{where}: inferred and group_labels contradict each other", "Remove one of them.")
    if rule and rule.names_groups and method == "erm":  # ERM reads no groups
        rule, way = replace(rule, inferred=table.get("inferred", rule.inferred)), start.inferred
    if rule:
        require_auto(rule, where)
    arm = Arm(
        name,
        method,
        rule,
        keep=table.get("keep"),
        group_labels=table.get("group_labels"),
        inferred=way,
        recipe=table.get("recipe"),
        settings=_dotted(table.get("set", {})),
        same_steps=table.get("same_steps", False),
    )
    return with_control(arm, control=controls and table.get("control", True))


def _rule(table: Table, where: str, start: Rule | None) -> Rule:
    """The rule of a table, whose keys replace those of the rule it starts from."""
    if start:
        table = {"fraction": start.fraction, "select": start.select, "group": list(start.group), **table}
    group = table.get("group", [])
    groups = (group,) if isinstance(group, str) else tuple(map(str, group))
    per = table.get("per", "group" if groups else "class")
    if per not in ("class", "all", "group"):
        raise InputError(f"{where}: per = {per!r}", 'Write per = "class" or per = "all".')
    return Rule(
        checked_fraction(table["fraction"], where),
        table.get("select", "hardest"),
        per_class=per == "class" and not groups and not table.get("quotas"),
        group=groups,
        balance_classes=table.get("balance_classes", False),
        balance_groups=table.get("balance_groups", False),
        quotas=table.get("quotas", False),
        score=table.get("score"),
        inferred=start.inferred if start else None,
    )


def _injection(content: Any, path: Path) -> Table:
    table = dict(_checked(content, _INJECT, f"{path}: [inject]"))
    if not table:
        return {}
    if "class" not in table:
        raise UsageError(f"{path}: [inject]: which class gets the feature?", 'Add class = "NAME".')
    table["class_name"] = table.pop("class")
    if "fraction" in table:
        table["fraction"] = str(table["fraction"])
    return table


def _dotted(table: Table, prefix: str = "") -> dict[str, Any]:
    """`{training = {epochs = 3}}` and `{"training.epochs" = 3}` alike as `{"training.epochs": 3}`."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        deeper = isinstance(value, dict) and "." not in f"{prefix}{key}"
        found |= _dotted(value, f"{prefix}{key}.") if deeper else {f"{prefix}{key}": value}
    return found


def _table(content: Any, where: str) -> Table:
    if not isinstance(content, dict):
        raise InputError(f"{where} is not a table", "docs/studies.md shows one.")
    return content


def _checked(content: Any, kinds: Mapping[str, tuple[type, ...]], where: str) -> Table:
    for key, value in _table(content, where).items():
        if key not in kinds:
            raise InputError(f"{where}: unknown key {key!r}{near(key, kinds)}", f"Choose from: {', '.join(kinds)}")
        if type(value) not in kinds[key]:
            names = " or ".join(kind.__name__ for kind in kinds[key])
            raise InputError(f"{where}: {key} = {str(value)[:40]!r} is not of the kind {names}", "Fix this line.")
    return content  # type: ignore[no-any-return]
