"""Outputs of a model trained elsewhere, in the order of the data set's classes: matched by name where both sides have names.

Without names, predictions show a wrong order: `spurcli.artifacts.class_check`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.models.head import head_names
from spurcli.names import matched

OPTION = "class_order"
FLAG = f"model.options.{OPTION}"
SORTED = "sorted"
_SHOWN = 6


@dataclass(frozen=True)
class Classes:
    """The classes of a data set, and what is known of how a file of weights orders them.

    `told` is the option `class_order`: names in the order of the file's outputs, or "sorted". `may_differ` is whether other
    programs are known to order these names otherwise.
    """

    names: tuple[str, ...]
    told: Any = ""
    may_differ: bool = False

    def of_file(self, found: Sequence[str] | None) -> tuple[str, ...] | None:
        """The names in the order of the file's outputs: as told, else as `found` in it; None if nothing says."""
        if not self.told:
            only_counts = found and list(found) == list(map(str, range(len(found)))) and set(found) != set(self.names)
            return tuple(found) if found and not only_counts else None
        if self.told == SORTED:
            return tuple(sorted(self.names))
        named = self.told.split(",") if isinstance(self.told, str) else self.told
        if not isinstance(named, list | tuple):
            raise UsageError(f"{FLAG} is not a list of names", f"Write --set {FLAG}={SORTED}, or the names: a,b,c")
        names = tuple(str(name) for name in named)
        if matched(names, self.names) is None:
            raise UsageError(
                f"{FLAG} names {_listed(names)}; the classes are {_listed(self.names)}",
                f"Name each class once, in the order of the file's outputs, or write --set {FLAG}={SORTED}",
            )
        return names


def order_of_outputs(found: Sequence[str] | None, classes: Classes, where: str) -> tuple[list[int], str]:
    """Which output of the file each class is, and a line that says so.

    Without names the outputs are taken in the data set's order; a warning names the flag if another order is likely. Raises
    InputError where the file's classes are others: its outputs cannot be evaluated on these.
    """
    theirs, ours = classes.of_file(found), classes.names
    same = list(range(len(ours)))
    if theirs is None:
        if classes.may_differ:
            message = (
                f"{where} does not name its classes. Its outputs are taken in the order {_listed(ours)}; if it was trained "
                f"in plain sorted order ({_listed(sorted(ours))}), as torchvision's ImageFolder does: --set {FLAG}={SORTED}"
            )
            warnings.warn(message, SpurWarning, stacklevel=2)
        return same, f"class order: {_listed(ours)} (the file has no names)"
    order = matched(theirs, ours)
    if order is None:
        raise InputError(
            f"{where} was trained on the classes {_listed(theirs)}; the data set has {_listed(ours)}",
            f"If they are the same, list them in the file's order: --set {FLAG}={','.join(ours)}",
        )
    if order == same:
        return same, f"classes matched by name: {_listed(ours)}"
    return order, f"outputs put in the data set's order by name: {_listed(ours)} (in the file {_listed(theirs)})"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:_SHOWN])
    return f"{shown}, … ({len(names)})" if len(names) > _SHOWN else shown


def reorder_outputs(
    model: nn.Module, order: Sequence[int], forward: Callable[[nn.Module], torch.Tensor], where: str, *, lasting: bool
) -> None:
    """Make output j of `model` what output order[j] was, by reordering the rows of its last layer.

    `forward` runs the model in eval mode on some inputs, which proves that the outputs moved as they should. If they did
    not, the outputs themselves are reordered, unless the change must be in the weights (`lasting`): then InputError.
    """
    before = forward(model)
    heads = [model.get_submodule(name) for name in head_names(model)]
    parts = [part for head in heads for part in head.parameters(recurse=False)]
    rows = torch.tensor(order, device=before.device)
    if parts and all(len(part) == len(order) for part in parts):
        kept = [part.detach().clone() for part in parts]
        with torch.no_grad():
            for part, old in zip(parts, kept, strict=True):
                part.copy_(old[rows.to(old.device)])
        if torch.allclose(forward(model), before[:, rows], rtol=1e-4, atol=1e-5):
            return
        with torch.no_grad():
            for part, old in zip(parts, kept, strict=True):
                part.copy_(old)
    if lasting:
        raise InputError(
            f"{where} has its classes in another order, and the model's last layer is not known",
            "Reorder the rows of its last layer, and save it again.",
        )
    model.register_forward_hook(lambda _module, _inputs, output: output[:, rows.to(output.device)])
