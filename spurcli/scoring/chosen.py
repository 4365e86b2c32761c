"""Which scores are taken: the registered ones, and the user's own, checked before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from spurcli.artifacts.envelope import sha256_of_file
from spurcli.artifacts.provenance import portable_path
from spurcli.artifacts.scores import Direction
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.parts import SCORES
from spurcli.registry import is_user_code
from spurcli.scoring import formulas


@dataclass(frozen=True)
class ChosenScore:
    """A score and what the file says of it; `compute` is None for `random`, which needs no prediction."""

    name: str
    higher_is: Direction
    formula: str
    source: str
    compute: formulas.Formula | None
    origin: dict[str, Any] = field(default_factory=dict)


def registered_scores(names: Sequence[str]) -> list[ChosenScore]:
    computed = {**formulas.FROM_LOGITS, "grand_last": formulas.grand_last_of}
    entries = [(name, SCORES.entries[name]) for name in names]
    return [
        ChosenScore(name, entry.facts["higher_is"], entry.facts["formula"], entry.source, computed.get(name))
        for name, entry in entries
    ]


def load_own_scores(specs: Sequence[str]) -> list[ChosenScore]:
    """The user's own scores, `file.py:attr` or `package.module:attr`, called by the attribute.

    Each is a function (logits float32 [m, classes], label int64 [m]) → [m] with an attribute `higher_is`.
    """
    chosen: list[ChosenScore] = []
    for spec in specs:
        if not is_user_code(spec):
            SCORES.load(spec)
            raise UsageError(f"--score {spec}: every registered score is taken anyway", "Leave it out.")
        function, (place, _, name) = SCORES.load(spec), spec.rpartition(":")
        if name in SCORES or name in [other.name for other in chosen]:
            raise UsageError(f"--score {spec}: there is a score called {name} already", "Give yours another name.")
        higher_is = getattr(function, "higher_is", None)
        if not callable(function) or higher_is not in ("harder", "easier"):
            raise UsageError(
                f"Your score {spec} does not say which way it points", f'Set {name}.higher_is = "harder" or "easier".'
            )
        formula = (function.__doc__ or "").strip().partition("\n")[0]
        digest = sha256_of_file(Path(place)) if place.endswith(".py") else None
        origin = {"name": name, "from": portable_path(place), "sha256": digest}
        chosen.append(ChosenScore(name, higher_is, formula, "user code", _checked(function, spec), origin))
    return chosen


def _checked(function: Any, spec: str) -> formulas.Formula:
    """Call the user's function and insist on one number a sample: a mean would spread over the batch unnoticed."""

    def compute(prediction: formulas.Prediction) -> torch.Tensor:
        logits, label = prediction.logits.clone(), prediction.label.clone()  # it may write into them
        try:
            values = torch.as_tensor(function(logits, label))
        except SpurError:
            raise
        except Exception as error:
            raise InputError(
                f"Your score {spec} failed: {type(error).__name__}: {str(error)[:150]}",
                "It is called with logits float32 [m, classes] and label int64 [m]; --debug shows where it failed.",
            ) from error
        if values.shape != label.shape:
            raise InputError(
                f"Your score {spec} returned {list(values.shape)} for {len(label)} samples",
                "It must return one number for each sample, [m].",
            )
        return values.to(torch.float32)

    return compute
