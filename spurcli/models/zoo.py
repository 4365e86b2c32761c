"""Classifiers of torchvision and timm, by name and with random weights: the option `weights` names a local file."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from spurcli.errors import MissingExtraError, UsageError, in_a_line
from spurcli.models.head import last_linear_name
from spurcli.registry import near

_AUXILIARY = ("googlenet", "inception_v3")


def library_of(arch: str) -> str | None:
    """torchvision or timm, whichever has a classifier `arch` (torchvision first); None if neither has one."""
    from torchvision import models

    if arch in models.list_models(module=models):
        return "torchvision"
    try:
        import timm
    except ImportError:
        return None
    return "timm" if timm.is_model(arch) else None


def torchvision_model(*, num_classes: int, input_shape: tuple[int, int, int], arch: str = "resnet18") -> nn.Module:
    """A torchvision classifier for `num_classes`, without auxiliary heads; a vision transformer for the images' size."""
    from torchvision import models

    known = models.list_models(module=models)  # without detection and segmentation, which fetch weights by themselves
    if arch not in known:
        raise UsageError(f"torchvision has no classifier {arch!r}{near(arch, known)}", "Set model.options.arch.")
    channels, height, width = input_shape
    if channels != 3:
        raise UsageError(f"{arch} takes colour images, not {channels} channels", "Choose another --model.")
    options: dict[str, Any] = {}
    if arch in _AUXILIARY:  # a second output in training; files of weights are read without it
        options = {"aux_logits": False, "init_weights": True}
    elif arch.startswith("vit_") and height == width:
        options = {"image_size": height}
    try:
        model: nn.Module = models.get_model(arch, weights=None, **options)
        name = last_linear_name(model)
        if name is None:  # its classifier is a convolution: only the library knows what to replace
            return cast(nn.Module, models.get_model(arch, weights=None, num_classes=num_classes))
    except (ValueError, AssertionError, RuntimeError) as error:
        raise UsageError(
            f"torchvision cannot build {arch} for images of {height}x{width} pixels: {in_a_line(error)}",
            "Set preprocessing.image_size, or choose another model.options.arch.",
        ) from error
    parent, _, child = name.rpartition(".")
    old = model.get_submodule(name)
    assert isinstance(old, nn.Linear)
    # a layer of its own after the others, as always: the same seed gives the same numbers as before
    setattr(model.get_submodule(parent), child, nn.Linear(old.in_features, num_classes, bias=old.bias is not None))
    return model


def timm_model(*, num_classes: int, input_shape: tuple[int, int, int], arch: str = "resnet18") -> nn.Module:
    """A timm classifier for `num_classes` and the channels of the images; a transformer also for their size.

    Raises MissingExtraError without timm.
    """
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("The model timm needs the package 'timm'", "pip install 'spurcli[timm]'") from error
    if not timm.is_model(arch):  # names of a hub (hf-hub:…) are none, so that nothing is fetched
        raise UsageError(f"timm has no model {arch!r}{near(arch, timm.list_models())}", "Set model.options.arch.")
    channels, *size = input_shape
    config = timm.get_pretrained_cfg(arch)
    sized: dict[str, Any] = {"img_size": tuple(size)} if config is not None and config.fixed_input_size else {}
    try:
        model: nn.Module = timm.create_model(
            arch, pretrained=False, num_classes=num_classes, in_chans=channels, **sized
        )
    except (ValueError, AssertionError, RuntimeError, TypeError) as error:
        raise UsageError(
            f"timm cannot build {arch} for images of {channels}x{size[0]}x{size[1]}: {in_a_line(error)}",
            f"Its own size: --set preprocessing.image_size={config.input_size[-1] if config else 224}",
        ) from error
    return model
