"""Which groups an evaluation is by, and the data set in these groups."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject, canonical_json, sha256_of_file
from spurcli.artifacts.provenance import Parent
from spurcli.auditing.additions import added_to
from spurcli.auditing.stored import StoredSuspect
from spurcli.datasets import Inputs, Vectors
from spurcli.errors import SpurWarning
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.features import Feature
from spurcli.evaluation.regroup import in_groups_of, in_quarters, with_columns
from spurcli.progress import Progress
from spurcli.settings import Settings
from spurcli.sharing import once, shared

if TYPE_CHECKING:
    from spurcli.embedding.behind import Behind
    from spurcli.runtime.context import RunContext


@dataclass(frozen=True)
class Groups:
    """Which groups are requested: columns of the table, a file, those of a suspect of an audit, or those of the data set."""

    columns: Sequence[str] = ()
    file: Path | None = None
    suspect: StoredSuspect | None = None
    behind: Callable[[], Settings] | None = None

    @property
    def other(self) -> Path | None:
        """A file of groups that replace those of the data set."""
        return self.suspect.groups if self.suspect and not self.suspect.addition else self.file

    def open(self, settings: Settings, progress: Progress | None = None) -> RunContext:
        """The run context with the data set in groups of the columns."""
        from spurcli.runtime.context import RunContext

        if self.suspect:
            context = RunContext.open(settings, progress, pretrained=False)
            if self.suspect.addition:
                added = partial(_embedded_again, context, self.behind, self.suspect) if self.behind else None
                return replace(context, dataset=self.suspect.put_into(context.dataset, added))
            # its groups replace those of an injected feature
            return replace(context, dataset=replace(context.dataset, twins=None, injection=None))
        if not self.columns:
            return RunContext.open(settings, progress, pretrained=False)
        with shared():  # embeddings are read once for both
            other = RunContext.open(with_columns(settings, self.columns), progress, pretrained=False).dataset
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SpurWarning)  # which were given just now
                context = RunContext.open(settings, progress, pretrained=False)
        return replace(context, dataset=in_quarters(in_groups_of(context.dataset, other), self.columns))

    def require_addable(self, settings: Settings, splits: Sequence[str], progress: Progress | None = None) -> None:
        """Raise InputError if the audit of the suspect is of other samples, or its addition does not fit those of `splits`."""
        assert self.suspect is not None
        context = self.open(settings, progress)
        twins = context.dataset.twins or {}
        dataset = _opened(context, self.behind).dataset if self.behind and twins else context.dataset
        for split in splits:
            if split in twins and self.suspect.addition:
                added_to(self.suspect.addition, dataset.splits[split].inputs, twins[split].index[:1])

    def about(self, settings: Settings, weights_sha256: str = "") -> JsonObject:
        """Where the groups came from, for evaluation.json; of a suspect also whether it was found in the model of these weights."""
        if self.suspect is not None:
            audited = self.suspect.audit.get("model") or {}
            is_audited = audited.get("weights_sha256") == weights_sha256
            held_out = {"held_out": str(self.suspect.audit["held_out"])}
            return {"suspect": {**self.suspect.about(), **held_out, "is_audited_model": is_audited}}
        if self.file is not None:
            return {"groups_from": {"file": self.file.name, "columns": []}}
        file = Path(str(settings.dataset.options.get("path", ""))).name
        return {"groups_from": {"file": file, "columns": list(self.columns)}} if self.columns else {}

    def parents(self) -> list[Parent]:
        if self.suspect is not None:
            return self.suspect.parents()
        return [Parent.of(self.file)] if self.file is not None else []

    def features(self, evaluated: Evaluated) -> Evaluated:
        """The same evaluation, whose feature is that of a suspect that was added to samples."""
        if self.suspect is None or self.suspect.addition is None:
            return evaluated
        assert evaluated.feature_of is not None
        note = f"added to samples as suspect {self.suspect.rank} of {self.suspect.folder.name} infers it"
        return replace(evaluated, features=(Feature(self.suspect.name, (evaluated.feature_of,), note=note),))


def _which(context: RunContext) -> tuple[str, str]:
    """What identifies the embeddings of the data set."""
    return str(context.settings.dataset.options["path"]), canonical_json(context.dataset.backbone or {})


def _opened(context: RunContext, behind: Callable[[], Settings]) -> Behind:
    """What the embeddings were made from; opened once for all models of a study."""
    from spurcli.embedding.behind import Behind

    return once(("behind", *_which(context)), lambda: Behind.of(context, behind()))


def _embedded_again(
    context: RunContext, behind: Callable[[], Settings], suspect: StoredSuspect, split: str, index: NDArray[np.int64]
) -> Inputs:
    """The embeddings of the samples `index` of a split with the feature of the suspect; made once for all models of a study."""
    assert suspect.addition is not None
    assert suspect.addition_path is not None
    addition = suspect.addition

    def embed() -> Vectors:
        before = _opened(context, behind)
        changed = added_to(addition, before.dataset.splits[split].inputs, index)
        return Vectors(before.embed(changed, f"{split} with {suspect.name}"))

    files = sha256_of_file(suspect.addition_path), sha256_of_file(suspect.groups)
    key = ("with a suspect", *_which(context), split, *files)
    return once(key, embed, lambda made: made.values.nbytes)
