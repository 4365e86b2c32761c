"""JSON that other programs read: FiftyOne's image classification data set, and Croissant metadata of a table."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from spurcli.artifacts.atomic import write_json
from spurcli.artifacts.envelope import sha256_of_file
from spurcli.errors import InputError
from spurcli.exporting.content import Content, files_of
from spurcli.exporting.tables import require_unique, write_csv
from spurcli.words import counted

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_fiftyone(content: Content, path: Path) -> None:
    """labels.json (class number of each image) and data.json (where each image is), as FiftyOne documents them.

    `fiftyone.Dataset.from_dir(FOLDER, fiftyone.types.FiftyOneImageClassificationDataset, data_path="data.json")` reads
    both; by itself it looks for a folder data/. Images are called by their ids without the ending.
    """
    files = files_of(content)
    if files is None:
        raise InputError(
            "FiftyOne shows image files, and these samples are not files",
            "Write files first: spurcli export LIST --as copies -o FOLDER",
        )
    ids = [str(PurePosixPath(identifier).with_suffix("")) for identifier in content.ids]
    require_unique(ids, content.ids, "name without its extension")
    number = {name: code for code, name in enumerate(content.class_names)}
    labels = {key: number[name] for key, name in zip(ids, content.columns["class"], strict=True)}
    write_json(path / "labels.json", {"classes": list(content.class_names), "labels": labels})
    # the manifest's keys lose an ending when they are read, so each keeps its file's
    places = {f"{key}{file.suffix}": str(file) for key, file in zip(ids, files, strict=True)}
    write_json(path / "data.json", places)


def write_croissant(content: Content, path: Path) -> None:
    """samples.csv, and croissant.json that describes it (Croissant 1.0)."""
    table = path / "samples.csv"
    write_csv(content, table)
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"samples/{name}",
            "name": name,
            "dataType": _data_type(values[0]),
            "source": {"fileObject": {"@id": "samples.csv"}, "extract": {"column": name}},
        }
        for name, values in content.columns.items()
    ]
    description = f"{counted(len(content), 'sample')} of the split {content.split} from {content.source}, written by spurcli export."
    metadata = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": path_name(content.source),
        "description": description,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "samples.csv",
                "name": "samples.csv",
                "contentUrl": "samples.csv",
                "encodingFormat": "text/csv",
                "sha256": sha256_of_file(table),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "samples",
                "name": "samples",
                "key": {"@id": "samples/id"},
                "field": fields,
            }
        ],
    }
    write_json(path / "croissant.json", metadata)


def path_name(source: str) -> str:
    """A name of letters, digits and - for metadata."""
    return "".join(character if character.isalnum() else "-" for character in source).strip("-") or "samples"


def _data_type(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "sc:Boolean"
    if isinstance(value, int | np.integer):
        return "sc:Integer"
    return "sc:Float" if isinstance(value, float | np.floating) else "sc:Text"
