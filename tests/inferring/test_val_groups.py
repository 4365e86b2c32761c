"""Inferred groups cover val too: what is fitted or tuned there takes them where the data set knows none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spurcli.artifacts.checkpoint import read_checkpoint_metadata


@pytest.mark.parametrize("on", ["train", "val"])
def test_dfr_on_inferred_groups(in_tiny_run, on):
    assert in_tiny_run("infer", "model.safetensors", "--by", "clusters").code == 0
    words = ("train", "--dataset", "demo", "--keep", "all", "--method", "dfr", "--checkpoint", "model.safetensors")
    options = (
        "--set",
        f"method.options.on={json.dumps(on)}",
        "--set",
        "method.options.num_refits=1",
        "-o",
        "d.safetensors",
    )
    settings = read_checkpoint_metadata(Path("model.safetensors"))["provenance"]["settings"]
    same = [word for key, value in _tiny(settings) for word in ("--set", f"{key}={json.dumps(value)}")]
    done = in_tiny_run(*words, *options, *same, "--group-labels", "groups.txt")
    assert done.code == 0, done.err
    used = read_checkpoint_metadata(Path("d.safetensors"))["training"]["labels_used"]
    assert used["val_groups"] == "inferred: clusters"
    assert used["training_groups"] == ("inferred: clusters" if on == "train" else None)


def _tiny(settings):
    for key, value in settings["dataset"]["options"].items():
        yield f"dataset.options.{key}", value
    for key, value in settings["model"]["options"].items():
        yield f"model.options.{key}", value
