"""The files that a training writes: their names, locations and metadata."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from spurcli.artifacts.catalogue import CHECKPOINT, DYNAMICS, HISTORY
from spurcli.artifacts.checkpoint_torch import save_checkpoint
from spurcli.artifacts.history import history_path, read_history, sidecar
from spurcli.artifacts.records import CheckpointMetadata, TrainingFacts
from spurcli.errors import SpurError
from spurcli.finished import Output
from spurcli.runtime.distributed import World
from spurcli.training.best import Selected
from spurcli.training.inputs import TrainingInputs
from spurcli.training.options import TrainOptions
from spurcli.training.state import StateFile


def dynamics_path(output: Path) -> Path:
    return sidecar(output, "model", DYNAMICS.names[0])


def log_folder(output: Path) -> Path:
    """Where loggers write: `logs` beside model.safetensors, `big.logs` beside big.safetensors."""
    return sidecar(output, "model", "logs")


@dataclass(frozen=True)
class RunFiles:
    """Writes the checkpoints of a run (in the first process), each saying how its epoch was chosen and by which labels."""

    output: Path
    metadata: CheckpointMetadata
    facts: TrainingFacts
    inputs: TrainingInputs
    world: World

    def facts_of(self, selected: Selected, selection: str) -> TrainingFacts:
        labels = self.inputs.labels_used(selection)
        return {**self.facts, "epoch": selected.epoch, "selection": selection, "labels_used": labels}

    def path(self, name: str) -> Path:
        """OUTPUT, or beside it under `name`."""
        return self.output.with_name(f"{self.output.stem}.{name}{self.output.suffix}") if name else self.output

    def save(self, selected: Selected, selection: str, name: str = "") -> TrainingFacts:
        """Write `selected` to the path of that name; returns its facts."""
        facts = self.facts_of(selected, selection)
        if self.world.is_first:
            save_checkpoint(self.path(name), selected.weights, {**self.metadata, "training": facts})
        return facts


def outputs_of(files: RunFiles, options: TrainOptions, *, write_sidecar: bool) -> list[Output]:
    """Every file that the run writes, the model first."""
    epochs, names = options.epochs, list(options.rules)
    if write_sidecar and options.same_steps:  # how many epochs that many updates are is known when they are done
        with contextlib.suppress(SpurError):
            done = len(read_history(history_path(files.output))["epochs"])
            epochs = [epoch for epoch in epochs if epoch <= done]
    names += [f"epoch{epoch}" for epoch in epochs]
    models = [Output(files.path(name), CHECKPOINT, companion=True) for name in names]
    history = [Output(history_path(files.output), HISTORY, companion=True)] if write_sidecar else []
    if options.dynamics:
        history.append(Output(dynamics_path(files.output), DYNAMICS, companion=True))
    return [Output(files.output, CHECKPOINT), *history, *models]


def require_earlier_checkpoints(files: RunFiles, options: TrainOptions, state: StateFile) -> None:
    """Raise SpurError if a checkpoint that the run wrote before an interruption is missing, because it cannot be written again."""
    done = state.num_epochs_done()
    gone = [path for epoch in options.epochs if epoch <= done and not (path := files.path(f"epoch{epoch}")).exists()]
    if gone and state.replace_other:
        state.remove()
    elif gone:
        raise SpurError(f"{gone[0]} is missing, but the saved training state needs it", "Start over with --force.")
