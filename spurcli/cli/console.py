"""Output for people: everything except results goes to stderr."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from spurcli.runtime.launch import launched


class VisibleConsole(Console):
    """Prints only its own control characters: a name in a foreign file must not control the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def visible(text: str, allowed: str = "\n\t") -> str:
    """Text in which control characters, but for those allowed, are replaced."""
    return "".join(
        character if character.isprintable() or character in allowed else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def results() -> Console:
    """A console on stdout."""
    return VisibleConsole(highlight=False)


@functools.cache
def console(*, of_errors: bool = False) -> Console:
    """The console on stderr; plain if stderr is not a terminal. With several processes only the first one prints, except for errors."""
    return VisibleConsole(stderr=True, highlight=False, quiet=not (of_errors or launched().is_first))


def say(message: str) -> None:
    """A message on stderr."""
    tell(Text(message))


def warn(message: str) -> None:
    tell(Text(message), label=Text("Warning: ", "bold yellow"))


def tell(message: Text, *, label: Text | None = None, of_errors: bool = False) -> None:
    """Print a message on stderr: on a terminal its lines end between words, elsewhere one line stays one line."""
    to = console(of_errors=of_errors)
    text = Text.assemble(*([label] if label else []), message)
    if sys.stderr.isatty():
        plain = visible(text.plain)
        for start, end in _line_ends(plain, to.width):
            to.print(text[start:end], soft_wrap=True)
    else:
        to.print(text, soft_wrap=True)


# Text that people copy stays on one line: a command with its arguments, a flag with its value.
_ARGUMENT = r"(?:-[^\s;)]+(?: (?![-(])[^\s;)]+)?|[^\s;)]*[./=_\d][^\s;)]*|[A-Z]+(?=[\s;)]|$))"
_COPIED = re.compile(rf"(?:pip install \S+|spurcli [a-z]+(?: {_ARGUMENT})*|(?<!\S)--?[a-z][\w-]*[ =][^\s;)]+)")


def _line_ends(text: str, width: int) -> list[tuple[int, int]]:
    """Where each line of `text` begins and ends, none wider than `width` except for parts that must not be broken."""
    held = {place for found in _COPIED.finditer(text) for place in range(*found.span()) if text[place] == " "}
    lines, start, last = [], 0, 0
    for place, character in enumerate(f"{text}\n"):
        if character not in " \n" or place in held:
            continue
        if place - start > width and last > start:
            lines.append((start, last))
            start = last + 1
        last = place
        if character == "\n":
            lines.append((start, place))
            start = last = place + 1
    return lines


def print_json(content: Any) -> None:
    """The result of a command on stdout, for machines."""
    import json

    sys.stdout.write(json.dumps(content, indent=1, sort_keys=True) + "\n")
