"""spurcli: find spurious correlations in classifiers and sever them by pruning a few hard samples.

The public functions equal the commands, and are imported on first use so that `import spurcli` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spurcli.datasets import load_dataset
    from spurcli.evaluation.stage import evaluate
    from spurcli.features.stage import inject
    from spurcli.inferring.stage import infer
    from spurcli.pruning.stage import prune
    from spurcli.reporting.stage import report
    from spurcli.scoring.formulas import el2n
    from spurcli.scoring.stage import score
    from spurcli.session import configure
    from spurcli.training.stage import train

_PUBLIC = {
    "inject": "spurcli.features.stage",
    "score": "spurcli.scoring.stage",
    "prune": "spurcli.pruning.stage",
    "train": "spurcli.training.stage",
    "evaluate": "spurcli.evaluation.stage",
    "report": "spurcli.reporting.stage",
    "infer": "spurcli.inferring.stage",
    "configure": "spurcli.session",
    "load_dataset": "spurcli.datasets",
    "el2n": "spurcli.scoring.formulas",
}

__all__ = [
    "configure",
    "el2n",
    "evaluate",
    "infer",
    "inject",
    "load_dataset",
    "prune",
    "report",
    "score",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'spurcli' has no attribute {name!r}")
