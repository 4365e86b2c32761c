"""The sentences of a forecast, for the terminal and the page."""

from __future__ import annotations

from spurcli.artifacts.envelope import JsonObject

CANARY_COLUMNS = ("canary", "effect, all samples", "counts")
FRACTION_COLUMNS = ("removed", "hardest", "random", "ratio", "points lost")
_STRONG = "A faint canary says nothing about strong features. For strong features: spurcli audit model.safetensors"


def canary_rows(found: JsonObject) -> list[tuple[str, ...]]:
    """Cells below CANARY_COLUMNS."""
    return [
        (each["name"], number(each["effect_all"]), "yes" if each["counts"] else f"no, {each['reason']}")
        for each in found["canaries"]
    ]


def fraction_rows(found: JsonObject) -> list[tuple[str, ...]]:
    """Cells below FRACTION_COLUMNS."""
    rows = []
    for row in found["fractions"]:
        effects = (number({**row[name], "interval": None}, 3) for name in ("effect", "effect_random"))
        rows.append((f"{percent(row['fraction'])} %", *effects, number(row["ratio"]), number(row["cost"], 1)))
    return rows


def percent(fraction: str) -> str:
    """ "10"; the text itself if it is not a number."""
    try:
        return f"{100 * float(fraction):g}"
    except ValueError:
        return fraction


def number(found: JsonObject, digits: int = 2) -> str:
    """ "0.83 (0.71 to 0.96)"."""
    if found["value"] is None:
        return "-"
    ends = found["interval"]
    between = f" ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})" if ends else ""
    return f"{found['value']:.{digits}f}{between}"


def sentences(found: JsonObject) -> list[str]:
    """The verdict and its limits."""
    verdict, fraction = found["verdict"], str(found.get("fraction"))
    if verdict == "helps":
        row = next((each for each in found["fractions"] if each["fraction"] == fraction), None)
        size = f": {number(row['ratio'])} of the random control, {number(row['cost'], 1)} points lost" if row else ""
        said = f"Pruning the hardest {percent(fraction)} % of each class reduces the reliance on a weak feature here{size}."
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
        return [f"No forecast: for these models, no canary is a weak feature. {_change(found)}"]
    return ["Undecided: the intervals include both a reduction and no reduction. Use more --seeds.", _STRONG]


def _change(found: JsonObject) -> str:
    """What to change so that canaries are weak features, by the reason why most of them are not."""
    reasons = [canary["reason"] for canary in found["canaries"]]
    is_weak = reasons.count("too weak") > len(reasons) / 2
    is_strong = reasons.count("too strong") > len(reasons) / 2
    if any(canary["name"] == "word" for canary in found["canaries"]) or not (is_weak or is_strong):
        return "Change --share."
    return f"Make the canaries {'stronger: --strength 3' if is_weak else 'weaker: --strength 0.5'}"
