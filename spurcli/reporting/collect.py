"""Joining artefacts: an evaluation and its history are a run; runs that differ only in their seeds are an arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spurcli.artifacts.envelope import canonical_json
from spurcli.artifacts.provenance import lineage_of
from spurcli.datasets.injection import Injection
from spurcli.datasets.own.naming import OWN_DATA
from spurcli.reporting.gather import File, Gathered
from spurcli.reporting.labels import ArmKind, arm_kind, arm_label, fraction_of, lower_first, rule_scope
from spurcli.reporting.values import flatten, mapping, name_of, number, pair, rows, text, whole

Seed = tuple[int | None, int | None]
# What differs between the seeds of one rule: its own seed, the files and counts it worked on.
_RULE_OF_A_RUN = ("seed", "seeds", "scores", "sources", "files", "like", "runs", "num_", "counts", "sha256")
_KINDS: tuple[ArmKind, ...] = ("all", "hardest", "random", "easiest", "slice", "other")


@dataclass(frozen=True)
class Run:
    """One trained model: what was evaluated (`metrics` is empty if nothing was), and its training if known."""

    name: str
    split: str
    seed: int | None
    draw: int | None
    base: Mapping[str, Any]
    method: str
    rule: Mapping[str, Any] | None
    variant: Mapping[str, Any]
    summary: Mapping[str, Any]
    num_train: int | None
    num_kept: int | None
    metrics: Mapping[str, dict[str, Any]]
    per_class: Sequence[dict[str, Any]]
    per_group: Sequence[dict[str, Any]]
    warnings: Sequence[str]
    lineage: Sequence[str]
    versions: Mapping[str, str]
    weights_sha256: str | None
    keep_sha256: str | None
    injection_sha256: str | None
    epochs: Sequence[Mapping[str, Any]] = ()
    device: str = ""

    @property
    def at(self) -> Seed:
        """What pairs runs of different arms: the training seed and the draw of the data set."""
        return self.seed, self.draw


@dataclass(frozen=True)
class Arm:
    """Runs that differ only in seed and draw."""

    kind: ArmKind
    label: str
    short: str
    method: str
    rule: Mapping[str, Any] | None
    fraction: float | None
    split: str
    base: Mapping[str, Any]
    variant: Mapping[str, Any]
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Collected:
    arms: tuple[Arm, ...]
    remarks: tuple[str, ...] = field(default=())


def collect(gathered: Gathered) -> Collected:
    """Runs and arms of everything that was trained or evaluated, in a fixed order; remarks say what was dropped."""
    injections = {file.content.sha256: file.content for file in gathered.of("injection")}
    histories: dict[str, File] = {}
    for file in gathered.of("history"):
        histories.setdefault(text(file.content.get("weights_sha256")) or file.name, file)
    lists = {file.content.sha256: file.content for file in gathered.of("list")}
    remarks: list[str] = []
    runs: list[Run] = []
    evaluated = set()
    for file in gathered.of("evaluation"):
        run = _evaluated_run(file, histories, injections, lists)
        if any(_same(run, other) for other in runs):
            remarks.append(f"{file.name} repeats an evaluation that is already shown; it is counted once.")
            continue
        evaluated.add(run.weights_sha256)
        runs.append(run)
    for digest, file in histories.items():
        if digest not in evaluated:
            runs.append(_run(file, "", file.content, file.content, injections, lists, {}))
    arms = _arms(runs)
    for arm in arms:
        places = [run.at for run in arm.runs]
        if len(set(places)) < len(places) and None not in arm.runs[0].at[:1]:
            remarks.append(f"{arm.label}: several runs share a seed and draw; they are averaged first, as one seed.")
    return Collected(tuple(arms), tuple(remarks))


def _same(first: Run, second: Run) -> bool:
    if not first.weights_sha256:
        return False
    return (first.weights_sha256, first.split, first.metrics, first.at) == (
        second.weights_sha256, second.split, second.metrics, second.at,
    )  # fmt: skip


def _evaluated_run(
    file: File, histories: Mapping[str, File], injections: Mapping[str, Injection], lists: Mapping[str, Any]
) -> Run:
    content = file.content
    digest = text(mapping(content.get("model")).get("weights_sha256"))
    history = histories[digest].content if digest in histories else {}
    training = mapping(content.get("training")) or history
    run = _run(file, name_of(text(content.get("split"), "test")), content, training, injections, lists, history)
    return replace(
        run,
        weights_sha256=digest or None,
        metrics=_metrics(mapping(content.get("metrics"))),
        per_class=_accuracies(content.get("per_class"), "class"),
        per_group=_accuracies(content.get("per_group"), "group"),
        warnings=[item for item in content.get("warnings") or [] if isinstance(item, str)],
    )


def _run(
    file: File,
    split: str,
    content: Mapping[str, Any],
    training: Mapping[str, Any],
    injections: Mapping[str, Injection],
    lists: Mapping[str, Any],
    history: Mapping[str, Any],
) -> Run:
    made = mapping(content.get("provenance"))
    settings = mapping(made.get("settings"))
    options = mapping(mapping(settings.get("dataset")).get("options"))
    keep = mapping(training.get("keep")) or None
    keep_sha256 = text(keep.get("sha256")) if keep else ""
    sha256 = mapping(mapping(settings.get("dataset")).get("injection")).get("sha256")
    injection = injections.get(text(sha256))
    epochs = rows((history or content).get("epochs")) if (history or "epochs" in content) else []
    seed = whole(training.get("seed"))
    return Run(
        name=file.name,
        split=split,
        seed=seed if seed is not None else (whole(settings.get("seed")) if training else None),
        draw=whole(options.get("draw")),
        base=_base(settings, injection) if settings else {"file": file.name},
        method=text(training.get("method")) or text(mapping(settings.get("method")).get("name")),
        rule=_rule(mapping(keep.get("rule"))) if keep else None,
        variant=_variant(settings, training, lists.get(keep_sha256)),
        summary=mapping(keep.get("summary")) if keep else {},
        num_train=whole(training.get("num_train")),
        num_kept=whole(training.get("num_kept")),
        metrics={},
        per_class=(),
        per_group=(),
        warnings=(),
        lineage=_lineage(made, injection),
        versions={str(key): str(value) for key, value in mapping(made.get("versions")).items()},
        weights_sha256=text(content.get("weights_sha256")) or None,
        keep_sha256=keep_sha256 or None,
        injection_sha256=text(content.get("injection_sha256")) or text(sha256) or None,
        epochs=epochs,
        device=text((history or content).get("device")),
    )


def _base(settings: Mapping[str, Any], injection: Injection | None) -> dict[str, Any]:
    """What arms must share to be compared: data set, model, preprocessing, training; no seed, no draw."""
    base = {name: dict(mapping(settings.get(name))) for name in ("dataset", "model", "preprocessing", "training")}
    dataset = base["dataset"]
    dataset["options"] = {key: value for key, value in mapping(dataset.get("options")).items() if key != "draw"}
    stored = mapping(dataset.pop("injection", None))
    if injection is not None:
        dataset["injection"] = _feature(injection)
    elif stored:
        # without the inject.json two injections cannot be told from two draws of one
        dataset["injection"] = {"feature": text(stored.get("feature")) or "unknown"}
    return base


def _feature(injection: Injection) -> dict[str, Any]:
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


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The rule without what differs from seed to seed."""
    return {key: value for key, value in rule.items() if not _of_a_run(key) and value not in (None, False, [], {})}


def _variant(settings: Mapping[str, Any], training: Mapping[str, Any], index_list: Any) -> dict[str, Any]:
    """What else tells arms of the same rule apart: the method's options, the budget, the epoch of weights and scores."""
    variant: dict[str, Any] = {"method": dict(mapping(settings.get("method")))}
    budget = text(training.get("budget"), "epochs")
    if budget != "epochs":
        variant["budget"] = budget
    elif text(training.get("selection"), "last") == "last" and whole(training.get("epoch")) is not None:
        variant["epoch"] = training["epoch"]  # the best epoch would differ from seed to seed
    if index_list is not None:  # the settings of an evaluation no longer say when the samples were scored
        scoring = mapping(mapping(mapping(index_list.provenance).get("settings")).get("scoring"))
        if whole(scoring.get("epoch")) is not None:
            variant["scored_after_epoch"] = scoring["epoch"]
    return variant


def _lineage(made: Mapping[str, Any], injection: Injection | None) -> list[str]:
    lines = list(lineage_of(made))
    if injection is not None:
        before = [line for line in lineage_of(injection.provenance) if line not in lines]
        lines = before + lines
    return lines


def _metrics(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    read = {}
    for name, entry in metrics.items():
        entry = mapping(entry)
        facts = {
            key: name_of(entry[key])
            for key in ("group", "true", "predicted", "feature")
            if isinstance(entry.get(key), str)
        }
        read[name] = {
            "value": number(entry.get("value")),
            "num_samples": whole(entry.get("num_samples")),
            "interval": pair(entry.get("interval")),
            **facts,
        }
    return read


def _accuracies(items: Any, key: str) -> list[dict[str, Any]]:
    found = []
    for item in rows(items):
        accuracy = mapping(item.get("accuracy"))
        entry = {
            "name": name_of(item.get(key, "?")),
            "value": number(accuracy.get("value")),
            "num_samples": whole(accuracy.get("num_samples")),
        }
        found.append(entry)
    return found


def _arms(runs: Sequence[Run]) -> list[Arm]:
    members: dict[str, list[Run]] = {}
    for run in runs:
        key = canonical_json([run.split, dict(run.base), run.method, run.rule, dict(run.variant)])
        members.setdefault(key, []).append(run)
    arms = []
    for mine in members.values():
        first = mine[0]
        fraction = fraction_of(first.rule, first.num_train, first.num_kept) if first.rule is not None else None
        label, short = arm_label(first.method, first.rule, fraction)
        if set(first.base) == {"file"}:
            label = short = first.name  # logits made elsewhere: nothing is known but the file
        arms.append(
            Arm(
                kind=arm_kind(first.method, first.rule) if set(first.base) != {"file"} else "other",
                label=label,
                short=short,
                method=first.method,
                rule=first.rule,
                fraction=fraction,
                split=first.split,
                base=first.base,
                variant=first.variant,
                runs=tuple(sorted(mine, key=lambda run: (run.draw or 0, run.seed or 0, run.name))),
            )
        )
    return _told_apart(sorted(arms, key=_order))


def _order(arm: Arm) -> tuple[Any, ...]:
    splits = {"test": 0, "val": 1, "train": 2, "": 9}
    return (splits.get(arm.split, 3), arm.split, _KINDS.index(arm.kind), arm.fraction or 0, arm.label)


def _told_apart(arms: list[Arm]) -> list[Arm]:
    """Labels with whatever else differs.

    The data set, if there are several; settings between any arms of one data set; the rest only between arms of equal
    label. Short labels say of what a share is removed if rules differ in that.
    """
    first_split = arms[0].split if arms else ""
    known = [arm for arm in arms if set(arm.base) != {"file"}]
    datasets = {dataset_name(arm.base) for arm in known}
    varying = {
        name: _varying([flatten(arm.base) for arm in known if dataset_name(arm.base) == name]) for name in datasets
    }
    scopes = {rule_scope(arm.rule) for arm in arms} - {""}
    result = []
    for arm in arms:
        mine = [other for other in arms if dataset_name(other.base) == dataset_name(arm.base)]
        twins = [other for other in mine if other.label == arm.label and other.split == arm.split]
        details = [flatten({"rule": other.rule or {}, **other.variant}) for other in twins]
        flat = {**flatten(arm.base), **flatten({"rule": arm.rule or {}, **arm.variant})}
        keys: list[str] = []
        if arm in known:
            keys = [*varying[dataset_name(arm.base)], *(_varying(details) if len(twins) > 1 else [])]
        parts = [f"{name_of(key.rpartition('.')[2])} = {name_of(flat[key])}" for key in keys if key in flat]
        more = ["…"] if len(parts) > 3 else []
        dataset = [dataset_name(arm.base)] if arm in known and len(datasets) > 1 else []
        split = [f"{arm.split} split" if arm.split else "not evaluated"] if arm.split != first_split else []
        suffix = "".join(f" · {part}" for part in [*dataset, *parts[:3], *more, *split])
        scope = rule_scope(arm.rule) if len(scopes) > 1 and not (arm.rule or {}).get("groups") else ""
        result.append(replace(arm, label=arm.label + suffix, short=arm.short + scope + suffix))
    shorts = Counter((arm.short, arm.split) for arm in result)
    return [arm if shorts[arm.short, arm.split] == 1 else replace(arm, short=lower_first(arm.label)) for arm in result]


def dataset_name(base: Mapping[str, Any]) -> str:
    """What an arm's data set is called: of a user's own data the path; "" where it is not known."""
    dataset = mapping(base.get("dataset"))
    path = text(mapping(dataset.get("options")).get("path")) if text(dataset.get("name")) in OWN_DATA else ""
    return name_of(path or text(dataset.get("name")))


def _varying(flats: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = sorted({key for flat in flats for key in flat})
    return [key for key in keys if len({canonical_json(flat.get(key)) for flat in flats}) > 1]
