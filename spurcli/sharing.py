"""Data that several stage calls of one process share: loaded data sets and pixels that are ready for the device.

Nothing is shared by default. Inside `with shared():` a data set that was loaded for one stage serves the next one, as long
as its name, options, files and injection are the same. The calls must not change the shared data; none does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

_Thing = TypeVar("_Thing")
_MOST_THINGS = 8  # of a seed: the data set, the same injected, and pixels of its splits and their twins
_MOST_BYTES = 4 << 30  # bytes of pixels in addition to the newest item, which is always kept


@dataclass
class _Shelf:
    """The most recently used items, newest at the end, each with its size in bytes."""

    things: dict[Hashable, tuple[Any, int]] = field(default_factory=dict)

    def put(self, key: Hashable, thing: Any, num_bytes: int) -> None:
        self.things[key] = thing, num_bytes
        while len(self.things) > 1 and (
            len(self.things) > _MOST_THINGS or sum(size for _, size in self.things.values()) > _MOST_BYTES
        ):
            del self.things[next(iter(self.things))]


_shelf: ContextVar[_Shelf | None] = ContextVar("shelf", default=None)


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Share inside this block, also with a block around it."""
    if _shelf.get() is not None:
        yield
        return
    token = _shelf.set(_Shelf())
    try:
        yield
    finally:
        _shelf.reset(token)


def once(key: Hashable, make: Callable[[], _Thing], num_bytes: Callable[[_Thing], int] = lambda _: 0) -> _Thing:
    """The result of `make`: made once per `key` if sharing is on, otherwise at every call."""
    shelf = _shelf.get()
    if shelf is None:
        return make()
    thing, size = shelf.things.pop(key, (None, -1))
    if size < 0:
        thing = make()
        size = num_bytes(thing)
    shelf.put(key, thing, size)
    return cast(_Thing, thing)
