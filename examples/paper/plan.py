"""What the figures and tables are made of: worlds, trainings in them, and where each point of a figure comes from.

Three programs read this plan: the Snakefile runs it, collect.py turns what it left into CSV files, cost.py says beforehand what it
will take. A *world* is training data and settings (a folder OUT/WORLD/seedN); an *arm* is one training in a world. Figures that
need the same arm name the same one, so it is trained once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spurcli.errors import InputError

FIGURES = (
    *("fig1a", "fig1b", "fig2ab", "fig2cd", "fig3", "fig4", "fig5"),
    *("fig6", "fig7", "fig8", "fig9", "table1", "a4"),
)
ERM, CLEAN, STAGE1, RANDOM = "erm", "clean", "stage1", "-random"
LAST = "last"


@dataclass(frozen=True)
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
    keep_epochs: tuple[int, ...] = ()
    select: str = ""
    lists: Mapping[str, str] = field(default_factory=dict)  # arm → words of prune; its control: arm + "-random"
    control: str = ""  # words of prune for the random control
    stage1: str = ""  # words of infer, where JTT's mistakes are those of a model of its own and not of ERM's early one
    methods: Mapping[str, str] = field(default_factory=dict)  # arm → words of train
    relative_cost: Mapping[str, float] = field(default_factory=dict)  # arm → its CPU time by that of ERM, for cost.py

    def is_listed(self, arm: str) -> bool:
        return arm.removesuffix(RANDOM) in self.lists

    def checkpoints(self, arm: str) -> list[str]:
        """What `train --save-epochs` is told."""
        epochs = sorted({*self.keep_epochs, self.early}) if arm == ERM else []
        has_epochs = "{erm}" not in self.methods.get(arm, "")  # DFR fits the last layer at once
        return [*map(str, epochs), *([self.select] if self.select and has_epochs else [])]


@dataclass(frozen=True)
class Point:
    """One value a seed and metric: `arm` of `world`, evaluated on `split` after the epoch that `model` names.

    All metrics of the evaluation are taken. `lowest` replaces one by the lowest accuracy of these groups; `per_group`
    takes instead the share that is wrong in each of them, the group's own name being x. The arm `clean` is ERM on the data
    without the feature, shown the test samples with it.
    """

    figure: str
    panel: str
    setting: str
    series: str
    x: str
    world: str
    arm: str = ERM
    model: str = LAST
    split: str = "test"
    lowest: Mapping[str, Sequence[str]] = field(default_factory=dict)
    per_group: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spectrum:
    """Something about the scores of a world: the quartiles of `group`, or (group empty) the strip of `class_name`."""

    figure: str
    panel: str
    setting: str
    world: str
    group: str = ""
    class_name: str = ""


@dataclass
class Plan:
    """Everything that a size of the grid consists of."""

    worlds: dict[str, World] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    spectra: list[Spectrum] = field(default_factory=list)

    def training_behind(self, world: str, arm: str) -> tuple[str, str]:
        """(world, arm) of the training that is evaluated: of `clean` it is ERM on the data without the feature."""
        return (self.worlds[world].base, ERM) if arm == CLEAN else (world, arm)

    def of(self, figure: str) -> tuple[list[Point], list[Spectrum]]:
        return (
            [point for point in self.points if point.figure == figure],
            [spectrum for spectrum in self.spectra if spectrum.figure == figure],
        )


def percent(share: Any) -> str:
    """0.25 as 25."""
    return f"{100 * float(share):.6g}"


def slug(word: Any) -> str:
    return str(word).replace(":", "-")


def make_plan(config: Mapping[str, Any]) -> Plan:
    """The plan of a configuration (config/*.yaml). A figure whose entry is absent is left out."""
    builder = _Builder(config)
    for name in FIGURES:
        parameters = config["figures"].get(name)
        if parameters is not None:
            getattr(builder, name)(parameters)
    return builder.plan


class _Builder:
    """One function a figure; worlds are made on first use and grow with what figures ask of them."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.plan = Plan()

    def world(self, name: str, **more: Any) -> str:
        """The world of that name in the configuration, or one made of `more`; what neither says is its base's."""
        if name not in self.plan.worlds:
            given = {**self.config["worlds"].get(name, {}), **more}
            if "base" in given:
                base = self.plan.worlds[self.world(given["base"])]
                given = {**{key: getattr(base, key) for key in ("data", "train", "early", "confirm")}, **given}
            self.plan.worlds[name] = World(name=name, **given)
        return name

    def grow(self, world: str, key: str, more: Mapping[str, str]) -> None:
        known = self.plan.worlds[world]
        for arm, words in getattr(known, key).items():
            if more.get(arm, words) != words:  # one file cannot be both
                raise InputError(
                    f"Two figures want {arm!r} of {world}, one by {words!r}, one by {more[arm]!r}",
                    "Give one of them a world of its own in the configuration.",
                )
        self.plan.worlds[world] = World(**{**known.__dict__, key: {**getattr(known, key), **more}})

    def prune(self, world: str, arm: str, words: str) -> str:
        self.grow(world, "lists", {arm: words})
        return arm

    def add(self, figure: str, **point: Any) -> None:
        self.plan.points.append(Point(figure=figure, **{"panel": "", "x": "", **point}))

    def in_slice(self, setting: str, width: Any, start: int, stop: int) -> str:
        """The line `width` columns wide in one slice of the class, from easiest to hardest on clean data."""
        entry = self.config["slices"][setting]
        inject = f"{entry['inject']} {entry['size'].format(width)} --select {start}:{stop}"
        return self.injected(f"{setting}-{slug(width)}-at{start}", entry["base"], inject, placed=True)

    def injected(self, name: str, base: str, inject: str, placed: bool = False) -> str:
        return self.world(name, base=base, inject=inject, placed=placed)

    def line_arms(self, setting: str, width: Any) -> dict[str, tuple[str, str]]:
        """The worlds of Fig. 2 at one size, series → (world, arm)."""
        entry = self.config["slices"][setting]
        count, total = entry["count"], entry["class_size"]
        size = entry["size"].format(width)
        none = self.injected(f"{setting}-{slug(width)}-none", entry["base"], f"{entry['inject']} {size} --count 0")
        arms = {
            "in_easiest": (self.in_slice(setting, width, 0, count), ERM),
            "in_hardest": (self.in_slice(setting, width, total - count, total), ERM),
            "none": (none, CLEAN),
        }
        if entry.get("random", False):
            words = f"{entry['inject']} {size} --count {count}"
            arms["in_random"] = (self.injected(f"{setting}-{slug(width)}-random", entry["base"], words), ERM)
        return arms

    def fig1a(self, parameters: Mapping[str, Any]) -> None:
        for setting, shares in parameters.items():
            for share, world in shares.items():
                self.add(
                    "fig1a",
                    setting=setting,
                    series=ERM,
                    x=percent(share),
                    world=self.world(world),
                    lowest={"conflict_accuracy": ["female/glasses"]},
                )

    def fig1b(self, parameters: Mapping[str, Any]) -> None:
        for setting, entry in parameters.items():
            world = self.world(entry["world"])
            self.grow(world, "methods", {STAGE1: entry["stage1"]})
            for split in ("train", "test"):
                self.add(
                    "fig1b",
                    panel="training samples" if split == "train" else "test samples",
                    setting=setting,
                    series=STAGE1,
                    world=world,
                    arm=STAGE1,
                    split=split,
                    per_group=entry["groups"],
                )

    def fig2ab(self, parameters: Mapping[str, Any]) -> None:
        for setting, sizes in parameters.items():
            for name, width in sizes.items():
                for series, (world, arm) in self.line_arms(setting, width).items():
                    self.add("fig2ab", setting=setting, series=series, x=name, world=world, arm=arm)

    def fig2cd(self, parameters: Mapping[str, Any]) -> None:
        for setting, entry in parameters.items():
            arms = self.line_arms(setting, entry["size"])
            arms.pop("in_random", None)
            for series, (world, arm) in arms.items():
                source, _ = self.plan.training_behind(world, arm)
                known = self.plan.worlds[source]
                epochs = tuple(sorted({*known.keep_epochs, *entry["epochs"]}))
                self.plan.worlds[source] = World(**{**known.__dict__, "keep_epochs": epochs})
                for epoch in entry["epochs"]:
                    self.add(
                        "fig2cd",
                        setting=setting,
                        series=series,
                        x=str(epoch),
                        world=world,
                        arm=arm,
                        model=f"epoch{epoch}",
                    )

    def fig3(self, parameters: Mapping[str, Any]) -> None:
        for setting, entry in parameters.items():
            count = self.config["slices"][setting]["count"]
            for start in entry["starts"]:
                world = self.in_slice(setting, entry["size"], start, start + count)
                self.add("fig3", setting=setting, series="slice", x=str(start), world=world)

    def fig4(self, parameters: Mapping[str, Any]) -> None:
        for setting, entry in parameters.items():
            world = self.world(entry["world"])
            self.add("fig4", setting=setting, series=ERM, world=world)
            self.carriers("fig4", "", setting, world, entry)

    def carriers(self, figure: str, panel: str, setting: str, world: str, entry: Mapping[str, Any]) -> None:
        """Only among the carriers: the hardest, the easiest, and as many at random."""
        for fraction in entry["fractions"]:
            for how in ("hardest", "easiest", "random"):
                words = f"--fraction {fraction} --group '{entry['group']}' --select {how}"
                arm = self.prune(world, f"carriers_{how}-{fraction}", words)
                self.add(
                    figure,
                    panel=panel,
                    setting=setting,
                    series=f"carriers_{how}",
                    x=percent(fraction),
                    world=world,
                    arm=arm,
                )

    def fig5(self, parameters: Mapping[str, Any]) -> None:
        for panel, settings in parameters.items():
            for setting, entry in settings.items():
                self.quartiles("fig5", panel, setting, entry)

    def quartiles(self, figure: str, panel: str, setting: str, entry: Mapping[str, Any]) -> None:
        self.plan.spectra.append(Spectrum(figure, panel, setting, self.world(entry["world"]), group=entry["group"]))

    def fig6(self, parameters: Mapping[str, Any]) -> None:
        self.sweep("fig6", parameters)

    def fig7(self, parameters: Mapping[str, Any]) -> None:
        self.sweep("fig7", parameters)

    def fig8(self, parameters: Mapping[str, Any]) -> None:
        self.sweep("fig8", parameters)

    def sweep(self, figure: str, parameters: Mapping[str, Any]) -> None:
        """ERM, then at every fraction the hardest removed and its matched random control."""
        for setting, entry in parameters.items():
            world = self.world(entry["world"])
            self.add_selected(figure, setting=setting, series=ERM, x="0", world=world, arm=ERM)
            for fraction in entry["fractions"]:
                arm = self.prune(world, f"hardest-{fraction}", f"--fraction {fraction} {entry['rule']}")
                for series, name in (("hardest", arm), ("random", arm + RANDOM)):
                    x = percent(fraction)
                    self.add_selected(figure, setting=setting, series=series, x=x, world=world, arm=name)

    def add_selected(self, figure: str, *, world: str, arm: str, panel: str = "", **point: Any) -> None:
        """The last epoch and, in a panel of its own, the one that the world's rule selects."""
        here = self.plan.worlds[world]
        self.add(figure, panel=panel, world=world, arm=arm, **point)
        if here.select in here.checkpoints(arm):
            panel = ", ".join(filter(None, [panel, here.select.replace("-", " ")]))
            self.add(figure, panel=panel, world=world, arm=arm, model=here.select, **point)

    def fig9(self, parameters: Mapping[str, Any]) -> None:
        for setting, entry in parameters.items():
            for class_name in entry["classes"]:
                world = self.world(entry["world"])
                self.plan.spectra.append(Spectrum("fig9", "", setting, world, class_name=class_name))

    def table1(self, parameters: Mapping[str, Any]) -> None:
        for panel, entry in parameters.items():
            world = self.world(entry["world"])
            fraction = entry["fraction"]
            arm = self.prune(world, f"hardest-{fraction}", f"--fraction {fraction} {entry['rule']}")
            self.grow(world, "methods", entry["methods"])
            rows = {ERM: ERM, "pruning": arm, "random": arm + RANDOM, **{name: name for name in entry["methods"]}}
            if "erm_tuned" in entry["methods"]:  # ERM whose rate was chosen as the methods' values were
                rows[ERM] = rows.pop("erm_tuned")
            for series, name in rows.items():
                self.add_selected("table1", panel=panel, setting=entry["setting"], series=series, world=world, arm=name)

    def a4(self, parameters: Mapping[str, Any]) -> None:
        for setting, entry in parameters.get("i", {}).items():
            groups = {"worst_group_accuracy": entry["worst_of"]}
            base = entry["base"]
            count = entry["count"]
            arms = {
                "in_easiest": (f"--count {count} --select easiest", True),
                "in_hardest": (f"--count {count} --select hardest", True),
                "none": ("--count 0", False),
            }
            for series, (words, placed) in arms.items():
                world = self.injected(f"{base}-{series}", base, f"{entry['inject']} {words}", placed=placed)
                arm = CLEAN if series == "none" else ERM
                self.add("a4", panel="i", setting=setting, series=series, world=world, arm=arm, lowest=groups)
        for setting, entry in parameters.get("ii", {}).items():
            world = self.world(entry["world"])
            self.add("a4", panel="ii", setting=setting, series=ERM, world=world)
            self.carriers("a4", "ii", setting, world, entry)
        for setting, entry in parameters.get("iii", {}).items():
            self.quartiles("a4", "iii", setting, entry)


def needed_arms(plan: Plan, figures: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(world, arm) of every training behind `figures`, each once: those they show, and ERM where it is scored first."""
    seen: dict[tuple[str, str], None] = {}

    def need(world: str, arm: str) -> None:
        here = plan.worlds[world]
        if here.placed:
            need(here.base, ERM)
        words = here.methods.get(arm, "")
        if (
            here.is_listed(arm)
            or "{erm}" in words
            or "{predictions}" in words
            or ("{errors}" in words and not here.stage1)
        ):
            need(world, ERM)
        seen.setdefault((world, arm))

    for figure in figures:
        points, spectra = plan.of(figure)
        for point in points:
            need(*plan.training_behind(point.world, point.arm))
        for spectrum in spectra:
            need(spectrum.world, ERM)
    yield from seen
