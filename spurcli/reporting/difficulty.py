"""How difficulty is distributed in a score file, and in which quartiles the carriers of the feature fall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.scores import ScoresReader, open_scores
from spurcli.groups import carrier_groups
from spurcli.reporting.gather import File
from spurcli.reporting.values import mapping, name_of

# Above this every k-th sample is looked at: quartile shares of millions do not change in the third digit.
MAX_SAMPLES = 4_000_000
_NUM_BINS = 30


def main_score(reader: ScoresReader, wanted: Sequence[str] = ()) -> str:
    """The score that lists were made by, if it is there, else el2n, else the first that is not random."""
    names = list(reader.scores)
    for name in (*wanted, "el2n"):
        if name in names:
            return name
    return next((name for name in names if name != "random"), names[0])


def describe_scores(file: File, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """What a page shows of one score file; reads one score and, if known, the groups.

    `histogram`: `edges` [bins + 1] and shares (of all its samples) of `carriers` and `rest` in each bin, `carriers`
    None where groups are not known. `quartiles`: share of all carriers in the four quarters of difficulty, easiest
    first, `within_class` and in the `whole_set`.
    """
    with open_scores(file.path) as reader:
        name = main_score(reader, wanted)
        info, header = reader.scores[name], reader.header
        stride = -(-header.num_samples // MAX_SAMPLES)
        values = _strided_mean(reader, name, stride)
        label = reader.labels()[::stride]
        carries, feature = feature_carriers(reader, stride)
    difficulty = values if info.higher_is == "harder" else -values
    scoring = mapping(mapping(header.provenance.get("settings")).get("scoring"))
    return {
        "file": file.name,
        "name": name,
        "higher_is": info.higher_is,
        "formula": info.formula,
        "epoch": info.epoch if info.epoch is not None else scoring.get("epoch"),
        "view": info.view,
        "num_runs": info.num_runs,
        "seeds": list(info.seeds),
        "num_samples": header.num_samples,
        "num_shown": len(values),
        "feature": feature,
        "num_carriers": int(carries.sum()) if carries is not None else None,
        "histogram": _histogram(values, carries),
        "quartiles": {
            "within_class": _shares(_quartile_within(difficulty, label), carries),
            "whole_set": _shares(_quartile_within(difficulty, np.zeros_like(label)), carries),
        }
        if carries is not None
        else None,
    }


def _strided_mean(reader: ScoresReader, name: str, stride: int) -> NDArray[np.float32]:
    if stride == 1:
        return reader.mean_values(name)
    step, num_samples = stride * (1 << 18), reader.header.num_samples
    blocks = []
    for start in range(0, num_samples, step):
        stop = min(start + step, num_samples)
        runs = [reader.values(name, run, start, stop)[::stride] for run in range(reader.scores[name].num_runs)]
        blocks.append(np.mean(runs, axis=0, dtype=np.float64).astype(np.float32))
    return np.concatenate(blocks)


def feature_carriers(reader: ScoresReader, stride: int = 1) -> tuple[NDArray[np.bool_] | None, str]:
    """The training samples that carry their class's spurious feature (groups.carrier_groups), and its name."""
    names, num_classes = reader.header.group_names, len(reader.header.class_names)
    if not reader.has_groups or not num_classes or not names or len(names) % num_classes:
        return None, ""
    group = reader.groups()
    if group.min() < 0 or group.max() >= len(names):
        return None, ""
    chosen = carrier_groups(np.bincount(group, minlength=len(names)), num_classes)
    carries = np.isin(group, chosen)[::stride]
    return (carries, name_of(names[chosen[0]].rpartition("/")[2])) if carries.any() else (None, "")


def _histogram(values: NDArray[np.float32], carries: NDArray[np.bool_] | None) -> dict[str, Any]:
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1, _NUM_BINS + 1)
    parts = {"carriers": carries, "rest": ~carries if carries is not None else np.ones(len(values), dtype=bool)}
    shares: dict[str, Any] = {"edges": [float(edge) for edge in edges]}
    for name, chosen in parts.items():
        if chosen is None:
            shares[name] = None
            continue
        counts, _ = np.histogram(values[chosen], edges)
        shares[name] = [float(count / max(1, chosen.sum())) for count in counts]
    return shares


def _quartile_within(difficulty: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """The quartile 0 … 3 (0 = easiest) of each sample among those of its label; of ties the lower index is harder."""
    order = np.lexsort((-np.arange(len(label)), difficulty, label))
    _, starts, counts = np.unique(label[order], return_index=True, return_counts=True)
    rank = np.arange(len(label)) - np.repeat(starts, counts)
    quartile = np.empty(len(label), dtype=np.int64)
    quartile[order] = 4 * rank // np.repeat(counts, counts)
    return quartile


def _shares(quartile: NDArray[np.int64], carries: NDArray[np.bool_] | None) -> list[float]:
    assert carries is not None
    counts = np.bincount(quartile[carries], minlength=4)
    return [float(count / counts.sum()) for count in counts]
