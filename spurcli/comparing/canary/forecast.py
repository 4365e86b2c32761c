"""From measured canaries to a forecast: the effect of pruning on known features, for each fraction. NumPy only.

The measure. For each canary and seed `feature_effect` is known after training on all samples (e0), without the hardest
(e_f) and without as many random samples of each class (c_f). A canary counts if e0, as a mean over seeds, is from 0.05 to 1
and its 95 % interval is above 0: a feature that the model ignores, or that has already replaced the class, is not a faint
feature. The ratio of a fraction is mean(e_f) / mean(c_f), means over canaries within a seed and then over seeds, with Fieller's
interval over seeds. The cost is the accuracy lost against training on all samples, on the same split.

The rule was fixed before any measurement with it. A fraction helps if the ratio's interval is below 1 and mean(e_f) < mean(e0). It is affordable if the mean cost is at
most `max_cost` points. Among those that help and are affordable the lowest mean(e_f) is best, and the smallest
fraction within one standard error (of the paired difference) of the best is chosen. If none helps, pruning "does not help" where
at every fraction the lower end of e_f's ratio to c_f or to e0 is above 0.9, and is "undecided" elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.evaluation.trimmed import ratio_interval
from spurcli.student import t_quantile

Floats = NDArray[np.float64]
LEAST, MOST = 0.05, 1.0  # effects of a feature that is faint, but there
NOT_CUT = 0.9  # a ratio clearly above this is a small reduction
VERDICTS = ("helps", "costs too much", "does not help", "undecided", "no canary counts")


@dataclass(frozen=True)
class Measured:
    """The results of trainings. `effect[arm]` float64 [seeds, canaries] (NaN: undefined), `accuracy[arm]` [seeds] in percent.

    Arms are "all", and for each fraction its words "0.1" (the hardest removed) and "0.1-random".
    """

    effect: Mapping[str, Floats]
    accuracy: Mapping[str, Floats]


def forecast(found: Measured, fractions: Sequence[str], *, max_cost: float) -> JsonObject:
    """The forecast: results of each canary and fraction, the chosen fraction and a verdict."""
    known = np.all([np.isfinite(values) for values in found.effect.values()], axis=0)
    canaries = [_canary(found.effect["all"][:, k], known[:, k]) for k in range(known.shape[1])]
    counts = known & np.array([each["counts"] for each in canaries])
    used = counts.any(axis=1)
    rows: list[JsonObject] = []
    if not used.any():
        return {"canaries": canaries, "fractions": rows, "fraction": None, "verdict": VERDICTS[4]}
    effect = {arm: _mean_by_seed(values, counts)[used] for arm, values in found.effect.items()}
    accuracy = {arm: values[used] for arm, values in found.accuracy.items()}
    for fraction in fractions:
        hardest, random, before = effect[fraction], effect[f"{fraction}-random"], effect["all"]
        rows.append(
            {
                "fraction": fraction,
                "effect": summary(hardest),
                "effect_random": summary(random),
                "ratio": ratio(hardest, random),
                "ratio_to_all": ratio(hardest, before),
                "cost": summary(accuracy["all"] - accuracy[fraction]),
                "cost_against_random": summary(accuracy[f"{fraction}-random"] - accuracy[fraction]),
            }
        )
        upper = (rows[-1]["ratio"]["interval"] or [None, None])[1]
        rows[-1]["helps"] = upper is not None and upper < 1 and bool(hardest.mean() < before.mean())
        rows[-1]["affordable"] = rows[-1]["cost"]["value"] <= max_cost
    chosen = _chosen(rows, effect)
    return {
        "canaries": canaries,
        "effect_all": summary(effect["all"]),
        "fractions": rows,
        "fraction": chosen,
        "verdict": _verdict(rows, chosen),
    }


def _canary(before: Floats, known: NDArray[np.bool_]) -> JsonObject:
    values = before[known]
    if not len(values):
        return {"effect_all": {"value": None, "interval": None, "num_seeds": 0}, "counts": False, "reason": "undefined"}
    found = summary(values)
    lower = (found["interval"] or [found["value"]])[0]
    reason = "too weak" if found["value"] < LEAST or lower <= 0 else "too strong" if found["value"] > MOST else ""
    return {"effect_all": found, "counts": not reason, "reason": reason}


def _mean_by_seed(values: Floats, counts: NDArray[np.bool_]) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counts, values, 0).sum(axis=1) / counts.sum(axis=1))


def summary(values: Floats) -> JsonObject:
    """Mean over seeds and its 95 % interval by Student's t; no interval of one seed."""
    size = len(values)
    half = t_quantile(size - 1) * float(values.std(ddof=1)) / math.sqrt(size) if size > 1 else None
    mean = float(values.mean())
    return {"value": mean, "interval": None if half is None else [mean - half, mean + half], "num_seeds": size}


def ratio(top: Floats, bottom: Floats) -> JsonObject:
    """mean(top) / mean(bottom) over paired seeds, with Fieller's 95 % interval; None if it is undefined."""
    size, over = len(top), float(bottom.mean())
    if over <= 0:
        return {"value": None, "interval": None, "num_seeds": size}
    interval = None
    if size > 1:
        spread = np.cov(np.stack([top, bottom])) / size
        variances = (float(spread[0, 0]), float(spread[1, 1]), float(spread[0, 1]))
        interval = ratio_interval(float(top.mean()), over, variances, size - 1)
    return {
        "value": float(top.mean()) / over,
        "interval": None if interval is None else list(interval),
        "num_seeds": size,
    }


def _chosen(rows: Sequence[JsonObject], effect: Mapping[str, Floats]) -> str | None:
    able = [row["fraction"] for row in rows if row["helps"] and row["affordable"]]
    if not able:
        return None
    best = min(able, key=lambda fraction: effect[fraction].mean())
    for fraction in sorted(able, key=float):
        behind = effect[fraction] - effect[best]
        error = float(behind.std(ddof=1)) / math.sqrt(len(behind)) if len(behind) > 1 else 0.0
        if behind.mean() <= error:
            return str(fraction)
    return str(best)


def _verdict(rows: Sequence[JsonObject], chosen: str | None) -> str:
    if chosen is not None:
        return VERDICTS[0]
    if any(row["helps"] for row in rows):
        return VERDICTS[1]
    return VERDICTS[2] if all(map(_cuts_little, rows)) else VERDICTS[3]


def _cuts_little(row: JsonObject) -> bool:
    """Whether canaries are clearly reduced by less than a tenth, against the control or against training on all samples."""
    intervals = (row["ratio"]["interval"], row["ratio_to_all"]["interval"])
    return any(interval is not None and interval[0] > NOT_CUT for interval in intervals)
