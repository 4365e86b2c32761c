"""OUTPUT.state/: where an interrupted run goes on. Weights, optimizer, method, step, all in one safetensors file."""

from __future__ import annotations

import platform
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spurcli.artifacts.checkpoint import read_safetensors_header
from spurcli.artifacts.checkpoint_torch import load_tensors, plain_weights, save_tensors
from spurcli.artifacts.envelope import canonical_json, parse_json, sha256_of_json
from spurcli.errors import InputError, SpurWarning

_KEY = "spurcli_state"


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
    records: list[dict[str, Any]] | None = None
    best: dict[str, Any] | None = None


@dataclass(frozen=True)
class StateFile:
    """The state of one run; `identity` is what must be equal for it to go on."""

    folder: Path
    identity: Mapping[str, Any]

    @property
    def path(self) -> Path:
        return self.folder / "state.safetensors"

    def save(self, tensors: Mapping[str, torch.Tensor], position: Position, extra: Mapping[str, Any]) -> None:
        content = {
            "identity": sha256_of_json(self.identity),
            "environment": environment(),
            "position": vars(position),
            "extra": dict(extra),
        }
        save_tensors(self.path, tensors, {_KEY: canonical_json(content)})

    def load(self) -> tuple[dict[str, torch.Tensor], Position, dict[str, Any]] | None:
        """What was saved, or None if there is nothing; another run's state is an error."""
        if not self.path.exists():
            return None
        text = (read_safetensors_header(self.path, "a training state").get("__metadata__") or {}).get(_KEY)
        content = parse_json(text or "{}", f"{self.path}: metadata")
        try:
            position, extra = Position(**content["position"]), dict(content["extra"])
            same, saved_environment = content["identity"] == sha256_of_json(self.identity), content["environment"]
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{self.path} is no usable training state", f"Remove {self.folder} to start over."
            ) from error
        if not same:
            raise InputError(
                f"{self.folder} holds the unfinished work of another run (other settings, data, seed or list)",
                "Finish that run with its own command, or start over with --force.",
            )
        differs = {key: value for key, value in environment().items() if saved_environment.get(key) != value}
        if differs:
            changes = ", ".join(f"{key} was {saved_environment.get(key)}, is {now}" for key, now in differs.items())
            warnings.warn(f"Going on, but not to the same bits: {changes}", SpurWarning, stacklevel=2)
        return load_tensors(self.path), position, extra

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def environment() -> dict[str, Any]:
    """What must be equal for the same bits."""
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.machine()}


def pack(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and optimizer state as flat tensors, and what of the optimizer is not a tensor."""
    tensors = {f"model/{name}": tensor for name, tensor in plain_weights(model).items()}
    numbers: dict[str, Any] = {}
    for parameter, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer/{parameter}/{name}"] = value.detach().cpu().contiguous().clone()
            else:
                numbers[f"{parameter}/{name}"] = value
    return tensors, numbers


def unpack(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, torch.Tensor],
    numbers: Mapping[str, Any],
) -> None:
    """Put back what `pack` took."""
    weights = {name[len("model/") :]: value for name, value in tensors.items() if name.startswith("model/")}
    model.load_state_dict(weights)
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, parameter, key = name.split("/", 2)
            state.setdefault(int(parameter), {})[key] = value
    for name, value in numbers.items():
        parameter, key = name.split("/", 1)
        state.setdefault(int(parameter), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
