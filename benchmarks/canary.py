"""Does a canary's forecast come true? python benchmarks/canary.py OUTPUT [SET …] [--seeds 31 32 33 34 35] [--data-root .data] [--tiny]

For each set, the forecast of `spurcli canary` if a real feature is in the training data and is not labelled, next to the effect that the same
fractions have on that feature without any canary. On the demo digits, another draw for each seed, the feature is a faint mark on 30 % of the
3s: a patch as canaries are, or of another kind. Elsewhere it is the data set's own. Embeddings are those that benchmarks/runs/run.py makes, in
OUTPUT/SET/; for the sky: spurcli data embed birds.csv --recipe own-images-frozen --image path --attribute background.

Prints both as a table, the fraction that the canaries choose, and regrets: how far the feature's effect is above that of the best fraction,
for the chosen fraction and for a fixed tenth. The best has the lowest effect among the fractions (including none) that cost the real
model at most --max-cost points. OUTPUT keeps all runs, and OUTPUT/canary.jsonl the numbers; after an interruption, the same command resumes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import spurcli
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.comparing.canary.forecast import ratio, summary
from spurcli.comparing.canary.words import number, sentences


@dataclass(frozen=True)
class Case:
    """The real feature: a `feature` added to the digits, or the data set's own, measured as `feature_of` if there are several."""

    feature: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = ""
    recipe: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    feature_of: str | None = None


GLASSES = {"dataset.options.available_only": True, "dataset.options.num_train_per_class": 2500}
CASES = {
    "digits": Case("patch", {"size": 2, "mode": "add", "value": 71}),
    "digits-tint": Case("patch", {"size": 16, "mode": "add", "value": 20}),
    "digits-line": Case("line", {"position": 0, "value": 71}),
    "digits-noise": Case("noise", {"amount": 20.0}),
    "waterbirds-frozen": Case(dataset="waterbirds.embeddings.h5"),
    "celeba-frozen": Case(dataset="celeba.embeddings.h5", feature_of="male/glasses"),
    "sky-frozen": Case(dataset="sky.embeddings.h5"),
    "multinli-frozen": Case(dataset="multinli.embeddings.h5"),
    "celeba": Case(
        dataset="celeba",
        recipe="celeba-cpu",
        settings={**GLASSES, "training.precision": "bf16"},
        feature_of="male/glasses",
    ),
}
TINY = {"training.epochs": 2, "scoring.epoch": 1, "model.options.hidden": [16]}
TINY_DATA = {f"dataset.options.num_{split}": 200 for split in ("train", "val", "test")}


Values = dict[int, tuple[float, float]]


def real(folder: Path, seeds: Sequence[int], arm: str) -> Values:
    """The feature's effect and the accuracy in percent of each seed after training as `arm`; NaN where the effect is undefined."""
    found = {seed: read_evaluation(folder / f"seed{seed}" / arm / "evaluation.json")["metrics"] for seed in seeds}
    return {seed: _value(each["feature_effect"]["value"], each["accuracy"]["value"]) for seed, each in found.items()}


def committed(file: Path, arm: str) -> Values:
    """The same from the test split of benchmarks/runs/results/SET.jsonl, for all its seeds; `arm` as `real` calls it."""
    rule, _, fraction = arm.removesuffix("-random").partition("-")
    called = "all" if rule == "erm" else f"{'random' if arm.endswith('-random') else 'hardest'}-{fraction}"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    metrics = {line["seed"]: line["metrics"] for line in lines if (line["arm"], line["split"]) == (called, "test")}
    undefined = [None]  # of a measure there is a list, or in words why it is undefined
    effect = {seed: each["feature_effect"] for seed, each in metrics.items()}
    return {
        seed: _value((undefined if isinstance(effect[seed], str) else effect[seed])[0], each["accuracy"][0])
        for seed, each in metrics.items()
    }


def _value(effect: float | None, accuracy: float) -> tuple[float, float]:
    return float("nan") if effect is None else effect, 100 * accuracy


def regrets(effect: Mapping[str, float], cost: Mapping[str, float], max_cost: float, *chosen: str) -> list[float]:
    """Of each fraction in `chosen` ("0": nothing removed): its effect minus that of the best affordable one."""
    best = min(value for fraction, value in effect.items() if cost[fraction] <= max_cost)
    return [effect[fraction] - best for fraction in chosen]


def data_of(name: str, folder: Path, seeds: Sequence[int], *, tiny: bool) -> dict[str, Any]:
    """Keywords that name the data of a set, for `canary` and `compare` alike; digits get their feature first."""
    case = CASES[name]
    if not case.feature:
        is_file = case.dataset.endswith(".h5")
        dataset = str(folder / case.dataset) if is_file else case.dataset
        return {"dataset": dataset, "recipe": case.recipe, "set": dict(case.settings) or None}
    for seed in seeds:
        path = folder / f"mark{seed}.json"
        data = {"dataset.options.draw": seed, **(TINY_DATA if tiny else {})}
        marked = {f"feature.{key}": value for key, value in case.parameters.items()}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            chosen = {"feature": case.feature, "class_name": "3", "fraction": "0.3", "seed": seed}
            spurcli.inject(dataset="demo", **chosen, set={**data, **marked}, output=path)
    return {"dataset": str(folder / "mark{seed}.json"), "set": TINY if tiny else None}


def measured(
    said: Mapping[str, Any], outcome: Callable[[str], Values], fractions: Sequence[str], max_cost: float
) -> dict[str, Any]:
    """The forecast and the effect that `outcome` of an arm gives for each fraction, and the regrets.

    A fraction is compared on the seeds that have its arms and ERM; one without any has no outcome and no part in the regrets.
    """
    erm = outcome("erm")
    before = np.array([effect for effect, _ in erm.values()])
    effect, cost = {"0": float(before.mean())}, {"0": 0.0}
    forecast = {row["fraction"]: row for row in said["fractions"]}
    rows = []
    for fraction in fractions:
        told = {key: forecast.get(fraction, {}).get(key) for key in ("ratio", "cost")}
        arms = [erm, outcome(f"prune-{fraction}"), outcome(f"prune-{fraction}-random")]
        seeds = [seed for seed in erm if all(seed in arm for arm in arms)]
        if not seeds:
            rows.append({"fraction": fraction, "forecast": told, "happened": None})
            continue
        all_, hardest, random = (np.array([arm[seed] for seed in seeds]) for arm in arms)
        lost = all_[:, 1] - hardest[:, 1]
        # As a change of the same seeds, where ERM has more seeds than the fraction.
        effect[fraction] = effect["0"] + float((hardest[:, 0] - all_[:, 0]).mean())
        cost[fraction] = float(lost.mean())
        happened = {"ratio": ratio(hardest[:, 0], random[:, 0]), "cost": summary(lost)}
        levels = {"effect": summary(hardest[:, 0]), "effect_random": summary(random[:, 0])}
        rows.append({"fraction": fraction, "forecast": told, "happened": {**happened, **levels}})
    chosen = said["fraction"] or "0"
    mine, fixed = (
        regrets(effect, cost, max_cost, each)[0] if each in effect else None for each in (chosen, fractions[0])
    )
    keys = ("canaries", "verdict", "fraction")
    return {
        **{key: said[key] for key in keys},
        "effect_all": summary(before),
        "rows": rows,
        "regret": mine,
        "regret_fixed": fixed,
        "cost_fixed": cost.get(fractions[0]),
    }


REGRETS = ("regret", "regret_fixed", "cost_fixed")


def show(name: str, found: Mapping[str, Any], said: Mapping[str, Any], first: str) -> None:
    print(f"\n### {name}\n\nEffect of the feature after training on all samples: {number(found['effect_all'], 3)}")
    print("| removed | canaries: ratio | points lost | feature: hardest | random | ratio | points lost |")
    print("|---|---|---|---|---|---|---|")
    for row in found["rows"]:
        told, happened = row["forecast"], row["happened"]
        cells = [
            row["fraction"],
            *(number(told[key], d) if told[key] else "-" for key, d in (("ratio", 2), ("cost", 1))),
        ]
        if happened:
            cells += [f"{happened[key]['value']:.3f}" for key in ("effect", "effect_random")]
            cells += [number(happened["ratio"]), number(happened["cost"], 1)]
        print(f"| {' | '.join(cells if happened else [*cells, *'----'])} |")
    for canary in found["canaries"]:
        print(f"{canary['name']}: {number(canary['effect_all'], 3)} {canary['reason']}")
    print("\n".join(sentences(dict(said))))
    regret, fixed, lost = ("unknown" if found[key] is None else f"{found[key]:.3f}" for key in REGRETS)
    print(f"Chosen {found['fraction'] or '0'}: regret {regret}; a fixed {first}: regret {fixed}, points lost {lost}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, nargs="?", default=Path("canary-runs"))
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"default: digits; {', '.join(CASES)}")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 31 to 35")
    parser.add_argument("--fractions", help="default: 0.1,0.2,0.3")
    parser.add_argument("--max-cost", type=float, default=1.0)
    parser.add_argument("--strength", type=float, default=1.0, help="as of spurcli canary")
    parser.add_argument("--canaries", type=int, default=3, help="as of spurcli canary")
    parser.add_argument("--outcomes", type=Path, help="results of benchmarks/runs, instead of training for the feature")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args(arguments)
    seeds = asked.seeds or ([1, 2] if asked.tiny else [31, 32, 33, 34, 35])
    fractions = (asked.fractions or ("0.2" if asked.tiny else "0.1,0.2,0.3")).split(",")
    for name in asked.sets or ["digits"]:
        folder = asked.output / name
        common = {**data_of(name, folder, seeds, tiny=asked.tiny), "seeds": seeds, "workers": 0}
        common["data_root"] = asked.data_root
        planted = {"fractions": fractions, "max_cost": asked.max_cost, "strength": asked.strength}
        planted["canaries"] = asked.canaries
        place = "canary" if asked.strength == 1 else f"canary-{asked.strength:g}"
        found = spurcli.canary(**common, **planted, output=folder / place)
        arms = ["erm", *(f"prune:{fraction}" for fraction in fractions)]
        outcome: Callable[[str], Values]
        if asked.outcomes:
            outcome = partial(committed, asked.outcomes)
        else:
            spurcli.compare(**common, arms=arms, feature_of=CASES[name].feature_of, output=folder / "real")
            outcome = partial(real, folder / "real", seeds)
        line = measured(found["forecast"], outcome, fractions, asked.max_cost)
        show(name, line, found["forecast"], fractions[0])
        with (asked.output / "canary.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"set": name, "seeds": seeds, "strength": asked.strength, **line}) + "\n")


if __name__ == "__main__":
    main()
