"""What is behind embeddings: the images or texts, and the frozen model, which embeds changed samples again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.subject import Subject
from spurcli.datasets import Dataset, Inputs
from spurcli.datasets.own.naming import locate
from spurcli.embedding.layers import reader, sha256_of_backbone
from spurcli.embedding.passes import embedded_batches, order_of, streaming
from spurcli.errors import InputError
from spurcli.progress import Progress, Silent
from spurcli.runtime.context import RunContext
from spurcli.runtime.distributed import ALONE
from spurcli.settings import Settings

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Behind:
    """The samples behind embeddings, and the model that made them; `layer` is the part of it that is the embedding."""

    context: RunContext
    model: nn.Module
    layer: str

    @classmethod
    def open(
        cls,
        path: Path,
        backbone: Mapping[str, Any],
        samples: Mapping[str, Fingerprint],
        settings: Settings,
        progress: Progress | None = None,
        dataset: Dataset | None = None,
    ) -> Behind:
        """Of the embeddings in `path`, whose header has `backbone`. `settings` read the samples and build the model.

        `samples` are the fingerprints of the embedded splits; `dataset` replaces the data set of `settings`. Raises InputError
        if samples, files or weights are missing, or are not those of the embeddings.
        """
        trained = backbone.get("checkpoint")
        context = RunContext.open(settings, progress or Silent(), pretrained=not trained)
        context = replace(context, dataset=dataset or context.dataset, world=ALONE)
        for split, fingerprint in samples.items():
            Subject(fingerprint, name=str(path)).require_same_samples(context.dataset.subject(split))
        if trained:
            trained = next((each for each in (path.parent / trained, Path(trained)) if each.is_file()), trained)
            is_ours = bool(read_checkpoint_metadata(Path(trained), required=False))
            model = context.restored(Path(trained), is_ours=is_ours)[0]
        else:
            model = context.model(settings.seed)
        layer = str(backbone.get("layer"))
        if backbone.get("weights_sha256") != sha256_of_backbone(model, layer):
            raise InputError(f"{path} was made by a model with other weights", "Make it again: spurcli data embed")
        return cls(context, model, layer)

    @classmethod
    def of(cls, head: RunContext, settings: Settings) -> Behind:
        """What is behind the embeddings that are the data set of `head`; else as `open`."""
        path = locate(str(head.settings.dataset.options["path"]), head.settings.data_root)
        samples = {name: split.fingerprint for name, split in head.dataset.splits.items()}
        return cls.open(path, head.dataset.backbone or {}, samples, settings, head.progress)

    @property
    def dataset(self) -> Dataset:
        return self.context.dataset

    def embed(self, inputs: Inputs, what: str = "") -> NDArray[np.float32]:
        """The embeddings float32 [m, d] of m images or texts; progress is reported if there is a word for them."""
        if not len(inputs):
            raise ValueError("no samples")  # their number of dimensions is not known
        report = self.context.progress if what else Silent()
        context = replace(self.context, progress=report)
        feed, size = streaming(context, inputs), context.settings.scoring.batch_size
        order, rows = order_of(feed, len(inputs), size), None
        report.start(f"embedding {what}", len(inputs))
        with reader(self.model, self.layer) as read:
            done = 0
            for found in embedded_batches(context, feed, read, order, size):
                if rows is None:
                    rows = np.empty((len(inputs), found.shape[1]), dtype=np.float32)
                rows[order[done : done + len(found)]] = found.numpy()
                done += len(found)
                report.advance(len(found))
        assert rows is not None
        return rows
