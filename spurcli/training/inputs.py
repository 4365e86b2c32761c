"""The inputs of a training: the samples it keeps, their groups, and an earlier model's errors; read and checked."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.envelope import optional_field, sha256_of_file
from spurcli.artifacts.group_list import GroupList, part_about, read_groups
from spurcli.artifacts.indices import IndexList, Kind, indices_sha256, read_indices_about
from spurcli.artifacts.injection import injection_parents
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.provenance import Parent, origin_of
from spurcli.artifacts.records import ListFacts, TrainingFacts
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.epoch_rules import RULES
from spurcli.errors import InputError, UsageError
from spurcli.runtime.context import RunContext
from spurcli.training.method import Annotation, TrainingSamples

DATA_SET = "data set"


@dataclass(frozen=True)
class TrainingInputs:
    """What a run trains on, and the files that say so.

    `inferred` are the groups of val in the file of group labels, for a rule that chooses an epoch. Where the data set knows no
    groups, `val_groups` are the same groups, for a method; each notes for itself whether it was read.
    """

    samples: TrainingSamples
    num_train: int
    val_labels: Annotation | None
    val_groups: Annotation | None
    inferred: Annotation | None
    index_list: IndexList | None
    groups: Path | None
    errors: Path | None
    checkpoint_training: TrainingFacts
    hashes: Mapping[str, str | None]
    parents: tuple[Parent, ...]

    @property
    def has_read_groups(self) -> bool:
        """Whether the method, once built, has read the groups that the data set knows."""
        known = self.samples.groups
        return known is not None and known.was_read and known.source == DATA_SET

    def refuse_idle(self, method: str, rules: Iterable[str], *, reads_val: bool = False) -> None:
        """Raise UsageError if a file was named that neither the method, once built, nor a rule that chooses an epoch asks for.

        `reads_val`: the method is fitted on the validation split, whose groups it reads later.
        """
        choose = any(RULES[rule].reads_inferred for rule in rules if rule in RULES)
        choose |= reads_val and self.val_groups is not None and self.val_groups.source != DATA_SET
        for path, known, flag in (
            (self.groups, self.samples.groups, "--group-labels"),
            (self.errors, self.samples.error_set, "--errors"),
        ):
            if path and known and not known.was_read and not (choose and known is self.samples.groups):
                raise UsageError(f"{flag} {path} has no effect with {method}, which does not read it", "Remove it.")

    def facts(self) -> TrainingFacts:
        """The number of samples and the list that selected them."""
        keep: ListFacts | None = None
        if self.index_list:
            keep = {
                "kind": self.index_list.kind,
                "sha256": self.index_list.sha256,
                "rule": self.index_list.rule,
                "summary": self.index_list.summary,
            }
        return {"num_train": self.num_train, "num_kept": len(self.samples.kept), "keep": keep}

    def labels_used(self, selection: str) -> dict[str, str | None]:
        """Which labels other than class labels were used for a model: None if none, else their source.

        `selection` chose its epoch. Labels that were used for the starting checkpoint count for this model too.
        """
        rule = self.index_list.rule if self.index_list else {}
        epoch_rule = RULES.get(selection)
        used = {
            "pruning_groups": rule.get("group_labels"),
            "training_groups": _source(self.samples.groups),
            "errors": _source(self.samples.error_set),
            "val_labels": _source(
                self.val_labels, also=(epoch_rule is not None and epoch_rule.reads_labels) or bool(rule.get("quotas"))
            ),
            "val_groups": _both(
                _source(self.val_groups, also=epoch_rule is not None and epoch_rule.reads_groups),
                _source(self.inferred, also=True) if epoch_rule is not None and epoch_rule.reads_inferred else None,
            ),
        }
        before = self.checkpoint_training.get("labels_used") or {}
        return {what: _both(before.get(what), source) for what, source in used.items()}


def _source(known: Annotation | None, *, also: bool = False) -> str | None:
    return known.source if known and (known.was_read or also) else None


def _both(first: str | None, second: str | None) -> str | None:
    return f"{first}, {second}" if first and second and first != second else first or second


def read_inputs(
    context: RunContext,
    keep: Path | None,
    bare_kind: Kind,
    groups: Path | None,
    errors: Path | None,
    checkpoint: Path | None,
    policy: InjectionPolicy,
) -> TrainingInputs:
    """Read the files, and check that they are about this data set."""
    dataset, split = context.dataset, context.dataset.splits["train"]
    parents = injection_parents(context.settings.injection_path)
    index_list, subject = None, dataset.subject("train")
    kept = np.arange(len(split), dtype=np.int64)
    if keep:
        index_list = read_indices_about(subject, keep, policy, bare_kind=bare_kind)
        kept = index_list.kept(len(split))
        parents.append(Parent.of(keep, index_list.provenance))
    if not len(kept):
        raise InputError(f"{keep} keeps no samples", "Prune a smaller fraction.")
    found = read_groups(groups) if groups else None
    samples = TrainingSamples(
        kept,
        split.label[kept],
        len(dataset.class_names),
        context.settings.training.batch_size,
        _groups_in(found, groups, subject, policy) if found and groups else split_groups(context, "train"),
        _errors_in(errors, subject, policy) if errors else None,
        context.settings.training.epochs,
    )
    for path, known in ((groups, samples.groups), (errors, samples.error_set)):
        if path and known:
            parents.append(Parent.of(path, known.provenance))
    checkpoint_training: TrainingFacts = {}
    if checkpoint:
        checkpoint = weights_file(checkpoint)
        metadata = read_checkpoint_metadata(checkpoint, required=False)
        context.require_own(metadata, str(checkpoint), policy)
        parents.append(Parent.of(checkpoint, metadata.get("provenance")))
        checkpoint_training = metadata.get("training") or {}
        for key, kind in (("labels_used", dict), ("selection", str)):
            optional_field(checkpoint_training, key, kind, f"{checkpoint}: metadata: training")
    inferred = val_groups = None
    if "val" in dataset.splits:
        val_groups = split_groups(context, "val")
        if found and groups and "val" in found.splits:
            inferred = _groups_in(found, groups, dataset.subject("val"), policy, "val")
            val_groups = val_groups or copy.copy(inferred)
    return TrainingInputs(
        samples=samples,
        num_train=len(split),
        val_labels=Annotation(dataset.splits["val"].label, DATA_SET) if "val" in dataset.splits else None,
        val_groups=val_groups,
        inferred=inferred,
        index_list=index_list,
        groups=groups,
        errors=errors,
        checkpoint_training=checkpoint_training,
        hashes={
            "keep_sha256": indices_sha256(kept) if index_list else None,
            "groups_sha256": sha256_of_file(groups) if groups else None,
            "errors_sha256": sha256_of_file(errors) if errors else None,
            "checkpoint_sha256": sha256_of_file(checkpoint) if checkpoint else None,
        },
        parents=tuple(parents),
    )


def _errors_in(path: Path, subject: Subject, policy: InjectionPolicy) -> Annotation:
    """The positions that an earlier model misclassified."""
    found = read_indices_about(subject, path, policy, bare_kind="errors")
    return Annotation(found.indices, origin_of(found.provenance), provenance=found.provenance)


def _groups_in(
    found: GroupList, path: Path, subject: Subject, policy: InjectionPolicy, split: str = "train"
) -> Annotation:
    """The groups of the samples of a split, in a file."""
    part = part_about(found, path, subject, policy, split)
    return Annotation(
        part.group,
        origin_of(found.provenance),
        found.names,
        within_class=found.within_class,
        provenance=found.provenance,
    )


def split_groups(context: RunContext, split: str) -> Annotation | None:
    """The data set's own groups of a split, if it has any."""
    group = context.dataset.group(split)
    return None if group is None else Annotation(group, DATA_SET, context.dataset.group_names)
