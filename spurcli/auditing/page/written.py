"""Writes audit.html next to audit.json, and ticks.html if a tick sheet is requested."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.atomic import atomic_path
from spurcli.artifacts.envelope import JsonObject
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.page.page import MAX_SHOWN, Examples, audit_page, examples_of
from spurcli.auditing.page.sheet import NUM_TICKS, draw, sheet_page
from spurcli.auditing.suspect import NOT_SUPPORTED
from spurcli.datasets import Inputs
from spurcli.datasets.inputs import kind_of
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.registry import near

PAGE_NAME, SHEET_NAME = "audit.html", "ticks.html"
_KINDS = ("images", "texts")  # that can be shown


@dataclass(frozen=True)
class SheetPlan:
    """A tick sheet of `num` training samples of `classes`; () is the class of the first suspect, or all without one."""

    classes: Sequence[str] = ()
    num: int = NUM_TICKS

    def to_json(self) -> JsonObject:
        return {"classes": list(self.classes), "num_samples": self.num}


@dataclass(frozen=True)
class Carried:
    """A suspect as the pages need it: its `entry` of audit.json, and the probability float32 [n] that a training sample carries it, NaN
    if not known; None without training samples."""

    entry: JsonObject
    presence: NDArray[np.float32] | None


def write_pages(
    output: Path,
    content: JsonObject,
    evidence: Evidence,
    suspects: Sequence[Carried],
    audited: tuple[str, ...],
    plan: SheetPlan | None,
) -> list[str]:
    """The names of the pages written into the folder `output`. Samples that cannot be read are left out with a warning.

    `suspects` are those of `content`, the content of audit.json, in order. `audited` is the model as it was named ("" = none) and the words that later commands need too.
    """
    model, *words = audited
    command = shlex.join(
        ["spurcli", "infer", model or "MODEL", *words, "--by", "ticks", "--ticks", "ticks.csv", "-o", "groups.txt"]
    )
    sheet = _sheet(evidence, suspects, command, plan) if plan else ""
    examples: dict[int, Examples] = {}
    try:
        examples = _examples(evidence, suspects)
    except SpurError as error:
        evidence.warn(f"The page shows no samples: {error.problem}")
    title = f"What {Path(model).name} leans on" if model else "What the predictions lean on"
    _write(output / PAGE_NAME, audit_page(content, examples, title=title, sheet=SHEET_NAME if sheet else ""))
    if sheet:
        _write(output / SHEET_NAME, sheet)
    else:
        (output / SHEET_NAME).unlink(missing_ok=True)  # of an older audit, about other suspects
    return [PAGE_NAME, *([SHEET_NAME] if sheet else [])]


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _examples(evidence: Evidence, suspects: Sequence[Carried]) -> dict[int, Examples]:
    inputs = _inputs(evidence)
    if inputs is None:
        return {}
    return {
        one.entry["rank"]: examples_of(
            inputs,
            evidence.label("train"),
            one.presence,
            evidence.sample_id.get("train"),
            class_index=None if one.entry["class"] is None else evidence.class_names.index(one.entry["class"]),
            where=one.entry["shown"],
            seed=evidence.seed,
            number=one.entry["rank"],
        )
        for one in suspects[:MAX_SHOWN]
        if one.presence is not None
    }


def _inputs(evidence: Evidence) -> Inputs | None:
    """The training samples that can be shown."""
    shown = evidence.shown
    inputs = shown.splits["train"].inputs if shown and "train" in shown.splits else None
    return inputs if inputs is not None and kind_of(inputs) in _KINDS else None


def require_sheet(evidence: Evidence, plan: SheetPlan) -> None:
    """Raise SpurError before the search if the sheet cannot be made."""
    if _inputs(evidence) is None:
        raise UsageError(
            "--sheet requires images or texts",
            "Name the data set with --dataset, or leave --sheet out.",
        )
    for name in plan.classes:
        if name not in evidence.class_names:
            raise UsageError(
                f"--sheet-class {name}: there is no such class{near(name, evidence.class_names)}",
                f"The classes are: {', '.join(evidence.class_names[:20])}.",
            )


def _sheet(evidence: Evidence, suspects: Sequence[Carried], command: str, plan: SheetPlan) -> str:
    inputs, label = _inputs(evidence), evidence.label("train")
    assert inputs is not None
    names = evidence.class_names
    likely = [one for one in suspects if one.entry["status"] != NOT_SUPPORTED and one.entry["class"] is not None]
    first = likely[0] if likely and (not plan.classes or likely[0].entry["class"] in plan.classes) else None
    wanted = plan.classes or ([first.entry["class"]] if first else names)
    classes = [y for y, name in enumerate(names) if name in wanted and (label == y).any()]
    if not classes:
        raise InputError("No class of the sheet has training samples", "Name another one with --sheet-class.")
    presence = first.presence if first else None
    items = draw(
        label,
        names,
        _difficulty(evidence.logits("train"), label),
        classes=classes,
        num=plan.num,
        presence=presence if len(classes) == 1 else None,
        seed=evidence.seed,
    )
    return sheet_page(
        inputs,
        items,
        label,
        names,
        evidence.sample_id.get("train"),
        title=f"Tick samples of {names[classes[0]]}" if len(classes) == 1 else "Tick samples",
        feature=first.entry["name"] if first else "",
        command=command,
    )


def _difficulty(logits: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.float32]:
    """EL2N of the audited model, float32 [n]: ‖softmax − one-hot‖."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = shifted / shifted.sum(axis=1, keepdims=True)
    error[np.arange(len(label)), label] -= 1
    return np.asarray(np.sqrt(np.square(error).sum(axis=1)), dtype=np.float32)
