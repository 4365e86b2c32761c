"""How a request's fields are declared: help, placeholder and limits, for the command line and for `help()`."""

from __future__ import annotations

import dataclasses
import json
import os
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from spurcli.errors import UsageError
from spurcli.progress import Progress

File = str | os.PathLike[str]
DATA, TABLE, OUTPUT = "Data and settings", "A table of predictions", "Output"  # headings of the help


@dataclass(frozen=True)
class Option:
    """One option. The flag is made from the field's name unless `flag` gives it.

    A `minimum` makes it a whole number; `repeated` options are sequences in Python; `positional` ones have no flag.
    `completes` is what a shell completes: words, or the name of a list (cli/completion.py). Where the command line accepts `-`, `reads` or `writes` holds the name that the temporary file of the stream gets.
    """

    help: str
    metavar: str = ""
    flag: str = ""
    short: str = ""
    panel: str = ""
    minimum: int | None = None
    repeated: bool = False
    positional: bool = False
    reads: str = ""
    writes: str = ""
    completes: str = ""


DATASET = Option(
    "Data set: a name, your folder or table, inject.json, or file.py:attr.", "NAME", panel=DATA, completes="datasets"
)
DATA_ROOT = Option("Folder of the data sets. (default: SPURCLI_DATA_ROOT or ./data)", "DIR", panel=DATA)
RECIPE = Option("Hyper-parameters. (default: the data set's recipe)", "NAME|FILE", panel=DATA, completes="recipes")
SET = Option("Change one setting, e.g. training.epochs=3. Repeatable.", "KEY=VALUE", panel=DATA, repeated=True)
DEVICE = Option("auto, cpu, cuda, cuda:1 or mps.", "NAME", panel=DATA, completes="auto cpu cuda mps")
SEED = Option("Seed of all random numbers.", "N", panel=DATA, minimum=0)
SEEDS = Option("Number of seeds, or a list: 5, 11-18, or 1,4,7.", "SEEDS")
WORKERS = Option("Number of processes that decode images.", "N", panel=DATA, minimum=0)
FEATURE = Option("Allow your own feature code that inject.json names.", "NAME", panel=DATA)
MODEL = Option("Architecture: a name (spurcli list models) or your own file.py:attr.", "NAME", completes="models")
LABELS = Option("Labels of the logits.", "FILE")
IDS = Option("Ids of the logits, one per line (or .npy, .h5), matched to the ids of the data set.", "FILE")
GROUP_LABELS = "groups.txt, one group name for each sample"
SCORE = Option("Rank the samples by this score. (default: el2n, or the only one)", "NAME", completes="scores")
ALLOW_MISMATCH = Option("Accept files made with another injection.")
FORCE = Option("Replace the finished output of another run.", panel=OUTPUT)

Dataset = Annotated[File | None, DATASET]
DataRoot = Annotated[File | None, DATA_ROOT]
Recipe = Annotated[File | None, RECIPE]
Sets = Annotated[Mapping[str, Any] | Sequence[str] | None, SET]
Device = Annotated[str, DEVICE]
Seed = Annotated[int, SEED]
Seeds = Annotated[str | int | Sequence[int], SEEDS]
Workers = Annotated[int, WORKERS]
Feature = Annotated[str | None, FEATURE]
Model = Annotated[str | None, MODEL]
Labels = Annotated[File | None, LABELS]
Ids = Annotated[File | None, IDS]
Score = Annotated[str | None, SCORE]
AllowMismatch = Annotated[bool, ALLOW_MISMATCH]
Force = Annotated[bool, FORCE]
Columns = str | Sequence[str] | None
PredictionTable = Annotated[
    File | None,
    Option("A table of predictions of any program (.csv, .tsv, .jsonl, .parquet, .h5).", "FILE", panel=TABLE),
]
LabelColumn = Annotated[str | None, Option("Column of the true class. (default: label)", "COLUMN", panel=TABLE)]
ProbaColumns = Annotated[
    Columns,
    Option(
        "Columns of probabilities named after the classes, as 'p_*'; a single column is the positive class. Repeatable.",
        "COLUMN",
        panel=TABLE,
        repeated=True,
    ),
]
LogitColumns = Annotated[
    Columns, Option("Columns of logits, named in the same way. Repeatable.", "COLUMN", panel=TABLE, repeated=True)
]
GroupColumns = Annotated[
    Columns, Option("Define groups by this column. Repeatable.", "COLUMN", panel=TABLE, repeated=True)
]
IdColumn = Annotated[str | None, Option("Column of the ids. (default: id, if it exists)", "COLUMN", panel=TABLE)]
SplitColumn = Annotated[
    str | None,
    Option(
        "Column of the splits; its train rows are the training samples. (default: split, if it exists)",
        "COLUMN",
        panel=TABLE,
    ),
]
# The same as --set dataset.options.ROLE=COLUMN, for what is typed most.
IMAGE_COLUMN = Option("Column of your table with the paths of the images.", "COLUMN", panel=DATA)
TEXT_COLUMN = Option("Column of your table with the texts.", "COLUMN", panel=DATA)
CLASS_COLUMN = Option("Column of your table with the class.", "COLUMN", panel=DATA)
ATTRIBUTE_COLUMN = Option(
    "Column of your table that may be a spurious feature; groups are class/attribute. Repeatable.",
    "COLUMN",
    panel=DATA,
    repeated=True,
)
SPLITS_COLUMN = Option("Column of your table with the splits.", "COLUMN", panel=DATA)
ImageColumn = Annotated[str | None, IMAGE_COLUMN]
TextColumn = Annotated[str | None, TEXT_COLUMN]
ClassColumn = Annotated[str | None, CLASS_COLUMN]
AttributeColumn = Annotated[str | Sequence[str] | None, ATTRIBUTE_COLUMN]
SplitsColumn = Annotated[str | None, SPLITS_COLUMN]
ROLES = {"image": "image", "text": "text", "label": "label", "attribute": "attribute", "split_column": "split"}
Shown = Progress | bool  # Python only: True shows progress on stderr


@dataclass(frozen=True)
class Caller:
    """Who runs a request: receives the progress, says which command is recorded, and whether files beside the output
    (history.json, predictions.h5) are written, which is not possible with stdout."""

    progress: Progress
    command: str = ""
    companions: bool = True


def output(standard_name: str) -> Option:
    """The option that says where a stage writes."""
    return Option(f"Output file. (default: {standard_name})", "FILE", short="-o", panel=OUTPUT, writes=standard_name)


@dataclass(frozen=True)
class Field:
    """A field of a request with its option."""

    name: str
    option: Option
    default: Any

    @property
    def flag(self) -> str:
        return self.option.flag or "--" + self.name.replace("_", "-")

    @property
    def is_switch(self) -> bool:
        return isinstance(self.default, bool)


def fields_of(request: Any) -> Iterator[Field]:
    """The options of a request or of its class, in order; fields that are not options (progress) are left out."""
    kind = request if isinstance(request, type) else type(request)
    hints = typing.get_type_hints(kind, include_extras=True)
    for item in dataclasses.fields(kind):
        for extra in getattr(hints[item.name], "__metadata__", ()):
            if isinstance(extra, Option):
                yield Field(item.name, extra, item.default)


def command_of(stage: str, request: Any) -> str:
    """The equivalent command line, for the provenance of files from Python calls."""
    from spurcli.artifacts.provenance import portable_command

    return portable_command(words_of(stage, request))


def words_of(stage: str, request: Any) -> list[str]:
    """The words of the equivalent command line, without `spurcli`."""
    placed, flags = [], []
    for field in fields_of(request):
        value = getattr(request, field.name)
        if value is None or value == field.default:
            continue
        if field.option.positional:
            placed += [os.fspath(each) for each in several(value)]
        elif field.is_switch:
            flags.append(field.flag if value else field.flag.replace("--", "--no-", 1))
        else:
            flag = field.option.short or field.flag
            flags += [word for each in _texts(field, value) for word in (flag, each)]
    return [*stage.split(), *placed, *flags]


def _texts(field: Field, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}={_toml(item)}" for key, item in value.items()]
    if field.option.repeated:
        return [os.fspath(each) for each in several(value)]
    return [",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)]


def _toml(value: Any) -> str:
    from spurcli.recipes import parse_value

    if isinstance(value, str) and parse_value(value) == value:
        return value
    return str(value) if isinstance(value, os.PathLike) else json.dumps(value)


def several(value: Any) -> list[Any]:
    """What a repeatable option holds, as a list: nothing, one thing or a sequence of them."""
    if value is None:
        return []
    return [value] if isinstance(value, str | os.PathLike) else list(value)


def path(value: File | None) -> Path | None:
    """The path of a file that may be named."""
    return None if value is None else Path(value)


def text(value: File | None) -> str | None:
    return None if value is None else os.fspath(value)


def parse_sets(sets: Mapping[str, Any] | Sequence[str] | None) -> dict[str, Any]:
    """Dotted keys and values, from a mapping or from `key=value` texts with TOML values."""
    from spurcli.recipes import parse_value

    if isinstance(sets, Mapping):
        return {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in sets.items()}
    parsed: dict[str, Any] = {}
    for item in several(sets):
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {item} is not KEY=VALUE", "Write --set training.epochs=3, for instance.")
        parsed[key.strip()] = parse_value(value.strip())
    return parsed


def with_columns(given: Mapping[str, Any], sets: Mapping[str, Any]) -> dict[str, Any]:
    """`sets` with the options of a data set that the flags of columns stand for; UsageError if both set the same one."""
    found = {f"dataset.options.{role}": (name, given.get(name)) for name, role in ROLES.items() if given.get(name)}
    if twice := next((key for key in found if key in sets), None):
        flag = "--" + found[twice][0].replace("_", "-")
        raise UsageError(f"{flag} and --set {twice} name the same column", "Remove one of them.")
    columns = {
        key: value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        for key, (_, value) in found.items()
    }
    return {**columns, **sets}


def overrides_of(asked: Any) -> dict[str, Any]:
    """The settings that `--set` and the flags of a table's columns change, of a request that has these flags."""
    own = {field.name for field in fields_of(asked) if field.option.panel in (DATA, TABLE)}
    given = {name: getattr(asked, name) for name in ROLES if name in own} if "image" in own else {}
    return with_columns(given, parse_sets(asked.set))


def inherited_settings(provenance: Any) -> Mapping[str, Any]:
    """The settings that a parent file passes on in its provenance."""
    settings = provenance.get("settings", {}) if isinstance(provenance, dict) else {}
    return settings if isinstance(settings, dict) else {}
