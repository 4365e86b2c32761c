"""How other programs order classes and samples of the same data, if it differs from the order here.

The order here does not change (lists and scores are positions in it). Code that reads foreign weights or logits reports how the
order differs: from `Dataset.class_order_note`, and for an image folder from `image_folder_order`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.base import Split

SORTED = "sorted"  # the value of the option `classes` that asks for the order of other programs


def class_order_note(class_names: Sequence[str]) -> str | None:
    """One sentence if class names are numbers in their natural order, which is not the order of their characters.

    None if both are the same. Loaders store it in `Dataset.class_order_note`, unless the option `classes` gives the order.
    """
    theirs = sorted(class_names)
    if list(class_names) == theirs:
        return None
    place = next(row for row, name in enumerate(theirs) if name != class_names[row])
    first, end = max(place - 1, 0), place + 2
    begin = "…, " if first else ""
    return (
        f"Class order here: {begin}{', '.join(class_names[first:end])}, … (numbers by value); in torchvision's ImageFolder and "
        f"Keras: {begin}{', '.join(theirs[first:end])}, … (as text; --set dataset.options.classes={SORTED})"
    )


def image_folder_order(split: Split, class_names: Sequence[str]) -> NDArray[np.int64] | None:
    """Positions int64 [n] of a split's samples in the order of torchvision's ImageFolder; None if it is the same.

    For a data set that is an image folder (`settings.dataset.name == "folder"`). Values that a program computed in
    ImageFolder's order belong to our samples `split.sample_id[position]` of these positions. There, classes come in the order
    of their characters, and within a class all files of a folder before those of the folders in it: a.png, z.png, m/b.png.
    """
    ids = split.sample_id or ()

    def key(position: int) -> tuple[str, str, str]:
        folder, _, name = ids[position].rpartition("/")
        return class_names[split.label[position]], folder, name

    order = sorted(range(len(ids)), key=key)
    return None if order == list(range(len(ids))) else np.array(order, dtype=np.int64)
