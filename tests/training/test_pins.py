"""Weights bit for bit: each method through the command line, a resumed run, an unfinished one of an earlier version."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from pins import DATA, FLAGS, GOLDEN, UNFINISHED, require_pinned, require_pins, sets

from spurcli.artifacts.checkpoint import weights_sha256_of_file
from spurcli.datasets import load_dataset
from spurcli.training import loop

CONTRASTIVE = ["--set", "training.batch_size=20", "--set", "method.options.num_anchors=1"]
CONTRASTIVE += ["--set", "method.options.num_positives=2", "--set", "method.options.num_negatives=1"]
METHODS = {
    "erm": [],
    "group_dro": [],
    "jtt": ["--errors", "errors.txt", "--set", "method.options.upweight=3"],
    "cnc": ["--group-labels", "groups.txt", *CONTRASTIVE],
    "pde": ["--set", "method.options.warmup_epochs=1", "--set", "method.options.expansion_interval=1"],
    "subg": [],
    "suby": [],
    "rwg": [],
    "rwy": [],
    "dfr": ["--checkpoint", "model.safetensors", "--set", "method.options.on=train"],
}


def test_the_weights_of_every_method_are_those_that_were_pinned(spurcli):
    require_pins()
    data = sets(DATA, "dataset.options.")
    mark = ["--class", "3", "--fraction", "0.4", "--feature", "patch", "--set", "feature.size=2"]
    Path("errors.txt").write_text("".join(f"{index}\n" for index in range(0, 120, 3)))
    label = load_dataset("demo", {"num_train": 120, "num_val": 60, "num_test": 20}).splits["train"].label
    # what an earlier model predicted: every other sample right, the others as the next class
    Path("groups.txt").write_text("".join(f"{y}/{(y + number % 2) % 10}\n" for number, y in enumerate(label)))
    for words in (
        ["inject", "--dataset", "demo", *data, *mark],
        ["score", "--dataset", "inject.json", "--epoch", "1", "--runs", "2", *sets(FLAGS)],
        ["prune", "--fraction", "0.1", "--per-class"],
        ["train", "--save-epochs", "1,best-val-mean"],
        *(["train", "--method", name, *more, "-o", f"{name}.safetensors"] for name, more in METHODS.items()),
        ["train", "--same-steps", "--seed", "1", "-o", "steps.safetensors"],
        ["train", "--keep", "all", "--dataset", "inject.json", *sets(FLAGS), "-o", "all.safetensors"],
    ):
        done = spurcli(*words)
        assert done.code == 0, (words, done.err)
    found = {path.name: weights_sha256_of_file(path) for path in sorted(Path().glob("*.safetensors"))}
    assert found["erm.safetensors"] == found["model.safetensors"]
    methods = [found[f"{name}.safetensors"] for name in METHODS]
    assert len(set(methods)) == len(methods)  # each does something of its own
    require_pinned("command line", found)


def interrupt(spurcli, num_steps: int) -> None:
    """The command of UNFINISHED until SIGINT comes in its step `num_steps`."""
    plain, count = loop.learning_rate, iter(range(10**6))

    def counting(*arguments):
        if next(count) == num_steps - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "learning_rate", counting)
        assert spurcli(*UNFINISHED).code == 130


def test_a_resumed_run_and_a_golden_unfinished_one_end_in_the_pinned_weights(spurcli):
    """tests/golden/unfinished-1.state is OUTPUT.state/ as version 1 left it in the second epoch of three."""
    interrupt(spurcli, 12)
    if folder := os.environ.get("SPURCLI_TEST_WRITE_STATE"):
        shutil.copytree("model.safetensors.state", folder)
    states = {"own": Path("own.state"), "golden": GOLDEN / "unfinished-1.state"}
    shutil.move("model.safetensors.state", states["own"])
    found = {}
    for name, state in states.items():
        shutil.copytree(state, "model.safetensors.state")
        done = spurcli(*UNFINISHED)
        assert done.code == 0, done.err
        assert "Resuming after epoch 1, step 4" in done.err
        assert not Path("model.safetensors.state").exists()
        found[name] = weights_sha256_of_file(Path("model.safetensors"))
        for path in Path().glob("*.safetensors"):
            path.unlink()
        Path("history.json").unlink()
    assert spurcli(*UNFINISHED).code == 0
    assert weights_sha256_of_file(Path("model.safetensors")) == found["own"]
    require_pinned("resumed", found)
    assert found["golden"] == found["own"]
