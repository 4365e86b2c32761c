"""Runs: an evaluation, what is known of its training, and the history of that training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from spurcli.artifacts.envelope import canonical_json
from spurcli.artifacts.evaluation import is_unsplit
from spurcli.artifacts.injection import Injection
from spurcli.artifacts.provenance import lineage_of
from spurcli.evaluation.metric import described
from spurcli.reporting.arm_key import (
    base_of,
    grouping_of,
    labels_used_of,
    rule_of,
    training_of,
    variant_of,
    without_groups,
)
from spurcli.reporting.document import Measured, PartAccuracy
from spurcli.reporting.gather import File, Gathered
from spurcli.reporting.naming import NO_SPLIT
from spurcli.reporting.origins import Source, source_of
from spurcli.reporting.values import Table, mapping, name_of, number, pair, rows, text, whole
from spurcli.words import counted, listed

Seed = tuple[int | None, int | None]
# What differs between the checkpoints of one training.
_OF_A_CHECKPOINT = ("epoch", "selection", "labels_used")


@dataclass(frozen=True)
class Run:
    """One model: what was evaluated (`metrics` is empty if nothing was), and its training if known, else its `source`.

    `base` is what runs must share to be compared at all (data set, model, preprocessing), `training` how they were
    trained (optimisation, augmentation), `variant` what else distinguishes runs of one method and rule. `grouping` is what
    the groups are made of beside the class. `apart` and `series` tell runs apart that would pass for seeds of one arm
    (reporting.apart).
    """

    name: str
    split: str
    seed: int | None
    draw: int | None
    base: Table
    training: Table
    method: str
    rule: Table | None
    selection: str
    labels_used: Table | None
    variant: Table
    summary: Table
    epoch: int | None
    num_train: int | None
    num_kept: int | None
    lineage: Sequence[str]
    versions: Mapping[str, str]
    keep_sha256: str | None
    injection_sha256: str | None
    weights_sha256: str | None = None
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    per_class: Sequence[PartAccuracy] = ()
    per_group: Sequence[PartAccuracy] = ()
    warnings: Sequence[str] = ()
    history: str | None = None
    epochs: Sequence[Table] = ()
    device: str = ""
    source: Source | None = None
    fingerprint: Table = field(default_factory=dict)
    grouping: str = ""
    recipe: str = ""
    rule_seed: int | None = None
    is_audited: bool = False  # the suspect was found in this very model, so its value is not one of several trainings.
    # An evaluation beside its own training is one of those, even if it ended in the same weights.
    carriers: str = ""  # the group of the carriers of the suspect that the run was evaluated by
    apart: tuple[str, ...] = ()
    series: tuple[int, int] = (0, 0)

    @property
    def at(self) -> Seed:
        """What pairs runs of different arms: the training seed and the draw of the data set."""
        return self.seed, self.draw

    @property
    def collapsed(self) -> bool:
        """Whether the run failed: one class for all samples, or a loss that is NaN."""
        diverged = any("loss" in epoch and number(epoch["loss"]) is None for epoch in self.epochs)
        return diverged or any("the model has collapsed" in line for line in self.warnings)

    @property
    def seconds(self) -> float | None:
        """The value for the whole training, whichever epoch was evaluated; None unless every epoch has one."""
        found = [number(epoch.get("seconds")) for epoch in self.epochs]
        known = [value for value in found if value is not None]
        return sum(known) if known and len(known) == len(found) else None


def read_runs(gathered: Gathered) -> tuple[list[Run], list[str]]:
    """All evaluations, each with the history of its training, and all histories without one; remarks on what was dropped."""
    injections = {file.content.sha256: file.content for file in gathered.of("injection")}
    lists = {file.content.sha256: file.content for file in gathered.of("list")}
    histories = gathered.of("history")
    remarks: list[str] = []
    runs: list[Run] = []
    for file in gathered.of("evaluation"):
        training = mapping(file.content.get("training"))
        history = _history_of(file, histories)
        run = _run(file, training or (history.content if history else {}), history, injections, lists)
        run = _evaluated(run, file)
        if first_run := next((other for other in runs if _same(run, other)), None):
            remarks.append(f"{file.name} repeats an evaluation, {first_run.name}; it is counted once.")
        else:
            runs.append(run)
    shown = [file for file in histories if file.name in {run.history for run in runs}]
    for file in histories:
        if file in shown:
            continue
        first = next((other for other in shown if _same_training(file, other)), None)
        if first is not None:
            remarks.append(f"{file.name} is of the same training as {first.name}; it is shown once.")
        else:
            shown.append(file)
            runs.append(_run(file, file.content, file, injections, lists))
    return _one_unit(_in_groups(runs, remarks), remarks), [*remarks, *_of_bounds(gathered)]


def _is_beside(evaluation: str, history: str | None) -> bool:
    return history is not None and PurePath(evaluation).parent == PurePath(history).parent


def _in_groups(runs: Sequence[Run], remarks: list[str]) -> list[Run]:
    """The runs without those that say nothing new: of a model that was evaluated by groups too, on the same split."""

    def place(run: Run) -> tuple[object, ...]:
        return run.weights_sha256, run.split, run.selection, canonical_json(run.fingerprint)

    grouped = {place(run): run for run in runs if run.per_group and run.weights_sha256}
    kept = []
    for run in runs:
        other = None if run.per_group or not run.metrics else grouped.get(place(run))
        if other is not None and set(run.metrics) <= set(other.metrics):
            remarks.append(f"{run.name} has no groups; the same model is shown by the groups of {other.name}.")
        else:
            kept.append(run)
    return kept


def _of_bounds(gathered: Gathered) -> list[str]:
    """Metrics that some runs know a bound of only, and so are left out there."""
    found: dict[str, list[str]] = {}
    for file in gathered.of("evaluation"):
        for name, entry in mapping(file.content.get("metrics")).items():
            if text(mapping(entry).get("bound")):
                found.setdefault(name, []).append(file.name)
    return [
        f"{name_of(name)}: {counted(len(files), 'run')} with only a bound, because an AUROC is 0 or 1; left out: {listed(files)}."
        for name, files in found.items()
    ]


def _same_training(first: File, second: File) -> bool:
    """Whether both histories tell of one training: equal weights alone may be those of two methods."""
    digest = text(first.content.get("weights_sha256"))
    told = {key: value for key, value in first.content.items() if key not in ("epochs", "provenance")}
    return bool(digest) and _tells_of(second, told)


def _history_of(file: File, histories: Sequence[File]) -> File | None:
    """The history of the evaluated model's training.

    It holds the hash of the weights that the training handed over. Of the other checkpoints of that training (other
    epochs, other rules of selection) it tells by the same command, facts and settings; if several do, the nearest file.
    """
    digest = text(mapping(file.content.get("model")).get("weights_sha256"))
    training = mapping(file.content.get("training"))
    holding = [other for other in histories if digest and text(other.content.get("weights_sha256")) == digest]
    if holding:
        told = [other for other in holding if not training or _tells_of(other, training)] or holding
        return max(told, key=lambda other: _shared_folders(file.name, other.name))
    lineage = lineage_of(mapping(file.content.get("provenance")))
    any_groups = bool(file.content.get("groups_from") or file.content.get("suspect"))
    found = [
        other
        for other in histories
        if training
        and _tells_of(other, training)
        and lineage_of(mapping(other.content.get("provenance")))[-1:] in [(line,) for line in lineage]
        and _trained_with(other.content, any_groups=any_groups) == _trained_with(file.content, any_groups=any_groups)
    ]
    return max(found, key=lambda other: _shared_folders(file.name, other.name), default=None)


def _tells_of(history: File, training: Table) -> bool:
    facts = _training_facts(training)
    return facts == {key: history.content.get(key) for key in facts}


def _training_facts(training: Table) -> Table:
    return {key: value for key, value in training.items() if key not in _OF_A_CHECKPOINT}


def _trained_with(content: Table, *, any_groups: bool) -> str:
    settings = mapping(mapping(content.get("provenance")).get("settings"))
    base = base_of(settings, None, {})
    base = without_groups(base) if any_groups else base
    return canonical_json([base, training_of(settings), settings.get("seed")])


def _shared_folders(first: str, second: str) -> int:
    parts = zip(PurePath(first).parts[:-1], PurePath(second).parts[:-1], strict=False)
    return next((depth for depth, (one, other) in enumerate(parts) if one != other), 1000)


def _same(first: Run, second: Run) -> bool:
    """Whether both are one evaluation.

    Two rules of selection may well have chosen the same weights, and two methods have them while they do the same
    (PDE's warm-up is SUBG).
    """
    if not (first.source.is_same(second.source) if first.source else first.weights_sha256):
        return False
    facts = (
        "weights_sha256",
        "is_audited",
        "selection",
        "split",
        "grouping",
        "metrics",
        "at",
        "method",
        "variant",
        "training",
        "base",
    )
    return all(getattr(first, name) == getattr(second, name) for name in facts)


def _evaluated(run: Run, file: File) -> Run:
    content = file.content
    backbone = mapping(mapping(content.get("model")).get("backbone"))
    base = {**run.base, "backbone": backbone} if backbone else run.base
    grouping, suspect = grouping_of(content), mapping(content.get("suspect"))
    if (content.get("groups_from") or suspect) and "dataset" in base:
        base = {**without_groups(base), "groups": grouping}
    return replace(
        run,
        base=base,
        grouping=grouping,
        is_audited=suspect.get("is_audited_model") is True and not _is_beside(file.name, run.history),
        carriers=f"{text(suspect.get('class'))}/{text(suspect.get('name'))}" if suspect else "",
        split=NO_SPLIT if is_unsplit(content) else name_of(text(content.get("split"), "test")),
        weights_sha256=text(mapping(content.get("model")).get("weights_sha256")) or None,
        metrics=_metrics(mapping(content.get("metrics")), rows(content.get("per_group"))),
        per_class=_accuracies(content.get("per_class"), "class"),
        per_group=_accuracies(content.get("per_group"), "group"),
        warnings=[item for item in content.get("warnings") or [] if isinstance(item, str)],
        fingerprint=mapping(content.get("fingerprint")),
    )


def _run(
    file: File,
    training: Table,
    history: File | None,
    injections: Mapping[str, Injection],
    lists: Table,
) -> Run:
    content = file.content
    made = mapping(content.get("provenance"))
    settings = mapping(made.get("settings"))
    dataset = mapping(settings.get("dataset"))
    keep = mapping(training.get("keep")) or None
    keep_sha256 = text(keep.get("sha256")) if keep else ""
    sha256 = text(mapping(dataset.get("injection")).get("sha256"))
    injection = injections.get(sha256)
    seed = whole(training.get("seed"))
    told = history.content if history else content  # logits made elsewhere may tell of epochs themselves
    source = None if training else source_of(content, file.name)
    base = base_of(settings, injection, made) if settings else {"file": file.name}
    if source and source.kind != "model" and settings:  # the settings of a data set name a model that nobody ran
        base = {"dataset": base["dataset"]}
    return Run(
        name=file.name,
        split="",
        seed=seed if seed is not None else (whole(settings.get("seed")) if training else None),
        draw=whole(mapping(dataset.get("options")).get("draw")),
        base=base,
        training=training_of(settings) if settings and not source else {},
        method="" if source else text(training.get("method")) or text(mapping(settings.get("method")).get("name")),
        rule=rule_of(mapping(keep.get("rule"))) if keep else None,
        selection=text(training.get("selection"), "last" if training else ""),
        labels_used=labels_used_of(training),
        variant={} if source else variant_of(settings, training, lists.get(keep_sha256), lineage_of(made)),
        summary=mapping(keep.get("summary")) if keep else {},
        epoch=whole(training.get("epoch")),
        num_train=whole(training.get("num_train")),
        num_kept=whole(training.get("num_kept")),
        lineage=_lineage(made, injection),
        versions={str(key): str(value) for key, value in mapping(made.get("versions")).items()},
        weights_sha256=text(content.get("weights_sha256")) or None,
        keep_sha256=keep_sha256 or None,
        injection_sha256=text(content.get("injection_sha256")) or sha256 or None,
        history=history.name if history else None,
        epochs=rows(told.get("epochs")),
        device=text(told.get("device")),
        source=source,
        recipe="" if source else text(training.get("recipe")) or text(settings.get("recipe")),
        rule_seed=whole(mapping(keep.get("rule")).get("seed")) if keep else None,
    )


def _lineage(made: Table, injection: Injection | None) -> list[str]:
    lines = list(lineage_of(made))
    if injection is not None:
        before = [line for line in lineage_of(injection.provenance) if line not in lines]
        lines = before + lines
    return lines


def _metrics(metrics: Table, per_group: Sequence[Table]) -> dict[str, Measured]:
    """The metrics; one that is the accuracy of a single group has that group's interval, so that a group has one.

    Not so the lowest of several groups: its interval covers the lowest true accuracy, which may be another group's.
    """
    accuracies = {item.get("group"): mapping(item.get("accuracy")) for item in per_group if text(item.get("group"))}
    read = {}
    for name, entry in metrics.items():
        entry = mapping(entry)
        facts = {
            key: name_of(entry[key])
            for key in ("group", "true", "predicted", "feature")
            if isinstance(entry.get(key), str)
        }
        groups = entry.get("groups")
        group = groups[0] if isinstance(groups, list) and len(groups) == 1 else None
        own = accuracies.get(group) if isinstance(group, str) else None
        is_of_group = own is not None and number(own.get("value")) == number(entry.get("value"))
        is_bound = bool(text(entry.get("bound")))  # the true value is beyond the bound, so a mean would be wrong
        read[name] = Measured(
            value=None if is_bound else number(entry.get("value")),
            num_samples=whole(entry.get("num_samples")),
            interval=pair((own if is_of_group and own else entry).get("interval")),
            told={key: entry[key] for key in ("label", "unit", "lower_is_better", "bounds") if key in entry},
            facts=facts,
        )
    return read


def _one_unit(runs: Sequence[Run], remarks: list[str]) -> list[Run]:
    """The runs without metrics that are in another unit than in the first run: their values are not comparable."""
    units: dict[str, str] = {}
    kept = []
    for run in runs:
        other = []
        for name, entry in run.metrics.items():
            unit = described(name, entry.told).unit
            if units.setdefault(name, unit) != unit:
                other.append(name)
                words = [found or "a plain number" for found in (unit, units[name])]
                remarks.append(
                    f"{run.name}: {name_of(name)} is left out: its unit is {words[0]}, elsewhere {words[1]}."
                )
        metrics = {name: entry for name, entry in run.metrics.items() if name not in other}
        kept.append(replace(run, metrics=metrics) if other else run)
    return kept


def _accuracies(items: Any, key: str) -> list[PartAccuracy]:
    found = []
    for item in rows(items):
        accuracy = mapping(item.get("accuracy"))
        name = name_of(item.get(key, "?"))
        num_samples, interval = whole(accuracy.get("num_samples")), pair(accuracy.get("interval"))
        found.append(PartAccuracy(name, number(accuracy.get("value")), num_samples, interval))
    return found
