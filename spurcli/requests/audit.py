"""The options of `audit`, each a flag and a Python parameter, and how they are resolved."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spurcli.errors import InputError, UsageError
from spurcli.registries import FINDERS
from spurcli.requests.configured import Inherited, configured
from spurcli.requests.files import input_file
from spurcli.requests.of_table import prediction_table, refuse_columns, settings_of_table
from spurcli.requests.options import (
    OUTPUT,
    TABLE,
    AllowMismatch,
    AttributeColumn,
    Caller,
    DataRoot,
    Dataset,
    Device,
    Feature,
    File,
    Force,
    IdColumn,
    ImageColumn,
    LabelColumn,
    LogitColumns,
    Model,
    Option,
    PredictionTable,
    ProbaColumns,
    Recipe,
    Seed,
    Sets,
    Shown,
    SplitColumn,
    TextColumn,
    Workers,
    inherited_settings,
    overrides_of,
    path,
    several,
)
from spurcli.requests.score_words import (
    evaluate_words_of_table,
    score_words_of_model,
    score_words_of_table,
)
from spurcli.results import AuditResult

if TYPE_CHECKING:
    from spurcli.auditing.page.written import SheetPlan
    from spurcli.auditing.running import Search
    from spurcli.settings import Settings

STANDARD_FOLDER = "audit"
SUSPICION = "Your own hypotheses"
SHEET = "A tick sheet"
_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h)?")
_SECONDS = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600}
# The finder of each option for a hypothesis.
_FINDER_OF = {"column": "columns", "region": "regions", "word": "words"}


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """Search for unlabelled features that a model relies on: suspects with their carriers and effects."""

    checkpoint: Annotated[
        File | None,
        Option("A trained model. (default: model.safetensors)", "CHECKPOINT", positional=True),
    ] = field(default=None, kw_only=False)
    dataset: Dataset = None
    image: ImageColumn = None
    text: TextColumn = None
    attribute: AttributeColumn = None
    model: Model = None
    finder: Annotated[
        str | Sequence[str] | None,
        Option(
            "Run this finder (spurcli list finders, or file.py:attr). Repeatable. (default: all that fit)",
            "NAME",
            repeated=True,
            completes="finders",
        ),
    ] = None
    column: Annotated[
        str | Sequence[str] | None,
        Option("Test this column of the table. Repeatable.", "NAME", panel=SUSPICION, repeated=True),
    ] = None
    metadata: Annotated[
        File | None,
        Option("A table of further columns, matched by its column id.", "FILE", panel=SUSPICION),
    ] = None
    region: Annotated[
        str | Sequence[str] | None,
        Option("Test this region of images, in pixels. Repeatable.", "X0:X1,Y0:Y1", panel=SUSPICION, repeated=True),
    ] = None
    word: Annotated[
        str | Sequence[str] | None,
        Option("Test this word of texts. Repeatable.", "WORD", panel=SUSPICION, repeated=True),
    ] = None
    second: Annotated[
        File | None, Option("A second model (another seed) that must show the same effect.", "CHECKPOINT")
    ] = None
    confirm: Annotated[
        bool, Option("Train the second model: the checkpoint's recipe with the next seed. Takes a full training run.")
    ] = False
    held_out: Annotated[
        str | None, Option("The split on which reliance is measured. (default: val, else test)", "NAME")
    ] = None
    budget: Annotated[
        str | None, Option("Maximum search time, e.g. 90s or 5m; the tests of suspects take extra time.", "TIME")
    ] = None
    sheet: Annotated[
        bool,
        Option("Also write ticks.html, a sheet to mark the carriers of a feature that no finder finds.", panel=SHEET),
    ] = False
    sheet_class: Annotated[
        str | Sequence[str] | None,
        Option(
            "Sample the sheet from this class. Repeatable. (default: the first suspect's, or all)",
            "NAME",
            panel=SHEET,
            repeated=True,
        ),
    ] = None
    sheet_size: Annotated[
        int | None, Option("Number of samples on the sheet. (default: 120)", "N", panel=SHEET, minimum=8)
    ] = None
    predictions: PredictionTable = None
    label: LabelColumn = None
    proba: ProbaColumns = None
    logit: LogitColumns = None
    id: IdColumn = None
    split_column: SplitColumn = None
    embeddings: Annotated[
        File | None, Option("Embeddings of the rows (.npy, .npz, .safetensors, .h5).", "FILE", panel=TABLE)
    ] = None
    output: Annotated[File | None, Option("Output folder. (default: audit)", "DIR", short="-o", panel=OUTPUT)] = None
    force: Force = False
    allow_injection_mismatch: AllowMismatch = False
    data_root: DataRoot = None
    recipe: Recipe = None
    set: Sets = None
    device: Device = "auto"
    seed: Seed = 0
    workers: Workers = 2
    feature: Feature = None
    progress: Shown = False


def run(asked: AuditRequest, caller: Caller) -> AuditResult:
    """Resolve the request and audit."""
    output = _folder(asked.output)
    search = _search(asked, caller.command)
    from spurcli.requests.behind import behind
    from spurcli.stages.audit import audit

    if asked.predictions:
        if asked.second or asked.confirm:
            raise UsageError("--second and --confirm require a first model", "Name a model instead of --predictions.")
        table = prediction_table(asked, _BESIDE_TABLE)
        alone = replace(asked, set=settings_of_table(asked))
        search = replace(search, score=score_words_of_table(alone), evaluate=evaluate_words_of_table(alone))
        settings = _settings_beside(asked)
        try:
            return audit(
                settings,
                table=table,
                embeddings=path(asked.embeddings),
                search=search,
                output=output,
                force=asked.force,
                progress=caller.progress,
            )
        except InputError as error:
            raise _beside_table(asked, error) from error
    refuse_columns(asked)
    checkpoint = input_file(asked.checkpoint, "model.safetensors", caller.progress.say)
    settings = _settings(asked, checkpoint)
    search = replace(search, score=score_words_of_model(checkpoint))
    second = path(asked.second)
    if asked.confirm:
        if second:
            raise UsageError("--confirm and --second both set the second model", "Remove one of them.")
        second = _second(asked, checkpoint, output, caller)
    return audit(
        settings,
        model=checkpoint,
        second=(_settings(asked, second), second) if second else None,
        metadata=path(asked.metadata),
        search=search,
        output=output,
        force=asked.force,
        allow_injection_mismatch=asked.allow_injection_mismatch,
        behind=behind(settings),
        progress=caller.progress,
    )


_OF_DATA = ("image", "text", "attribute")
_BESIDE_TABLE = (
    *(
        "dataset",
        *_OF_DATA,
        "data_root",
        "recipe",
        "finder",
        "column",
        "held_out",
        "budget",
        "seed",
        "workers",
        "embeddings",
    ),
    *("sheet", "sheet_class", "sheet_size"),
    *("checkpoint", "progress", "force"),
)


def _of_data(asked: AuditRequest) -> AuditRequest:
    """The request without what is about a table of predictions: --label and --split-column, where there is one."""
    return replace(asked, label=None, split_column=None) if asked.predictions else asked


def _beside_table(asked: AuditRequest, error: InputError) -> InputError:
    """An error of the data set beside a table: --label and --split-column would name columns of the table."""
    if not asked.dataset or not error.problem.startswith(Path(asked.dataset).name):
        return error
    hint = re.sub(r"--label (?=\S)", "--set dataset.options.label=", error.hint)
    return InputError(error.problem, re.sub(r"--split-column (?=\S)", "--set dataset.options.split=", hint))


def _settings_beside(asked: AuditRequest) -> Settings | None:
    """The settings of the data set that is named with a table of predictions."""
    if asked.dataset:
        return configured(_of_data(asked), Inherited(), seed=0, uses=("dataset",))
    if given := next((name for name in _OF_DATA if getattr(asked, name)), None):
        raise UsageError(f"--{given} has no effect: it is a column of the data set", "Add --dataset, or remove it.")
    return None


def _second(asked: AuditRequest, checkpoint: Path, output: Path, caller: Caller) -> Path:
    """A model trained as the checkpoint was, with the next seed; an existing one is not trained again."""
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
    from spurcli.stages.train import train

    facts = read_checkpoint_metadata(checkpoint, required=False).get("training") or {}
    if not facts or facts.get("keep") or facts.get("method", "erm") != "erm":
        raise UsageError(
            f"--confirm cannot repeat how {checkpoint} was trained",
            "It repeats spurcli train on all samples by ERM. Train another model yourself: --second MODEL",
        )
    written = output / "second" / "model.safetensors"
    caller.progress.say(f"Training a second model, which takes as long as the first → {written}")
    settings = _settings(asked, checkpoint, next_seed=True)
    train(settings, output=written, force=asked.force, progress=caller.progress, command=caller.command)
    return written


def _settings(asked: AuditRequest, checkpoint: Path, *, next_seed: bool = False) -> Settings:
    """The settings that a checkpoint hands down, with what the request changes; with `next_seed` those of another training."""
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
    from spurcli.artifacts.model_folder import weights_file

    held = read_checkpoint_metadata(weights_file(checkpoint), required=asked.dataset is None)
    return configured(
        asked,
        Inherited(inherited_settings(held.get("provenance")), checkpoint),
        seed=(held.get("training") or {}).get("seed", 0) + next_seed,
        checkpoint=None if next_seed else checkpoint,
        uses=("dataset", "model", "training") if next_seed else ("dataset", "model"),
    )


def _search(asked: AuditRequest, command: str) -> Search:
    """Which finders run with which options; UsageError for an option whose finder is not requested."""
    from spurcli.auditing.running import Search

    options: dict[str, dict[str, Any]] = {}
    for name, finder in _FINDER_OF.items():
        if values := several(getattr(asked, name)):
            if finder not in FINDERS:
                raise UsageError(f"--{name}: unknown finder {finder!r}", f"Finders: {', '.join(FINDERS.entries)}.")
            options[finder] = {name: [_region(value) for value in values] if name == "region" else values}
    finders = several(asked.finder)
    is_asked = bool(finders or options)
    for name in finders:
        FINDERS.check(name)
    if not finders:  # a single hypothesis is tested alone
        finders = list(options) or [name for name, entry in FINDERS.entries.items() if entry.facts.get("default")]
    for name in options:
        if name not in finders:
            raise UsageError(
                f"--{next(iter(options[name]))} has no effect without --finder {name}", f"Add --finder {name}."
            )
    return Search(
        tuple(finders),
        options,
        asked.held_out,
        asked.seed,
        _budget(asked.budget),
        command,
        is_asked,
        tuple(_repeated(asked)),
        sheet=_sheet(asked),
    )


def _repeated(asked: AuditRequest) -> list[str]:
    """The words that say what data and model these are, which later commands need too."""
    words = [
        [f"--{name}", os.fspath(value)]
        for name in ("dataset", "model", "recipe", "data_root", "feature")
        if (value := getattr(asked, name)) is not None
    ]
    words += [["--set", f"{key}={json.dumps(value)}"] for key, value in overrides_of(_of_data(asked)).items()]
    return [word.replace("--data_root", "--data-root") for pair in words for word in pair]


def _sheet(asked: AuditRequest) -> SheetPlan | None:
    from spurcli.auditing.page.written import SheetPlan

    if not asked.sheet:
        for flag, value in (("--sheet-class", asked.sheet_class), ("--sheet-size", asked.sheet_size)):
            if value is not None:
                raise UsageError(f"{flag} has no effect without --sheet", "Add --sheet.")
        return None
    plan = SheetPlan(tuple(several(asked.sheet_class)))
    return plan if asked.sheet_size is None else SheetPlan(plan.classes, asked.sheet_size)


def _region(written: str) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of "x0:x1,y0:y1" in pixels."""
    found = re.fullmatch(r"\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*", written)
    if not found:
        raise UsageError(
            f"--region {written} is not X0:X1,Y0:Y1", "Write --region 0:8,24:32, in pixels from the top left."
        )
    x0, x1, y0, y1 = map(int, found.groups())
    if x0 >= x1 or y0 >= y1:
        raise UsageError(f"--region {written} is empty", "The first of each pair is the smaller one.")
    return y0, x0, y1, x1


def _budget(written: str | None) -> float | None:
    if written is None:
        return None
    found = _BUDGET.fullmatch(written.strip())
    if not found:
        raise UsageError(f"--budget {written} is not a time", "Write 90s, 5m or 1h.")
    return float(found[1]) * _SECONDS[found[2]]


def _folder(named: File | None) -> Path:
    """The output folder; InputError where something else is there."""
    folder = Path(named or STANDARD_FOLDER)
    if str(named) == "-":
        raise UsageError("An audit is a folder, which cannot go to stdout", "Name a folder with -o, or use --json.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, and an audit is a folder", "Name a folder with -o.")
    return folder
