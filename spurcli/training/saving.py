"""When a run saves its state and how it resumes; on several devices all do both at the same step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from spurcli.errors import Interrupted
from spurcli.progress import Progress
from spurcli.runtime.distributed import World
from spurcli.runtime.signals import StopRequest
from spurcli.training.state import Position, Saved, StateFile
from spurcli.training.stateful import Stateful, collect, put_back

_SECONDS_APART, _MOST_STEPS = 0.5, 64


@dataclass
class Saver:
    """Saves every `seconds`, so that a kill costs that much work at most, and when a signal asks to stop.

    The first process reads and writes the state and gives it to the others: their hosts need no shared disk.
    """

    model: nn.Module
    parts: Sequence[Stateful]
    state_file: StateFile | None
    seconds: float
    world: World
    progress: Progress
    request: StopRequest = field(default_factory=StopRequest)

    def __post_init__(self) -> None:
        self._next_save = time.monotonic() + self.seconds
        self._asked, self._steps, self._wait = time.monotonic(), 0, 0
        self._agreed_signal = 0

    def is_due(self, *, at_end: bool = False) -> bool:
        """Whether to save now; asked once before every step, and `at_end` of an epoch.

        All processes must agree, so they communicate: the first one's clock counts, and a signal that any of
        them got. About twice a second is enough, which in steps only the first can say.
        """
        if self.world.is_alone:
            return bool(self.request.signal_number) or time.monotonic() >= self._next_save
        self._steps += not at_end
        if self._steps <= self._wait and not at_end:
            return False
        now = time.monotonic()
        step_seconds = (now - self._asked) / max(self._steps, 1)
        wait = min(int(_SECONDS_APART / max(step_seconds, 1e-6)), _MOST_STEPS)
        facts = (int(now >= self._next_save), wait) if self.world.is_first else (0, 0)
        # kept beside the request, which a signal may set while this waits for the others
        self._agreed_signal, due, self._wait = self.world.agree(self.request.signal_number, *facts)
        self._asked, self._steps = now, 0
        return bool(due or self._agreed_signal)

    def save(self, position: Position) -> None:
        """Write the state; after a signal raise Interrupted."""
        if self.state_file:
            saved = collect(self.parts, position, self.world)
            if self.world.is_first:
                self.state_file.save(saved)
        self._next_save = time.monotonic() + self.seconds
        if number := self.request.signal_number if self.world.is_alone else self._agreed_signal:
            self.world.barrier()  # the first process that exits makes torchrun end the others
            where = f"epoch {position.epoch + 1}, step {position.step}"
            raise Interrupted(f"Stopped at {where}; the state is saved", "Run the same command to resume.", number)

    def restore(self) -> Position:
        """Where to go on; the model, optimizer, method and best weights are as they were then. All processes start equal."""
        saved = self.state_file.load() if self.state_file and self.world.is_first else None
        if not self.world.is_alone:
            saved = _given_to_all(self.world, saved)
        if saved is None:
            self.world.broadcast(self.model.state_dict().values())
            return Position()
        put_back(self.parts, saved)
        position = saved.position
        self.progress.say(f"Resuming after epoch {position.epoch}, step {position.step}")
        return position


def _given_to_all(world: World, saved: Saved | None) -> Saved | None:
    """What the first process has read."""

    def facts() -> list[Any] | None:
        if saved is None:
            return None
        kinds = {name: (list(tensor.shape), str(tensor.dtype)) for name, tensor in saved.tensors.items()}
        return [kinds, vars(saved.position), saved.facts]

    found = world.first(facts)
    if found is None:
        return None
    kinds, position, content = found
    tensors = {
        name: torch.empty(shape, dtype=getattr(torch, kind.removeprefix("torch.")))
        for name, (shape, kind) in kinds.items()
    }
    if saved is not None:
        tensors = {name: saved.tensors[name] for name in kinds}
    world.broadcast(tensors.values())
    return Saved(Position(**position), tensors, content)
