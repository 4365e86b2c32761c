"""`spurcli train`: what is on disk afterwards, and what is refused before any work."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.history import read_history
from spurcli.stages import train as stage


@pytest.fixture
def train(spurcli, tiny_flags):
    """spurcli train on the tiny demo set."""

    def call(*words, keep="all"):
        return spurcli("train", "--dataset", "demo", "--keep", keep, *tiny_flags, *words)

    return call


@pytest.fixture
def no_work(monkeypatch):
    """Fails the test if a training starts."""
    monkeypatch.setattr(stage, "fit", lambda *_, **__: pytest.fail("a training was started"))


def write_list(path: str, indices, kind: str = "keep") -> str:
    Path(path).write_text("\n".join(map(str, indices)) + "\n")
    return path


def same_weights(first: str, second: str) -> bool:
    one, two = load_file(first), load_file(second)
    return set(one) == set(two) and all(torch.equal(value, two[key]) for key, value in one.items())


def test_model_and_history_say_the_same(train):
    result = train("--json")
    assert result.code == 0, result.err
    assert sorted(path.name for path in Path().iterdir()) == ["history.json", "model.safetensors"]
    history, metadata = read_history(Path("history.json")), read_checkpoint_metadata(Path("model.safetensors"))
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2, 3]
    assert [epoch["num_steps"] for epoch in history["epochs"]] == [5, 10, 15]
    assert all(epoch["samples_seen"] == 300 for epoch in history["epochs"])
    assert history["weights_sha256"] == metadata["weights_sha256"]
    assert history["device"] == "cpu"
    assert metadata["training"]["epoch"] == 3
    assert metadata["training"]["num_kept"] == metadata["training"]["num_train"] == 300
    assert metadata["class_names"] == [str(digit) for digit in range(10)]
    assert metadata["architecture"]["name"] == "mlp"
    assert result.json["last"] == history["epochs"][-1]


def test_the_same_run_is_not_repeated_and_another_is_not_replaced(train, monkeypatch):
    assert train().code == 0
    before = Path("model.safetensors").read_bytes()
    monkeypatch.setattr(stage, "fit", lambda *_, **__: pytest.fail("a training was started"))
    again = train()
    assert (again.code, "already complete" in again.err) == (0, True)
    other = train("--seed", "1")
    assert other.code == 1
    assert "finished output of another run" in other.err
    assert "--force" in other.err
    assert Path("model.safetensors").read_bytes() == before


@pytest.mark.parametrize("gone", ["history.json", "model.epoch2.safetensors", "model.last.safetensors"])
def test_a_run_with_a_missing_file_is_not_complete(train, gone):
    words = ["--save-epochs", "2,last"]
    assert train(*words).code == 0
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    for damage in (lambda: Path(gone).unlink(), lambda: Path(gone).write_bytes(before[gone][:-60])):
        damage()
        again = train(*words)
        assert again.code == 0
        assert f"model.safetensors is complete, but {gone}" in again.err
        assert {path.name for path in Path().iterdir()} == set(before)
        for name in ("model.safetensors", "model.epoch2.safetensors", "model.last.safetensors"):
            assert same_weights_bytes(before[name], Path(name))
            Path("earlier.safetensors").unlink()
        assert len(json.loads(Path("history.json").read_text())["epochs"]) == 3
        assert "already complete" in train(*words).err


def test_what_is_missing_comes_from_the_state_where_that_is_left(train, monkeypatch):
    """A kill after the last file and before the end of the state."""
    with monkeypatch.context() as during:
        during.setattr("spurcli.training.state.shutil.rmtree", lambda *_, **__: None)
        assert train().code == 0
    history = Path("history.json").read_bytes()
    Path("history.json").unlink()
    again = train()
    assert (again.code, "Resuming after epoch 3" in again.err) == (0, True)
    assert Path("history.json").read_bytes() == history
    assert not Path("model.safetensors.state").exists()


def test_a_damaged_model_is_not_called_finished(train):
    assert train().code == 0
    content = Path("model.safetensors").read_bytes()
    Path("model.safetensors").write_bytes(content[:-4] + bytes(4))
    again = train()
    assert again.code == 1
    assert "model.safetensors cannot be used" in again.err
    assert "damaged" in again.err


def test_an_early_checkpoint_that_is_gone_is_missed_before_the_training_goes_on(train):
    interrupt_after(13, train, "--save-epochs", "1")
    Path("model.epoch1.safetensors").unlink()
    again = train("--save-epochs", "1")
    assert (again.code, "model.epoch1.safetensors is missing" in again.err) == (1, True)
    assert train("--save-epochs", "1", "--force").code == 0
    assert Path("model.epoch1.safetensors").is_file()


def test_data_that_has_changed_makes_another_run(spurcli, tiny_flags):
    Path("own.csv").write_text("text,label\n" + "".join(f"word{n},{n % 2}\n" for n in range(40)))
    words = ["train", "--dataset", "own.csv", "--recipe", "own-text-cpu", "--keep", "all", *tiny_flags[-4:-2]]
    words += ["--set", "training.epochs=1"]
    assert spurcli(*words).code == 0
    assert "already complete" in spurcli(*words).err
    with Path("own.csv").open("a") as file:
        file.write("another,1\n")
    changed = spurcli(*words)
    assert (changed.code, "the data set has changed" in changed.err) == (1, True)


def test_force_replaces_and_a_repeated_run_gives_the_same_bytes(train):
    assert train("--seed", "1").code == 0
    one = Path("model.safetensors").read_bytes()
    assert train("--seed", "2", "--force").code == 0
    assert Path("model.safetensors").read_bytes() != one
    assert train("--seed", "1", "--force").code == 0
    assert same_weights_bytes(one, Path("model.safetensors"))


def same_weights_bytes(content: bytes, path: Path) -> bool:
    Path("earlier.safetensors").write_bytes(content)
    return same_weights("earlier.safetensors", str(path))


def test_a_half_finished_other_run_is_refused_until_forced(train):
    assert train().code == 0
    shutil.move("model.safetensors", "whole.safetensors")
    interrupt_after(8, train)
    assert Path("model.safetensors.state/state.safetensors").is_file()
    refused = train("--seed", "1")
    assert refused.code == 3
    assert "unfinished work of another run" in refused.err
    assert "--force" in refused.err
    gone_on = train()
    assert "Resuming after epoch 1, step 3" in gone_on.err
    assert same_weights("model.safetensors", "whole.safetensors")
    assert not Path("model.safetensors.state").exists()


def test_forced_runs_go_on_too(train):
    assert train("--seed", "1").code == 0
    interrupt_after(8, train, "--force")
    assert "Resuming after epoch 1, step 3" in train("--force").err
    interrupt_after(3, train, "--force")
    assert "Resuming" not in train("--seed", "1", "--force").err


def interrupt_after(num_steps: int, train, *words) -> None:
    """A run that gets SIGINT in the middle."""
    import os
    import signal

    from spurcli.training import loop

    plain, count = loop.learning_rate, iter(range(10**6))

    def counting(*arguments):
        if next(count) == num_steps - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(*arguments)

    loop.learning_rate = counting
    try:
        result = train(*words)
    finally:
        loop.learning_rate = plain
    assert result.code == 130, result.err


def test_keep_and_remove_are_complements(train, spurcli, tiny_flags):
    keep = write_list("mine.txt", range(0, 300, 3))
    rest = write_list("rest.txt", sorted(set(range(300)) - set(range(0, 300, 3))))
    kept = train("--json", "-o", "a.safetensors", keep=keep)
    assert kept.json["num_kept"] == 100
    words = ["train", "--dataset", "demo", "--remove", rest, *tiny_flags, "-o", "b.safetensors"]
    assert spurcli(*words).code == 0
    assert same_weights("a.safetensors", "b.safetensors")


def test_steps_keeps_the_number_of_updates(train):
    keep = write_list("mine.txt", range(100))
    by_epochs = train("--json", "-o", "a.safetensors", keep=keep).json
    by_steps = train("--json", "--same-steps", "-o", "b.safetensors", keep=keep).json
    assert (by_epochs["budget"], by_epochs["last"]["num_steps"], by_epochs["last"]["epoch"]) == ("epochs", 6, 3)
    assert (by_steps["budget"], by_steps["last"]["num_steps"], by_steps["last"]["epoch"]) == ("steps", 15, 8)


def test_checkpoints_of_epochs_are_those_of_shorter_runs_on_the_same_schedule(train):
    assert train("--save-epochs", "1,3").code == 0
    assert read_checkpoint_metadata(Path("model.epoch1.safetensors"))["training"]["epoch"] == 1
    assert same_weights("model.epoch3.safetensors", "model.safetensors")
    assert not same_weights("model.epoch1.safetensors", "model.safetensors")
    beyond = train("--save-epochs", "4", "-o", "x.safetensors")
    assert (beyond.code, "4 is outside 1 to 3" in beyond.err) == (2, True)


@pytest.mark.parametrize("split", ["test", "test_official"])
def test_training_does_not_look_at_test(train, no_work, split):
    result = train("--evaluate-each", split)
    assert result.code == 2
    assert f"Training never reads {split}" in result.err


def test_evaluate_each_is_what_evaluate_says_of_each_checkpoint(train, spurcli, tiny_flags):
    pairs = [tiny_flags[start : start + 2] for start in range(0, len(tiny_flags), 2)]
    of_data = [word for pair in pairs for word in pair if pair[1].startswith("dataset")]
    flags = [word for pair in pairs for word in pair if not pair[1].startswith("dataset")]
    words = ["inject", "--dataset", "demo", "--feature", "patch", "--class", "3", "--fraction", "0.3", *of_data]
    assert spurcli(*words).code == 0
    words = ["--evaluate-each", "val", "--evaluate-each", "train", "--save-epochs", "1,2"]
    result = spurcli("train", "--dataset", "inject.json", "--keep", "all", *flags, *words)
    assert result.code == 0, result.err
    epochs = read_history(Path("history.json"))["epochs"]
    assert [sorted(epoch["evaluations"]) for epoch in epochs] == [["train", "val"]] * 3
    for number, file in ((1, "model.epoch1.safetensors"), (2, "model.epoch2.safetensors"), (3, "model.safetensors")):
        for split in ("val", "train"):
            command = ("evaluate", file, "--split", split, "--json", "-o", f"{split}{number}.json")
            assert spurcli(*command).code == 0
            found = json.loads(Path(f"{split}{number}.json").read_text())["metrics"]
            each = epochs[number - 1]["evaluations"][split]
            assert each["accuracy"] == pytest.approx(found["accuracy"]["value"])
            assert set(found) <= set(each)
            assert any("misclassification" in metric for metric in found) == (split == "val")  # train has no twin


def test_selection_takes_the_best_epoch_of_the_history(train, tiny_flags):
    words = ["--set", "training.selection=best-val-mean", "--save-epochs", "1,2,3"]
    assert train(*words, "--set", "training.learning_rate=0.03").code == 0
    values = [epoch["evaluations"]["val"]["accuracy"] for epoch in read_history(Path("history.json"))["epochs"]]
    best = int(np.argmax(values)) + 1
    assert read_checkpoint_metadata(Path("model.safetensors"))["training"]["epoch"] == best
    assert same_weights("model.safetensors", f"model.epoch{best}.safetensors")


def test_selection_by_worst_group_needs_groups(train, no_work):
    result = train("--set", "training.selection=best-val-worst-group")
    assert result.code == 2
    assert "needs groups" in result.err


def test_a_diverging_training_writes_nothing(train):
    result = train("--set", "training.learning_rate=1e30", "--set", 'training.optimizer="sgd"')
    assert result.code == 1
    assert "not finite" in result.err
    assert "epoch 1, step" in result.err
    assert "--set training.learning_rate=1e+29" in result.err
    assert list(Path().iterdir()) == []


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("command", [("train", "--keep", "all"), ("score",)])
def test_a_bad_output_folder_is_noticed_before_the_work(spurcli, tiny_flags, monkeypatch, command):
    from spurcli.training import early_training as early

    for module in (stage, early):
        monkeypatch.setattr(module, "fit", lambda *_, **__: pytest.fail("a training was started"))
    words = [*command, "--dataset", "demo", *tiny_flags, "-o"]
    Path("file").write_text("")
    Path("folder.out").mkdir()
    for output, problem in (
        ("file/x.out", "Cannot write"),
        ("folder.out", "is a folder"),
        ("/proc/x.out", "/proc/x.out"),
    ):
        result = spurcli(*words, output)
        assert result.code == 3, result.err
        assert problem in result.err
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 1000, 1000))
    result = spurcli(*words, "x.out")
    assert result.code == 3
    assert "No space left for" in result.err
    assert {path.name for path in Path().iterdir()} == {"file", "folder.out"}


def test_lists_that_cannot_be_used_are_refused_before_the_work(train, spurcli, no_work):
    assert train(keep=write_list("big.txt", [1, 300])).code == 3
    assert train(keep="absent.txt").code == 3
    empty = spurcli(
        "train",
        "--dataset",
        "demo",
        "--remove",
        write_list("all.txt", range(300)),
        "--set",
        "dataset.options.num_train=300",
    )
    assert (empty.code, "keeps no sample" in empty.err) == (3, True)
    both = spurcli("train", "--dataset", "demo", "--keep", "a", "--remove", "b")
    assert (both.code, "contradict" in both.err) == (2, True)
