"""What the words of a configuration mean: the settings that spurcli makes of them."""

from __future__ import annotations

import argparse
import shlex

from spurcli.requests.options import parse_sets
from spurcli.session import configure
from spurcli.settings import Settings


def settings_of(words: str) -> Settings:
    """The settings behind `--dataset … --recipe … --set …`; other options are passed over."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--dataset")
    parser.add_argument("--recipe")
    parser.add_argument("--method")
    parser.add_argument("--set", action="append", dest="sets")
    known, _ = parser.parse_known_args(shlex.split(words))
    return configure(known.dataset, recipe=known.recipe, method=known.method, overrides=parse_sets(known.sets))
