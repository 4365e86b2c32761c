"""The options of `export`, each a flag and a Python parameter, and how they are resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from spurcli.errors import InputError, UsageError
from spurcli.exporting.formats import FORMATS, format_named
from spurcli.requests.configured import Inherited, configured
from spurcli.requests.files import input_file, output_file
from spurcli.requests.options import (
    AllowMismatch,
    Caller,
    DataRoot,
    Dataset,
    Feature,
    File,
    Option,
    Recipe,
    Sets,
    Shown,
    inherited_settings,
    output,
    path,
)
from spurcli.results import ExportResult

if TYPE_CHECKING:
    from spurcli.artifacts.catalogue import Artefact
    from spurcli.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """Write the samples of a list, or scores, groups or predictions, for other programs."""

    source: Annotated[
        File | None,
        Option(
            "A list (keep.txt, remove.txt, errors.txt), groups.txt, scores.h5 or predictions.h5. (default: keep.txt)",
            "FILE",
            positional=True,
            reads="keep.txt",
        ),
    ] = field(default=None, kw_only=False)
    format: Annotated[str | None, Option(f"{', '.join(FORMATS)}.", "FORMAT", flag="--as", completes="formats")] = None
    which: Annotated[str, Option("Samples of a list: kept, removed or all.", "WHICH", completes="kept removed all")] = (
        "kept"
    )
    output: Annotated[File | None, output("by the format")] = None
    dataset: Dataset = None
    data_root: DataRoot = None
    recipe: Recipe = None
    set: Sets = None
    feature: Feature = None
    allow_injection_mismatch: AllowMismatch = False
    progress: Shown = False

    # options of every stage that loads a data set; nothing is computed or decoded here
    @property
    def model(self) -> None:
        return None

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def workers(self) -> int:
        return 0

    @property
    def standard_output(self) -> str:
        return FORMATS[self.format].standard_output if self.format in FORMATS else "export.csv"


def run(asked: ExportRequest, caller: Caller) -> ExportResult:
    """Resolve the request and export."""
    from spurcli.artifacts.describe import artefact_of
    from spurcli.artifacts.envelope import require_file
    from spurcli.exporting.content import require_which
    from spurcli.stages.export import LISTS, export

    chosen = format_named(asked.format)
    assert asked.format
    if chosen.folder and not caller.companions:
        raise UsageError(f"--as {asked.format} writes a folder, which cannot go to stdout", "Name a folder with -o.")
    source = input_file(asked.source, "keep.txt", caller.progress.say)
    require_file(source, "an artefact", "Name a list, groups.txt, scores.h5 or predictions.h5.")
    kind = artefact_of(source)
    require_which(asked.which, is_list=kind in LISTS and kind.kind != "error list")
    settings = _plan(asked, source, kind)
    if settings is None and chosen.needs_inputs:
        raise UsageError(f"--as {asked.format} writes the samples of a list", "Name keep.txt or another list.")
    named = Path(asked.output or chosen.standard_output)
    return export(
        settings,
        source,
        kind,
        format=asked.format,
        which=asked.which,
        output=named if chosen.folder else output_file(asked.output, chosen.standard_output),
        allow_injection_mismatch=asked.allow_injection_mismatch,
        command=caller.command,
    )


def _plan(asked: ExportRequest, source: Path, kind: Artefact) -> Settings | None:
    """The data set that the file names or that is named; None for files that say everything of each sample themselves."""
    from spurcli.artifacts import catalogue
    from spurcli.artifacts.describe import read_described

    if kind in (catalogue.SCORES, catalogue.PREDICTIONS):
        for flag, given in (("--dataset", asked.dataset), ("--recipe", asked.recipe), ("--set", asked.set)):
            if given:
                raise UsageError(f"{flag} has no effect: {source} names its samples itself", "Remove it.")
        return None
    if kind not in (catalogue.INDICES, catalogue.ERRORS, catalogue.GROUPS):
        raise InputError(
            f"{source} is {kind.noun}, which has no data on single samples",
            "Name a list, groups.txt, scores.h5 or predictions.h5.",
        )
    inherited = Inherited(inherited_settings(read_described(source, kind).provenance), path(source))
    return configured(asked, inherited, seed=0, uses=("dataset",))
