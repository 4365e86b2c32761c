"""What an artefact says of each sample, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.indices import read_indices_about
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.scores import open_scores
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.datasets.base import Dataset
from spurcli.datasets.inputs import FileImages
from spurcli.errors import InputError, UsageError
from spurcli.selection import deciding_score, hardness_keys, select_hardest

Values = Sequence[Any] | NDArray[Any]
Columns = dict[str, Values]
WHICH = ("kept", "removed", "all")


@dataclass(frozen=True)
class Content:
    """Samples to export: `columns` of one length, among them index (position in its split), id and class.

    `index` int64 [m] are the positions in the split `split` of `dataset`, which is None where the artefact alone says
    everything. `others` are splits of the data set that belong to the export and are not filtered. `saved` is the folder of
    a Hugging Face data set from which the samples come unchanged.
    """

    source: str
    command: str
    columns: Columns
    class_names: tuple[str, ...]
    split: str
    index: NDArray[np.int64]
    dataset: Dataset | None = None
    others: tuple[str, ...] = ()
    saved: Path | None = None

    @property
    def ids(self) -> list[str]:
        return list(self.columns["id"])

    def __len__(self) -> int:
        return len(self.columns["id"])


def of_scores(path: Path, command: str = "") -> Content:
    """A row for each training sample, with the mean over the runs of every score."""
    with open_scores(path) as reader:
        header, index = reader.header, np.arange(reader.header.num_samples)
        class_names = header.class_names
        columns = _columns(index, reader.sample_ids(index), _named(reader.labels(), class_names, f"{path}: label"))
        if reader.has_groups:
            columns["group"] = _named(reader.groups(), header.group_names, f"{path}: group")
        for name in reader.scores:
            columns[f"score_{name}" if name in columns else name] = reader.mean_values(name)
    return Content(path.name, command, columns, class_names, "train", index)


def of_predictions(path: Path, command: str = "") -> Content:
    """A row for each evaluated sample, with its logits."""
    found = read_predictions(path)
    index = np.arange(len(found.label))
    names = found.class_names or tuple(map(str, range(found.logits.shape[1])))
    ids = list(found.sample_id) if found.sample_id is not None else [str(place) for place in index.tolist()]
    columns = _columns(index, ids, _named(found.label, names, f"{path}: label"))
    if found.group is not None:
        columns["group"] = _named(found.group, found.group_names, f"{path}: group")
    columns["predicted"] = _named(found.logits.argmax(axis=1), names, str(path))
    for number, name in enumerate(names):
        columns[f"logit_{name}"] = found.logits[:, number]
    return Content(path.name, command, columns, tuple(names), found.split, index)


def of_groups(path: Path, dataset: Dataset, policy: InjectionPolicy, command: str = "") -> Content:
    """A row for each sample of every split that the list covers."""
    found = read_groups(path)
    columns: Columns = {}
    for name in (
        split for split in dataset.splits if found.part(split) and (split in found.splits or split == "train")
    ):
        part = found.part(name)
        assert part is not None
        part.subject.require_same(dataset.subject(name), policy)
        if len(part.group) != len(dataset.split(name)):
            raise InputError(f"{path} has other samples than the split {name!r}", "Use the data set it was made for.")
        rows = _of_split(dataset, name, np.arange(len(part.group)))
        rows["split"] = [name] * len(part.group)
        rows["group"] = _named(part.group, found.names, f"{path}: group")
        if part.probability is not None:
            rows["probability"] = part.probability
        for key, values in rows.items():
            columns[key] = [*columns.get(key, ()), *values]
    return Content(path.name, command, columns, dataset.class_names, "train", np.asarray(columns["index"]), dataset)


def of_list(
    path: Path, dataset: Dataset, policy: InjectionPolicy, *, errors: bool, which: str, command: str = ""
) -> Content:
    """A row for each training sample that a list keeps (or removes, or all), or that a list of errors names."""
    subject = dataset.subject("train")
    found = read_indices_about(subject, path, policy, bare_kind="errors" if errors else "keep")
    num_samples = len(dataset.split("train"))
    kept = np.zeros(num_samples, dtype=bool)
    kept[found.indices if errors else found.kept(num_samples)] = True
    index = np.arange(num_samples) if which == "all" else np.flatnonzero(kept if which == "kept" else ~kept)
    if not len(index):
        raise InputError(f"{path}: no sample is {which}", "Choose others with --which.")
    columns = _of_split(dataset, "train", index)
    if which == "all":
        columns["kept"] = kept
    others = tuple(name for name in dataset.splits if name != "train") if which == "kept" and not errors else ()
    return Content(path.name, command, columns, dataset.class_names, "train", index, dataset, others)


def whole_split(content: Content, name: str) -> Content:
    """Another split of the same data set, all of it."""
    assert content.dataset is not None
    index = np.arange(len(content.dataset.split(name)))
    columns = _of_split(content.dataset, name, index)
    return Content(
        content.source, content.command, columns, content.class_names, name, index, content.dataset, saved=content.saved
    )


def files_of(content: Content) -> list[Path] | None:
    """The image file of each sample, absolute; None where samples are not files."""
    if content.dataset is None:
        return None
    inputs = content.dataset.split(content.split).inputs
    if not isinstance(inputs, FileImages):
        return None
    return [inputs.paths[place].absolute() for place in content.index.tolist()]


def require_which(which: str, *, is_list: bool) -> None:
    if which not in WHICH:
        raise UsageError(f"--which {which} is unknown", f"Use {', '.join(WHICH)}.")
    if which != "kept" and not is_list:
        raise UsageError(f"--which {which} has no effect: this file does not keep or remove samples", "Remove it.")


def hardest(path: Path, count: int, score: str | None) -> dict[str, Any]:
    """The `count` hardest samples of a score file, hardest first, of ties the lower index: what `show --hardest` prints."""
    with open_scores(path) as reader:
        header, name = reader.header, deciding_score(reader.scores, score)
        higher_is = reader.require(name).higher_is
        keys = hardness_keys(reader.mean_values(name), higher_is)
        quota = np.array([min(count, len(keys))])
        index = np.flatnonzero(select_hardest(keys, np.zeros(len(keys), dtype=np.int16), quota))
        columns = _columns(
            index, reader.sample_ids(index), _named(reader.labels()[index], header.class_names, str(path))
        )
        if reader.has_groups:
            columns["group"] = _named(reader.groups()[index], header.group_names, str(path))
        columns["value"] = reader.mean_values(name)[index]
    order = np.argsort(~keys[index], kind="stable").tolist()
    rows = [
        {"rank": rank, **{key: plain(values[place]) for key, values in columns.items()}}
        for rank, place in enumerate(order, 1)
    ]
    for row in rows:
        row["value"] = float(row["value"])
    return {"score": name, "higher_is": higher_is, "num_samples": len(keys), "hardest": rows}


def _of_split(dataset: Dataset, name: str, index: NDArray[np.int64]) -> Columns:
    split = dataset.split(name)
    places = index.tolist()
    ids = [str(place) if split.sample_id is None else split.sample_id[place] for place in places]
    columns = _columns(index, ids, _named(split.label[index], dataset.class_names, name))
    if isinstance(split.inputs, FileImages):
        columns["path"] = [str(split.inputs.paths[place]) for place in places]
    group = dataset.group(name)
    if group is not None:
        columns["group"] = _named(group[index], dataset.group_names, name)
    return columns


def _columns(index: NDArray[np.int64], ids: Sequence[str], classes: Sequence[str]) -> Columns:
    return {"index": index, "id": ids, "class": classes}


def _named(codes: NDArray[np.integer[Any]], names: Sequence[str], where: str) -> list[str]:
    """The name of each code; the code itself where there are no names."""
    if not names:
        return [str(code) for code in codes.tolist()]
    if codes.min() < 0 or codes.max() >= len(names):
        raise InputError(f"{where}: a number is outside the {len(names):,} names", "The file is damaged.")
    return [names[code] for code in codes.tolist()]


def plain(value: Any) -> Any:
    """A value as text formats hold it; float32 with the fewest digits that give it again."""
    if isinstance(value, np.float32):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def as_mapping(columns: Mapping[str, Values]) -> dict[str, Any]:
    """Columns as Arrow takes them: arrays stay arrays."""
    return {name: values if isinstance(values, np.ndarray) else list(values) for name, values in columns.items()}
