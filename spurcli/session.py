"""From names to settings: reads the recipe, the inject.json and the parent file, then calls the pure `resolve`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spurcli import recipes
from spurcli.artifacts.catalogue import recognise
from spurcli.artifacts.envelope import optional_field
from spurcli.artifacts.injection import is_injection, read_injection
from spurcli.artifacts.model_folder import TOKENIZER, folder_settings, longest_text
from spurcli.artifacts.provenance import portable_path
from spurcli.datasets.own.kinds import named_by_path
from spurcli.datasets.own.naming import EMBEDDINGS, OWN_DATA
from spurcli.default_recipe import called, default_recipe, path_of, with_backbone
from spurcli.errors import InputError, UsageError
from spurcli.finding import find_injection, find_own_data, same_path
from spurcli.foreign_inputs import foreign_preprocessing
from spurcli.registries import DATASETS, METHODS, MODELS
from spurcli.registry import is_user_code, near
from spurcli.settings import (
    BACKBONE,
    NEVER_INHERITED,
    TABLES,
    DatasetSettings,
    InjectionSettings,
    Settings,
    Table,
    check_recipe,
    check_tables,
    from_table,
    own_code,
    resolve,
    same_dataset,
    same_option,
)


def configure(
    dataset: str | None = None,
    *,
    recipe: str | None = None,
    model: str | None = None,
    method: str | None = None,
    feature: str | None = None,
    overrides: Table | None = None,
    inherited: Table | None = None,
    inherited_from: str = "the parent file",
    checkpoint: Path | None = None,
    allow_injection_mismatch: bool = False,
    seed: int = 0,
    device: str = "auto",
    data_root: Path | str | None = None,
    num_workers: int = 2,
    uses: Sequence[str] = ("dataset", "model", "method", "training"),
) -> Settings:
    """Settings for a stage.

    `dataset` is a name, a folder of images, a table, `file.py:attr` or an inject.json. `recipe` is a name or a .toml file
    (default: the recipe of the data set; code that your own .toml names is run). `overrides` has dotted keys and values
    (`{"training.epochs": 3}`). `inherited` are the settings stored in the parent file `inherited_from`; its data is also
    searched next to this file. A `checkpoint` that is a folder defines its model, tokeniser and normalisation. `feature`
    only confirms user code that an inject.json names. User code named in files must be named again by flags for the parts
    that the stage `uses`. Settings of other parts are rejected, because they have no effect.

    Raises UsageError or InputError that name the flag to type.
    """
    flags: dict[str, Any] = {"seed": seed, "device": device, "num_workers": num_workers}
    flags["data_root"] = find_data_root(data_root)
    flags["cache_root"] = Path(os.environ.get("SPURCLI_CACHE") or flags["data_root"] / ".spurcli-cache")
    for key, value in (overrides or {}).items():
        _set(flags, key, value)
        _refuse_idle(key, uses)
    said: Mapping[str, object] = {}
    if checkpoint is not None and checkpoint.is_dir():
        said = folder_settings(checkpoint)
        for key, value in said.items():
            is_other = model not in (None, said["model.name"]) and key.startswith("model.")
            if key not in (overrides or {}) and not is_other:
                _set(flags, key, value)
    if model:
        flags.setdefault("model", {})["name"] = model
    if method:
        flags.setdefault("method", {})["name"] = method
    if feature:
        flags["feature"] = feature

    chosen = _read_recipe(recipe, flags["data_root"]) if recipe else {}
    parent = _Inherited.of(inherited or {}, inherited_from)
    named, injection_path = _named_dataset(dataset, parent, chosen, flags["data_root"])
    if named is None:
        raise UsageError("No data set is named", "Name one: --dataset demo (see: spurcli list)")
    _refuse_other_name(named.name, flags.get("dataset", {}))
    if recipes.is_own(recipe) and not dataset:
        _refuse_other_recipe(str(recipe), chosen, parent)
    if parent.dataset:
        options = flags.get("dataset", {}).get("options")
        _refuse_other_dataset(named, dataset, parent, options, allow_injection_mismatch)
    switched = parent.dataset is not None and _other_inputs(parent.dataset, named)
    if checkpoint is not None and not (recipe or parent.recipe or said) and _is_foreign(named, uses):
        flags["preprocessing"] = foreign_preprocessing(
            named, checkpoint, str(flags.get("model", {}).get("name", "")), flags, flags["data_root"]
        )
        said = flags["preprocessing"]
    recipe_name = recipe or ("" if switched else parent.recipe) or default_recipe(named, uses, flags["data_root"], said)
    if (
        checkpoint is not None
        and not (recipe or parent.recipe)
        and TOKENIZER in said
        and (most := longest_text(checkpoint))
    ):
        flags["preprocessing"].setdefault("max_length", most)
    # a named recipe replaces the inherited one, and a model of images is no head on their embeddings
    handed_down = {} if recipe or switched else dict(parent.tables)
    if not recipe and (not handed_down.get("training") or recipe_name in recipes.names()):
        chosen = _read_recipe(recipe_name, flags["data_root"])
    elif not recipe:
        chosen = _left_behind(recipe_name, parent.files, flags["data_root"])
    chosen = with_backbone(chosen, recipe_name, named, uses)
    vouched = own_code(chosen) if recipes.is_own(recipe) else None
    chosen = _with_dataset(chosen, named)
    handed_down["dataset"] = _table_of(named)
    if dataset and injection_path is None:
        flags["dataset"] = _with_path(flags.get("dataset", {}), named)
    if injection_path:
        flags["injection_path"] = injection_path
    settings = resolve(flags, handed_down, chosen, recipe_name, uses, vouched=vouched)
    DATASETS.check(settings.dataset.name)
    MODELS.check(settings.model.name)
    METHODS.check(settings.method.name)
    return settings


def _is_foreign(named: DatasetSettings, uses: Sequence[str]) -> bool:
    """Whether a checkpoint without settings is run on a user's own images or texts, and nothing is trained."""
    return (
        named.name in OWN_DATA
        and named.name != EMBEDDINGS
        and "model" in uses
        and not {"training", BACKBONE} & set(uses)
    )


def find_data_root(given: Path | str | None = None) -> Path:
    """The folder of the data sets: as given, else SPURCLI_DATA_ROOT, else ./data."""
    return Path(given or os.environ.get("SPURCLI_DATA_ROOT") or "data")


def injection_settings(path: Path) -> DatasetSettings:
    """The data set that an inject.json is: base data set, options, and the injection's identity."""
    injection = read_injection(path)
    identity = InjectionSettings(portable_path(str(path)), injection.sha256, injection.feature)
    return DatasetSettings(injection.dataset, dict(injection.dataset_options), identity)


@dataclass(frozen=True)
class _Inherited:
    """What a parent file (`source`) passes on: its settings, checked because the file may come from anywhere."""

    tables: Table
    source: str
    dataset: DatasetSettings | None
    recipe: str | None

    @classmethod
    def of(cls, tables: Table, source: str) -> _Inherited:
        try:
            check_tables(tables)
            dataset = from_table(DatasetSettings, tables["dataset"], "dataset") if tables.get("dataset") else None
        except UsageError as error:
            raise InputError(f"{source} holds unusable settings: {error.problem}", "Make the file again.") from error
        return cls(tables, source, dataset, optional_field(tables, "recipe", str, f"{source}: settings"))

    @property
    def files(self) -> list[Path]:
        """The file itself; files that it names are searched near it. None if nothing is inherited."""
        return [Path(self.source)] if self.tables and Path(self.source).is_file() else []


def _named_dataset(
    dataset: str | None, parent: _Inherited, recipe: Table, data_root: Path
) -> tuple[DatasetSettings | None, Path | None]:
    """The data set that flags, parent or recipe name (in this order), and where its inject.json is.

    What the parent file or an inject.json names is searched by the rule of `spurcli.finding`.
    """
    if dataset and is_injection(_in_root(dataset, data_root)):
        path = Path(dataset)
        return _found_again(injection_settings(path), [path, *parent.files], data_root), path
    if dataset:
        mine, same = _dataset_named(dataset, data_root), parent.dataset
        if same and _same_place(same, mine) and not same.injection:
            return replace(same, name=mine.name, options={**same.options, **mine.options}), None
        return mine, None
    stored = parent.dataset
    if not stored:
        if "name" not in recipe.get("dataset", {}):
            return None, None
        stored = from_table(DatasetSettings, recipe["dataset"], "dataset")
    injection = stored.injection
    if not injection:
        return _found_again(stored, parent.files, data_root), None
    path = find_injection(injection.file, injection.sha256, parent.files, data_root)
    if path != Path(injection.file):
        stored = replace(stored, injection=replace(injection, file=portable_path(str(path))))
    return _found_again(stored, [path, *parent.files], data_root), path


def _found_again(dataset: DatasetSettings, named_in: Sequence[Path], data_root: Path) -> DatasetSettings:
    table = find_own_data({"name": dataset.name, "options": dataset.options}, named_in, data_root)
    return replace(dataset, options=table["options"])


def _table_of(dataset: DatasetSettings) -> Table:
    """A data set as the table in recipes and files."""
    injection = {} if dataset.injection is None else {"injection": asdict(dataset.injection)}
    return {"name": dataset.name, "options": dataset.options, **injection}


def _in_root(name: str, data_root: Path) -> str:
    """The file of that name in the working folder, else in the data root where there is one."""
    found = data_root / name
    if not name.endswith(".json"):
        return name
    return str(found) if not Path(name).exists() and found.is_file() and not is_injection(str(found)) else name


def _dataset_named(name: str, data_root: Path) -> DatasetSettings:
    """The data set of a name or, for a user's own data, of a path."""
    if name in DATASETS or is_user_code(name):
        return DatasetSettings(name)
    if recipes.is_own(name) and Path(name).is_file():
        raise UsageError(
            f"{name} is a recipe, not a data set", f"Write --recipe {name}: a recipe may name the data too."
        )
    found = named_by_path(name, data_root)
    is_embeddings = found is not None and found["name"] == EMBEDDINGS
    if not is_embeddings and Path(name).is_file() and (artefact := recognise(Path(name))):
        raise InputError(f"{name} is {artefact.noun}, not a data set", artefact.used(name))
    if found is None:
        raise UsageError(
            f"Unknown data set {name!r}{near(name, DATASETS.entries)}",
            f"Known: {', '.join(DATASETS.entries)}. Your own: a folder of images (photos/), a table (birds.csv), or "
            "path/to/file.py:attr",
        )
    return DatasetSettings(found["name"], found["options"])


def _same_place(first: DatasetSettings, second: DatasetSettings) -> bool:
    """Whether both name the same data, perhaps with other options."""
    return same_option(first.name, second.name) and same_path(path_of(first), path_of(second))


def _with_path(flags: Table, named: DatasetSettings) -> Table:
    """The `dataset` table of the flags, with the name and path that --dataset gives."""
    options, path = dict(flags.get("options", {})), path_of(named)
    if path is not None and not same_path(options.setdefault("path", path), path):
        raise UsageError(f"--set dataset.options.path={options['path']}: the data set is {path}", "Remove it.")
    return {**flags, "name": named.name, "options": options}


def _refuse_other_dataset(
    mine: DatasetSettings,
    flag: str | None,
    parent: _Inherited,
    options: Table | None,
    allow_injection_mismatch: bool,
) -> None:
    """Only the identity of the data set cannot be overridden: a contradiction is an error."""
    theirs = parent.dataset
    assert theirs is not None
    if EMBEDDINGS in (theirs.name, mine.name) and not _same_place(theirs, mine):
        return  # embeddings have the samples of their source, and lists of one fit the other: fingerprints say whether
    both = _same_place(theirs, mine)
    if both and path_of(mine):  # one place may be named in several ways
        mine = replace(mine, options={**mine.options, "path": path_of(theirs)})
        if options and same_path(options.get("path"), path_of(mine)):
            options = {**options, "path": path_of(mine)}
    if options and not all(same_option(theirs.options.get(key), value) for key, value in options.items()):
        raise InputError(
            f"{parent.source} was made with dataset.options {dict(theirs.options)}, not {dict(options)}",
            "Make it again with these options, or leave them out here.",
        )
    if not flag or same_dataset(theirs, mine):
        return
    same_options = same_option(theirs.options, mine.options)
    only_injection = both and same_options
    if only_injection and allow_injection_mismatch:
        return
    source = called(theirs)
    made_with, named = source, flag
    if both:
        made_with, named = (_in_words(each, source, options=not same_options) for each in (theirs, mine))
    raise InputError(
        f"{parent.source} was made with {made_with}, not {named}",
        "Leave --dataset out, or make the file again."
        + (" To use it anyway, add --allow-injection-mismatch." if only_injection else ""),
    )


def _in_words(dataset: DatasetSettings, name: str, *, options: bool) -> str:
    """ "demo without an injection", "demo injected by inject.json (ab…) with {'num_train': 50}"."""
    injection = dataset.injection
    words = f"injected by {injection.file} ({injection.sha256[:12]})" if injection else "without an injection"
    return f"{name} {words}" + (f" with {dict(dataset.options)}" if options else "")


def _other_inputs(theirs: DatasetSettings, mine: DatasetSettings) -> bool:
    """Whether one holds embeddings and the other does not, so that no model fits both."""
    return (theirs.name == EMBEDDINGS) != (mine.name == EMBEDDINGS)


def _read_recipe(name: str, data_root: Path) -> Table:
    """A checked recipe; a path to a user's own data in it becomes an option."""
    recipe = recipes.read_recipe(name)
    check_recipe(recipe, name)
    table = recipe.get("dataset", {})
    if "name" not in table or table["name"] in DATASETS or is_user_code(table["name"]):
        return recipe
    mine = _dataset_named(table["name"], data_root)
    options = {**table.get("options", {}), **mine.options}
    return {**recipe, "dataset": {**table, "name": mine.name, "options": options}}


def _left_behind(name: str, named_in: Sequence[Path], data_root: Path) -> Table:
    """The settings of a user's own recipe, named in a parent file, that files do not pass on. {} if it is not found."""
    found = recipes.found_again(name, named_in)
    recipe = _read_recipe(found, data_root) if found else {}
    return {
        table: {key: value for key, value in recipe.get(table, {}).items() if key in keys}
        for table, keys in NEVER_INHERITED.items()
    }


def _refuse_other_recipe(name: str, recipe: Table, parent: _Inherited) -> None:
    """Raise InputError where a recipe of the user's own names other data than the parent file was made with."""
    theirs, table = parent.dataset, recipe.get("dataset", {})
    if theirs is None or "name" not in table:
        return
    mine = from_table(DatasetSettings, table, "dataset")
    names_nothing = mine.name in OWN_DATA and path_of(mine) is None
    if names_nothing or EMBEDDINGS in (theirs.name, mine.name) or _same_place(theirs, mine):
        return
    raise InputError(
        f"{parent.source} was made with {called(theirs)}, but the recipe {name} names {called(mine)}",
        f"For the data of {parent.source}: --dataset {called(theirs)}. Else make the file again.",
    )


def _refuse_other_name(name: str, table: Table) -> None:
    """`--set dataset.name=…` only confirms user code that an inject.json names; the data set is `--dataset`'s."""
    for key in table:
        if key not in ("name", "options") or not isinstance(table[key], str if key == "name" else Mapping):
            raise UsageError(f"--set dataset.{key} does not change the data set", "Name it with --dataset.")
    if not same_option(table.get("name", name), name):
        raise UsageError(f"--set dataset.name={table['name']}: the data set is {name}", "Name it with --dataset.")


def _with_dataset(recipe: Table, named: DatasetSettings) -> Table:
    """The recipe without its own data set if another one is used, because its options would not fit."""
    table = recipe.get("dataset", {})
    if table.get("name") == named.name and _same_place(from_table(DatasetSettings, table, "dataset"), named):
        return recipe
    return {**recipe, "dataset": {"name": named.name}}


def _refuse_idle(key: str, uses: Sequence[str]) -> None:
    """Settings that do not apply to a command are rejected, because the user expects an effect."""
    part = {"scoring": "model"}.get(key.split(".")[0], key.split(".")[0])
    if key.startswith("model.") and "tokenizer" in uses:
        return  # a model's folder may hold its tokeniser
    if part in ("model", "method", "training") and part not in uses and key != "training.channels_last":
        raise UsageError(f"--set {key} has no effect in this command", "Remove it.")


def _set(flags: dict[str, Any], key: str, value: Any) -> None:
    table, *rest = key.split(".")
    if not rest:
        raise UsageError(f"--set {key}=… has no table", "Write --set training.epochs=3, for instance.")
    if table not in TABLES:
        raise UsageError(
            f"--set {key}: unknown table {table}{near(table, TABLES)}", f"Choose from: {', '.join(TABLES)}"
        )
    target = flags.setdefault(table, {})
    for part in rest[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise UsageError(f"--set {key} contradicts another --set: {part} is a value there", "")
    target[rest[-1]] = value
