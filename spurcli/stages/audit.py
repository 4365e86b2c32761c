"""The stage `audit`: from a model (or predictions) to a folder with ranked suspects and a groups file for each."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spurcli.artifacts.audit import read_audit, write_audit
from spurcli.artifacts.catalogue import AUDIT
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.class_check import confusion
from spurcli.artifacts.envelope import JsonObject, sha256_of_file, sha256_of_json
from spurcli.artifacts.group_list import check_names
from spurcli.artifacts.injection import injection_parents
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.provenance import Parent, Provenance, portable_word, provenance
from spurcli.artifacts.saved_accuracy import NotedAccuracy
from spurcli.artifacts.space import require_writable
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.artifacts.unfinished import unfinished
from spurcli.auditing.evidence import Answers, Evidence
from spurcli.auditing.failing import failing_groups
from spurcli.auditing.kept import Kept
from spurcli.auditing.limits import accuracy, say_limits
from spurcli.auditing.merging import merged
from spurcli.auditing.page.written import PAGE_NAME, SHEET_NAME, Carried, SheetPlan, require_sheet, write_pages
from spurcli.auditing.ranking import ranked
from spurcli.auditing.running import Search, found, kept_names, require_fitting_kinds
from spurcli.auditing.source import Source, held_out_of, nothing, source_of_table, words_of_training
from spurcli.auditing.statistics import judged
from spurcli.auditing.stored import read_presence
from spurcli.auditing.suspect import CONFIRMED, Suspect
from spurcli.auditing.table_answers import (
    ALL,
)
from spurcli.auditing.written import Place, remove_older, write_suspects
from spurcli.datasets import Dataset
from spurcli.datasets.content import content_hashes
from spurcli.datasets.embedded import source_of
from spurcli.datasets.own.all_columns import columns_beside, columns_of
from spurcli.datasets.prediction_table import PredictionColumns
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.evaluation.doubts import warn_if_doubtful
from spurcli.finished import Output, is_complete
from spurcli.identity import RunIdentity
from spurcli.names import is_missing
from spurcli.progress import Progress, Silent
from spurcli.registries import FINDERS
from spurcli.results import AuditResult
from spurcli.runtime.launch import launched
from spurcli.settings import Settings

if TYPE_CHECKING:
    from spurcli.embedding.behind import Behind
    from spurcli.models.weights import Restored
    from spurcli.runtime.context import RunContext

AUDIT_NAME = "audit.json"


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
    force: bool = False,
    allow_injection_mismatch: bool = False,
    behind: Callable[[], Settings] | None = None,
    progress: Progress | None = None,
) -> AuditResult:
    """Search for features that `model` leans on, and judge each on held-out samples that no finder searched.

    A `table` of predictions replaces a model: then no feature can be inserted into inputs. `second` is another model,
    with its settings, that has to confirm what the first one shows. `metadata` is a table of further columns by id.
    Of a head on embeddings, `behind` gives the settings of what they were made from (requests.behind): then features are searched
    and inserted there too.
    Writes audit.json and suspects/N.groups.txt into the folder `output`. With several processes, only the first works.
    An interrupted audit resumes from OUTPUT.state/ after the last complete finder; a finished one is not repeated, another's
    is replaced only with `force`.
    """
    report = progress or Silent()
    if table is not None:
        launched().require_alone("A table of predictions is audited by one process")
        return _run(source_of_table(table, settings, embeddings, search, output, report), search, output, force=force)
    if settings is None or model is None:
        raise UsageError("Nothing to audit", "Name a model, or --predictions FILE.")
    from spurcli.auditing.answers_torch import ModelAnswers
    from spurcli.runtime.context import RunContext

    policy = InjectionPolicy.of(allow_injection_mismatch)
    model = weights_file(model)
    context = RunContext.open(settings, report, pretrained=False)
    before, reason = _behind(context, behind, search) if behind else (None, "")

    def answers(context: RunContext, path: Path) -> tuple[Answers, Parent, Mapping[str, Any], Restored | None]:
        held = read_checkpoint_metadata(path, required=False)
        context.require_own(held, str(path), policy)
        network, restored = context.restored(path, is_ours=bool(held))
        facts = {"weights_sha256": restored.sha256, "architecture": held.get("architecture")}
        parent = Parent.of(path, held.get("provenance"))
        again = before.embed if before else None
        return ModelAnswers(context, network, str(path), embed_again=again), parent, facts, None if held else restored

    first, parent, about, foreign = answers(context, model)
    parents, other = [parent], None
    if second is not None:
        other_settings, path = second[0], weights_file(second[1])
        if other_settings.preprocessing.decode_size != settings.preprocessing.decode_size:
            raise InputError(f"{path} reads images of another size than {model}", "Use a model of the same recipe.")
        other, parent, _, _ = answers(replace(context, settings=other_settings), path)
        parents.append(parent)
    dataset = context.dataset
    columns = _columns(dataset, settings, metadata)
    evidence = Evidence(
        {name: split.label for name, split in dataset.splits.items()},
        dataset.class_names,
        first,
        held_out=held_out_of(tuple(dataset.splits), search.held_out, dataset.name),
        dataset=dataset,
        second=other,
        sample_id={name: split.sample_id for name, split in dataset.splits.items() if split.sample_id is not None},
        columns=columns,
        source_of_embeddings=lambda: source_of(
            dataset, str(settings.dataset.options.get("path", "")), settings.data_root, settings.cache_root
        ),
        behind=before.dataset if before else None,
        seed=search.seed,
        budget=search.budget,
        progress=report,
    )
    if reason:
        evidence.note(f"Features are not inserted into what the embeddings were made from: {reason}")
    source = Source(
        evidence,
        {name: dataset.subject(name) for name in dataset.splits},
        {"model": about, "second": second[1].name if second else None},
        settings.to_json(),
        {"metadata": metadata.name if metadata else None, **({"embeds_again": True} if before else {})},
        [*injection_parents(settings.injection_path), *parents, *([Parent.of(metadata)] if metadata else [])],
        Place(
            output,
            str(model),
            search.words,
            search.score,
            is_foreign=not about["architecture"],
            training=() if about["architecture"] else words_of_training(settings, search.words),
        ),
        partial(_evaluate_words, settings, model, metadata, search.words),
        partial(_warn_if_doubtful, evidence, str(model), foreign.accuracies, context.pixels) if foreign else nothing,
    )
    return context.world.first(lambda: _run(source, search, output, force=force))


def _behind(context: RunContext, settings: Callable[[], Settings], search: Search) -> tuple[Behind | None, str]:
    """What is behind the embeddings, or why it is not used. A requested finder of images or texts needs it."""
    kinds = [FINDERS.entries[name].facts.get("for") if name in FINDERS else "own" for name in search.finders]
    if not {"images", "texts", "own"} & set(kinds):
        return None, ""
    from spurcli.embedding.behind import Behind

    try:
        return Behind.of(context, settings()), ""
    except SpurError as error:
        if search.is_asked and {"images", "texts"} & set(kinds):
            raise
        return None, error.problem


def _evaluate_words(
    settings: Settings, model: Path, metadata: Path | None, words: Sequence[str], column: str
) -> list[str]:
    """The words of `evaluate` by a column of the data set's own table; [] if the column may be of another table."""
    if metadata is not None or settings.dataset.injection is not None:
        return []
    return ["evaluate", str(model), *words, "--attribute", column]


def _warn_if_doubtful(evidence: Evidence, where: str, noted: Sequence[NotedAccuracy], used: str) -> None:
    """Say and keep the doubt about a foreign model's predictions, if there is one: a search with them would be wasted."""
    split = evidence.held_out
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        counts = confusion(evidence.logits(split), evidence.label(split))
        warn_if_doubtful(counts, evidence.class_names, where, noted, used)
    for each in caught:
        evidence.warn(str(each.message))
        evidence.progress.say(f"Warning: {each.message}")


def _columns(
    dataset: Dataset, settings: Settings, metadata: Path | None
) -> Callable[[], Mapping[str, Mapping[str, Sequence[str]]]]:
    def read() -> Mapping[str, Mapping[str, Sequence[str]]]:
        own: Mapping[str, Mapping[str, Sequence[str]]] = dataset.columns() if dataset.columns else {}
        if _is_table(settings):
            own = columns_of(dataset, settings.dataset.options, settings.data_root)
        beside = columns_beside(dataset, metadata, settings.data_root) if metadata else {}
        names = [name for name in dataset.splits if name in own or name in beside]
        return {name: {**own.get(name, {}), **beside.get(name, {})} for name in names}

    return read


def _is_table(settings: Settings) -> bool:
    return settings.dataset.name == "table" and settings.dataset.injection is None


def _run(source: Source, search: Search, output: Path, *, force: bool) -> AuditResult:
    """Search, judge, write; or what is there, where the same audit is finished."""
    evidence = source.evidence
    check_names(f"{name}/" for name in evidence.class_names)  # of groups files: not after the search
    require_fitting_kinds(evidence, search)
    if search.sheet:
        require_sheet(evidence, search.sheet)
    made = provenance(
        "audit",
        command=search.command,
        settings=source.settings,
        arguments=_arguments(source, search),
        parents=source.parents,
    )
    samples = {name: subject.to_json() for name, subject in source.subjects.items()}
    if finished := _finished(source, search, output, made, force=force):
        return finished
    require_writable(output / AUDIT_NAME, 1 << 16)
    run = _resumable(made)
    with unfinished(output) as folder:
        identity = sha256_of_json([run, samples])
        kept = Kept.open(folder, identity, replace_other=force, run=run, command=search.command)
        before = len(evidence.warnings)
        source.check()
        say_limits(evidence, is_doubted=len(evidence.warnings) > before)
        try:
            findings, told = found(evidence, search, kept)
        except BaseException as error:
            if not isinstance(error, Exception):  # Ctrl-C, SIGTERM
                _say_kept(evidence, search, kept)
            raise
        suspects = ranked(judged(evidence, merged(evidence, findings)))
        failing = _failing(source, search, suspects)
        written = write_suspects(source.place, evidence, suspects, source.subjects, made)
        content = {
            "held_out": evidence.held_out,
            "held_out_accuracy": accuracy(evidence),
            "kind": evidence.kind,
            "class_names": list(evidence.class_names),
            "splits": {name: {"num_samples": len(label), **samples[name]} for name, label in evidence.labels.items()},
            **source.about,
            "seed": search.seed,
            "finders": told,
            "suspects": written,
            "failing_groups": failing,
            "sheet": search.sheet.to_json() if search.sheet else None,
            "warnings": evidence.warnings,
            "notes": evidence.notes,
            "provenance": made,
        }
        write_audit(output / AUDIT_NAME, content)
        remove_older(output, len(written))
        carried = [
            Carried(entry, suspect.finding.presence.get("train"))
            for entry, suspect in zip(written, suspects, strict=True)
        ]
        pages = write_pages(output, content, evidence, carried, (source.place.model, *search.words), search.sheet)
    return _result(output, pages, content)


def _failing(source: Source, search: Search, suspects: Sequence[Suspect]) -> list[JsonObject]:
    """The failing groups of the columns that were searched, each with the command that shows all groups of its column."""
    if "columns" not in search.finders:
        return []
    evidence = source.evidence
    names = search.options.get("columns", {}).get("column") or list(evidence.columns.get(evidence.held_out, {}))
    split = [] if evidence.held_out in ("test", ALL) else ["--split", evidence.held_out]

    def command(column: str) -> str:
        if any(map(is_missing, evidence.columns[evidence.held_out][column])):
            return ""  # evaluate rejects a group without a name
        words = source.evaluate(column)
        return shlex.join(["spurcli", *words, *split]) if words else ""

    return [each.to_json(suspects, command(each.column)) for each in failing_groups(evidence, names)]


def _resumable(made: Provenance) -> JsonObject:
    """The identity of an unfinished audit as JSON. The budget is not part of it: an audit may resume with another one."""
    identity = RunIdentity.of(made)
    arguments = {key: value for key, value in identity.arguments.items() if key != "budget"}
    content: JsonObject = json.loads(json.dumps(replace(identity, arguments=arguments).to_json()))
    return content


def _say_kept(evidence: Evidence, search: Search, kept: Kept) -> None:
    """What an interrupted audit has found so far, and how to go on or to see it."""
    if names := kept_names(evidence, search, kept):
        evidence.progress.say(
            f"Kept in {kept.folder}: the results of {', '.join(names)}. The same command resumes; with --budget 1s it "
            "ends here and writes the page of these results."
        )
    else:
        evidence.progress.say("No finder had finished, so nothing is kept")


def _arguments(source: Source, search: Search) -> dict[str, Any]:
    """The options of the audit, as plain JSON."""
    dataset = source.evidence.dataset
    own = {name: sha256 for name in search.finders if (sha256 := _code_sha256(name))}
    asked = {
        "finders": [portable_word(name) for name in search.finders],
        "options": {name: dict(options) for name, options in search.options.items()},
        "held_out": source.evidence.held_out,
        "seed": search.seed,
        **({"budget": search.budget} if search.budget is not None else {}),
        **({"code_sha256": {portable_word(name): sha256 for name, sha256 in own.items()}} if own else {}),
        **(content_hashes(dataset, source.settings["dataset"]["name"], groups=False) if dataset else {}),
        **source.arguments,
    }
    plain: dict[str, Any] = json.loads(json.dumps(asked))
    return plain


def _code_sha256(name: str) -> str | None:
    """What identifies a finder of the user's own, so that a changed one is run again."""
    place = name.rpartition(":")[0]
    return sha256_of_file(Path(place)) if place.endswith(".py") and Path(place).is_file() else None


def _finished(source: Source, search: Search, output: Path, made: Provenance, *, force: bool) -> AuditResult | None:
    """The result of the same audit that is there, whole; SpurError where another one is there."""
    main, say = Output(output / AUDIT_NAME, AUDIT), source.evidence.progress.say
    samples = source.subjects[source.evidence.source].fingerprint
    if not is_complete([main], made, samples, force=force, say=say):
        return None
    content = read_audit(main.path)
    files = ((entry, what) for entry in content["suspects"] for what in ("groups", "addition") if entry.get(what))
    if lacking := next((entry[what] for entry, what in files if not _is_whole(output, entry, what)), ""):
        say(f"{main.path} is complete, but {lacking} is not: the same audit is done again and replaces both")
        return None
    plan = search.sheet or _plan_of(content.get("sheet"))
    pages = [PAGE_NAME, *([SHEET_NAME] if plan else [])]
    if all((output / name).is_file() for name in pages) and content.get("sheet") == (plan.to_json() if plan else None):
        say(f"{output} is already complete; nothing to do")
        return _result(output, pages, content)
    say(f"{main.path} is already complete; only {' and '.join(pages)} are written")
    return _result(output, _pages_again(source, search, output, content, plan), content)


def _pages_again(
    source: Source, search: Search, output: Path, content: JsonObject, plan: SheetPlan | None
) -> list[str]:
    """Write the pages of a finished audit again, with the sheet of `plan`: its suspects and their carriers are in its files."""
    names, subject = content["class_names"], source.subjects.get("train")
    carried = [
        Carried(entry, read_presence(output, entry, subject, len(names), "train") if subject else None)
        for entry in content["suspects"]
    ]
    content["sheet"] = plan.to_json() if plan else None
    pages = write_pages(output, content, source.evidence, carried, (source.place.model, *search.words), plan)
    write_audit(output / AUDIT_NAME, content)
    return pages


def _plan_of(stored: JsonObject | None) -> SheetPlan | None:
    """The sheet of a finished audit."""
    return SheetPlan(tuple(stored["classes"]), stored["num_samples"]) if stored else None


def _is_whole(output: Path, entry: JsonObject, what: str) -> bool:
    """Whether the file `what` of a suspect (groups, addition) is the one that was written."""
    path = output / str(entry[what])
    return path.is_file() and sha256_of_file(path) == entry.get(f"{what}_sha256")


def _result(output: Path, pages: list[str], content: JsonObject) -> AuditResult:
    return {
        "output": str(output),
        "pages": pages,
        "kind": content["kind"],
        "held_out": content["held_out"],
        "num_confirmed": sum(entry["status"] == CONFIRMED for entry in content["suspects"]),
        "suspects": content["suspects"],
        "failing_groups": content.get("failing_groups") or [],
        "finders": content["finders"],
        "warnings": content["warnings"],
        "notes": content.get("notes") or [],
    }
