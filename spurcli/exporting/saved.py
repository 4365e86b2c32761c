"""A data set for Hugging Face's `datasets`: rows of a saved data set as they are, other data with image or text, label, id, index and group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spurcli.datasets.inputs import Texts, Vectors
from spurcli.datasets.own.huggingface import open_saved, quiet
from spurcli.datasets.own.splitting import split_name
from spurcli.errors import MissingExtraError
from spurcli.exporting.content import Content, as_mapping, files_of, whole_split
from spurcli.exporting.images import encoded_images


def write_saved(content: Content, path: Path) -> None:
    """A DatasetDict with the exported samples as `train` and the other splits as they are.

    Of a data set that `save_to_disk` wrote, rows keep their columns, and splits their names (validation, not val).
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(
            "Saved data sets are written by Hugging Face's `datasets`, which is not installed",
            "pip install 'spurcli[hf]'",
        ) from error
    parts = (content, *(whole_split(content, name) for name in content.others))
    with quiet(datasets):
        found = _selected(parts, content.saved, datasets) if content.saved is not None else None
        found = found or {part.split: _rows(part, datasets) for part in parts}
        datasets.DatasetDict(found).save_to_disk(str(path))


def _selected(parts: Sequence[Content], folder: Path, datasets: Any) -> dict[str, Any] | None:
    """The rows of each part from the data set saved in `folder`, by ids such as validation/3; None if ids come from a column."""
    source = open_saved(folder)
    found: dict[str, Any] = {}
    for part in parts:
        places = [identifier.rpartition("/") for identifier in part.ids]
        if not all(name in source and row.isdecimal() and int(row) < len(source[name]) for name, _, row in places):
            return None
        names = dict.fromkeys(name for name, _, _ in places)
        # rows of one split are in its order; a split that spurcli drew may have rows of several
        rows = datasets.concatenate_datasets(
            [source[name].select([int(row) for other, _, row in places if other == name]) for name in names]
        )
        if "kept" in part.columns:
            rows = rows.add_column("kept", list(part.columns["kept"]))
        own = next(iter(names), "")
        found[own if len(names) == 1 and split_name(own) == part.split else part.split] = rows
    return found


def _rows(content: Content, datasets: Any) -> Any:
    assert content.dataset is not None
    inputs = content.dataset.split(content.split).inputs
    columns: dict[str, Any] = {}
    if isinstance(inputs, Texts):
        for name, texts in zip(("text", "text_pair"), inputs.columns, strict=False):
            columns[name] = [texts[place] for place in content.index.tolist()]
    elif isinstance(inputs, Vectors):
        columns["embedding"] = list(inputs.read(content.index))
    elif files := files_of(content):
        columns["image"] = [str(file) for file in files]
    else:
        columns["image"] = [{"bytes": encoded, "path": None} for _, encoded in encoded_images(content)]
    named = as_mapping({key: values for key, values in content.columns.items() if key != "path"})
    columns["label"] = named.pop("class")
    rows = datasets.Dataset.from_dict({**columns, **named})
    if "image" in columns:
        rows = rows.cast_column("image", datasets.Image())
    return rows.cast_column("label", datasets.ClassLabel(names=list(content.class_names)))
