"""What a method declares about itself, so that the loop provides the right batches."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any

from spurcli.errors import InputError

_HINT = "See spurcli.training.traits.Traits for what a method can declare."


@dataclass(frozen=True)
class Traits:
    """Declared by a method as `traits = Traits(...)`, or by attributes of its own with these names.

    With `needs_embedding` each batch holds the embedding. With `fixed_order` batches are consecutive slices of the order
    as the method returns it (a text feed sorts by length otherwise). `set_size` consecutive samples of a batch stay on
    one device.
    """

    needs_embedding: bool = False
    fixed_order: bool = False
    set_size: int = 1

    @classmethod
    def of(cls, method: object, called: str = "") -> Traits:
        """The traits of a method. Raises InputError for a value of the wrong kind and for a name that is nearly a trait's."""
        name = called or type(method).__name__
        traits = getattr(method, "traits", None)
        if traits is None:
            stated = {each: getattr(method, each) for each in _names() if hasattr(method, each)}
            _refuse_misspelled(method, stated, name)
            traits = cls(**stated)
        if not isinstance(traits, cls):
            raise InputError(f"Method {name!r}: traits is {type(traits).__name__}, not Traits", _HINT)
        for each, default in _names().items():
            value = getattr(traits, each)
            if type(value) is not type(default) or (each == "set_size" and value < 1):
                kind = "a whole number, at least 1" if each == "set_size" else "True or False"
                raise InputError(f"Method {name!r}: {each} = {value!r} is not {kind}", _HINT)
        return traits


def _names() -> dict[str, Any]:
    return {each.name: each.default for each in dataclasses.fields(Traits)}


def _refuse_misspelled(method: object, stated: dict[str, Any], name: str) -> None:
    """Reject a misspelled trait, which would otherwise be ignored silently."""
    absent = [each for each in _names() if each not in stated]
    for attribute in dir(method):
        near = difflib.get_close_matches(attribute.lower(), absent, 1, 0.85)
        if near and attribute not in _names():
            raise InputError(
                f"Method {name!r} has an attribute {attribute!r}: did you mean {near[0]!r}?",
                f"Rename it. If it is something else, declare traits = Traits(...) as well. {_HINT}",
            )
