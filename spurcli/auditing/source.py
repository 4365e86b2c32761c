"""What an audit examines: the evidence, what its files are about, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.arrays import read_array
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.logit_checks import what_instead
from spurcli.artifacts.provenance import Parent
from spurcli.artifacts.subject import Subject
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.running import Search
from spurcli.auditing.table_answers import (
    TableAnswers,
    repeated,
    require_embedding,
    rows_in_order,
    rows_of_splits,
    unused_columns,
)
from spurcli.auditing.written import Place
from spurcli.datasets.own.naming import OWN_DATA
from spurcli.datasets.prediction_table import PredictionColumns, TablePredictions, described, read_prediction_table
from spurcli.errors import InputError, UsageError
from spurcli.progress import Progress
from spurcli.settings import Settings


def nothing() -> None:
    """A model of spurcli needs no check of its preprocessing."""


@dataclass(frozen=True)
class Source:
    """What is audited: the evidence, what the files are about, and where they come from."""

    evidence: Evidence
    subjects: Mapping[str, Subject]
    about: Mapping[str, Any]
    settings: Mapping[str, Any]
    arguments: Mapping[str, Any]
    parents: Sequence[Parent]
    place: Place
    evaluate: Callable[[str], Sequence[str]] = lambda _: ()  # words of the command that evaluates by a column
    check: Callable[[], None] = nothing  # warns of doubtful predictions before the search


def held_out_of(splits: Sequence[str], asked: str | None, name: str) -> str:
    """The split on which suspects are confirmed: `asked`, else val, test or the last one."""
    if asked is not None:
        if asked not in splits:
            raise UsageError(f"{name} has no split {asked!r}", f"It has: {', '.join(splits)}.")
        return asked
    return next((each for each in ("val", "test") if each in splits), splits[-1])


def source_of_table(
    table: tuple[Path, PredictionColumns],
    settings: Settings | None,
    embeddings: Path | None,
    search: Search,
    output: Path,
    report: Progress,
) -> Source:
    """A table of predictions, with the embeddings of its rows and the data set behind it if they are given."""
    path, wanted = table
    found = read_prediction_table(path, wanted, suggests=False)
    if problem := what_instead(found.logits):
        if wanted.proba:  # why they are no logits was said as a warning
            raise InputError(
                f"{path}: an audit requires probabilities that are not rounded, and above 0",
                "Write all digits, or logits (--logit).",
            )
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
    held_out = held_out_of(tuple(rows), search.held_out, str(path))
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
        columns=lambda: _other_columns(path, wanted, rows, found, evidence.warn),
        takes_second=False,
        seed=search.seed,
        budget=search.budget,
        progress=report,
    )
    return Source(
        evidence,
        {name: Subject(Fingerprint.of(labels[name], ids[name])) for name in rows},
        {"model": None, "second": None},
        settings.to_json() if settings else {},
        {"columns": described(wanted), "embeddings": embeddings.name if embeddings else None},
        [Parent.of(path), *([Parent.of(embeddings)] if embeddings else [])],
        Place(output, words=_words(settings, evidence, search), score=search.score if "train" in rows else ()),
        lambda column: [*search.evaluate, "--group", column] if search.evaluate else (),
    )


def words_of_training(settings: Settings, words: Sequence[str]) -> list[str]:
    """What `train` needs beside the `words` that named the data and a model of another program: a recipe, the model of a transformers folder."""
    found = [] if "--recipe" in words or settings.dataset.name not in OWN_DATA else ["--recipe", settings.recipe]
    path = settings.model.options.get("path")
    if settings.model.name == "transformers" and "--model" not in words and path:
        found += ["--model", settings.model.name, "--set", f"model.options.path={path}"]
        if not any(word.startswith("preprocessing.max_length") for word in words):
            found += ["--set", f"preprocessing.max_length={settings.preprocessing.max_length}"]
    return found


def _words(settings: Settings | None, evidence: Evidence, search: Search) -> Sequence[str]:
    """The words that later commands need: also a recipe that trains on this kind of data, if none is named for a user's own data."""
    if settings is None or "--recipe" in search.words or settings.dataset.name not in ("folder", "table"):
        return search.words if settings else ()
    return [*search.words, "--recipe", "own-text-cpu" if evidence.kind == "texts" else "own-images-cpu"]


def _other_columns(
    path: Path,
    wanted: PredictionColumns,
    rows: Mapping[str, NDArray[np.int64]],
    found: TablePredictions,
    warn: Callable[[str], None],
) -> Mapping[str, Mapping[str, Sequence[str]]]:
    values = unused_columns(path, wanted)
    for name in repeated(values, found):
        warn(f"{name} repeats the predictions; not examined")
        del values[name]
    return {
        split: {name: [column[row] for row in mine.tolist()] for name, column in values.items()}
        for split, mine in rows.items()
    }
