"""The formats of `spurcli export`. Imports nothing heavy: the help is made from this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spurcli.errors import UsageError
from spurcli.registry import near

if TYPE_CHECKING:
    from spurcli.exporting.content import Content


@dataclass(frozen=True)
class Format:
    """One format: where it goes if no output is named, and what it needs.

    `writer` is "module:function" of `(content, path) -> None`. A `folder` must be new. `needs_inputs`: the inputs of the
    samples are written, so a data set is needed, and the other splits are written with the training split.
    """

    summary: str
    standard_output: str
    writer: str
    folder: bool = False
    needs_inputs: bool = False

    def write(self, content: Content, path: Path) -> None:
        import importlib

        module, name = self.writer.split(":")
        function: Callable[[Content, Path], None] = getattr(importlib.import_module(module), name)
        function(content, path)


FORMATS = {
    "csv": Format("a table", "export.csv", "spurcli.exporting.tables:write_csv"),
    "parquet": Format("the same table as Parquet", "export.parquet", "spurcli.exporting.tables:write_parquet"),
    "text": Format("one id per line", "export.txt", "spurcli.exporting.tables:write_ids"),
    "webdataset": Format(
        "the keys of the samples in webdataset shards, one per line", "keys.txt", "spurcli.exporting.tables:write_keys"
    ),
    "links": Format(
        "a folder of images, FOLDER/SPLIT/CLASS/NAME, as symbolic links",
        "export",
        "spurcli.exporting.images:write_links",
        folder=True,
        needs_inputs=True,
    ),
    "copies": Format(
        "the same folder, as copies of the images",
        "export",
        "spurcli.exporting.images:write_copies",
        folder=True,
        needs_inputs=True,
    ),
    "hf": Format(
        "a data set for datasets.load_from_disk",
        "export",
        "spurcli.exporting.saved:write_saved",
        folder=True,
        needs_inputs=True,
    ),
    "fiftyone": Format(
        "labels.json and data.json: FiftyOneImageClassificationDataset, images stay where they are",
        "export",
        "spurcli.exporting.descriptions:write_fiftyone",
        folder=True,
    ),
    "croissant": Format(
        "samples.csv with its Croissant metadata",
        "export",
        "spurcli.exporting.descriptions:write_croissant",
        folder=True,
    ),
}


def format_named(name: str | None) -> Format:
    """The format of this name; UsageError that lists them."""
    known = f"Formats: {', '.join(FORMATS)}."
    if name is None:
        raise UsageError("No format is named", f"Add --as FORMAT. {known}")
    if name not in FORMATS:
        raise UsageError(f"Unknown format {name!r}{near(name, FORMATS)}", known)
    return FORMATS[name]
