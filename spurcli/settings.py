"""Settings of a run: from a recipe, from a parent file, and from the command line.

`resolve` is a pure function; stage functions take the frozen `Settings` it returns and never look at the working
folder, the environment or file headers for defaults.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypedDict, cast

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.provenance import portable_path, portable_word
from spurcli.epoch_rules import LAST, RULES
from spurcli.errors import InputError, UsageError
from spurcli.registry import is_user_code, near

Table = Mapping[str, Any]


@dataclass(frozen=True)
class InjectionSettings:
    """The inject.json that turns the data set into an injected one, and its identity."""

    file: str
    sha256: str
    feature: str = ""


@dataclass(frozen=True)
class DatasetSettings:
    """Which data set: a registered name or the user's own code, the loader's options, an injection or none."""

    name: str
    options: Table = field(default_factory=dict)
    injection: InjectionSettings | None = None


@dataclass(frozen=True)
class PartSettings:
    """A model or a method: a registered name or the user's own code, and its options."""

    name: str
    options: Table = field(default_factory=dict)


@dataclass(frozen=True)
class PreprocessingSettings:
    """From raw uint8 pixels or raw texts to model inputs. Augmentation happens in training only, one batch at a time.

    Texts are cut to `max_length` tokens of `tokenizer`: a local transformers folder, "words" (the words of the training
    texts), or "", which is that of the model's own folder if it has one, else words. Images are decoded to `resize_size` pixels a side (default: `image_size`) and cut to `image_size`.
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    image_size: int | None = None
    resize_size: int | None = None
    crop_padding: int = 0
    flip: bool = False
    resized_crop_scale: tuple[float, ...] = ()
    resized_crop_ratio: tuple[float, ...] = (0.75, 4 / 3)
    tokenizer: str = ""
    max_length: int = 128

    @property
    def decode_size(self) -> int | None:
        """The side to which loaders decode images; None leaves them as they are."""
        return self.resize_size or self.image_size


@dataclass(frozen=True)
class TrainingSettings:
    """Optimisation. Batch sizes are global (over all devices); epochs are full passes over the kept samples."""

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    decay_norm_and_bias: bool = True
    epsilon: float = 1e-8
    clip_norm: float = 0.0
    schedule: Literal["constant", "step", "linear", "cosine"] = "constant"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    compile: bool = False
    channels_last: bool = False
    selection: str = LAST  # one of spurcli.epoch_rules.RULES
    save_seconds: float = 30.0


@dataclass(frozen=True)
class ScoringSettings:
    """When and how difficulty is measured: after `epoch` full passes, in eval mode, on the plain or augmented view."""

    epoch: int | None = None
    batch_size: int = 512
    view: Literal["eval", "augmented"] = "eval"
    precision: Literal["float32", "bf16", "fp16"] = "float32"


class StoredSettings(TypedDict):
    """Settings as provenance holds them: the name of the recipe, the seed, and each table's values."""

    recipe: str
    seed: int
    dataset: JsonObject
    model: JsonObject
    preprocessing: JsonObject
    training: JsonObject
    scoring: JsonObject
    method: JsonObject


@dataclass(frozen=True)
class Settings:
    """Everything that determines a result (tables), and how it runs (the seed and the fields after it, never inherited)."""

    recipe: str
    dataset: DatasetSettings
    model: PartSettings
    preprocessing: PreprocessingSettings
    training: TrainingSettings
    scoring: ScoringSettings
    method: PartSettings = PartSettings("erm")
    seed: int = 0
    device: str = "auto"
    data_root: Path = Path("data")
    cache_root: Path | None = None
    num_workers: int = 2
    injection_path: Path | None = None

    def to_json(self) -> StoredSettings:
        """The tables and the seed, for provenance; nothing about the machine, absolute paths cut to their last part."""
        content = {name: _plain(getattr(self, name)) for name in TABLES}
        return cast(StoredSettings, {"recipe": portable_path(self.recipe), "seed": self.seed, **content})


# The dataclass of each table.
KINDS: dict[str, type[Any]] = {
    "dataset": DatasetSettings,
    "model": PartSettings,
    "preprocessing": PreprocessingSettings,
    "training": TrainingSettings,
    "scoring": ScoringSettings,
    "method": PartSettings,
}
TABLES = tuple(KINDS)
BACKBONE = "backbone"  # a recipe's model for `data embed`, where [model] is the head on its embeddings
_RECIPE_KEYS = ("summary", BACKBONE, *TABLES)
_RUNTIME_KEYS = ("seed", "device", "data_root", "cache_root", "num_workers", "injection_path")
# What a parent file passes on; how a run was computed (precision, compile) is not passed on.
NEVER_INHERITED = {"training": ("precision", "compile", "save_seconds"), "scoring": ("precision", "epoch")}


def resolve(
    flags: Table,
    inherited: Table | None,
    recipe: Table,
    recipe_name: str,
    uses: Sequence[str] = ("dataset", "model", "method"),
    *,
    vouched: Mapping[str, str] | None = None,
) -> Settings:
    """Merge recipe, what is inherited and flags, in rising precedence, and check every key and value.

    `flags` are tables too (`{"scoring": {"epoch": 10}, "seed": 1}`), as are `inherited` (the `settings` of a
    parent's provenance) and `recipe` (a parsed TOML file). Pure: reads no file, no environment. `vouched` is the
    user code, by table, that needs no flag of its own: a recipe file that the command line names is enough.

    Raises UsageError for an unknown key or a wrong value, InputError if user code is named only by a file.
    """
    check_recipe(recipe, recipe_name)
    for key in flags:
        if key not in (*TABLES, *_RUNTIME_KEYS, "feature"):
            raise UsageError(f"Unknown setting {key}{near(key, TABLES)}", f"Choose from: {', '.join(TABLES)}")
    check_tables(flags)
    merged: dict[str, Any] = {}
    for name in TABLES:
        table = dict(recipe.get(name, {}))
        if inherited and isinstance(inherited.get(name), Mapping):
            kept = {key: value for key, value in inherited[name].items() if key not in NEVER_INHERITED.get(name, ())}
            table = merge(table, kept)
        merged[name] = merge(table, flags.get(name, {}))
    named_by = "" if vouched is not None else recipe_name
    _require_named_user_code(merged, flags, uses, vouched or {}, named_by)
    merged["method"] = merged["method"] or {"name": "erm"}
    tables = {name: from_table(KINDS[name], merged[name], name) for name in TABLES}
    runtime = {key: flags[key] for key in _RUNTIME_KEYS if key in flags}
    settings = Settings(recipe=recipe_name, **tables, **runtime)
    _check_values(settings)
    return settings


def check_recipe(recipe: Table, recipe_name: str) -> None:
    """Raise UsageError for unknown tables or keys and wrong kinds in a parsed recipe, whatever it leaves out."""
    for key in recipe:
        if key not in _RECIPE_KEYS:
            raise UsageError(
                f"Recipe {recipe_name!r} has an unknown table [{key}]{near(key, _RECIPE_KEYS)}",
                f"Choose from: {', '.join((*TABLES, BACKBONE))}",
            )
    check_tables(recipe)


def check_tables(tables: Table) -> None:
    """Raise UsageError for unknown keys and wrong kinds in the tables of a recipe or a parent file."""
    for name, kind in {**KINDS, BACKBONE: PartSettings}.items():
        if name in tables:
            if not isinstance(tables[name], Mapping):
                raise UsageError(f"{name} = {str(tables[name])[:40]!r} is not a table", "")
            _values(kind, tables[name], name)


def from_table(kind: Any, table: Table, where: str) -> Any:
    """A frozen dataclass of `kind` from a table; the error for an unknown key or value suggests similar ones."""
    values = _values(kind, table, where)
    for item in dataclasses.fields(kind):
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and item.name not in values:
            raise UsageError(
                f"Setting {where}.{item.name} is not given", f"Set it in the recipe or with --set {where}.{item.name}=…"
            )
    return kind(**values)


def _values(kind: Any, table: Table, where: str) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    for key in table:
        if key not in hints:
            raise UsageError(f"Unknown setting {where}.{key}{near(key, hints)}", f"[{where}] has: {', '.join(hints)}")
    return {key: _convert(hints[key], value, f"{where}.{key}") for key, value in table.items()}


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (UnionType, typing.Union):
        if value is None:
            return None
        return _convert(next(option for option in arguments if option is not type(None)), value, where)
    if origin is Literal:
        if value not in arguments:
            raise UsageError(
                f"{where} = {value!r}{near(str(value), arguments)}", f"Choose from: {', '.join(arguments)}"
            )
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_convert(arguments[0], item, where) for item in value)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_table(hint, value, where)
    kind = Mapping if hint == Table else (origin or hint)
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        is_table = kind is Mapping or dataclasses.is_dataclass(kind)
        name = "list" if kind is tuple else "table" if is_table else kind.__name__
        raise UsageError(
            f"{where} = {str(value)[:60]!r} is not of the kind {name}", "See spurcli recipe copy for an example."
        )
    _require_storable(value, where)
    return float(value) if kind is float and isinstance(value, int) else value


def _require_storable(value: Any, where: str) -> None:
    """Raise UsageError for values that JSON or 64 bits cannot represent: TOML has infinities, dates and unlimited integers."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _require_storable(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for item in value:
            _require_storable(item, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} = {value} is not a finite number", "")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UsageError(f"{where} is a number beyond 64 bits", "")
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise UsageError(f"{where} = {value} is a {type(value).__name__}", "Write it as a text, number or list.")


def merge(below: Table, above: Table) -> dict[str, Any]:
    """`below` with what `above` changes; a part with another name does not keep the options of the earlier one."""
    merged = dict(below)
    if "name" in above and _plain(above["name"]) != _plain(below.get("name")):
        merged.pop("options", None)  # options belong to the part they were written for
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def own_code(recipe: Table) -> dict[str, str]:
    """The user's own `file.py:attr` that a recipe names, by table. A module (`package.module:attr`) is not among them: a recipe
    alone could name any function of any library."""
    names = {table: (recipe.get(table) or {}).get("name") for table in ("dataset", "model", "method")}
    return {
        table: name for table, name in names.items() if isinstance(name, str) and is_user_code(name) and ".py:" in name
    }


def _require_named_user_code(
    merged: Table, flags: Table, uses: Sequence[str], vouched: Mapping[str, str], recipe: str
) -> None:
    injected = bool(merged["dataset"].get("injection"))  # --dataset names the inject.json then
    dataset_flag = "--set dataset.name=" if injected else "--dataset "
    other = f", or the recipe that names it: --recipe {recipe}" if recipe.endswith(".toml") else ""
    for table, flag in (("dataset", dataset_flag), ("model", "--model "), ("method", "--method ")):
        name = merged[table].get("name")
        named = name in (flags.get(table, {}).get("name"), vouched.get(table))
        if table in uses and isinstance(name, str) and is_user_code(name) and not named:
            raise InputError(
                f"A file names your own {table} {name}; code is never run because a file names it",
                f"If you trust it, name it again: {flag}{name}" + other,
            )
    injection = merged["dataset"].get("injection") or {}
    feature = injection.get("feature", "")
    if isinstance(feature, str) and is_user_code(feature) and flags.get("feature") != feature:
        raise InputError(
            f"inject.json names your own feature {feature}; code is never run because a file names it",
            f"If you trust it, name it again: --feature {feature}",
        )


def _check_values(settings: Settings) -> None:
    training, preprocessing = settings.training, settings.preprocessing
    for where, value, minimum in (
        ("training.epochs", training.epochs, 1),
        ("training.batch_size", training.batch_size, 1),
        ("scoring.epoch", settings.scoring.epoch or 0, 0),
        ("scoring.batch_size", settings.scoring.batch_size, 1),
        ("seed", settings.seed, 0),
        ("training.weight_decay", training.weight_decay, 0),
        ("training.clip_norm", training.clip_norm, 0),
        ("num_workers", settings.num_workers, 0),
        ("preprocessing.image_size", 1 if preprocessing.image_size is None else preprocessing.image_size, 1),
        ("preprocessing.resize_size", 1 if preprocessing.resize_size is None else preprocessing.resize_size, 1),
        ("preprocessing.max_length", preprocessing.max_length, 4),
        ("preprocessing.crop_padding", preprocessing.crop_padding, 0),
    ):
        if value < minimum:
            raise UsageError(f"{where} = {value} is below {minimum}", "")
    if training.selection not in RULES:
        raise UsageError(
            f"training.selection = {training.selection!r}{near(training.selection, RULES)}",
            f"Choose from: {', '.join(RULES)}",
        )
    if settings.seed >= 2**63:
        raise UsageError(f"seed = {settings.seed} is a number beyond 64 bits", "")
    if not training.learning_rate > 0:
        raise UsageError(f"training.learning_rate = {training.learning_rate} is not above 0", "")
    if preprocessing.resize_size and preprocessing.resize_size < (preprocessing.image_size or 1):
        raise UsageError(
            f"preprocessing.resize_size = {preprocessing.resize_size} is below image_size = {preprocessing.image_size}",
            "Images are decoded to resize_size, then cut to image_size.",
        )
    if len(preprocessing.mean) != len(preprocessing.std) or not all(value > 0 for value in preprocessing.std):
        raise UsageError("preprocessing.mean and .std need one value per channel, std above 0", "")


def same_dataset(first: DatasetSettings, second: DatasetSettings) -> bool:
    """Whether both name the same data set with the same options and injection; the location of the file does not matter."""

    def identity(dataset: DatasetSettings) -> Any:
        injection = dataset.injection.sha256 if dataset.injection else None
        return _plain(dataset.name), _plain(dataset.options), injection

    return bool(identity(first) == identity(second))


def same_option(first: Any, second: Any) -> bool:
    """Whether two values of an option are the same, absolute paths compared by their last part as files hold them."""
    return bool(_plain(first) == _plain(second))


def _plain(value: Any) -> Any:
    """JSON content without machine-specific values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return portable_word(value) if isinstance(value, str) else value
