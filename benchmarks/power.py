"""How often a report claims a difference: on pages without any effect (false claims), and with real effects (power).

    python benchmarks/power.py [--pages 4000] [--tiny]

A page has some primary comparisons with one shared reference; differences of push and effect correlate by .8. An effect is
in standard deviations of the paired difference, in one comparison of the page. docs/measures.md has the results.
"""

from __future__ import annotations

import argparse

import numpy as np

from spurcli.reporting.claims import RELIANCE, Comparison, outcomes_of
from spurcli.reporting.statistics import Paired, paired

NAMES = (*RELIANCE, "symptom", "core")


def of(values: np.ndarray) -> Paired | None:
    return paired(dict(enumerate(values.tolist())), dict.fromkeys(range(len(values)), 0.0))


def page(rng: np.random.Generator, seeds: int, comparisons: int, effect: float) -> list[Comparison]:
    """The first comparison has the effect on both measures; differences have a standard deviation of 1 over seeds."""
    values = rng.normal(size=(len(NAMES), comparisons + 1, seeds))
    values[1] = 0.8 * values[0] + 0.6 * values[1]
    differences = (values[:, 1:] - values[:, :1]) / np.sqrt(2)
    differences[:2, 0] -= effect
    # so small that what is equivalent counts as such
    rows = [[of(0.02 * differences[k, number]) for k in range(len(NAMES))] for number in range(comparisons)]
    return [Comparison("", dict(zip(RELIANCE, row[:2], strict=True)), row[2], row[3]) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=4000)
    parser.add_argument("--tiny", action="store_true", help="a few pages, to see that it runs")
    arguments = parser.parse_args()
    pages = 20 if arguments.tiny else arguments.pages
    print("seeds, comparisons: pages with a false claim without effect; “leans less” at an effect of 1, 1.5, 2, 3 sd")
    for seeds in (3, 5, 7, 8, 10):
        for comparisons in (1, 4, 8):
            rng = np.random.default_rng(seeds * 10 + comparisons)
            opened = ["open"] * comparisons
            false = sum(
                any(found.is_claim for found in outcomes_of(page(rng, seeds, comparisons, 0.0), opened))
                for _ in range(pages)
            )
            power = []
            for effect in (1.0, 1.5, 2.0, 3.0):
                found = (outcomes_of(page(rng, seeds, comparisons, effect), opened)[0] for _ in range(pages))
                power.append(sum(one.is_claim and one.result == "leans less" for one in found) / pages)
            print(
                f"{seeds:2} {comparisons}: {false / pages:.3f}; " + " ".join(f"{share:.2f}" for share in power),
                flush=True,
            )


if __name__ == "__main__":
    main()
