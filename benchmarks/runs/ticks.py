"""The arm `ticks` of the runs: a person ticks 120 training samples of a class, and the carriers inferred from them are pruned.

    OMP_NUM_THREADS=1 python benchmarks/runs/ticks.py OUTPUT waterbirds-frozen celeba --seeds 31 32 33 34 35 --data-root .data

For OUTPUT/SET/seedN/, which run.py made (all/model.safetensors, scores.h5): the sheet that `spurcli audit --sheet` draws, answered by
the true groups, as a person who makes no mistake would; `spurcli infer --by ticks` with the ERM model; and the set's rule with the
inferred groups in place of the true ones, and with as many random samples of the same inferred groups. Only the groups of ticked samples
are read before `evaluate`. Networks that were trained from scratch get a second arm, `ticks-frozen`: the same ticks, extended by the
embeddings of a frozen ImageNet network.

OUTPUT/ticks.jsonl has a line for each seed: the AUROC of the inferred carriers among the samples of each class that were not ticked,
and the AUROC that `infer` reports from the ticks alone; with "frozen" for the second arm.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # as a script and from a test

import numpy as np
from numpy.typing import NDArray
from run import Runs, parser_of
from sets import BF16, CELEBA
from sklearn.metrics import roc_auc_score

from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.scores import open_scores
from spurcli.auditing.page.sheet import NUM_TICKS, Item, draw
from spurcli.inferring.tick_file import COLUMNS


@dataclass(frozen=True)
class Asked:
    """What is ticked in which classes, and the rule that gets the inferred groups; `file` (of OUTPUT/SET), `data`, `judged` as in sets.py.

    `frozen` is what `spurcli embed` is given for the second arm, without the file.
    """

    feature: str
    classes: Sequence[str]
    rule: dict[str, Any]
    file: str = ""
    judged: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    frozen: dict[str, Any] = field(default_factory=dict)


_CARRIERS = {"fraction": "0.25", "group": "male/glasses"}
_JUDGED = {"feature_of": "male/glasses", "splits": ("test", "val")}
_BIRDS = {"set": ["dataset.options.image=path", "dataset.options.attribute=background"]}
SETS = {
    "waterbirds-frozen": Asked(
        "water",
        ("landbird", "waterbird"),
        {"fraction": "0.25", "group": "auto", "balance_classes": True},
        "waterbirds.embeddings.h5",
    ),
    "celeba-frozen": Asked("glasses", ("male",), _CARRIERS, "celeba.embeddings.h5", _JUDGED),
    # A list hands all settings down but the precision.
    "celeba": Asked(
        "glasses",
        ("male",),
        _CARRIERS,
        judged=_JUDGED,
        data={"set": [BF16]},
        frozen={"dataset": "celeba", "recipe": "celeba-frozen", "set": CELEBA},
    ),
    "sky": Asked(
        "sky",
        ("airplane", "bird"),
        {"fraction": "0.5", "group": "auto"},
        "birds.csv",
        data=_BIRDS,
        frozen={"recipe": "own-images-frozen", **_BIRDS},
    ),
}


@dataclass(frozen=True)
class Known:
    """The training samples of a score file: label int64 [n], carries bool [n], difficulty float32 [n], ids; names of the classes."""

    label: NDArray[np.int64]
    carries: NDArray[np.bool_]
    difficulty: NDArray[np.float32]
    ids: Sequence[str]
    class_names: Sequence[str]


def known_of(scores: Path, feature: str) -> Known:
    """What the score file says, with the true groups "class/attribute"."""
    with open_scores(scores) as reader:
        attributes = np.array([name.partition("/")[2] for name in reader.header.group_names])
        ids = reader.sample_ids(np.arange(reader.header.num_samples))
        carries = attributes[reader.groups()] == feature
        return Known(reader.labels(), carries, reader.mean_values("el2n"), ids, reader.header.class_names)


def write_ticks(path: Path, items: Sequence[Item], known: Known, feature: str) -> None:
    """ticks.csv as a person who knows the feature would have saved it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for item in items:
            answer = "yes" if known.carries[item.index] else "no"
            name = known.class_names[known.label[item.index]]
            rows.writerow(
                [known.ids[item.index], answer, name, item.quartile + 1, item.stratum, item.stratum_size, feature]
            )


def tick_arm(runs: Runs) -> None:
    """Tick, infer, prune, train and evaluate for one set and seed."""
    asked = SETS[runs.name]
    known = known_of(runs / "scores.h5", asked.feature)
    classes = [known.class_names.index(name) for name in asked.classes]
    num = NUM_TICKS * len(classes)
    items = draw(known.label, known.class_names, known.difficulty, classes=classes, num=num, seed=runs.seed)
    ticks = runs / "ticks.csv"
    write_ticks(ticks, items, known, asked.feature)
    place = {"dataset": runs.shared / asked.file} if asked.file else {}
    by: dict[str, dict[str, Any]] = {"ticks": {"source": runs / "all" / "model.safetensors", **place}}
    if asked.frozen:
        by["ticks-frozen"] = {"dataset": runs.embed("frozen.embeddings.h5", **place, **asked.frozen)}
    others = np.ones(len(known.label), dtype=bool)
    others[[item.index for item in items]] = False
    entry: dict[str, Any] = {"set": runs.name, "seed": runs.seed, "ticked": int((~others).sum())}
    for arm, embedded in by.items():
        groups = runs / f"{arm}.groups.txt"
        runs.infer(groups.name, by="ticks", ticks=ticks, **embedded)
        found = read_groups(groups)
        presence = found.main.probability
        assert presence is not None
        reported = {each["class"]: each["auroc"]["value"] for each in found.chosen["ticks"]["classes"]}
        word = arm.removeprefix("ticks").replace("-", " ")
        for y, name in zip(classes, asked.classes, strict=True):
            members = others & (known.label == y)
            area = float(roc_auc_score(known.carries[members], presence[members]))
            entry[f"auroc{word} {name}"] = round(area, 4)
            entry[f"reported{word} {name}"] = round(reported[name], 4)
    with (runs.shared.parent / "ticks.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry) + "\n")
    for arm in by:
        inferred = {"group_labels": runs / f"{arm}.groups.txt"}
        runs.prune(arm, **inferred, **asked.rule)
        runs.prune(f"{arm}-random", match=arm, match_groups=True, **inferred)
        for name in (arm, f"{arm}-random"):
            runs.arm(name, {**place, **asked.data}, **asked.judged)


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parser_of(__doc__, SETS).parse_args(arguments)
    for name in asked.sets:
        for seed in asked.seeds:
            tick_arm(Runs(asked.output, name, seed, asked.data_root))


if __name__ == "__main__":
    main()
