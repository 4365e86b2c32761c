"""A data set for Hugging Face's `datasets`: load_from_disk gives images or texts, label, id and group of each split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spurcli.datasets.inputs import Texts, Vectors
from spurcli.datasets.own.huggingface import quiet
from spurcli.errors import MissingExtraError
from spurcli.exporting.content import Content, as_mapping, files_of, whole_split
from spurcli.exporting.images import encoded_images


def write_saved(content: Content, path: Path) -> None:
    """A DatasetDict with the exported samples as `train` and the other splits as they are."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(
            "Saved data sets are written by Hugging Face's `datasets`, which is not installed",
            "pip install 'spurcli[hf]'",
        ) from error
    parts = (content, *(whole_split(content, name) for name in content.others))
    with quiet(datasets):
        datasets.DatasetDict({part.split: _rows(part, datasets) for part in parts}).save_to_disk(str(path))


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
