"""What a resumed run needs: one list of things that have a state, each with the rule for combining it over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import nn

from spurcli.artifacts.checkpoint_torch import plain_weights, restore
from spurcli.runtime.distributed import World
from spurcli.training.best import BestEpochs
from spurcli.training.method import Method
from spurcli.training.state import Position, Saved

Tensors = Mapping[str, torch.Tensor]
INDEX = "index"


class Join(Enum):
    """How the states of several processes become the one that is saved. All processes load what was saved.

    REPLICATED: all processes hold the same; the first saves it. BY_SAMPLE: each process holds rows about samples that it
    saw, `index` int64 [m] and tensors [m, …]; the rows of all are saved in order of the index, then by process.
    After a resume every process is given all rows: only the first may keep them.
    """

    REPLICATED = "replicated"
    BY_SAMPLE = "by sample"


@dataclass(frozen=True)
class Stateful:
    """One thing with a state: flat `tensors`, and `facts` that JSON holds (None: there are none); `load` takes both back."""

    name: str
    tensors: Callable[[], Tensors]
    load: Callable[[Tensors, Any], None]
    facts: Callable[[], Any] = lambda: None
    join: Join = Join.REPLICATED


def state_of(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    method: Method,
    best: BestEpochs,
) -> list[Stateful]:
    """Everything that a training needs to resume bit for bit, apart from its position."""
    return [
        Stateful("model", lambda: plain_weights(model), lambda tensors, _: _restore(model, tensors)),
        Stateful(
            "optimizer",
            lambda: _optimizer_tensors(optimizer),
            lambda tensors, numbers: _load_optimizer(optimizer, tensors, numbers),
            lambda: _optimizer_numbers(optimizer),
        ),
        Stateful("scaler", dict, lambda _, facts: scaler.load_state_dict(facts), scaler.state_dict),
        Stateful("method", method.state, lambda tensors, _: method.load_state(tensors)),
        Stateful("best", best.tensors, lambda tensors, facts: best.restore(facts, tensors), lambda: best.facts),
    ]


def collect(parts: Sequence[Stateful], position: Position, world: World) -> Saved:
    """The state of all parts, complete in the first process; all processes call this at the same step."""
    tensors: dict[str, torch.Tensor] = {}
    facts = {}
    for part in parts:
        if part.join is Join.BY_SAMPLE:
            found: Tensors = joined_by_sample(part.tensors(), world)
        elif world.is_first:
            found = part.tensors()
        else:
            continue
        tensors |= {f"{part.name}/{name}": value.detach().cpu() for name, value in found.items()}
        if (content := part.facts()) is not None:
            facts[part.name] = content
    return Saved(position, tensors, facts)


def put_back(parts: Sequence[Stateful], saved: Saved) -> None:
    """Give each part what `collect` took."""
    for part in parts:
        prefix = f"{part.name}/"
        own = {name.removeprefix(prefix): value for name, value in saved.tensors.items() if name.startswith(prefix)}
        part.load(own, saved.facts.get(part.name))


def joined_by_sample(rows: Tensors, world: World) -> dict[str, torch.Tensor]:
    """The rows of all processes in order of `rows["index"]`, in the first process; the others get arrays of that shape.

    Each process has as many names, with the same kinds and the same shapes except for the number of rows.
    """
    size = len(rows[INDEX])
    sizes = torch.zeros(world.size, dtype=torch.int64)
    sizes[world.rank] = size
    sizes = world.total(sizes)
    begin = int(sizes[: world.rank].sum())
    joined = {}
    for name in sorted(rows):
        own = rows[name].detach().cpu()
        all_rows = torch.zeros((int(sizes.sum()), *own.shape[1:]), dtype=own.dtype)
        all_rows[begin : begin + size] = own
        joined[name] = world.collected(all_rows)  # every row is zero but in one process
    order = torch.argsort(joined[INDEX], stable=True)
    return {name: value[order] for name, value in joined.items()}


def _restore(model: nn.Module, tensors: Tensors) -> None:
    restore(model, dict(tensors), "The saved state")


def _optimizer_state(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Any]]:
    """Its state as "parameter/name" and value."""
    for parameter, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            yield f"{parameter}/{name}", value


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = _optimizer_state(optimizer)
    return {name: each.detach().cpu().contiguous().clone() for name, each in state if isinstance(each, torch.Tensor)}


def _optimizer_numbers(optimizer: torch.optim.Optimizer) -> dict[str, object]:
    return {name: each for name, each in _optimizer_state(optimizer) if not isinstance(each, torch.Tensor)}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors, numbers: Mapping[str, object]) -> None:
    state: dict[int, dict[str, object]] = {}
    for name, value in {**tensors, **numbers}.items():
        parameter, key = name.split("/", 1)
        state.setdefault(int(parameter), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    # Fused optimizers read memory as it lies, whatever the strides: a momentum in another layout than its weight is scrambled.
    for weight, own in optimizer.state.items():
        for what, loaded in own.items():
            if isinstance(loaded, torch.Tensor) and loaded.shape == weight.shape:
                own[what] = torch.empty_like(weight, dtype=loaded.dtype, device=loaded.device).copy_(loaded)
