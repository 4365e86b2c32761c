"""Flags that were renamed before 1.0: the old name works for one release and prints the new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Command → old flag → new flag. An old name must not be a flag of the same command again.
RENAMED: Mapping[str, Mapping[str, str]] = {
    "score": {"--score": "--add-score"},
    "prune": {"--groups": "--group-labels"},
    "train": {"--groups": "--group-labels", "--checkpoints": "--save-epochs", "--steps": "--same-steps"},
    "infer": {"--errors": "--save-errors"},
}


def with_new_names(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words of a command line with new flags in place of old ones, and the old → new pairs that were found.

    The command is recorded with the new names, so that later versions can run it again.
    """
    renamed = RENAMED.get(argv[0], {}) if argv else {}
    words, found = [], {}
    for word in argv:
        flag, equals, value = word.partition("=")
        if flag in renamed:
            found[flag] = renamed[flag]
            word = f"{renamed[flag]}{equals}{value}"
        words.append(word)
    return words, found
