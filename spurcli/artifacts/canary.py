"""canary.json: the effect of pruning on planted features for each fraction, and the forecast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spurcli.artifacts.atomic import write_json
from spurcli.artifacts.catalogue import CANARY, require_kind
from spurcli.artifacts.envelope import JsonObject, field, optional_field, read_json_artifact
from spurcli.artifacts.provenance import read_provenance
from spurcli.errors import InputError

_HINT = "Make one with: spurcli canary --dataset NAME"
_NUMBERS = ("effect", "effect_random", "ratio", "ratio_to_all", "cost", "cost_against_random")


def write_canary(path: Path, content: Mapping[str, object]) -> None:
    write_json(path, {"format": CANARY.format, "version": CANARY.version, **content})


def read_canary(path: Path) -> JsonObject:
    """The content; everything that is shown is checked."""
    require_kind(path, CANARY, _HINT)
    content = read_json_artifact(path, CANARY.format, CANARY.version, _HINT)
    where = str(path)
    for name in ("dataset", "split", "verdict"):
        field(content, name, str, where)
    for name in ("share", "max_cost"):
        field(content, name, (int, float), where)
    optional_field(content, "fraction", str, where)
    for canary in _objects(content, "canaries", where):
        field(canary, "name", str, f"{where}: canaries")
        field(canary, "counts", bool, f"{where}: canaries")
        field(canary, "reason", str, f"{where}: canaries")
        _check(canary, "effect_all", f"{where}: canaries")
    for row in _objects(content, "fractions", where):
        field(row, "fraction", str, f"{where}: fractions")
        for name in ("helps", "affordable"):
            field(row, name, bool, f"{where}: fractions")
        for name in _NUMBERS:
            _check(row, name, f"{where}: fractions")
    _objects(content, "runs", where)
    read_provenance(content.get("provenance"), where)
    return content


def _objects(content: JsonObject, name: str, where: str) -> list[JsonObject]:
    found = field(content, name, list, where)
    if not all(isinstance(item, dict) for item in found):
        raise InputError(f"{where}: {name} holds a value that is not an object", "See docs/formats.md for the layout.")
    return list(found)


def _check(content: JsonObject, name: str, where: str) -> None:
    """A value with its interval over seeds, either of which may be unknown."""
    found = field(content, name, dict, where)
    if not {"value", "interval"} <= set(found):
        raise InputError(f"{where}: {name} has no value or no interval", "See docs/formats.md for the layout.")
    optional_field(found, "value", (int, float), where)
    field(found, "num_seeds", int, where)
    ends = optional_field(found, "interval", list, where)
    if ends is not None and (len(ends) != 2 or any(type(end) not in (int, float) for end in ends)):
        raise InputError(f"{where}: an interval is not two numbers", "See docs/formats.md for the layout.")
