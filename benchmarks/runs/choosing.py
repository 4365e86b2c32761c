"""The choices of each selection rule, and the cost of not knowing the groups: heads on the embeddings of run.py.

    OMP_NUM_THREADS=1 python benchmarks/runs/choosing.py OUTPUT waterbirds-frozen celeba-frozen

One training of each arm serves all ways: every epoch is saved, and every way reads the same epochs on val. The arms are
those that can be trained without group labels: ERM, the hardest 10, 20 and 30 % of each class removed, RWY, SUBY, JTT, and group DRO on
the groups that `infer` finds. A way chooses among the epochs of ERM alone, and among all arms and epochs; in a tie the
one that removes less, then the earlier. The same is repeated with a part of val in which groups are as rare as in training. Needs OUTPUT/SET/*.embeddings.h5. With OUTPUT/canary.jsonl (benchmarks/canary.py OUTPUT) also the
canaries' fraction; tables also have this row where results/canary.jsonl has the set's forecast and the model of its choice is there. Writes OUTPUT/choosing/SET/, resumable, and results/choosing.jsonl, a line for each set, seed, scope and
way; `--table` prints the tables of docs/results.md from it and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))  # as a script and from a test

from run import Runs

import spurcli
from spurcli.artifacts.checkpoint_torch import load_tensors
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.group_list import part_about, read_groups
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.datasets import Dataset, Vectors, load_dataset
from spurcli.epoch_rules import FITTED, INFERRED, RECALLS, RULES, chosen
from spurcli.errors import SpurError
from spurcli.evaluation.recalls import fitted_recalls, recalls, worst_group
from spurcli.reporting.statistics import mean, paired, sd
from spurcli.runtime.vectors import Standardisation
from spurcli.sharing import shared

RESULTS = Path(__file__).parent / "results" / "choosing.jsonl"
FEATURE_OF = {"celeba-frozen": "male/glasses"}
INFERRED_BY = ("xrm", "sebra", "spare")
FRACTIONS = ("0.1", "0.2", "0.3")
TRUE = "best-val-worst-group"
# Ways by name, and how they are called.
WAYS = {
    "last": "nothing: ERM, last epoch",
    "ten": "nothing: hardest 10 % removed, last epoch",
    "canary": "the canaries' fraction, last epoch",
    **{rule: f"`{rule}`" for rule in ("best-val-mean", "best-val-worst-class", "best-val-class-difference")},
    **{way: f"`best-val-inferred-worst-group`, {way}" for way in INFERRED_BY},
    TRUE: "true groups: `best-val-worst-group`",
}
# Metric, how it is called, what it is multiplied by, decimals.
SHOWN = (
    ("worst_group_accuracy", "worst group", 100, 1),
    ("probit_gap", "probit gap", 1, 2),
    ("feature_effect", "feature effect", 1, 2),
    ("adjusted_mean_accuracy", "adjusted mean", 100, 1),
)
SCOPES = {
    "epochs": "among epochs of ERM",
    "all": "among arms and epochs",
    "biased": "among arms and epochs, by a val with the groups' shares of training",
}


def train(run: Runs, data: dict[str, Any], epochs: int) -> list[str]:
    """All arms of a seed; those that could be trained, those that remove least first."""
    run.score("scores.h5", **data)
    for way in INFERRED_BY:
        try:
            run.infer(f"{way}.groups.txt", by=way, **data)
        except SpurError as error:
            print(f"{run.name}, seed {run.seed}, {way}: {error.problem}", flush=True)
    run.infer("mistakes.groups.txt", by="mistakes", save_errors=run / "errors.errors.txt", **data)
    kept: dict[str, Any] = {"splits": (), "save_epochs": list(range(1, epochs + 1))}
    run.arm("erm", data, keep="all", **kept)
    for fraction in FRACTIONS:
        run.prune(f"class-{fraction}", fraction=fraction, per_class=True)
        run.arm(f"class-{fraction}", data, **kept)
    for name in ("rwy", "suby"):
        run.arm(name, data, keep="all", method=name, **kept)
    run.arm("jtt", data, keep="all", method="jtt", errors=run / "errors.errors.txt", **kept)
    for way in INFERRED_BY:
        if (groups := run / f"{way}.groups.txt").is_file():
            run.arm(f"group_dro+{way}", data, keep="all", method="group_dro", group_labels=groups, **kept)
    order = [f"class-{fraction}" for fraction in FRACTIONS]
    order = ["erm", "rwy", "suby", "jtt", *(f"group_dro+{way}" for way in INFERRED_BY), *order]
    return [arm for arm in order if (run / arm / "model.safetensors").is_file()]


def rows_of(run: Runs, dataset: Dataset, arm: str, epochs: int) -> Iterator[dict[str, Any]]:
    """The values of val for each epoch, as the history of a training does, with the worst group by each way of inferring."""
    inputs, split = dataset.splits["train"].inputs, dataset.splits["val"]
    assert isinstance(inputs, Vectors)
    assert isinstance(split.inputs, Vectors)
    values = Standardisation.of(inputs).apply(split.inputs).numpy()
    groups = {}
    for way in INFERRED_BY:
        path = run / f"{way}.groups.txt"
        if path.is_file():
            groups[way] = part_about(
                read_groups(path), path, dataset.subject("val"), InjectionPolicy.of(False), "val"
            ).group
    groups[TRUE] = dataset.group("val")  # type: ignore[assignment]
    samples = {"val": np.arange(len(split)), "biased": as_in_training(dataset, run.seed)}
    for epoch in range(1, epochs + 1):
        tensors = load_tensors(run / arm / f"model.epoch{epoch}.safetensors")
        (weight,) = (each.numpy() for each in tensors.values() if each.ndim == 2)
        (bias,) = (each.numpy() for each in tensors.values() if each.ndim == 1)
        logits = (values @ weight.T + bias).astype(np.float32)
        said = {}
        for name, index in samples.items():
            label, known = split.label[index], logits[index]
            predicted = known.argmax(axis=1)
            said[name] = {
                "accuracy": float((predicted == label).mean()),
                RECALLS: recalls(predicted, label, known.shape[1]),
                FITTED: fitted_recalls(known, label),
                **{way: worst_group(predicted == label, group[index]) for way, group in groups.items()},
            }
        yield {"arm": arm, "epoch": epoch, **said}


def as_in_training(dataset: Dataset, seed: int) -> NDArray[np.int64]:
    """The largest random set of positions of val in which groups have the same shares as in training."""
    train, val = dataset.group("train"), dataset.group("val")
    assert train is not None
    assert val is not None
    share = np.bincount(train, minlength=len(dataset.group_names)) / len(train)
    there = np.bincount(val, minlength=len(share))
    size = min(there[share > 0] / share[share > 0])
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(np.flatnonzero(val == g), int(size * part), replace=False) for g, part in enumerate(share)]
    return np.sort(np.concatenate(drawn))


def choose(
    rows: Sequence[dict[str, Any]], way: str, samples: str = "val"
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The row that a way chooses by these samples of val, and for class rules the one after class biases were fitted."""
    rule = RULES["best-val-inferred-worst-group" if way in INFERRED_BY else way]
    read = {INFERRED: way, "worst_group_accuracy": TRUE}  # what a rule reads, by its name in a history
    said: list[Any] = [
        {
            "epoch": row["epoch"],
            "evaluations": {"val": row[samples] | {k: row[samples].get(v) for k, v in read.items()}},
        }
        for row in rows
    ]
    places = [chosen([rule.stands(each) for each in said]), None]
    if rule.fitted:
        places[1] = chosen([rule.fitted(each) for each in said])
    plain, fitted = (None if place is None else rows[place] for place in places)
    return plain, fitted


def lines_of(
    run: Runs, dataset: Dataset, arms: Sequence[str], epochs: int, canary: str | None
) -> Iterator[dict[str, Any]]:
    """A line for each scope and way: the chosen arm and epoch, and their results on test."""
    rows = [row for arm in arms for row in rows_of(run, dataset, arm, epochs)]
    last = {row["arm"]: row for row in rows if row["epoch"] == epochs}
    for scope in SCOPES:
        among = [row for row in rows if scope != "epochs" or row["arm"] == "erm"]
        for way in WAYS:
            fixed = {"last": "erm", "ten": "class-0.1", "canary": f"class-{canary}" if canary != "0" else "erm"}
            if way in fixed:
                found, fitted = last.get(fixed[way]), None
                if (way == "canary" and canary is None) or (scope != "all" and way != "last"):
                    continue
            else:
                found, fitted = choose(among, way, "biased" if scope == "biased" else "val")
            if found is None:
                continue
            name, epoch = found["arm"], found["epoch"]
            model, output = run / name / f"model.epoch{epoch}.safetensors", run / name / f"epoch{epoch}.evaluation.json"
            common = {"data_root": run.root, "workers": 0, "feature_of": FEATURE_OF.get(run.name)}
            run.step(spurcli.evaluate, output, model, split="test", **common)
            metrics = read_evaluation(output)["metrics"]
            told: dict[str, Any] = {"set": run.name, "seed": run.seed, "scope": scope, "way": way, "arm": name}
            told |= {"epoch": epoch, "fitted_otherwise": None if fitted is None else fitted is not found}
            yield told | {"metrics": {metric: metrics.get(metric, {}).get("value") for metric, *_ in SHOWN}}


def with_canary(lines: Sequence[dict[str, Any]], fractions: Mapping[str, str]) -> list[dict[str, Any]]:
    """Also a line for the canaries' fraction of a set and seed without one, if the chosen model is that of another line.

    Nothing removed is ERM's last epoch, a tenth the fixed tenth. `fractions` ("0": nothing) of sets that have a forecast.
    """
    there = {(line["set"], line["seed"]) for line in lines if line["way"] == "canary"}
    same = {"0": "last", "0.1": "ten"}
    more = [
        line | {"way": "canary"}
        for line in lines
        if line["scope"] == "all"
        and (line["set"], line["seed"]) not in there
        and line["way"] == same.get(fractions.get(line["set"], ""))
    ]
    return [*lines, *more]


def table(lines: Sequence[Mapping[str, Any]], biased: Sequence[Mapping[str, Any]] = ()) -> Iterator[str]:
    """For one set and scope a row for each way: its choice, the results, and how much worse its worst group is than with the
    true groups; the last also if the way reads a `biased` val."""
    metric, _, times, digits = SHOWN[0]

    def by_way(found: Sequence[Mapping[str, Any]], way: str) -> list[Mapping[str, Any]]:
        return [line for line in found if line["way"] == way]

    def worst(found: Sequence[Mapping[str, Any]]) -> dict[int, float]:
        return {line["seed"]: line["metrics"][metric] for line in found}

    def cost(found: Sequence[Mapping[str, Any]]) -> str:
        lost = paired(worst(by_way(lines, TRUE)), worst(found), lower_is_better=False)
        return (
            f"{times * lost.mean:.{digits}f} ± {times * (lost.se or 0):.{digits}f}".replace("-", "−") if lost else "–"
        )

    names = [*(name for _, name, _, _ in SHOWN), "cost of not knowing", *(["the same, biased val"] if biased else [])]
    yield f"| chosen by | chosen (seeds) | {' | '.join(names)} |"
    yield "|---" * (2 + len(names)) + "|"
    for way, words in WAYS.items():
        if not (found := by_way(lines, way)):
            continue
        counts = Counter(line["arm"] for line in found)
        picked = ", ".join(f"{arm} ({count})" for arm, count in counts.most_common())
        otherwise = sum(bool(line["fitted_otherwise"]) for line in found)
        picked += f"; another after a moved threshold in {otherwise}" if otherwise else ""
        cells = []
        for name, _, scale, places in SHOWN:
            values = [line["metrics"][name] for line in found if line["metrics"][name] is not None]
            spread = sd(values) if values else None
            around = "" if spread is None else f" ± {scale * spread:.{places}f}"
            cells.append(f"{scale * mean(values):.{places}f}{around}" if values else "–")
        cells.append("–" if way == TRUE else cost(found))
        if biased:
            cells.append(cost(by_way(biased, way)))
        yield f"| {words} | {picked} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--seeds", type=int, nargs="+", default=[31, 32, 33, 34, 35])
    parser.add_argument("--epochs", type=int, default=20, help="as many as the recipe has")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--canary", type=Path, default=RESULTS.with_name("canary.jsonl"), help="forecasts for tables")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for a trial, as of train")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args(arguments)
    known = _read(asked.results)
    if not asked.table:
        fractions = _fractions(asked.output / "canary.jsonl")
        for name in asked.sets:
            for seed in asked.seeds:
                run = Runs(asked.output / "choosing", name, seed, asked.output / name)
                run.folder.mkdir(parents=True, exist_ok=True)
                (path,) = (each.name for each in run.root.glob("*.embeddings.h5"))
                with shared():
                    arms = train(run, {"dataset": path, "set": asked.set}, asked.epochs)
                    dataset = load_dataset("embeddings", {"path": path}, data_root=run.root)
                    found = list(lines_of(run, dataset, arms, asked.epochs, fractions.get(name)))
                known = [line for line in known if (line["set"], line["seed"]) != (name, seed)] + found
                text = "".join(json.dumps(line) + "\n" for line in known)
                asked.results.write_text(text, encoding="utf-8")
    known = with_canary(known, _fractions(asked.canary))
    for name in dict.fromkeys(line["set"] for line in known):
        lines = {scope: [line for line in known if (line["set"], line["scope"]) == (name, scope)] for scope in SCOPES}
        for scope in ("epochs", "all"):
            rows = table(lines[scope], lines["biased"] if scope == "all" else ())
            print(f"\n### {name}, {SCOPES[scope]}\n", *rows, sep="\n")


def _fractions(path: Path) -> dict[str, str]:
    """The fraction that the canaries choose for each set, "0" if none: the last line of a set counts."""
    return {line["set"]: line["fraction"] or "0" for line in _read(path)}


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


if __name__ == "__main__":
    main()
