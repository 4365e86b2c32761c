"""Which epoch's weights a run hands over: named rules, all answered by one training run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import nn

from spurcli.artifacts.checkpoint_torch import plain_weights
from spurcli.artifacts.records import EpochRecord
from spurcli.epoch_rules import LAST, RULES


@dataclass(frozen=True)
class Selected:
    """The weights that one rule chose, and after how many epochs they were."""

    weights: dict[str, torch.Tensor]
    epoch: int


class BestEpoch(TypedDict):
    """The best epoch so far by one rule, with the value of its metric."""

    epoch: int
    metric: str
    value: float


class BestEpochs:
    """The weights of the best epoch so far, by each of some rules (`spurcli.epoch_rules`)."""

    def __init__(self, rules: Iterable[str]) -> None:
        self._rules = sorted(set(rules) - {LAST})
        self.facts: dict[str, BestEpoch] = {}
        self.selected: dict[str, Selected] = {}

    def note(self, model: nn.Module, record: EpochRecord) -> None:
        """Look at a finished epoch; its record holds the evaluation of the validation split."""
        for rule in self._rules:
            value = RULES[rule].value(record)
            if value is not None and (rule not in self.facts or value > self.facts[rule]["value"]):
                self.facts[rule] = {"epoch": record["epoch"], "metric": RULES[rule].metric, "value": value}
                self.selected[rule] = Selected(plain_weights(model), record["epoch"])

    def tensors(self) -> dict[str, torch.Tensor]:
        """All weights, for the state of an unfinished run."""
        return {
            f"{rule}/{name}": value
            for rule, selected in self.selected.items()
            for name, value in selected.weights.items()
        }

    def restore(self, facts: Mapping[str, BestEpoch], tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back `facts` and what `tensors` gave."""
        self.facts = dict(facts)
        for rule, found in facts.items():
            weights = {n.removeprefix(f"{rule}/"): tensor for n, tensor in tensors.items() if n.startswith(f"{rule}/")}
            self.selected[rule] = Selected(weights, found["epoch"])
