"""Scoring speed: all scores of a pass, compared with a plain EL2N loop, a plain forward pass, and one image at a time.

    python benchmarks/score.py [--repeats 9] [--tiny]

All sides run alternately (A B C D, A B C D …) in this process, with the same model and pixels. spurcli computes and checks all scores and
writes them to scores.h5; the plain loops keep their values in memory. Scores on request (--add-score k_centre
takes time n²) are not included. All sides keep freed memory, as `spurcli score` does. `--tiny`: see train.py.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from train import TINY_SAMPLES, TINY_SIDE, asked, race, run_context  # the module beside this one

from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, open_scores, write_scores
from spurcli.registries import SCORES
from spurcli.runtime.context import RunContext
from spurcli.runtime.feed import ImageFeed
from spurcli.runtime.malloc import keep_freed_memory
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


def forward(
    context: RunContext, feed: ImageFeed, model: nn.Module, batch_size: int, num_samples: int
) -> Iterator[torch.Tensor]:
    """A hand-written loop: slice the pixels, normalise them, run the model; the logits of each batch."""
    assert feed.pixels is not None
    preprocess = context.preprocess()
    layout = torch.channels_last if preprocess.channels_last else torch.contiguous_format
    model.eval()
    with torch.inference_mode():
        for start in range(0, num_samples, batch_size):
            pixels = feed.pixels[start : start + batch_size]
            inputs = pixels.float().mul_(preprocess.scale).add_(preprocess.shift)
            yield model(inputs.contiguous(memory_format=layout))


def bare_forward(*arguments: Any) -> torch.Tensor:
    return torch.cat(list(forward(*arguments)))


def bare_el2n(label: torch.Tensor, *arguments: Any) -> torch.Tensor:
    """EL2N by its definition, and nothing else; the values stay in memory."""
    found = []
    with torch.inference_mode():
        for logits, of_batch in zip(forward(*arguments), label.split(arguments[3]), strict=True):
            error = torch.softmax(logits, dim=1)
            error[torch.arange(len(of_batch)), of_batch] -= 1
            found.append(torch.linalg.vector_norm(error, dim=1))
    return torch.cat(found)


CASES = {
    # name: recipe, batch, samples, image, samples for one at a time
    "demo's mlp": ("demo", 512, 100_000, (16, 16, 1), 2000),
    "small_cnn": ("cifar10-cpu", 128, 12_288, (32, 32, 3), 512),
    "ResNet-20": ("cifar10", 64, 2048, (32, 32, 3), 128),
}


def check(scores: Path, found: NDArray[np.float32], name: str) -> None:
    """The values are those of the bare loop, whose form loses digits by cancellation."""
    with open_scores(scores) as reader:
        np.testing.assert_allclose(reader.values("el2n", 0), found, rtol=1e-4, atol=1e-5, err_msg=name)


def main() -> None:
    repeats, tiny = asked(__doc__ or "")
    if not tiny:
        keep_freed_memory()
    taken = [name for name in SCORES.entries if name not in ON_DEMAND]
    print(f"{'':12}{'samples':>9}   speed (fastest, median of pairs) relative to")
    print(f"{'':12}{'a second':>9}   a bare EL2N loop   a bare forward   one image at a time")
    for name, (recipe, batch, num_samples, shape, num_single) in CASES.items():
        if tiny:
            num_samples, shape, num_single = TINY_SAMPLES, (TINY_SIDE, TINY_SIDE, shape[2]), 4
        context = run_context(configure(recipe=recipe, overrides={"scoring.batch_size": batch}), num_samples, shape)
        train, model = context.dataset.splits["train"], context.model(0)
        feed, label = context.feed(train.inputs), torch.from_numpy(train.label)
        with tempfile.TemporaryDirectory() as folder:
            sides = (
                partial(score, context, feed, model, taken, Path(folder)),
                partial(bare_el2n, label, context, feed, model, batch, num_samples),
                partial(bare_forward, context, feed, model, batch, num_samples),
                partial(bare_forward, context, feed, model, 1, num_single),
            )
            ours, el2n, bare, single = race(sides, repeats)
            found = bare_el2n(label, context, feed, model, batch, num_samples).numpy()
            check(Path(folder) / "scores.h5", found, name)
        single = [seconds * num_samples / num_single for seconds in single]
        texts = []
        for other in (el2n, bare, single):
            ratios = [b / a for a, b in zip(ours, other, strict=True)]
            texts.append(f"{min(other) / min(ours):.3f}, {statistics.median(ratios):.3f}")
        print(f"{name:12}{num_samples / min(ours):9,.0f}   {texts[0]:19}{texts[1]:17}{texts[2]}", flush=True)


if __name__ == "__main__":
    main()
