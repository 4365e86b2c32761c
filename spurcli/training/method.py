"""The interface between a training method and the training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from spurcli.artifacts.provenance import Provenance
from spurcli.errors import InputError, UsageError
from spurcli.registries import METHODS
from spurcli.registry import Options
from spurcli.training.traits import Traits


class Annotation:
    """Groups or errors of samples. It records whether it was read, so that a result can list the labels used.

    For groups: `values` int64 [n], codes into `names`, for each sample of a split. For an error set: positions, ascending.
    `source` names the origin, `provenance` describes how its file was made, and `within_class` is true if an attribute has
    a different meaning in each class (right and wrong, clusters).
    """

    def __init__(
        self,
        values: NDArray[np.int64],
        source: str,
        names: tuple[str, ...] = (),
        *,
        within_class: bool = False,
        provenance: Provenance | None = None,
    ) -> None:
        self.source, self.names, self.within_class = source, names, within_class
        self.provenance, self.was_read = provenance or {}, False
        self._values = values
        self._on_device: torch.Tensor | None = None

    def read(self) -> NDArray[np.int64]:
        self.was_read = True
        return self._values

    def at(self, index: torch.Tensor) -> torch.Tensor:
        """The values int64 [m] of the samples at `index` [m], on the device of `index`."""
        if self._on_device is None or self._on_device.device != index.device:
            self._on_device = torch.from_numpy(self.read()).to(index.device)
        return self._on_device[index]


@dataclass(frozen=True)
class TrainingSamples:
    """The training samples of a method: positions and labels, int64 [num_kept].

    `group` and `errors` raise InputError if they are not known; reading them is recorded in the result. `batch_size` is
    the size of the full batch over all devices; `num_epochs` comes from the settings.
    """

    kept: NDArray[np.int64]
    label: NDArray[np.int64]
    num_classes: int
    batch_size: int
    groups: Annotation | None = None
    error_set: Annotation | None = None
    num_epochs: int | None = None

    @property
    def group(self) -> NDArray[np.int64]:
        """Group of each kept sample, int64 [num_kept]; some of the named groups may be empty."""
        return _known(self.groups).read()[self.kept]

    @property
    def group_names(self) -> tuple[str, ...]:
        return _known(self.groups).names

    @property
    def errors(self) -> NDArray[np.int64]:
        """Kept positions that an earlier model misclassified, ascending."""
        if self.error_set is None:
            raise InputError(
                "This method requires the errors of an earlier model",
                "Make the list with spurcli infer --by mistakes --save-errors errors.txt, and name it: --errors errors.txt",
            )
        return np.intersect1d(self.kept, self.error_set.read())


def _known(groups: Annotation | None) -> Annotation:
    if groups is None:
        without = [name for name, entry in METHODS.entries.items() if "groups" not in entry.facts.get("needs", "")]
        raise InputError(
            "This method needs groups, and none are known",
            "Name a list with --group-labels groups.txt (spurcli infer makes one without labels), or use a method that "
            f"needs none: {', '.join(without)}",
        )
    return groups


def _alone(amounts: torch.Tensor) -> torch.Tensor:
    return amounts


@dataclass(frozen=True)
class Batch:
    """This device's share of one batch: positions and labels int64 [m]; `global_size` counts all devices.

    `embedding` [m, width] is the last linear layer's input, if the method's traits request it. `total` sums a tensor
    over all devices, for values that a method needs for the full batch.
    """

    index: torch.Tensor
    label: torch.Tensor
    global_size: int
    groups: Annotation | None = None
    embedding: torch.Tensor | None = None
    total: Callable[[torch.Tensor], torch.Tensor] = _alone

    @property
    def group(self) -> torch.Tensor:
        """Groups int64 [m]; the method must first have read them from `TrainingSamples`."""
        assert self.groups is not None
        return self.groups.at(self.index)


class Method(Protocol):
    """Loss, sampling order and state. The loop does the rest.

    A method declares its other requirements as `traits = Traits(...)` (`spurcli.training.traits`), or as attributes
    with the same names.
    """

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Positions to visit in `epoch` (counted from 0), repeats allowed: a function of (seed, epoch) only."""
        ...

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """This device's share of the loss of the full batch: the sum over its samples, divided by `batch.global_size`.

        The share of an epoch's last batch may be empty: logits [0, classes].
        """
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors that a resumed run needs."""
        ...

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None: ...


@dataclass(frozen=True)
class Phase:
    """How an epoch is optimised: a factor for the learning rate, and whether the optimizer's state is reset first."""

    rate: float = 1.0
    restart: bool = False


@runtime_checkable
class Phased(Protocol):
    """A method whose training has phases."""

    def phase(self, epoch: int) -> Phase: ...


@runtime_checkable
class Ending(Protocol):
    """A method that may end before the last epoch; the loop asks it after each epoch."""

    def has_finished(self) -> bool: ...


@dataclass(frozen=True)
class Embedded:
    """Embeddings, labels and groups of the samples at positions `index` int64 [m] of a split.

    `labels`, `groups` and the result of `embed` cover the full split. `embed` may take minutes, so a method should read
    labels and groups first: then missing ones are an error at once.
    """

    embed: Callable[[], NDArray[np.float32]]
    index: NDArray[np.int64]
    labels: Annotation
    groups: Annotation | None = None

    @cached_property
    def embedding(self) -> NDArray[np.float32]:
        """The input of the model's last layer for each sample, float32 [m, width]; computed on first use."""
        return self.embed()[self.index]

    @property
    def label(self) -> NDArray[np.int64]:
        """Label of each sample, int64 [m]."""
        return self.labels.read()[self.index]

    @property
    def group(self) -> NDArray[np.int64]:
        """Group of each sample, int64 [m]; InputError if groups are not known."""
        return _known(self.groups).read()[self.index]


@runtime_checkable
class LastLayerMethod(Protocol):
    """A method that keeps a trained model and retrains its last linear layer.

    It can report the values that it chose in the history: see `Choosing`.
    """

    def refit(
        self, train: Embedded, val: Embedded | None, seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight [classes, width] and bias [classes] of the new layer."""
        ...


@runtime_checkable
class Choosing(Protocol):
    """A method that reports values that it chose during training: names and JSON values for the history."""

    chosen: Mapping[str, object]


def build_method(name: str, options: Options, samples: TrainingSamples) -> Method | LastLayerMethod:
    """Build a method from a registered name or the user's own `file.py:attr`, called with the samples and its options."""
    try:
        method: Method | LastLayerMethod = METHODS.load(name)(samples, **options)
    except TypeError as error:
        raise UsageError(f"Method {name!r} could not be built: {error}", "Check method.options.") from error
    if isinstance(method, LastLayerMethod):
        return method
    for part in ("order", "loss", "state", "load_state"):
        if not callable(getattr(method, part, None)):
            raise InputError(
                f"Method {name!r} has no {part}()", "See spurcli.training.method.Method for what it needs."
            )
    Traits.of(method, name)  # a misspelled one is said now
    return method
