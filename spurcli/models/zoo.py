"""Classifiers of torchvision and timm, by name and with random weights: the option `weights` names a local file."""

from __future__ import annotations

from typing import Any

from torch import nn

from spurcli.errors import MissingExtraError, UsageError
from spurcli.models.weights import last_linear_name
from spurcli.registry import near


def torchvision_model(*, num_classes: int, input_shape: tuple[int, int, int], arch: str = "resnet18") -> nn.Module:
    """A torchvision classifier with its last linear layer made anew for `num_classes`."""
    from torchvision import models

    known = models.list_models(module=models)  # without detection and segmentation, which fetch weights by themselves
    if arch not in known:
        raise UsageError(f"torchvision has no classifier {arch!r}{near(arch, known)}", "Set model.options.arch.")
    if input_shape[0] != 3:
        raise UsageError(f"{arch} takes colour images, not {input_shape[0]} channels", "Choose another --model.")
    model: nn.Module = models.get_model(arch, weights=None)
    name = last_linear_name(model)
    if name is None:
        raise UsageError(f"{arch} has no linear last layer to replace", "Choose another model.options.arch.")
    parent, _, child = name.rpartition(".")
    old = model.get_submodule(name)
    assert isinstance(old, nn.Linear)
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
    model: nn.Module = timm.create_model(arch, pretrained=False, num_classes=num_classes, in_chans=channels, **sized)
    return model
