"""Predictions for a split and its injected twin, once or after every epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from spurcli.evaluation.evaluated import Evaluated, evaluated_split
from spurcli.runtime.context import RunContext
from spurcli.runtime.feed import Feed
from spurcli.runtime.forward import predict_logits


@dataclass(frozen=True)
class SplitPredictor:
    """A split's pixels, kept ready so that predicting again after each epoch reads nothing twice."""

    context: RunContext
    split: str
    feed: Feed
    twin_feed: Feed | None

    @classmethod
    def open(cls, context: RunContext, split: str, *, with_twin: bool = True) -> SplitPredictor:
        twin = (context.dataset.twins or {}).get(split) if with_twin else None
        feed = context.feed(context.dataset.split(split).inputs)
        return cls(context, split, feed, context.feed(twin.inputs) if twin else None)

    def predict(self, model: nn.Module) -> Evaluated:
        dataset, settings = self.context.dataset, self.context.settings
        preprocess = self.context.preprocess()

        def logits_of(feed: Feed) -> object:
            return predict_logits(
                model,
                feed,
                preprocess,
                num_samples=len(feed.inputs),
                num_classes=len(dataset.class_names),
                batch_size=settings.scoring.batch_size,
                precision=settings.scoring.precision,
                progress=self.context.progress,
                world=self.context.world,
            )

        evaluated = evaluated_split(dataset, self.split, logits_of(self.feed))  # type: ignore[arg-type]
        if self.twin_feed is None:
            return evaluated
        assert dataset.twins is not None
        return replace(
            evaluated,
            twin_index=dataset.twins[self.split].index,
            twin_logits=logits_of(self.twin_feed),  # type: ignore[arg-type]
        )
