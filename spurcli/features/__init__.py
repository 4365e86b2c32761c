"""Spurious features that can be put into images. A feature is one function:

    feature(pixels uint8 [height, width, channels], rng, *, parameter=default, ...) -> uint8, same shape

`rng` (numpy.random.Generator) is the sample's own, so what is random never depends on batches or workers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from spurcli.errors import UsageError
from spurcli.parts import FEATURES
from spurcli.registry import near


def bind_feature(name: str, parameters: Mapping[str, Any]) -> Any:
    """The feature with its parameters filled in, ready to apply to an image."""
    feature = FEATURES.load(name)
    complete_parameters(feature, name, parameters)
    return functools.partial(feature, **parameters)


def complete_parameters(feature: Any, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`parameters` checked against the feature's keywords, defaults added."""
    keywords = {
        key: parameter.default
        for key, parameter in inspect.signature(feature).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    for key, value in parameters.items():
        if key not in keywords:
            raise UsageError(
                f"Feature {name!r} has no parameter {key!r}{near(key, keywords)}",
                f"It has: {', '.join(keywords)}. Set one with --set feature.KEY=VALUE",
            )
        default = keywords[key]
        number = isinstance(default, int | float) and not isinstance(default, bool)
        if number != (isinstance(value, int | float) and not isinstance(value, bool)):
            raise UsageError(
                f"Feature {name!r}: {key} = {value!r} is of the wrong kind", f"The default is {default!r}."
            )
    return {**keywords, **parameters}
