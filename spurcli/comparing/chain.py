"""The commands of one seed: what is shared once, then each arm's list, training and evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from spurcli.comparing.arms import Arm, slug
from spurcli.comparing.step import Step
from spurcli.epoch_rules import RULES
from spurcli.recipes import own_code_of
from spurcli.registries import METHODS, SCORES
from spurcli.registry import is_user_code
from spurcli.requests.evaluate import EvaluateRequest
from spurcli.requests.infer import InferRequest
from spurcli.requests.inject import InjectRequest
from spurcli.requests.options import File, several, text
from spurcli.requests.prune import PruneRequest
from spurcli.requests.score import ScoreRequest
from spurcli.requests.train import TrainRequest
from spurcli.settings import Table

_BY_EARLY = ("mistakes", "predictions", "clusters")  # ways that look at one early model; others train their own
_AGAIN = (
    "training.precision",
    "training.compile",
    "training.save_seconds",
)  # later stages do not inherit these from lists and models
_INFERS = {"jtt": "mistakes", "cnc": "predictions"}  # how methods get groups or errors in their papers
_ERRORS = "mistakes"  # the way that gives the errors which methods like JTT need
_EPOCHLESS = "checkpoint"  # in a method's needs: the last layer of a trained model is retrained


Keywords = dict[str, Any]  # of a request or its `set`


@dataclass(frozen=True)
class Source:
    """The data, the model and the compute settings, the same for all arms. A `{seed}` in a setting is the run's seed."""

    dataset: File | None = None
    recipe: File | None = None
    model: str | None = None
    settings: Table = field(default_factory=dict)
    group_labels: File | None = None
    feature: str | None = None
    data_root: File | None = None
    device: str = "auto"
    workers: int = 2
    planted: File | None = None  # an inject.json that is there already, of `dataset`

    def at(self, seed: int) -> Source:
        """The same with the seed in its settings and paths."""
        settings = {key: seeded(value, seed) for key, value in self.settings.items()}
        places = {"dataset": seeded(self.dataset, seed), "planted": seeded(self.planted, seed)}
        return replace(self, settings=settings, **places)


def seeded(value: Any, seed: int) -> Any:
    """A setting's value or a path with the seed in place of {seed}."""
    from spurcli.recipes import parse_value

    return parse_value(value.replace("{seed}", str(seed))) if isinstance(value, str) and "{seed}" in value else value


@dataclass(frozen=True)
class Looks:
    """How models are evaluated: on which splits, at the epochs of which rules (none: the recipe's rule), by which groups.

    Each of `attributes` is evaluated by itself: columns of the data set's table, several of them make crossed groups.
    """

    splits: Sequence[str] = ("test",)
    rules: Sequence[str] = ()
    attributes: Sequence[tuple[str, ...]] = ()
    group_labels: File | None = None
    feature_of: Sequence[str] = ()
    suspects: Sequence[str] = ()  # AUDIT:N each, whose features are added to the samples one at a time
    planted: Sequence[File] = ()  # further inject.json of the same training split, whose twins are looked at too

    def by_suspect(self, suspect: str) -> str:
        """The part of a file's name that tells the evaluations by several suspects apart."""
        return f"by-suspect-{suspect.rpartition(':')[2]}" if suspect and len(self.suspects) > 1 else ""


@dataclass(frozen=True)
class Chain:
    """Builds the steps of a seed below `folder`.

    `early` is the epoch after which the model on all samples gives difficulty, errors and
    predictions; None if this needs another training. `scoring` are settings that reading a model does not inherit.
    """

    folder: Path
    seed: int
    source: Source
    arms: Sequence[Arm]
    looks: Looks
    inject: Table
    score: Table
    early: int | None
    scoring: Table

    def steps(self) -> Iterator[Step]:
        yield from self._inject()
        base = next((arm for arm in self.arms if arm.is_erm), None)
        if base:
            yield self._train(base)
        pruned = [arm for arm in self.arms if arm.rule]
        if any(arm.rule and arm.rule.quotas for arm in pruned):
            yield self._recall()
        if any(arm.rule and not arm.rule.takes_all for arm in pruned):
            yield self._score()
        yield from self._infer()
        lists: dict[Path, Step] = {}
        for arm in pruned:
            step = self._prune(arm)
            lists.setdefault(step.output, step)
        yield from lists.values()
        for arm in self.arms:
            if arm is not base:
                yield self._train(arm)
        for arm in self.arms:
            yield from self._evaluate(arm)

    @property
    def _here(self) -> Path:
        return self.folder / f"seed{self.seed}"

    def model(self, arm: str, which: str = "") -> Path:
        return self._here / arm / f"model{'.' + which if which else ''}.safetensors"

    @property
    def _base(self) -> str:
        return next(arm.name for arm in self.arms if arm.is_erm)

    @property
    def _data(self) -> File | None:
        return self._here / "inject.json" if self.inject else self.source.planted or self.source.dataset

    @property
    def _is_injected(self) -> bool:
        return bool(self.inject or self.source.planted)

    def _places(self) -> Keywords:
        source = self.source
        return {"data_root": source.data_root, "device": source.device, "workers": source.workers}

    def _own_code(self, arm: Arm | None = None) -> Keywords:
        """User code is named again to every stage that runs it, also that of a recipe: it never runs only because an output names it."""
        source, settings, found = self.source, {}, {}
        of_recipe = own_code_of(text((arm.recipe if arm else None) or source.recipe))
        name = str(source.dataset or of_recipe.get("dataset", ""))
        if is_user_code(name):
            if self._is_injected:
                settings = {"dataset.name": name}
            else:
                found["dataset"] = name
        model = source.model or of_recipe.get("model", "")
        if is_user_code(model):
            found["model"] = model
        if feature := source.feature or self._own_feature():
            found["feature"] = feature
        return {**found, **({"set": settings} if settings else {})}

    def _own_feature(self) -> str | None:
        feature = str(self.inject.get("feature", ""))
        return feature if is_user_code(feature) else None

    def _reader(self, arm: Arm | None = None, **also: Any) -> Keywords:
        """Keywords of a stage that reads a trained model (of `arm`, if it is not the base) and inherits what it says."""
        own = self._own_code(arm)
        settings = {**own.pop("set", {}), **self.scoring, **also}
        return {**own, **self._places(), "set": settings or None}

    def _whole(self, arm: Arm | None = None) -> Keywords:
        """Keywords of a stage that inherits nothing: data set, recipe, model and all settings."""
        own = self._own_code()
        settings = {
            **own.pop("set", {}),
            **self._settings(of_dataset=not self._is_injected),
            **(arm.settings if arm else {}),
        }
        recipe = (arm.recipe if arm else None) or self.source.recipe
        return {
            **own,
            **self._places(),
            "dataset": self._data,
            "recipe": recipe,
            "model": self.source.model,
            "set": settings or None,
            "seed": self.seed,
        }

    def _settings(self, *, of_dataset: bool) -> Keywords:
        return {k: v for k, v in self.source.settings.items() if of_dataset or not k.startswith("dataset.")}

    def _inject(self) -> Iterator[Step]:
        if not self.inject:
            return
        given = dict(self.inject)
        settings = {k: v for k, v in self.source.settings.items() if k.startswith("dataset.")}
        settings |= {f"feature.{key}": value for key, value in given.pop("parameters", {}).items()}
        output = self._here / "inject.json"
        request = InjectRequest(
            dataset=self.source.dataset,
            recipe=None if self.source.dataset else self.source.recipe,  # which then names the data
            set=settings or None,
            seed=self.seed,
            data_root=self.source.data_root,
            output=output,
            **given,
        )
        yield self._step("inject", request, "", output)

    def _early_or_whole(self) -> tuple[Path | None, Keywords]:
        """The early model and the keywords of who reads it; None with those of who trains one."""
        if self.early is None:
            return None, self._whole()
        return self.model(self._base, f"epoch{self.early}"), self._reader()

    def _score(self) -> Step:
        wanted = [arm.rule.score for arm in self.arms if arm.rule and arm.rule.score]
        on_demand = [name for name, entry in SCORES.entries.items() if "needs" in entry.facts]
        further = [name for name in wanted if name in on_demand or is_user_code(name)]
        early, given = self._early_or_whole()
        runs = self.score.get("runs", 1)
        if runs > 1 or not self.score.get("from_early", True):
            early, given = None, self._whole()
        request = ScoreRequest(
            checkpoint=early,
            add_score=list(dict.fromkeys([*further, *self.score.get("add", ())])) or None,
            runs=runs,
            output=self._here / "scores.h5",
            **given,
        )
        return self._step("score", request, "", self._here / "scores.h5")

    def _recall(self) -> Step:
        output = self._here / "early.val.evaluation.json"
        early, given = self._early_or_whole()
        request = EvaluateRequest(early, split="val", output=output, **{k: v for k, v in given.items() if k != "seed"})
        return self._step("evaluate", request, "", output)

    def _infer(self) -> Iterator[Step]:
        for_rules = (arm.rule.inferred for arm in self.arms if arm.rule)
        for_errors = [_ERRORS for arm in self.arms if _needs(arm, "errors")]
        ways = dict.fromkeys(filter(None, [*map(_way, self.arms), *for_rules, *for_errors]))
        for way in ways:
            output, errors = self._inferred(way), self._here / "errors.txt"
            early, given = self._early_or_whole() if way in _BY_EARLY else (None, self._whole())
            saves = way == _ERRORS and bool(for_errors)
            request = InferRequest(early, by=way, save_errors=errors if saves else None, output=output, **given)
            yield self._step("infer", request, "", output, *([errors] if saves else []))

    def _inferred(self, way: str) -> Path:
        return self._here / f"{way.rpartition(':')[2]}.txt"

    def _list(self, arm: Arm) -> Path:
        """The list of an arm; arms with the same rule share that of the first one."""
        twin = next(each for each in self.arms if each.rule == arm.rule and bool(each.match) == bool(arm.match))
        return self._here / f"keep-{twin.name}.txt"

    def _prune(self, arm: Arm) -> Step:
        assert arm.rule
        rule, output = arm.rule, self._list(arm)
        about: Keywords = {"scores": self._here / "scores.h5", "suspect": rule.suspects, "output": output}
        if rule.names_groups:  # the control is matched within the same groups
            about["group_labels"] = self._inferred(rule.inferred) if rule.inferred else self.source.group_labels
        if rule.takes_all:
            del about["scores"]  # nothing depends on difficulty
        if arm.match:
            matched = self._list(next(each for each in self.arms if each.name == arm.match))
            request = PruneRequest(match=matched, match_groups=arm.match_groups, seed=self.seed, **about)
        else:
            request = PruneRequest(
                fraction=rule.fraction,
                per_class=rule.per_class,
                group=list(rule.group) or None,
                balance_classes=rule.balance_classes,
                balance_groups=rule.balance_groups,
                quotas=self._here / "early.val.evaluation.json" if rule.quotas else None,
                select=rule.select,
                score=rule.score.rpartition(":")[2] if rule.score else None,
                save_groups=self._here / "carriers.groups.txt" if rule.suspects else None,
                seed=self.seed if rule.select == "random" else 0,
                **about,
            )
        return self._step("prune", request, "", output, *map(Path, several(request.save_groups)))

    def _train(self, arm: Arm) -> Step:
        keep: File = self._list(arm) if arm.rule else seeded(arm.keep, self.seed) if arm.keep else "all"
        is_refit = needs_checkpoint(arm)
        given = self._whole(arm)
        if (arm.rule and not self._must_repeat(arm)) or (is_refit and not (arm.recipe or self.source.recipe)):
            given |= {
                "dataset": self._own_code().get("dataset"),
                "recipe": None,
                "model": self._own_code().get("model"),
            }
            again = {k: v for k, v in self.source.settings.items() if k in _AGAIN}
            given["set"] = {**self._own_code().get("set", {}), **again, **arm.settings} or None
        epochs: list[str | int] = [] if is_refit else list(self.looks.rules)
        if arm.is_erm and self.early is not None:
            epochs.insert(0, self.early)
        output = self.model(arm.name)
        request = TrainRequest(
            keep=keep,
            method=None if arm.method == "erm" else arm.method,
            group_labels=self._groups(arm),
            errors=self._here / "errors.txt" if _needs(arm, "errors") else None,
            checkpoint=self.model(self._base, "last" if "last" in self.looks.rules else "") if is_refit else None,
            same_steps=arm.same_steps,
            save_epochs=epochs or "",
            output=output,
            **given,
        )
        models = [self.model(arm.name, f"epoch{each}" if isinstance(each, int) else each) for each in epochs]
        return self._step("train", request, arm.name, output, *map(Path, models))

    def _groups(self, arm: Arm) -> File | None:
        """The file of the groups that its method reads; None for those of the data set, or none."""
        way = _way(arm)
        if arm.group_labels:
            return seeded(arm.group_labels, self.seed)  # type: ignore[no-any-return]
        if way and (arm.inferred or _needs(arm, "groups")):
            return self._inferred(way)
        if arm.rule and arm.rule.inferred and self._chooses_by_inferred(arm):
            return self._inferred(arm.rule.inferred)
        return self.source.group_labels if _needs(arm, "groups") else None

    def _chooses_by_inferred(self, arm: Arm) -> bool:
        """Whether a rule that chooses its epoch reads inferred groups."""
        chosen = {**self.source.settings, **arm.settings}.get("training.selection")
        return any(RULES[rule].reads_inferred for rule in (*self.looks.rules, chosen) if rule in RULES)

    def _must_repeat(self, arm: Arm) -> bool:
        """Whether a list cannot pass on all requested settings."""
        recipe = str(arm.recipe or self.source.recipe or "")
        return bool(arm.recipe) or recipe.endswith(".toml") or bool(self.looks.suspects)

    def _evaluate(self, arm: Arm) -> Iterator[Step]:
        looks = self.looks
        rules = looks.rules if looks.rules and not needs_checkpoint(arm) else [""]
        choices = product(rules, looks.splits, looks.attributes or [()], looks.suspects or [""])
        for rule, split, columns, suspect in choices:
            by = f"by-{slug('-'.join(columns))}" if columns else looks.by_suspect(suspect)
            parts = [*filter(None, [rule, split if split != "test" else "", by]), "evaluation.json"]
            output = self._here / arm.name / ".".join(parts)
            request = EvaluateRequest(
                self.model(arm.name, rule),
                split=split,
                attribute=list(columns) or None,
                group_labels=looks.group_labels,
                feature_of=list(looks.feature_of) or None,
                suspect=suspect or None,
                output=output,
                **self._reader(arm),
            )
            yield self._step("evaluate", request, arm.name, output)
            for planted in looks.planted:
                path = Path(seeded(planted, self.seed))
                output = output.with_name(f"{path.stem}.{'.'.join(parts)}")
                asked = replace(request, dataset=path, allow_injection_mismatch=True, output=output)
                yield self._step("evaluate", asked, arm.name, output)

    def _step(self, stage: str, request: Any, arm: str, *makes: Path) -> Step:
        return Step(stage, request, self.seed, arm, makes)


def _needs(arm: Arm, what: str) -> bool:
    entry = METHODS.entries.get(arm.method)
    return entry is not None and what in str(entry.facts.get("needs", ""))


def needs_checkpoint(arm: Arm) -> bool:
    """Whether its method retrains the last layer of a trained model."""
    return _needs(arm, _EPOCHLESS)


def _way(arm: Arm) -> str | None:
    """How an arm's groups or errors are inferred: as it says, or as its method does it."""
    if arm.inferred or arm.group_labels:
        return arm.inferred
    return _INFERS.get(arm.method)


def needs_early(arm: Arm) -> bool:
    """Whether an arm needs another model first: for scores, errors, inferred groups or its features."""
    needs_scores = arm.rule is not None and not arm.rule.takes_all
    return bool(needs_scores or needs_checkpoint(arm) or _needs(arm, "errors") or _way(arm) in _BY_EARLY)


def needs_groups(arm: Arm) -> bool:
    """Whether an arm reads group labels that nothing infers for it."""
    named = bool(arm.rule and not arm.match and arm.rule.names_groups and not arm.rule.inferred)
    return named or (_needs(arm, "groups") and not _way(arm) and not arm.group_labels)
