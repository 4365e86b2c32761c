"""Deep feature reweighting: the last layer retrained on groups of equal size (Kirichenko et al., ICLR 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from spurcli.errors import InputError, UsageError
from spurcli.randomness import generator
from spurcli.training.method import Embedded, TrainingSamples
from spurcli.training.sampling import balanced_subset

Layer = tuple[NDArray[np.float64], NDArray[np.float64]]

GRID = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
NUM_REFITS = {"train": 10, "val": 20}
# scikit-learn < 1.8 calls the penalty by name and ignores this ratio; later ones warn of the name
_L1: dict[str, object] = {"penalty": "l1"} if LogisticRegression().penalty == "l2" else {"l1_ratio": 1.0}


class DFR:
    """Averages L1 logistic regressions on random subsets in which all non-empty groups have the same size.

    The subsets are drawn from the samples kept (`on` = "train") or from the validation split ("val"), `num_refits` of
    them (10 and 20). `C` is one value or several; the value is used whose layer, fitted on one more subset, has
    the best worst-group accuracy in validation; the first one in a tie. On val that subset is of one random half of
    each group, and the other half judges. With one `C` nothing is tuned, and on train the validation split is not read.

    The authors' tuning differs in two ways: it halves val without regard to groups, and fits its scaler on the balanced half.
    Otherwise as in their code, embeddings are standardised by mean and standard deviation of the training samples, the bias is
    penalised like a weight, and three classes or more are fitted each against the rest.
    """

    def __init__(
        self,
        samples: TrainingSamples,
        on: str = "train",
        C: float | Sequence[float] = GRID,
        num_refits: int | None = None,
    ) -> None:
        strengths = tuple(C) if isinstance(C, list | tuple) else (C,)
        if on not in NUM_REFITS:
            raise UsageError(f"method.options.on = {on!r}", 'Choose from: "train", "val".')
        if not strengths or not all(type(one) in (int, float) and one > 0 for one in strengths):
            raise UsageError(
                f"method.options.C = {C!r} must be a number above 0 or a list of them", "Use 0.1 or [1, 0.1]."
            )
        self.num_refits = NUM_REFITS[on] if num_refits is None else num_refits
        if type(self.num_refits) is not int or self.num_refits < 1:
            raise UsageError(
                f"method.options.num_refits = {num_refits!r}", "Set the number of refits to average: 1 or more."
            )
        self.on, self.strengths, self.num_classes = on, strengths, samples.num_classes
        if on == "train":
            _ = samples.group  # said now if none are known, not after the features
        self.chosen: dict[str, float] = {}

    def refit(self, train: Embedded, val: Embedded | None, seed: int) -> Layer:
        """Weight [classes, d] and bias [classes]. Reads all labels and groups before the first embedding."""
        tunes = len(self.strengths) > 1
        judges = _with_groups(val, self.on) if tunes or self.on == "val" else None
        source = train if self.on == "train" else judges
        assert source is not None
        label, group, rows = source.label, source.group, np.arange(len(source.index))
        subsets = [balanced_subset(rows, group, seed, number) for number in range(self.num_refits)]
        tuning = self._tuning(source, judges, seed) if judges and tunes else None
        for subset in [*subsets, tuning.subset] if tuning else subsets:
            self._require_all_classes(label[subset])

        scaler = StandardScaler().fit(train.embedding)
        fit = partial(_fit_layer, source.embedding, label, self.num_classes, scaler)
        C = self.strengths[0]
        if tuning:
            accuracies = {each: tuning.worst_group_accuracy(*fit(tuning.subset, each)) for each in self.strengths}
            C = max(self.strengths, key=accuracies.__getitem__)  # the first of equal ones
            self.chosen = {"val_worst_group_accuracy": accuracies[C]}
        self.chosen = {"C": C, **self.chosen}
        weights, biases = zip(*(fit(subset, C) for subset in subsets), strict=True)
        return np.mean(weights, axis=0), np.mean(biases, axis=0)

    def _tuning(self, source: Embedded, judges: Embedded, seed: int) -> _Tuning:
        """The data to tune C on: a subset of the source, drawn after those of the refits, and the samples for validation."""
        rows = np.arange(len(source.index))
        if self.on == "train":
            return _Tuning(
                balanced_subset(rows, source.group, seed, self.num_refits), judges, np.arange(len(judges.index))
            )
        judging = half_of_each(judges.group, seed)
        if not judging.any():
            raise InputError(
                "No group of the validation split has two samples: none can be held out to tune C",
                "Name one C: --set method.options.C=0.1",
            )
        return _Tuning(
            balanced_subset(rows[~judging], source.group[~judging], seed, self.num_refits), judges, rows[judging]
        )

    def _require_all_classes(self, label: NDArray[np.int64]) -> None:
        """Raise InputError unless every class has a sample to fit it by."""
        missing = np.setdiff1d(np.arange(self.num_classes), label)
        if len(missing):
            other = "val" if self.on == "train" else "train"
            raise InputError(
                f"Class {missing[0]} (of 0 to {self.num_classes - 1}) has no samples for fitting the last layer",
                f"Keep some of its samples, give groups that do not mix classes, or fit on the other split: --set method.options.on={other}",
            )


@dataclass(frozen=True)
class _Tuning:
    """Rows of the source to fit on, and rows of the validation split that judge."""

    subset: NDArray[np.int64]
    judges: Embedded
    rows: NDArray[np.int64]

    def worst_group_accuracy(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> float:
        """Worst-group accuracy of the layer, in the precision of a model; empty groups do not count."""
        embedding = self.judges.embedding[self.rows]
        logits = embedding @ weight.T.astype(np.float32) + bias.astype(np.float32)
        right = logits.argmax(axis=1) == self.judges.label[self.rows]
        group = self.judges.group[self.rows]
        counts = np.bincount(group)
        return float(min(np.bincount(group, weights=right)[counts > 0] / counts[counts > 0]))


def half_of_each(group: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """True for a random half of each group, bool [m]; of an odd number for the smaller half."""
    rng, chosen = generator("dfr halves", seed), np.zeros(len(group), dtype=bool)
    for code in np.unique(group):
        members = rng.permutation(np.flatnonzero(group == code))
        chosen[members[: len(members) // 2]] = True
    return chosen


def _fit_layer(
    embedding: NDArray[np.float32],
    label: NDArray[np.int64],
    num_classes: int,
    scaler: StandardScaler,
    subset: NDArray[np.int64],
    C: float,
) -> Layer:
    """An L1 logistic regression on rows `subset`, as a layer that takes the embedding as it is.

    Of two classes z·(−½, ½) are the logits, whose softmax is the regression's sigmoid of z.
    """
    standardised = scaler.transform(embedding[subset].astype(np.float64))
    weights, biases = [], []
    for code in range(num_classes) if num_classes > 2 else [1]:
        regression = LogisticRegression(**_L1, C=C, solver="liblinear", random_state=0, max_iter=1000)
        regression.fit(standardised, label[subset] == code)
        weights.append(regression.coef_[0] / scaler.scale_)
        biases.append(regression.intercept_[0] - weights[-1] @ scaler.mean_)
    weight, bias = np.array(weights), np.array(biases)
    if num_classes == 2:
        return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _with_groups(val: Embedded | None, on: str) -> Embedded:
    """The validation split. Raises InputError if there is none or its groups are not known."""
    if val is not None and val.groups is not None:
        return val
    what = (
        "a validation split, but there is none"
        if val is None
        else "groups in the validation split, but they are not known"
    )
    raise InputError(
        f"DFR {'is fitted on' if on == 'val' else 'tunes C by'} {what}",
        "Use a data set that has them, or fit on train with one C: "
        "--set method.options.on=train --set method.options.C=0.1",
    )
