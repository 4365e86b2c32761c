"""Pretrained weights are needed to begin a training, and no longer once a checkpoint is there."""

from __future__ import annotations

import shutil

import torch


def test_a_checkpoint_is_evaluated_and_scored_without_the_weights_it_began_from(spurcli, tiny_flags, tmp_path):
    (tmp_path / "data" / "weights").mkdir(parents=True)
    torch.manual_seed(0)
    start = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10)).state_dict()
    torch.save(start, tmp_path / "data" / "weights" / "start.pth")
    (tmp_path / "own.py").write_text(
        "from pathlib import Path\n"
        "import torch\n"
        "def linear(*, num_classes, weights_root, weights=''):\n"
        "    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, num_classes))\n"
        "    if weights:\n"
        "        model.load_state_dict(torch.load(Path(weights_root, 'weights', weights), weights_only=True))\n"
        "    return model\n",
        encoding="utf-8",
    )
    place = next(place for place, word in enumerate(tiny_flags) if "hidden" in word)
    flags = tiny_flags[: place - 1] + tiny_flags[place + 1 :]
    own = ["--model", "own.py:linear"]
    trained = spurcli("train", "--dataset", "demo", *flags, *own, "--set", "model.options.weights=start.pth")
    assert trained.code == 0, trained.err
    shutil.rmtree(tmp_path / "data")
    assert spurcli("evaluate", *own).code == 0
    assert spurcli("score", "--checkpoint", "model.safetensors", *own).code == 0
    again = spurcli(
        "train", "--dataset", "demo", *flags, *own, "--set", "model.options.weights=start.pth", "-o", "b.safetensors"
    )
    assert again.code != 0
    assert "start.pth" in again.err
