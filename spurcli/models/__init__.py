"""Models: any factory `(*, num_classes, **options) -> torch.nn.Module`.

A factory for images may take `input_shape`, (channels, height, width); one for texts `vocab_size`, `pad_id` and
`max_length`. A text model is called with one dict of int64 tensors [m, length]: `input_ids`, `attention_mask`,
`token_type_ids`. Where a checkpoint is restored at once, an option called `weights`, which names a file to start from,
is left out, and an option called `pretrained` is false.
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

_ABOUT_INPUTS = ("input_shape", "vocab_size", "pad_id", "max_length")


def build_model(
    name: str,
    options: Mapping[str, Any],
    *,
    num_classes: int,
    weights_root: Path = Path(),
    pretrained: bool = True,
    **about_inputs: Any,
) -> nn.Module:
    """Build a model by registered name, `package.module:attr` or `file.py:attr`.

    `about_inputs` is what the data set says: `input_shape` of images, or `vocab_size`, `pad_id` and `max_length` of
    texts. `weights_root` is where a factory looks for files. A factory is given those of them that it names.
    `pretrained` is false if the weights are replaced at once, so that none need be there.
    Random weights come from torch's default generator: seed it first.
    """
    factory = MODELS.load(name)
    parameters = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    given = {"num_classes": num_classes, "weights_root": weights_root, **about_inputs}
    known = [key for key in parameters if key not in (*given, *_ABOUT_INPUTS)]
    for key in _ABOUT_INPUTS:
        if key in parameters and key not in given and parameters[key].default is inspect.Parameter.empty:
            mine, theirs = ("images", "texts") if key == "input_shape" else ("texts", "images")
            raise UsageError(
                f"Model {name!r} is for {mine}, the data set holds {theirs}", "Name another: spurcli list models"
            )
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
