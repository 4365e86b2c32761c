"""train --log: each epoch's numbers reach the logger, and the weights are those of a run without it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from spurcli.artifacts.checkpoint_torch import load_tensors
from spurcli.loggers.base import LoggedRun, flat, open_loggers

OWN = """
import json
from pathlib import Path

class Lines:
    def __init__(self, run):
        run.folder.mkdir(parents=True, exist_ok=True)
        self.file = (run.folder / "lines").open("a")
        print(json.dumps({"name": run.name, "first": run.first_epoch, "seed": run.settings["seed"]}), file=self.file)

    def log(self, values, epoch):
        print(json.dumps({"epoch": epoch, **values}), file=self.file, flush=True)

    def close(self):
        self.file.close()
"""
RECORD = {
    **{
        "epoch": 2,
        "loss": 0.5,
        "accuracy": 0.75,
        "learning_rate": 0.1,
        "num_steps": 8,
        "samples_seen": 64,
        "seconds": 1.5,
    },
    "evaluations": {"val": {"accuracy": 0.7, "nothing": None, "per_group": {"cat/west": 0.25, "dog/west": None}}},
}
FLAT = {
    **{"train/loss": 0.5, "train/accuracy": 0.75, "train/learning_rate": 0.1, "train/num_steps": 8.0},
    **{"train/samples_seen": 64.0, "val/accuracy": 0.7, "val/per_group/cat/west": 0.25},
}  # fmt: skip


def test_a_logger_of_ones_own_is_given_every_epoch(in_tiny_run, spurcli):
    Path("own.py").write_text(OWN)
    words = ("train", "--set", "training.epochs=2", "--evaluate-each", "val", "--seed", "3")
    assert spurcli(*words, "-o", "plain.safetensors").code == 0
    done = spurcli(*words, "-o", "logged.safetensors", "--log", "own.py:Lines")
    assert done.code == 0, done.err
    first, *lines = [json.loads(line) for line in Path("logged.logs/lines").read_text().splitlines()]
    assert first == {"name": "logged", "first": 1, "seed": 3}
    history = json.loads(Path("logged.history.json").read_text())["epochs"]
    assert lines == [{"epoch": record["epoch"], **flat(record)} for record in history]
    assert len(lines) == 2
    assert {"train/loss", "val/accuracy"} <= set(lines[0])
    plain, logged = (load_tensors(Path(f"{name}.safetensors")) for name in ("plain", "logged"))
    assert all(bool((plain[name] == logged[name]).all()) for name in plain)
    # logging does not make another run of it
    assert "already complete" in spurcli(*words, "-o", "plain.safetensors", "--log", "own.py:Lines").err


def test_only_numbers_are_logged():
    assert flat(RECORD) == FLAT


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--log", "tensorbord"], 2, "did you mean tensorboard"),
        (["--log", "tensorboard", "-o", "-"], 2, "Loggers write a folder"),
        (["--log", "wandb"], 4, "pip install 'spurcli[wandb]'"),
        (["--log", "mlflow"], 4, "pip install 'spurcli[mlflow]'"),
        (["--log", "tensorboard"], 4, "pip install 'spurcli[tensorboard]'"),
        (["--log", "nowhere.py:Lines"], 2, "No such file: nowhere.py"),
    ],
)
def test_what_cannot_be_logged_is_said_in_a_line(words, code, said, in_tiny_run, spurcli, monkeypatch):
    for name in ("wandb", "mlflow", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(
        "spurcli.runtime.context.load_dataset", lambda *_, **__: pytest.fail("the data were read first")
    )
    done = spurcli(
        "train", "--set", "training.epochs=1", *(["-o", "new.safetensors"] if "-o" not in words else []), *words
    )
    assert done.code == code, done.err
    assert said in done.err


def test_a_method_without_epochs_has_nothing_to_log(in_tiny_run, spurcli):
    assert spurcli("infer", "model.safetensors", "--by", "predictions").code == 0
    words = ("--method", "dfr", "--checkpoint", "model.safetensors", "--group-labels", "groups.txt", "--log", "wandb")
    done = spurcli("train", "-o", "dfr.safetensors", *words)
    assert done.code == 2
    assert "--log has no effect with dfr" in done.err


def log(name, tmp_path, first_epoch=1, epochs=(1, 2)):
    run = LoggedRun(tmp_path / "logs", "model", {"seed": 1, "training": {"epochs": 2}}, first_epoch)
    with open_loggers([name], run) as take:
        for epoch in epochs:
            take({**RECORD, "epoch": epoch})


@pytest.mark.filterwarnings("default")
def test_tensorboard_has_the_numbers_and_replaces_what_is_done_again(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log("tensorboard", tmp_path)
    log("tensorboard", tmp_path, first_epoch=2, epochs=(2, 3))
    found = accumulator.EventAccumulator(str(tmp_path / "logs" / "tensorboard")).Reload()
    assert set(found.Tags()["scalars"]) == set(FLAT)
    for name, value in FLAT.items():
        assert [(each.step, each.value) for each in found.Scalars(name)] == [
            (epoch, pytest.approx(value)) for epoch in (1, 2, 3)
        ]


@pytest.mark.filterwarnings("default")
def test_mlflow_has_the_numbers(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    log("mlflow", tmp_path)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'logs' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("spurcli").experiment_id])
    assert run.data.metrics == FLAT
    assert run.data.params == {"seed": "1", "training.epochs": "2"}
    assert run.info.status == "FINISHED"
    assert [each.step for each in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


@pytest.mark.filterwarnings("default")
def test_weights_and_biases_writes_an_offline_run(tmp_path, monkeypatch, capfd):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.chdir(tmp_path)
    log("wandb", tmp_path)
    (file,) = tmp_path.glob("logs/wandb/offline-run-*/run-*.wandb")
    end = time.monotonic() + 60  # a process of its own writes the file
    while missing := [name for name in FLAT if name.encode() not in file.read_bytes()]:
        assert time.monotonic() < end, missing
        time.sleep(0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert capfd.readouterr() == ("", "")
