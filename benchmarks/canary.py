"""Does a canary's forecast come true? python benchmarks/canary.py [OUTPUT] [--seeds 31 32 33 34 35] [--tiny]

On the demo digits, another draw for each seed, with a faint mark on 30 % of the 3s: what `spurcli canary` forecasts where the mark is
in the training data and nobody is told, beside what the same fractions do to the mark without any canary. Prints both as a
table, the fraction that the canaries choose, and regrets: how far the mark's effect is above that of the best fraction, for the chosen fraction
and for a fixed tenth. Best is the lowest effect among the fractions (none too) that cost the mark's model at most --max-cost
points. OUTPUT keeps all runs; interrupted, the same line goes on. 13 draws take about ten minutes of one core. `--tiny` only checks that it works.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import spurcli
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.comparing.canary.forecast import ratio, summary
from spurcli.comparing.canary.words import number, sentences

MARK = {"feature.size": 2, "feature.mode": "add", "feature.value": 71}
TINY = {"training.epochs": 2, "scoring.epoch": 1, "model.options.hidden": [16]}
TINY_DATA = {f"dataset.options.num_{split}": 200 for split in ("train", "val", "test")}


def real(folder: Path, seeds: Sequence[int], arm: str) -> tuple[Any, Any]:
    """The mark's effect and the accuracy in percent after training as `arm`, float64 [seeds]; NaN where it is undefined."""
    found = [read_evaluation(folder / f"seed{seed}" / arm / "evaluation.json")["metrics"] for seed in seeds]
    effect = [each["feature_effect"]["value"] for each in found]
    accuracy = np.array([100 * each["accuracy"]["value"] for each in found])
    return np.array([np.nan if value is None else value for value in effect]), accuracy


def regrets(effect: Mapping[str, float], cost: Mapping[str, float], max_cost: float, *chosen: str) -> list[float]:
    """Of each fraction in `chosen` ("0": nothing removed): its effect minus that of the best affordable one."""
    best = min(value for fraction, value in effect.items() if cost[fraction] <= max_cost)
    return [effect[fraction] - best for fraction in chosen]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, nargs="?", default=Path("canary-runs"))
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 31 to 35")
    parser.add_argument("--fractions", help="default: 0.1,0.2,0.3")
    parser.add_argument("--max-cost", type=float, default=1.0)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args(arguments)
    seeds = asked.seeds or ([1, 2] if asked.tiny else [31, 32, 33, 34, 35])
    fractions = (asked.fractions or ("0.2" if asked.tiny else "0.1,0.2,0.3")).split(",")
    for seed in seeds:
        path = asked.output / f"mark{seed}.json"
        data = {"dataset.options.draw": seed, **(TINY_DATA if asked.tiny else {})}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            spurcli.inject(
                dataset="demo",
                feature="patch",
                class_name="3",
                fraction="0.3",
                seed=seed,
                set={**data, **MARK},
                output=path,
            )
    common = {"dataset": str(asked.output / "mark{seed}.json"), "seeds": seeds, "workers": 0}
    common["set"] = TINY if asked.tiny else None
    said = spurcli.canary(**common, fractions=fractions, max_cost=asked.max_cost, output=asked.output / "canary")[
        "forecast"
    ]
    arms = ["erm", *(f"prune:{fraction}" for fraction in fractions)]
    spurcli.compare(**common, arms=arms, output=asked.output / "real")

    before, accuracy = real(asked.output / "real", seeds, "erm")
    effect, cost = {"0": float(before.mean())}, {"0": 0.0}
    forecast = {row["fraction"]: row for row in said["fractions"]}
    print(f"Effect of the mark after training on all samples: {number(summary(before), 3)}")
    print("| removed | canaries: ratio | points lost | mark: hardest | random | ratio | points lost |")
    print("|---|---|---|---|---|---|---|")
    for fraction in fractions:
        hardest, kept = real(asked.output / "real", seeds, f"prune-{fraction}")
        random, _ = real(asked.output / "real", seeds, f"prune-{fraction}-random")
        effect[fraction], cost[fraction] = float(hardest.mean()), float((accuracy - kept).mean())
        row = forecast.get(fraction)
        cells = [number(row["ratio"]), number(row["cost"], 1)] if row else ["-", "-"]
        cells += [f"{hardest.mean():.3f}", f"{random.mean():.3f}", number(ratio(hardest, random))]
        print(f"| {' | '.join([fraction, *cells, number(summary(accuracy - kept), 1)])} |")
    for canary in said["canaries"]:
        print(f"{canary['name']}: {number(canary['effect_all'], 3)} {canary['reason']}")
    print("\n".join(sentences(said)))
    chosen = said["fraction"] or "0"
    mine, fixed = regrets(effect, cost, asked.max_cost, chosen, fractions[0])
    print(
        f"Chosen {chosen}: regret {mine:.3f}; a fixed {fractions[0]}: regret {fixed:.3f}, points lost {cost[fractions[0]]:.1f}"
    )


if __name__ == "__main__":
    main()
