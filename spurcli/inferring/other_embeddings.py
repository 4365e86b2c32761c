"""What to try if a model's embeddings do not show the ticked feature: those of a pretrained model, with the same ticks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spurcli.datasets import Inputs, Texts, Vectors
from spurcli.datasets.own.columns import option_flag
from spurcli.default_recipe import called, frozen_recipe
from spurcli.registry import is_user_code
from spurcli.settings import Settings

POOR = 0.8
"""An AUROC below this is poor. On CelebA it lies between a small network's own embeddings and frozen ones (docs/ticks.md)."""
_FILE = "embeddings.h5"


def poorly_found(ticked: Mapping[str, Any]) -> list[str]:
    """The ticked classes in which the held-out AUROC of the probe is below POOR."""
    return [row["class"] for row in ticked["classes"] if row["auroc"] and row["auroc"]["value"] < POOR]


def commands_with_frozen(settings: Settings, inputs: Inputs, ticks: Path, output: Path) -> list[str]:
    """The commands that embed the data set with a pretrained model and use the same ticks.

    None for embeddings, for greyscale images, which the pretrained model of the recipes does not take, and for data sets in
    user code, which a file must not suggest to run.
    """
    dataset = settings.dataset
    is_colour = isinstance(inputs, Texts) or (not isinstance(inputs, Vectors) and inputs.shape[-1] == 3)
    if not is_colour or is_user_code(dataset.name):
        return []
    embed = f"spurcli data embed {shlex.quote(str(settings.injection_path or called(dataset)))}"
    for name, value in dataset.options.items() if not settings.injection_path else ():
        if name != "path" and value != "":
            embed += f" {option_flag(name, value if isinstance(value, str) else json.dumps(value))}"
    if settings.data_root != Path("data"):
        embed += f" --data-root {shlex.quote(str(settings.data_root))}"
    embed += f" --recipe {frozen_recipe(dataset, is_text=isinstance(inputs, Texts))}"
    infer = ["--by", "ticks", "--ticks", str(ticks), "-o", str(output.with_name(f"frozen-{output.name}"))]
    return [embed, shlex.join(["spurcli", "infer", "--dataset", _FILE, *infer])]
