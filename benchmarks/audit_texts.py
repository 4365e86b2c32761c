"""How well the audit finds features planted in texts, tables and image properties: features × shares of a class × strengths.

    python benchmarks/audit_texts.py [--seeds 31-33] [--untouched 101-120] [--features word,phrase] [--out FILE.csv] [--tiny]

Texts are synthetic: three classes, 12 to 25 words each. Some words are more frequent in a class (its content). The model
is a logistic regression on words and phrases. The digits are those of `demo`, with a logistic regression on pixels. A cell plants one feature in
a share of one class (and in 5 % of the others), fits the model, and runs the finders that an audit would run, with their confirmation and Holm.

| feature | what is planted | strength |
|---|---|---|
| word | a word that occurs only here, at random positions | number of times per text |
| phrase | three frequent words in a row | number of times per text |
| ending | an exclamation mark at the end | - |
| column | the table's column `site`, with which some words become others (a dialect): the column itself is no input | share of words |
| brightness | all pixels brighter | grey levels of 255 |

A row says: the model's feature_effect on test samples without and with the feature, the rank of the suspect of the
true class that is the feature by name, behind how many suspects that are no content, its status, the AUROC, precision and recall of its carriers among the
class's training samples, how many suspects are confirmed that are neither the feature nor content, and the seconds of the audit. `--untouched`
does the same with nothing planted: `false` are confirmed suspects that are no content. Nothing was tuned on seeds 31 and above, draws 101 and above.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.merging import merged
from spurcli.auditing.ranking import ranked
from spurcli.auditing.statistics import judged
from spurcli.auditing.suspect import CONFIRMED, Suspect
from spurcli.datasets import ArrayImages, Dataset, Split, Texts
from spurcli.datasets.demo import load
from spurcli.evaluation.reliance import cells, reliance
from spurcli.randomness import generator
from spurcli.registries import FINDERS

SHARES = (0.04, 0.1, 0.3, 0.9)
STRENGTHS = {"word": (1, 3), "phrase": (1, 3), "ending": (1,), "column": (0.3, 1.0), "brightness": (10, 30)}
ELSEWHERE = 0.05  # share of the carriers in the other classes
SIZES = {"train": 1500, "val": 800, "test": 800}
TINY = {"train": 240, "val": 160, "test": 100}
WORD, PHRASE = "zephyr", ("n3", "n7", "n11")
NUM_NEUTRAL, NUM_CONTENT, TILT = 150, 60, 0.7
IMAGES = ("brightness",)
TEXT_FINDERS, IMAGE_FINDERS = ("columns", "words", "text-properties"), ("image-properties",)


@dataclass(frozen=True)
class Row:
    feature: str
    share: float
    strength: float
    seed: int
    effect: float | None
    rank: int | None
    behind: int | None
    status: str
    auroc: float | None
    precision: float | None
    recall: float | None
    false: int
    seconds: float


@dataclass
class Model:
    """Logits of a fitted model, as the audit asks for them."""

    fitted: Any
    inputs: dict[str, Any]
    of: Callable[[Any], Any]

    def logits(self, split: str) -> NDArray[np.float32]:
        inputs = self.inputs[split]
        return self.ask(inputs.read(np.arange(len(inputs))))

    def embedding(self, _: str) -> None:
        return None

    def ask(self, samples: Any) -> NDArray[np.float32]:
        scores = np.asarray(self.fitted.decision_function(self.of(samples)), dtype=np.float32)
        return scores if scores.ndim == 2 else np.stack([np.zeros_like(scores), scores], axis=1)


def text_world(feature: str, share: float, strength: float, seed: int, sizes: dict[str, int]) -> tuple[Any, ...]:
    """Labels, texts, twins (all texts with the feature), carriers and columns of each split; the planted class is 1."""
    rng = generator("audit texts", seed)
    vocabulary = [f"n{k}" for k in range(NUM_NEUTRAL)] + [f"c{k}" for k in range(NUM_CONTENT)]
    weight = 1 / (5 + np.arange(len(vocabulary)) % NUM_NEUTRAL)
    tilt = np.exp(rng.normal(0, TILT, (3, len(vocabulary))) * np.array([word[0] == "c" for word in vocabulary]))
    p = weight * tilt
    p /= p.sum(axis=1, keepdims=True)

    def planted(words: list[str]) -> str:
        found = list(words)
        if feature == "column":
            found = [f"{word}x" if rng.random() < strength and word[0] == "n" else word for word in found]
        for _ in range(int(strength) if feature in ("word", "phrase") else 0):
            place = int(rng.integers(len(found) + 1))
            found[place:place] = [WORD] if feature == "word" else PHRASE
        return " ".join(found) + ("!" if feature == "ending" else ".")

    label, texts, twins, carriers, columns = {}, {}, {}, {}, {}
    for split, size in sizes.items():
        label[split] = np.arange(size) % 3
        has = rng.random(size) < np.where(label[split] == 1, share, ELSEWHERE)
        carriers[split] = has & (feature != "untouched")
        plain = [rng.choice(vocabulary, rng.integers(12, 26), p=p[y]).tolist() for y in label[split]]
        twins[split] = Texts(([planted(words) for words in plain],))
        own = [twins[split].columns[0][k] if one else f"{' '.join(plain[k])}." for k, one in enumerate(carriers[split])]
        texts[split] = Texts((own,))
        site = has if feature == "column" else rng.random(size) < np.where(label[split] == 1, share, ELSEWHERE)
        columns[split] = {
            "site": np.where(site, "north", "south").tolist(),
            "age": [str(age) for age in rng.integers(20, 90, size) + 5 * label[split]],  # goes with the class alone
            "day": rng.choice(["mon", "tue", "wed", "thu", "fri"], size).tolist(),
            "dose": [f"{dose:.2f}" for dose in rng.normal(0, 1, size)],
        }
    return label, texts, twins, carriers, columns


def image_world(strength: float, share: float, seed: int, sizes: dict[str, int], *, untouched: bool) -> tuple[Any, ...]:
    rng = generator("audit digits", seed)
    named = {f"num_{split}": size for split, size in sizes.items()}
    dataset = load(data_root=Path(), draw=seed, **named)
    label, inputs, twins, carriers = {}, {}, {}, {}
    for split, part in dataset.splits.items():
        pixels = part.inputs.read(np.arange(len(part.label)))
        brighter = np.clip(pixels.astype(np.int64) + int(strength), 0, 255).astype(np.uint8)
        has = rng.random(len(pixels)) < np.where(part.label == 1, share, ELSEWHERE)
        carriers[split] = has & (not untouched)
        label[split] = part.label
        inputs[split] = ArrayImages(np.where(carriers[split][:, None, None, None], brighter, pixels))
        twins[split] = ArrayImages(brighter)
    return label, inputs, twins, carriers, {split: {} for split in label}


def is_true(suspect: Suspect, feature: str) -> bool:
    """Whether a suspect is the planted feature by its name."""
    shown = suspect.finding.shown
    words, column = " ".join(map(str, shown.get("words") or [])), str(shown.get("column", ""))
    known = {
        "word": words == WORD,
        "phrase": words == " ".join(PHRASE),
        "ending": words == "!" or column.startswith(("ends with", "exclamation")),
        "column": column == "site" and str(shown.get("value")) == "= north",
        "brightness": column == "brightness",
    }
    return known.get(feature, False)


def is_content(suspect: Suspect, feature: str) -> bool:
    """Whether a word is content, or the planted feature under another name."""
    words = [word for phrase in suspect.finding.shown.get("words") or [] for word in str(phrase).split()]
    column = str(suspect.finding.shown.get("column", ""))
    traces = {
        "word": any(word == WORD for word in words) or column.startswith("number of words"),
        "phrase": bool(set(words) & set(PHRASE)) or column.startswith("number of words"),
        "ending": "!" in words or "punctuation" in column,
        "column": any(word.endswith("x") for word in words) or column == "site",  # also its other value
        "brightness": column in ("contrast", "border brightness"),
    }
    return any(word.startswith("c") for word in words) or traces.get(feature, False)


def run_cell(feature: str, share: float, strength: float, seed: int, sizes: dict[str, int], kind: str = "") -> Row:
    """One cell; `kind` names the untouched data if nothing is planted."""
    is_image = (kind or feature) in IMAGES
    if is_image:
        world = image_world(strength, share, seed, sizes, untouched=feature == "untouched")
    else:
        world = text_world(feature, share, strength, seed, sizes)
    label, inputs, twins, carriers, columns = world
    if is_image:
        model = Model(LogisticRegression(max_iter=200), inputs, lambda pixels: pixels.reshape(len(pixels), -1) / 255)
    else:
        counted = CountVectorizer(ngram_range=(1, 3), min_df=5, token_pattern=r"\w+|[!?]+")
        counted.fit(inputs["train"].columns[0])
        model = Model(LogisticRegression(), inputs, lambda texts: counted.transform([text for (text,) in texts]))
    model.fitted.fit(model.of(inputs["train"].read(np.arange(sizes["train"]))), label["train"])
    class_names = tuple(f"class {y}" for y in range(10 if is_image else 3))
    evidence = Evidence(
        {split: label[split] for split in ("train", "val")},
        class_names,
        model,
        held_out="val",
        dataset=Dataset("made up", class_names, {s: Split(label[s], inputs[s]) for s in ("train", "val")}),
        columns=lambda: {split: columns[split] for split in ("train", "val")},
        seed=seed,
    )
    began = time.process_time()
    found = [each for name in (IMAGE_FINDERS if is_image else TEXT_FINDERS) for each in FINDERS.load(name)(evidence)]
    suspects = ranked(judged(evidence, merged(evidence, found)))
    seconds = time.process_time() - began
    true = next((each for each in suspects if each.label == "class 1" and is_true(each, feature)), None)
    wrong = [each for each in suspects if each.status == CONFIRMED and not is_true(each, feature)]
    row = {"effect": None, "rank": None, "behind": None, "status": "", "auroc": None, "precision": None, "recall": None}
    if feature != "untouched":
        plain = np.flatnonzero(~carriers["test"])
        twin = model.ask(twins["test"].read(plain))
        measured = reliance(
            cells(model.logits("test"), label["test"], carriers["test"], [1], twin_index=plain, twin_logits=twin)
        )
        row["effect"] = measured["feature_effect"]["value"]
    if true is not None:
        mine = label["train"] == 1
        presence, truth = np.nan_to_num(true.finding.presence["train"][mine]), carriers["train"][mine]
        called = presence > 0.5
        row |= {"rank": true.rank, "status": true.status}
        row["behind"] = sum(each.rank < true.rank and not is_content(each, feature) for each in suspects)
        row["precision"] = float(truth[called].mean()) if called.any() else None
        row["recall"] = float(called[truth].mean()) if truth.any() else None
        row["auroc"] = float(roc_auc_score(truth, presence)) if 0 < truth.sum() < len(truth) else None
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}
    false = sum(not is_content(each, feature) for each in wrong)
    return Row(kind or feature, share, strength, seed, false=false, seconds=round(seconds, 2), **rounded)


def numbers(written: str) -> list[int]:
    return [
        n
        for part in written.split(",")
        if part
        for a, _, b in [part.partition("-")]
        for n in range(int(a), int(b or a) + 1)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="31-33")
    parser.add_argument("--untouched", default="")
    parser.add_argument("--features", default=",".join(STRENGTHS))
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--out", type=Path, help="a CSV to which rows are added; what is in it is not run again")
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args(arguments)
    sizes = TINY if asked.tiny else SIZES
    jobs: list[tuple[str, float, float, int, str]] = [
        (feature, share, strength, seed, "")
        for feature in asked.features.split(",")
        if feature
        for share in (SHARES[2:3] if asked.tiny else asked.shares)
        for strength in STRENGTHS[feature]
        for seed in numbers("31" if asked.tiny else asked.seeds)
    ]
    for draw in numbers("101" if asked.tiny else asked.untouched):
        jobs += [("untouched", 0.3, 0, draw, "untouched texts"), ("untouched", 0.3, 0, draw, "brightness")]
    fields = list(Row.__dataclass_fields__)
    done = set()
    if asked.out and asked.out.exists():
        with asked.out.open(newline="", encoding="utf-8") as file:
            done = {tuple(row[key] for key in ("feature", "share", "strength", "seed")) for row in csv.DictReader(file)}
    for feature, share, strength, seed, kind in jobs:
        called = f"untouched {kind}" if feature == "untouched" and kind in IMAGES else kind or feature
        if (called, str(share), str(strength), str(seed)) in done:
            continue
        row = {**asdict(run_cell(feature, share, strength, seed, sizes, kind)), "feature": called}
        print(", ".join(f"{key} {value}" for key, value in row.items() if value not in (None, "")), flush=True)
        if asked.out:
            is_new = not asked.out.exists()
            with asked.out.open("a", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, fields)
                if is_new:
                    table.writeheader()
                table.writerow(row)


if __name__ == "__main__":
    main()
