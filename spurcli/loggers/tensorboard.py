"""TensorBoard: event files in FOLDER/tensorboard, shown by `tensorboard --logdir FOLDER`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from spurcli.loggers.base import LoggedRun, package


class TensorBoard:
    def __init__(self, run: LoggedRun) -> None:
        package("tensorboard", "tensorboard")
        folder = str(run.folder / "tensorboard")
        self._writer = package("torch.utils.tensorboard", "tensorboard").SummaryWriter(
            folder, purge_step=run.first_epoch
        )
        self._writer.add_text("settings", f"```\n{json.dumps(dict(run.settings), indent=1)}\n```")

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
