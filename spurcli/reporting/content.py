"""Builds the report, the source of every output, from the gathered files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spurcli.artifacts.envelope import canonical_json
from spurcli.artifacts.provenance import lineage_of, provenance
from spurcli.errors import InputError
from spurcli.reporting import sentences, statistics
from spurcli.reporting.arms import Arm, collect, dataset_name
from spurcli.reporting.choosing import choices
from spurcli.reporting.claims import LEVEL
from spurcli.reporting.difficulty import describe_scores
from spurcli.reporting.document import (
    ArmEntry,
    CheckpointEntry,
    ListEntry,
    Measured,
    Noticed,
    Report,
    RunEntry,
    ShownMetric,
    Skipped,
)
from spurcli.reporting.doubts import doubts
from spurcli.reporting.gather import File, Gathered, reason
from spurcli.reporting.labels import describe_metric, leading_metric, main_columns, order_metrics, primary_metric
from spurcli.reporting.naming import arm_kind, arm_label, fraction_of, group_labels, grouping_words
from spurcli.reporting.parts import part_levels, worst_group
from spurcli.reporting.primary import claims_of, primary_comparisons
from spurcli.reporting.ranking import rankings
from spurcli.reporting.removed import removed_by
from spurcli.reporting.runs import Run
from spurcli.reporting.scores_entry import ScoresEntry
from spurcli.reporting.sections import sections
from spurcli.reporting.tables import comparisons, summarise
from spurcli.reporting.values import Table, mapping, name_of, number, plain, text, whole
from spurcli.reporting.verdict import reading, verdict
from spurcli.words import joined, listed

_MAX_SCORE_FILES = 50


def build(gathered: Gathered, *, title: str | None, notes: Sequence[str], command: str) -> Report:
    """The content of a report; reads the values of the score files."""
    collected = collect(gathered)
    arms = list(collected.arms)
    metrics, parts = _metrics(arms), sections(arms)
    entries = [_arm(arm, metrics) for arm in arms]
    primary = leading_metric(
        primary_metric([metric.name for metric in metrics if any(metric.name in entry.metrics for entry in entries)]),
        [entry.metrics for entry in entries],
        is_injected=any(mapping(mapping(arm.base.get("dataset")).get("injection")) for arm in arms),
    )
    remarks = [*_frozen(arms), *collected.remarks]
    skipped = [Skipped(name, reason) for name, reason in gathered.skipped]
    runs = [run for arm in arms for run in arm.runs]
    scores = _scores(gathered.of("scores"), _scores_wanted(arms), skipped, remarks)
    asked = next((metric for metric in metrics if metric.name == primary), None)
    compared = comparisons(arms, metrics)
    ranked = rankings(arms, parts, asked)
    chosen = primary_comparisons(entries, compared, asked)
    # a page that also ranks methods has two families of claims, which share the 5 %
    level = LEVEL / 2 if chosen and any(entry.best is not None for entry in ranked) else LEVEL
    report = Report(
        title=title or _title(arms, gathered),
        notes=notes,
        remarks=remarks,
        skipped=skipped,
        warnings=_warnings(runs),
        metrics=metrics,
        primary_metric=primary,
        arms=entries,
        sections=parts,
        common_settings=collected.common,
        comparisons=compared,
        rankings=ranked,
        choices=choices(arms, parts[0].split if parts else None, asked),
        claims=claims_of(arms, entries, chosen, asked, level=level),
        level=level,
        runs=[_run(run, number) for number, arm in enumerate(arms) for run in arm.runs],
        lists=_unused_lists(gathered.of("list"), runs),
        scores=scores,
        checkpoints=[_checkpoint(file) for file in gathered.of("checkpoint")],
        provenance=provenance("report", command=command),
    )
    return replace(report, verdict=verdict(report), reading=reading(report), doubts=doubts(report))


def _metrics(arms: Sequence[Arm]) -> list[ShownMetric]:
    """All metrics, those of the main table first, as the first run that has one describes it."""
    told: dict[str, Measured] = {}
    with_value: set[str] = set()
    for run in (run for arm in arms for run in arm.runs):
        for name, measured in run.metrics.items():
            told.setdefault(name, measured)
            with_value |= {name} if measured.value is not None else set()
    names = order_metrics(list(told))
    main = main_columns([name for name in names if name in with_value])
    columns = [*main, *[name for name in names if name not in main]]
    return [describe_metric(name, told[name].told, main=name in main) for name in columns]


def _arm(arm: Arm, metrics: Sequence[ShownMetric]) -> ArmEntry:
    levels = {metric.name: summarise(arm, metric) for metric in metrics}
    return ArmEntry(
        label=arm.label,
        short=arm.short,
        kind=arm.kind,
        method=arm.method,
        rule=arm.rule,
        fraction=arm.fraction,
        split=arm.split,
        selection=arm.selection,
        details=arm.details,
        group_labels=group_labels(arm.labels_used),
        labels_used=arm.labels_used,
        settings={**arm.base, **({"training": arm.training} if arm.is_trained else {}), **arm.variant},
        num_runs=len(arm.runs),
        num_seeds=len({run.at if run.seed is not None else position for position, run in enumerate(arm.runs)}),
        num_train=_mean([run.num_train for run in arm.runs]),
        num_kept=_mean([run.num_kept for run in arm.runs]),
        seconds=_mean([run.seconds for run in arm.runs]),
        devices=sorted({run.device for run in arm.runs if run.device}),
        metrics={name: level for name, level in levels.items() if level},
        facts={name: measured.facts for name, measured in arm.runs[0].metrics.items() if measured.facts},
        per_class=part_levels(arm, [run.per_class for run in arm.runs]),
        per_group=part_levels(arm, [run.per_group for run in arm.runs]),
        removed=removed_by([run.summary for run in arm.runs]),
        commands=arm.runs[0].lineage,
        versions=arm.runs[0].versions,
        grouping=arm.grouping,
        worst_group=worst_group(arm),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _run(run: Run, arm: int) -> RunEntry:
    return RunEntry(
        name=run.name,
        arm=arm,
        split=run.split,
        seed=run.seed,
        draw=run.draw,
        selection=run.selection,
        epoch=run.epoch,
        seconds=run.seconds,
        history=run.history,
        num_train=run.num_train,
        num_kept=run.num_kept,
        weights_sha256=run.weights_sha256,
        keep_sha256=run.keep_sha256,
        injection_sha256=run.injection_sha256,
        fingerprint=run.fingerprint,
        device=run.device,
        metrics=run.metrics,
        per_class=run.per_class,
        per_group=run.per_group,
        warnings=run.warnings,
        epochs=run.epochs,
        commands=run.lineage,
    )


def _warnings(runs: Sequence[Run]) -> list[Noticed]:
    """Each warning once, with the runs that have it; and runs whose loss is no longer a number."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for line in run.warnings:
            found.setdefault(line, []).append(run.name)
        for line in (item for item in run.summary.get("warnings") or () if isinstance(item, str)):
            found.setdefault(f"prune: {line}", []).append(run.name)
        if any("loss" in epoch and number(epoch["loss"]) is None for epoch in run.epochs):
            found.setdefault("The training loss is not a number in some epochs: the run diverged", []).append(run.name)
    return [Noticed(line, names) for line, names in found.items()]


def _title(arms: Sequence[Arm], gathered: Gathered) -> str:
    datasets = list(dict.fromkeys(name for arm in arms if (name := dataset_name(arm.base))))
    if len(datasets) > 1:
        return ", ".join(datasets[:3]) + (" …" if len(datasets) > 3 else "")
    if datasets:
        bases = [arm.base for arm in arms if dataset_name(arm.base)]
        model = _shared([name_of(text(mapping(base.get("model")).get("name"))) for base in bases])
        injections = [mapping(mapping(base["dataset"]).get("injection")) for base in bases]
        feature = _shared([name_of(text(injection.get("feature")).rpartition(":")[2]) for injection in injections])
        feature = f" with a {feature}" if feature else ""
        return f"{datasets[0]}{feature}{_by(arms)}{f', {model}' if model else ''}"
    if not arms and gathered.of("scores"):
        return "Difficulty of the training samples"
    if not arms and gathered.of("list"):
        return "What pruning removes"
    files = list(dict.fromkeys(name_of(arm.runs[0].source.file) for arm in arms if arm.runs[0].source))
    return f"{', '.join(files)}{_by(arms)}" if 0 < len(files) < 4 else "spurcli report"


def _by(arms: Sequence[Arm]) -> str:
    """ " by hospital and by sex": the columns that make the groups, as far as they are named."""
    groupings = list(dict.fromkeys(arm.grouping for arm in arms if arm.grouping))
    return f" {joined([grouping_words(name) for name in groupings])}" if 0 < len(groupings) < 4 else ""


def _frozen(arms: Sequence[Arm]) -> list[str]:
    """A sentence for each frozen model on whose embeddings arms were trained."""
    found = [mapping(arm.base.get("backbone")) for arm in arms]
    said = []
    for backbone in {canonical_json(dict(each)): each for each in found if each}.values():
        options = mapping(backbone.get("options"))
        which = name_of(text(options.get("arch")) or text(options.get("path")))
        model = " ".join(word for word in (name_of(text(backbone.get("model"))), which) if word)
        weights = name_of(text(backbone.get("weights_sha256"))[:12])
        said.append(sentences.FROZEN.format(model=model, weights=weights, layer=name_of(text(backbone.get("layer")))))
    return said


def _shared(names: Sequence[str]) -> str:
    """The name that all arms have, "" if they differ or some have none."""
    return names[0] if len(set(names)) == 1 else ""


def _scores_wanted(arms: Sequence[Arm]) -> list[str]:
    return list(dict.fromkeys(text(mapping(arm.rule).get("score")) for arm in arms if arm.rule))


def _scores(
    files: Sequence[File], wanted: Sequence[str], skipped: list[Skipped], remarks: list[str]
) -> list[ScoresEntry]:
    if len(files) > _MAX_SCORE_FILES:
        left = listed([file.name for file in files[_MAX_SCORE_FILES:]])
        remarks.append(
            f"Difficulty is shown for the first {_MAX_SCORE_FILES} of {len(files)} score files, not for {left}."
        )
    entries = []
    for file in files[:_MAX_SCORE_FILES]:
        try:
            entries.append(describe_scores(file, wanted))
        except InputError as error:  # values are only read here: NaN, a damaged block
            skipped.append(Skipped(file.name, reason(error, file.path)))
    return entries


def _unused_lists(files: Sequence[File], runs: Sequence[Run]) -> list[ListEntry]:
    """Lists that no run here was trained on, one entry for each rule."""
    used = {run.keep_sha256 for run in runs}
    by_rule: dict[str, list[File]] = {}
    for file in files:
        if file.content.sha256 not in used:
            by_rule.setdefault(canonical_json(_stable(plain(file.content.rule))), []).append(file)
    entries = []
    for found in by_rule.values():
        content = found[0].content
        rule = plain(content.rule)
        label, _ = arm_label("erm", rule, fraction_of(rule, content.num_samples, content.num_kept))
        entries.append(
            ListEntry(
                label=label,
                kind=arm_kind("erm", rule),
                files=[file.name for file in found],
                rule=rule,
                removed=removed_by([plain(file.content.summary) for file in found]),
                commands=lineage_of(mapping(content.provenance)),
            )
        )
    return entries


def _stable(rule: Table) -> Table:
    keys = ("select", "fraction", "per", "groups", "balance_classes", "balance_groups", "quotas", "score", "matched")
    return {key: rule[key] for key in keys if key in rule}


def _checkpoint(file: File) -> CheckpointEntry:
    training = mapping(file.content.get("training"))
    return CheckpointEntry(
        file=file.name,
        recipe=text(training.get("recipe")),
        method=text(training.get("method")),
        seed=whole(training.get("seed")),
        epoch=whole(training.get("epoch")),
    )
