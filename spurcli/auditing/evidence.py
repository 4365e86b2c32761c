"""The input of a finder: samples, labels, the audited model's outputs, and the halves for search and confirmation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets import Dataset, Inputs
from spurcli.datasets.inputs import kind_of
from spurcli.progress import Progress, Silent
from spurcli.randomness import generator
from spurcli.words import counted

Ask = Callable[[Any], NDArray[np.float32]]
"""uint8 [m, height, width, channels], or m tuples of texts → logits float32 [m, classes] of a model, in eval mode."""


class Answers(Protocol):
    """The outputs of one model. `ask` is None if only its predictions are known."""

    def logits(self, split: str) -> NDArray[np.float32]: ...

    def embedding(self, split: str) -> NDArray[np.float32] | None: ...

    @property
    def ask(self) -> Ask | None: ...


class Evidence:
    """The input of every finder. Values are computed on first access and then kept.

    `dataset` has the splits, or is None if only a table of predictions is known. If it has embeddings, `behind` has the images or
    texts that they were made from, where the model's `ask` embeds changed ones again. `held_out` is the split on which
    reliance is measured. `takes_second` is False for a table of predictions, which no second model can join. Half 0 of each class (`half`) is for the search, half 1 for the confirmation: a finder
    must choose by half 0 only.
    """

    def __init__(
        self,
        labels: Mapping[str, NDArray[np.int64]],
        class_names: Sequence[str],
        answers: Answers,
        *,
        held_out: str,
        dataset: Dataset | None = None,
        second: Answers | None = None,
        sample_id: Mapping[str, Sequence[str]] | None = None,
        columns: Callable[[], Mapping[str, Mapping[str, Sequence[str]]]] | None = None,
        source_of_embeddings: Callable[[], Dataset] | None = None,
        behind: Dataset | None = None,
        takes_second: bool = True,
        seed: int = 0,
        budget: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.labels, self.class_names, self.held_out = dict(labels), tuple(class_names), held_out
        self.dataset, self.seed, self.budget = dataset, seed, budget
        self.progress: Progress = progress or Silent()
        self.sample_id = dict(sample_id or {})
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self._answers, self._second, self._columns = answers, second, columns
        self._source_of_embeddings, self._behind = source_of_embeddings, behind
        self.takes_second = takes_second
        self._began = time.monotonic()
        self._half: dict[str, NDArray[np.int64]] = {}
        self._kept: dict[tuple[str, str], Any] = {}

    @property
    def source(self) -> str:
        """The split with the training samples: train, or the held-out split for predictions without train rows."""
        return "train" if "train" in self.labels else self.held_out

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.labels)

    @property
    def kind(self) -> str:
        """ "images", "texts", "vectors", or "none" if the inputs are not known; of embeddings what is behind them, if it is there."""
        dataset = self._behind or self.dataset
        return "none" if dataset is None else kind_of(dataset.splits["train"].inputs)

    @property
    def kinds(self) -> set[str]:
        """The kinds of data that finders may be for: `kind`, and "vectors" if the model is a head on embeddings."""
        return {self.kind, *(["vectors"] if self._behind is not None else [])}

    def label(self, split: str) -> NDArray[np.int64]:
        """Class int64 [n]."""
        return self.labels[split]

    def inputs(self, split: str) -> Inputs | None:
        """The images or texts of a split; None if only predictions are known."""
        dataset = self._behind or self.dataset
        return dataset.splits[split].inputs if dataset and split in dataset.splits else None

    @cached_property
    def shown(self) -> Dataset | None:
        """The data set with samples to show: for embeddings, the data set from which they were made; InputError if it is missing."""
        if self.kind != "vectors":
            return self._behind or self.dataset
        return self._source_of_embeddings() if self._source_of_embeddings else None

    def logits(self, split: str) -> NDArray[np.float32]:
        """Logits float32 [n, classes] of the audited model, in eval mode."""
        found: NDArray[np.float32] = self.once("logits", split, lambda: self._answers.logits(split))
        return found

    def embedding(self, split: str) -> NDArray[np.float32] | None:
        """The input float32 [n, d] of the model's last linear layer, or the given embeddings; None if there are none."""
        found: NDArray[np.float32] | None = self.once("embedding", split, lambda: self._answers.embedding(split))
        return found

    @property
    def ask(self) -> Ask | None:
        """The audited model as a function of inputs; None if only its predictions are known."""
        return self._answers.ask

    @property
    def second_ask(self) -> Ask | None:
        """The second model, which must confirm the features found with the first; None without one."""
        return self._second.ask if self._second else None

    def second_logits(self, split: str) -> NDArray[np.float32] | None:
        """Logits of the second model; None without one."""
        second = self._second
        return self.once("second", split, lambda: second.logits(split)) if second else None

    @cached_property
    def columns(self) -> Mapping[str, Mapping[str, Sequence[str]]]:
        """For each split the columns of the user's table, without label, split, id, path and text: name → n texts ("" = empty)."""
        return self._columns() if self._columns else {}

    def half(self, split: str) -> NDArray[np.int64]:
        """0 (to search) or 1 (to confirm) for each sample, int64 [n]: random halves of each class."""
        if split not in self._half:
            self._half[split] = halves(self.labels[split], f"audit {split}", self.seed)
        return self._half[split]

    def spent(self) -> float:
        """Seconds since the audit began."""
        return time.monotonic() - self._began

    def spend(self, seconds: float) -> None:
        """Add the seconds that an interrupted audit has already spent."""
        self._began -= seconds

    def left(self) -> float:
        """Seconds of the budget that are left; infinite without a budget."""
        return float("inf") if self.budget is None else self.budget - self.spent()

    def warn(self, line: str) -> None:
        """Add a warning to the terminal and to audit.json, once."""
        if line not in self.warnings:
            self.warnings.append(line)

    def note(self, line: str) -> None:
        """Add a note on how far the search went, which makes no result doubtful, to the terminal and to audit.json, once."""
        if line not in self.notes:
            self.notes.append(line)

    def classes(self, most: int) -> list[int]:
        """The classes to examine: all, or the `most` frequent in training, with a warning."""
        counts = np.bincount(self.labels[self.source], minlength=len(self.class_names))
        order = np.argsort(-counts, kind="stable")
        if len(order) > most:
            self.warn(f"{counted(len(order), 'class')}: the {most} most frequent are examined")
        return sorted(order[:most].tolist())

    @property
    def seconds_of_predictions(self) -> float:
        """Estimated seconds of the model's predictions for all splits; about none for a head on embeddings."""
        return 0.0 if "vectors" in self.kinds else self.pace * sum(map(len, self.labels.values()))

    @cached_property
    def pace(self) -> float:
        """Measured seconds of the model per input; 0 if the model cannot be run."""
        inputs = self.inputs(self.held_out)
        if self.ask is None or inputs is None:
            return 0.0
        some = inputs.read(np.arange(min(64, len(inputs)), dtype=np.int64))
        self.ask(some)  # the first call is slower
        began = time.monotonic()
        self.ask(some)
        return (time.monotonic() - began) / max(1, len(some))

    def once(self, what: str, split: str, compute: Callable[[], Any]) -> Any:
        """The result of `compute` for a split, computed once and kept under the name `what`."""
        if (what, split) not in self._kept:
            self._kept[what, split] = compute()
        return self._kept[what, split]


def halves(label: NDArray[np.int64], purpose: str, seed: int) -> NDArray[np.int64]:
    """0 or 1 for each sample, int64 [n]: a random half of each class, the odd sample of a class goes to each half in turn."""
    half = np.empty(len(label), dtype=np.int64)
    numbers, surplus = generator(purpose, seed), 0
    order = numbers.permutation(len(label))
    order = order[np.argsort(label[order], kind="stable")]
    counts = np.bincount(label) if len(label) else np.zeros(0, np.int64)
    start = 0
    for size in counts.tolist():
        half[order[start : start + size]] = (np.arange(size) + surplus) % 2
        surplus, start = (surplus + size) % 2, start + size
    return half
