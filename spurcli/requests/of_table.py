"""The options of a table of predictions: the columns, and the options that have no effect with a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spurcli.errors import UsageError
from spurcli.requests.options import TABLE, Field, fields_of, parse_sets, several

if TYPE_CHECKING:  # requests are imported for --help
    from spurcli.datasets.prediction_table import PredictionColumns

_READING = ("separator", "quoting", "encoding", "split_values")


def refuse_columns(asked: Any) -> None:
    """Raise UsageError for a column that is named without a table."""
    of_data = ("label", "split_column") if hasattr(asked, "image") and (asked.dataset or asked.recipe) else ()
    if given := [field for field in _given(asked) if field.name not in of_data]:
        flag = given[0].flag
        raise UsageError(f"{flag} requires a table of predictions", f"Add --predictions FILE, or remove {flag}.")


def prediction_table(asked: Any, allowed: Sequence[str]) -> tuple[Path, PredictionColumns]:
    """The table and its columns; UsageError for other options that have no effect, except the `allowed` ones."""
    from spurcli.artifacts.catalogue import PREDICTIONS, recognise
    from spurcli.datasets.prediction_table import PredictionColumns
    from spurcli.datasets.tables import Reading

    file = Path(asked.predictions)
    kind = recognise(file) if file.is_file() else None
    if kind == PREDICTIONS:
        raise UsageError(f"{file} is not a table", f"Name it without --predictions: spurcli evaluate {file}")
    if kind:
        raise UsageError(f"{file} is {kind.noun}, not a table of predictions", kind.used(file))
    sets = parse_sets(asked.set)
    reading = {key.removeprefix("dataset.options."): value for key, value in sets.items()}
    is_alone = not ("dataset" in allowed and asked.dataset)  # other settings are those of a data set beside the table
    if not is_alone:
        reading = {key: value for key, value in reading.items() if key in _READING}
    elif wrong := next((key for key in reading if key not in _READING), None):
        options = ", ".join(f"dataset.options.{name}" for name in _READING)
        key = wrong if wrong in sets else f"dataset.options.{wrong}"
        raise UsageError(f"--set {key} has no effect on a table of predictions", f"Remove it. It has: {options}.")
    meaning = reading.pop("split_values", None) or {}
    if not isinstance(meaning, Mapping) or not all(isinstance(value, str) for value in reading.values()):
        raise UsageError("--set holds a value of the wrong kind", "The options of a table are in docs/own-data.md.")
    own = {"output", "set", *allowed, *(given.name for given in _given(asked))}
    for other in fields_of(asked):
        if other.name not in own and getattr(asked, other.name) != other.default:
            name = f"the model {getattr(asked, other.name)}" if other.option.positional else other.flag
            raise UsageError(
                f"{name} has no effect: --predictions needs no model and no data set", "Remove one of them."
            )
    return file, PredictionColumns(
        label=asked.label or "",
        proba=tuple(several(asked.proba)),
        logit=tuple(several(asked.logit)),
        predicted=getattr(asked, "predicted", None) or "",
        groups=tuple(several(getattr(asked, "group", None))),
        id=asked.id or "",
        split=asked.split_column or "",
        split_values=meaning,
        reading=Reading(**reading),
    )


def settings_of_table(asked: Any) -> dict[str, Any] | None:
    """The settings that say how the table is read, without those of a data set beside it."""
    names = [f"dataset.options.{name}" for name in _READING]
    return {key: value for key, value in parse_sets(asked.set).items() if key in names} or None


def _given(asked: Any) -> list[Field]:
    return [given for given in fields_of(asked) if given.option.panel == TABLE and getattr(asked, given.name)]
