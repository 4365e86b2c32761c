"""An accuracy noted beside weights that contradicts what is found, told with both numbers; and when nothing is said."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch

from spurcli.artifacts.saved_torch import read_saved
from spurcli.errors import SpurWarning
from spurcli.evaluation.doubts import warn_if_contradicted, warn_if_doubtful, warn_if_poor
from spurcli.models.trial import require_logits

WEIGHTS = {"fc.weight": torch.ones(2, 3)}


def noted(tmp_path, notes):
    torch.save({"state_dict": WEIGHTS, **notes}, tmp_path / "w.pth")
    return read_saved(tmp_path / "w.pth").accuracies


def said(accuracies, num_correct=30, num_samples=100):
    counts = np.array([[num_correct, num_samples - num_correct], [0, 0]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SpurWarning)
        warn_if_contradicted(accuracies, counts, "w.pth")
    return [str(each.message) for each in caught]


@pytest.mark.parametrize(
    ("notes", "share"),
    [
        ({"acc": 93.4}, 0.934),
        ({"best_acc": np.float64(93.4)}, 0.934),
        ({"val_acc": torch.tensor(0.934)}, 0.934),
        ({"best_prec1": np.float32(93.4)}, 0.934),
        ({"metrics": {"acc@1": 93.4, "acc@5": 99.0, "loss": 0.3}}, 0.934),
        ({"test_accuracy": 0.934, "train_acc": 0.99}, 0.934),
        ({"top1": 93.4, "train": {"acc": 99.0}}, 0.934),
        ({"hparams": {"accelerator": 1, "accumulate": 0.5}, "epoch": 9, "acc": True, "valid_acc": 1}, None),
        ({"accuracy_weight": 0.9, "loss": 0.93, "acc": [0.9], "best_acc": -1.0}, None),
    ],
)
def test_accuracies_are_found_beside_weights(tmp_path, notes, share):
    found = noted(tmp_path, notes)
    assert [each.share for each in found] == ([] if share is None else pytest.approx([share]))


def test_the_state_of_a_trainer_notes_its_best_epoch(tmp_path):
    torch.save(WEIGHTS, tmp_path / "pytorch_model.bin")
    history = [{"eval_accuracy": 0.5, "epoch": 1.0}, {"eval_accuracy": 0.9, "epoch": 2.0}, {"loss": 0.1}]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    (found,) = read_saved(tmp_path).accuracies
    assert (found.key, found.share) == ("eval_accuracy", 0.9)


def test_only_what_is_far_above_the_interval_is_warned_of(tmp_path):
    (message,) = said(noted(tmp_path, {"best_acc": 93.4}))
    for part in ("93.4%", "best_acc", "30.0%", "100 samples"):
        assert part in message
    assert not said(noted(tmp_path, {"best_acc": 48.0}))  # 30 % is 22 to 40 %
    assert not said(noted(tmp_path, {"best_acc": 93.4}), num_correct=2, num_samples=3)  # 21 to 94 %
    assert not said(noted(tmp_path, {"best_acc": 93.4, "acc": 35.0}))  # the weights are perhaps those of 35 %
    assert not said(noted(tmp_path, {"acc": 10.0}), num_correct=90)
    assert not said([])


def test_another_order_explains_a_low_accuracy(tmp_path):
    counts = np.array([[0, 50], [50, 0]])
    with pytest.warns(SpurWarning) as caught:
        warn_if_doubtful(counts, ("a", "b"), "w.pth", noted(tmp_path, {"acc": 99.0}))
    (message,) = [str(each.message) for each in caught]
    assert "class order" in message


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        ([[99, 1, 0], [92, 8, 0], [40, 30, 30]], ["45.7%", "300 samples", "b 8.0%"]),  # a class below half of chance
        ([[40, 30, 30], [30, 40, 30], [30, 30, 40]], ["40.0%", "Used: 8×8 pixels"]),
        ([[60, 20, 20], [20, 60, 20], [20, 20, 60]], []),
        ([[99, 1, 0], [0, 99, 1], [3, 0, 0]], []),  # three samples say nothing
        ([[1, 9], [9, 0]], []),
    ],
)
def test_predictions_hardly_better_than_chance_question_the_preprocessing(counts, parts):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SpurWarning)
        warn_if_poor(np.array(counts), "abc", "w.pth", "8×8 pixels")
    messages = [str(each.message) for each in caught]
    assert len(messages) == bool(parts)
    assert all(part in messages[0] for part in parts)


def test_one_output_for_two_classes_is_answered_with_the_line_that_makes_two():
    with pytest.raises(Exception, match="1 output, the data set 2 classes") as caught:
        require_logits(torch.zeros(4, 1), 2)
    assert "torch.zeros_like(z)" in caught.value.hint


NETS = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(256, num_classes)
    def forward(self, x):
        return self.fc(x.flatten(1))
def net(*, num_classes):
    return Net(num_classes)
class Pair(Net):
    def forward(self, x):
        return super().forward(x), x
def pair(*, num_classes):
    return Pair(num_classes)
"""


def test_stages_say_what_contradicts_a_foreign_or_an_own_model(spurcli, tiny_flags, tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    pairs = list(zip(tiny_flags[::2], tiny_flags[1::2], strict=True))
    sizes = [word for pair in pairs if pair[1].startswith("dataset.") for word in pair]
    flags = ["--dataset", "demo", *sizes]
    dead = {"fc.weight": torch.zeros(10, 256), "fc.bias": torch.arange(10.0)}
    torch.save({"state_dict": dead, "acc": 97.0}, tmp_path / "dead.pth")
    words = {
        "evaluate": ["evaluate", "dead.pth"],
        "score": ["score", "--checkpoint", "dead.pth"],
        "infer": ["infer", "dead.pth", "--by", "mistakes"],
    }
    for command in words.values():
        ran = spurcli(*command, *flags, "--model", "nets.py:net")
        assert ran.code == 0, ran.err
        assert "97.0%" in ran.err
        assert "same for all" in ran.err
    refused = spurcli("evaluate", "dead.pth", *flags, "--model", "nets.py:pair")
    assert refused.code == 3
    assert "returned tuple" in refused.err

    trained = spurcli("train", *flags, "--set", "training.epochs=3", "--model", "nets.py:net", "--evaluate-each", "val")
    assert trained.code == 0, trained.err
    plain = spurcli("evaluate", "--split", "val", "--model", "nets.py:net")
    assert "recorded accuracy" not in plain.err
    history = json.loads((tmp_path / "history.json").read_text())
    history["epochs"][-1]["evaluations"]["val"]["accuracy"] = 1.0
    (tmp_path / "history.json").write_text(json.dumps(history))
    found = spurcli("evaluate", "--split", "val", "--model", "nets.py:net")
    assert "100.0% (history.json, epoch 3)" in found.err
