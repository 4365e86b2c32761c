"""What identifies a run, to compare it with what finished files and unfinished states record.

A run is its stage, settings, arguments and the content of the files it read; not how the command was typed, where files
are, or which version of spurcli has which options. A value that is the default of its setting or argument counts as
not given, in old files as in new ones: a later version may add settings and arguments, and as long as their defaults
leave the work as it was, older outputs remain those of the same run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spurcli.artifacts.envelope import sha256_of_json
from spurcli.artifacts.provenance import same_ending
from spurcli.settings import KINDS, Table

_ABSENT = object()


@dataclass(frozen=True)
class TrainArguments:
    """What `train` was asked for beyond its settings. A new argument has a default that changes nothing."""

    keep_sha256: str | None = None
    groups_sha256: str | None = None
    errors_sha256: str | None = None
    checkpoint_sha256: str | None = None
    same_steps: bool = False
    evaluate_each: list[str] = field(default_factory=list)
    checkpoints: list[int | str] = field(default_factory=list)


@dataclass(frozen=True)
class ScoreArguments:
    """What `score` was asked for: runs, the user's own scores, those that are computed on demand, columns of a table."""

    num_runs: int = 1
    own_scores: list[dict[str, str]] = field(default_factory=list)
    on_demand: list[str] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InferArguments:
    """What `infer` was asked for: the way, its options, and whether it trains the model itself."""

    by: str
    trains: bool
    num_clusters: int | None = None
    by_sha256: str | None = None


ARGUMENTS: dict[str, type[Any]] = {"train": TrainArguments, "score": ScoreArguments, "infer": InferArguments}


@dataclass(frozen=True)
class RunIdentity:
    """Who a run is, without defaults and places; `data_path` is where a user's own data was, as far as it is known."""

    stage: Any
    settings: Table
    arguments: Table
    parents: tuple[Any, ...]
    data_path: Any = None

    @classmethod
    def of(cls, made: Table) -> RunIdentity:
        """That of a provenance, of this version or an older one."""
        settings, path = _without_path(without_defaults(_table(made.get("settings"))))
        arguments = _given(_table(made.get("arguments")), ARGUMENTS.get(str(made.get("stage"))))
        parents = made.get("parents") or ()
        hashes = tuple(parent.get("sha256") if isinstance(parent, Mapping) else parent for parent in parents)
        return cls(made.get("stage"), settings, arguments, hashes, path)

    def to_json(self) -> Table:
        return dataclasses.asdict(self)

    def differences(self, other: RunIdentity) -> list[str]:
        """What is not the same in `other`, in words; empty for the same run."""
        found = [] if self.stage == other.stage else [f"its stage is {other.stage}"]
        found += list(differences(self.settings, other.settings))
        found += list(differences(self.arguments, other.arguments))
        if not _same_place(self.data_path, other.data_path):
            found.append(f"dataset.options.path is {other.data_path} there, {self.data_path} here")
        if self.parents != other.parents:
            found.append("it was made from other files")
        return found


def without_defaults(settings: Table) -> Table:
    """The tables of some settings without the values that are defaults, and without the place of an inject.json."""
    found = {name: _given(value, KINDS[name]) if name in KINDS else value for name, value in settings.items()}
    dataset = found.get("dataset")
    if isinstance(dataset, Mapping) and isinstance(dataset.get("injection"), Mapping):  # its hash says which it is
        injection = {key: value for key, value in dataset["injection"].items() if key != "file"}
        found["dataset"] = {**dataset, "injection": injection}
    return found


def differences(first: Any, second: Any, where: str = "") -> Iterator[str]:
    """Where two trees of tables differ: "training.epochs is 3 there, 4 here" for `second` there, `first` here."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted({*first, *second}, key=str):
            yield from differences(
                first.get(key, _ABSENT), second.get(key, _ABSENT), f"{where}.{key}" if where else str(key)
            )
    elif first is _ABSENT or second is _ABSENT or first != second:
        yield f"{where} is {_in_words(second)} there, {_in_words(first)} here"


def same_state(saved: Any, mine: Table) -> list[str]:
    """How the identity that an unfinished run has saved differs from `mine`; empty for the same run.

    Version 1 saved the hash of it, over the settings and arguments that there were: those it did not know must have
    their defaults.
    """
    if isinstance(saved, Mapping):
        one, path = _without_path(_flat(mine))
        other, other_path = _without_path(_flat(saved))
        moved = [] if _same_place(path, other_path) else ["its data is in another place"]
        return [*differences(one, other), *moved]
    return [] if saved == sha256_of_json(_as_in_version_1(mine)) else ["other settings, data, seed or list"]


def _flat(identity: Table) -> Table:
    return dict(_given(without_defaults(identity), TrainArguments))


def _given(table: Any, kind: Any) -> Any:
    """A table without the values that are defaults in the dataclass `kind`."""
    if not isinstance(table, Mapping) or kind is None:
        return table
    defaults = _defaults(kind)
    return {key: value for key, value in table.items() if key not in defaults or _plain(value) != defaults[key]}


def _defaults(kind: Any) -> Table:
    found = {}
    for item in dataclasses.fields(kind):
        if item.default is not dataclasses.MISSING:
            found[item.name] = _plain(item.default)
        elif item.default_factory is not dataclasses.MISSING:
            found[item.name] = _plain(item.default_factory())
    return found


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _table(value: Any) -> Table:
    return value if isinstance(value, Mapping) else {}


def _without_path(settings: Table) -> tuple[Table, Any]:
    """Settings without the path of the user's own data, and that path."""
    dataset = settings.get("dataset")
    options = dataset.get("options") if isinstance(dataset, Mapping) else None
    if dataset is None or not isinstance(options, Mapping) or "path" not in options:
        return settings, None
    rest = {key: value for key, value in options.items() if key != "path"}
    return {**settings, "dataset": {**dataset, "options": rest}}, options["path"]


def _same_place(first: Any, second: Any) -> bool:
    if isinstance(first, str) and isinstance(second, str):
        return same_ending(first, second)
    return bool(first == second)


def _in_words(value: Any) -> str:
    return "not set" if value is _ABSENT else str(value)[:60]


# The settings and arguments of version 1 of a saved identity, where a table may have got more since.
_VERSION_1 = {
    "dataset": {"name", "options", "injection"},
    "model": {"name", "options"},
    "method": {"name", "options"},
    "preprocessing": {
        *("mean", "std", "image_size", "resize_size", "crop_padding", "flip", "resized_crop_scale"),
        *("resized_crop_ratio", "tokenizer", "max_length"),
    },
    "training": {
        *("epochs", "batch_size", "learning_rate", "optimizer", "momentum", "weight_decay", "decay_norm_and_bias"),
        *("epsilon", "clip_norm", "schedule", "milestones", "gamma", "precision", "compile", "channels_last"),
        *("selection", "save_seconds"),
    },
    "scoring": {"epoch", "batch_size", "view", "precision"},
}
_ARGUMENTS_1 = {
    *(
        "keep_sha256",
        "groups_sha256",
        "errors_sha256",
        "checkpoint_sha256",
        "same_steps",
        "evaluate_each",
        "checkpoints",
    ),
}


def _as_in_version_1(identity: Table) -> Table:
    """An identity without what version 1 did not know, where that has its default."""
    arguments = _defaults(TrainArguments)
    found = {}
    for name, value in identity.items():
        if name in arguments and name not in _ARGUMENTS_1 and _plain(value) == arguments[name]:
            continue
        if name in _VERSION_1 and isinstance(value, Mapping):
            defaults = _defaults(KINDS[name])
            value = {
                key: item
                for key, item in value.items()
                if key in _VERSION_1[name] or key not in defaults or _plain(item) != defaults[key]
            }
        found[name] = value
    return found
