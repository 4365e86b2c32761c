"""Which scores are computed: the registered ones, the requested ones and the user's own; all are checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spurcli.artifacts.envelope import sha256_of_file
from spurcli.artifacts.provenance import portable_path
from spurcli.artifacts.scores import Direction
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.registries import SCORES
from spurcli.registry import is_user_code
from spurcli.scoring import formulas
from spurcli.words import counted

if TYPE_CHECKING:
    import torch

    from spurcli.scoring.embeddings import SplitFormula


@dataclass(frozen=True)
class RequestedScore:
    """A score and its description in the file.

    `compute` takes a batch, `compute_split` all embeddings of the split at once; `random` needs neither.
    """

    name: str
    higher_is: Direction
    formula: str
    source: str
    compute: formulas.Formula | None = None
    compute_split: SplitFormula | None = None
    origin: dict[str, Any] = field(default_factory=dict)


# Registered, but computed only on request: they cost memory or time in addition to the pass.
ON_DEMAND = tuple(name for name, entry in SCORES.entries.items() if "needs" in entry.facts)


def registered_scores(names: Sequence[str]) -> list[RequestedScore]:
    computed = {**formulas.FROM_LOGITS, "grand_last": formulas.grand_last_of}
    chosen = []
    for name in names:
        entry = SCORES.entries[name]
        of_split = SCORES.load(name) if name in ON_DEMAND else None
        facts = entry.facts["higher_is"], entry.facts["formula"], entry.source
        chosen.append(RequestedScore(name, *facts, compute=computed.get(name), compute_split=of_split))
    return chosen


def load_further_scores(specs: Sequence[str]) -> list[RequestedScore]:
    """Scores in addition to those that are always computed: one of `ON_DEMAND`, or the user's own.

    Own ones are `file.py:attr` or `package.module:attr`, called by the attribute; each is a function (logits float32
    [m, classes], label int64 [m]) → [m] with an attribute `higher_is`.
    """
    chosen: list[RequestedScore] = []
    for spec in specs:
        taken = [other.name for other in chosen]
        if spec in ON_DEMAND and spec not in taken:
            chosen += registered_scores([spec])
            continue
        if not is_user_code(spec):
            SCORES.check(spec)
            why = "it is named twice" if spec in taken else "this score is always computed"
            raise UsageError(f"--add-score {spec}: {why}", "Remove it.")
        function, (place, _, name) = SCORES.load(spec), spec.rpartition(":")
        if name in SCORES or name in taken:
            raise UsageError(
                f"--add-score {spec}: a score named {name} already exists", "Give your score another name."
            )
        higher_is = getattr(function, "higher_is", None)
        if not callable(function) or higher_is not in ("harder", "easier"):
            raise UsageError(
                f"Your score {spec} does not state its direction", f'Set {name}.higher_is = "harder" or "easier".'
            )
        formula = (function.__doc__ or "").strip().partition("\n")[0]
        digest = sha256_of_file(Path(place)) if place.endswith(".py") else None
        origin = {"name": name, "from": portable_path(place), "sha256": digest}
        chosen.append(RequestedScore(name, higher_is, formula, "user code", _checked(function, spec), origin=origin))
    return chosen


def _checked(function: Any, spec: str) -> formulas.Formula:
    """Call the user's function and require one number per sample: a mean would be broadcast over the batch unnoticed."""

    import torch

    def compute(prediction: formulas.Prediction) -> torch.Tensor:
        logits, label = torch.asarray(prediction.logits, copy=True), torch.asarray(prediction.label, copy=True)
        logits = logits.contiguous()  # copies, as it may write into them
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
                f"Your score {spec} returned {list(values.shape)} for {counted(len(label), 'sample')}",
                "It must return one number for each sample, [m].",
            )
        return values.to(torch.float32)

    return compute
