"""What is shown of a forecast: the canaries, a row for each fraction, and the verdict in sentences."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from spurcli.artifacts.envelope import JsonObject


def show_forecast(found: JsonObject) -> None:
    from spurcli.cli.console import console, say

    console().print(_canaries(found))
    if found["fractions"]:
        console().print(_fractions(found))
    for sentence in sentences(found):
        say(sentence)


def _canaries(found: JsonObject) -> Table:
    table = _table("canary", "effect, all samples", "counts")
    for canary in found["canaries"]:
        counts = "yes" if canary["counts"] else f"no, {canary['reason']}"
        table.add_row(*map(Text, (canary["name"], _number(canary["effect_all"]), counts)))
    return table


def _fractions(found: JsonObject) -> Table:
    table = _table("removed", "hardest", "random", "ratio", "points lost")
    for row in found["fractions"]:
        removed = f"{100 * float(row['fraction']):g} %"
        effects = (f"{row[name]['value']:.3f}" for name in ("effect", "effect_random"))
        table.add_row(*map(Text, (removed, *effects, _number(row["ratio"]), _number(row["cost"], 1))))
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _number(found: JsonObject, digits: int = 2) -> str:
    """ "0.83 (0.71 to 0.96)"."""
    if found["value"] is None:
        return "-"
    ends = found["interval"]
    between = f" ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})" if ends else ""
    return f"{found['value']:.{digits}f}{between}"


def sentences(found: JsonObject) -> list[str]:
    """The verdict, and what it does not say."""
    verdict, fraction = found["verdict"], str(found.get("fraction"))
    if verdict == "helps":
        row = next(each for each in found["fractions"] if each["fraction"] == fraction)
        said = (
            f"Pruning the hardest {100 * float(fraction):g} % of each class reduces the reliance on a weak feature here: "
            f"{row['ratio']['value']:.2f} of that of the random control, at {row['cost']['value']:.1f} points of accuracy."
        )
        return [said, f"Next: spurcli prune --fraction {fraction} --per-class", _STRONG]
    if verdict == "costs too much":
        return [
            f"Pruning reduces the reliance on a weak feature here, but costs more than {found['max_cost']:g} points of accuracy.",
            _STRONG,
        ]
    if verdict == "does not help":
        return [
            "Pruning the hardest samples will not help here: it reduces the reliance on canaries by less than a tenth.",
            _STRONG,
        ]
    if verdict == "no canary counts":
        return ["No forecast: the models do not rely on any canary as on a weak feature. Change --share."]
    return ["Undecided: the intervals include a reduction and none. Use more --seeds.", _STRONG]


_STRONG = "A faint canary says nothing about a strong feature. For those: spurcli audit model.safetensors"
