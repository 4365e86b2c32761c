"""The arm `audit` of the runs: the audit of the ERM model finds a feature that was not named, and its carriers are removed.

    OMP_NUM_THREADS=1 python benchmarks/runs/audit.py OUTPUT digits cifar10s-weak --seeds 31 32 33 34 35 --data-root .data

For OUTPUT/SET/seedN/, which run.py made (all/model.safetensors, scores.h5): spurcli audit, then the group of its first
confirmed suspect is pruned; train, evaluate; and the same with as many random samples. If nothing is confirmed, the first suspect
of one class is pruned instead, and the arm is called audit-first. Of carriers in more than a tenth
of their class that arm removes the hardest quarter, its control as many of the same carriers; the arm audit-all removes all, if they are at
most half of their class. Where features are strong, audit-groups removes the hardest quarter of the groups that go with their class,
by the suspect (prune --group auto). The control of an arm that removes all carriers is as many samples of their class. Labels of the feature are
read by evaluate only: a column that states it is not searched. OUTPUT/audits.jsonl gets a
line for each audit: its suspects, what was cut, seconds.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # as a script and from a test

from run import Runs, parser_of
from sets import BF16

import spurcli
from spurcli.artifacts.audit import read_audit
from spurcli.errors import SpurError

_GLASSES = {"feature_of": "male/glasses", "splits": ("test", "val")}
_EVALUATED: dict[str, dict[str, Any]] = dict.fromkeys(("celeba", "celeba-frozen", "celeba-finetuned"), _GLASSES)
_MOST_REMOVED = 0.5  # of a class
_NO_PART = 0.1  # of a class: up to this share of carriers all are removed, not a part
# How run.py trained the other arms of these sets; the precision is not handed down by a list.
_TRAINED = {name: {"set": [BF16]} for name in ("celeba", "cifar10s-weak", "cifar10s-strong")}
_COLUMNS = ["dataset.options.image=path", "dataset.options.attribute=background"]
# The sets whose data a model names by the last part of its path, and what is audited of them.
_DATA: dict[str, dict[str, Any]] = {
    "sky": {"dataset": "birds.csv", "set": _COLUMNS},
    "waterbirds-frozen": {"dataset": "waterbirds.embeddings.h5"},
    "celeba-frozen": {"dataset": "celeba.embeddings.h5"},
}
# Not the column of the table that says what is behind the bird: it is the label of the feature.
# Of two classes no region can be confirmed: regions is left out, the slowest finder.
_FINDERS = {name: ["image-properties", "clusters", "mistakes"] for name in ("sky", "celeba")}
# Sets with a feature on most of a class: also the rule for strong features, with the suspect's groups as if they were known ones.
_STRONG = ("sky", "waterbirds-frozen", "celeba-frozen")
_SHOWN = ("rank", "name", "finder", "class", "status", "p_adjusted", "expected_harm", "details")


def audit_arm(runs: Runs, data_root: Path, budget: str | None) -> None:
    """Audit the ERM model of one set and seed, prune, train and evaluate."""
    folder, written = runs / "audited", runs.shared.parent / "audits.jsonl"
    wall, cpu = time.perf_counter(), time.process_time()
    data = dict(_DATA.get(runs.name, {}))
    if data:
        data["dataset"] = runs.shared / data["dataset"]
    is_new = not (folder / "audit.json").is_file()
    if is_new:
        model = runs / "all" / "model.safetensors"
        asked = {"finder": _FINDERS.get(runs.name), "budget": budget, "seed": runs.seed, **data}
        spurcli.audit(model, output=folder, data_root=data_root, workers=0, **asked)
    suspects = read_audit(folder / "audit.json")["suspects"]
    can_be_cut = [one for one in suspects if one["class"] and _prune_line(one)]
    chosen = next((one for one in can_be_cut if one["status"] == "confirmed"), None)
    name = "audit" if chosen else "audit-first"
    chosen = chosen or next(iter(can_be_cut), None)
    entry = {
        "set": runs.name,
        "seed": runs.seed,
        "arm": name,
        "cut": chosen["name"] if chosen else None,
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "suspects": [{key: one[key] for key in _SHOWN} for one in suspects],
    }
    if is_new:
        with written.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")
    if chosen is None:
        return
    words = shlex.split(_prune_line(chosen))
    group, share = words[words.index("--group") + 1], _share(chosen)
    groups = folder / chosen["groups"]
    trained, evaluated = {**_TRAINED.get(runs.name, {}), **data}, _EVALUATED.get(runs.name, {})
    arms = {name: "1" if share <= _NO_PART else "0.25"}
    if _NO_PART < share <= _MOST_REMOVED:
        arms[f"{name}-all"] = "1"
    for arm, removed in arms.items():
        runs.prune(arm, group=group, fraction=removed, group_labels=groups)
        if removed == "1":  # no other carriers are left to draw from
            runs.prune(f"{arm}-random", match=arm)
        else:
            runs.prune(f"{arm}-random", match=arm, match_groups=True, group_labels=groups)
        for each in (arm, f"{arm}-random"):
            runs.arm(each, trained, **evaluated)
    if runs.name in _STRONG:
        arm = f"{name}-groups"
        runs.prune(arm, group="auto", fraction="0.25", group_labels=groups)
        runs.prune(f"{arm}-random", match=arm, match_groups=True, group_labels=groups)
        for each in (arm, f"{arm}-random"):
            runs.arm(each, trained, **evaluated)


def _prune_line(suspect: dict[str, Any]) -> str:
    """The prune command for it; "" if its carriers are only in other classes."""
    return next((line for line in suspect["next"] if shlex.split(line)[1] == "prune"), "")


def finder_arm(runs: Runs, data_root: Path, finder: str) -> None:
    """Audit by one finder; remove all carriers of its first confirmed suspect, and as many samples of each class at random."""
    folder = runs / finder
    if not (folder / "audit.json").is_file():
        model = runs / "all" / "model.safetensors"
        spurcli.audit(model, output=folder, finder=[finder], data_root=data_root, seed=runs.seed, workers=0)
    suspects = read_audit(folder / "audit.json")["suspects"]
    print(f"seed {runs.seed}:", [(one["name"], one["status"]) for one in suspects], flush=True)
    can_be_cut = (one for one in suspects if one["class"] and _prune_line(one))
    chosen = next((one for one in can_be_cut if one["status"] == "confirmed"), None)
    if chosen is None:
        return
    words, name = shlex.split(_prune_line(chosen)), f"{finder}-all"
    group = words[words.index("--group") + 1]
    runs.prune(name, group=group, fraction="1", group_labels=folder / chosen["groups"])
    runs.prune(f"{name}-random", match=name)
    for arm in (name, f"{name}-random"):
        runs.arm(arm, _TRAINED.get(runs.name, {}), **_EVALUATED.get(runs.name, {}))


def _share(suspect: dict[str, Any]) -> float:
    """The share of carriers in the suspect's class in training."""
    rows = suspect["carriers"]["train"]
    return next((float(row["share"] or 0.0) for row in rows if row["class"] == suspect["class"]), 1.0)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--arms", nargs="+", default=[], help="only these")
    parser.add_argument("--budget", help="of the audit, as of spurcli audit")
    parser.add_argument("--finder", help="only this one: the arms FINDER-all and FINDER-all-random")
    asked = parser.parse_args(arguments)
    for name in asked.sets:
        for seed in asked.seeds:
            runs = Runs(asked.output, name, seed, asked.data_root, arms=asked.arms)
            if not (runs / "all" / "model.safetensors").is_file() or not (runs / "scores.h5").is_file():
                print(f"{name}, seed {seed}: no ERM model yet", flush=True)
                continue
            try:
                if asked.finder:
                    finder_arm(runs, asked.data_root, asked.finder)
                else:
                    audit_arm(runs, asked.data_root, asked.budget)
            except (SpurError, OSError, StopIteration):
                print(f"{name}, seed {seed}: {traceback.format_exc(limit=-1)}", flush=True)


if __name__ == "__main__":
    main()
