"""The stage `audit`: a model (or predictions) in, a folder with ranked suspects and a groups file of each out."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.arrays import read_array
from spurcli.artifacts.audit import write_audit
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.injection import injection_parents
from spurcli.artifacts.logit_checks import what_instead
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.provenance import Parent, portable_word, provenance
from spurcli.artifacts.space import require_writable
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.auditing.evidence import Answers, Evidence
from spurcli.auditing.page.written import SheetPlan, require_sheet, write_pages
from spurcli.auditing.ranking import ranked
from spurcli.auditing.statistics import judged
from spurcli.auditing.suspect import CONFIRMED, Finding, Suspect
from spurcli.auditing.table_answers import (
    TableAnswers,
    require_embedding,
    rows_in_order,
    rows_of_splits,
    unused_columns,
)
from spurcli.auditing.written import Place, remove_older, write_suspects
from spurcli.datasets import Dataset
from spurcli.datasets.own.all_columns import columns_beside, columns_of
from spurcli.datasets.prediction_table import PredictionColumns, described, read_prediction_table
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.progress import Progress, Silent
from spurcli.registries import FINDERS
from spurcli.results import AuditResult
from spurcli.runtime.launch import launched
from spurcli.settings import Settings
from spurcli.words import counted, duration

AUDIT_NAME = "audit.json"
Options = Mapping[str, Mapping[str, Any]]  # of finders, by name


@dataclass(frozen=True)
class Search:
    """What is searched for: finders (those that do not fit the data are left out unless `is_asked`), each with its options; `held_out` is the split that judges reliance
    (None: chosen). `words` are those of the command line that later commands need too,
    `score` those of the command that makes scores.h5."""

    finders: Sequence[str]
    options: Options = field(default_factory=dict)
    held_out: str | None = None
    seed: int = 0
    budget: float | None = None
    command: str = ""
    is_asked: bool = False
    words: Sequence[str] = ()
    score: Sequence[str] = ()
    sheet: SheetPlan | None = None


@dataclass(frozen=True)
class _Source:
    """What is audited: the evidence, what the files are about, and where they come from."""

    evidence: Evidence
    subjects: Mapping[str, Subject]
    about: Mapping[str, Any]
    settings: Mapping[str, Any]
    arguments: Mapping[str, Any]
    parents: Sequence[Parent]
    place: Place


def audit(
    settings: Settings | None = None,
    *,
    model: Path | None = None,
    second: tuple[Settings, Path] | None = None,
    table: tuple[Path, PredictionColumns] | None = None,
    embeddings: Path | None = None,
    metadata: Path | None = None,
    search: Search,
    output: Path = Path("audit"),
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
) -> AuditResult:
    """Search for features that `model` leans on, and judge each on held-out samples that no finder searched.

    A `table` of predictions takes the place of a model: then nothing can be put into inputs. `second` is another model,
    with its settings, that has to confirm what the first one shows. `metadata` is a table of further columns by id.
    Writes audit.json and suspects/N.groups.txt into the folder `output`. Of several processes the first works.
    """
    report = progress or Silent()
    require_writable(output / AUDIT_NAME, 1 << 16)
    if table is not None:
        launched().require_alone("A table of predictions is audited by one process")
        return _run(_tabled(table, settings, embeddings, search, output, report), search, output)
    if settings is None or model is None:
        raise UsageError("Nothing to audit", "Name a model, or --predictions FILE.")
    from spurcli.auditing.answers_torch import ModelAnswers
    from spurcli.runtime.context import RunContext

    policy = InjectionPolicy.of(allow_injection_mismatch)
    model = weights_file(model)
    context = RunContext.open(settings, report, pretrained=False)

    def answers(context: RunContext, path: Path) -> tuple[Answers, Parent, Mapping[str, Any]]:
        held = read_checkpoint_metadata(path, required=False)
        context.require_own(held, str(path), policy)
        network, restored = context.restored(path, is_ours=bool(held))
        facts = {"weights_sha256": restored.sha256, "architecture": held.get("architecture")}
        return ModelAnswers(context, network, str(path)), Parent.of(path, held.get("provenance")), facts

    first, parent, about = answers(context, model)
    parents, other = [parent], None
    if second is not None:
        other_settings, path = second[0], weights_file(second[1])
        if other_settings.preprocessing.decode_size != settings.preprocessing.decode_size:
            raise InputError(f"{path} reads images of another size than {model}", "Use a model of the same recipe.")
        other, parent, _ = answers(replace(context, settings=other_settings), path)
        parents.append(parent)
    dataset = context.dataset
    columns = _columns(dataset, settings, metadata)
    evidence = Evidence(
        {name: split.label for name, split in dataset.splits.items()},
        dataset.class_names,
        first,
        held_out=_held_out(tuple(dataset.splits), search.held_out, dataset.name),
        dataset=dataset,
        second=other,
        sample_id={name: split.sample_id for name, split in dataset.splits.items() if split.sample_id is not None},
        columns=columns,
        seed=search.seed,
        budget=search.budget,
        progress=report,
    )
    source = _Source(
        evidence,
        {name: dataset.subject(name) for name in dataset.splits},
        {"model": about, "second": second[1].name if second else None},
        settings.to_json(),
        {"metadata": metadata.name if metadata else None},
        [*injection_parents(settings.injection_path), *parents, *([Parent.of(metadata)] if metadata else [])],
        Place(output, str(model), search.words, settings.dataset.injection is not None, search.score),
    )
    return context.world.first(lambda: _run(source, search, output))


def _columns(
    dataset: Dataset, settings: Settings, metadata: Path | None
) -> Callable[[], Mapping[str, Mapping[str, Sequence[str]]]]:
    def read() -> Mapping[str, Mapping[str, Sequence[str]]]:
        own = columns_of(dataset, settings.dataset.options, settings.data_root) if _is_table(settings) else {}
        beside = columns_beside(dataset, metadata, settings.data_root) if metadata else {}
        names = [name for name in dataset.splits if name in own or name in beside]
        return {name: {**own.get(name, {}), **beside.get(name, {})} for name in names}

    return read


def _is_table(settings: Settings) -> bool:
    return settings.dataset.name == "table" and settings.dataset.injection is None


def _held_out(splits: Sequence[str], asked: str | None, name: str) -> str:
    if asked is not None:
        if asked not in splits:
            raise UsageError(f"{name} has no split {asked!r}", f"It has: {', '.join(splits)}.")
        return asked
    return next((each for each in ("val", "test") if each in splits), splits[-1])


def _tabled(
    table: tuple[Path, PredictionColumns],
    settings: Settings | None,
    embeddings: Path | None,
    search: Search,
    output: Path,
    report: Progress,
) -> _Source:
    path, wanted = table
    found = read_prediction_table(path, wanted, suggests=False)
    if problem := what_instead(found.logits):
        raise InputError(f"{path}: {problem[0]}, not logits: they do not show reliance", problem[1])
    embedding: NDArray[np.float32] | None = None
    if embeddings is not None:
        read = read_array(embeddings, "embedding")
        require_embedding(read, len(found.label), str(embeddings))
        embedding = np.asarray(read, dtype=np.float32)
    rows = rows_of_splits(found)
    dataset = None
    if settings is not None:
        from spurcli.runtime.context import RunContext

        dataset = RunContext.open(settings, report, pretrained=False).dataset
        rows = rows_in_order(found, rows, dataset)
    labels = {name: found.label[mine] for name, mine in rows.items()}
    held_out = _held_out(tuple(rows), search.held_out, str(path))
    if "train" not in labels:
        report.say(f"{path} has no training rows: association with the class is measured on {held_out!r} too")
    ids = {
        name: [found.sample_id[row] for row in mine.tolist()] if found.sample_id is not None else None
        for name, mine in rows.items()
    }
    report.say(
        "Only predictions are known, so features cannot be inserted into samples and suspects are judged by association"
    )
    evidence = Evidence(
        labels,
        found.class_names,
        TableAnswers(found.logits, rows, embedding),
        held_out=held_out,
        dataset=dataset,
        sample_id={name: part for name, part in ids.items() if part is not None},
        columns=lambda: _other_columns(path, wanted, rows),
        seed=search.seed,
        budget=search.budget,
        progress=report,
    )
    return _Source(
        evidence,
        {name: Subject(Fingerprint.of(labels[name], ids[name])) for name in rows},
        {"model": None, "second": None},
        settings.to_json() if settings else {},
        {"columns": described(wanted), "embeddings": embeddings.name if embeddings else None},
        [Parent.of(path), *([Parent.of(embeddings)] if embeddings else [])],
        Place(output, words=search.words if settings else (), score=search.score if "train" in rows else ()),
    )


def _other_columns(
    path: Path, wanted: PredictionColumns, rows: Mapping[str, NDArray[np.int64]]
) -> Mapping[str, Mapping[str, Sequence[str]]]:
    values = unused_columns(path, wanted)
    return {
        split: {name: [column[row] for row in mine.tolist()] for name, column in values.items()}
        for split, mine in rows.items()
    }


def _run(source: _Source, search: Search, output: Path) -> AuditResult:
    """Search, judge, write."""
    evidence = source.evidence
    if search.sheet:
        require_sheet(evidence, search.sheet)
    findings, told = _found(evidence, search)
    suspects = ranked(judged(evidence, findings))
    made = provenance(
        "audit",
        command=search.command,
        settings=source.settings,
        arguments={
            "finders": [portable_word(name) for name in search.finders],
            "options": {name: dict(options) for name, options in search.options.items()},
            "held_out": evidence.held_out,
            "seed": search.seed,
            **source.arguments,
        },
        parents=source.parents,
    )
    written = write_suspects(source.place, evidence, suspects, source.subjects, made)
    content = {
        "held_out": evidence.held_out,
        "kind": evidence.kind,
        "class_names": list(evidence.class_names),
        "splits": {
            name: {"num_samples": len(label), **source.subjects[name].to_json()}
            for name, label in evidence.labels.items()
        },
        **source.about,
        "seed": search.seed,
        "finders": told,
        "suspects": written,
        "warnings": evidence.warnings,
        "provenance": made,
    }
    write_audit(output / AUDIT_NAME, content)
    remove_older(output, len(written))
    pages = write_pages(output, content, evidence, suspects, (source.place.model, *search.words), search.sheet)
    return {
        "output": str(output),
        "pages": pages,
        "held_out": evidence.held_out,
        "num_confirmed": _num_confirmed(suspects),
        "suspects": written,
        "finders": told,
        "warnings": evidence.warnings,
    }


def _num_confirmed(suspects: Sequence[Suspect]) -> int:
    return sum(suspect.status == CONFIRMED for suspect in suspects)


def _found(evidence: Evidence, search: Search) -> tuple[list[Finding], list[JsonObject]]:
    """What all finders propose, and what audit.json says of each of them."""
    findings: list[Finding] = []
    told: list[JsonObject] = []
    sizes = {split: len(label) for split, label in evidence.labels.items()}
    for name in search.finders:
        wanted = FINDERS.entries[name].facts.get("for", evidence.kind) if name in FINDERS else evidence.kind
        if wanted != evidence.kind and search.is_asked:
            raise UsageError(f"Finder {name} is for {wanted}", "Leave it out, or name the data set with --dataset.")
        if wanted != evidence.kind:
            continue
        if evidence.left() <= 0:
            evidence.warn(f"The budget is used up: finder {name} was not run")
            told.append({"name": portable_word(name), "num_findings": None, "note": "not run: no budget left"})
            continue
        began = time.monotonic()
        found = _called(name, evidence, search.options.get(name, {}))
        for finding in found:
            finding.require_fitting(sizes, evidence.source, len(evidence.class_names))
        findings += found
        note = f"{counted(len(found), 'suspect')} in {duration(time.monotonic() - began)}"
        evidence.progress.say(f"{portable_word(name)}: {note}")
        told.append({"name": portable_word(name), "num_findings": len(found), "note": ""})
    return findings, told


def _called(name: str, evidence: Evidence, options: Mapping[str, Any]) -> list[Finding]:
    find = FINDERS.load(name)
    known = inspect.signature(find).parameters
    for key in options:
        if key not in known:
            raise UsageError(f"Finder {name} has no option {key!r}", "Remove it.")
    try:
        found = find(evidence, **options)
    except SpurError:
        raise
    except Exception as error:
        if name in FINDERS:
            raise
        raise InputError(f"Finder {name} failed: {type(error).__name__}: {str(error)[:200]}", "Fix it.") from error
    if not isinstance(found, list) or not all(isinstance(finding, Finding) for finding in found):
        raise InputError(
            f"Finder {name} does not return a list of findings", "See spurcli.auditing.suspect.Finding for one."
        )
    return found
