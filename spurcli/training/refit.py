"""Methods that keep a trained model and retrain its last layer: embeddings once, then the method, then new weights."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from spurcli.artifacts.records import EpochRecord
from spurcli.errors import InputError
from spurcli.models import last_linear
from spurcli.runtime.context import RunContext
from spurcli.runtime.forward import embed
from spurcli.training.inputs import DATA_SET
from spurcli.training.method import Annotation, Choosing, Embedded, LastLayerMethod, TrainingSamples


def refit_last_layer(
    context: RunContext,
    model: nn.Module,
    method: LastLayerMethod,
    samples: TrainingSamples,
    val_labels: Annotation | None,
    val_groups: Annotation | None,
) -> EpochRecord:
    """Give `model` the last layer that `method` fits on the samples kept and on the validation split, if there is one.

    Returns one record, as of an epoch: loss and accuracy on the samples kept, seconds with and without the embeddings.
    Raises InputError for a model that does not end in a linear layer, or a method that returns another layer.
    """
    layer = last_linear(model)
    if layer is None or layer.bias is None:
        raise InputError("The model has no last linear layer with a bias to retrain", "Use a model that ends in one.")
    started, waited = time.monotonic(), [0.0]

    def embeddings(name: str) -> NDArray[np.float32]:
        begun = time.monotonic()
        found = _embeddings(context, model, layer, name)
        waited.append(time.monotonic() - begun)
        return found

    splits = context.dataset.splits
    train_labels = Annotation(splits["train"].label, DATA_SET)
    train = Embedded(partial(embeddings, "train"), samples.kept, train_labels, samples.groups)
    val = None
    if val_labels:
        val = Embedded(partial(embeddings, "val"), np.arange(len(splits["val"])), val_labels, val_groups)
    weight, bias = method.refit(train, val, context.settings.seed)
    fit_seconds = time.monotonic() - started - sum(waited)
    logits = torch.from_numpy(_outputs(train.embedding, _put(layer, weight, bias)))
    label = torch.from_numpy(train.label)
    return {
        "epoch": 0,
        "loss": float(functional.cross_entropy(logits, label)),
        "accuracy": float((logits.argmax(1) == label).float().mean()),
        "num_steps": 0,
        "samples_seen": len(samples.kept),
        "seconds": round(time.monotonic() - started, 3),
        "fit_seconds": round(fit_seconds, 3),
        "chosen": dict(method.chosen) if isinstance(method, Choosing) else {},
    }


def _embeddings(context: RunContext, model: nn.Module, layer: nn.Linear, name: str) -> NDArray[np.float32]:
    """The inputs of `layer` for a whole split. Raises InputError unless its outputs are the model's logits."""
    split, scoring = context.dataset.splits[name], context.settings.scoring
    embedding, logits = embed(
        model,
        context.feed(split.inputs),
        context.preprocess(),
        num_samples=len(split),
        batch_size=scoring.batch_size,
        precision=scoring.precision,
        what=f"embeddings of {name}",
        progress=context.progress,
    )
    again = _outputs(embedding, layer)
    # a twentieth of their size: much more than the error of half precision, much less than the effect of a further layer
    if again.shape != logits.shape or np.abs(again - logits).max() > 0.05 * np.abs(logits).max():
        raise InputError(
            "The model's output differs from its last linear layer's output, so retraining that layer would not work",
            "Use a model that ends in a linear layer, and registers that one last.",
        )
    return embedding


def _outputs(embedding: NDArray[np.float32], layer: nn.Linear) -> NDArray[np.float32]:
    weight, bias = (part.detach().float().cpu().numpy() for part in (layer.weight, layer.bias))
    return np.asarray(embedding @ weight.T + bias)


def _put(layer: nn.Linear, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> nn.Linear:
    """`layer` with these weights. Raises InputError if they have other shapes or are not finite."""
    for name, found, place in (("weight", weight, layer.weight), ("bias", bias, layer.bias)):
        if found.shape != tuple(place.shape) or not np.isfinite(found).all():
            raise InputError(
                f"The method returned a {name} {list(found.shape)} for one of {list(place.shape)}, or values that are not finite",
                "See spurcli.training.method.LastLayerMethod for what it returns.",
            )
        with torch.no_grad():
            place.copy_(torch.from_numpy(found))
    return layer
