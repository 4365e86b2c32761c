"""Token ids from the cache are those that the tokeniser gives; other texts, tokenisers and damage are not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spurcli.datasets import Dataset, Split, Texts
from spurcli.datasets.cache import cached_folder
from spurcli.errors import InputError
from spurcli.progress import Silent
from spurcli.runtime.token_cache import cache_tokens, cached_tokens, token_key
from spurcli.runtime.tokens import TextTokenizer, Tokens, words_tokenizer

WORDS = ["a", "the", "cat", "dog", "sat", "ran", "home", "mat", "on", "not"]


def texts(seed: int, number: int, columns: int = 2) -> Texts:
    rng = np.random.default_rng(seed)
    return Texts(
        tuple([" ".join(rng.choice(WORDS, rng.integers(0, 9))) for _ in range(number)] for _ in range(columns))
    )


TRAIN = texts(0, 40)


@pytest.fixture
def tokenizer() -> TextTokenizer:
    return words_tokenizer(TRAIN, 12)


def dataset(*others: Texts) -> Dataset:
    names = ("train", "val", "test")
    splits = {
        name: Split(np.arange(len(inputs)) % 2, inputs) for name, inputs in zip(names, (TRAIN, *others), strict=False)
    }
    return Dataset("texts", ("even", "odd"), splits)


def write(root, tokenizer, *others: Texts) -> list[str]:
    return [facts["done"] for facts in cache_tokens(dataset(*others), tokenizer, root, Silent()).values()]


def same(first: Tokens, second: Tokens) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        and getattr(first, name).dtype == getattr(second, name).dtype
        for name in ("ids", "start", "first")
    )


@pytest.mark.parametrize("columns", [1, 2])
def test_the_same_ids_as_without(tmp_path, tokenizer, columns):
    others = texts(1, 7, columns), texts(2, 1, columns)
    assert cached_tokens(TRAIN, tokenizer, tmp_path) is None
    assert write(tmp_path, tokenizer, *others) == ["written"] * 3
    for each in (TRAIN, *others):
        assert same(cached_tokens(each, tokenizer, tmp_path), tokenizer.encode(each))
    assert write(tmp_path, tokenizer, *others) == ["there"] * 3
    assert cached_tokens(TRAIN, tokenizer, None) is None
    assert cached_tokens(TRAIN, tokenizer, tmp_path / "none") is None


def test_other_texts_and_tokenisers_have_a_key_of_their_own(tokenizer):
    one, two = TRAIN.columns
    others = [
        Texts((two, one)),
        Texts((one,)),
        Texts((one, [*two[:-1], two[-1] + " "])),
        Texts((["x", *one[1:]], two)),
        Texts((["a", "b"],)),
        Texts((["a\nb", ""],)),
        Texts((["a"], ["b"])),
        Texts((["ab"], [""])),
    ]
    keys = [json.dumps(token_key(each, tokenizer)) for each in (TRAIN, *others)]
    keys += [
        json.dumps(token_key(TRAIN, other)) for other in (words_tokenizer(TRAIN, 11), words_tokenizer(others[1], 12))
    ]
    assert len(set(keys)) == len(keys)
    assert token_key(Texts((tuple(one), list(two))), tokenizer) == token_key(TRAIN, tokenizer)


def test_a_tokeniser_that_changed_its_mind_is_found(tmp_path, tokenizer):
    """As another release of its library might: the same description, other ids."""
    write(tmp_path, tokenizer)
    other = words_tokenizer(Texts((["not on mat home ran sat dog cat the a"] * 2,)), 12)
    changed = TextTokenizer(other.tokenizer, other.pad_id, other.max_length, tokenizer.sha256)
    with pytest.raises(InputError, match="the tokeniser gives different token ids now"):
        cached_tokens(TRAIN, changed, tmp_path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("start", np.zeros(40, np.int64)),
        ("start", np.zeros(0, np.int64)),
        ("start", np.arange(41)),
        ("start", np.r_[0, 9, 3, np.full(37, 400), 401]),
        ("first", np.zeros(39, np.int32)),
        ("first", np.zeros((40, 1), np.int32)),
        ("ids", np.zeros(3, np.int32)),
        ("ids", np.zeros(3, np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_made_again(tmp_path, tokenizer, name, array):
    write(tmp_path, tokenizer)
    folder = cached_folder(tmp_path, token_key(TRAIN, tokenizer))
    np.save(folder / f"{name}.npy", array)
    manifest = json.loads((folder / "cache.json").read_text())
    manifest["arrays"][name] |= {"shape": list(array.shape), "dtype": array.dtype.str}
    (folder / "cache.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="it does not hold"):
        cached_tokens(TRAIN, tokenizer, tmp_path)
    assert write(tmp_path, tokenizer) == ["replaced"]
    assert same(cached_tokens(TRAIN, tokenizer, tmp_path), tokenizer.encode(TRAIN))


OWN = """
from spurcli.datasets import Dataset, Split, Texts
import numpy as np

def load(*, data_root):
    rng = np.random.default_rng(0)
    words = "a the cat dog sat ran home mat on not".split()
    splits = {}
    for name, number in (("train", 30), ("val", 9), ("test", 8)):
        texts = Texts(([" ".join(rng.choice(words, 5)) for _ in range(number)],))
        splits[name] = Split(np.arange(number) % 2, texts)
    return Dataset("own", ("even", "odd"), splits)
"""


def test_every_stage_uses_them_and_an_injected_set_has_its_own(spurcli, tmp_path, monkeypatch):
    monkeypatch.setenv("SPURCLI_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own.py").write_text(OWN)
    quick = ("--recipe", "multinli-cpu", "--set", "training.epochs=1", "--set", "model.options.width=8")
    again = ("--set", "dataset.name=own.py:load")
    inject = ("--dataset", "own.py:load", "--feature", "word", "--class", "even", "--count", "5")
    assert spurcli("inject", *inject, "--recipe", "multinli-cpu").code == 0
    first = spurcli("data", "cache", "own.py:load", *quick[:2], "--json").json["splits"]
    second = spurcli("data", "cache", "inject.json", *quick[:2], *again, "--json").json["splits"]
    assert {name: facts["done"] for name, facts in first.items()} == dict.fromkeys(("train", "val", "test"), "written")
    assert len(second) == 5
    encoded, right = [], TextTokenizer.encode

    def counting(self, texts, progress=None):
        encoded.append(len(texts))
        return right(self, texts, progress)

    monkeypatch.setattr(TextTokenizer, "encode", counting)
    for name in ("own.py:load", "inject.json"):
        words = ("--dataset", name, *(again if name == "inject.json" else ()), *quick)
        assert spurcli("score", *words, "--epoch", "1", "--force").code == 0
        assert spurcli("train", *words, "--keep", "all", "--force").code == 0
        assert spurcli("evaluate", *words[: 4 if name == "inject.json" else 2]).code == 0
    assert encoded
    assert set(encoded) == {5}  # those that are compared
