"""The audited model as `Answers`: logits, embeddings, and answers to inputs that are not in the data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spurcli.auditing.evidence import Ask
from spurcli.datasets import ArrayImages, Inputs, Texts, Vectors
from spurcli.errors import InputError
from spurcli.models import last_linear
from spurcli.models.trial import require_logits
from spurcli.runtime.context import RunContext
from spurcli.runtime.device import autocast, memory_advice
from spurcli.runtime.forward import embed, evaluation_mode, predict_logits
from spurcli.runtime.tokens import TextFeed


class ModelAnswers:
    """One model on the samples of a context's data set, in this process alone.

    Of a head on embeddings, `embed_again` turns changed images or texts into embeddings; without it no input can be changed.
    """

    def __init__(
        self,
        context: RunContext,
        model: nn.Module,
        where: str,
        *,
        embeds: bool = True,
        embed_again: Callable[[Inputs], NDArray[np.float32]] | None = None,
    ) -> None:
        self._context, self._model, self._where, self._embed_again = context, model, where, embed_again
        self._embeds = embeds and last_linear(model) is not None
        self._kept: dict[str, tuple[NDArray[np.float32] | None, NDArray[np.float32]]] = {}

    def logits(self, split: str) -> NDArray[np.float32]:
        return self._passed(split)[1]

    def embedding(self, split: str) -> NDArray[np.float32] | None:
        return self._passed(split)[0]

    @property
    def ask(self) -> Ask | None:
        # A change of a vector does not correspond to a change of a sample.
        is_vectors = isinstance(self._context.dataset.splits["train"].inputs, Vectors)
        return None if is_vectors and self._embed_again is None else self._ask

    def _passed(self, split: str) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
        if split not in self._kept:
            context, scoring = self._context, self._context.settings.scoring
            inputs = context.dataset.split(split).inputs
            feed = context.feed(inputs)
            options: dict[str, Any] = {
                "num_samples": len(inputs),
                "batch_size": scoring.batch_size,
                "precision": scoring.precision,
                "what": f"running the model ({split})",
                "progress": context.progress,
            }
            embedding: NDArray[np.float32] | None = None
            if self._embeds:
                embedding, logits = embed(self._model, feed, context.preprocess(), **options)
            else:
                classes = len(context.dataset.class_names)
                logits = predict_logits(self._model, feed, context.preprocess(), num_classes=classes, **options)
            self._kept[split] = embedding, self._finite(logits)
        return self._kept[split]

    def _finite(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(logits).all():
            raise InputError(
                f"{self._where} gives NaN or infinity for some samples", "Use a model that has not diverged."
            )
        return logits

    def _ask(self, inputs: NDArray[np.uint8] | Sequence[tuple[str, ...]]) -> NDArray[np.float32]:
        """Logits float32 [m, classes] of pixels uint8 [m, height, width, channels] or of m tuples of texts."""
        context, num_classes = self._context, len(self._context.dataset.class_names)
        size, precision = context.settings.scoring.batch_size, context.settings.scoring.precision
        preprocess, result = context.preprocess(), np.empty((len(inputs), num_classes), dtype=np.float32)
        with evaluation_mode(self._model):
            for index, samples in self._batches(inputs, size):
                with memory_advice("scoring.batch_size", size), autocast(context.device, precision):
                    logits = self._model(preprocess.evaluation(samples))
                result[index] = require_logits(logits, num_classes).float().cpu().numpy()
        return self._finite(result)

    def _batches(self, inputs: Any, size: int) -> Any:
        context = self._context
        if self._embed_again is not None:
            if len(inputs):
                rows = torch.from_numpy(self._embed_again(_inputs_of(inputs)))
                for start in range(0, len(rows), size):
                    yield slice(start, start + size), rows[start : start + size].to(context.device)
            return
        if context.tokenizer is None:
            for start in range(0, len(inputs), size):
                pixels = torch.from_numpy(np.ascontiguousarray(inputs[start : start + size])).to(context.device)
                yield slice(start, start + size), pixels.permute(0, 3, 1, 2).contiguous()
            return
        if not len(inputs):
            return
        feed = TextFeed.build(_texts(inputs), context.device, context.tokenizer)
        for index, samples in feed.batches(feed.reading_order(0, len(inputs)), size):
            yield index.cpu().numpy(), samples


def _inputs_of(samples: NDArray[np.uint8] | Sequence[tuple[str, ...]]) -> Inputs:
    return ArrayImages(samples) if isinstance(samples, np.ndarray) else _texts(samples)


def _texts(samples: Sequence[tuple[str, ...]]) -> Texts:
    return Texts(tuple(list(column) for column in zip(*samples, strict=True)))
