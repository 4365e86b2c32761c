"""Artefacts with made-up numbers: a grid of arms and seeds in milliseconds, without any training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

# Spurious misclassification at seeds 0, 1, 2. Hardest is about 13 points below all and 15 below random.
LEVELS = {
    "all": (0.25, 0.27, 0.29),
    "hardest": (0.11, 0.15, 0.15),
    "random": (0.26, 0.31, 0.29),
    "easiest": (0.30, 0.24, 0.29),
}


def share(value: float | None, num_samples: int = 200, **facts: Any) -> dict[str, Any]:
    interval = [max(0.0, value - 0.05), min(1.0, value + 0.05)] if value is not None else None
    return {"value": value, "num_samples": num_samples, "interval": interval, **facts}


def rule_of(select: str, fraction: str, *, matched: str | None = None, seed: int | None = None) -> dict[str, Any]:
    return {
        "select": select, "fraction": fraction, "per": "class", "groups": [], "balance_classes": False,
        "matched": matched, "score": "el2n", "seed": seed,
    }  # fmt: skip


def evaluation(
    value: float | None,
    *,
    seed: int = 0,
    rule: Mapping[str, Any] | None = None,
    accuracy: float = 0.8,
    weights: str = "",
    settings: Mapping[str, Any] | None = None,
    classes: tuple[str, str] = ("cat", "dog"),
    **more: Any,
) -> dict[str, Any]:
    """The content of an evaluation.json as `spurcli evaluate` writes it, as far as a report reads it."""
    about = {"true": classes[0], "predicted": classes[1]}
    keep = {"sha256": f"list-{seed}-{dict(rule)}", "rule": dict(rule), "summary": {}} if rule is not None else None
    chosen = {
        "dataset": {"name": "pets", "options": {"draw": seed}},
        "model": {"name": "mlp"},
        "method": {"name": "erm", "options": {}},
        "preprocessing": {},
        "training": {"epochs": 3},
        "seed": seed,
        **(settings or {}),
    }
    return {
        "format": "spurcli.evaluation", "version": 1, "split": "test", "class_names": list(classes),
        "metrics": {
            "spurious_misclassification": share(value, **about),
            "accuracy": share(accuracy - 0.01 * seed),
        },
        "per_class": [{"class": name, "accuracy": share(0.5)} for name in classes],
        "per_group": [{"group": f"{name}/hat", "accuracy": share(0.4)} for name in classes],
        "warnings": [],
        "model": {"weights_sha256": weights or f"w-{seed}-{rule}-{value}", "architecture": {"name": "mlp"}},
        "training": {
            "method": "erm", "seed": seed, "epoch": 3, "selection": "last", "budget": "epochs",
            "num_train": 100, "num_kept": 70 if rule else 100, "keep": keep,
        },
        "provenance": {"lineage": [f"spurcli train --seed {seed}", "spurcli evaluate"], "settings": chosen},
        **more,
    }  # fmt: skip


def history(evaluated: Mapping[str, Any], losses: tuple[float, ...] = (1.0, 0.5, 0.2)) -> dict[str, Any]:
    """The history.json of the same training."""
    return {
        "format": "spurcli.history", "version": 1, "device": "cpu", **evaluated["training"],
        "weights_sha256": evaluated["model"]["weights_sha256"],
        "epochs": [
            {"epoch": n + 1, "loss": loss, "accuracy": 0.9, "evaluations": {"test": {"accuracy": 0.7 + 0.01 * n}}}
            for n, loss in enumerate(losses)
        ],
        "provenance": {"settings": dict(evaluated["provenance"]["settings"])},
    }  # fmt: skip


def save(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def grid(tmp_path: Path) -> Callable[..., Path]:
    """Write runs/seedN/ARM/{evaluation,history}.json for three seeds and four arms; returns the folder."""

    def write(name: str = "runs", arms: Mapping[str, tuple[float, ...]] = LEVELS, **more: Any) -> Path:
        for arm, values in arms.items():
            for seed, value in enumerate(values):
                rule = None if arm == "all" else rule_of(arm, "0.3")
                if arm == "random":
                    rule = rule_of("random", "0.3", matched="class", seed=seed)
                accuracy = {"hardest": 0.74, "easiest": 0.79}.get(arm, 0.8) + (0.002 * seed if arm == "hardest" else 0)
                content = evaluation(value, seed=seed, rule=rule, accuracy=accuracy, **more)
                folder = tmp_path / name / f"seed{seed}" / arm
                save(folder / "evaluation.json", content)
                save(folder / "history.json", history(content))
        return tmp_path / name

    return write


@pytest.fixture
def make() -> SimpleNamespace:
    """The writers above: make.evaluation(…), make.history(…), make.rule_of(…), make.save(path, content), make.LEVELS."""
    return SimpleNamespace(evaluation=evaluation, history=history, rule_of=rule_of, save=save, LEVELS=LEVELS)
