"""How well the audit finds properties of photographs that were changed in a share of one class: brightness, contrast, saturation, colour cast, frame, grey.

    python benchmarks/audit_properties.py [--seeds 31-33] [--untouched 101-110] [--features brightness,grey] [--out FILE.csv] [--data-root .data] [--tiny]

Five classes of CIFAR-10, drawn for each seed: 2,000 training, 1,000 held-out and 1,000 test images. The model is a logistic regression on 16×16 pixels. A cell changes a
property in a share of one class, and in 5 % of the others, fits the model, and runs `image-properties` with its tests, as an audit does.

| feature | change |
|---|---|
| brightness | all pixels 30 of 255 brighter |
| contrast | pixels at .6 of their distance to the mean of the image |
| saturation | colours at .3 of their distance to the grey of the pixel |
| cast | 25 redder, 15 less blue |
| frame | the two outer pixels 60 brighter |
| grey | no colours |

A row says: accuracy and feature_effect of the model on test images; the rank and status of the first suspect of the class whose carriers have an AUROC of at least .8, its name, AUROC, precision and
recall among the training images of the class; and the confirmed suspects that are not the planted feature. Nothing was tuned on seeds 31 and above, draws 101 and above.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from audit_texts import Model, numbers
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.merging import merged
from spurcli.auditing.ranking import ranked
from spurcli.auditing.statistics import judged
from spurcli.auditing.suspect import CONFIRMED, Suspect
from spurcli.datasets import ArrayImages, Dataset, Split, cifar10
from spurcli.evaluation.reliance import cells, reliance
from spurcli.randomness import generator
from spurcli.registries import FINDERS

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
SHARES = (0.3, 0.9)
ELSEWHERE = 0.05
SIZES = {"train": 2000, "val": 1000, "test": 1000}
SAME = 0.8  # AUROC of the carriers of the suspect that counts as the planted feature
LUMA = np.array([0.299, 0.587, 0.114])


def _towards(values: Floats, centre: Floats, factor: float) -> Floats:
    return np.asarray(centre + factor * (values - centre))


def _framed(values: Floats) -> Floats:
    framed = values + 60
    framed[:, 2:-2, 2:-2] = values[:, 2:-2, 2:-2]
    return framed


CHANGES: Mapping[str, Callable[[Floats], Floats]] = {
    "brightness": lambda values: values + 30,
    "contrast": lambda values: _towards(values, values.mean(axis=(1, 2), keepdims=True), 0.6),
    "saturation": lambda values: _towards(values, (values @ LUMA)[..., None], 0.3),
    "cast": lambda values: values + np.array([25, 0, -15]),
    "frame": _framed,
    "grey": lambda values: _towards(values, (values @ LUMA)[..., None], 0),
}


@cache
def _images(root: Path) -> tuple[tuple[str, ...], dict[str, tuple[NDArray[np.int64], Pixels]]]:
    whole = cifar10.load(data_root=root)
    splits = {name: whole.splits[name] for name in ("train", "test")}
    return whole.class_names, {
        name: (part.label, part.inputs.read(np.arange(len(part)))) for name, part in splits.items()
    }


def drawn(seed: int, root: Path, *, tiny: bool) -> tuple[tuple[str, ...], dict[str, tuple[NDArray[np.int64], Pixels]]]:
    """The images of a seed: five classes, disjoint parts of the training images of CIFAR-10."""
    rng = generator("audit properties", seed)
    if tiny:
        made = {
            split: (np.arange(size) % 5, rng.integers(256, size=(size, 32, 32, 3), dtype=np.uint8))
            for split, size in {"train": 300, "val": 200, "test": 100}.items()
        }
        return tuple("abcde"), made
    names, splits = _images(root)
    label, pixels = splits["train"]
    classes = np.sort(rng.permutation(10)[:5])
    order = [rng.permutation(np.flatnonzero(label == y)) for y in classes]
    found, start = {}, 0
    for split, size in SIZES.items():
        index = rng.permutation(np.concatenate([one[start : start + size // 5] for one in order]))
        found[split] = np.searchsorted(classes, label[index]), pixels[index]
        start += size // 5
    return tuple(names[y] for y in classes), found


def small(pixels: Pixels) -> Floats:
    """Means of 2×2 pixels, [n, 768]."""
    values = pixels.astype(np.float64) / 255
    return np.asarray(values.reshape(len(values), 16, 2, 16, 2, 3).mean(axis=(2, 4)).reshape(len(values), -1))


def run_cell(feature: str, share: float, seed: int, root: Path, *, tiny: bool = False) -> dict[str, Any]:
    """One cell; feature "" plants nothing."""
    names, splits = drawn(seed, root, tiny=tiny)
    rng, y = generator("audit properties, carriers", seed), seed % 5
    label, inputs, twins, carriers = {}, {}, {}, {}
    for split, (own, pixels) in splits.items():
        has = rng.random(len(own)) < np.where(own == y, share, ELSEWHERE)
        carriers[split], label[split] = has & bool(feature), own
        changed = np.clip(np.rint(CHANGES[feature or "grey"](pixels.astype(np.float64))), 0, 255).astype(np.uint8)
        inputs[split] = ArrayImages(np.where(carriers[split][:, None, None, None], changed, pixels))
        twins[split] = changed
    model = Model(LogisticRegression(C=0.1, max_iter=300), inputs, small)
    model.fitted.fit(small(inputs["train"].pixels), label["train"])
    used = ("train", "val")
    dataset = Dataset("planted", names, {split: Split(label[split], inputs[split]) for split in used})
    evidence = Evidence(
        {split: label[split] for split in used}, names, model, held_out="val", dataset=dataset, seed=seed
    )
    began = time.process_time()
    suspects = ranked(judged(evidence, merged(evidence, FINDERS.load("image-properties")(evidence))))
    logits = model.logits("test")
    row: dict[str, Any] = {
        "feature": feature or "untouched",
        "share": share,
        "seed": seed,
        "class": names[y],
        "accuracy": float((logits.argmax(axis=1) == label["test"]).mean()),
        "seconds": time.process_time() - began,
    }
    if feature:
        plain = np.flatnonzero(~carriers["test"])
        twin = model.ask(twins["test"][plain])
        found = cells(logits, label["test"], carriers["test"], [y], twin_index=plain, twin_logits=twin)
        row["effect"] = reliance(found)["feature_effect"]["value"]
    true = [one for one in suspects if one.label == names[y] and feature and _auroc(one, label, carriers, y) >= SAME]
    others = [one for one in suspects if one.status == CONFIRMED and all(one is not each for each in true)]
    row["others"] = " | ".join(f"{one.label}: {one.finding.name}" for one in others)
    row["suspects"] = len(suspects)
    if true:
        first = true[0]
        mine = label["train"] == y
        has, called = carriers["train"][mine], first.finding.presence["train"][mine] > 0.5
        row |= {"rank": first.rank, "status": first.status, "name": first.finding.name}
        row |= {"precision": float(has[called].mean()), "recall": float(called[has].mean())}
        row["auroc"] = _auroc(first, label, carriers, y)
    return row


def _auroc(suspect: Suspect, label: Mapping[str, Any], carriers: Mapping[str, Any], y: int) -> float:
    mine = label["train"] == y
    presence, truth = np.nan_to_num(suspect.finding.presence["train"][mine]), carriers["train"][mine]
    return float(roc_auc_score(truth, presence)) if 0 < truth.sum() < len(truth) else 0.0


FIELDS = ("feature", "share", "seed", "class", "accuracy", "effect", "rank", "status", "name")
FIELDS += ("auroc", "precision", "recall", "suspects", "others", "seconds")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="")
    parser.add_argument("--untouched", default="")
    parser.add_argument("--features", default=",".join(CHANGES))
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--data-root", type=Path, default=Path(".data"))
    parser.add_argument("--out", type=Path, help="a CSV to which rows are added; what is in it is not run again")
    parser.add_argument("--tiny", action="store_true", help="one cell of made-up images, to see that it runs")
    asked = parser.parse_args(arguments)
    jobs = [
        (feature, share, seed)
        for seed in numbers(asked.seeds)
        for feature in asked.features.split(",")
        for share in asked.shares
    ]
    jobs += [("", 0.3, draw) for draw in numbers(asked.untouched)]
    if asked.tiny:
        jobs = [("grey", 0.3, 1)]
    done = set()
    if asked.out and asked.out.exists():
        with asked.out.open(newline="", encoding="utf-8") as file:
            done = {(row["feature"], row["share"], row["seed"]) for row in csv.DictReader(file)}
    for feature, share, seed in jobs:
        if (feature or "untouched", str(share), str(seed)) in done:
            continue
        row = run_cell(feature, share, seed, asked.data_root, tiny=asked.tiny)
        row = {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}
        print(", ".join(f"{key} {row[key]}" for key in FIELDS if row.get(key) not in (None, "")), flush=True)
        if asked.out:
            is_new = not asked.out.exists()
            with asked.out.open("a", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, FIELDS)
                if is_new:
                    table.writeheader()
                table.writerow(row)


if __name__ == "__main__":
    main()
