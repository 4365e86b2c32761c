"""Methods that keep a trained model and fit its last layer anew: features once, then the method, then new weights."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from spurcli.errors import InputError
from spurcli.models import last_linear
from spurcli.runtime.forward import embed
from spurcli.runtime.workbench import Workbench
from spurcli.training.method import Annotation, Embedded, LastLayerMethod, TrainingSamples


def refit_last_layer(
    bench: Workbench,
    model: nn.Module,
    method: LastLayerMethod,
    samples: TrainingSamples,
    val_labels: Annotation | None,
    val_groups: Annotation | None,
) -> dict[str, Any]:
    """Give `model` the last layer that `method` fits on the samples kept and on the validation split, if there is one.

    Returns one record, as of an epoch: loss and accuracy on the samples kept, and how long features and fit took.
    """
    dataset = bench.dataset
    layer = last_linear(model)
    if layer is None or layer.bias is None:
        raise InputError("The model has no last linear layer with a bias to fit anew", "Use a model that ends in one.")
    started = time.monotonic()
    embedded = {}
    train_labels = Annotation(dataset.splits["train"].label, "data set")
    for name, labels, groups in (("train", train_labels, samples.groups), ("val", val_labels, val_groups)):
        if labels is None:
            continue
        split = dataset.splits[name]
        features, _ = embed(
            model,
            bench.feed(split.inputs),
            bench.preprocess(),
            num_samples=len(split),
            batch_size=bench.settings.scoring.batch_size,
            precision=bench.settings.scoring.precision,
            what=f"features of {name}",
            progress=bench.progress,
        )
        index = samples.kept if name == "train" else np.arange(len(split), dtype=np.int64)
        embedded[name] = Embedded(features[index], index, labels, groups)
    train = embedded["train"]
    bench.progress.say("Fitting the last layer")
    weight, bias = method.refit(train, embedded.get("val"), bench.settings.seed)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    logits = torch.from_numpy(train.embedding @ weight.T.astype(np.float32) + bias.astype(np.float32))
    label = torch.from_numpy(train.label)
    return {
        "epoch": 0,
        "loss": float(functional.cross_entropy(logits, label)),
        "accuracy": float((logits.argmax(1) == label).float().mean()),
        "num_steps": 0,
        "samples_seen": len(samples.kept),
        "seconds": round(time.monotonic() - started, 3),
    }
