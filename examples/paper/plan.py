"""The parts of the figures and tables: worlds, their training runs, and the source of each point of a figure.

A *world* is training data and settings (a folder OUT/WORLD/seedN); an *arm* is one training in a world. Figures that need the same
arm name the same one, so it is trained once. jobs.py makes the commands of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from spurcli.errors import InputError

ERM, CLEAN, STAGE1, RANDOM, LAST = "erm", "clean", "stage1", "-random", "last"


@dataclass
class World:
    """`data` and `train` are words of spurcli commands, `confirm` those that name user code again to every stage.

    With `inject` the data are those of `base` with a feature put in; `placed` says that base's scores choose where.
    `early` is the epoch after which ERM is scored; `keep_epochs` are further ones that a figure looks at. `select` is a rule of
    `train --save-epochs`, whose models Fig. 8 and Table 1 show beside those of the last epoch.
    """

    name: str
    data: str
    train: str
    early: int
    confirm: str = ""
    inject: str = ""
    base: str = ""
    placed: bool = False
    keep_epochs: set[int] = field(default_factory=set)
    select: str = ""
    lists: dict[str, str] = field(default_factory=dict)  # arm → words of prune; its control: arm + "-random"
    control: str = ""  # words of prune for the random control
    stage1: str = ""  # words of infer, where JTT's mistakes are those of a model of its own and not of ERM's early one
    methods: dict[str, str] = field(default_factory=dict)  # arm → words of train
    relative_cost: Mapping[str, float] = field(default_factory=dict)  # arm → its CPU time by that of ERM, for cost.py

    def is_listed(self, arm: str) -> bool:
        return arm.removesuffix(RANDOM) in self.lists

    def saved_epochs(self, arm: str) -> list[str]:
        """What `train --save-epochs` is told."""
        epochs = sorted({*self.keep_epochs, self.early}) if arm == ERM else []
        has_epochs = "{erm}" not in self.methods.get(arm, "")  # DFR fits the last layer at once
        return [*map(str, epochs), *([self.select] if self.select and has_epochs else [])]

    def want(self, kind: Literal["lists", "methods"], arm: str, words: str) -> str:
        """Enter an arm; one file cannot be made in two ways."""
        known = getattr(self, kind).setdefault(arm, words)
        if known != words:
            raise InputError(
                f"Two figures want {arm!r} of {self.name}, one by {known!r}, one by {words!r}",
                "Give one of them a world of its own in the configuration.",
            )
        return arm


@dataclass(frozen=True)
class Point:
    """One value a seed and metric: `arm` of `world`, evaluated on `split` after the epoch that `model` names.

    All metrics of the evaluation are taken. `lowest` replaces one by the lowest accuracy of these groups; `per_group` takes
    instead the share that is wrong in each of them, the group's own name being x. The arm `clean` is ERM on the data without
    the feature, shown the test samples with it. With `quartiles_of` (a group) or `strip_of` (a class) it is the scores of
    the world that are shown: the carriers in each quartile, or the score along the class.
    """

    figure: str
    panel: str
    setting: str
    series: str = ""
    x: str = ""
    world: str = ""
    arm: str = ERM
    model: str = LAST
    split: str = "test"
    lowest: Mapping[str, Sequence[str]] = field(default_factory=dict)
    per_group: Mapping[str, str] = field(default_factory=dict)
    quartiles_of: str = ""
    strip_of: str = ""


class Plan:
    """Everything that a configuration (config/*.yaml) consists of. A figure whose entry is absent is left out."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.worlds: dict[str, World] = {}
        self.points: list[Point] = []
        for figure, kind in FIGURES.items():
            entries = config["figures"].get(figure) or {}
            for panel, settings in entries.items() if isinstance(kind, dict) else [("", entries)]:
                draw = kind.get(panel) or kind[""] if isinstance(kind, dict) else kind
                for setting, entry in settings.items():
                    draw(_Setting(self, figure, panel, setting), entry)

    def of(self, figure: str) -> list[Point]:
        return [point for point in self.points if point.figure == figure]

    def training_behind(self, world: str, arm: str) -> tuple[str, str]:
        """(world, arm) of the training that is evaluated: of `clean` it is ERM on the data without the feature."""
        return (self.worlds[world].base, ERM) if arm == CLEAN else (world, arm)

    def world(self, name: str, **more: Any) -> World:
        """The world of that name in the configuration, or one made of `more`; what neither says is its base's."""
        if name not in self.worlds:
            given = {**self.config["worlds"].get(name, {}), **more}
            if "base" in given:
                base = self.world(given["base"])
                given = {**{key: getattr(base, key) for key in ("data", "train", "early", "confirm")}, **given}
            self.worlds[name] = World(name=name, **given)
        return self.worlds[name]


def percent(share: Any) -> str:
    """0.25 as 25."""
    return f"{100 * float(share):.6g}"


@dataclass(frozen=True)
class _Setting:
    """One setting of a figure: each method draws one kind of entry of the configuration, asking worlds for what it needs."""

    plan: Plan
    figure: str
    panel: str
    setting: str

    def add(self, world: World, arm: str = ERM, *, beside: str = "", **point: Any) -> None:
        """A point in the panel, or in the one `beside` it."""
        point = {"panel": self.panel, "setting": self.setting, **point}
        point["panel"] = ", ".join(filter(None, [point["panel"], beside]))
        self.plan.points.append(Point(figure=self.figure, world=world.name, arm=arm, **point))

    def add_selected(self, world: World, arm: str, **point: Any) -> None:
        """The last epoch and, in a panel of its own, the one that the world's rule selects."""
        self.add(world, arm, **point)
        if world.select in world.saved_epochs(arm):
            self.add(world, arm, beside=world.select.replace("-", " "), model=world.select, **point)

    def line(self, width: Any, words: str, name: str, *, placed: bool = True) -> World:
        """The line of `slices`, `width` wide, in the samples of the class that `words` choose."""
        entry = self.plan.config["slices"][self.setting]
        inject = f"{entry['inject']} {entry['size'].format(width)} {words}"
        name = f"{self.setting}-{str(width).replace(':', '-')}-{name}"
        return self.plan.world(name, base=entry["base"], inject=inject, placed=placed)

    def slice(self, width: Any, start: int) -> World:
        count = self.plan.config["slices"][self.setting]["count"]
        return self.line(width, f"--select {start}:{start + count}", f"at{start}")

    def lines(self, width: Any) -> dict[str, tuple[World, str]]:
        """The worlds of Fig. 2 at one size, series → (world, arm)."""
        entry = self.plan.config["slices"][self.setting]
        arms = {
            "in_easiest": (self.slice(width, 0), ERM),
            "in_hardest": (self.slice(width, entry["class_size"] - entry["count"]), ERM),
            "none": (self.line(width, "--count 0", "none", placed=False), CLEAN),
        }
        if entry.get("random", False):
            arms["in_random"] = (self.line(width, f"--count {entry['count']}", "random", placed=False), ERM)
        return arms

    def shares(self, entry: Any) -> None:
        """Share of men with glasses → world."""
        for share, world in entry.items():
            lowest = {"conflict_accuracy": ["female/glasses"]}
            self.add(self.plan.world(world), series=ERM, x=percent(share), lowest=lowest)

    def groups(self, entry: Any) -> None:
        """What an early, strongly regularised model gets wrong, on the samples of training and of test."""
        world, groups = self.plan.world(entry["world"]), entry["groups"]
        arm = world.want("methods", STAGE1, entry["stage1"])
        for split, beside in (("train", "training samples"), ("test", "test samples")):
            self.add(world, arm, beside=beside, series=STAGE1, split=split, per_group=groups)

    def sizes(self, entry: Any) -> None:
        """Name of a size → width of the line."""
        for name, width in entry.items():
            for series, (world, arm) in self.lines(width).items():
                self.add(world, arm, series=series, x=name)

    def epochs(self, entry: Any) -> None:
        for series, (world, arm) in self.lines(entry["size"]).items():
            if series != "in_random":
                self.plan.worlds[self.plan.training_behind(world.name, arm)[0]].keep_epochs |= set(entry["epochs"])
                for epoch in entry["epochs"]:
                    self.add(world, arm, series=series, x=str(epoch), model=f"epoch{epoch}")

    def slices(self, entry: Any) -> None:
        for start in entry["starts"]:
            self.add(self.slice(entry["size"], start), series="slice", x=str(start))

    def carriers(self, entry: Any) -> None:
        """Only among the carriers: the hardest, the easiest, and as many at random."""
        world = self.plan.world(entry["world"])
        self.add(world, series=ERM)
        for fraction in entry["fractions"]:
            for how in ("hardest", "easiest", "random"):
                words = f"--fraction {fraction} --group '{entry['group']}' --select {how}"
                arm = world.want("lists", f"carriers_{how}-{fraction}", words)
                self.add(world, arm, series=f"carriers_{how}", x=percent(fraction))

    def quartiles(self, entry: Any) -> None:
        self.add(self.plan.world(entry["world"]), quartiles_of=entry["group"])

    def sweep(self, entry: Any) -> None:
        """ERM, then at every fraction the hardest removed and its matched random control."""
        world = self.plan.world(entry["world"])
        self.add_selected(world, ERM, series=ERM, x="0")
        for fraction in entry["fractions"]:
            arm = world.want("lists", f"hardest-{fraction}", f"--fraction {fraction} {entry['rule']}")
            for series, name in (("hardest", arm), ("random", arm + RANDOM)):
                self.add_selected(world, name, series=series, x=percent(fraction))

    def strips(self, entry: Any) -> None:
        for class_name in entry["classes"]:
            self.add(self.plan.world(entry["world"]), strip_of=class_name)

    def methods(self, entry: Any) -> None:
        """Pruning, its control and other methods, in a panel for each data set."""
        world, fraction = self.plan.world(entry["world"]), entry["fraction"]
        arm = world.want("lists", f"hardest-{fraction}", f"--fraction {fraction} {entry['rule']}")
        methods = {name: world.want("methods", name, words) for name, words in entry["methods"].items()}
        rows = {ERM: ERM, "pruning": arm, "random": arm + RANDOM, **methods}
        if "erm_tuned" in rows:  # ERM whose rate was chosen as the methods' values were
            rows[ERM] = rows.pop("erm_tuned")
        for series, name in rows.items():
            self.add_selected(world, name, series=series, panel=self.setting, setting=entry["setting"])

    def words(self, entry: Any) -> None:
        """A word in the easiest or hardest texts, or in none."""
        base, lowest = entry["base"], {"worst_group_accuracy": entry["worst_of"]}
        for series, arm in (("in_easiest", ERM), ("in_hardest", ERM), ("none", CLEAN)):
            chosen = f"{entry['count']} --select {series[3:]}" if arm == ERM else "0"
            inject = f"{entry['inject']} --count {chosen}"
            world = self.plan.world(f"{base}-{series}", base=base, inject=inject, placed=arm == ERM)
            self.add(world, arm, series=series, lowest=lowest)


# What draws each figure; where its entries stand in panels, of each panel ("": of any).
FIGURES: dict[str, Any] = {
    "fig1a": _Setting.shares,
    "fig1b": _Setting.groups,
    "fig2ab": _Setting.sizes,
    "fig2cd": _Setting.epochs,
    "fig3": _Setting.slices,
    "fig4": _Setting.carriers,
    "fig5": {"": _Setting.quartiles},
    "fig6": _Setting.sweep,
    "fig7": _Setting.sweep,
    "fig8": _Setting.sweep,
    "fig9": _Setting.strips,
    "table1": _Setting.methods,
    "a4": {"i": _Setting.words, "ii": _Setting.carriers, "iii": _Setting.quartiles},
}


def read_config(path: Path) -> dict[str, Any]:
    import yaml

    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Name a configuration: config/cpu.yaml") from None


def settings_of(words: str) -> Any:
    """The settings behind `--dataset … --recipe … --set …`; other options are passed over."""
    import argparse
    import shlex

    from spurcli.requests.options import parse_sets
    from spurcli.session import configure

    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--dataset")
    parser.add_argument("--recipe")
    parser.add_argument("--method")
    parser.add_argument("--set", action="append", dest="sets")
    known, _ = parser.parse_known_args(shlex.split(words))
    return configure(known.dataset, recipe=known.recipe, method=known.method, overrides=parse_sets(known.sets))
