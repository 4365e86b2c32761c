"""A data set that Hugging Face's `datasets` saved with `save_to_disk`. Nothing is downloaded, none of its code is run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spurcli.datasets.own.columns import Source, Wanted
from spurcli.datasets.own.stored import StoredPart, read_stored
from spurcli.errors import InputError, MissingExtraError

_AGAIN = "Save it again with save_to_disk."


def read_saved(folder: Path, wanted: Wanted) -> Source:
    """The content that `wanted` selects from the data set in a folder: splits of a DatasetDict, or a Dataset, perhaps with a split column.

    Raises InputError for a damaged folder, and for images that are not in its files.
    """
    saved = open_saved(folder)

    def rows_with(column: str, splits: Sequence[str]) -> Any:
        import datasets

        with _readable(folder):
            return datasets.concatenate_datasets([saved[name].select_columns([column]) for name in splits])

    parts = {name: _part(rows, folder) for name, rows in saved.items()}
    return read_stored(folder, parts, wanted, rows_with, read_as="saved by datasets", again=_AGAIN)


def _part(rows: Any, folder: Path) -> StoredPart:
    import datasets

    def column(name: str) -> Any:
        with _readable(folder):
            return rows.data.column(name)

    classes = {name: getattr(feature, "names", None) for name, feature in rows.features.items()}
    return StoredPart(
        len(rows),
        rows.column_names,
        {name: tuple(names) for name, names in classes.items() if names},
        frozenset(name for name, feature in rows.features.items() if isinstance(feature, datasets.Image)),
        column,
    )


def open_saved(folder: Path) -> dict[str, Any]:
    """The `datasets.Dataset` of each split; {"": …} of a folder that is one without splits."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(
            f"{folder} was saved by Hugging Face's `datasets`, which is not installed", "pip install 'spurcli[hf]'"
        ) from error
    with _readable(folder), quiet(datasets):
        parts = {"": folder}
        if (folder / "dataset_dict.json").is_file():
            names = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            parts = {name: folder / _inside(name) for name in names}
        for part in parts.values():
            for file in json.loads((part / "state.json").read_text(encoding="utf-8"))["_data_files"]:
                _inside(file["filename"])
        found = {name: datasets.Dataset.load_from_disk(str(part)).with_format(None) for name, part in parts.items()}
        for rows in found.values():
            rows.data.validate(full=True)  # else an offset outside the file ends the process with a signal
    if not found:
        raise InputError(f"{folder} has no splits", _AGAIN)
    return found


def _inside(name: str) -> str:
    if "/" in name or "\\" in name or name in ("", ".", ".."):
        raise ValueError(f"{name[:60]!r} points outside it")
    return name


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged folder raises almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:150]
        raise InputError(f"{folder} is not a data set that can be read: {reason}", _AGAIN) from error


@contextlib.contextmanager
def quiet(datasets: Any) -> Iterator[None]:
    """Without the library's progress bars."""
    shown = not datasets.utils.are_progress_bars_disabled()
    datasets.utils.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.utils.enable_progress_bars()
