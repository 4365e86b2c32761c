"""From the request of `canary` to canary.json: plan, plant, train with and without the hardest samples, read, forecast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spurcli.artifacts.atomic import write_text
from spurcli.artifacts.canary import write_canary
from spurcli.artifacts.envelope import JsonObject, optional_field
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.injection import Injection, read_injection
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.comparing.arms import read_arms
from spurcli.comparing.canary.forecast import Measured, forecast
from spurcli.comparing.canary.page import canary_page
from spurcli.comparing.canary.planting import Asked, plant
from spurcli.comparing.canary.request import STANDARD_FOLDER, CanaryRequest, CanaryResult
from spurcli.comparing.chain import Looks, Source
from spurcli.comparing.estimate import Estimate, estimate
from spurcli.comparing.reachable import reachable
from spurcli.comparing.running import alone, read_seeds
from spurcli.comparing.study import Study
from spurcli.datasets import Dataset, load_dataset
from spurcli.datasets.own.naming import EMBEDDINGS, locate
from spurcli.errors import InputError, UsageError
from spurcli.requests.behind import settings_behind
from spurcli.requests.options import Caller, overrides_of, path, text
from spurcli.session import configure
from spurcli.settings import Settings
from spurcli.sharing import shared


def run(asked: CanaryRequest, caller: Caller, show: Callable[[Estimate], None]) -> CanaryResult:
    """As `spurcli.comparing.canary.request.run`."""
    with shared():
        study, planting, max_cost = _planned(asked)
        fractions = [arm.rule.fraction for arm in study.all_arms if arm.rule and not arm.match]
        plan = estimate(replace(study, source=replace(study.source, planted=None)))  # nothing is planted yet
        result: CanaryResult = {
            "output": str(study.folder / "canary.json"),
            "fractions": fractions,
            "seeds": list(study.seeds),
            "num_commands": len(plan.study.steps),
            "estimated_seconds": plan.seconds(),
            "forecast": None,
        }
        show(plan)
        if asked.dry_run:
            return result
        with alone(study.folder):
            planted = _plant(study, planting, caller)
            study.run(caller.progress, cost=plan.cost)
            content = _content(study, planted, fractions, max_cost, planting, caller.command)
            write_canary(study.folder / "canary.json", content)
            write_text(study.folder / "canary.html", canary_page(content))
            result["forecast"] = content
    return result


def _planned(asked: CanaryRequest) -> tuple[Study, Asked, float]:
    """The study on planted data, what is planted, the greatest cost. Raises UsageError for what cannot be."""
    folder = Path(asked.output or STANDARD_FOLDER)
    if asked.output == "-" or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{asked.output} is not a folder", "Name a folder with -o.")
    words = asked.fractions.split(",") if isinstance(asked.fractions, str) else list(map(str, asked.fractions))
    arms = read_arms(["erm", *(f"prune:{word.strip()}" for word in words if word.strip())])
    if len(arms) == 1:
        raise UsageError("No fraction is named", "For instance: --fractions 0.1,0.2,0.3")
    share, max_cost = _number(asked.share, "--share", 1), _number(asked.max_cost, "--max-cost", 100)
    if not share:
        raise UsageError("--share 0 plants nothing", "Use a share such as 0.3.")
    strength = _number(asked.strength, "--strength", 255)
    if not strength:
        raise UsageError("--strength 0 plants nothing", "Use a factor such as 2.")
    settings = overrides_of(asked)
    if wrong := next((key for key in settings if key.startswith(("method.", "feature."))), None):
        raise UsageError(f"--set {wrong} has no effect here", "Remove it. Canaries are trained by ERM.")
    source = Source(
        reachable(asked.dataset, asked.data_root),
        asked.recipe,
        asked.model,
        settings,
        data_root=asked.data_root,
        device=asked.device,
        workers=asked.workers,
    )
    seeds = read_seeds(asked.seeds)
    base = _base(source, seeds[0])
    # test samples are for the final evaluation: canaries are measured on val if it exists
    splits = [asked.split or ("val" if "val" in base.dataset.splits else "test")]
    ending = "h5" if base.embeddings else "json"
    places = [str(folder / "seed{seed}" / f"canary{number}.{ending}") for number in range(1, asked.canaries + 1)]
    study = Study(folder, replace(source, planted=places[0]), arms, seeds, Looks(splits, planted=places[1:]))
    return study, Asked(asked.canaries, share, strength), max_cost


def _number(word: str | float, flag: str, most: float) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        raise UsageError(f"{flag} {word} is not a number from 0 to {most:g}", f"For instance: {flag} 0.3")
    return value


@dataclass(frozen=True)
class _Base:
    """The data set that canaries are planted in, without a feature that is injected already; `embeddings` of it that are trained on."""

    settings: Settings
    dataset: Dataset
    embeddings: Path | None


def _base(source: Source, seed: int) -> _Base:
    at, embeddings = source.at(seed), None
    named = {key: value for key, value in at.settings.items() if key.startswith(("dataset.", "preprocessing."))}
    about: dict[str, Any] = {"seed": seed, "data_root": path(at.data_root)}
    settings = configure(text(at.dataset), recipe=text(at.recipe), overrides=named, uses=("dataset",), **about)
    if settings.dataset.name == EMBEDDINGS:
        embeddings = locate(str(settings.dataset.options["path"]), settings.data_root)
        settings = settings_behind(
            embeddings, data_root=path(at.data_root), device=source.device, workers=source.workers
        )
    dataset = load_dataset(
        settings.dataset.name,
        settings.dataset.options,
        data_root=settings.data_root,
        cache_root=settings.cache_root,
        image_size=settings.preprocessing.decode_size,
    )
    return _Base(settings, dataset, embeddings)


def _plant(study: Study, asked: Asked, caller: Caller) -> dict[int, list[Path]]:
    planted, frozen, split = {}, None, study.looks.splits[0]
    for seed in study.seeds:
        base = _base(study.source, seed)
        folder, said = study.folder / f"seed{seed}", caller.command
        planted[seed] = plant(base.settings, base.dataset, asked, seed=seed, folder=folder, command=said)
        if base.embeddings:
            from spurcli.comparing.canary.frozen import Frozen

            frozen = frozen or Frozen.open(base.embeddings, base.settings, base.dataset, caller.progress)
            frozen.embed(planted[seed], split, said)
    return planted


def _content(
    study: Study,
    planted: Mapping[int, list[Path]],
    fractions: Sequence[str],
    max_cost: float,
    planting: Asked,
    command: str,
) -> JsonObject:
    """The content of canary.json: the forecast, and what it comes from, run by run."""
    arms = ["all", *(arm for fraction in fractions for arm in (fraction, f"{fraction}-random"))]
    split = study.looks.splits[0]
    effect = {arm: np.full((len(planted), len(study.looks.planted) + 1), np.nan) for arm in arms}
    accuracy = {arm: np.full(len(planted), np.nan) for arm in arms}
    runs: list[JsonObject] = []
    names: list[str] = []
    parents: list[Parent] = []
    for row, (seed, paths) in enumerate(planted.items()):
        found = [read_injection(each) for each in paths]
        canaries: list[JsonObject] = [_described(each) for each in found]
        for arm in arms:
            folder = study.folder / f"seed{seed}" / ("erm" if arm == "all" else f"prune-{arm}")
            for column in range(len(paths)):
                parts = [f"canary{column + 1}" if column else "", split if split != "test" else "", "evaluation.json"]
                where = folder / ".".join(filter(None, parts))
                evaluation = read_evaluation(where)
                parents.append(Parent.of(where, evaluation.get("provenance") or {}))
                value = _value(evaluation, "feature_effect", str(where))
                canaries[column].setdefault("effect", {})[arm] = value
                effect[arm][row, column] = np.nan if value is None else value
                if not column:
                    accuracy[arm][row] = 100 * (_value(evaluation, "accuracy", str(where)) or np.nan)
                canaries[column]["class"] = evaluation["class_names"][found[column].feature_of]
        runs.append({"seed": seed, "canaries": canaries, "accuracy": {arm: float(accuracy[arm][row]) for arm in arms}})
        names = [each["name"] for each in canaries]
    said = forecast(Measured(effect, accuracy), fractions, max_cost=max_cost)
    for canary, name in zip(said["canaries"], names, strict=True):
        canary["name"] = name
    arguments = {"fractions": list(fractions), "seeds": list(planted), "share": planting.share, "max_cost": max_cost}
    arguments["strength"] = planting.strength
    return {
        "dataset": found[0].dataset,
        "split": split,
        "share": planting.share,
        "max_cost": max_cost,
        **said,
        "runs": runs,
        "provenance": provenance(
            "canary", command=command, settings=study.settings.to_json(), arguments=arguments, parents=parents
        ),
    }


def _described(injection: Injection) -> JsonObject:
    parameters = injection.parameters
    # each seed draws another corner or word: a canary is known by its strength
    strength = parameters.get("value", parameters.get("amount"))
    name = injection.feature if strength is None else f"{injection.feature} +{strength}"
    return {
        "name": name,
        "feature": injection.feature,
        "parameters": dict(parameters),
        "num_carriers": len(injection.carriers),
    }


def _value(evaluation: JsonObject, metric: str, where: str) -> float | None:
    found = optional_field(evaluation["metrics"], metric, dict, where) or {}
    value = optional_field(found, "value", (int, float), where)
    return None if value is None else float(value)
