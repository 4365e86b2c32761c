"""From the request of `cut` to its study: arms, settings of the audit, the run, the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spurcli.artifacts.catalogue import INDICES
from spurcli.artifacts.describe import read_described
from spurcli.artifacts.envelope import JsonObject, sha256_of_file
from spurcli.auditing.stored import AUDIT_NAME, StoredSuspect, read_suspect
from spurcli.auditing.written import fraction_to_remove
from spurcli.comparing.arms import Arm, Rule, checked_fraction
from spurcli.comparing.chain import Looks, Source
from spurcli.comparing.cutting.audited import AUDITED, audited_model, audited_step
from spurcli.comparing.cutting.request import STANDARD_AUDIT, CutRequest, CutResult
from spurcli.comparing.cutting.words import ALL, ARMS, CONTROL, CUT, measured, verdict
from spurcli.comparing.estimate import Estimate, estimate
from spurcli.comparing.processes import num_threads, run_in_processes
from spurcli.comparing.reachable import reachable
from spurcli.comparing.running import carry_out, read_seeds, threads_of
from spurcli.comparing.step import Step
from spurcli.comparing.study import Study, each_warning_once
from spurcli.datasets.own.naming import EMBEDDINGS
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.recipes import is_own
from spurcli.reporting.claims import MIN_SEEDS
from spurcli.requests.configured import Inherited, configured
from spurcli.requests.evaluate import require_addable
from spurcli.requests.options import Caller, inherited_settings
from spurcli.requests.train import TrainRequest
from spurcli.settings import Settings
from spurcli.sharing import shared
from spurcli.words import counted

if TYPE_CHECKING:
    from spurcli.reporting.document import Report

_USES = ("dataset", "model", "method", "training")
_TABLES = ("model", "preprocessing", "training", "scoring")
_FROM = "the settings of the audit"


def study_of(asked: CutRequest) -> tuple[Study, StoredSuspect, str]:
    """The study, its suspect, and the fraction of the carriers that is removed. UsageError or InputError if it is not possible."""
    folder = Path(asked.folder)
    if asked.output == "-":
        raise UsageError("A study is a folder, which cannot go to stdout", "Name a folder with -o.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "Name a folder with -o.")
    place = Path(asked.audit or STANDARD_AUDIT)
    named = f"{place}:{asked.suspect}"
    suspect = read_suspect(named)
    fraction = _fraction(asked, suspect)
    settings = _settings(asked, suspect)
    rule = Rule(fraction, per_class=False, group=(f"{suspect.label}/{suspect.name}",))
    arms = [Arm(ALL), Arm(CUT, rule=rule), Arm(CONTROL, rule=rule, match=CUT)]
    source, known = _source(asked, settings, suspect.groups)
    splits = suspect.audit["splits"]
    split = asked.split or ("test" if "test" in splits else str(suspect.audit["held_out"]))
    looks = Looks((split,), suspect=named)
    notes = (
        f"Suspect {suspect.rank} of {suspect.folder.name}: {suspect.entry['statement']} ({suspect.entry['status']})."
    )
    first, left_out = _audited(asked, suspect, split)
    study = Study(
        folder,
        source,
        arms,
        read_seeds(asked.seeds),
        looks,
        notes=[notes, trained_how(settings), *left_out],
        first=first,
        threads=threads_of(asked.jobs, asked.threads),
    )
    _require_same(known, study.settings)
    _require_same_suspect(study, suspect)  # and all errors in its steps are reported now
    return study, suspect, fraction


def _require_same_suspect(study: Study, suspect: StoredSuspect) -> None:
    """Raise InputError if the folder has lists of another suspect or audit: they and the evaluations would be replaced, the models not."""
    for step in study.steps:
        if step.stage == "prune" and step.request.match is None and step.output.exists():
            parents = read_described(step.output, INDICES).provenance.get("parents") or ()
            if sha256_of_file(suspect.groups) not in [parent["sha256"] for parent in parents]:
                raise InputError(
                    f"{study.folder} has a cut of another suspect or of an earlier audit: {step.output} was not made from {suspect.groups}",
                    "Name another folder with -o, or remove this one.",
                )


def _fraction(asked: CutRequest, suspect: StoredSuspect) -> str:
    if suspect.label is None:
        raise UsageError(f"{suspect.name} belongs to no single class, so there are no carriers to remove", _OTHER)
    rows = suspect.entry["carriers"].get("train") or []
    share = next((float(row.get("share") or 0.0) for row in rows if row["class"] == suspect.label), 0.0)
    if not share > 0:
        raise UsageError(f"{suspect.name} has no carriers among the training samples of {suspect.label}", _OTHER)
    if asked.fraction is None:
        return fraction_to_remove(share)
    text = asked.stated_fraction
    return "1" if text in ("1", "1.0") else checked_fraction(text, "--fraction")


def _audited(asked: CutRequest, suspect: StoredSuspect, split: str) -> tuple[list[Step], list[str]]:
    """The evaluation of the audited model, or a note that says why there is none."""
    path = audited_model(suspect)
    if path is None:
        return [], ["The audited model is not shown: its file is not here, or has changed since the audit."]
    held = inherited_settings(suspect.audit.get("provenance"))
    model = asked.model if asked.model and asked.model == (held.get("model") or {}).get("name") else None
    asked = replace(asked, recipe=None, set=None, model=model)
    try:
        source = _source(asked, _settings(asked, suspect), suspect.groups)[0]
        return [audited_step(asked, path, source, split, f"{suspect.folder}:{suspect.rank}")], []
    except SpurError as error:
        return [], [f"The audited model is not shown: {error.problem}."]


_OTHER = "Choose another suspect: --suspect N."


def _settings(asked: CutRequest, suspect: StoredSuspect) -> Settings:
    """The settings of the audit, with what the request changes."""
    path = suspect.folder / AUDIT_NAME
    held = inherited_settings(suspect.audit.get("provenance"))
    if suspect.audit.get("kind") == "none" or not (held or asked.dataset):
        raise UsageError(
            f"{suspect.folder} is an audit of predictions, so nothing says how to train",
            "Audit a model instead, or use compare with --group-labels.",
        )
    return configured(_asked(asked), Inherited(held, path), seed=0, uses=_USES)


def _asked(asked: CutRequest, **instead: Any) -> TrainRequest:
    """What `train` would be asked, for the settings alone."""
    given = {
        name: getattr(asked, name)
        for name in ("dataset", "image", "text", "model", "recipe", "set", "feature", "device", "data_root", "workers")
    }
    return TrainRequest(**{**given, **instead})


def _source(asked: CutRequest, settings: Settings, groups: Path) -> tuple[Source, Settings]:
    """The data and settings as flags of `train`, which every command of the study names, and the settings they should give.

    ERM is what the study compares, whatever method made the audited model.
    """
    path = settings.injection_path or settings.dataset.options.get("path")
    dataset = str(reachable(path, asked.data_root)) if path is not None else settings.dataset.name
    recipe = asked.recipe or (None if is_own(settings.recipe) else settings.recipe)
    plain = _asked(asked, dataset=dataset, image=None, text=None, set=None, recipe=recipe, model=settings.model.name)
    base = configured(plain, Inherited(), seed=0, uses=_USES)
    recipe = recipe or base.recipe
    changed = _differences(base, settings, with_data=settings.injection_path is None)
    source = Source(
        dataset,
        recipe,
        settings.model.name,
        changed,
        groups,
        asked.feature,
        asked.data_root,
        asked.device,
        asked.workers,
    )
    return source, settings


def _differences(base: Settings, settings: Settings, *, with_data: bool) -> dict[str, Any]:
    """The dotted keys in which `settings` differ from `base`, as --set takes them."""
    found: dict[str, Any] = {}
    first, second = _plain(base), _plain(settings)
    for key, value in second.items():
        table = key.split(".")[0]
        is_data = key.startswith("dataset.options.") and key != "dataset.options.path" and with_data
        if (table in _TABLES or is_data) and key != "model.name" and (key not in first or first[key] != value):
            found[key] = value
    return found


def _plain(settings: Settings) -> dict[str, Any]:
    content: Mapping[str, Any] = settings.to_json()
    return _dotted({name: content[name] for name in ("dataset", *_TABLES)})


def _dotted(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        deeper = isinstance(value, Mapping) and key in (*_TABLES, "dataset", "options")
        found |= _dotted(value, f"{prefix}{key}.") if deeper else {f"{prefix}{key}": value}
    return found


def _require_same(wanted: Settings, found: Settings) -> None:
    """Raise InputError where flags cannot say what the audit's settings say, so that another recipe would be trained."""
    first, second = _plain(wanted), _plain(found)
    for key in sorted({*first, *second} - {"dataset.options.path", "dataset.injection"}):
        if first.get(key) != second.get(key):
            raise InputError(
                f"{_FROM} have {key} = {first.get(key)!r}, which no command line of a study can name",
                "Write the settings into a recipe and name it: --recipe FILE.toml.",
            )


def run(
    asked: CutRequest, caller: Caller, show: Callable[[Estimate], None], show_report: Callable[[Report], None]
) -> CutResult:
    """As `spurcli.comparing.cutting.request.run`."""
    study, suspect, fraction = study_of(asked)
    result: CutResult = {
        "output": str(study.folder),
        "suspect": suspect.about(),
        "fraction": fraction,
        "seeds": list(study.seeds),
        "num_commands": len(study.steps) + 1,
        "estimated_seconds": None,
        "verdict": None,
        "is_hint": None,
        "measures": None,
        "audited": None,
        "report": None,
    }
    for line in (_told(suspect), *study.notes[1:]):  # the first note names the suspect too
        caller.progress.say(line)
    with shared(), num_threads(study.threads):
        told = set[str]()
        with each_warning_once(told, ""):
            plan = estimate(study)
            require_addable(suspect, study.settings, study.looks.splits)
        result["estimated_seconds"] = plan.seconds()
        show(plan)
        if asked.dry_run:
            return result

        def lead() -> Sequence[str]:
            values = measured(_evaluations(study, *ARMS))
            audited = measured(_evaluations(study, AUDITED)).get(AUDITED, {})
            said = verdict(suspect, values, fraction, audited)
            result["verdict"] = said
            result["audited"] = {name: each for name, (each,) in audited.items()} or None
            result["is_hint"] = len(study.seeds) < MIN_SEEDS
            result["measures"] = _by_seed(values)
            return [said]

        def work() -> None:
            if asked.jobs > 1:
                run_in_processes(study, caller.progress, asked.jobs, plan.cost, told)
            else:
                study.run(caller.progress, cost=plan.cost, told=told)

        result["report"] = carry_out(study, caller, work, show_report, lead)[1]
    return result


def trained_how(settings: Settings) -> str:
    """One sentence on the training of all arms: a model of another program was trained in its own way."""
    training = settings.training
    side = None if settings.dataset.name == EMBEDDINGS else settings.preprocessing.image_size
    size = f", {side} pixels" if side else ""
    flip = ", mirrored at random (this also moves a mark to the other side)" if settings.preprocessing.flip else ""
    return (
        f"All arms train {settings.model.name} with the recipe {settings.recipe}: {counted(training.epochs, 'epoch')}, batches of "
        f"{training.batch_size}, learning rate {training.learning_rate:g}{size}{flip}. Your own settings: --recipe, --set"
    )


def _told(suspect: StoredSuspect) -> str:
    how = (
        "it cannot be added to samples, so samples with and without it are compared"
        if suspect.addition is None
        else "it is added to the samples that do not have it, as the audit inferred it"
    )
    return f"Suspect {suspect.rank}: {suspect.name}, of {suspect.label} ({suspect.entry['status']}); {how}"


def _evaluations(study: Study, *arms: str) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for step in study.steps:
        if step.stage == "evaluate" and step.arm in arms:
            found.setdefault(step.arm, []).append(step.output)
    return found


def _by_seed(values: Mapping[str, Mapping[str, Sequence[float | None]]]) -> JsonObject:
    return {arm: {name: list(each) for name, each in of.items()} for arm, of in values.items()}
