"""Token ids, batches of similar length and tokenisers, against slow loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from spurcli.datasets import Texts
from spurcli.errors import InputError
from spurcli.runtime.tokens import TextFeed, TextTokenizer, folder_tokenizer, padded_length, words_tokenizer

CPU = torch.device("cpu")
WORDS = ["the", "cat", "sat", "on", "a", "mat", "never", "dog"]


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(count)]


PAIRS = Texts((sentences(60, 1), sentences(60, 2)))


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return words_tokenizer(PAIRS, 16)


@pytest.fixture(scope="module")
def feed(tokenizer) -> TextFeed:
    return TextFeed.build(PAIRS, CPU, tokenizer)


def encoded(tokenizer: TextTokenizer, first: str, second: str) -> tuple[list[int], list[int]]:
    """Ids and types of a pair that needs no cutting."""
    start, end = (tokenizer.tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    one, two = ([tokenizer.tokenizer.token_to_id(word) for word in text.split()] for text in (first, second))
    return [start, *one, end, *two, end], [0] * (len(one) + 2) + [1] * (len(two) + 1)


def test_batches_hold_the_tokens_padded_to_the_longest(tokenizer):
    short = [row for row in range(60) if sum(len(column[row].split()) for column in PAIRS.columns) <= 13]
    texts = Texts(tuple([column[row] for row in short] for column in PAIRS.columns))
    order = np.random.default_rng(0).permutation(len(short)).astype(np.int64)
    seen = []
    for index, batch in TextFeed.build(texts, CPU, tokenizer).batches(order, 7, first=1):
        rows = [encoded(tokenizer, *(column[i] for column in texts.columns)) for i in index.tolist()]
        longest = max(len(ids) for ids, _ in rows)
        assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
        assert batch["input_ids"].tolist() == [ids + [tokenizer.pad_id] * (longest - len(ids)) for ids, _ in rows]
        assert batch["attention_mask"].tolist() == [[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]
        assert batch["token_type_ids"].tolist() == [types + [0] * (longest - len(types)) for _, types in rows]
        seen += index.tolist()
    assert seen == order[7:].tolist()


def test_what_is_too_long_is_cut_the_longer_text_first(tokenizer):
    long = Texts((["cat " * 30], ["dog mat"]))
    _, batch = next(TextFeed.build(long, CPU, tokenizer).batches(np.zeros(1, dtype=np.int64), 1))
    cat, dog, mat = (tokenizer.tokenizer.token_to_id(word) for word in ("cat", "dog", "mat"))
    assert batch["input_ids"].shape == (1, 16)
    ids = batch["input_ids"][0].tolist()
    assert ids.count(cat) == 16 - 3 - 2
    assert ids[-3:-1] == [dog, mat]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_a_training_order_is_a_shuffle_of_similar_lengths(num_samples, batch_size, seed, epoch):
    rng = np.random.default_rng(num_samples)
    length = rng.integers(1, 40, 700)
    order = rng.integers(0, 700, num_samples).astype(np.int64)  # methods may repeat samples
    tokens = type("Tokens", (), {"start": np.concatenate([[0], np.cumsum(length)])})
    feed = TextFeed(PAIRS, CPU, tokens, 0, ())
    arranged = feed.training_order(order, batch_size, seed, epoch)
    assert sorted(arranged) == sorted(order)
    assert arranged.tolist() == feed.training_order(order, batch_size, seed, epoch).tolist()
    num_full = num_samples // batch_size * batch_size
    assert arranged[num_full:].tolist() == order[num_full:].tolist()
    reach = batch_size * min(50, max(num_full // batch_size // 4, 1))
    for begin in range(0, num_full, reach):  # each stretch: sorted pieces, shuffled
        mine = length[arranged[begin : min(begin + reach, num_full)]].reshape(-1, batch_size)
        assert mine[np.lexsort((mine.max(1), mine.min(1)))].ravel().tolist() == sorted(mine.ravel())


def test_no_two_epochs_have_the_same_batches(feed):
    order = [np.random.default_rng(epoch).permutation(60).astype(np.int64) for epoch in range(4)]
    batches = [
        {frozenset(b) for b in feed.training_order(order[epoch], 4, 0, epoch).reshape(-1, 4).tolist()}
        for epoch in range(4)
    ]
    for one in range(4):
        for other in range(one):
            assert len(batches[one] & batches[other]) < 2


def test_reading_goes_from_short_to_long(feed):
    order = feed.reading_order(10, 40)
    assert sorted(order) == list(range(10, 40))
    assert (np.diff(feed.length[order]) >= 0).all()


def test_words_are_those_that_stand_twice_whatever_the_order():
    texts = ["The cat, the DOG.", "a dog once"]
    one, other = words_tokenizer(Texts((texts,)), 16), words_tokenizer(Texts((texts[::-1],)), 16)
    assert one.sha256 == other.sha256
    assert set(one.tokenizer.get_vocab()) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "dog"}
    assert one.vocab_size == 6
    assert one.tokenizer.encode("Dog cat").tokens == ["[CLS]", "dog", "[UNK]", "[SEP]"]
    assert words_tokenizer(Texts((["dog dog"],)), 16).sha256 != one.sha256
    assert words_tokenizer(Texts((texts,)), 17).sha256 != one.sha256


def save(folder: Path, pad: str | None = "<pad>") -> Path:
    inner = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "cat": 2, "dog": 3}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.enable_padding(length=50)
    inner.enable_truncation(3)
    PreTrainedTokenizerFast(tokenizer_object=inner, pad_token=pad, unk_token="<unk>").save_pretrained(folder)
    return folder


def test_a_folders_own_padding_and_cutting_are_not_used(tmp_path):
    tokenizer = folder_tokenizer(save(tmp_path / "mine"), 5)
    feed = TextFeed.build(Texts((["cat dog cat dog cat dog", "bird"],)), CPU, tokenizer)
    _, batch = next(feed.batches(np.arange(2, dtype=np.int64), 2))
    assert batch["input_ids"].tolist() == [[2, 3, 2, 3, 2], [1, 0, 0, 0, 0]]


def test_folders_without_a_usable_tokenizer_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        folder_tokenizer(tmp_path / "none", 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        folder_tokenizer(tmp_path / "empty", 8)
    assert len(str(caught.value).splitlines()) == 2  # transformers' own message has several
    with pytest.raises(InputError, match=r"no padding token\n.*pad_token = tokenizer\.eos_token"):
        folder_tokenizer(save(tmp_path / "unpadded", pad=None), 8)


def test_a_batch_is_never_padded_past_the_longest_text():
    """A model with positions for 100 tokens must not be given 104."""
    cuda = torch.device("cuda")
    for longest in range(1, 101):
        width = padded_length(longest, 100, cuda)
        assert longest <= width <= 100
        assert width % 8 == 0 or width == 100
        assert padded_length(longest, 100, CPU) == longest
