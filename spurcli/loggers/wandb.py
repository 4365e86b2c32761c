"""Weights & Biases: a run in FOLDER/wandb, offline unless WANDB_MODE says otherwise; `wandb sync` uploads it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from spurcli.loggers.base import LoggedRun, package


class WandB:
    def __init__(self, run: LoggedRun) -> None:
        wandb = package("wandb", "wandb")
        run.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "spurcli"),
            name=run.name,
            dir=str(run.folder),
            config=dict(run.settings),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(values), step=epoch)

    def close(self) -> None:
        self._run.finish()
