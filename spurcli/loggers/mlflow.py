"""MLflow: a run of the experiment "spurcli" in FOLDER/mlflow.db, or on the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from spurcli.loggers.base import LoggedRun, package

_EXPERIMENT = "spurcli"
_LONGEST = 500  # maximum length of a parameter's value in MLflow's database


class MLflow:
    def __init__(self, run: LoggedRun) -> None:
        mlflow = package("mlflow", "mlflow")
        run.folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("alembic").setLevel(
            logging.WARNING
        )  # otherwise each step of creating the database logs an INFO line
        place = run.folder.resolve()
        own = f"sqlite:///{place / 'mlflow.db'}"
        self._client = mlflow.MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", own))
        found = self._client.get_experiment_by_name(_EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(_EXPERIMENT)
        self._run = self._client.create_run(experiment, run_name=run.name).info.run_id
        for name, value in _flat(run.settings):
            self._client.log_param(self._run, name, str(value)[:_LONGEST])

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, timestamp=int(time.time() * 1000), step=epoch)

    def close(self) -> None:
        self._client.set_terminated(self._run)


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
