"""What a training method supplies to the loop, and what it may ask for."""

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
    """What is known about samples beyond their labels. Notes that it was read, so that a result can say what it used.

    Of groups: `values` int64 [n], codes into `names`, for each sample of a split. Of an error set: positions, ascending.
    `source` says where it comes from, `provenance` how its file was made, `within_class` whether an attribute means
    another thing in each class (right and wrong, clusters).
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
        """The values int64 [m] of the samples at `index` [m], where that lies."""
        if self._on_device is None or self._on_device.device != index.device:
            self._on_device = torch.from_numpy(self.read()).to(index.device)
        return self._on_device[index]


@dataclass(frozen=True)
class TrainingSamples:
    """What a method may know about the samples it trains on: positions and labels, int64 [num_kept].

    What not every run has, or what a result must own up to, is asked for: `group` and `errors` raise InputError where
    they are not known. `batch_size` is that of the whole batch, over all devices; `num_epochs` what the settings say.
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
        """Kept positions that an earlier model got wrong, ascending."""
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

    `embedding` [m, width] is the last linear layer's input, if the method's traits ask for it; `total` adds a tensor up
    over all devices, for what a method must know of the whole batch.
    """

    index: torch.Tensor
    label: torch.Tensor
    global_size: int
    groups: Annotation | None = None
    embedding: torch.Tensor | None = None
    total: Callable[[torch.Tensor], torch.Tensor] = _alone

    @property
    def group(self) -> torch.Tensor:
        """Groups int64 [m]; a method that wants them has asked `TrainingSamples` for them first."""
        assert self.groups is not None
        return self.groups.at(self.index)


class Method(Protocol):
    """Loss, sampling order and state. The loop does the rest.

    What else the loop must know of it, it declares as `traits = Traits(...)` (`spurcli.training.traits`) or as attributes
    with the same names.
    """

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Positions to visit in `epoch` (counted from 0), perhaps repeated: a function of (seed, epoch) alone."""
        ...

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """This device's share of the loss of the whole batch: sums over its samples, divided by what `batch` counts.

        Of an epoch's last batch the share may be empty: logits [0, classes].
        """
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors that a resumed run needs."""
        ...

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None: ...


@dataclass(frozen=True)
class Phase:
    """How an epoch is optimised: a factor for the learning rate, and whether what the optimizer remembers is dropped first."""

    rate: float = 1.0
    restart: bool = False


@runtime_checkable
class Phased(Protocol):
    """A method whose training has phases."""

    def phase(self, epoch: int) -> Phase: ...


@runtime_checkable
class Ending(Protocol):
    """A method that may be finished before the last epoch: asked after each one."""

    def has_finished(self) -> bool: ...


@dataclass(frozen=True)
class Embedded:
    """Samples of a split as a trained model sees them: those at positions `index` int64 [m] of the split.

    `labels` and `groups` are about all of it, and so is what `embed` returns, which may take minutes: a method that asks
    for labels and groups first finds out at once what is missing.
    """

    embed: Callable[[], NDArray[np.float32]]
    index: NDArray[np.int64]
    labels: Annotation
    groups: Annotation | None = None

    @cached_property
    def embedding(self) -> NDArray[np.float32]:
        """The input of the model's last layer for each sample, float32 [m, width]; computed when first asked for."""
        return self.embed()[self.index]

    @property
    def label(self) -> NDArray[np.int64]:
        """Label of each sample, int64 [m]."""
        return self.labels.read()[self.index]

    @property
    def group(self) -> NDArray[np.int64]:
        """Group of each sample, int64 [m]; InputError where none are known."""
        return _known(self.groups).read()[self.index]


@runtime_checkable
class LastLayerMethod(Protocol):
    """A method that keeps a trained model and fits its last linear layer anew.

    What it chose on the way it may leave for the history: `Choosing`.
    """

    def refit(
        self, train: Embedded, val: Embedded | None, seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight [classes, width] and bias [classes] of the new layer."""
        ...


@runtime_checkable
class Choosing(Protocol):
    """A method that chose something while it learned, which the history shows: names and JSON values."""

    chosen: Mapping[str, object]


def build_method(name: str, options: Options, samples: TrainingSamples) -> Method | LastLayerMethod:
    """Build a method by registered name or the user's own `file.py:attr`: called with the samples and its options."""
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
