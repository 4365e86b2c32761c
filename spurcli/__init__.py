"""spurcli: find spurious correlations in classifiers and sever them by pruning a few hard samples.

The stages are functions with the names and options of the commands:

    spurcli.score(dataset="demo", epoch=3)
    spurcli.prune(fraction=0.1, per_class=True)
    spurcli.train(seed=1)
    spurcli.evaluate("model.safetensors")
    spurcli.report()
    spurcli.compare(dataset="demo", arms="erm,prune:0.1", seeds=5)    # all of it, for several seeds

Others take arrays, tensors or lists that are in memory:

    scores = spurcli.scores_of(logits, labels)
    keep = spurcli.kept_indices(scores["el2n"], labels, fraction=0.1, per_class=True)
    spurcli.measures(test_logits, test_labels, groups=hospitals)["metrics"]["worst_group_accuracy"]

Everything is imported on first use, so that `import spurcli` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spurcli.api import (
        audit,
        canary,
        compare,
        cut,
        embed,
        evaluate,
        export,
        infer,
        inject,
        prune,
        report,
        score,
        train,
    )
    from spurcli.callbacks.recorder import DynamicsRecorder
    from spurcli.datasets import load_dataset
    from spurcli.errors import SpurError
    from spurcli.in_memory.functions import el2n, kept_indices, measures, scores_of, scores_of_epochs
    from spurcli.session import configure

    __version__: str

_PUBLIC = {
    "inject": "spurcli.api",
    "score": "spurcli.api",
    "prune": "spurcli.api",
    "train": "spurcli.api",
    "evaluate": "spurcli.api",
    "report": "spurcli.api",
    "export": "spurcli.api",
    "audit": "spurcli.api",
    "infer": "spurcli.api",
    "embed": "spurcli.api",
    "compare": "spurcli.api",
    "canary": "spurcli.api",
    "cut": "spurcli.api",
    "configure": "spurcli.session",
    "load_dataset": "spurcli.datasets",
    "el2n": "spurcli.in_memory.functions",
    "scores_of": "spurcli.in_memory.functions",
    "scores_of_epochs": "spurcli.in_memory.functions",
    "kept_indices": "spurcli.in_memory.functions",
    "measures": "spurcli.in_memory.functions",
    "DynamicsRecorder": "spurcli.callbacks.recorder",
    "SpurError": "spurcli.errors",
}

__all__ = [
    "DynamicsRecorder",
    "SpurError",
    "audit",
    "canary",
    "compare",
    "configure",
    "cut",
    "el2n",
    "embed",
    "evaluate",
    "export",
    "infer",
    "inject",
    "kept_indices",
    "load_dataset",
    "measures",
    "prune",
    "report",
    "score",
    "scores_of",
    "scores_of_epochs",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("spurcli")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'spurcli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
