"""canary.html: the verdict, effect and accuracy against the fraction over seeds, and the tables behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spurcli.artifacts.envelope import JsonObject
from spurcli.comparing.canary.words import CANARY_COLUMNS, FRACTION_COLUMNS, canary_rows, fraction_rows, sentences
from spurcli.studies.description import Description, FigureText
from spurcli.studies.page import Grid, Study, study_page
from spurcli.studies.parts import study_part
from spurcli.studies.tidy import Row

_READING = """A canary is a feature that was planted in a copy of the training data, so its effect on a model is known. Small dots are
seeds, the large marks their mean, the bars its 95 % interval over seeds. The ratio is the effect after the hardest samples
were removed divided by the effect after random ones were removed; points lost is accuracy after training on all samples minus accuracy after pruning."""
_TEXT = FigureText(
    id="canary",
    name="Canaries",
    title="Effect of pruning on planted features",
    claim="Pruning the hardest samples of each class reduces the reliance on a weak feature.",
    metrics=("feature_effect", "accuracy"),
    x="share of each class removed",
)
_HOW = Description(
    {},
    [_TEXT],
    {
        "hardest": {"label": "hardest removed", "color": "vermillion"},
        "random": {"label": "random removed", "color": "blue"},
    },
    {"feature_effect": {"unit": "", "label": "Feature effect of the canaries", "lower_is_better": True}},
)


def canary_page(found: JsonObject) -> str:
    """The page as HTML text, from the content of canary.json."""
    tables = [
        Grid("Fractions", FRACTION_COLUMNS, fraction_rows(found), is_open=True),
        Grid("Canaries", CANARY_COLUMNS, canary_rows(found), is_open=True),
    ]
    part = study_part(_TEXT, _HOW, list(_rows(found)))
    part = replace(part, findings=sentences(found), tables=[*tables, *(grid for grid in part.tables if grid.rows)])
    seeds = ", ".join(str(run["seed"]) for run in found["runs"])
    facts = [
        f"Data set {found['dataset']}, measured on {found['split']}",
        f"Seeds {seeds}; {100 * found['share']:g} % of a class carry its canary",
    ]
    return study_page(
        Study("Does pruning help against a weak feature here?", [part], "spurcli canary", facts, _READING)
    )


def _rows(found: JsonObject) -> Iterator[Row]:
    """A row for each seed, fraction and kind of pruning: the mean effect of the canaries that count, and accuracy."""
    counting = [number for number, canary in enumerate(found["canaries"]) if canary["counts"]]
    for run in found["runs"]:
        mine = [run["canaries"][number]["effect"] for number in counting]
        mine = [effect for effect in mine if None not in effect.values()]
        for arm, accuracy in run["accuracy"].items():
            is_random = arm.endswith("-random")
            for series in ("hardest", "random") if arm == "all" else ("random",) if is_random else ("hardest",):
                place = {"figure": _TEXT.id, "panel": "", "setting": "", "series": series, "seed": str(run["seed"])}
                place["x"] = "0" if arm == "all" else arm.removesuffix("-random")
                yield {**place, "metric": "accuracy", "value": repr(accuracy)}
                if mine:
                    mean = sum(effect[arm] for effect in mine) / len(mine)
                    yield {**place, "metric": "feature_effect", "value": repr(mean)}
