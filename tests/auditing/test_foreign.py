"""A model of another program on a user's own data: the printed commands run as they are printed."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from spurcli.auditing.source import words_of_training

PARTS = """
import numpy as np
import torch
from spurcli.auditing.suspect import Finding


class Net(torch.nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(192, num_classes))


def corner(evidence):
    presence = {}
    for split in evidence.splits:
        inputs = evidence.inputs(split)
        presence[split] = (inputs.read(np.arange(len(inputs)))[:, 0, 0, 0] > 200).astype(np.float32)
    return [Finding("corner", "corner", 1, presence, "A corner is white")]
"""


def test_the_commands_for_a_state_dict_run_as_printed(tmp_path, spurcli):
    (tmp_path / "net.py").write_text(PARTS)
    rng = np.random.default_rng(0)
    for split, size in (("train", 30), ("val", 20)):
        for name in ("cat", "dog"):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for number in range(size):
                pixels = rng.integers(0, 200, (8, 8, 3)).astype(np.uint8)
                pixels[0, 0] = 255 if name == "dog" and number % 3 == 0 else pixels[0, 0]
                Image.fromarray(pixels).save(tmp_path / "photos" / split / name / f"{number}.png")
    torch.manual_seed(0)
    torch.save({"1.weight": torch.randn(2, 192), "1.bias": torch.zeros(2)}, tmp_path / "net.pt")
    words = ("--dataset", "photos", "--model", "net.py:Net", "--set", "preprocessing.image_size=8")
    done = spurcli("audit", "net.pt", *words, "--finder", "net.py:corner", "--json")
    assert done.code == 0, done.err
    lines = [line for line in done.json["suspects"][0]["next"] if not line.startswith("#")]
    assert [line.split()[1] for line in lines] == ["cut", "train", "evaluate", "prune", "train", "evaluate"]
    for line in lines[1:]:  # cut has tests of its own
        fast = ["--set", "training.epochs=1"] if line.split()[1] == "train" else []
        done = spurcli(*shlex.split(line)[1:], *fast)
        assert done.code == 0, (line, done.err)
    assert Path("cut/evaluation.json").is_file()


def test_a_transformers_folder_is_named_for_a_training():
    def words(name: str, given: list[str]) -> str:
        settings = SimpleNamespace(
            dataset=SimpleNamespace(name=name),
            model=SimpleNamespace(name="transformers", options={"path": "bert"}),
            preprocessing=SimpleNamespace(max_length=48),
            recipe="own-text",
        )
        return " ".join(words_of_training(settings, given))

    model = "--model transformers --set model.options.path=bert --set preprocessing.max_length=48"
    assert words("table", ["--dataset", "nli.csv"]) == f"--recipe own-text {model}"
    assert words("table", ["--recipe", "mine.toml", "--model", "transformers"]) == ""
    assert words("multinli", []) == model
