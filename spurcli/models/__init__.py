"""Models: any factory `(*, num_classes, **options) -> torch.nn.Module`.

A factory that takes `input_shape` receives (channels, height, width) of the images, or (dimensions,) of embeddings; one that takes `vocab_size`,
`pad_id` or `max_length` those of the texts. Every model has the options `weights`, a file to start
from, and `class_order`, how a file orders its outputs. Where a
checkpoint is restored at once, `weights` is left out, and an option called `pretrained` is false.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from spurcli.errors import InputError, UsageError
from spurcli.models.class_order import OPTION, Classes
from spurcli.models.head import last_linear_name
from spurcli.models.trial import trial
from spurcli.models.weights import find_folder, find_weights, start_from
from spurcli.progress import Progress, Silent
from spurcli.registries import MODELS
from spurcli.registry import Options, near

_IMAGES = ("input_shape",)
_TEXTS = ("vocab_size", "pad_id", "max_length")


def build_model(
    name: str,
    options: Options,
    *,
    num_classes: int,
    weights_root: Path = Path(),
    pretrained: bool = True,
    progress: Progress | None = None,
    classes: Classes | None = None,
    **inputs: Any,
) -> nn.Module:
    """Build a model by registered name, `package.module:attr` or `file.py:attr`.

    `inputs` say what it will be called with: `input_shape` (channels, height, width) for images, (d,) for embeddings; `vocab_size`, `pad_id`
    and `max_length` for texts. `weights_root`/weights is where files are searched; `pretrained` is false if the
    weights are replaced at once, so that none are needed. Weights that did not fit are reported to `progress`.
    `classes` are those of the data set: a last layer that was trained on the same ones is put in their order.
    Random weights come from torch's default generator: seed it first.
    """
    report = progress or Silent()
    factory = MODELS.load(name)
    if isinstance(factory, nn.Module):
        raise InputError(
            f"{name} is a model instance, not a class or function",
            "Name its class, or a function: def make(*, num_classes): return …",
        )
    parameters = inspect.signature(factory).parameters
    given = {
        "num_classes": num_classes,
        "weights_root": weights_root,
        "progress": report,
        "data_classes": classes,
        **inputs,
    }
    _check_options(name, options, parameters)
    _check_inputs(name, inputs, parameters)
    arguments = {**options, **{key: value for key, value in given.items() if key in parameters}}
    if OPTION not in parameters:
        arguments.pop(OPTION, None)
    weights = arguments.pop("weights", "") if "weights" not in parameters or not pretrained else ""
    path = find_weights(str(weights), weights_root) if weights and pretrained else None  # before anything is built
    if "pretrained" in parameters and not pretrained:
        arguments["pretrained"] = False
    try:
        model = factory(**arguments)
    except TypeError as error:
        raise UsageError(
            f"Model {name!r} could not be built: {error}", "See docs/own-parts.md for what a model is."
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"Model {name!r} is {type(model).__name__}, not a torch.nn.Module", "Return a module.")
    if path is not None:
        report.say(start_from(model, path, classes, trial(inputs) if inputs else None))
    return model


def require_files(name: str, options: Options, weights_root: Path) -> None:
    """Raise InputError if a file that model `name` would start from is missing; builds and reads nothing."""
    if options.get("weights"):
        find_weights(str(options["weights"]), weights_root)
    if name == "transformers" and options.get("path"):
        find_folder(str(options["path"]), weights_root)


def last_linear(model: nn.Module) -> nn.Linear | None:
    """The last linear layer by order of registration: the one whose input is the embedding h. None if there is none."""
    name = last_linear_name(model)
    layer = None if name is None else model.get_submodule(name)
    return layer if isinstance(layer, nn.Linear) else None


def _check_options(name: str, options: Options, parameters: Mapping[str, inspect.Parameter]) -> None:
    """Raise UsageError for an option that the factory does not have."""
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    given = ("num_classes", "weights_root", "progress", "data_classes", *_IMAGES, *_TEXTS)
    known = list(dict.fromkeys([*(key for key in parameters if key not in given), "weights", OPTION]))
    for key in options:
        if key not in known and not takes_any:
            raise UsageError(
                f"Model {name!r} has no option {key!r}{near(key, known)}",
                f"It has: {', '.join(known)}. Set one with --set model.options.KEY=VALUE",
            )


def _check_inputs(name: str, inputs: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> None:
    """Raise UsageError if the factory needs the other kind of inputs."""
    if len(inputs.get("input_shape", (0, 0, 0))) == 1 and name in MODELS:
        if "vectors" not in MODELS.entries[name].facts["for"]:
            heads = [each for each, entry in MODELS.entries.items() if "vectors" in entry.facts["for"]]
            raise UsageError(
                f"Model {name!r} takes {MODELS.entries[name].facts['for']}; the data set has embeddings",
                f"Use a head: --model {' or --model '.join(heads)}",
            )
        return
    for keys, takes, has in ((_IMAGES, "images", "texts"), (_TEXTS, "texts", "images")):
        needs = any(key in parameters and parameters[key].default is inspect.Parameter.empty for key in keys)
        if needs and inputs and not any(key in inputs for key in keys):
            raise UsageError(
                f"Model {name!r} takes {takes}; the data set has {has}", "Choose another --model: spurcli list models"
            )
