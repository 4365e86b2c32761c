"""Models: any factory `(*, num_classes, **options) -> torch.nn.Module`.

A factory that also takes `input_shape` is given (channels, height, width). Where a checkpoint is restored at once, an
option called `weights`, which names a file to start from, is left out, and an option called `pretrained` is false.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from spurcli.errors import InputError, UsageError
from spurcli.parts import MODELS
from spurcli.registry import near


def build_model(
    name: str,
    options: Mapping[str, Any],
    *,
    num_classes: int,
    input_shape: tuple[int, int, int],
    weights_root: Path = Path(),
    pretrained: bool = True,
) -> nn.Module:
    """Build a model by registered name, `package.module:attr` or `file.py:attr`.

    `input_shape` is (channels, height, width); `weights_root` is where a factory that takes it looks for files;
    `pretrained` is false if the weights are replaced at once, so that none need be there.
    Random weights come from torch's default generator: seed it first.
    """
    factory = MODELS.load(name)
    parameters = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    given = {"num_classes": num_classes, "input_shape": input_shape, "weights_root": weights_root}
    known = [key for key in parameters if key not in given]
    for key in options:
        if key not in known and not takes_any:
            raise UsageError(
                f"Model {name!r} has no option {key!r}{near(key, known)}",
                f"It has: {', '.join(known) or 'none'}. Set one with --set model.options.KEY=VALUE",
            )
    arguments = {key: value for key, value in given.items() if key in parameters}
    if not pretrained:
        options = {key: value for key, value in options.items() if key != "weights"}
        options |= {"pretrained": False} if "pretrained" in parameters else {}
    try:
        model = factory(**arguments, **options)
    except TypeError as error:
        raise UsageError(
            f"Model {name!r} could not be built: {error}", "See docs/own-parts.md for what a model is."
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"Model {name!r} is {type(model).__name__}, not a torch.nn.Module", "Return a module.")
    return model


def last_linear(model: nn.Module) -> nn.Linear | None:
    """The last linear layer by order of registration: the one whose input is the embedding h. None if there is none."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return layers[-1] if layers else None
