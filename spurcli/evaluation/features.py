"""Which spurious features a result can be judged by: each with its class c1, determined from what is known about the groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject, field, optional_field
from spurcli.errors import InputError, UsageError
from spurcli.evaluation.matched import Threshold
from spurcli.groups import is_grid, lift, marked_attribute, spurious_sets

# An attribute with such a name is the absence of a feature, not a feature: "none", "no line", "0".
_ABSENT = ("none", "no", "not", "without", "absent", "0", "-1", "false", "neither", "nothing")


@dataclass(frozen=True)
class Feature:
    """A spurious feature: its name, the classes c1 that it goes with, and the attribute that carries it.

    `attribute` is None for an injected feature, whose carriers are the twin. `against` is a single class c2 that
    replaces all others, if one is named. `note` reports a choice that was not unique (a tie). `threshold` was
    fitted on another split; `cross_fit` asks for one from the split itself.
    """

    name: str
    classes: tuple[int, ...]
    attribute: int | None = None
    against: int | None = None
    note: str = ""
    threshold: Threshold | None = None
    cross_fit: bool = False

    def to_json(self) -> JsonObject:
        """As stored in predictions.h5."""
        content = asdict(self)
        return {**content, "classes": list(self.classes)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], num_classes: int, num_attributes: int, where: str) -> Feature:
        """Raises InputError unless the classes and the attribute are there."""
        where = f"{where}: features"
        classes = field(content, "classes", list, where)
        attribute = optional_field(content, "attribute", int, where)
        against = optional_field(content, "against", int, where)
        fits = all(type(y) is int and 0 <= y < num_classes for y in [*classes, *([] if against is None else [against])])
        fits = fits and 0 < len(set(classes)) == len(classes) < num_classes and against not in classes
        if not fits or (attribute is not None and not 0 <= attribute < num_attributes):
            raise InputError(f"{where} name a class or an attribute that does not exist", "Evaluate the model again.")
        threshold = optional_field(content, "threshold", dict, where)
        return cls(
            name=field(content, "name", str, where),
            classes=tuple(classes),
            attribute=attribute,
            against=against,
            note=optional_field(content, "note", str, where) or "",
            threshold=Threshold.from_json(threshold, where) if threshold is not None else None,
            cross_fit=optional_field(content, "cross_fit", bool, where) or False,
        )


def is_absence(attribute: str) -> bool:
    """Whether an attribute's name says that something is not there."""
    name = attribute.strip().lower()
    return name in _ABSENT or name.startswith(("no ", "no_", "no-", "not ", "not_", "not-", "non-", "without"))


def features_of_groups(
    train_counts: NDArray[np.int64] | None, class_names: Sequence[str], attribute_names: Sequence[str]
) -> tuple[list[Feature], str]:
    """The features of a grid of groups, the marked one (the rarer) first; or the reason why there is none.

    Each attribute against the rest, with the classes whose spurious feature it is (`groups.spurious_sets`, ties
    listed), else with the class that it favours most. An attribute that is the absence of a feature has no record,
    unless all are. `train_counts` int64 [classes · attributes].
    """
    if train_counts is None:
        return [], "the training counts of the groups are not known: name the feature and its class with --feature-of"
    if len(attribute_names) < 2:
        return [], "all samples have the same attribute"
    lifts = np.nan_to_num(lift(train_counts, len(class_names)), nan=-1.0)
    marked = marked_attribute(train_counts, len(class_names))
    if marked is None:
        return [], "no attribute marks a class in the training data: the strongest attribute of each class is the same"
    own = spurious_sets(train_counts, len(class_names))
    wanted = [a for a, name in enumerate(attribute_names) if not is_absence(name)] or [marked]
    features = []
    for attribute in sorted(wanted, key=lambda a: (a != marked, a)):
        mine = [y for y, attributes in enumerate(own) if attribute in attributes]
        tied = [class_names[y] for y in mine if len(own[y]) > 1]
        note = f"tie: another attribute is as strong in {', '.join(tied)}" if tied else ""
        if not mine:
            mine = np.flatnonzero(lifts[:, attribute] == lifts[:, attribute].max()).tolist()
            note = "it is not the strongest feature of any class: measured for the class that it favours most"
        if 0 < len(mine) < len(class_names):
            features.append(Feature(attribute_names[attribute], tuple(mine), attribute, note=note))
    return features, "" if features else "no attribute marks a class in the training data"


def are_mirrored(features: Sequence[Feature], num_classes: int, num_attributes: int) -> bool:
    """Whether two classes have one feature each and each sample carries one of them, such as water and land."""
    return (
        num_classes == num_attributes == len(features) == 2
        and all(feature.attribute is not None and len(feature.classes) == 1 for feature in features)
        and features[0].classes != features[1].classes
    )


def named_features(words: Sequence[str], class_names: Sequence[str], group_names: Sequence[str]) -> list[Feature]:
    """The features that --feature-of names as CLASS/ATTRIBUTE, in that order; classes with the same attribute are combined."""
    width = len(group_names) // max(1, len(class_names))
    if not is_grid(group_names, class_names):
        raise UsageError(
            "--feature-of needs groups that are class/attribute", "Evaluate a result whose groups are known."
        )
    classes: dict[int, list[int]] = {}
    for word in words:
        if word not in group_names:
            raise UsageError(f"--feature-of {word}: unknown group", f"Groups: {', '.join(group_names[:8])}.")
        label, attribute = divmod(list(group_names).index(word), width)
        classes.setdefault(attribute, []).append(label)
    found = []
    for attribute, mine in classes.items():
        name = group_names[attribute].removeprefix(f"{class_names[0]}/")
        if len(set(mine)) == len(class_names):
            raise UsageError(
                f"--feature-of names every class for {name}, so no class is left for the comparison", "Name fewer."
            )
        found.append(Feature(name, tuple(dict.fromkeys(mine)), attribute))
    return found
