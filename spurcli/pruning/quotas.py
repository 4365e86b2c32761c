"""Class quotas by recall: DRoP (Vysogorets, Ahuja and Kempe, ICLR 2025, Algorithm 1), and where the recalls come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from spurcli.artifacts.envelope import JsonObject, field, optional_field
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.provenance import Parent
from spurcli.artifacts.records import RecallOfClass
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.errors import InputError

_HINT = "Train on all samples, then: spurcli evaluate --split val -o val.json"


@dataclass(frozen=True)
class Recalls:
    """For each class, how many of its validation samples a model classified correctly; exact numbers, so the quotas are exact."""

    class_names: tuple[str, ...]
    counts: tuple[tuple[int, int], ...]
    parent: Parent
    warnings: tuple[str, ...] = ()

    @property
    def recall(self) -> list[Fraction]:
        """Recall of each class; 1 for one that has no samples anywhere."""
        return [Fraction(right, size) if size else Fraction(1) for right, size in self.counts]

    def to_json(self) -> list[RecallOfClass]:
        return [
            {"name": name, "num_correct": right, "num_samples": size}
            for name, (right, size) in zip(self.class_names, self.counts, strict=True)
        ]


def kept_by_recall(num_kept: int, sizes: Sequence[int], recall: Sequence[Fraction]) -> list[int]:
    """How many samples of each class are kept: `num_kept` in total, out of `sizes`.

    The kept share of class k is proportional to 1 − recall_k, at most 1; what exceeds a class's size is distributed among
    the others in the same proportion. When all classes that have errors are full, the rest have equal shares. The exact
    numbers are rounded down, and the remaining samples up to `num_kept` go to the largest remainders; ties go to the
    lower class.
    """
    need = [1 - each for each in recall]
    exact = [Fraction(0)] * len(sizes)
    open_classes = [k for k, size in enumerate(sizes) if size]
    while open_classes:
        left = num_kept - sum(size for k, size in enumerate(sizes) if k not in open_classes)
        if not any(need[k] for k in open_classes):
            need = [Fraction(1)] * len(sizes)
        total = sum(sizes[k] * need[k] for k in open_classes)
        for k in open_classes:
            exact[k] = left * sizes[k] * need[k] / total
        full = [k for k in open_classes if exact[k] > sizes[k]]
        if not full:
            break
        for k in full:
            exact[k] = Fraction(sizes[k])
        open_classes = [k for k in open_classes if k not in full]
    kept = [int(number) for number in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda k: (kept[k] - exact[k], k))
    for k in by_remainder[: num_kept - sum(kept)]:
        kept[k] += 1
    return kept


def read_recalls(
    path: Path, class_names: Sequence[str], sizes: Sequence[int], scored: Subject, policy: InjectionPolicy
) -> Recalls:
    """The recalls in an evaluation.json of the split `val`, for classes with `sizes` training samples, which are
    those `scored`.

    Raises InputError for another split (nothing is chosen by test), other classes, another injection, a class without
    validation samples, and a model without errors, which says nothing about the quotas.
    """
    content = read_evaluation(path)
    split = content.get("split")
    if split != "val":
        what = f"of the split {split!r}" if split else "of no named split"
        why = "the test split must not be used for choices" if split == "test" else "recalls are measured on val"
        raise InputError(f"{path} is an evaluation {what}: {why}", _HINT)
    rows = optional_field(content, "per_class", list, str(path)) or []
    names = [row.get("class") if isinstance(row, Mapping) else None for row in rows]
    if names != list(class_names):
        raise InputError(
            f"{path} is about other classes: {_shown(names)} against {_shown(class_names)}",
            "Evaluate a model of the data set that was scored.",
        )
    Subject.from_json(content, str(path), str(path)).require_same_injection(scored, policy)
    counts = tuple(_count(row, size, f"{path}: class {row['class']}") for row, size in zip(rows, sizes, strict=True))
    if all(right == num_samples for (right, num_samples), size in zip(counts, sizes, strict=True) if size):
        raise InputError(
            f"{path}: every recall is 1, so no class needs more samples than another", "Use --per-class instead."
        )
    training = optional_field(content, "training", dict, str(path)) or {}
    warnings = []
    if training.get("keep"):
        warnings.append(
            f"{path} is of a model trained on {training.get('num_kept')} of {training.get('num_train')} samples: "
            "DRoP requires a model trained on all samples"
        )
    parent = Parent.of(path, content.get("provenance"))
    return Recalls(tuple(class_names), counts, parent, tuple(warnings))


def _count(row: JsonObject, size: int, where: str) -> tuple[int, int]:
    """(right, all) validation samples of a class that has `size` training samples."""
    accuracy = field(row, "accuracy", dict, where)
    num_samples, value = field(accuracy, "num_samples", int, where), accuracy.get("value")
    if num_samples <= 0 or value is None:
        if size:
            raise InputError(f"{where} has no validation samples, so no recall", "Use --per-class instead.")
        return 0, 0
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"{where} has an accuracy outside 0 to 1", "Run the evaluation again.")
    return round(value * num_samples), num_samples


def _shown(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names[:3])) + (", …" if len(names) > 3 else "") if names else "none"
