"""The demo set with a patch, embedded once by a small model of one's own: what heads are trained on here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import spurcli as package

PARTS = '''
import torch
from torch import nn

def net(*, num_classes, input_shape):
    """Seeded by the command, then as it is: a random projection of the pixels."""
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 24), nn.ReLU(), nn.Linear(24, num_classes))

def encoder(*, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 24), nn.ReLU())

class Stumbles(nn.Module):
    """Counts the samples it is given in a file beside this one, and fails where that file says so."""
    def __init__(self, num_classes):
        super().__init__()
        self.net = net(num_classes=num_classes, input_shape=None)
    def forward(self, x):
        import pathlib
        folder = pathlib.Path(__file__).parent
        seen = int((folder / "seen").read_text()) + len(x)
        (folder / "seen").write_text(str(seen))
        if seen > int((folder / "most").read_text()):
            raise KeyboardInterrupt
        return self.net(x)

def stumbles(*, num_classes):
    return Stumbles(num_classes)

def endless(*, num_classes):
    class Endless(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(24, num_classes)
        def forward(self, x):
            return self.fc(torch.full((len(x), 24), torch.inf))
    return Endless()
'''
COUNTS = {"dataset.options.num_train": 300, "dataset.options.num_val": 100, "dataset.options.num_test": 200}


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with parts.py, inject.json and patched.embeddings.h5 made from it; not to be changed."""
    folder = tmp_path_factory.mktemp("embedded")
    (folder / "parts.py").write_text(PARTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        package.inject(dataset="demo", feature="patch", class_name="1", fraction=0.6, set=COUNTS)
        package.embed(
            dataset="inject.json",
            recipe="demo",
            model="parts.py:net",
            set={"scoring.batch_size": 64},
            output="patched.embeddings.h5",
        )
    return folder


@pytest.fixture
def in_embedded(embedded: Path, tmp_path: Path, spurcli: Callable[..., Any]) -> Callable[..., Any]:
    """`spurcli` in a copy of `embedded`."""
    shutil.copytree(embedded, tmp_path, dirs_exist_ok=True)
    return spurcli
