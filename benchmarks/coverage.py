"""How often the 95 % intervals of the measures cover the truth: AUROC, auroc_gap, probit_gap, feature_effect, worst group.

    python benchmarks/coverage.py [--draws 2000] [--tiny]

Prints a table for each; docs/measures.md has the results. The true value of a probit gap or an effect that no formula
gives is estimated from two million samples.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from spurcli.evaluation.auroc import Side, area_between
from spurcli.evaluation.intervals import lowest_share_interval
from spurcli.evaluation.reliance import Cells, Half, reliance

Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Floats]
SHAPES: dict[str, Noise] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "t, 3 degrees": lambda rng, size: rng.standard_t(3, size),
    "skewed": lambda rng, size: rng.exponential(size=size) - 1,
}
SIZES = ((20, 20), (20, 200), (200, 20), (100, 100), (60, 2000))


def covered(interval: list[float | None] | None, truth: float) -> bool:
    if interval is None:
        return False
    low, high = interval
    return (low is None or low <= truth) and (high is None or truth <= high)


def drawn(
    noise: Noise, rng: np.random.Generator, sizes: tuple[int, int], distance: float, push: float, *, pairs: bool
) -> Cells:
    """P and N `distance` apart; f moves N by `push` (half of it in a quarter of the samples)."""
    num_positive, num_negative = sizes
    high, low = distance + noise(rng, num_positive), noise(rng, num_negative)
    base = low if pairs else noise(rng, num_negative)
    moved = base + push * np.where(rng.random(num_negative) < 0.25, 0.5, 1.0)
    zeros, ones = np.zeros(num_negative, np.int64), np.ones(num_positive, np.int64)
    index = np.arange(num_negative) if pairs else None
    positive = Half(high, high + push, ones, ones, np.arange(num_positive) if pairs else None)
    return Cells(positive, Half(low, moved, zeros, zeros, index))


def cover_measures(draws: int, sizes_of_truth: tuple[int, int]) -> None:
    names = ("background_auroc", "bpsn_auroc", "auroc_gap", "probit_gap", "feature_effect")
    print("shape, distance, push, pairs, P, N: " + ", ".join(names) + "; undefined")
    for shape, noise in SHAPES.items():
        for distance, push, pairs in ((1.5, 0.8, True), (3.0, 1.2, True), (3.0, 1.2, False), (2.0, 0.0, True)):
            truth = reliance(drawn(noise, np.random.default_rng(0), sizes_of_truth, distance, push, pairs=pairs))
            for sizes in SIZES:
                rng, hits, undefined = np.random.default_rng(1), dict.fromkeys(names, 0), dict.fromkeys(names, 0)
                for _ in range(draws):
                    found = reliance(drawn(noise, rng, sizes, distance, push, pairs=pairs))
                    for name in names:
                        undefined[name] += found[name]["value"] is None
                        hits[name] += covered(found[name]["interval"], truth[name]["value"])
                shares = " ".join(f"{hits[name] / max(1, draws - undefined[name]):.3f}" for name in names)
                skipped = " ".join(f"{undefined[name] / draws:.2f}" for name in names[3:])
                print(
                    f"{shape}, {distance}, {push}, {pairs!s:5} {sizes[0]:4} {sizes[1]:5}: {shares}; {skipped}",
                    flush=True,
                )


def cover_aurocs(draws: int) -> None:
    print("AUROC, P, N: coverage (binormal)")
    for area in (0.6, 0.9, 0.98, 0.995):
        distance = math.sqrt(2) * NormalDist().inv_cdf(area)
        for sizes in SIZES:
            rng, hits = np.random.default_rng(1), 0
            for _ in range(draws):
                positive, negative = distance + rng.standard_normal(sizes[0]), rng.standard_normal(sizes[1])
                hits += covered(list(area_between(Side(positive), Side(negative)).interval()), area)
            print(f"{area} {sizes[0]:4} {sizes[1]:5}: {hits / draws:.3f}", flush=True)


def cover_worst_group(draws: int) -> None:
    print("groups, samples in each, accuracies from … to …: coverage of the worst group")
    for num_groups in (1, 2, 4, 20, 200):
        for size in (10, 50, 500):
            for lowest, highest in ((0.8, 0.8), (0.6, 0.95), (0.98, 1.0)):
                accuracies = np.linspace(lowest, highest, num_groups)
                rng, hits = np.random.default_rng(1), 0
                for _ in range(draws):
                    right = rng.binomial(size, accuracies)
                    hits += covered(list(lowest_share_interval((int(k), size) for k in right)), lowest)
                print(f"{num_groups:4} {size:4} {lowest}…{highest}: {hits / draws:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--tiny", action="store_true", help="a few draws, to see that it runs")
    arguments = parser.parse_args()
    draws = 3 if arguments.tiny else arguments.draws
    cover_aurocs(draws)
    cover_worst_group(draws)
    many = 10**4 if arguments.tiny else 10**6
    cover_measures(draws, (many, many))


if __name__ == "__main__":
    main()
