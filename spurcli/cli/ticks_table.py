"""Results of a tick sheet: the share of carriers by difficulty, and whether it is a strong or a weak one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from spurcli.artifacts.envelope import JsonObject
from spurcli.cli.console import console, say
from spurcli.inferring.other_embeddings import POOR, poorly_found
from spurcli.words import counted, listed

_MAX_ROWS = 12
_RULE = {
    "strong": "strong: the carriers are mainly easy samples. Prune inside the carriers: --group {group} --fraction 0.25",
    "weak": "weak: the carriers are spread over easy and hard samples. Prune the hardest of the carriers (--group {group}), or of "
    "each class (--per-class)",
    "conflict": "conflict: {feature} is rare in this class, compared with all ticked classes together, so its carriers are conflict "
    "samples. Do not prune {name}. --group auto prunes the groups of the features that go with their class",
}
_HARD = 2  # odds of a carrier in the hardest quarter divided by those in the easiest: above this, most carriers are hard samples


def ticks_table(ticked: JsonObject, commands: Sequence[str] = ()) -> None:
    """A row for each class that was ticked: answers, AUROC of the probe, shares of the four quarters; then the conclusion.

    `commands` make better embeddings for a feature that the probe finds poorly.
    """
    table = Table(box=SIMPLE, title_justify="left", title=Text(f"Ticked: {ticked['feature']}"))
    table.add_column("class")
    for name in ("yes", "no", "probe AUROC", "easiest", "2nd", "3rd", "hardest"):
        table.add_column(name, justify="right")
    classes = ticked["classes"]
    for row in classes[:_MAX_ROWS]:
        shares = [_share(share) for share in row["shares"] or []] or ["–"] * 4
        table.add_row(Text(row["class"]), f"{row['num_yes']:,}", f"{row['num_no']:,}", _auroc(row["auroc"]), *shares)
    console().print(table)
    if len(classes) > _MAX_ROWS:
        say(f"… {counted(len(classes) - _MAX_ROWS, 'more class')}: --json shows all")
    if any(row["shares"] for row in classes):
        say("Share of carriers by difficulty, with 95 % intervals; AUROC of probes that were not trained on the sample")
    if ticked["num_repeated"]:
        say(
            f"Shown twice: {ticked['num_agreeing']:,} of {counted(ticked['num_repeated'], 'sample')} got the same answer"
        )
    if ticked["num_unsure"]:
        say(f"{counted(ticked['num_unsure'], 'sample')} of {ticked['num_answered']:,} unsure, left out")
    for row in classes[:_MAX_ROWS]:
        say(f"{row['class']}: {_answer(row, ticked['feature'])}")
    if poor := poorly_found(ticked):
        say(f"{listed(poor)}: AUROC below {POOR}, so many inferred carriers may be wrong. {_better(commands)}")
        for line in commands:
            say(f"  {line}")


def _better(commands: Sequence[str]) -> str:
    if not commands:
        return "Tick more samples, or use embeddings that show the feature better (docs/ticks.md)."
    return "Embeddings of a pretrained model may show the feature better; use the groups with the higher AUROC:"


def _answer(row: JsonObject, feature: str) -> str:
    if rule := _RULE.get(row["answer"]):
        name = f"{row['class']}/{feature}"
        return rule.format(feature=feature, name=name, group=f"'{name}'") + _condition(row, feature)
    if row["shares"] is None:
        return "undecided: ticks.csv has no difficulty and no sizes of the strata"
    more = (
        f"about {row['more_ticks']:,} more answers are needed"
        if row["more_ticks"]
        else "no practical number of answers is enough"
    )
    return f"undecided whether strong or weak; {more}"


def _condition(row: JsonObject, feature: str) -> str:
    """The ticks of one class do not say whether its hard carriers have a mark of this class or the feature of another."""
    if row["answer"] != "weak" or row["interval"][0] <= _HARD:
        return ""
    return (
        f". Most carriers are hard samples. If {feature} is more frequent in other classes, they are conflict samples: do not "
        "prune them."
    )


def _share(share: JsonObject) -> str:
    if share["value"] is None:
        return "–"
    return f"{share['value']:.0%}\n{100 * share['low']:.0f}–{share['high']:.0%}"


def _auroc(area: JsonObject | None) -> str:
    if area is None:
        return "–"
    low, high = area["interval"]
    return f"{area['value']:.2f}\n{low:.2f}–{high:.2f}"
