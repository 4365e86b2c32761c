"""From the request of `cut` to its study: arms, settings of the audit, the run, the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spurcli.artifacts.catalogue import INDICES
from spurcli.artifacts.describe import read_described
from spurcli.artifacts.envelope import sha256_of_file
from spurcli.auditing.stored import AUDIT_NAME, StoredSuspect
from spurcli.auditing.union import Union, read_union
from spurcli.auditing.written import fraction_to_remove
from spurcli.comparing.arms import Arm, Rule, checked_fraction
from spurcli.comparing.chain import Looks, Source
from spurcli.comparing.cutting.audited import audited_model, audited_step
from spurcli.comparing.cutting.request import STANDARD_AUDIT, CutRequest, CutResult
from spurcli.comparing.cutting.words import ALL, CONTROL, CUT, Measured, verdict
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
from spurcli.words import counted, joined

if TYPE_CHECKING:
    from spurcli.reporting.document import Report

_USES = ("dataset", "model", "method", "training")
_TABLES = ("model", "preprocessing", "training", "scoring")
_FROM = "the settings of the audit"


def study_of(asked: CutRequest) -> tuple[Study, Union, str]:
    """The study, its suspects, and the fraction of the carriers that is removed. UsageError or InputError if it is not possible."""
    folder = Path(asked.folder)
    if asked.output == "-":
        raise UsageError("A study is a folder, which cannot go to stdout", "Name a folder with -o.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "Name a folder with -o.")
    union = read_union(str(Path(asked.audit or STANDARD_AUDIT)), asked.ranks)
    first = union.suspects[0]
    fraction = _fraction(asked, union)
    settings = _settings(asked, first)
    rule = _rule(union, fraction)
    arms = [Arm(ALL), Arm(CUT, rule=rule), Arm(CONTROL, rule=rule, match=CUT)]
    source, known = _source(asked, settings, first.groups)
    split = asked.split or ("test" if "test" in first.audit["splits"] else str(first.audit["held_out"]))
    looks = Looks((split,), suspects=[_named(suspect) for suspect in union.suspects])
    audited, left_out = _audited(asked, union, looks)
    study = Study(
        folder,
        source,
        arms,
        read_seeds(asked.seeds),
        looks,
        notes=[
            *(_note(suspect) for suspect in union.suspects),
            *_together(union, fraction),
            trained_how(settings),
            *left_out,
        ],
        first=audited,
        threads=threads_of(asked.jobs, asked.threads),
    )
    _require_same(known, study.settings)
    _require_same_cut(study, union, fraction)  # and all errors in its steps are reported now
    return study, union, fraction


def _rule(union: Union, fraction: str) -> Rule:
    """What the cut removes: the carriers of one suspect by its own file, of several by what `prune` makes of their files."""
    if len(union.suspects) == 1:
        return Rule(fraction, per_class=False, group=tuple(union.carrier_groups))
    ranks = ",".join(str(suspect.rank) for suspect in union.suspects)
    return Rule(fraction, per_class=False, suspects=f"{union.suspects[0].folder}:{ranks}")


def _named(suspect: StoredSuspect) -> str:
    return f"{suspect.folder}:{suspect.rank}"


def _note(suspect: StoredSuspect) -> str:
    return f"Suspect {suspect.rank} of {suspect.folder.name}: {suspect.entry['statement']} ({suspect.entry['status']})."


def _together(union: Union, fraction: str) -> list[str]:
    """How many carriers several suspects have together: they may overlap."""
    if len(union.suspects) == 1:
        return []
    sizes = [
        f"{counted(union.num_carriers(label), 'sample')} of {label} ({union.share_in(label):.0%})"
        for label in union.labels
    ]
    part = "" if fraction == "1" else f"; the hardest {100 * float(fraction):g} % are removed, --fraction 1 removes all"
    return [f"Carriers of at least one suspect in training: {joined(sizes)}{part}."]


def _require_same_cut(study: Study, union: Union, fraction: str) -> None:
    """Raise InputError if the folder has lists of other suspects, another audit or another fraction: they and the evaluations would be
    replaced, the models not."""
    wanted = {sha256_of_file(suspect.groups) for suspect in union.suspects}
    for step in study.steps:
        if step.stage != "prune" or step.request.match is not None or not step.output.exists():
            continue
        made = read_described(step.output, INDICES).provenance
        parents = [parent for parent in made.get("parents") or () if not str(parent["file"]).endswith("scores.h5")]
        problem = ""
        if {parent["sha256"] for parent in parents} != wanted:
            problem = f"other suspects or of an earlier audit: {step.output} was not made from {union.names}{' alone' if len(wanted) == 1 else ''}"
        elif (other := (made.get("arguments") or {}).get("fraction")) != fraction:
            problem = f"another fraction of the carriers: {step.output} was made with {other}"
        if problem:
            raise InputError(
                f"{study.folder} has a cut of {problem}", "Name another folder with -o, or remove this one."
            )


def _fraction(asked: CutRequest, union: Union) -> str:
    """The fraction as requested, else what leaves enough of every class."""
    if asked.fraction is None:
        return fraction_to_remove(max(union.share_in(label) for label in union.labels))
    text = asked.stated_fraction
    return "1" if text in ("1", "1.0") else checked_fraction(text, "--fraction")


def _audited(asked: CutRequest, union: Union, looks: Looks) -> tuple[list[Step], list[str]]:
    """The evaluations of the audited model, or a note that says why there are none."""
    suspect = union.suspects[0]
    path = audited_model(suspect)
    if path is None:
        return [], ["The audited model is not shown: its file is not here, or has changed since the audit."]
    held = inherited_settings(suspect.audit.get("provenance"))
    model = asked.model if asked.model and asked.model == (held.get("model") or {}).get("name") else None
    asked = replace(asked, recipe=None, set=None, model=model)
    try:
        source = _source(asked, _settings(asked, suspect), suspect.groups)[0]
        return [audited_step(asked, path, source, looks, named) for named in looks.suspects], []
    except SpurError as error:
        return [], [f"The audited model is not shown: {error.problem}."]


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
    study, union, fraction = study_of(asked)
    about = [suspect.about() for suspect in union.suspects]
    result: CutResult = {
        "output": str(study.folder),
        "suspect": about[0] if len(about) == 1 else None,
        "suspects": about,
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
    for line in (*map(_told, union.suspects), *study.notes[len(about) :]):  # the first notes name the suspects too
        caller.progress.say(line)
    with shared(), num_threads(study.threads):
        told = set[str]()
        with each_warning_once(told, ""):
            plan = estimate(study)
            for suspect in union.suspects:
                require_addable(suspect, study.settings, study.looks.splits)
        result["estimated_seconds"] = plan.seconds()
        show(plan)
        if asked.dry_run:
            return result

        def lead() -> Sequence[str]:
            found = [Measured.of(suspect, _evaluations(study, _named(suspect))) for suspect in union.suspects]
            for entry, one in zip(about, found, strict=True):
                entry["measures"], entry["audited"] = one.by_seed, one.audited_values
            said = verdict(found, fraction)
            result["verdict"] = " ".join(said)
            result["is_hint"] = len(study.seeds) < MIN_SEEDS
            if len(about) == 1:
                result["measures"], result["audited"] = found[0].by_seed, found[0].audited_values
            return said

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


def _evaluations(study: Study, named: str) -> dict[str, list[Path]]:
    """The evaluations by a suspect, of each arm and of the audited model."""
    found: dict[str, list[Path]] = {}
    for step in study.steps:
        if step.stage == "evaluate" and step.request.suspect == named:
            found.setdefault(step.arm, []).append(step.output)
    return found
