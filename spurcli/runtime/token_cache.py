"""Token ids in the cache: texts tokenised once, for every later stage."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np

from spurcli.artifacts.space import in_words
from spurcli.datasets import Dataset, Texts
from spurcli.datasets.cache import (
    Blocks,
    Key,
    cached_folder,
    damaged,
    is_whole,
    open_cached,
    require_space,
    write_cached,
)
from spurcli.progress import Progress
from spurcli.results import CachedSplit
from spurcli.runtime.tokens import TextTokenizer, Tokens

_KINDS = {"ids": np.dtype(np.int32), "start": np.dtype(np.int64), "first": np.dtype(np.int32)}
_NUM_COMPARED = 5


def token_key(texts: Texts, tokenizer: TextTokenizer) -> Key:
    """Everything that token ids depend on, as JSON: the texts, the tokeniser with its maximal length."""
    digest = hashlib.sha256()
    for column in texts.columns:
        digest.update(b"column\n")
        for text in column:
            encoded = text.encode(errors="surrogatepass")
            digest.update(b"%d\n%b" % (len(encoded), encoded))
    return {"kind": "tokens", "texts_sha256": digest.hexdigest(), "tokenizer_sha256": tokenizer.sha256}


def cached_tokens(texts: Texts, tokenizer: TextTokenizer, cache_root: Path | None) -> Tokens | None:
    """The token ids of `texts` if they are in the cache, a few compared with the tokeniser's current output.

    Raises InputError if the cache is damaged or differs.
    """
    if cache_root is None or not cache_root.is_dir():
        return None
    key = token_key(texts, tokenizer)
    arrays = open_cached(cache_root, key)
    if arrays is None:
        return None
    folder, found = cached_folder(cache_root, key), {name: np.array(array) for name, array in arrays.items()}
    kinds = {name: array.dtype for name, array in found.items() if array.ndim == 1}
    if kinds != _KINDS:
        raise damaged(folder, "it does not hold token ids")
    tokens = Tokens(**found)
    length = np.diff(tokens.start)
    ends = tokens.start[[0, -1]].tolist() if len(tokens.start) else []
    if not len(length) == len(tokens.first) == len(texts) or length.min() < 0 or ends != [0, len(tokens.ids)]:
        raise damaged(folder, "it does not hold these texts")
    chosen = np.unique(np.linspace(0, len(texts) - 1, _NUM_COMPARED).astype(np.int64))
    now = tokenizer.encode(Texts(tuple([column[row] for row in chosen.tolist()] for column in texts.columns)))
    theirs = np.concatenate([tokens.ids[tokens.start[row] : tokens.start[row + 1]] for row in chosen.tolist()])
    for mine, other in ((now.ids, theirs), (np.diff(now.start), length[chosen]), (now.first, tokens.first[chosen])):
        if not np.array_equal(mine, other):
            raise damaged(
                folder, "the tokeniser gives different token ids now (the tokeniser changed, or the cache is damaged)"
            )
    return tokens


def cache_tokens(
    dataset: Dataset, tokenizer: TextTokenizer, cache_root: Path, progress: Progress
) -> dict[str, CachedSplit]:
    """Write the token ids of all splits and twins; per split what was done, as `datasets.decoded.cache_images` says.

    Raises InputError if they do not fit on the disk.
    """
    found: dict[str, CachedSplit] = {}
    for name, texts in _all_texts(dataset).items():
        key = token_key(texts, tokenizer)
        folder = cached_folder(cache_root, key)
        found[name] = {"num_samples": len(texts), "done": "written", "folder": folder.name}
        if folder.exists():
            progress.say(f"Checking the cache of {name}")
            check = partial(cached_tokens, texts, tokenizer, cache_root)
            found[name]["done"] = "there" if is_whole(cache_root, key, check, progress) else "replaced"
        if found[name]["done"] == "there":
            found[name]["bytes"] = sum(array.nbytes for array in (open_cached(cache_root, key) or {}).values())
            continue
        tokens = tokenizer.encode(texts, progress)
        arrays = {each: getattr(tokens, each) for each in _KINDS}
        found[name]["bytes"] = total = sum(array.nbytes for array in arrays.values())
        require_space(cache_root, total)
        progress.say(f"Writing {in_words(total)} of token ids to {cache_root}: {name}")
        if not write_cached(cache_root, key, {each: Blocks.of(array) for each, array in arrays.items()}, progress):
            found[name]["done"] = "there"
    return found


def _all_texts(dataset: Dataset) -> dict[str, Texts]:
    inputs = {name: split.inputs for name, split in dataset.splits.items()}
    inputs |= {f"{name}, all with the feature": twin.inputs for name, twin in (dataset.twins or {}).items()}
    return {name: texts for name, texts in inputs.items() if isinstance(texts, Texts)}
