"""The part of a run's settings and facts that identifies its arm: what does not differ between the seeds of one arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.injection import Injection
from spurcli.reporting.origins import injected_how, scoring_of
from spurcli.reporting.values import Table, mapping, name_of, text, whole

# What differs between the seeds of one rule: its own seed, the files and counts it worked on.
_RULE_OF_A_RUN = ("seed", "seeds", "scores", "sources", "files", "like", "runs", "num_", "counts", "sha256")
# The labels that were used for a list are in `labels_used`, with all other labels.
_RULE_ELSEWHERE = ("group_labels",)
_AUGMENTATION = ("flip", "crop_padding", "resized_crop_scale", "resized_crop_ratio")
_GROUPS = ("attribute", "attributes", "group")  # options of a table: the columns that make the groups
_WITHOUT_EFFECT = ("save_seconds", "selection")  # the selection of a checkpoint is in its training's facts


def base_of(settings: Table, injection: Injection | None, made: Table) -> JsonObject:
    """What arms must share to be compared: data set, model, preprocessing without augmentation; no seed, no draw.

    Without the inject.json the commands in `made`, the file's provenance, state what was injected.
    """
    base = {name: dict(mapping(settings.get(name))) for name in ("dataset", "model", "preprocessing")}
    base["preprocessing"] = _without(base["preprocessing"], _AUGMENTATION)
    dataset = base["dataset"]
    dataset["options"] = _without(mapping(dataset.get("options")), ("draw",))
    stored = mapping(dataset.pop("injection", None))
    if injection is not None:
        dataset["injection"] = _feature(injection)
    elif stored:
        dataset["injection"] = {"feature": text(stored.get("feature")) or "unknown", **injected_how(made)}
    return base


def grouping_of(evaluation: Table) -> str:
    """What the groups of an evaluation are made of beside the class: "hospital", "hospital × sex" (crossed), "groups.csv", "suspect
    hat"; "" without groups, and where the data set makes them and no column is named.
    """
    if suspect := mapping(evaluation.get("suspect")):
        return f"suspect {name_of(suspect.get('name'))}"
    stated = mapping(evaluation.get("groups_from"))
    dataset = mapping(mapping(mapping(evaluation.get("provenance")).get("settings")).get("dataset"))
    columns: Any = stated.get("columns") or text(stated.get("file"))
    if not columns and evaluation.get("per_group") and not mapping(dataset.get("injection")):
        options = mapping(dataset.get("options"))
        columns = next((options[key] for key in _GROUPS if options.get(key)), "")
    return name_of(" × ".join(map(str, columns)) if isinstance(columns, list | tuple) else text(columns))


def without_groups(base: Table) -> JsonObject:
    """A base (`base_of`) without the columns that make the groups: they may be others than in training."""
    dataset = dict(mapping(base.get("dataset")))
    return {**base, "dataset": {**dataset, "options": _without(mapping(dataset.get("options")), _GROUPS)}}


def training_of(settings: Table) -> JsonObject:
    """How a run was trained: optimisation and augmentation."""
    preprocessing = mapping(settings.get("preprocessing"))
    augmentation = {key: preprocessing[key] for key in _AUGMENTATION if key in preprocessing}
    return {**_without(mapping(settings.get("training")), _WITHOUT_EFFECT), **augmentation}


def _without(table: Table, keys: Sequence[str]) -> JsonObject:
    return {key: value for key, value in table.items() if key not in keys}


def _feature(injection: Injection) -> JsonObject:
    asked = mapping(injection.provenance.get("arguments"))
    return {
        "feature": injection.feature,
        "parameters": dict(injection.parameters),
        "feature_of": injection.feature_of,
        "twin_class": injection.twin_class,
        **{key: value for key, value in asked.items() if not _of_a_run(key) and isinstance(value, str | int | float)},
    }


def _of_a_run(key: str) -> bool:
    return any(part in key for part in (*_RULE_OF_A_RUN, "draw", "path", "output")) and key != "score"


def rule_of(rule: Table) -> JsonObject:
    """The rule without the fields that differ between seeds or are stored elsewhere."""
    stable = {key: value for key, value in rule.items() if not _of_a_run(key) and key not in _RULE_ELSEWHERE}
    return {key: value for key, value in stable.items() if value not in (None, False, [], {})}


def labels_used_of(training: Table) -> JsonObject | None:
    """Which labels were used for a model, as recorded; None if not recorded."""
    used = training.get("labels_used")
    if not isinstance(used, Mapping):
        return None
    rule = mapping(mapping(training.get("keep")).get("rule"))
    names_groups = bool(rule.get("groups")) or rule.get("matched") == "group" or rule.get("per") == "group"
    if names_groups and not used.get("pruning_groups"):
        return None  # a list from before this was recorded
    return {str(key): text(value) or None for key, value in used.items()}


def variant_of(settings: Table, training: Table, index_list: Any, lineage: Sequence[str]) -> JsonObject:
    """What else distinguishes arms of the same rule: the method's options, the budget, the epoch of weights and scores."""
    asked = mapping(settings.get("method"))
    variant: JsonObject = {"options": dict(mapping(training.get("method_options")) or mapping(asked.get("options")))}
    budget, epoch = text(training.get("budget"), "epochs"), whole(training.get("epoch"))
    asked_epochs = whole(mapping(settings.get("training")).get("epochs"))
    if budget != "epochs":
        variant["budget"] = budget
    elif text(training.get("selection"), "last") == "last" and epoch and epoch != asked_epochs:
        variant["epoch"] = epoch  # a checkpoint of an earlier epoch; the best epoch would differ between seeds
    if mapping(training.get("keep")):
        variant |= scoring_of(lineage) or _scoring_of_list(index_list)
    return variant


def _scoring_of_list(index_list: Any) -> JsonObject:
    """After which epoch the samples of a list were scored; the settings of an evaluation no longer say so."""
    if index_list is None:
        return {}
    scoring = mapping(mapping(mapping(index_list.provenance).get("settings")).get("scoring"))
    return {"scored_after_epoch": scoring["epoch"]} if whole(scoring.get("epoch")) is not None else {}
