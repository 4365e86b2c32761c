"""Canaries: which faint features are planted in which samples, drawn anew for each seed, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.injection import Injection, Planted, read_injection, write_injection
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.errors import InputError, UsageError
from spurcli.randomness import generator
from spurcli.registry import is_user_code

if TYPE_CHECKING:
    from spurcli.datasets import Dataset
    from spurcli.settings import Settings

_CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
_STRENGTHS, _BRIGHTEST = (50, 71, 100), 255  # added to a patch, of 255
_WORDS = ("overall", "meanwhile", "certainly", "indeed", "likewise", "anyway", "perhaps", "moreover")


@dataclass(frozen=True)
class Canary:
    """One planted feature of a seed, without its class: classes are drawn when it is planted."""

    feature: str
    parameters: JsonObject


def canaries_of(kind: str, shape: Sequence[int], count: int, seed: int, factor: float = 1) -> list[Canary]:
    """`count` different canaries for samples of this kind, patches `factor` times as strong. Corners and words are drawn by the seed."""
    most = len(_WORDS) if kind == "texts" else len(_CORNERS)
    if count > most:
        raise UsageError(f"--canaries {count}: two would look the same", f"Use at most {most} for {kind}.")
    rng = generator("canary kinds", seed)
    corners, words = rng.permutation(len(_CORNERS)), rng.permutation(len(_WORDS))
    if kind == "texts" and factor != 1:
        raise UsageError("--strength has no effect on texts: a word is there or not", "Remove it, or change --share.")
    if kind == "texts":
        return [Canary("word", {"word": _WORDS[words[n]]}) for n in range(count)]
    if kind == "vectors":
        raise InputError(
            "Canaries cannot be planted in embeddings", "Run it on the images or texts that they were made from."
        )
    side = min(shape[:2])
    found = []
    for number in range(count):
        strength = min(_BRIGHTEST, max(1, round(factor * _STRENGTHS[number % len(_STRENGTHS)])))
        corner = _CORNERS[corners[number]]
        size = min(side, max(2, round(side / 8)))
        found.append(Canary("patch", {"size": size, "corner": corner, "value": strength, "mode": "add"}))
    return found


@dataclass(frozen=True)
class Asked:
    """How many canaries, in which share of a class each, and how strong."""

    count: int
    share: float
    strength: float = 1


def plant(settings: Settings, dataset: Dataset, asked: Asked, *, seed: int, folder: Path, command: str) -> list[Path]:
    """Write canary1.json … into `folder`: always the same features, with a different one being measured.

    `dataset` may carry an injected feature already, which stays in the training split. Each canary is in a share of the
    samples of a class; classes and carriers are drawn by the seed. Existing identical files are kept.
    """
    from spurcli.datasets.inputs import kind_of
    from spurcli.features import complete_parameters
    from spurcli.registries import FEATURES

    train = dataset.splits["train"]
    kind = kind_of(train.inputs)
    shape: Sequence[int] = () if kind == "texts" else train.inputs.shape  # type: ignore[union-attr]
    rng = generator("canary carriers", seed)
    sizes = np.bincount(train.label, minlength=len(dataset.class_names))
    classes = [int(y) for y in rng.permutation(len(sizes)) if int(asked.share * sizes[y]) >= 2]
    if len(classes) < 1:
        raise UsageError(f"No class has two samples in a share of {asked.share:g}", "Use a larger --share.")
    planted = []
    for number, canary in enumerate(canaries_of(kind, shape, asked.count, seed, asked.strength)):
        label = classes[number % len(classes)]
        members = np.flatnonzero(train.label == label)
        carriers = np.sort(rng.choice(members, int(asked.share * len(members)), replace=False))
        keywords = complete_parameters(FEATURES.load(canary.feature), canary.feature, canary.parameters)
        planted.append(Planted(canary.feature, keywords, seed, label, carriers.astype(np.int64)))
    there = _already(settings)
    parents = [] if settings.injection_path is None else [Parent.of(settings.injection_path, there[1])]
    base = (*there[0], *planted)
    stored = settings.to_json()
    paths = []
    for number, judged in enumerate(planted, start=1):
        injection = Injection(
            feature=judged.feature,
            parameters=judged.parameters,
            seed=seed,
            dataset=stored["dataset"]["name"],
            dataset_options=stored["dataset"]["options"],
            fingerprint=train.fingerprint,
            feature_of=judged.feature_of,
            twin_class=None,
            carriers=judged.carriers,
            provenance=provenance(
                "canary", command=command, settings=stored, arguments={"seed": seed, "canary": number}, parents=parents
            ),
            further=tuple(each for each in base if each is not judged),
        )
        paths.append(folder / f"canary{number}.json")
        _write(paths[-1], injection)
    return paths


def _already(settings: Settings) -> tuple[tuple[Planted, ...], Any]:
    """The features that an injected data set carries, and the provenance of its file."""
    if settings.injection_path is None:
        return (), {}
    found = read_injection(settings.injection_path)
    if is_user_code(found.feature):
        raise UsageError(
            f"{settings.injection_path} carries a feature of your own code",
            "Canaries work only with features of spurcli.",
        )
    own = Planted(found.feature, found.parameters, found.seed, found.feature_of, found.carriers)
    return (*found.further, own), found.provenance


def _write(path: Path, injection: Injection) -> None:
    if path.exists():
        found = read_injection(path)
        if found.sha256 == injection.sha256:
            return
        raise InputError(f"{path} has canaries other than those requested", "Use another folder with -o.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_injection(path, injection)
