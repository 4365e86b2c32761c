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
from spurcli.auditing.suspect import CONFIRMED, Suspect
from spurcli.words import all_of

FOLDER = "suspects"
# Carriers up to this share of their class are all removed: that ends the correlation, and at least half of the class is left.
_ALL_OF_THEM = 0.5
_NO_CHOICE = 0.1  # up to this share all are removed at next to no cost, and no other fraction is worth a line
_PART = "0.25"
_OTHERWISE = {_PART: "keeps more of the class", "1": "leaves few of the class"}


@dataclass(frozen=True)
class Place:
    """Where the audit is written, and the model as it is named on a command line ("" = none).

    `words` are those that later commands need too (--dataset, --model, --recipe, --set), as they were typed. `score` are the
    words of the command that makes scores.h5, as far as it is known. A model of another program (`is_foreign`) does not say how it
    was trained, so one recipe trains both models that are compared; `training` are the words that such a training needs in addition.
    """

    output: Path
    model: str = ""
    words: Sequence[str] = ()
    score: Sequence[str] = ()
    is_foreign: bool = False
    training: Sequence[str] = ()


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
            "next": next_lines(place, evidence, suspect, place.output / name, together_with(suspect, suspects)),
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


def next_lines(
    place: Place, evidence: Evidence, suspect: Suspect, groups: Path, together: Sequence[int] = ()
) -> list[str]:
    """The commands that cut the suspect and show what that changes: one command, then the same in separate stages.

    A line that begins with # names an alternative, such as a cut with the other suspects of the ranks `together`.
    Of mistakes the carriers are in other classes: then there is nothing to cut.
    """
    words = [*place.words, *place.training]
    labels, judged = ["--group-labels", str(groups)], ["--suspect", f"{place.output}:{suspect.rank}"]
    if "test" not in evidence.splits:  # which evaluate takes by default
        judged += ["--split", evidence.held_out]
    share = _share(suspect, "train") if "train" in evidence.splits else 0.0
    can_train = bool(place.model or place.words)  # with predictions alone there is nothing to train on
    fraction = fraction_to_remove(share)
    other = _PART if fraction == "1" else "1"
    cut = ["cut", str(place.output), "--suspect", str(suspect.rank), *place.words]
    prune = [*labels, "--group", f"{suspect.label}/{suspect.finding.name}", "--fraction"]
    found = []
    if share > 0 and place.model:
        found.append(_typed(cut))
        if share > _NO_CHOICE:
            found.append(f"# {_OTHERWISE[other]}: {_typed([*cut, '--fraction', other])}")
        if together:
            every = ["cut", str(place.output), "--suspect", ",".join(map(str, together)), *place.words]
            found.append(
                f"# {all_of(len(together), 'confirmed suspect')} of {suspect.label} together (leave out what belongs to the class): {_typed(every)}"
            )
        found.append("# or in separate stages, for one seed:")
    model = place.model
    if share > 0 and model and place.is_foreign:
        model = "all/model.safetensors"
        found.append(_typed(["train", "--keep", "all", *words, "-o", model]))
    if model:
        output = ["-o", "all/evaluation.json"] if model != place.model else []
        found.append(_typed(["evaluate", model, *(words if output else place.words), *judged, *output]))
    if share > 0:
        scoring = place.score or (words if place.is_foreign else ())
        needs_scores = fraction != "1"
        if needs_scores and scoring and not Path("scores.h5").exists():
            found.append(_typed(["score", *scoring]))
        found.append(_typed(["prune", *(["scores.h5"] if needs_scores else []), *prune, fraction]))
        if can_train:
            found.append(_typed(["train", "--keep", "keep.txt", *words, "-o", "cut/model.safetensors"]))
            found.append(_typed(["evaluate", "cut/model.safetensors", *words, *judged, "-o", "cut/evaluation.json"]))
    # behind # quotes do not hold a line break, which a path may have
    return [line for line in found if not line.startswith("#") or len(line.splitlines()) == 1]


def fraction_to_remove(share: float) -> str:
    """The fraction of the carriers to remove, where `share` of the class are carriers."""
    return "1" if share <= _ALL_OF_THEM else _PART


def together_with(suspect: Suspect, suspects: Sequence[Suspect]) -> list[int]:
    """The ranks of all confirmed suspects of the class of a confirmed suspect, if there are several: they can be cut together."""
    if suspect.status != CONFIRMED or suspect.label is None:
        return []
    mine = [each for each in suspects if each.status == CONFIRMED and each.label == suspect.label]
    ranks = [each.rank for each in mine if "train" in each.carriers and _share(each, "train") > 0]
    return ranks if len(ranks) > 1 else []


def _typed(words: Sequence[str]) -> str:
    return shlex.join(["spurcli", *words])


def _share(suspect: Suspect, split: str) -> float:
    return next((float(row["share"] or 0.0) for row in suspect.carriers[split] if row["class"] == suspect.label), 0.0)
