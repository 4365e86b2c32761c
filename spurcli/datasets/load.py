"""Loads a data set from a name, its options and possibly an inject.json."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from spurcli.datasets.base import Dataset
from spurcli.datasets.decoded import use_cache
from spurcli.errors import InputError, UsageError
from spurcli.registries import DATASETS
from spurcli.registry import Options, near, same_kind
from spurcli.sharing import once


def load_dataset(
    name: str,
    options: Options | None = None,
    *,
    data_root: Path = Path("data"),
    image_size: int | None = None,
    injection: Path | None = None,
    injection_sha256: str | None = None,
    cache_root: Path | None = None,
) -> Dataset:
    """Load a data set by registered name, `package.module:attr` or `file.py:attr`.

    `image_size` is passed to loaders that resize images. Images that `spurcli data cache` wrote to `cache_root` are read from there.
    With `injection`, the feature of this inject.json is added while images are read. Its hash must equal
    `injection_sha256`, if given.

    Raises InputError before any work if something is missing or damaged, or if a count is wrong.
    """
    key = name, repr(sorted((options or {}).items())), str(data_root), image_size, str(cache_root)
    dataset = once(("data set", *key), lambda: _loaded(name, options or {}, data_root, image_size, cache_root))
    if injection is None:
        return dataset
    from spurcli.artifacts.injection import read_injection
    from spurcli.datasets.injected import apply_injection

    found = read_injection(injection)
    if injection_sha256 and found.sha256 != injection_sha256:
        raise InputError(
            f"{injection} is not the injection that was used before ({found.sha256[:12]}, not {injection_sha256[:12]})",
            "Name the right one with --dataset path/to/inject.json.",
        )
    return once(("injected", *key, found.sha256), lambda: apply_injection(dataset, found))


def _loaded(name: str, options: Options, data_root: Path, image_size: int | None, cache_root: Path | None) -> Dataset:
    loader = DATASETS.load(name)
    arguments = loader_arguments(loader, name, options, image_size)
    dataset = loader(data_root=data_root, **arguments)
    if not isinstance(dataset, Dataset):
        raise InputError(
            f"{name} returned {type(dataset).__name__}, not spurcli.datasets.Dataset", "See docs/own-parts.md"
        )
    return dataset if cache_root is None else use_cache(dataset, data_root, cache_root)


def loader_arguments(loader: Any, name: str, options: Options, image_size: int | None = None) -> dict[str, object]:
    """Check `options` against the loader's keyword arguments and add `image_size` if it takes that."""
    parameters = inspect.signature(loader).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [key for key in parameters if key not in ("data_root", "image_size")]
    for key in options:
        if key not in known and not takes_any:
            raise UsageError(
                f"Data set {name!r} has no option {key!r}{near(key, known)}",
                f"It has: {', '.join(known) or 'none'}. Set one with --set dataset.options.KEY=VALUE",
            )
        _check_kind(name, key, options[key], parameters[key].default if key in known else None)
    if "data_root" not in parameters and not takes_any:
        raise UsageError(f"The loader {name} takes no data_root", "Write it as def load(*, data_root, …).")
    arguments = dict(options)
    if image_size is not None and ("image_size" in parameters or takes_any):
        arguments["image_size"] = image_size
    for key, parameter in parameters.items():
        named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and key != "data_root"
        if named and parameter.default is parameter.empty and key not in arguments:
            setting = "preprocessing.image_size" if key == "image_size" else f"dataset.options.{key}"
            raise UsageError(f"Data set {name!r} needs the option {key!r}", f"Set it with --set {setting}=VALUE")
    return arguments


def _check_kind(name: str, key: str, value: Any, default: Any) -> None:
    """Check that an option has the type of its default."""
    if not same_kind(value, default):
        raise UsageError(
            f"dataset.options.{key} = {value!r} is of the wrong kind for data set {name!r}",
            f"The default is {str(default).lower() if isinstance(default, bool) else repr(default)}.",
        )
