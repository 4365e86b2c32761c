"""Texts: batches of similar length compared with padding all texts to 128 tokens, and the time for tokenising.

    python benchmarks/text.py DATA_ROOT [--weights FOLDER] [--repeats 5] [--tiny]

On the MultiNLI rows of DATA_ROOT. Both sides train the same network (a BERT of 3 layers, width 384, or with `--weights` that of a
local folder) on the same samples in this process, in turn (A B A B …), and the first sees its batches through spurcli's feed.
The script prints the speedup in samples per second, for training and scoring. Tokenising is timed for 200,000 pairs.
`--tiny` only checks that the script works: one round of a very small network.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification

from spurcli.datasets import Texts
from spurcli.datasets.multinli import find_folder, read_rows
from spurcli.runtime.tokens import TextFeed, TextTokenizer, folder_tokenizer, words_tokenizer

CPU, MAX_LENGTH, BATCH = torch.device("cpu"), 128, 32


def network(vocab_size: int, folder: Path | None, *, tiny: bool) -> nn.Module:
    if folder is not None:
        model: nn.Module = BertForSequenceClassification.from_pretrained(folder, num_labels=3, num_hidden_layers=3)
        return model
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=24 if tiny else 384,
        num_hidden_layers=1 if tiny else 3,
        num_attention_heads=12,
        intermediate_size=48 if tiny else 1536,
        num_labels=3,
    )
    return BertForSequenceClassification(config)


def padded(feed: TextFeed, order: np.ndarray) -> Any:
    """Batches as in code without buckets: the given order, all padded to MAX_LENGTH."""
    for index, tokens in feed.batches(order, BATCH):
        missing = MAX_LENGTH - tokens["input_ids"].shape[1]
        yield index, {name: functional.pad(tensor, (0, missing)) for name, tensor in tokens.items()}


def train(model: nn.Module, batches: Any, label: torch.Tensor) -> None:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    for index, tokens in batches():
        loss = functional.cross_entropy(model(**tokens).logits, label[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.inference_mode()
def score(model: nn.Module, batches: Any, label: torch.Tensor) -> None:
    model.eval()
    for index, tokens in batches():
        functional.cross_entropy(model(**tokens).logits, label[index])


def cpu_seconds(call: Callable[[], object]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def race(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> str:
    ratios = []
    for round_ in range(repeats + 1):
        mine, other = cpu_seconds(ours), cpu_seconds(theirs)
        if round_:  # the first is not counted
            ratios.append(other / mine)
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})"


def tokenising(tokenizer: TextTokenizer, texts: Texts, num_pairs: int) -> None:
    repeats = -(-num_pairs // len(texts))
    many = Texts(tuple((list(column) * repeats)[:num_pairs] for column in texts.columns))
    begin, cpu = time.perf_counter(), time.process_time()
    tokens = tokenizer.encode(many)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    print(
        f"tokenising {len(many):,} pairs: {seconds:.0f} s ({cpu:.0f} s of CPU), {len(tokens.ids) / len(many):.1f} tokens a pair"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=960)
    parser.add_argument("--tiny", action="store_true", help="one round of a very small network, to see that it works")
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.repeats, arguments.samples = 1, 2 * BATCH
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = read_rows(find_folder(arguments.data_root))
    texts = Texts((rows.first, rows.second))
    tokenizer = (
        folder_tokenizer(arguments.weights, MAX_LENGTH) if arguments.weights else words_tokenizer(texts, MAX_LENGTH)
    )
    tokenising(tokenizer, texts, 2_000 if arguments.tiny else 200_000)

    # as much of an epoch as time allows: whole batches of the order, so that lengths are those of the whole set
    feed = TextFeed.build(texts, CPU, tokenizer)
    order = np.random.default_rng(0).permutation(len(texts)).astype(np.int64)
    bucketed = feed.training_order(order, BATCH, 0, 0)
    first = np.random.default_rng(1).permutation(len(texts) // BATCH)[: arguments.samples // BATCH]
    some = np.concatenate([bucketed[number * BATCH : (number + 1) * BATCH] for number in first])
    plain = order[: len(some)]
    reading = np.sort(plain)
    by_length = reading[np.argsort(feed.length[reading], kind="stable")]
    print(f"tokens a pair: {feed.length.mean():.1f} on average, {np.percentile(feed.length, 95):.0f} in 95 % at most")
    label = torch.from_numpy(rows.label)
    model = network(tokenizer.vocab_size, arguments.weights, tiny=arguments.tiny)
    for name, run, mine in (("training", train, some), ("scoring", score, by_length)):
        ours = partial(run, model, partial(feed.batches, mine, BATCH), label)
        theirs = partial(run, model, partial(padded, feed, plain), label)
        print(
            f"{name}: {race(ours, theirs, arguments.repeats)} times as many samples a second as padded to {MAX_LENGTH}"
        )


if __name__ == "__main__":
    main()
