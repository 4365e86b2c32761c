"""OUTPUT.state/: the state from which an interrupted run resumes. Weights, optimizer, method, step, all in one safetensors file."""

from __future__ import annotations

import contextlib
import platform
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from spurcli.artifacts.checkpoint_torch import load_tensors, save_tensors
from spurcli.artifacts.envelope import canonical_json, parse_json
from spurcli.artifacts.records import EpochRecord
from spurcli.artifacts.tensor_header import read_safetensors_header
from spurcli.artifacts.unfinished import folder_of, unfinished
from spurcli.errors import InputError, SpurWarning
from spurcli.identity import same_state
from spurcli.runtime.distributed import World

_KEY, _FILE = "spurcli_state", "state.safetensors"
_START_OVER = "Start over with --force."


def state_path(output: Path) -> Path:
    """Where the state of the training that writes `output` is kept."""
    return folder_of(output) / _FILE


@contextlib.contextmanager
def state_folder(output: Path, world: World) -> Iterator[Path]:
    """`unfinished`, held by the first of several processes."""
    with contextlib.ExitStack() as held:
        world.first(lambda: str(held.enter_context(unfinished(output))))
        yield folder_of(output)


@dataclass
class Position:
    """Where a run is: `step` batches of `epoch` are done (both from 0), and what was noted so far."""

    epoch: int = 0
    step: int = 0
    global_step: int = 0
    loss_sum: float = 0.0
    num_correct: int = 0
    num_seen: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    records: list[EpochRecord] = field(default_factory=list)

    def next_epoch(self) -> None:
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum, self.num_correct, self.num_seen, self.seconds = 0.0, 0, 0, 0.0


@dataclass(frozen=True)
class Saved:
    """A state: how far the run is, tensors "part/name", and the facts of parts that have some (`stateful`)."""

    position: Position
    tensors: Mapping[str, torch.Tensor]
    facts: Mapping[str, object]


@dataclass(frozen=True)
class _Header:
    identity: Any
    environment: Mapping[str, object]
    position: Position
    facts: Mapping[str, object]


@dataclass(frozen=True)
class StateFile:
    """The state of one run; `identity` is what must be equal to resume, `device` and `world_size` where it runs.

    What another run left is refused, or removed if `replace_other`.
    """

    folder: Path
    identity: Mapping[str, object]
    device: str = "cpu"
    replace_other: bool = False
    world_size: int = 1

    @property
    def path(self) -> Path:
        return self.folder / _FILE

    def save(self, saved: Saved) -> None:
        content = {
            "identity": dict(self.identity),
            "environment": self._environment(),
            "position": vars(saved.position),
            "extra": dict(saved.facts),
        }
        save_tensors(self.path, saved.tensors, {_KEY: canonical_json(content)})

    def load(self) -> Saved | None:
        """What was saved, or None if there is nothing; another run's state is an error."""
        if not self.path.exists():
            return None
        try:
            found = self._read_header()
            if differs := same_state(found.identity, self.identity):
                raise InputError(
                    f"{self.folder} holds the unfinished work of another run ({differs[0]})",
                    "Finish that run with its own command, or start over with --force.",
                )
            tensors = load_tensors(self.path)
        except InputError:
            if not self.replace_other:
                raise
            self.remove()
            return None
        then = {"world size": 1, **found.environment}
        changed = [
            f"{key} was {then.get(key)}, is {now}" for key, now in self._environment().items() if then.get(key) != now
        ]
        if changed:
            message = f"Resuming, but the result will not be bit-identical: {', '.join(changed)}"
            warnings.warn(message, SpurWarning, stacklevel=2)
        return Saved(found.position, tensors, found.facts)

    def num_epochs_done(self) -> int:
        """How many epochs of this run the saved state has completed; 0 if nothing is saved, or another run's state."""
        if not self.path.exists():
            return 0
        try:
            found = self._read_header()
        except InputError:
            return 0  # `load` says what is wrong
        return 0 if same_state(found.identity, self.identity) else found.position.epoch

    def _read_header(self) -> _Header:
        header = read_safetensors_header(self.path, "a training state", _START_OVER)
        text = (header.get("__metadata__") or {}).get(_KEY)
        content = parse_json(text or "{}", f"{self.path}: metadata")
        try:
            position, facts = Position(**content["position"]), dict(content["extra"])
            return _Header(content["identity"], dict(content["environment"]), position, facts)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path} is not a usable training state", _START_OVER) from error

    def _environment(self) -> dict[str, object]:
        return {**environment(self.device), "world size": self.world_size}

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def environment(device: str) -> dict[str, object]:
    """What must be equal for a bit-identical result."""
    return {
        "torch": torch.__version__,
        "device": device,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
    }
