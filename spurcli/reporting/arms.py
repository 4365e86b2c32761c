"""Arms: runs that differ only in their seeds, their names, and their other differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spurcli.artifacts.envelope import canonical_json
from spurcli.datasets.own.naming import OWN_DATA
from spurcli.reporting.apart import AUDITED, common_folder, set_apart
from spurcli.reporting.arm_key import without_groups
from spurcli.reporting.gather import Gathered
from spurcli.reporting.naming import (
    SELECTIONS,
    ArmKind,
    arm_kind,
    arm_label,
    fraction_of,
    group_labels,
    grouping_words,
    lower_first,
    rule_scope,
    selection_words,
    setting_words,
    split_words,
)
from spurcli.reporting.runs import Run, read_runs
from spurcli.reporting.values import Table, flatten, mapping, name_of, text
from spurcli.words import all_of, listed

_KINDS: tuple[ArmKind, ...] = ("all", "hardest", "random", "easiest", "slice", "other")
_SPLITS = ("test", "val", "train")
_MAX_DETAILS = 6
_NO_MOST = object()


@dataclass(frozen=True)
class Arm:
    """Runs that differ only in seed and draw.

    `short` is unique among the arms of one split and selection, `label` among all. `details` are its differences
    from the others: the method's options, and settings other than those of most arms.
    """

    kind: ArmKind
    label: str
    short: str
    method: str
    rule: Table | None
    fraction: float | None
    split: str
    selection: str
    base: Table
    training: Table
    labels_used: Table | None
    variant: Table
    runs: tuple[Run, ...]
    details: tuple[str, ...] = ()
    grouping: str = ""

    @property
    def is_known(self) -> bool:
        """Whether its data set is known; for logits without one only the file is known."""
        return set(self.base) != {"file"}

    @property
    def is_trained(self) -> bool:
        """Whether its training is known; else its label is the model or logits that were evaluated."""
        return self.runs[0].source is None

    @property
    def section(self) -> tuple[str, str, str]:
        """What arms must share to be in one table: the split, how the epoch was chosen, and what makes the groups."""
        return self.split, self.selection, self.grouping


@dataclass(frozen=True)
class Collected:
    """All arms in a fixed order; sentences on the settings that most arms share, and remarks."""

    arms: tuple[Arm, ...]
    common: tuple[str, ...]
    remarks: tuple[str, ...]


def collect(gathered: Gathered) -> Collected:
    """Runs and arms of everything that was trained or evaluated."""
    runs, remarks = read_runs(gathered)
    runs = set_apart(runs, _told_by)
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(canonical_json([_told_by(run), run.series]), []).append(run)
    arms, common = _told_apart([_arm(mine) for mine in members.values()])
    datasets = list(dict.fromkeys(dataset_name(run.base) for run in runs))
    groupings = list(dict.fromkeys(run.grouping for run in runs))
    arms.sort(key=lambda arm: _order(arm, datasets, groupings))
    return Collected(tuple(arms), tuple(common), (*remarks, *_remarks(arms)))


def _told_by(run: Run) -> list[Any]:
    source = run.source.identity if run.source else None
    facts = [
        run.split,
        run.selection,
        run.grouping,
        run.base,
        run.training,
        run.method,
        run.rule,
        run.labels_used,
        run.variant,
    ]
    return [*facts, source]


def _remarks(arms: Sequence[Arm]) -> list[str]:
    """Which runs are set apart from an arm that they resemble, and which were averaged as one seed."""
    found = []
    for arm in arms:
        files = [run.name for run in arm.runs]
        if why := list(dict.fromkeys(words for run in arm.runs for words in run.apart)):
            found.append(
                f"{arm.label}: {listed(files, 3)} are shown separately, not averaged with similar runs: {', '.join(why)}."
            )
        places = Counter(run.at for run in arm.runs if run.seed is not None)
        shared = [run.name for run in arm.runs if places[run.at] > 1]
        if shared:
            found.append(
                f"{arm.label}: several runs share a seed and draw ({listed(shared, 4)}); they are averaged "
                "first, as one seed."
            )
    return found


def _arm(mine: Sequence[Run]) -> Arm:
    first = mine[0]
    fraction = fraction_of(first.rule, first.num_train, first.num_kept) if first.rule is not None else None
    label, short = arm_label(
        first.method,
        _with_carriers(first),
        fraction,
        text(mapping(first.labels_used).get("training_groups")),
    )
    arm = Arm(
        kind=arm_kind(first.method, first.rule),
        label=label,
        short=short,
        method=first.method,
        rule=first.rule,
        fraction=fraction,
        split=first.split,
        selection=first.selection,
        base=first.base,
        training=first.training,
        labels_used=first.labels_used,
        variant=first.variant,
        runs=tuple(sorted(mine, key=lambda run: (run.draw or 0, run.seed or 0, run.name))),
        grouping=first.grouping,
    )
    if AUDITED in first.apart:
        return replace(arm, kind="other", label="Audited model", short="audited model")
    if first.source is None:
        return arm
    return replace(arm, kind="other", label=first.source.label, short=first.source.label)


def _with_carriers(run: Run) -> Table | None:
    """The rule for labels: its single group by the word "carriers" where the heading of the table names the suspect whose carriers they are.

    Those of several suspects, which have long names, by how many suspects they are.
    """
    groups, suspects = (run.rule or {}).get("groups"), (run.rule or {}).get("suspects")
    if isinstance(suspects, list | tuple) and len(suspects) > 1:
        return {**(run.rule or {}), "groups": [f"the carriers of {all_of(len(suspects), 'suspect')}"]}
    is_suspect = isinstance(groups, list | tuple) and len(groups) == 1 and run.carriers == groups[0]
    return {**(run.rule or {}), "groups": ["the carriers"]} if is_suspect else run.rule


def _order(arm: Arm, datasets: Sequence[str], groupings: Sequence[str]) -> tuple[Any, ...]:
    """By split, selection, grouping and data set; then plain training, pruning and other methods, the most usual settings first."""
    rules = list(SELECTIONS)
    return (
        *_split_order(arm.split),
        *(rules.index(arm.selection) if arm.selection in rules else len(rules), arm.selection),
        groupings.index(arm.grouping),
        datasets.index(dataset_name(arm.base)),
        *(_KINDS.index(arm.kind), arm.fraction or 0, arm.short.partition(" · ")[0], len(arm.details), arm.label),
    )


def _split_order(split: str) -> tuple[int, str]:
    """Test first; runs without evaluation last."""
    return (_SPLITS.index(split) if split in _SPLITS else len(_SPLITS) + (not split), split)


def _told_apart(arms: Sequence[Arm]) -> tuple[list[Arm], list[str]]:
    """Arms with labels that state their other differences, and what most of them share.

    Labels state: the data set, if there are several; settings of data set and model that any arms of one data set differ
    in; the method's options; training settings that differ from most arms; anything else only between arms of equal
    label. Short labels say of what a share is removed if rules differ in that, and the rest only if necessary.
    """
    datasets = list(dict.fromkeys(dataset_name(arm.base) for arm in arms if arm.is_known))
    named, shared = [arm for arm in arms if not arm.is_known], []
    for name in datasets:
        mine = [arm for arm in arms if arm.is_known and dataset_name(arm.base) == name]
        varying, common = _varying_settings(mine), _common([arm for arm in mine if arm.is_trained])
        heading = [name] if len(datasets) > 1 else []
        for arm in mine:
            details = [*heading, *_stated(arm.base, varying), *_own_settings(arm, common)]
            named.append(replace(arm, details=tuple(details)))
        if words := [setting_words(key, value) for key, value in common.items() if value not in (None, _NO_MOST)]:
            shared.append(": ".join([*heading, ", ".join(words)]))
    twins = _by(named, lambda arm: [arm.label, arm.details, arm.section])
    rest = {key: _varying(map(_what_else, found)) for key, found in twins.items()}
    named = [
        replace(arm, details=(*arm.details, *_stated(_what_else(arm), rest[key])))
        for key, found in twins.items()
        for arm in found
    ]
    return _with_labels(named), shared


def _with_labels(arms: Sequence[Arm]) -> list[Arm]:
    families = _by(arms, lambda arm: [arm.label, arm.details, arm.split])
    scopes = {rule_scope(arm.rule) for arm in arms} - {""}
    groupings = {arm.grouping for arm in arms if arm.split}
    first_split = min((arm.split for arm in arms), key=_split_order, default="")
    result = []
    for family in families.values():
        for arm in family:
            several = len({other.selection for other in family}) > 1
            chosen = selection_words(arm.selection) if several or arm.selection not in ("", "last") else ""
            split = split_words(arm.split) if arm.split != first_split else ""
            by = grouping_words(arm.grouping) if arm.grouping and len(groupings) > 1 else ""
            label = ", ".join(filter(None, [arm.label, chosen]))
            label = " · ".join(filter(None, [label, _joined(arm.details), by, split]))
            scope = rule_scope(arm.rule) if len(scopes) > 1 and not (arm.rule or {}).get("groups") else ""
            result.append(replace(arm, label=label, short=arm.short + scope))
    result = _by_place(result)
    result = _unique(result, lambda arm: " · ".join(filter(None, [arm.short, _joined(arm.details)])))
    return _unique(result, lambda arm: lower_first(arm.label))


def _by_place(arms: Sequence[Arm]) -> list[Arm]:
    """Arms of equal label also show the location of their files: the folder if it differs, else the file."""
    result = []
    twins = _by(arms, lambda arm: [arm.label])
    for arm in arms:
        same = twins[canonical_json([arm.label])]
        if len(same) > 1:
            folders = [common_folder([run.name for run in other.runs]) for other in same]
            folder = common_folder([run.name for run in arm.runs])
            place = folder if folder and folders.count(folder) == 1 else arm.runs[0].name
            arm = replace(arm, label=f"{arm.label} · {place}", details=(*arm.details, place))
        result.append(arm)
    return result


def _joined(details: Sequence[str]) -> str:
    return ", ".join([*details[:_MAX_DETAILS], *(["…"] if len(details) > _MAX_DETAILS else [])])


def _unique(arms: Sequence[Arm], longer: Callable[[Arm], str]) -> list[Arm]:
    """Arms with longer short labels where two of a section have the same."""
    shorts = Counter((arm.short, arm.section) for arm in arms)
    return [replace(arm, short=longer(arm)) if shorts[arm.short, arm.section] > 1 else arm for arm in arms]


def _by(arms: Iterable[Arm], key: Callable[[Arm], Any]) -> dict[str, list[Arm]]:
    found: dict[str, list[Arm]] = {}
    for arm in arms:
        found.setdefault(canonical_json(key(arm)), []).append(arm)
    return found


def _common(arms: Sequence[Arm]) -> dict[str, object]:
    """For each training setting that differs between `arms`, the most frequent value, if there is one."""
    flats = [flatten(arm.training) for arm in arms]
    common = {}
    for key in _varying(flats):
        counts = Counter(canonical_json(flat.get(key)) for flat in flats).most_common(2)
        values = [flat.get(key) for flat in flats if canonical_json(flat.get(key)) == counts[0][0]]
        common[key] = values[0] if counts[0][1] > counts[1][1] else _NO_MOST
    return common


def _own_settings(arm: Arm, common: Table) -> list[str]:
    """The method's options, and the training settings that differ from most arms."""
    own = {key: value for key, value in flatten(arm.training).items() if key in common and value != common[key]}
    options = flatten(mapping(arm.variant.get("options")))
    words = [setting_words(key, value) for key, value in {**options, **own}.items()]
    return words + ([f"after epoch {arm.variant['epoch']}"] if "epoch" in arm.variant else [])


def _what_else(arm: Arm) -> dict[str, object]:
    left = {key: value for key, value in arm.variant.items() if key not in ("options", "epoch")}
    apart = {"apart": ", ".join(dict.fromkeys(words for run in arm.runs for words in run.apart))}
    return {"rule": arm.rule or {}, "group labels": group_labels(arm.labels_used), **left, **apart}


def _stated(content: Table, keys: Sequence[str]) -> list[str]:
    flat = flatten(content)
    said = {key: name_of(flat[key]) for key in keys if key in flat}
    return [value if key == "apart" else f"{name_of(key.rpartition('.')[2])} = {value}" for key, value in said.items()]


def _varying_settings(arms: Sequence[Arm]) -> list[str]:
    """The settings of data set, model and preprocessing in which arms that have such settings differ."""
    parts = sorted({part for arm in arms for part in arm.base} - {"groups"})  # which stand in headings
    bases = [without_groups(arm.base) if len({arm.grouping for arm in arms}) > 1 else arm.base for arm in arms]
    return [key for part in parts for key in _varying({part: base[part]} for base in bases if part in base)]


def _varying(contents: Iterable[Table]) -> list[str]:
    flats = [flatten(content) for content in contents]
    keys = sorted({key for flat in flats for key in flat})
    return [key for key in keys if len({canonical_json(flat.get(key)) for flat in flats}) > 1]


def dataset_name(base: Table) -> str:
    """The name of an arm's data set; for a user's own data the path; "" where it is not known."""
    dataset = mapping(base.get("dataset"))
    path = text(mapping(dataset.get("options")).get("path")) if text(dataset.get("name")) in OWN_DATA else ""
    return name_of(path or text(dataset.get("name")))
