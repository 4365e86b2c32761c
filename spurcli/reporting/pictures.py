"""The easiest and hardest samples of each class as small pictures or texts, if the data set is available."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.injection import Injection, read_injection
from spurcli.artifacts.scores import open_scores
from spurcli.datasets import Dataset, Inputs, Texts, load_dataset
from spurcli.errors import InputError, SpurError
from spurcli.finding import find_injection, find_own_data
from spurcli.registries import DATASETS, FEATURES
from spurcli.reporting.difficulty import MAX_SAMPLES, feature_carriers, main_score
from spurcli.reporting.gather import File
from spurcli.reporting.values import Table, mapping, name_of, text, whole
from spurcli.words import counted, listed

MAX_CLASSES, PER_END, TEXTS_PER_END = 10, 6, 3
_MAX_CHARACTERS = 180
_MAX_SIDE = 56
_SMALL = 40  # up to this many pixels per side, pixels are shown as squares


@dataclass(frozen=True)
class Picture:
    """A sample: an image as a data URI, or its `texts` (`uri` is empty then)."""

    uri: str
    texts: Sequence[str]
    description: str
    carries: bool


@dataclass(frozen=True)
class ClassRow:
    """The `easiest` (easiest first) and `hardest` (hardest first) samples of one class."""

    name: str
    easiest: Sequence[Picture]
    hardest: Sequence[Picture]


@dataclass(frozen=True)
class Gallery:
    """Rows of pictures from one score file, or only a `note` that says why there are none."""

    note: str
    rows: Sequence[ClassRow] = ()
    feature: str = ""
    pixelated: bool = False


def gallery(
    scores: Sequence[File], injections: Sequence[File], wanted: Sequence[str], data_root: Path | None
) -> Gallery | None:
    """Pictures of the first score file whose data set can be loaded; None if there is no score file.

    The note names the files that have none.
    Only registered data sets and features are loaded: a file never names code that is then run.
    """
    notes: list[str] = []
    for number, file in enumerate(scores[:3]):
        try:
            found = _of_file(file, injections, wanted, data_root)
            if others := [other.name for other in scores[number + 1 :]]:
                notes.append(f"Pictures show the samples of one file only, not those of {listed(others)}.")
            return replace(found, note=" ".join([found.note, *notes]))
        except Exception as error:  # options come from a file, so loaders may fail: the numbers are still shown
            reason = error.problem if isinstance(error, SpurError) else f"{type(error).__name__} while loading it"
            notes.append(f"No pictures for {file.name}: {reason}".rstrip(".") + ".")
    if others := [other.name for other in scores[3:]]:
        notes.append(f"Not tried: {listed(others)}.")
    return Gallery(" ".join(notes)) if notes else None


def _of_file(file: File, injections: Sequence[File], wanted: Sequence[str], data_root: Path | None) -> Gallery:
    with open_scores(file.path) as reader:
        header = reader.header
        if header.num_samples > MAX_SAMPLES:
            raise InputError(f"{counted(header.num_samples, 'sample')} are too many to sort for pictures")
        settings = mapping(header.provenance.get("settings"))
        name = main_score(reader, wanted)
        values = reader.mean_values(name)
        difficulty = values if reader.scores[name].higher_is == "harder" else -values
        label, class_names = reader.labels(), header.class_names
        carries, feature = feature_carriers(reader)
        dataset = _load(settings, file, injections, data_root)
        train = dataset.splits["train"]
        replace(header.subject, name=file.name).require_same_samples(dataset.subject("train"))
        classes = _classes(label, carries)
        per_end = TEXTS_PER_END if isinstance(train.inputs, Texts) else PER_END
        chosen = {number: _ends(difficulty, label, number, per_end) for number in classes}
        drawn = np.unique(np.concatenate([np.concatenate(ends) for ends in chosen.values()]))
        ids = dict(zip(drawn.tolist(), reader.sample_ids(drawn), strict=True))
    pictures, texts = _pictures(train.inputs, drawn), _texts(train.inputs, drawn)

    def show(indices: NDArray[np.int64]) -> list[Picture]:
        return [
            Picture(
                pictures.get(index, ""),
                texts.get(index, ()),
                f"{name_of(ids[index])}, {name} {values[index]:.3f}"
                + (f", carries {feature}" if carries is not None and carries[index] else ""),
                bool(carries is not None and carries[index]),
            )
            for index in indices.tolist()
        ]

    rows = [
        ClassRow(name_of(class_names[number] if number < len(class_names) else number), show(easy), show(hard))
        for number, (easy, hard) in chosen.items()
    ]
    total = len(np.unique(label))
    more = f" {len(rows)} of {counted(total, 'class')}." if len(rows) < total else ""
    note = f"By {name} in {file.name}; hover over a {'text' if texts else 'picture'} for its id and score.{more}"
    small = not isinstance(train.inputs, Texts) and max(train.inputs.shape[:2]) <= _SMALL
    return Gallery(note, rows, feature if carries is not None else "", small)


def _load(settings: Table, file: File, injections: Sequence[File], data_root: Path | None) -> Dataset:
    table = mapping(settings.get("dataset"))
    name = text(table.get("name"))
    if not name:
        raise InputError("the file does not name its data set")
    if name not in DATASETS:
        raise InputError(f"the data set {name_of(name)} is not built in, and code is never run because a file names it")
    data_root = data_root or Path("data")
    injection = _injection(mapping(table.get("injection")), file, injections, data_root)
    table = find_own_data(table, [*([injection] if injection else []), file.path], data_root)
    return load_dataset(
        name,
        mapping(table.get("options")),
        data_root=data_root,
        image_size=_decode_size(mapping(settings.get("preprocessing"))),
        injection=injection,
    )


def _decode_size(preprocessing: Table) -> int | None:
    return whole(preprocessing.get("resize_size")) or whole(preprocessing.get("image_size"))


def _injection(stored: Table, file: File, injections: Sequence[File], data_root: Path) -> Path | None:
    """Where the inject.json of the score file is: among the given files, else where the stages search for it."""
    if not stored:
        return None
    sha256 = text(stored.get("sha256"))
    for other in injections:
        if other.content.sha256 == sha256:
            return _registered(other.path, other.content)
    try:
        path = find_injection(text(stored.get("file")), sha256, [file.path], data_root)
    except InputError:
        raise InputError("its inject.json is not among the files of this report") from None
    return _registered(path, read_injection(path))


def _registered(path: Path, injection: Injection) -> Path:
    if injection.feature not in FEATURES:
        raise InputError(
            f"the feature {name_of(injection.feature)} is not built in, and code is never run because a file names it"
        )
    return path


def _classes(label: NDArray[np.int64], carries: NDArray[np.bool_] | None) -> list[int]:
    """At most MAX_CLASSES labels, those with carriers preferred, ascending."""
    every = np.unique(label).tolist()
    first = np.unique(label[carries]).tolist() if carries is not None else []
    return sorted([*first, *[number for number in every if number not in first]][:MAX_CLASSES])


def _ends(
    difficulty: NDArray[np.float32], label: NDArray[np.int64], number: int, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    mine = np.flatnonzero(label == number)
    order = mine[np.lexsort((-mine, difficulty[mine]))]
    per_end = min(most, len(order) // 2) or len(order)
    return order[:per_end], order[::-1][:per_end]


def _texts(inputs: Inputs, indices: NDArray[np.int64]) -> dict[int, Sequence[str]]:
    """The texts of these samples, cut to what fits; none of a data set of images."""
    if not isinstance(inputs, Texts):
        return {}
    cut = [
        [text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…" for text in sample]
        for sample in inputs.read(indices)
    ]
    return dict(zip(indices.tolist(), cut, strict=True))


def _pictures(inputs: Inputs, indices: NDArray[np.int64]) -> dict[int, str]:
    """These samples as data URIs; none of a data set of texts."""
    from PIL import Image

    if isinstance(inputs, Texts):
        return {}
    pixels = inputs.read(indices)
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3):
        raise InputError("its samples are not images")
    uris = {}
    for index, array in zip(indices.tolist(), pixels, strict=True):
        image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
        if max(image.size) > _MAX_SIDE:
            image.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", optimize=True)
        uris[index] = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return uris
