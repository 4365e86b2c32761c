"""The image size and normalisation of a model of another program on a user's own images, if no recipe is named."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spurcli.datasets import Dataset, FileImages, load_dataset
from spurcli.datasets.inputs import kind_of
from spurcli.datasets.own.stored import SavedImages
from spurcli.errors import UsageError
from spurcli.registries import MODELS
from spurcli.registry import is_user_code
from spurcli.settings import DatasetSettings, Table, merge

_LARGEST = 224  # pixels; larger images are usually resized before a network reads them
_LOOKED_AT = 1000  # images whose size is read
# Mean and std with which the weights of these libraries are usually trained; all others have the recipe's.
_IMAGENET: Table = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_USUAL: Mapping[str, Table] = {
    "torchvision": _IMAGENET,
    "timm": _IMAGENET,
    "efficientnet_lite0": {"mean": [0.498] * 3, "std": [0.502] * 3},
}


def foreign_preprocessing(
    named: DatasetSettings, checkpoint: Path, model: str, flags: Table, data_root: Path
) -> dict[str, Any]:
    """The table [preprocessing] for `checkpoint`: as the flags say, else the size that all images have.

    Raises UsageError, with the flags to type, for texts, for an unnamed model, and if the size is not known.
    """
    if not model:
        raise UsageError(
            f"{checkpoint} is a model of another program: which architecture does it have?",
            "Name your own as --model net.py:Net, or a known one: --model torchvision --set model.options.arch=resnet50",
        )
    given = flags.get("preprocessing", {})
    _require_known(model)
    found = merge(_USUAL.get(model, {}), given)
    if named.name == "folder" and "image_size" in given:
        return found
    options = {**named.options, **flags.get("dataset", {}).get("options", {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the stage loads the data again and warns then
        dataset = load_dataset(named.name, options, data_root=data_root)
    if kind_of(dataset.splits["train"].inputs) != "images":
        raise UsageError(
            f"{checkpoint} is a model of another program, and {named.options.get('path')} holds texts: which tokeniser?",
            "Name a recipe for the other settings: --recipe own-text --set preprocessing.tokenizer=FOLDER "
            "--set preprocessing.max_length=128",
        )
    if "image_size" in given:
        return found
    sizes = _sizes(dataset)
    if len(sizes) == 1:
        width, height = next(iter(sizes))
        if width == height <= _LARGEST:
            return {**found, "image_size": width}
    listed = " and ".join(f"{width}×{height}" for width, height in sorted(sizes)[:2])
    known = f" (the images have {listed}{' and other sizes' if len(sizes) > 2 else ''} pixels)" if sizes else ""
    usual = _USUAL.get(model, {"mean": [0.5] * 3, "std": [0.25] * 3})
    mean, std = (",".join(map(str, usual[name])) for name in ("mean", "std"))
    raise UsageError(
        f"{checkpoint} is a model of another program: how large were the images in its training?{known}",
        "Add the values of its training, such as --set preprocessing.image_size=224 "
        f"--set preprocessing.mean=[{mean}] --set preprocessing.std=[{std}]",
    )


def _require_known(model: str) -> None:
    """UsageError for an unknown model, with the flags to type if it is an architecture of torchvision or timm."""
    if model in MODELS.entries or is_user_code(model):
        return
    from spurcli.models.zoo import library_of

    if library := library_of(model):
        raise UsageError(
            f"Unknown model {model!r}: an architecture of {library} is named by an option",
            f"Use --model {library} --set model.options.arch={model}",
        )
    MODELS.check(model)


def _sizes(dataset: Dataset) -> set[tuple[int, int]]:
    """Width and height of up to 1,000 training images at equal distances; none if they are not files or cannot be read."""
    from PIL import Image

    inputs = dataset.splits["train"].inputs
    places = np.unique(np.linspace(0, len(inputs) - 1, min(len(inputs), _LOOKED_AT)).astype(int)).tolist()
    found = set()
    for place in places:
        try:
            if isinstance(inputs, FileImages):
                source: Any = inputs.paths[place]
            elif isinstance(inputs, SavedImages):
                from io import BytesIO

                source = BytesIO(inputs.encoded(place)[1])
            else:
                return set()
            with Image.open(source) as image:
                found.add(image.size)
        except Exception:  # the stage that reads the pixels names the file
            return set()
    return found
