"""The command `infer`: groups of the samples without group labels. Writes groups.txt, and errors.txt if asked."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.catalogue import ERRORS, GROUPS
from spurcli.artifacts.envelope import sha256_of_file, sha256_of_json
from spurcli.artifacts.group_list import GroupList, GroupPart, check_names, read_groups, write_groups
from spurcli.artifacts.indices import IndexList, read_indices, write_indices
from spurcli.artifacts.injection import injection_parents
from spurcli.artifacts.logit_checks import warn_unless_logits
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.provenance import Parent, portable_word, provenance
from spurcli.artifacts.space import require_writable
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.datasets.content import content_hashes
from spurcli.errors import InputError, UsageError
from spurcli.finished import Output, is_complete
from spurcli.identity import RunIdentity, given
from spurcli.inferring.evidence import Attribute, Evidence, Source, Way
from spurcli.inferring.known import Known, in_our_order, known_of_dataset, known_of_predictions
from spurcli.inferring.other_embeddings import commands_with_frozen, poorly_found
from spurcli.inferring.sources import FromModels, FromPredictions, is_predictions
from spurcli.progress import Progress, Silent
from spurcli.registries import WAYS
from spurcli.results import InferResult
from spurcli.runtime.context import RunContext
from spurcli.runtime.distributed import ALONE
from spurcli.runtime.launch import launched
from spurcli.settings import Settings
from spurcli.training.early_training import early_epoch
from spurcli.training.state import state_folder


@dataclass(frozen=True)
class InferArguments:
    """The options of `infer`: the way, its options, and whether it trains the model itself."""

    by: str
    trains: bool
    num_clusters: int | None = None
    by_sha256: str | None = None
    num_tries: int | None = None


def infer(
    settings: Settings | None = None,
    *,
    by: str,
    source: Path | None = None,
    num_clusters: int | None = None,
    num_tries: int | None = None,
    ticks: Path | None = None,
    errors: Path | None = None,
    output: Path = Path("groups.txt"),
    force: bool = False,
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> InferResult:
    """Infer a group for each sample of the data set in `settings`, in the way `by`, and write them.

    `source` is a checkpoint, or predictions of the training split, which do not cover other splits; without it models are
    trained for `settings.scoring.epoch` epochs on the schedule of the full recipe. Predictions made elsewhere need no `settings`.
    `ticks` is the file of a person's answers, for the way `ticks`.
    `errors` is where to write the positions that the model (or the twin that has not seen them) gets wrong.

    Returns a summary: the groups' sizes, and counts by true group (by class where none is known) and attribute; `next` has
    commands for better groups if the probe of ticks finds the feature poorly. True groups are used only for comparison. An interrupted call resumes from OUTPUT.state/; a finished one is not repeated,
    another's output is replaced only with `force`.
    """
    way, chosen = _chosen_way(by, {"num_clusters": num_clusters, "num_tries": num_tries, "ticks": ticks})
    if errors and by in WAYS and WAYS.entries[by].facts.get("without") == "errors":
        raise UsageError(f"--save-errors has no effect with --by {by}, which judges no prediction", "Remove it.")
    if errors == output:
        raise UsageError(f"Groups and errors would both be {output}", "Name another file with --save-errors or -o.")
    report = progress or Silent()
    source = weights_file(source) if source else None
    predictions = read_predictions(source) if source and is_predictions(source) else None
    if predictions is not None:
        launched().require_alone("Groups are inferred from predictions by one process")
        warn_unless_logits(predictions.logits, str(source))
    if settings is None and predictions is None:
        raise UsageError(
            "Nothing to infer from", "Name a data set, a checkpoint, or predictions of the training split."
        )
    if settings and not source:
        early_epoch(settings)  # report a wrong option before the data set is opened
    context = RunContext.open(settings, report, pretrained=source is None) if settings else None
    if context and predictions and source:
        predictions = in_our_order(context, predictions, source)
    if context:
        known = known_of_dataset(context, source, predictions, InjectionPolicy.of(allow_injection_mismatch))
    else:
        assert predictions is not None
        assert source is not None
        known = known_of_predictions(predictions, source)
    check_names(f"{name}/" for name in known.class_names)  # not after hours of training
    made = provenance(
        "infer",
        command=command,
        settings=settings.to_json() if settings else {},
        arguments={
            **given(
                InferArguments(
                    portable_word(by),
                    source is None,
                    by_sha256=_code_sha256(by),
                    **{name: value for name, value in chosen.items() if not isinstance(value, Path)},
                )
            ),
            **(content_hashes(context.dataset, context.settings.dataset.name, groups=False) if context else {}),
        },
        parents=[
            *injection_parents(settings.injection_path if settings else None),
            *known.parents,
            *([Parent.of(ticks)] if ticks else []),
        ],
    )
    outputs = [Output(output, GROUPS), *([Output(errors, ERRORS)] if errors else [])]
    world = context.world if context else ALONE
    world.require_same(sha256_of_json(RunIdentity.of(made).to_json()), "settings or files")

    def summary() -> InferResult:
        found = _summary(output, errors, known)
        if context and ticks and poorly_found(found["chosen"]["ticks"]):
            inputs = context.dataset.splits["train"].inputs
            found["next"] = commands_with_frozen(context.settings, inputs, ticks, output)
        return found

    def is_finished() -> bool:
        if is_complete(outputs, made, known.subject.fingerprint, force=force, say=report.say):
            return True
        for each in outputs:
            require_writable(
                each.path, 100 * (len(known.label) + sum(len(label) for label, _ in known.others.values()))
            )
        return False

    if world.first(is_finished):
        report.say(f"{output} is already complete; nothing to do")
        return world.first(summary)
    with state_folder(output, world) as folder:
        found: Source
        if predictions is not None and source is not None:
            found = FromPredictions(predictions, source)
        else:
            assert context is not None
            found = FromModels(context, source, folder, replace_other=force)
        other_labels = {split: label for split, (label, _) in known.others.items()}
        evidence = Evidence(
            known.label, known.class_names, settings.seed if settings else 0, found, other_labels, known.sample_id
        )
        attribute = way(evidence, **chosen)
        if attribute.aligned not in (None, *attribute.names):
            raise InputError(
                f"The way calls {attribute.aligned!r} aligned, which is none of its attributes {', '.join(attribute.names)}",
                "See spurcli.inferring.evidence.Attribute for what it must return.",
            )
        names = tuple(f"{label}/{name}" for label in known.class_names for name in attribute.names)
        probability = attribute.probability
        group = _crossed(attribute.value, attribute.names, known.label)
        parts = {"train": GroupPart(group, known.subject, probability.get("train"))}
        for split, (label, subject) in known.others.items():
            if split in attribute.others:
                group = _crossed(attribute.others[split], attribute.names, label, split)
                parts[split] = GroupPart(group, subject, probability.get(split))
        wrong = _errors(attribute, evidence) if errors else None
        chosen_alone = {name: value for name, value in evidence.chosen.items() if name != "ticks"}
        if chosen_alone and world.is_first:
            report.say("Chosen: " + ", ".join(f"{name} {_in_words(value)}" for name, value in chosen_alone.items()))

        def write() -> InferResult:
            if errors and wrong is not None:
                write_indices(
                    errors, IndexList(wrong, "errors", known.subject, {"by": portable_word(by)}, provenance=made)
                )
            write_groups(
                output,
                GroupList(
                    names,
                    parts,
                    within_class=attribute.within_class,
                    aligned=attribute.aligned,
                    probability_of=attribute.probability_of,
                    provenance=made,
                    chosen=evidence.chosen,
                ),
            )
            return summary()

        return world.first(write)


def _chosen_way(by: str, options: Mapping[str, int | Path | None]) -> tuple[Way, dict[str, Any]]:
    """The way, and its options with their values."""
    way: Way = WAYS.load(by)
    parameters = inspect.signature(way).parameters
    for name, value in options.items():
        if value is not None and name not in parameters:
            raise UsageError(f"--{name.replace('_', '-')} has no effect with --by {by}", "Remove it.")
    known = {name: value for name, value in options.items() if name in parameters}
    if "ticks" in known and known["ticks"] is None:
        raise UsageError(
            f"--by {by} requires a person's answers",
            "Add --ticks ticks.csv, which the tick sheet saves (spurcli audit --sheet).",
        )
    return way, {name: parameters[name].default if value is None else value for name, value in known.items()}


def _errors(attribute: Attribute, evidence: Evidence) -> NDArray[np.int64]:
    """The samples that the models misclassify, positions in ascending order: as defined by the way, else by the model's predictions."""
    if attribute.names == ("right", "wrong"):
        return np.flatnonzero(attribute.value == 1).astype(np.int64)
    return evidence.errors


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _code_sha256(by: str) -> str | None:
    """What identifies a way of the user's own, so that a changed one is run again."""
    place = by.rpartition(":")[0]
    return sha256_of_file(Path(place)) if place.endswith(".py") else None


def _crossed(
    value: NDArray[np.int64], names: tuple[str, ...], label: NDArray[np.int64], split: str = "train"
) -> NDArray[np.int64]:
    """Group int64 [n] of class × attribute, in the order of `spurcli.groups.is_grid`."""
    fits = isinstance(value, np.ndarray) and value.shape == label.shape and value.dtype == np.int64
    if not fits or value.min() < 0 or value.max() >= len(names):
        raise InputError(
            f"The way does not return an attribute 0 … {len(names) - 1} as int64 [{len(label)}] for the split {split!r}",
            "See spurcli.inferring.evidence.Attribute for what it must return.",
        )
    return label * len(names) + value


def _summary(output: Path, errors: Path | None, known: Known) -> InferResult:
    """A summary of the finished files."""
    found = read_groups(output)
    width = len(found.names) // len(known.class_names)
    prefix = f"{known.class_names[0]}/"
    attributes = tuple(name.removeprefix(prefix) for name in found.names[:width])
    return {
        "output": str(output),
        "by": found.provenance["arguments"]["by"],
        "chosen": dict(found.chosen),
        "num_samples": len(found.main.group),
        "splits": {name: len(part.group) for name, part in found.splits.items() if name},
        "groups": found.sizes(),
        "errors": str(errors) if errors else None,
        "num_errors": len(read_indices(errors, bare_kind="errors").indices) if errors else None,
        "rows": "class" if known.group is None else "true group",
        "counts": known.counts(found.main.group % width, attributes),
        "next": [],
    }
