"""The stage `data embed`: every sample of a data set as the embedding that a frozen model gives it. Writes embeddings.h5."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spurcli.artifacts.catalogue import EMBEDDINGS
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.embeddings import (
    Columns,
    EmbeddedSplit,
    Embeddings,
    read_column_names,
    read_columns,
    read_embeddings,
    read_embeddings_header,
    write_embeddings,
)
from spurcli.artifacts.envelope import JsonObject, sha256_of_json
from spurcli.artifacts.injection import injection_parents
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.provenance import Parent, Provenance, portable_path, provenance
from spurcli.artifacts.space import require_writable
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.datasets import Dataset, Inputs, Texts, Vectors
from spurcli.datasets.own.all_columns import columns_of, short_columns
from spurcli.datasets.tables import listed
from spurcli.embedding.layers import LAYERS, chosen_layer, sha256_of_backbone
from spurcli.embedding.partial import Partial
from spurcli.embedding.passes import embed_part, width_of
from spurcli.errors import InputError, SpurError, SpurWarning
from spurcli.finished import Output, is_complete
from spurcli.identity import RunIdentity
from spurcli.progress import Progress, Silent
from spurcli.results import EmbedResult
from spurcli.runtime.context import RunContext
from spurcli.settings import Settings
from spurcli.training.state import state_folder

# Registered models that include trained weights; others need a file.
_PRETRAINED = ("efficientnet_lite0", "transformers")


def embed(
    settings: Settings,
    *,
    checkpoint: Path | None = None,
    layer: str = "",
    output: Path = Path("embeddings.h5"),
    force: bool = False,
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> EmbedResult:
    """Embed every split of the data set in `settings`, and the twins of an injected one, each sample once.

    The model is that of the settings with its pretrained weights, or comes from `checkpoint`; `layer` is one of
    `spurcli.embedding.layers.LAYERS`. Inputs are prepared as in evaluation, without augmentation.

    An interrupted call resumes from OUTPUT.state/; a finished one is not repeated, another's output is replaced only with `force`.
    """
    report = progress or Silent()
    checkpoint = weights_file(checkpoint) if checkpoint else None
    context = RunContext.open(settings, report, pretrained=checkpoint is None)
    dataset, world = context.dataset, context.world
    if isinstance(dataset.splits["train"].inputs, Vectors):
        raise InputError(f"{dataset.name} already holds embeddings", "Name the images or texts: data embed photos/")
    layer = chosen_layer(
        layer,
        model=settings.model.name,
        is_text=isinstance(dataset.splits["train"].inputs, Texts),
        is_trained=checkpoint is not None,
    )
    parents = [*injection_parents(settings.injection_path)]
    if checkpoint:
        metadata = read_checkpoint_metadata(checkpoint, required=False)
        context.require_own(metadata, str(checkpoint), InjectionPolicy.of(allow_injection_mismatch))
        parents.append(Parent.of(checkpoint, metadata.get("provenance")))
    made = provenance(
        "data embed",
        command=command,
        settings=settings.to_json(),
        arguments={"layer": layer},
        parents=parents,
    )
    identity = sha256_of_json(RunIdentity.of(made).to_json())
    world.require_same(identity, "settings or files")
    fingerprint = dataset.splits["train"].fingerprint
    outputs = [Output(output, EMBEDDINGS)]
    if world.first(lambda: is_complete(outputs, made, fingerprint, force=force, say=report.say)):
        world.first(lambda: _require_same_weights(output, _model(context, checkpoint), layer))
        world.first(lambda: _bring_up_to_date(output, dataset, _columns(context), report))
        return world.first(lambda: _summary(output, dataset))
    model = _model(context, checkpoint)
    if settings.training.channels_last:
        model.to(memory_format=torch.channels_last)
    width = width_of(context, model, layer)
    report.say(f"The embedding is {LAYERS[layer]}: {width:,} numbers for each sample")
    parts = _parts(dataset)
    sizes = {name: len(inputs) for name, inputs in parts.items()}
    backbone = _backbone(context, model, layer, width, checkpoint)
    with state_folder(output, world) as folder:
        world.first(lambda: require_writable(output, 8 * width * sum(sizes.values())))  # rows, then the file
        of_work = sha256_of_json(
            [identity, backbone, [split.fingerprint.to_json() for split in dataset.splits.values()]]
        )
        partial = Partial.open(folder, of_work, width, sizes, replace_other=force) if world.is_first else None
        for name, inputs in parts.items():
            embed_part(context, model, layer, inputs, name, partial)
        if partial:
            write_embeddings(output, _embeddings(dataset, partial, backbone, made, _columns(context)))
    world.barrier()
    return world.first(lambda: _summary(output, dataset))


def _model(context: RunContext, checkpoint: Path | None) -> nn.Module:
    """The frozen model. Warns if its weights are random."""
    if checkpoint:
        is_ours = bool(read_checkpoint_metadata(checkpoint, required=False))
        return context.restored(checkpoint, is_ours=is_ours)[0]
    part = context.settings.model
    trained = part.options.get("weights") or (part.name in _PRETRAINED and part.options.get("pretrained", True))
    if context.model_called and not trained:
        message = f"{context.model_called} has random weights, so its embeddings are of little use. Name weights (--set model.options.weights=FILE) or a trained model (--checkpoint FILE)"
        warnings.warn(message, SpurWarning, stacklevel=3)
    return context.model(context.settings.seed)


def _require_same_weights(output: Path, model: nn.Module, layer: str) -> None:
    """Raise SpurError where a finished file was made by other weights: a file or folder of weights is known by its name alone."""
    _, backbone, _ = read_embeddings_header(output)
    if backbone.get("weights_sha256") != sha256_of_backbone(model, layer):
        raise SpurError(
            f"{output} was made by a model with other weights", "Choose another with -o, or replace it with --force."
        )


def _columns(context: RunContext) -> Columns:
    """The columns of the data set's table that the file keeps, since it must be enough on another machine; {} of other data sets.

    A warning names those that it does not keep: of many different texts, or long ones.
    """
    settings = context.settings
    if settings.dataset.name != "table" or settings.dataset.injection is not None:
        return {}
    kept, others = short_columns(columns_of(context.dataset, settings.dataset.options, settings.data_root))
    if others:
        warnings.warn(
            SpurWarning(f"The embeddings keep columns of numbers or few short values only, not: {listed(others)}"),
            stacklevel=3,
        )
    return kept


def _bring_up_to_date(output: Path, dataset: Dataset, columns: Columns, report: Progress) -> None:
    """Write the groups and columns of a finished file again where the table has others now: the embeddings stay as they are."""
    found = read_embeddings(output)
    for name, split in dataset.splits.items():
        if name not in found.splits or found.splits[name].fingerprint.difference(split.fingerprint):
            raise SpurError(
                f"{output} has other samples in split {name!r}", "Choose another with -o, or replace it with --force."
            )
    splits = {name: replace(found.splits[name], attribute=split.attribute) for name, split in dataset.splits.items()}
    is_same = (found.attribute_names, read_columns(output)) == (dataset.attribute_names, columns) and all(
        np.array_equal(_codes(split.attribute), _codes(found.splits[name].attribute)) for name, split in splits.items()
    )
    if is_same:
        report.say(f"{output} is already complete; nothing to do")
        return
    write_embeddings(output, replace(found, splits=splits, attribute_names=dataset.attribute_names, columns=columns))
    report.say(f"{output} is already complete; only its columns and groups were written again")


def _codes(attribute: NDArray[np.int64] | None) -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64) if attribute is None else attribute


def _twin_part(split: str) -> str:
    return f"{split}, all with the feature"


def _parts(dataset: Dataset) -> dict[str, Inputs]:
    """The inputs of every split, and of the twins."""
    parts = {name: split.inputs for name, split in dataset.splits.items()}
    return parts | {_twin_part(name): twin.inputs for name, twin in (dataset.twins or {}).items()}


def _backbone(context: RunContext, model: nn.Module, layer: str, width: int, checkpoint: Path | None) -> JsonObject:
    """The description in the file of the model that made it."""
    stored = context.settings.to_json()
    return {
        "model": stored["model"]["name"],
        "options": stored["model"]["options"],
        "layer": layer,
        "num_dimensions": width,
        "weights_sha256": sha256_of_backbone(model, layer),
        "checkpoint": portable_path(str(checkpoint)) if checkpoint else None,
        "preprocessing": stored["preprocessing"],
        "precision": stored["scoring"]["precision"],
    }


def _embeddings(
    dataset: Dataset, partial: Partial, backbone: JsonObject, made: Provenance, columns: Columns
) -> Embeddings:
    twins = dataset.twins or {}
    return Embeddings(
        name=dataset.name,
        class_names=dataset.class_names,
        splits={
            name: EmbeddedSplit(
                embedding=partial.rows(name),
                label=split.label,
                fingerprint=split.fingerprint,
                attribute=split.attribute,
                sample_id=None if split.sample_id is None else tuple(split.sample_id),
                twin_index=np.asarray(twins[name].index) if name in twins else None,
                twin_embedding=partial.rows(_twin_part(name)) if name in twins else None,
            )
            for name, split in dataset.splits.items()
        },
        backbone=backbone,
        provenance=made,
        attribute_names=dataset.attribute_names,
        confusion=dataset.confusion,
        injection=dataset.injection,
        injection_sha256=dataset.injection_sha256,
        columns=columns,
    )


def _summary(output: Path, dataset: Dataset) -> EmbedResult:
    """A summary of the finished file."""
    _, backbone, _ = read_embeddings_header(output)
    return {
        "output": str(output),
        "num_samples": sum(len(split) for split in dataset.splits.values()),
        "num_dimensions": int(backbone["num_dimensions"]),
        "splits": {name: len(split) for name, split in dataset.splits.items()},
        "columns": list(read_column_names(output)),
        "backbone": dict(backbone),
    }
