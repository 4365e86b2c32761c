"""The files that a training is given: which samples, which groups, which errors of an earlier model; all checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.envelope import optional_field, sha256_of_file
from spurcli.artifacts.fingerprint import require_same, require_same_injection
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.indices import IndexList, Kind, check_indices, indices_sha256, read_indices
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.provenance import Parent, origin_of
from spurcli.datasets.injection import injection_parents
from spurcli.epoch_rules import RULES
from spurcli.errors import InputError, UsageError
from spurcli.runtime.workbench import Workbench
from spurcli.training.method import Annotation, TrainingSamples
from spurcli.words import counted

DATA_SET = "data set"


@dataclass(frozen=True)
class Given:
    """What a run trains on, and the files that say so."""

    samples: TrainingSamples
    num_train: int
    val_labels: Annotation | None
    val_groups: Annotation | None
    index_list: IndexList | None
    groups: Path | None
    errors: Path | None
    checkpoint_training: Mapping[str, Any]
    hashes: Mapping[str, str | None]
    parents: tuple[Parent, ...]

    def refuse_idle(self, method: str) -> None:
        """Raise UsageError if a file was named that the method, once built, has not asked for."""
        for path, known, flag in (
            (self.groups, self.samples.groups, "--group-labels"),
            (self.errors, self.samples.error_set, "--errors"),
        ):
            if path and known and not known.was_read:
                raise UsageError(f"{flag} {path} changes nothing: {method} does not read it", "Leave it out.")

    def facts(self) -> dict[str, Any]:
        """How many samples, and by which list."""
        keep = None
        if self.index_list:
            keep = {
                "kind": self.index_list.kind,
                "sha256": self.index_list.sha256,
                "rule": dict(self.index_list.rule),
                "summary": dict(self.index_list.summary),
            }
        return {"num_train": self.num_train, "num_kept": len(self.samples.kept), "keep": keep}

    def labels_used(self, selection: str) -> dict[str, Any]:
        """Which labels beyond those of the classes led to a model, by what was read: None for none, else from where.

        `selection` chose its epoch. What led to the checkpoint that was started from, led to this model too.
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
            "val_groups": _source(self.val_groups, also=epoch_rule is not None and epoch_rule.reads_groups),
        }
        before = self.checkpoint_training.get("labels_used") or {}
        return {what: _both(before.get(what), source) for what, source in used.items()}


def _source(known: Annotation | None, *, also: bool = False) -> str | None:
    return known.source if known and (known.was_read or also) else None


def _both(first: str | None, second: str | None) -> str | None:
    return f"{first}, {second}" if first and second and first != second else first or second


def read_given(
    bench: Workbench,
    keep: Path | None,
    bare_kind: Kind,
    groups: Path | None,
    errors: Path | None,
    checkpoint: Path | None,
    *,
    allow_mismatch: bool,
) -> Given:
    """Read what the files say, and check that they speak about this data set."""
    dataset, split = bench.dataset, bench.dataset.splits["train"]
    parents = injection_parents(bench.settings.injection_path)
    index_list = None
    kept = np.arange(len(split), dtype=np.int64)
    if keep:
        index_list = read_list(keep, bare_kind, bench, allow_injection_mismatch=allow_mismatch)
        kept = index_list.kept(len(split))
        parents.append(Parent.of(keep, index_list.provenance))
    if not len(kept):
        raise InputError(f"{keep} keeps no sample at all", "Prune a smaller fraction.")
    samples = TrainingSamples(
        kept,
        split.label[kept],
        len(dataset.class_names),
        bench.settings.training.batch_size,
        known_groups(groups, bench, allow_injection_mismatch=allow_mismatch),
        read_errors(errors, bench, allow_injection_mismatch=allow_mismatch) if errors else None,
        bench.settings.training.epochs,
    )
    for path, known in ((groups, samples.groups), (errors, samples.error_set)):
        if path and known:
            parents.append(Parent.of(path, known.provenance))
    checkpoint_training: Mapping[str, Any] = {}
    if checkpoint:
        checkpoint = weights_file(checkpoint)
        metadata = read_checkpoint_metadata(checkpoint, required=False)
        bench.require_own(metadata, str(checkpoint), allow_injection_mismatch=allow_mismatch)
        parents.append(Parent.of(checkpoint, metadata.get("provenance")))
        checkpoint_training = metadata.get("training") or {}
        for key, kind in (("labels_used", dict), ("selection", str)):
            optional_field(checkpoint_training, key, kind, f"{checkpoint}: metadata: training")
    return Given(
        samples=samples,
        num_train=len(split),
        val_labels=Annotation(dataset.splits["val"].label, DATA_SET) if "val" in dataset.splits else None,
        val_groups=split_groups(bench, "val") if "val" in dataset.splits else None,
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


def read_list(path: Path, bare_kind: Kind, bench: Workbench, *, allow_injection_mismatch: bool) -> IndexList:
    """An index list about the training split of this data set, and about its injection."""
    index_list = read_indices(path, bare_kind=bare_kind)
    split = bench.dataset.splits["train"]
    if index_list.fingerprint:
        require_same(index_list.fingerprint, str(path), split.fingerprint, f"data set {bench.dataset.name!r}")
    if index_list.checked_injection and not allow_injection_mismatch:
        require_same_injection(index_list.injection_sha256, str(path), bench.dataset.injection_sha256, "the data set")
    check_indices(index_list.indices, len(split), str(path))
    return index_list


def read_errors(path: Path, bench: Workbench, *, allow_injection_mismatch: bool) -> Annotation:
    """The positions that an earlier model got wrong."""
    error_list = read_list(path, "errors", bench, allow_injection_mismatch=allow_injection_mismatch)
    if error_list.kind != "errors":
        raise InputError(
            f"{path} lists what to {error_list.kind}, not what a model got wrong",
            "Make the list with spurcli infer --by mistakes --save-errors errors.txt",
        )
    return Annotation(error_list.indices, origin_of(error_list.provenance), provenance=error_list.provenance)


def known_groups(path: Path | None, bench: Workbench, *, allow_injection_mismatch: bool) -> Annotation | None:
    """Groups of the training samples: of the file if there is one, else the data set's, if it has any."""
    dataset, split = bench.dataset, bench.dataset.splits["train"]
    if path is None:
        return split_groups(bench, "train")
    found = read_groups(path)
    if found.fingerprint:
        require_same(found.fingerprint, str(path), split.fingerprint, f"data set {dataset.name!r}")
    if found.checked_injection and not allow_injection_mismatch:
        require_same_injection(found.injection_sha256, str(path), dataset.injection_sha256, "the data set")
    if len(found.group) != len(split):
        raise InputError(
            f"{path} has {counted(len(found.group), 'line')} for {counted(len(split), 'training sample')}",
            "One line each.",
        )
    return Annotation(
        found.group,
        origin_of(found.provenance),
        found.names,
        within_class=found.within_class,
        provenance=found.provenance,
    )


def split_groups(bench: Workbench, split: str) -> Annotation | None:
    """The data set's own groups of a split, if it has any."""
    group = bench.dataset.group(split)
    return None if group is None else Annotation(group, DATA_SET, bench.dataset.group_names)
