"""Which epoch's weights a run returns: named rules, all answered by one training run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import torch
from torch import nn

from spurcli.artifacts.checkpoint_torch import plain_weights
from spurcli.artifacts.records import EpochRecord
from spurcli.epoch_rules import LAST, RULES, Standing, can_win, chosen


@dataclass(frozen=True)
class Selected:
    """The weights that one rule chose, and the number of epochs after which they were saved."""

    weights: dict[str, torch.Tensor]
    epoch: int


class BestEpoch(TypedDict, total=False):
    """The best epoch so far by one rule, with the value of its metric, and all epochs that may still be chosen."""

    epoch: int
    metric: str
    value: float
    contenders: list[dict[str, Any]]


@dataclass(frozen=True)
class _Contender:
    selected: Selected
    standing: Standing


class BestEpochs:
    """The weights of the best epoch so far, by each of some rules (`spurcli.epoch_rules`).

    A rule that compares epochs with later ones may choose an earlier epoch later: the weights of all that may still
    be chosen are kept, mostly one or two.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        self._rules = sorted(set(rules) - {LAST})
        self._contenders: dict[str, list[_Contender]] = {}
        self.facts: dict[str, BestEpoch] = {}
        self.selected: dict[str, Selected] = {}

    def note(self, model: nn.Module, record: EpochRecord) -> None:
        """Take a finished epoch into account; its record holds the evaluation of the validation split."""
        newest: Selected | None = None
        for rule in self._rules:
            standing = RULES[rule].stands(record)
            if standing is None:
                continue
            known = self._contenders.get(rule, [])
            standings = [*(each.standing for each in known), standing]
            stay = can_win(standings)
            if len(known) in stay:
                newest = newest or Selected(plain_weights(model), record["epoch"])
                known = [*known, _Contender(newest, standing)]
            self._put(rule, [known[place] for place in stay])

    def _put(self, rule: str, contenders: list[_Contender]) -> None:
        leader = chosen([each.standing for each in contenders])
        assert leader is not None
        best = contenders[leader]
        self._contenders[rule], self.selected[rule] = contenders, best.selected
        self.facts[rule] = {
            "epoch": best.selected.epoch,
            "metric": RULES[rule].metric,
            "value": best.standing.value,
            "contenders": [{"epoch": each.selected.epoch, **asdict(each.standing)} for each in contenders],
        }

    def tensors(self) -> dict[str, torch.Tensor]:
        """All weights, for the state of an unfinished run: those of an epoch once, whichever rules may choose it."""
        found = {each.selected.epoch: each.selected for kept in self._contenders.values() for each in kept}
        return {
            f"{epoch}/{name}": value for epoch, selected in found.items() for name, value in selected.weights.items()
        }

    def restore(self, facts: Mapping[str, BestEpoch], tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back `facts` and what `tensors` gave; earlier versions kept a rule's best epoch alone, under its name."""
        known: dict[int, Selected] = {}
        for rule, best in facts.items():
            told = best.get("contenders") or [{"epoch": best["epoch"], "value": best["value"]}]
            contenders = []
            for each in told:
                epoch, values = each["epoch"], {name: value for name, value in each.items() if name != "epoch"}
                if epoch not in known:
                    prefix = f"{epoch}/" if "contenders" in best else f"{rule}/"
                    own = {n.removeprefix(prefix): tensor for n, tensor in tensors.items() if n.startswith(prefix)}
                    known[epoch] = Selected(own, epoch)
                contenders.append(_Contender(known[epoch], Standing(**values)))
            self._put(rule, contenders)
