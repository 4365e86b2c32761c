"""Evidence that is made up: what models say is given, so that the truth is known and nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from made_up import MadeUp

from spurcli.auditing.evidence import Evidence


@dataclass
class World:
    """Two classes, a feature of class b, and a model that leans on it by `push` standard deviations."""

    seed: int
    push: float
    shares: tuple = (0.2, 0.7)  # P(feature | a), P(feature | b)
    sizes: tuple = (400, 400)
    harder: float = 0.0  # how far the feature moves a sample away from its own class

    def make(self, **more):
        rng = np.random.default_rng(self.seed)
        labels, logits, feature = {}, {}, {}
        for split, size in zip(("train", "val"), self.sizes, strict=True):
            label = np.arange(size) % 2
            has = rng.random(size) < np.array(self.shares)[label]
            low = rng.normal(2.0 * (label - 0.5), 1) + self.push * has - self.harder * has * (2 * label - 1)
            labels[split], feature[split] = label, has
            logits[split] = np.stack([np.zeros(size), low], axis=1).astype(np.float32)
        columns = {split: {"place": np.where(has, "sea", "land").tolist()} for split, has in feature.items()}
        options = {"held_out": "val", "seed": self.seed, "columns": lambda: columns, **more}
        return Evidence(labels, ("a", "b"), MadeUp(logits), **options), feature


@pytest.fixture
def world():
    return World
