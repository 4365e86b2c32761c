"""How scores.h5 is made for what was audited: the words of `spurcli score` to type, as far as they are known."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spurcli.artifacts.provenance import lineage_of
from spurcli.recipes import is_own, read_recipe
from spurcli.registry import is_user_code
from spurcli.requests.evaluate import EvaluateRequest
from spurcli.requests.options import ROLES, words_of
from spurcli.requests.score import ScoreRequest
from spurcli.settings import own_code

# Flags that mean the same for train and score.
_COLUMNS = tuple("--" + name.replace("_", "-") for name in ROLES)
_SHARED = ("--dataset", "--recipe", "--model", "--set", "--data-root", *_COLUMNS)


def score_words_of_table(asked: Any) -> list[str]:
    """The words for a table of predictions: its columns."""
    names = ("predictions", "label", "proba", "logit", "id", "split_column", "set")
    return words_of("score", ScoreRequest(**{name: getattr(asked, name) for name in names}))[1:]


def evaluate_words_of_table(asked: Any) -> list[str]:
    """The words that evaluate a table of predictions, without its groups."""
    names = ("predictions", "label", "proba", "logit", "id", "split_column", "set")
    return words_of("evaluate", EvaluateRequest(**{name: getattr(asked, name) for name in names}))


def score_words_of_model(checkpoint: Path) -> list[str]:
    """The words for a model: the command that scored its data, else the data and settings of its training. None for user code,
    which a file must not suggest to run."""
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
    from spurcli.artifacts.model_folder import weights_file

    made = read_checkpoint_metadata(weights_file(checkpoint), required=False).get("provenance") or {}
    return words_of_lineage([line for line in (_split(line) for line in lineage_of(made)) if line])


def words_of_lineage(lines: Sequence[list[str]]) -> list[str]:
    found = next((line[2:] for line in lines if line[:2] == ["spurcli", "score"]), None)
    if found is not None and "-o" in found:  # the next line reads scores.h5
        place = found.index("-o")
        found = found[:place] + found[place + 2 :]
    if found is None:
        trained = next((line[2:] for line in lines if line[:2] == ["spurcli", "train"]), [])
        found = [word for place, flag in enumerate(trained) for word in _taken(trained, place, flag)]
    is_named = any(word.split("=")[0] == "--dataset" for word in found) or _recipe_names_data(found)
    return found if is_named and not any(is_user_code(word.split("=")[-1]) for word in found) else []


def _recipe_names_data(words: Sequence[str]) -> bool:
    """Whether the words name a recipe of the user's own that is there, names the data and no code."""
    named = next((words[place + 1] for place, word in enumerate(words[:-1]) if word == "--recipe"), "")
    if not (is_own(named) and Path(named).is_file()):
        return False
    recipe = read_recipe(named)
    return bool((recipe.get("dataset") or {}).get("name")) and not own_code(recipe)


def _taken(words: Sequence[str], place: int, flag: str) -> Sequence[str]:
    if flag in _SHARED:
        return words[place : place + 2]
    return [flag] if flag.split("=")[0] in _SHARED and "=" in flag else []


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []
