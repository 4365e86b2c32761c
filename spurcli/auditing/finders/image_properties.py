"""Properties of images: brightness, colour, border, sharpness, and facts from their files (size, camera, compression)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.addition import IMAGE_PROPERTY, Addition
from spurcli.auditing import pixels as of_pixels
from spurcli.auditing.additions import AddedImages
from spurcli.auditing.candidates import Candidate, Hit, of_numbers, of_texts, search
from spurcli.auditing.changing import MOST_TRIED, search_by_change
from spurcli.auditing.duplicates import near_duplicates
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.image_files import NUMBERS, TEXTS, file_facts
from spurcli.auditing.merging import same_carriers
from spurcli.auditing.set_apart import set_apart
from spurcli.auditing.suspect import Counterfactual, Finding, short_name
from spurcli.auditing.values import value_rows
from spurcli.datasets import Images, Texts, Vectors
from spurcli.datasets.inputs import files_of
from spurcli.words import counted

_BATCH = 256
_MOST_CHANGED = 2000  # held-out samples that are changed and given to the model again
_RANGES = 8  # at most, of a property
_MOST_EXAMINED = 16  # properties that can be changed and move the model: are their carriers set apart?
_SMOOTH = "the property varies smoothly within the class, or goes with the rest of the image, so it may be part of the class itself"
_DOUBT = "{} cannot be changed separately in an image, so it was not tested"


def find(evidence: Evidence, *, most: int = 3) -> list[Finding]:
    """The `most` suspicious properties. Those that can be changed in an image are tested in this way; near-duplicates are reported."""
    if evidence.kind != "images":
        return []
    numbers, hashes = _of_pixels(evidence)
    _warn_of_duplicates(evidence, hashes)
    candidates = [each for name, values in numbers.items() for each in of_numbers(name, values, evidence.source)]
    files = _of_files(evidence)
    candidates += files
    from_file = {candidate.column for candidate in files}
    changed, others = _hits(evidence, candidates, most)
    found = [_finding(evidence, hit, apart, candidates) for hit, apart in _chosen(evidence, changed, numbers, most)]
    for hit in others:
        doubt = "" if hit.candidate.column in from_file else _DOUBT.format(hit.candidate.column)
        found.append(_finding(evidence, hit, None, candidates, doubt=doubt))
    return found


def _chosen(
    evidence: Evidence, hits: Sequence[Hit], numbers: Mapping[str, Mapping[str, NDArray[np.float64]]], most: int
) -> list[tuple[Hit, Candidate | None]]:
    """The `most` hits that are examined further, each with its carriers if they are set apart from the class: these come first.

    Natural colours of the classes often have larger effects than a change that was made afterwards, and would take all places. A change
    that moves several properties, such as a frame, counts once.
    """
    evidence.progress.start("properties set apart", min(len(hits), _MOST_EXAMINED))
    clear: list[tuple[Hit, Candidate]] = []
    smooth: list[Hit] = []
    for hit in hits[:_MOST_EXAMINED]:
        apart = set_apart(evidence, hit, numbers[hit.candidate.column])
        evidence.progress.advance(1)
        if apart is None or _is_usual(evidence, hit, apart):
            smooth.append(hit)
        elif not any(_is_same(evidence, hit, apart, *other) for other in clear):
            clear.append((hit, apart))
    return [*clear, *((hit, None) for hit in smooth)][:most]


def _is_usual(evidence: Evidence, hit: Hit, apart: Candidate) -> bool:
    """Whether most images of the other classes are carriers too: then it is rather their absence that a change made, in another class."""
    outside = apart.presence[evidence.source][evidence.label(evidence.source) != hit.label_index]
    return bool((outside > 0.5).mean() > 0.5)


def _is_same(evidence: Evidence, hit: Hit, apart: Candidate, other: Hit, carriers: Candidate) -> bool:
    one, two = apart.presence[evidence.source], carriers.presence[evidence.source]
    return hit.label_index == other.label_index and same_carriers(one, two)


def _hits(evidence: Evidence, candidates: Sequence[Candidate], most: int) -> tuple[list[Hit], list[Hit]]:
    """Properties that can be changed, by changing them, and up to `most` others, by groups.

    The two kinds are not on one scale. A change needs no carriers among the held-out samples of other classes.
    """
    ask = evidence.ask
    if ask is None:
        found = search(evidence, candidates, most)
        return [hit for hit in found if _can_change(hit.candidate)], [
            hit for hit in found if not _can_change(hit.candidate)
        ]
    changeable = [each for each in candidates if _can_change(each)]
    evidence.progress.start("changed image properties", len(changeable))

    def answers(candidate: Candidate, split: str, index: NDArray[np.int64]) -> NDArray[np.float32]:
        addition = _addition(evidence, candidate)
        assert addition is not None
        changed = AddedImages(_images(evidence, split), index, addition)
        evidence.progress.advance(split == evidence.held_out)
        return ask(changed.read(np.arange(len(index), dtype=np.int64)))

    others = [each for each in candidates if not _can_change(each)]
    return search_by_change(evidence, changeable, answers, _MOST_EXAMINED), search(evidence, others, most)


def _can_change(candidate: Candidate) -> bool:
    known = of_pixels.PROPERTIES.get(candidate.column)
    return known is not None and known.change is not None


def seconds(evidence: Evidence) -> float:
    """Estimated seconds of `find`, from some measured images and the number of model calls."""
    sizes = {split: len(label) for split, label in evidence.labels.items()}
    some = _images(evidence, evidence.held_out).read(np.arange(min(32, sizes[evidence.held_out]), dtype=np.int64))
    began = time.monotonic()
    of_pixels.measured(some)
    of_pixels.hashes(some)
    each = (time.monotonic() - began) / max(1, len(some))
    tried = MOST_TRIED * _RANGES * sum(known.change is not None for known in of_pixels.PROPERTIES.values())
    calls = tried + 3 * min(_MOST_CHANGED, sizes[evidence.held_out])
    return 2 * each * sum(sizes.values()) + evidence.pace * calls


def _of_pixels(
    evidence: Evidence,
) -> tuple[dict[str, dict[str, NDArray[np.float64]]], dict[str, NDArray[np.uint8]]]:
    """Name → split → values of each property, and the perceptual hashes of each split."""
    evidence.progress.start("image properties", sum(map(len, evidence.labels.values())))
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    hashes: dict[str, NDArray[np.uint8]] = {}
    for split in evidence.splits:
        inputs, parts, marks = _images(evidence, split), [], []
        for start in range(0, len(inputs), _BATCH):
            pixels = inputs.read(np.arange(start, min(start + _BATCH, len(inputs)), dtype=np.int64))
            parts.append(of_pixels.measured(pixels))
            marks.append(of_pixels.hashes(pixels))
            evidence.progress.advance(len(pixels))
        for name in parts[0]:
            found.setdefault(name, {})[split] = np.concatenate([part[name] for part in parts]).astype(np.float64)
        hashes[split] = np.concatenate(marks)
    return found, hashes


def _images(evidence: Evidence, split: str) -> Images:
    inputs = evidence.inputs(split)
    assert inputs is not None
    assert not isinstance(inputs, Texts | Vectors)
    return inputs


def _of_files(evidence: Evidence) -> list[Candidate]:
    """Candidates from the images' files, if all splits have files."""
    paths: dict[str, Sequence[Path]] = {}
    for split in evidence.splits:
        files = files_of(_images(evidence, split))
        if files is None:
            return []
        paths[split] = files.paths
    facts: dict[str, dict[str, Any]] = {split: file_facts(part) for split, part in paths.items()}
    candidates: list[Candidate] = []
    for name in NUMBERS:
        values = {split: np.array(part[name], dtype=np.float64) for split, part in facts.items()}
        candidates += of_numbers(name, values, evidence.source)
    for name in TEXTS:
        texts = {split: part[name] for split, part in facts.items()}
        candidates += of_texts(name, texts, evidence.source, evidence.warn)
    return candidates


def _finding(
    evidence: Evidence, hit: Hit, apart: Candidate | None, candidates: Sequence[Candidate], *, doubt: str | None = None
) -> Finding:
    """The finding of a property that can be changed, with the carriers that are set `apart`; with a `doubt` ("" = none) that of another property."""
    label, addition = evidence.class_names[hit.label_index], None
    if doubt is None:
        hit, doubt = (hit, _SMOOTH) if apart is None else (replace(hit, candidate=apart), "")
        addition = _addition(evidence, hit.candidate)
    candidate = hit.candidate
    return Finding(
        name=short_name(candidate.column, candidate.value.removeprefix("= ")),
        finder="image-properties",
        label_index=hit.label_index,
        presence=candidate.presence,
        statement=f"Images with {candidate.column} {candidate.value} are predicted {label} more often",
        shown={"column": candidate.column, "value": candidate.value},
        details={
            "z_association": round(hit.association, 2),
            "z_push": None if hit.push is None else round(hit.push, 2),
        },
        counterfactual=_changed(evidence, hit, addition) if addition else None,
        addition=addition,
        values=value_rows(evidence, candidates, candidate.column),
        doubt=doubt,
    )


def _addition(evidence: Evidence, candidate: Candidate) -> Addition | None:
    """The change of the property to the median value of its carriers; None if it cannot be changed by itself."""
    wanted = _middle(evidence, candidate)
    if wanted is None or of_pixels.PROPERTIES[candidate.column].change is None:
        return None
    return Addition(IMAGE_PROPERTY, {"property": candidate.column, "value": wanted})


def _changed(evidence: Evidence, hit: Hit, addition: Addition) -> Counterfactual | None:
    """Held-out samples of other classes without the property, with the addition."""
    candidate, split = hit.candidate, evidence.held_out
    if evidence.ask is None:
        return None
    label, presence = evidence.label(split), candidate.presence[split]
    index = np.flatnonzero((label != hit.label_index) & (presence < 0.5) & (evidence.half(split) == 1))[:_MOST_CHANGED]
    if not len(index):
        return None
    inputs, first, second = AddedImages(_images(evidence, split), index, addition), [], []
    for start in range(0, len(index), _BATCH):
        changed = inputs.read(np.arange(start, min(start + _BATCH, len(index))))
        first.append(evidence.ask(changed))
        if evidence.second_ask is not None:
            second.append(evidence.second_ask(changed))
    return Counterfactual(index, np.concatenate(first), np.concatenate(second) if second else None)


def _middle(evidence: Evidence, candidate: Candidate) -> float | None:
    """The median of the property among training samples in the candidate's range."""
    if candidate.column not in of_pixels.PROPERTIES:
        return None
    inputs, split = _images(evidence, evidence.source), evidence.source
    index = np.flatnonzero(candidate.presence[split] > 0.5)[: 4 * _BATCH]
    measure = of_pixels.PROPERTIES[candidate.column].measure
    return float(np.median(measure(inputs.read(index).astype(np.float32))))


def _warn_of_duplicates(evidence: Evidence, hashes: dict[str, NDArray[np.uint8]]) -> None:
    for split, pairs in near_duplicates(hashes, evidence.source).items():
        if pairs:
            held, source = pairs[0]
            example = f"{_called(evidence, split, held)} and {_called(evidence, evidence.source, source)}"
            evidence.warn(
                f"{counted(len(pairs), 'image')} of {split} look like images of {evidence.source}, such as {example}: "
                "the model may have memorised them"
            )


def _called(evidence: Evidence, split: str, row: int) -> str:
    ids = evidence.sample_id.get(split)
    return ids[row] if ids is not None else f"number {row:,}"
