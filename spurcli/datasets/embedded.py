"""Embeddings as a data set: the vectors of embeddings.h5, with the samples, labels and groups of the data they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spurcli.artifacts.embeddings import (
    EmbeddedSplit,
    read_column_names,
    read_columns,
    read_embeddings,
    read_embeddings_header,
)
from spurcli.datasets.base import Dataset, Split, Twin
from spurcli.datasets.inputs import Vectors
from spurcli.datasets.own.columns import crossed_columns
from spurcli.datasets.own.naming import locate, names_of
from spurcli.datasets.own.values import coded
from spurcli.datasets.tables import Table, listed
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.registry import is_user_code, near
from spurcli.sharing import once


def load(
    *, data_root: Path, path: str = "", attribute: str | Sequence[str] = (), attributes: Sequence[str] = ()
) -> Dataset:
    """The file of embeddings `path`, searched in the data root and the working folder.

    Ids, order and fingerprints are those of the source data, so that lists, groups and scores of one fit the other. `attribute`
    (one or several of the columns that the file keeps) makes groups with the class instead of the source's attribute;
    `attributes` are its names in the wanted order.
    """
    file = locate(path, data_root)
    columns = names_of(attribute, "attribute")
    order = names_of(attributes, "attributes")
    if order and not columns:
        raise UsageError(
            "dataset.options.attributes orders the values of --attribute", "Name a column: --attribute COLUMN"
        )
    state = file.stat()
    dataset = once(("embeddings", str(file), state.st_mtime_ns, state.st_size), lambda: _read(file))
    return _grouped(dataset, file, columns, order) if columns else dataset


def _read(file: Path) -> Dataset:
    found = read_embeddings(file)
    kept = read_column_names(file)
    twins = {
        name: Twin(split.twin_index, partial(Vectors, split.twin_embedding))
        for name, split in found.splits.items()
        if split.twin_index is not None and split.twin_embedding is not None
    }
    return Dataset(
        name=found.name,
        class_names=found.class_names,
        splits={name: _split(split) for name, split in found.splits.items()},
        attribute_names=found.attribute_names,
        confusion=found.confusion,
        twins=twins or None,
        injection=found.injection,
        injection_sha256=found.injection_sha256,
        backbone=found.backbone,
        read_as=f"embeddings of {found.num_dimensions:,} dimensions by {backbone_line(found.backbone)}"
        + (f", columns {listed(kept)}" if kept else ""),
        columns=partial(read_columns, file) if kept else None,
    )


def require_columns(file: Path, wanted: Sequence[str], flag: str, instead: str) -> None:
    """Raise InputError unless the embeddings in `file` keep the columns that were named with `flag`; `instead` is another way to groups."""
    kept = read_column_names(file)
    for name in wanted:
        if name not in kept:
            hint = f"It keeps: {listed(kept)}." if kept else "Run data embed on the table again: it adds the columns."
            raise InputError(f"{flag}: {file.name} keeps no column {name!r}{near(name, kept)}", f"{hint} {instead}")


def _grouped(dataset: Dataset, file: Path, columns: Sequence[str], order: Sequence[str]) -> Dataset:
    """The same samples in the groups of some columns; errors name the sample and its split."""
    if dataset.injection is not None:
        raise UsageError("--attribute has no effect: the injected feature makes the groups", "Remove it.")
    require_columns(file, columns, "--attribute", "A file of groups works too: --group-labels FILE.")
    values = dataset.columns() if dataset.columns else {}
    sizes = {name: len(split) for name, split in dataset.splits.items()}
    table = Table(
        file,
        {column: [value for name in sizes for value in values[name][column]] for column in columns},
        [number for size in sizes.values() for number in range(1, size + 1)],
        unit="sample",
        within=[name for name, size in sizes.items() for _ in range(size)],
    )
    names, attribute = coded(*crossed_columns(table, columns, order), order, "attributes", "attributes")
    parts = np.split(attribute, np.cumsum(list(sizes.values()))[:-1])
    splits = {
        name: replace(split, attribute=part) for (name, split), part in zip(dataset.splits.items(), parts, strict=True)
    }
    return replace(dataset, splits=splits, attribute_names=names)


def source_of(embedded: Dataset, path: str, data_root: Path, cache_root: Path | None = None) -> Dataset:
    """The data set from which the embeddings in `path` were made, to show its samples. InputError if it is not found.

    It is searched in the data root, the working folder and next to the file. A user's own loader is not run, because a file must not name code.
    """
    from spurcli.datasets.load import load_dataset

    file = locate(path, data_root)
    _, backbone, made = read_embeddings_header(file)
    stored = made.get("settings") or {}
    part, prepared = _object(stored.get("dataset")), _object(backbone.get("preprocessing"))
    name, options, injection = str(part.get("name") or ""), _object(part.get("options")), _object(part.get("injection"))
    if not name or is_user_code(name):
        raise InputError(
            f"{file.name} does not say from which data set it was made, or names code of your own",
            "Audit a model of the images or texts themselves.",
        )
    sizes = [size for key in ("resize_size", "image_size") if isinstance(size := prepared.get(key), int)]
    problems = []
    for root in dict.fromkeys((data_root, file.parent)):
        try:
            found = load_dataset(
                name,
                options,
                data_root=root,
                image_size=sizes[0] if sizes else None,
                injection=_beside(str(injection["file"]), root) if injection.get("file") else None,
                cache_root=cache_root,
            )
        except SpurError as error:
            problems.append(error)
            continue
        for split, own in embedded.splits.items():
            if split not in found.splits or found.splits[split].fingerprint.difference(own.fingerprint):
                raise InputError(f"{found.name} has other samples than {file.name}", "Make the embeddings again.")
        return found
    raise problems[0]


def _beside(name: str, root: Path) -> Path:
    return next((path for path in (root / name, Path(name)) if path.is_file()), root / name)


def _object(content: object) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


def _split(split: EmbeddedSplit) -> Split:
    return Split(split.label, Vectors(split.embedding), split.attribute, split.sample_id)


def backbone_line(backbone: object) -> str:
    """The frozen model in words: "efficientnet_lite0" or "torchvision resnet50"."""
    facts = backbone if isinstance(backbone, dict) else {}
    name, options = facts.get("model"), facts.get("options")
    options = options if isinstance(options, dict) else {}
    which = options.get("arch") or options.get("path")
    words = [str(name or "an unknown model")[:80], *([str(which)[:80]] if which else [])]
    return " ".join(words) + (f", trained ({str(facts['checkpoint'])[:80]})" if facts.get("checkpoint") else "")
