"""Predictions for a split and its injected twin, once or after every epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spurcli.evaluation.evaluated import Evaluated, evaluated_split
from spurcli.evaluation.recalls import epoch_values
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


def evaluator(
    predictors: Mapping[str, SplitPredictor], inferred: NDArray[np.int64] | None
) -> Callable[[nn.Module, int], dict[str, dict[str, object]]]:
    """The evaluation after each epoch of a training: the values of each split; `inferred` are groups of val, if any."""

    def evaluate(model: nn.Module, _epoch: int) -> dict[str, dict[str, object]]:
        predicted = {name: predictor.predict(model) for name, predictor in predictors.items()}
        world = next(iter(predictors.values())).context.world
        return world.first(
            lambda: {
                name: epoch_values(evaluated, for_rules=name == "val", inferred=inferred)
                for name, evaluated in predicted.items()
            }
        )

    return evaluate
