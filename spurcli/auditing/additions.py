"""Adding the feature of a suspect to images or texts, as the audit measured it: to held-out samples, for any model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.addition import IMAGE_PROPERTY, STAMP, TEXT_PROPERTY, WORDS, Addition
from spurcli.auditing import pixels as of_pixels
from spurcli.auditing.terms import between_characters, is_unspaced
from spurcli.datasets.inputs import ArrayImages, Images, Inputs, Texts, Vectors
from spurcli.errors import InputError
from spurcli.randomness import generator

Pixels = NDArray[np.uint8]  # [m, height, width, channels]
Sample = tuple[str, ...]
_OTHER_INPUTS = "The addition belongs to other data: audit a model of this data set."


def with_words(sample: Sample, position: int, *, text: str, column: int, times: int, seed: int) -> Sample:
    """A sample with the words inserted between words of one of its texts, at random places that depend on the sample alone."""
    numbers = generator("audit word place", seed, position)
    if is_unspaced(text):
        changed = sample[column]
        for _ in range(times):
            changed = between_characters(changed, text, lambda count: int(numbers.integers(count)))
        return (*sample[:column], changed, *sample[column + 1 :])
    words = sample[column].split(" ")
    for _ in range(times):
        words.insert(int(numbers.integers(len(words) + 1)), text)
    return (*sample[:column], " ".join(words).strip(), *sample[column + 1 :])


def added_to(addition: Addition, inputs: Inputs, index: NDArray[np.int64]) -> Inputs:
    """The samples `index` [m] of `inputs` once more, with the addition. Raises InputError if it does not fit the inputs."""
    if isinstance(inputs, Texts):
        return _texts(addition, inputs, index)
    if isinstance(inputs, Vectors):
        raise InputError("The feature cannot be added to embeddings", "Evaluate a model of the images or texts.")
    _require_fitting(addition, inputs.shape)
    images = AddedImages(inputs, index, addition)
    return ArrayImages(images.read(np.arange(len(index), dtype=np.int64))) if inputs.resident else images


@dataclass(frozen=True)
class AddedImages:
    """The images `index` [m] of `base` with the addition, made when they are read. Depends on the positions in `base` alone."""

    base: Images
    index: NDArray[np.int64]
    addition: Addition
    resident = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.base.shape

    def __len__(self) -> int:
        return len(self.index)

    def read(self, indices: NDArray[np.int64]) -> Pixels:
        position = self.index[indices]
        return _changed(self.addition, self.base.read(position), position)


def _changed(addition: Addition, images: Pixels, position: NDArray[np.int64]) -> Pixels:
    """Images at these positions of their split with the addition; the places of a stamp take turns."""
    if addition.kind == STAMP:
        opacity, colour = addition.arrays["opacity"], addition.arrays["colour"]
        place = position % len(opacity)
        made = (1 - opacity[place][..., None]) * images + colour[place]
        return np.asarray(np.clip(np.rint(made), 0, 255), dtype=np.uint8)
    said = addition.parameters
    changed = of_pixels.changed(images, said["property"], float(said["value"]))
    assert changed is not None  # _require_fitting
    return changed


def _require_fitting(addition: Addition, shape: tuple[int, int, int]) -> None:
    """Raise InputError unless the addition is one for images of this shape."""
    if addition.kind == IMAGE_PROPERTY:
        known = of_pixels.PROPERTIES.get(addition.parameters["property"])
        if known is None or known.change is None or (known.needs_colour and shape[2] != 3):
            raise InputError(
                f"{addition.parameters['property']!r} is not a property that can be changed in images", _OTHER_INPUTS
            )
        return
    if addition.kind != STAMP:
        raise InputError("The addition is one for texts, and the inputs are images", _OTHER_INPUTS)
    found = addition.arrays["colour"].shape[1:]
    if found != shape:
        of, mine = (" × ".join(map(str, each)) for each in (found, shape))
        raise InputError(
            f"The addition was made for images of {of}, and the images are {mine}",
            "Use a model that reads images of the same size, or audit this one.",
        )


def _texts(addition: Addition, texts: Texts, index: NDArray[np.int64]) -> Texts:
    said = addition.parameters
    if addition.kind not in (WORDS, TEXT_PROPERTY):
        raise InputError("The addition is one for images, and the inputs are texts", _OTHER_INPUTS)
    if said["column"] >= len(texts.columns):
        raise InputError(f"The addition changes text {said['column'] + 1} of a sample", _OTHER_INPUTS)
    pairs = zip(texts.read(index), index.tolist(), strict=True)
    if addition.kind == WORDS:
        changed = [with_words(sample, position, **said) for sample, position in pairs]
    else:
        from spurcli.auditing.finders.text_properties import CHANGES

        if said["property"] not in CHANGES:
            raise InputError(f"{said['property']!r} is not a property that can be changed in texts", _OTHER_INPUTS)
        change, column = CHANGES[said["property"]], said["column"]
        changed = [(*each[:column], change(each[column], said["value"]), *each[column + 1 :]) for each, _ in pairs]
    return Texts(tuple([sample[number] for sample in changed] for number in range(len(texts.columns))))
