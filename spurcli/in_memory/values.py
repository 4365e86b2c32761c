"""Arrays, tensors and lists as checked NumPy arrays. Torch is not imported: a tensor converts itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spurcli.artifacts.logit_checks import what_instead
from spurcli.datasets.own.naming import in_order
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.registry import near
from spurcli.words import counted

Labels = ArrayLike  # integers from 0, or names of classes; also a tensor on any device
_SUM = 0.02  # largest difference between 1 and the sum of a row of probabilities, as for a table
_TINY = float(np.finfo(np.float32).tiny)


def array_of(value: Any) -> NDArray[Any]:
    """`value` as an array. A tensor is detached and copied from its device; half precision becomes float32."""
    if hasattr(value, "detach"):
        value = value.detach()
        if value.is_floating_point() and value.element_size() < 4:
            value = value.float()
        value = value.cpu().numpy()
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"This is not one array: {error}", "Concatenate the batches first.") from error


def logits_of(value: Any, *, probabilities: bool, ndim: int = 2, warns: bool = True) -> NDArray[np.float32]:
    """Logits float32 [n, classes], or [epochs, n, classes] with `ndim` 3; the logarithms if `probabilities`.

    InputError for another shape, for numbers that are not finite, and for rows of probabilities that do not sum to 1; with
    `warns` a SpurWarning for logits that look like something else.
    """
    values, shape = array_of(value), "[n, classes]" if ndim == 2 else "[epochs, n, classes]"
    if values.ndim != ndim or values.dtype.kind not in "fiub" or values.shape[-1] < 2 or not values.size:
        raise InputError(
            f"Logits have the shape {list(values.shape)} and the type {values.dtype}", f"Numbers {shape} are required."
        )
    if not np.isfinite(values).all():
        raise InputError("A logit is NaN or infinite", "Check the model that made it.")
    if not probabilities:
        if warns and (found := what_instead(values.reshape(-1, values.shape[-1]))):
            message = f"{found[0]}, not logits. Add probabilities=True for probabilities"
            warnings.warn(SpurWarning(message), stacklevel=4)
        return np.asarray(values, dtype=np.float32)
    values = values.astype(np.float64)
    total = values.sum(axis=-1, keepdims=True)
    if values.min() < 0 or np.abs(total - 1).max() > _SUM:
        raise InputError("These are not probabilities: a row does not sum to 1", "Leave out probabilities=True.")
    return np.asarray(np.log(np.maximum(values / total, _TINY)), dtype=np.float32)


def has_zeros(value: Any) -> bool:
    """Whether a probability is 0: what was rounded away is unknown."""
    return bool((array_of(value) <= 0).any())


def label_codes(labels: Labels, class_names: Sequence[str] | None, num_classes: int) -> NDArray[np.int64]:
    """Labels int64 [n] as columns of the logits. Names need `class_names`, in the order of the columns."""
    values = array_of(labels)
    if values.ndim != 1:
        raise InputError(f"Labels have the shape {list(values.shape)}", "One label for each sample, [n], is required.")
    if values.dtype.kind in "iub":
        codes = values.astype(np.int64)
        if len(codes) and not 0 <= codes.min() <= codes.max() < num_classes:
            wrong = codes[(codes < 0) | (codes >= num_classes)][0]
            raise InputError(f"The label {wrong} is not one of {counted(num_classes, 'class')}", "Count from 0.")
        return codes
    if class_names is None:
        raise UsageError("Labels are names, but the columns have no class names", "Add class_names=[...].")
    number = {name: place for place, name in enumerate(class_names)}
    written = [str(each) for each in values.tolist()]
    if unknown := [each for each in written if each not in number]:
        raise InputError(
            f"{unknown[0]!r} is not one of the classes{near(unknown[0], class_names)}", "Check class_names."
        )
    return np.array([number[each] for each in written], dtype=np.int64)


def coded(values: Any, what: str, num_samples: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Codes int64 [n] and names, in order, for one value per sample."""
    written = [str(each) for each in array_of(values).tolist()]
    require_length(written, what, num_samples)
    names = in_order(set(written))
    number = {name: place for place, name in enumerate(names)}
    return np.array([number[each] for each in written], dtype=np.int64), names


def require_length(values: Sequence[Any] | NDArray[Any], what: str, num_samples: int) -> None:
    if len(values) != num_samples:
        raise InputError(
            f"{what}: {counted(len(values), 'value')} for {counted(num_samples, 'sample')}", "One for each is required."
        )
