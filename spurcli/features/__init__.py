"""Spurious features that can be added to images or texts. A feature is one function:

    feature(pixels uint8 [height, width, channels], rng, *, parameter=default, ...) -> uint8, same shape
    feature(texts (one or two strings), rng, *, parameter=default, ...) -> tuple of as many strings

`rng` (numpy.random.Generator) belongs to the sample, so random values never depend on batches or workers.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.errors import InputError, UsageError
from spurcli.registries import FEATURES
from spurcli.registry import Options, near, same_kind


def bind_feature(name: str, parameters: Options, kind: Literal["images", "texts", "vectors"]) -> Any:
    """The feature with its parameters filled in, ready to apply to one sample, which is of this kind."""
    if kind == "vectors":
        raise InputError(
            "A feature cannot be injected into embeddings, only into the images or texts behind them",
            "Inject it there, then embed the result: spurcli data embed inject.json",
        )
    feature = FEATURES.load(name)
    if name in FEATURES:
        fitting = [known for known, entry in FEATURES.entries.items() if entry.facts["for"] == kind]
        if name not in fitting:
            raise UsageError(
                f"The feature {name!r} is not for {kind}",
                f"For {kind}: {', '.join(fitting)}. Your own: --feature path/to/file.py:attr",
            )
    complete_parameters(feature, name, parameters)
    return functools.partial(feature, **parameters)


def complete_parameters(feature: Any, name: str, parameters: Options) -> JsonObject:
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
        if not same_kind(value, keywords[key]):
            raise UsageError(
                f"Feature {name!r}: {key} = {value!r} is of the wrong kind", f"The default is {keywords[key]!r}."
            )
    return {**keywords, **parameters}


def gaussian(rng: np.random.Generator, deviation: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Noise of mean 0 and this standard deviation, in pixel units of 0-255."""
    if not 0 <= deviation < np.inf:
        raise UsageError(f"The noise's standard deviation {deviation} must be finite and at least 0", "Use 0 or more.")
    return rng.normal(0, deviation, shape)
