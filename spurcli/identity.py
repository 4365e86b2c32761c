"""What identifies a run, to compare it with what finished files and unfinished states record.

A run is its stage, settings, arguments and the content of the files it read; not how the command was typed, where the files
are, or which options a version of spurcli has. A value that is the default of its setting or argument counts as
not given, in old files as in new ones: a later version may add settings and arguments, and as long as their defaults
leave the work as it was, older outputs remain those of the same run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spurcli.artifacts.envelope import sha256_of_json
from spurcli.artifacts.provenance import CONTENT_HASHES, same_ending
from spurcli.settings import KINDS, Table

_ABSENT = object()


# The arguments that were stored even where they had their default. Since then a stage stores what is `given`: an argument that
# it gets later is not stored where it has its default, and needs no line here.
_ALWAYS_STORED: dict[str, Table] = {
    "train": {
        "keep_sha256": None,
        "groups_sha256": None,
        "errors_sha256": None,
        "checkpoint_sha256": None,
        "same_steps": False,
        "evaluate_each": [],
        "checkpoints": [],
    },
    "score": {"num_runs": 1, "own_scores": [], "on_demand": [], "columns": {}},
    "infer": {"num_clusters": None, "by_sha256": None},
}


def _both_stated(first: Table, second: Table) -> tuple[Table, Table]:
    """Two tables without the `CONTENT_HASHES` that only one of them has."""
    lacking = {key for key in CONTENT_HASHES if key not in first or key not in second}
    return _without_keys(first, lacking), _without_keys(second, lacking)


def _without_keys(table: Table, lacking: Collection[str]) -> Table:
    return {key: value for key, value in table.items() if key not in lacking}


def given(options: Any) -> Table:
    """The fields of a dataclass that are not their defaults, for `arguments` in the provenance."""
    return dict(_without(dataclasses.asdict(options), _defaults(type(options))))


@dataclass(frozen=True)
class RunIdentity:
    """The identity of a run, without defaults and locations; `data_path` is where a user's own data was, as far as it is known."""

    stage: Any
    settings: Table
    arguments: Table
    parents: tuple[Any, ...]
    data_path: Any = None

    @classmethod
    def of(cls, made: Table) -> RunIdentity:
        """The identity from a provenance of this version or an older one."""
        settings, path = _without_path(without_defaults(_table(made.get("settings"))))
        arguments = _without(_table(made.get("arguments")), _ALWAYS_STORED.get(str(made.get("stage")), {}))
        parents = made.get("parents") or ()
        hashes = tuple(parent.get("sha256") if isinstance(parent, Mapping) else parent for parent in parents)
        return cls(made.get("stage"), settings, arguments, hashes, path)

    def to_json(self) -> Table:
        return dataclasses.asdict(self)

    def differences(self, other: RunIdentity) -> list[str]:
        """The differences from `other`, as text; empty for the same run."""
        found = [] if self.stage == other.stage else [f"its stage is {other.stage}"]
        found += list(differences(self.settings, other.settings))
        found += list(differences(*_both_stated(self.arguments, other.arguments)))
        if not _same_place(self.data_path, other.data_path):
            found.append(f"dataset.options.path is {other.data_path} there, {self.data_path} here")
        if self.parents != other.parents:
            found.append("it was made from other files")
        return found


def without_defaults(settings: Table) -> Table:
    """The tables of some settings without the values that are defaults, and without the place of an inject.json."""
    found = {
        name: _without(value, _defaults(KINDS[name])) if name in KINDS else value for name, value in settings.items()
    }
    dataset = found.get("dataset")
    if isinstance(dataset, Mapping) and isinstance(dataset.get("injection"), Mapping):  # its hash identifies it
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
    their defaults. Of arguments it stored all that `train` had, and none where a model is trained for its scores.
    """
    if isinstance(saved, Mapping):
        one, path = _without_path(_flat(mine))
        other, other_path = _without_path(_flat(saved))
        moved = [] if _same_place(path, other_path) else ["its data is in another place"]
        return [*differences(*_both_stated(one, other)), *moved]
    content = _as_in_version_1(mine)
    hashes = [sha256_of_json(content), sha256_of_json({**_ALWAYS_STORED["train"], **content})]
    return [] if saved in hashes else ["other settings, data, seed or list"]


def _flat(identity: Table) -> Table:
    return dict(_without(without_defaults(identity), _ALWAYS_STORED["train"]))


def _without(table: Any, defaults: Table) -> Any:
    """A table without the values that are `defaults`."""
    if not isinstance(table, Mapping):
        return table
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


def _as_in_version_1(identity: Table) -> Table:
    """An identity without the settings that version 1 did not know, where they have their default."""
    found = {}
    for name, value in identity.items():
        if name in _VERSION_1 and isinstance(value, Mapping):
            defaults = _defaults(KINDS[name])
            value = {
                key: item
                for key, item in value.items()
                if key in _VERSION_1[name] or key not in defaults or _plain(item) != defaults[key]
            }
        found[name] = value
    return found
