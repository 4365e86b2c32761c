"""The metrics of reliance: how far a model leans on a spurious feature, independent of its threshold. NumPy only.

Computed together in `judged`; docs/measures.md explains each with a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import spurcli.evaluation.spurious  # noqa: F401  registered first: the symptom is shown before what is behind it
from spurcli.evaluation.metric import Values, metric
from spurcli.evaluation.outcome import Outcome

_BORKAN = "Borkan et al., WWW 2019"


def _judged(name: str) -> Callable[[Outcome], Values | None]:
    def compute(outcome: Outcome) -> Values | None:
        found = outcome.judged.metrics.get(name)
        return dict(found) if found is not None else None

    return compute


def _register(name: str, label: str, summary: str, **facts: Any) -> None:
    metric(name, label, summary, needs=("feature",), **facts)(_judged(name))


_register(
    "feature_effect",
    "Feature effect",
    "How far the feature alone moves the output, as a share of the model's own class distance: 0 none, 1 all",
    unit="",
    lower_is_better=True,
    bounds=(None, None),
    source="after Garg et al., AIES 2019",
    column=4,
)
_register(
    "probit_gap",
    "Probit gap",
    "How far the feature moves a sample of another class, in standard deviations within a class; independent of the threshold",
    unit="",
    lower_is_better=True,
    bounds=(None, None),
    source="binormal model",
    column=5,
)
_register(
    "background_auroc",
    "Background AUROC",
    "How well the classes are separated among samples without the feature: the core",
    unit="",
    source=_BORKAN,
    column=6,
)
_register(
    "flip_rate",
    "Flip rate",
    "Share of the samples of other classes that are predicted as the feature's class once they get the feature",
    lower_is_better=True,
    column=11,
)
_register(
    "spurious_misclassification_matched",
    "Spurious misclassification, matched threshold",
    "The same share at the threshold at which, among samples without the feature, the number predicted as the class equals the number that belongs to it",
    lower_is_better=True,
    column=None,
)
_register(
    "spurious_misclassification_all_matched",
    "Spurious misclassification, all other classes, matched threshold",
    "The same over all classes except the feature's own class",
    lower_is_better=True,
    column=None,
)
_register(
    "conflict_accuracy_matched",
    "Conflict accuracy, matched threshold",
    "Accuracy on the conflict groups at the threshold at which, among samples without the feature, the number predicted as the class equals the number that belongs to it",
    column=12,
)
_register(
    "auroc_gap",
    "AUROC gap",
    "Background − BPSN AUROC: the ranking quality lost through the feature; small if ranking is nearly perfect, whatever the reliance",
    unit="",
    lower_is_better=True,
    bounds=(-1.0, 1.0),
    source=_BORKAN,
    column=None,
)
_register(
    "bpsn_auroc",
    "BPSN AUROC",
    "The class without the feature against others with it: falls as the model leans on the feature",
    unit="",
    source=_BORKAN,
    column=None,
)
_register(
    "bnsp_auroc",
    "BNSP AUROC",
    "The class with the feature against others without it",
    unit="",
    lower_is_better=None,  # the feature's push and the core both raise it
    source=_BORKAN,
    column=None,
)
_register(
    "subgroup_auroc",
    "Subgroup AUROC",
    "The classes among samples with the feature; does not measure reliance, because a constant shift cancels",
    unit="",
    source=_BORKAN,
    column=None,
)
