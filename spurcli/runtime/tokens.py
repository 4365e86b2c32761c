"""Texts as token ids: tokenised once, then batches of similar length, padded to their longest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from spurcli.datasets import Texts
from spurcli.errors import InputError
from spurcli.progress import Progress, Silent
from spurcli.randomness import generator
from spurcli.runtime.feed import WHOLE, batch_bounds, own_part

WORDS = "words"
_MAX_WORDS, _MIN_COUNT = 20_000, 2
_PAD, _UNKNOWN, _START, _END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
_BLOCK = 4096
_BUCKET_BATCHES = 50


@dataclass(frozen=True)
class TextTokenizer:
    """A tokeniser of the `tokenizers` library; `sha256` is that of all that decides its ids."""

    tokenizer: Tokenizer
    pad_id: int
    max_length: int
    sha256: str

    @classmethod
    def build(cls, tokenizer: Tokenizer, pad_id: int, max_length: int) -> TextTokenizer:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length)
        digest = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
        return cls(tokenizer, pad_id, max_length, digest)

    @property
    def vocab_size(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def encode(self, texts: Texts, progress: Progress | None = None) -> Tokens:
        """Token ids of all `texts`, of a pair the longer cut first, at most `max_length` of them with the special ones."""
        report = progress or Silent()
        report.start("tokenising", len(texts))
        ids, lengths, firsts = [], [], []
        for begin in range(0, len(texts), _BLOCK):
            columns = [column[begin : begin + _BLOCK] for column in texts.columns]
            block = list(columns[0]) if len(columns) == 1 else list(zip(*columns, strict=True))
            encodings = self.tokenizer.encode_batch_fast(block)
            ids.append(np.fromiter(chain.from_iterable(one.ids for one in encodings), dtype=np.int32))
            lengths += [len(one.ids) for one in encodings]
            firsts += [len(one.ids) - sum(one.type_ids) for one in encodings]
            report.advance(len(block))
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Tokens(np.concatenate(ids), start, np.array(firsts, dtype=np.int32))


@dataclass(frozen=True)
class Tokens:
    """Token ids of n texts end to end: `ids` int32 [total], text i at start[i]:start[i + 1] (`start` int64 [n + 1]).

    The first `first` int32 [n] of them are of the first text, the others of the second.
    """

    ids: NDArray[np.int32]
    start: NDArray[np.int64]
    first: NDArray[np.int32]


def words_tokenizer(train: Texts, max_length: int) -> TextTokenizer:
    """The lower-cased words that occur at least twice in the training texts, 20,000 at most; others are unknown.

    A function of the training texts: equal texts give equal ids, whatever the order.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [_PAD, _UNKNOWN, _START, _END]
    trainer = trainers.WordLevelTrainer(
        vocab_size=_MAX_WORDS, min_frequency=_MIN_COUNT, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(chain(*train.columns), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}",
        pair=f"{_START} $A {_END} $B:1 {_END}:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (_START, _END)],
    )
    return TextTokenizer.build(tokenizer, 0, max_length)


def folder_tokenizer(folder: Path, max_length: int) -> TextTokenizer:
    """The tokeniser of a local transformers folder. Raises InputError if there is none, or only a slow one."""
    from transformers import AutoTokenizer

    if not folder.is_dir():
        raise InputError(
            f"No tokeniser: the folder {folder} does not exist",
            "Put it there, or name another with --set model.options.path=FOLDER (save_pretrained makes one).",
        )
    try:
        loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True)
    except Exception as error:  # a damaged folder raises almost anything
        raise InputError(
            f"The tokeniser in {folder} cannot be loaded ({' '.join(str(error)[:100].split())})", "Save it again."
        ) from error
    tokenizer, pad_id = getattr(loaded, "backend_tokenizer", None), loaded.pad_token_id
    if not isinstance(tokenizer, Tokenizer):
        raise InputError(f"The tokeniser in {folder} has no tokenizer.json", "Use a fast tokeniser.")
    if pad_id is None:
        raise InputError(
            f"The tokeniser in {folder} has no padding token",
            "In Python: tokenizer.pad_token = tokenizer.eos_token, or another, then tokenizer.save_pretrained(FOLDER).",
        )
    return TextTokenizer.build(tokenizer, int(pad_id), max_length)


def padded_length(longest: int, most: int, device: torch.device) -> int:
    """The width of a batch: on CUDA a multiple of 8, for tensor cores, but within `most`, the longest of all texts.

    A model has positions for max_length tokens and no more, which need not be a multiple of 8.
    """
    return min(-(-longest // 8) * 8, most) if device.type == "cuda" else longest


@dataclass(frozen=True)
class TextFeed:
    """Reads token ids by position as a dict of int64 [m, longest of the batch] on `device`.

    `input_ids`, `attention_mask` (1 where a token is), `token_type_ids` (1 in the second text), as transformers has them.
    """

    inputs: Texts
    device: torch.device
    tokens: Tokens
    pad_id: int
    on_device: tuple[torch.Tensor, torch.Tensor, torch.Tensor]

    @classmethod
    def build(
        cls,
        inputs: Texts,
        device: torch.device,
        tokenizer: TextTokenizer,
        progress: Progress | None = None,
        tokens: Tokens | None = None,
    ) -> TextFeed:
        """Tokenise `inputs`, unless their `tokens` exist already."""
        tokens = tokens or tokenizer.encode(inputs, progress)
        on_device = tuple(torch.from_numpy(array).to(device) for array in (tokens.ids, tokens.start, tokens.first))
        return cls(inputs, device, tokens, tokenizer.pad_id, on_device)  # type: ignore[arg-type]

    @property
    def length(self) -> NDArray[np.int64]:
        """Number of tokens of each text, int64 [n]."""
        return np.diff(self.tokens.start)

    def training_order(self, order: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> NDArray[np.int64]:
        """`order` rearranged so that batches hold texts of similar length: a function of (order, seed, epoch).

        Stretches of 50 batches (of a quarter of the order if that is less) are sorted by length and their batches
        shuffled: texts of one length share a batch only if they are in the same stretch, so no two epochs
        have the same batches. The last, smaller batch is drawn before any sorting and stays the last.
        """
        rng, length = generator("buckets", seed, epoch), self.length
        num_full = len(order) // batch_size * batch_size
        reach = batch_size * min(_BUCKET_BATCHES, max(num_full // batch_size // 4, 1))
        pieces = []
        for begin in range(0, num_full, reach):
            stretch = order[begin : min(begin + reach, num_full)]
            batches = stretch[np.argsort(length[stretch], kind="stable")].reshape(-1, batch_size)
            pieces.append(rng.permutation(batches).ravel())
        return np.concatenate([*pieces, order[num_full:]])

    def reading_order(self, begin: int, end: int) -> NDArray[np.int64]:
        """Positions begin … end − 1 from the shortest text to the longest: the cheapest order if order does not matter."""
        return begin + np.argsort(self.length[begin:end], kind="stable")

    def batches(
        self,
        order: NDArray[np.int64],
        batch_size: int,
        first: int = 0,
        share: slice = WHOLE,
        *,
        joins_lone: bool = False,
    ) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
        """Yield (index int64 [m], token ids) for consecutive batches of `order`, starting with batch number `first`."""
        length = self.length
        most = int(length.max())
        positions = torch.from_numpy(order).to(self.device)  # at once: a batch's would wait for the device
        for bounds in batch_bounds(len(order), batch_size, joins_lone=joins_lone)[first:]:
            begin, end = own_part(*bounds, share, joins_lone=joins_lone)
            longest = int(length[order[begin:end]].max(initial=0))
            index = positions[begin:end]
            yield index, self._padded(index, padded_length(longest, most, self.device))

    def _padded(self, index: torch.Tensor, width: int) -> dict[str, torch.Tensor]:
        ids, start, first = self.on_device
        place = torch.arange(width, device=self.device)
        begin = start[index, None]
        there = place < start[index + 1, None] - begin
        chosen = ids[(begin + place).clamp_(max=len(ids) - 1)].long()
        return {
            "input_ids": torch.where(there, chosen, self.pad_id),
            "attention_mask": there.long(),
            "token_type_ids": ((place >= first[index, None]) & there).long(),
        }
