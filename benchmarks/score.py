"""Scoring speed: the scores that every pass takes, against a bare batched forward, el2n alone, one image at a time.

    python benchmarks/score.py [--repeats 9] [--tiny]

All sides run in this process, in turn (A B C D, A B C D …), with the same model and pixels; scores.h5 is written. Scores
that are taken only when asked (--add-score k_centre takes time n²) are not among them. `--tiny`: see train.py.
"""

from __future__ import annotations

import statistics
import tempfile
from functools import partial
from pathlib import Path

import torch
from torch import nn
from train import TINY_SAMPLES, TINY_SIDE, asked, race, run_context  # the module beside this one

from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.registries import SCORES
from spurcli.runtime.context import RunContext
from spurcli.runtime.feed import ImageFeed
from spurcli.scoring.forward import ScoredRun, score_run
from spurcli.scoring.requested import ON_DEMAND, registered_scores
from spurcli.session import configure


def score(context: RunContext, feed: ImageFeed, model: nn.Module, names: list[str], folder: Path) -> None:
    train = context.dataset.splits["train"]
    header = ScoresHeader(context.dataset.subject("train"), context.dataset.class_names, (), {})
    scores = registered_scores(names)
    with write_scores(folder / "scores.h5", header, train.label) as writer:
        for each in scores:
            writer.add_score(ScoreInfo(each.name, each.higher_is))
        score_run(context, feed, ScoredRun(model, 0, 1, ""), 0, scores, writer)


def forward(context: RunContext, feed: ImageFeed, model: nn.Module, batch_size: int, num_samples: int) -> torch.Tensor:
    """What one writes by hand: normalise a slice, run the model, keep the logits."""
    assert feed.pixels is not None
    preprocess = context.preprocess()
    model.eval()
    logits = []
    with torch.inference_mode():
        for start in range(0, num_samples, batch_size):
            pixels = feed.pixels[start : start + batch_size]
            logits.append(model(pixels.float().mul_(preprocess.scale).add_(preprocess.shift)))
    return torch.cat(logits)


CASES = {
    # name: recipe, batch, samples, image, samples for one at a time
    "demo's mlp": ("demo", 512, 100_000, (16, 16, 1), 2000),
    "small_cnn": ("cifar10-cpu", 128, 12_288, (32, 32, 3), 512),
    "ResNet-20": ("cifar10", 64, 2048, (32, 32, 3), 128),
}


def main() -> None:
    repeats, tiny = asked(__doc__ or "")
    taken = [name for name in SCORES.entries if name not in ON_DEMAND]
    print(f"{'':12}{'samples':>9}   fastest, median of pairs:")
    print(f"{'':12}{'a second':>9}   speed to a bare forward   speed to one at a time   time to el2n alone")
    for name, (recipe, batch, num_samples, shape, num_single) in CASES.items():
        if tiny:
            num_samples, shape, num_single = TINY_SAMPLES, (TINY_SIDE, TINY_SIDE, shape[2]), 4
        context = run_context(configure(recipe=recipe, overrides={"scoring.batch_size": batch}), num_samples, shape)
        model, feed = context.model(0), context.feed(context.dataset.splits["train"].inputs)
        with tempfile.TemporaryDirectory() as folder:
            sides = (
                partial(score, context, feed, model, taken, Path(folder)),
                partial(forward, context, feed, model, batch, num_samples),
                partial(score, context, feed, model, ["el2n"], Path(folder)),
                partial(forward, context, feed, model, 1, num_single),
            )
            everything, bare, alone, single = race(sides, repeats)
        single = [seconds * num_samples / num_single for seconds in single]
        texts = []
        for numerator, denominator in ((bare, everything), (single, everything), (everything, alone)):
            ratios = [a / b for a, b in zip(numerator, denominator, strict=True)]
            texts.append(f"{min(numerator) / min(denominator):6.3f}, {statistics.median(ratios):6.3f}")
        print(f"{name:12}{num_samples / min(everything):9,.0f}   {texts[0]:26}{texts[1]:25}{texts[2]}", flush=True)


if __name__ == "__main__":
    main()
