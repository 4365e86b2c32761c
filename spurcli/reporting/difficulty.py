"""How difficulty is distributed in a score file, and in which quartiles the carriers of the feature fall."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.scores import ScoresHeader, ScoresReader, open_scores
from spurcli.groups import carrier_groups, is_grid
from spurcli.reporting.arm_key import base_of
from spurcli.reporting.gather import File
from spurcli.reporting.origins import scored_with
from spurcli.reporting.scores_entry import Histogram, Quartiles, ScoresEntry
from spurcli.reporting.values import Table, mapping, name_of, whole
from spurcli.scoring.agreement import Agreement, agreement
from spurcli.selection import hardness_keys, quartiles

# Above this only every k-th sample is used: quartile shares of millions do not change in the third digit.
MAX_SAMPLES = 4_000_000
_MAX_CLASSES = 10_000
_MAX_RUNS_COMPARED = 5
_NUM_BINS = 30
_BLOCK = 1 << 20  # samples that are read at a time


def main_score(reader: ScoresReader, wanted: Sequence[str] = ()) -> str:
    """The score that was used for lists, if it exists, else el2n, else the first that is not random."""
    names = list(reader.scores)
    for name in (*wanted, "el2n"):
        if name in names:
            return name
    return next((name for name in names if name != "random"), names[0])


def describe_scores(file: File, wanted: Sequence[str] = ()) -> ScoresEntry:
    """The data that a page shows for one score file; reads one score and, if known, the groups.

    Of several runs the first five are compared with each other.
    """
    with open_scores(file.path) as reader:
        name = main_score(reader, wanted)
        info, header = reader.scores[name], reader.header
        stride = -(-header.num_samples // MAX_SAMPLES)
        values = _strided_mean(reader, name, stride)
        label = _strided(reader, reader.labels, stride)
        carries, feature = feature_carriers(reader, stride)
        agreed = _agreement(reader, name, stride)
    return ScoresEntry(
        file=file.name,
        name=name,
        higher_is=info.higher_is,
        formula=info.formula,
        epoch=info.epoch,
        of=scored_with(header.provenance, len(info.weights_sha256)),
        settings=_settings(header),
        other_scores=[other for other in reader.scores if other not in (name, "random")],
        view=info.view,
        num_runs=info.num_runs,
        seeds=list(info.seeds),
        agreement=agreed,
        num_samples=header.num_samples,
        num_shown=len(values),
        feature=feature,
        num_carriers=int(carries.sum()) if carries is not None else None,
        histogram=_histogram(values, carries),
        quartiles=carriers_by_quartile(values, info.higher_is, label, carries) if carries is not None else None,
    )


def _settings(header: ScoresHeader) -> Table:
    settings = mapping(header.provenance.get("settings"))
    base = base_of(settings, None, header.provenance) if settings else {}
    is_draw = whole(mapping(mapping(settings.get("dataset")).get("options")).get("draw")) is not None
    samples = {} if is_draw else {"fingerprint": header.subject.samples.to_json()}
    return {**{part: base[part] for part in ("dataset", "model") if part in base}, **samples}


def _strided_mean(reader: ScoresReader, name: str, stride: int) -> NDArray[np.float32]:
    if stride == 1:
        return reader.mean_values(name)
    blocks = [
        np.mean([run[::stride] for run in runs], axis=0, dtype=np.float64).astype(np.float32)
        for runs in _blocks(reader, name, stride, range(reader.scores[name].num_runs))
    ]
    return np.concatenate(blocks)


def _blocks(reader: ScoresReader, name: str, stride: int, runs: Sequence[int]) -> Iterator[list[NDArray[np.float32]]]:
    """Values of all `runs`, a multiple of `stride` samples at a time."""
    for start, stop in _bounds(reader, stride):
        yield [reader.values(name, run, start, stop) for run in runs]


def _bounds(reader: ScoresReader, stride: int) -> Iterator[tuple[int, int]]:
    """Slices of all samples, each but the last a multiple of `stride` long."""
    step, num_samples = stride * max(_BLOCK // stride, 1), reader.header.num_samples
    for start in range(0, num_samples, step):
        yield start, min(start + step, num_samples)


def _agreement(reader: ScoresReader, name: str, stride: int) -> Agreement | None:
    info = reader.scores[name]
    if info.num_runs < 2:
        return None
    numbers = range(min(info.num_runs, _MAX_RUNS_COMPARED))
    sign = np.float32(1 if info.higher_is == "harder" else -1)
    blocks = [[sign * run[::stride] for run in runs] for runs in _blocks(reader, name, stride, numbers)]
    return agreement([np.concatenate(run) for run in zip(*blocks, strict=True)])


def feature_carriers(reader: ScoresReader, stride: int = 1) -> tuple[NDArray[np.bool_] | None, str]:
    """The training samples that carry their class's spurious feature (groups.carrier_groups), and its name."""
    names, classes = reader.header.group_names, reader.header.class_names
    if not reader.has_groups or not 0 < len(classes) <= _MAX_CLASSES or not is_grid(names, classes):
        return None, ""
    counts = np.zeros(len(names), dtype=np.int64)
    for start, stop in _bounds(reader, stride):  # all at once would take 16 bytes a sample
        group = reader.groups(start, stop)
        if not np.array_equal(group // (len(names) // len(classes)), reader.labels(start, stop)):
            return None, ""
        counts += np.bincount(group, minlength=len(names))
    chosen = carrier_groups(counts, len(classes))
    carries = np.isin(_strided(reader, reader.groups, stride), chosen)
    return (carries, name_of(names[chosen[0]].rpartition("/")[2])) if carries.any() else (None, "")


def _strided(reader: ScoresReader, codes: Callable[[int, int], NDArray[np.int64]], stride: int) -> NDArray[np.int64]:
    """Every `stride`-th of the labels or groups; copied, as a view would keep those between them in memory."""
    return np.concatenate([codes(start, stop)[::stride].copy() for start, stop in _bounds(reader, stride)])


def _histogram(values: NDArray[np.float32], carries: NDArray[np.bool_] | None) -> Histogram:
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1, _NUM_BINS + 1)

    def shares(chosen: NDArray[np.float32]) -> list[float]:
        counts, _ = np.histogram(chosen, edges)
        return [float(count / max(1, len(chosen))) for count in counts]

    return Histogram(
        edges=[float(edge) for edge in edges],
        carriers=shares(values[carries]) if carries is not None else None,
        rest=shares(values[~carries] if carries is not None else values),
    )


def carriers_by_quartile(
    values: NDArray[np.float32], higher_is: str, label: NDArray[np.int64], carries: NDArray[np.bool_]
) -> Quartiles:
    """Shares of all carriers in the quartiles that `prune` counts by, within the class, and over the whole set."""
    keys = hardness_keys(values.copy(), higher_is)
    codes, alike = label.astype(np.int32), np.zeros(len(label), dtype=np.int32)
    return Quartiles(
        within_class=_shares(quartiles(keys, codes, int(codes.max()) + 1), carries),
        whole_set=_shares(quartiles(keys, alike, 1), carries),
    )


def _shares(quartile: NDArray[np.int8], carries: NDArray[np.bool_]) -> list[float]:
    counts = np.bincount(quartile[carries], minlength=4)
    return [float(count / counts.sum()) for count in counts]
