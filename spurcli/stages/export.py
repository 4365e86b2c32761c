"""The stage `export`: from an artefact to a table, list, folder or data set for other programs. Never imports torch."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from spurcli.artifacts import catalogue
from spurcli.artifacts.atomic import readable_os_errors
from spurcli.artifacts.catalogue import Artefact
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.datasets import load_dataset
from spurcli.datasets.own.kinds import is_saved_dataset
from spurcli.datasets.own.naming import locate
from spurcli.errors import InputError
from spurcli.exporting.content import Content, of_groups, of_list, of_predictions, of_scores
from spurcli.exporting.formats import format_named
from spurcli.results import ExportResult
from spurcli.settings import Settings

LISTS = (catalogue.INDICES, catalogue.ERRORS)


def export(
    settings: Settings | None,
    source: Path,
    kind: Artefact,
    *,
    format: str,
    which: str = "kept",
    output: Path,
    allow_injection_mismatch: bool = False,
    command: str = "",
) -> ExportResult:
    """Write the samples that `source`, an artefact of `kind`, is about as `format` (`spurcli.exporting.formats`).

    `settings` name the data set; score files and predictions need none. `which` samples of a list: kept, removed or all.
    Formats that hold the inputs also hold the other splits, unfiltered, if `which` is kept.

    Raises InputError for files of other samples, and if the output folder already exists.
    """
    chosen = format_named(format)
    policy = InjectionPolicy.of(allow_injection_mismatch)
    content = _content(settings, source, kind, which, policy, command)
    if chosen.folder:
        with _new_folder(output) as folder:
            chosen.write(content, folder)
    else:
        chosen.write(content, output)
    others = content.others if chosen.needs_inputs else ()
    return {
        "output": str(output),
        "format": format,
        "num_samples": len(content),
        "splits": [content.split, *others],
        "columns": list(content.columns),
    }


def _content(
    settings: Settings | None, source: Path, kind: Artefact, which: str, policy: InjectionPolicy, command: str
) -> Content:
    if settings is None:
        read = {catalogue.SCORES: of_scores, catalogue.PREDICTIONS: of_predictions}[kind]
        return read(source, command)
    injection = settings.dataset.injection
    dataset = load_dataset(
        settings.dataset.name,
        settings.dataset.options,
        data_root=settings.data_root,
        image_size=settings.preprocessing.decode_size,
        injection=settings.injection_path if injection else None,
        injection_sha256=injection.sha256 if injection else None,
    )
    if kind == catalogue.GROUPS:
        return of_groups(source, dataset, policy, command)
    content = of_list(source, dataset, policy, errors=kind == catalogue.ERRORS, which=which, command=command)
    return replace(content, saved=_saved(settings))


def _saved(settings: Settings) -> Path | None:
    """The folder of a data set that Hugging Face's `datasets` saved, if the samples come from one unchanged."""
    dataset = settings.dataset
    if dataset.name != "table" or dataset.injection is not None:
        return None
    folder = locate(str(dataset.options.get("path", "")), settings.data_root)
    return folder if folder.is_dir() and is_saved_dataset(folder) else None


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A folder that is written atomically. Raises InputError if `path` holds anything."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} is not empty" if path.is_dir() else f"{path} is a file", "Name a new folder with -o.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(6)}.tmp")
    try:
        with readable_os_errors(path):
            temporary.mkdir(parents=True)
            yield temporary
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
