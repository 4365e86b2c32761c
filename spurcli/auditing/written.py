"""What an audit writes: a groups file for each suspect, its entry in audit.json, and the lines to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spurcli.artifacts.addition import StoredAddition, write_addition
from spurcli.artifacts.atomic import readable_os_errors
from spurcli.artifacts.catalogue import ADDITION, GROUPS, recognise
from spurcli.artifacts.envelope import JsonObject, sha256_of_file
from spurcli.artifacts.group_list import GroupList, GroupPart, write_groups
from spurcli.artifacts.provenance import Provenance
from spurcli.artifacts.subject import Subject
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.statistics import carries
from spurcli.auditing.suspect import Suspect

FOLDER = "suspects"
# Carriers up to this share of their class are all removed: that ends the correlation, and at least half of the class is left.
_ALL_OF_THEM = 0.5
_NO_CHOICE = 0.1  # up to this share all are removed at next to no cost, and no other fraction is worth a line
_PART = "0.25"
_OTHERWISE = {_PART: "keeps more of the class", "1": "leaves few of the class"}


@dataclass(frozen=True)
class Place:
    """Where the audit is written, and the model as it is named on a command line ("" = none).

    `words` are those that later commands need too (--dataset, --model, --recipe, --set), as they were typed. Of an
    injected data set the injection makes the groups of `evaluate`. `score` are the words of the command that makes scores.h5,
    as far as it is known.
    """

    output: Path
    model: str = ""
    words: Sequence[str] = ()
    is_injected: bool = False
    score: Sequence[str] = ()


def write_suspects(
    place: Place,
    evidence: Evidence,
    suspects: Sequence[Suspect],
    subjects: Mapping[str, Subject],
    provenance: Provenance,
) -> list[JsonObject]:
    """Write suspects/N.groups.txt and return the suspects as audit.json has them."""
    with readable_os_errors(place.output / FOLDER):
        (place.output / FOLDER).mkdir(parents=True, exist_ok=True)
    written = []
    for suspect in suspects:
        name = f"{FOLDER}/{suspect.rank}.groups.txt"
        groups = _groups(evidence, suspect, subjects, provenance)
        write_groups(place.output / name, groups)
        sha256 = sha256_of_file(place.output / name)
        entry = {
            "groups": name,
            "groups_sha256": sha256,
            **_addition(place, suspect, provenance),
            "next": next_lines(place, evidence, suspect, place.output / name),
        }
        written.append({**suspect.to_json(), **entry})
    return written


def remove_older(output: Path, num_suspects: int) -> None:
    """Remove files of suspects that an older audit with more suspects left behind."""
    for ending, artefact in ((".groups.txt", GROUPS), (".addition.h5", ADDITION)):
        for old in (output / FOLDER).glob(f"*{ending}"):
            number = old.name.removesuffix(ending)
            if number.isdecimal() and int(number) > num_suspects and old.is_file() and recognise(old) == artefact:
                old.unlink()


def _addition(place: Place, suspect: Suspect, provenance: Provenance) -> JsonObject:
    """Write suspects/N.addition.h5 if the feature can be added to samples, and return its entries of audit.json."""
    added, name = suspect.finding.addition, f"{FOLDER}/{suspect.rank}.addition.h5"
    path = place.output / name
    if added is None or suspect.label is None:
        if path.is_file() and recognise(path) == ADDITION:
            path.unlink()  # of an older audit
        return {"addition": None, "addition_sha256": None}
    write_addition(path, StoredAddition(added, suspect.finding.name, suspect.label, provenance))
    return {"addition": name, "addition_sha256": sha256_of_file(path)}


def _groups(evidence: Evidence, suspect: Suspect, subjects: Mapping[str, Subject], provenance: Provenance) -> GroupList:
    presence = suspect.finding.presence
    attributes: tuple[str, ...] = attribute_names(suspect)
    if any(np.isnan(part).any() for part in presence.values()):
        attributes = (*attributes, "not known")
    has_probabilities = any(((part > 0) & (part < 1)).any() for part in presence.values())
    parts = {}
    for split in evidence.splits:
        if split not in presence:
            continue
        value = carries(presence[split]).astype(np.int64)
        value[np.isnan(presence[split])] = 2
        group = evidence.label(split) * len(attributes) + value
        parts[split] = GroupPart(group, subjects[split], presence[split] if has_probabilities else None)
    return GroupList(
        tuple(f"{label}/{attribute}" for label in evidence.class_names for attribute in attributes),
        parts,
        probability_of=attributes[1] if has_probabilities else None,
        provenance=provenance,
    )


def attribute_names(suspect: Suspect) -> tuple[str, str]:
    """What samples without and with the feature are called in groups."""
    name = suspect.finding.name
    return f"no {name}", name


def next_lines(place: Place, evidence: Evidence, suspect: Suspect, groups: Path) -> list[str]:
    """The commands that check the suspect and cut it; another way to cut it is a line that begins with #."""
    labels = ["--group-labels", str(groups)]
    judged = [*place.words, *([] if place.is_injected else labels)]
    lines = [["evaluate", place.model, *judged]] if place.model else []
    found = [_typed(line) for line in lines]
    share = (
        _share(suspect, "train") if "train" in evidence.splits else 0.0
    )  # of mistakes the carriers are in other classes
    if share > 0:
        if place.score and not Path("scores.h5").exists():
            found.append(_typed(["score", *place.score]))
        prune = ["prune", "scores.h5", *labels, "--group", f"{suspect.label}/{suspect.finding.name}", "--fraction"]
        fraction, other = ("1", _PART) if share <= _ALL_OF_THEM else (_PART, "1")
        found.append(_typed([*prune, fraction]))
        otherwise = f"# {_OTHERWISE[other]}: {_typed([*prune, other])}"
        # behind # quotes do not hold a class name's line break
        if share > _NO_CHOICE and len(otherwise.splitlines()) == 1:
            found.append(otherwise)
        if place.model or place.words:  # with predictions alone there is nothing to train on
            found.append(_typed(["train", "--keep", "keep.txt", *place.words, "-o", "cut/model.safetensors"]))
            found.append(_typed(["evaluate", "cut/model.safetensors", *judged, "-o", "cut/evaluation.json"]))
    return found


def _typed(words: Sequence[str]) -> str:
    return shlex.join(["spurcli", *words])


def _share(suspect: Suspect, split: str) -> float:
    return next((float(row["share"] or 0.0) for row in suspect.carriers[split] if row["class"] == suspect.label), 0.0)
