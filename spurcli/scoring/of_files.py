"""Scores from existing files: logits, a table of predictions, the epochs of a training. No model runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.class_check import confusion, warn_if_reordered
from spurcli.artifacts.dynamics import DynamicsReader
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.logit_checks import are_constant, constant_line, what_instead
from spurcli.artifacts.provenance import Provenance
from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.artifacts.subject import Subject
from spurcli.datasets import Dataset
from spurcli.datasets.alignment import read_aligned
from spurcli.datasets.prediction_table import PredictionColumns, read_prediction_table
from spurcli.errors import InputError, SpurWarning
from spurcli.progress import Progress
from spurcli.registries import DYNAMICS
from spurcli.scoring import formulas
from spurcli.scoring.dynamics import blocks, needed_epochs
from spurcli.scoring.from_logits import score_logits
from spurcli.scoring.requested import RequestedScore, registered_scores

if TYPE_CHECKING:
    from spurcli.runtime.context import RunContext


def score_logit_files(
    paths: tuple[Path, Path | None, Path | None],
    context: RunContext | None,
    further: Sequence[RequestedScore],
    output: Path,
    made: Provenance,
) -> None:
    """Scores of logits (with labels and ids), in the order of the training split of `context` where there is one."""
    dataset = context.dataset if context else None
    is_folder = context is not None and context.settings.dataset.name == "folder"
    found, note = read_aligned(paths, dataset, "train", is_image_folder=is_folder)
    logits, label, sample_id, group = found.logits, found.label, found.sample_id, None
    assert label is not None
    if are_constant(logits):
        warnings.warn(constant_line(len(logits), f"The logits of {paths[0]}"), SpurWarning, stacklevel=2)
    if context is None or dataset is None:
        header = ScoresHeader(Subject(Fingerprint.of(label, sample_id)), found.class_names, (), made)
    else:
        context.progress.say(note)
        header, group = header_of(dataset, made), dataset.group("train")
        advice = "Store class_names with the logits."
        warn_if_reordered(confusion(logits, label), dataset.class_names, str(paths[0]), advice)
    _write_from_logits(logits, label, further, output, header, sample_id, group)


def score_table(
    path: Path, columns: PredictionColumns, further: Sequence[RequestedScore], output: Path, made: Provenance
) -> None:
    """Scores of the training rows of a table of predictions."""
    found = read_prediction_table(path, columns)
    rows = found.require_rows_of("train", "Scores are of train rows: name their column with --split-column.")
    logits, label = found.logits[rows], found.label[rows]
    if problem := what_instead(found.logits):
        raise InputError(
            f"{path}: {problem[0]}, rounded: scores of them would be wrong", "Write all digits, or logits."
        )
    sample_id = tuple(found.sample_id[row] for row in rows.tolist()) if found.sample_id is not None else None
    header = ScoresHeader(Subject(Fingerprint.of(label, sample_id)), found.class_names, found.group_names, made)
    _write_from_logits(logits, label, further, output, header, sample_id, found.group(rows))


def _write_from_logits(
    logits: NDArray[np.float32],
    label: NDArray[np.int64],
    further: Sequence[RequestedScore],
    output: Path,
    header: ScoresHeader,
    sample_id: Sequence[str] | None,
    group: NDArray[np.int64] | None,
) -> None:
    scores = [*registered_scores(list(formulas.FROM_LOGITS)), *further]
    with write_scores(output, header, label, sample_id=sample_id, group=group) as writer:
        for each in scores:
            info = ScoreInfo(each.name, each.higher_is, each.formula, each.source, view="unknown", precision="unknown")
            writer.add_score(info)
        score_logits(logits, label, scores, writer)


def score_epochs(reader: DynamicsReader, num_epochs: int, output: Path, made: Provenance, report: Progress) -> None:
    """Scores from the dynamics of a training in its first `num_epochs` epochs; scores that need more epochs are left out."""
    names = [name for name in DYNAMICS.entries if needed_epochs(name) <= num_epochs]
    header = replace(reader.header, provenance=made)
    group, facts = reader.groups(), reader.facts
    with write_scores(output, header, reader.labels(), sample_id=reader.sample_ids(), group=group) as writer:
        for name in names:
            entry = DYNAMICS.entries[name]
            info = ScoreInfo(
                name,
                entry.facts["higher_is"],
                entry.facts["formula"],
                entry.source,
                num_epochs,
                facts.view,
                facts.precision,
                () if facts.seed is None else (facts.seed,),
                (facts.weights_sha256,) if facts.weights_sha256 else (),
            )
            writer.add_score(info)
        report.start("scoring", reader.header.num_samples)
        for start, values in blocks(reader, num_epochs):
            for name in names:
                writer.write(name, 0, start, DYNAMICS.load(name)(values).astype(np.float32))
            report.advance(values.log_p.shape[1])


def header_of(dataset: Dataset, made: Provenance) -> ScoresHeader:
    """The header of scores of a data set's training split."""
    return ScoresHeader(
        subject=dataset.subject("train"),
        class_names=dataset.class_names,
        group_names=dataset.group_names if dataset.group("train") is not None else (),
        provenance=made,
    )
