"""The paper's Figs. 2c-d, 4, 6 and 8 with the current measures, from what collect.py collected.

    python benchmarks/runs/figures.py [FIGURE …] [--results benchmarks/runs/results] [--into docs/results]

A dot is a model of one seed, a line the mean over seeds. Solid: what the paper's rule chooses; dashed: its random control.
Prints which seeds each point has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # as a script and from a test

from tables import Results, read

from spurcli.reporting.drawing import COLORS, Panel, Style, render_svg
from spurcli.reporting.statistics import mean

# Metric → how the axis is called, and what the values are multiplied by.
_AXES = {
    "feature_effect": ("feature effect", 1),
    "worst_group_accuracy": ("worst group, accuracy (%)", 100),
    "conflict_accuracy": ("women with glasses, accuracy (%)", 100),
}


@dataclass(frozen=True)
class Drawn:
    """One panel: series of arms, each at a place on the horizontal axis."""

    set: str
    metric: str
    across: str
    series: Mapping[Style, Mapping[float, str]]


def _by_epoch(metric: str) -> Drawn:
    words = {"hardest": ("the 100 hardest", "vermillion"), "easiest": ("the 100 easiest", "blue")}
    words["none"] = ("no airplane", "green")
    series = {
        Style(f"line in {label}{' airplanes' if which != 'none' else ''}", COLORS[colour]): {
            **{epoch: f"{which}-epoch{epoch}" for epoch in range(1, 6)},
            6: which,
        }
        for which, (label, colour) in words.items()
    }
    return Drawn("cifar10s-carriers", metric, "epoch", series)


def _by_fraction(name: str, metric: str, rules: Mapping[str, tuple[str, str, Mapping[float, str]]]) -> Drawn:
    """Each rule with its random control: label, colour, and percent → arm; ERM at 0."""
    series: dict[Style, Mapping[float, str]] = {}
    for label, colour, arms in rules.values():
        series[Style(f"hardest {label}", COLORS[colour])] = {0: "all", **arms}
        control = {percent: _control(arm) for percent, arm in arms.items()}
        series[Style(f"random {label}", COLORS[colour], dashes="--")] = {0: "all", **control}
    return Drawn(name, metric, "removed (%)", series)


def _control(arm: str) -> str:
    kind, dash, fraction = arm.rpartition("-")
    if kind in ("hardest", "carriers"):
        return f"{'random' if kind == 'hardest' else 'carriers-random'}{dash}{fraction}"
    return f"{arm}-random"


def _glasses(metric: str) -> Drawn:
    percents = (10, 25, 50)
    rules = {
        kind: (words, colour, {percent: f"{kind}-{percent / 100:g}" for percent in percents})
        for kind, words, colour in (
            ("hardest", "of each class (Fig. 6)", "blue"),
            ("carriers", "men with glasses (Fig. 4)", "vermillion"),
        )
    }
    return _by_fraction("celeba", metric, rules)


def _water(metric: str) -> Drawn:
    arms = {10: "balanced-0.1", 25: "balanced", 50: "balanced-0.5"}
    return _by_fraction("waterbirds-frozen", metric, {"group": ("of the aligned groups", "vermillion", arms)})


FIGURES: dict[str, Sequence[Drawn]] = {
    "fig2cd": (_by_epoch("feature_effect"),),
    "fig4-6": (_glasses("feature_effect"), _glasses("conflict_accuracy")),
    "fig8": (_water("feature_effect"), _water("worst_group_accuracy")),
}


def panel_of(drawn: Drawn, results: Results) -> Panel:
    """Of the arms that have been run."""
    title, times = _AXES[drawn.metric]

    def draw(axes: Any) -> None:
        for style, arms in drawn.series.items():
            found = {x: results.of(arm, drawn.metric) for x, arm in arms.items()}
            there = {x: [times * value for value in values.values()] for x, values in found.items() if values}
            for x, values in there.items():
                axes.plot([x] * len(values), values, ".", color=style.color, markersize=4, alpha=0.45)
            means = [mean(values) for values in there.values()]
            axes.plot(list(there), means, color=style.color, linestyle=style.dashes, linewidth=1.6)
        axes.margins(x=0.04)
        axes.set_xticks(sorted({x for arms in drawn.series.values() for x in arms}))
        axes.set_xlabel(drawn.across)
        axes.set_title(title)

    about = "; ".join(
        f"{style.label}: "
        + ", ".join(f"{x:g}: {times * mean(list(values.values())):.2f}" for x, values in found if values)
        for style, arms in drawn.series.items()
        if (found := [(x, results.of(arm, drawn.metric)) for x, arm in arms.items()])
    )
    return Panel(drawn.metric, draw, height=2.6, title=f"{title}, by {drawn.across}", about=about)


def svg(drawn: Drawn, results: Results, name: str) -> str:
    """The panel as a file that is readable on dark pages too."""
    panel = panel_of(drawn, results)
    return render_svg(panel, prefix=name, legend=list(drawn.series), inline=False).replace(
        'style="', 'style="background:#ffffff;color:#1a1a1a;', 1
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", choices=[[], *FIGURES], metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--into", type=Path, default=Path(__file__).parents[2] / "docs" / "results")
    asked = parser.parse_args(arguments)
    asked.into.mkdir(parents=True, exist_ok=True)
    for figure in asked.figures or FIGURES:
        for drawn in FIGURES[figure]:
            path = asked.results / f"{drawn.set}.jsonl"
            if not path.is_file():
                print(f"{figure}: {path.name} is not there")
                continue
            results = read(path)
            name = f"{figure}-{drawn.metric.replace('_', '-')}"
            (asked.into / f"{name}.svg").write_text(svg(drawn, results, name), encoding="utf-8")
            counted = {
                arm: len(results.of(arm, drawn.metric)) for arms in drawn.series.values() for arm in arms.values()
            }
            print(f"{name}.svg: " + ", ".join(f"{arm} {count}" for arm, count in counted.items()))


if __name__ == "__main__":
    main()
