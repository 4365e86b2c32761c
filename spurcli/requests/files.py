"""Standard names: which file a stage reads and writes by default, and which outputs are rejected."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, overload

from spurcli.errors import InputError, SpurError, UsageError
from spurcli.requests.options import File

# Endings of other programs' files: on an output they are a mistake. Endings that are not known here are free.
_FOREIGN_ENDINGS = {
    *(".bin", ".ckpt", ".csv", ".gz", ".htm", ".html", ".jsonl", ".md", ".npy", ".npz", ".onnx", ".parquet", ".pdf"),
    *(".pickle", ".pkl", ".png", ".pt", ".pth", ".py", ".svg", ".toml", ".tsv", ".xlsx", ".yaml", ".yml", ".zip"),
}
FIGURES = "figures"  # the one output that is a folder


def output_file(named: File | None, standard_name: str) -> Path:
    """The file to write: the named one or the standard name. Raises UsageError or InputError for an obvious slip."""
    from spurcli.artifacts import catalogue

    path = Path(named or standard_name)
    _require_own_kind(path, standard_name)
    if named and catalogue.named(standard_name):  # `report` looks at its endings itself
        _require_own_ending(os.fspath(named), standard_name)
    return path


@overload
def input_file(named: File | None, standard_name: str, say: Callable[[str], None]) -> Path: ...
@overload
def input_file(
    named: File | None, standard_name: str, say: Callable[[str], None], *, required: Literal[False]
) -> Path | None: ...
def input_file(
    named: File | None, standard_name: str, say: Callable[[str], None], *, required: bool = True
) -> Path | None:
    """The file to read: the named one, else the standard name if it exists, reported by `say`."""
    if named is not None:
        return Path(named)
    path = Path(standard_name)
    if path.is_file():
        say(f"Reading {path}")
        return path
    if required:
        raise UsageError(f"No file is named, and {path} does not exist", "Name a file, or run the previous stage.")
    return None


def _require_own_ending(output: str, standard_name: str) -> None:
    """Raise UsageError if `output` is named as a folder or as another kind of file than the command writes."""
    from spurcli.artifacts import catalogue

    path, own = Path(output), Path(standard_name).suffix
    mine = catalogue.named(standard_name)
    if output.endswith(("/", os.sep)):
        raise UsageError(
            f"-o {output} names a folder, but this command writes one file", f"Write -o {path / standard_name}"
        )
    known = {ending for artefact in catalogue.CATALOGUE for ending in artefact.endings} | _FOREIGN_ENDINGS
    if mine and path.suffix.lower() in known - set(mine.endings):
        raise UsageError(
            f"-o {output} has the extension of another kind of file: this command writes {mine.noun} as {own}",
            f"Write -o {path.with_suffix(own)}",
        )


def _require_own_kind(path: Path, standard_name: str) -> None:
    """Raise InputError if `path` holds an artefact of another kind: a wrong -o must not overwrite a trained model."""
    from spurcli.artifacts import catalogue
    from spurcli.artifacts.describe import artefact_of

    if path.is_dir() and standard_name != FIGURES:
        raise InputError(f"{path} is a folder", f"Name a file in it: -o {path / standard_name}")
    if not path.is_file():
        return
    try:
        found = artefact_of(path)
    except (SpurError, OSError):
        return  # damaged, or not an artefact: it is replaced like any output file
    if found != (catalogue.named(standard_name) or catalogue.REPORT):
        raise InputError(f"{path} is {found.noun}, which this command does not write", "Choose another file with -o.")
