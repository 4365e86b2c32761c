"""What people read when the machine, not they, is at fault; and compiled models, which can be."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from spurcli.training import fit

MODELS = """
import torch
from torch import nn

class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.layer, self.error = nn.Linear(256, 10), error
    def forward(self, x):
        if len(x) > 20:
            raise self.error
        return self.layer(x.flatten(1))

def cuda(*, num_classes): return Failing(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
def cpu(*, num_classes): return Failing(RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"))
def worker(*, num_classes): return Failing(RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."))
def bug(*, num_classes): return Failing(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
"""


@pytest.mark.parametrize(
    ("attribute", "problem", "hint"),
    [
        ("cuda", "Out of memory with training.batch_size = 64", "--set training.batch_size=32"),
        ("cpu", "Out of memory with training.batch_size = 64", "--set training.batch_size=32"),
        ("worker", "A process that decodes images crashed", "--workers 1"),
        ("bug", "RuntimeError: mat1 and mat2 shapes", "--debug"),
    ],
)
def test_failures_in_the_middle_say_what_to_try(spurcli, tiny_flags, attribute, problem, hint):
    Path("nets.py").write_text(MODELS)
    pairs = [tiny_flags[start : start + 2] for start in range(0, len(tiny_flags), 2)]
    flags = [word for pair in pairs for word in pair if "model.options" not in pair[1]]
    words = ["train", "--dataset", "demo", "--keep", "all", "--model", f"nets.py:{attribute}", *flags]
    result = spurcli(*words)
    assert result.code == 1
    assert problem in result.err
    assert hint in result.err
    assert "Traceback" not in result.err
    assert not Path("model.safetensors").exists()


def test_the_batch_size_that_is_advised_works(spurcli, tiny_flags):
    Path("nets.py").write_text(MODELS)
    pairs = [tiny_flags[start : start + 2] for start in range(0, len(tiny_flags), 2)]
    flags = [word for pair in pairs for word in pair if "model.options" not in pair[1]]
    words = ["train", "--dataset", "demo", "--keep", "all", "--model", "nets.py:cpu", *flags]
    assert spurcli(*words, "--set", "training.batch_size=16").code == 0


BREAKING = """
from spurcli.training.methods.erm import ERM

class Breaking(ERM):
    def order(self, seed, epoch):
        self.epoch = epoch
        return super().order(seed, epoch)

    def loss(self, logits, batch):
        return super().loss(logits, batch) * (float("nan") if self.epoch == 2 else 1)
"""


def test_a_diverged_training_names_the_last_good_checkpoint(spurcli, tiny_flags):
    Path("breaking.py").write_text(BREAKING)
    words = ["train", "--dataset", "demo", "--keep", "all", "--method", "breaking.py:Breaking", *tiny_flags]
    words += ["--set", "training.epochs=4"]
    plain = spurcli(*words)
    assert plain.code == 1
    assert "not finite in epoch 3, step" in plain.err
    assert "--save-epochs N saves earlier epochs" in " ".join(plain.err.split())
    kept = spurcli(*words, "--save-epochs", "1,2,3")
    assert "model.epoch2.safetensors" in " ".join(kept.err.split())
    assert spurcli("show", "model.epoch2.safetensors").code == 0
    assert not Path("model.epoch3.safetensors").exists()


def test_a_compiled_model_gives_the_same_weights_under_plain_names(build_trainer, monkeypatch):
    """With the backend that needs no C++ compiler: what is tested is how the loop uses a compiled model."""
    compiled = []

    def compile_plainly(model):
        compiled.append(model)
        return plain(model)

    plain = partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", compile_plainly)
    expected = fit(build_trainer(), until_epoch=2).chosen.weights
    assert compiled == []
    trainer = build_trainer(compile=True)
    found = fit(trainer, until_epoch=2).chosen.weights
    assert compiled == [trainer.model]
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
