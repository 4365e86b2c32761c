"""Whether a claim of the paper holds in the numbers at hand: differences paired by seed, with their 95 % intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidy import Compare, FigureText, Paper, Row, X, matches

from spurcli.reporting.statistics import Paired, paired

HOLDS, OPPOSITE, UNSETTLED = "as the paper says", "the opposite", "not settled"
UNSEEN, EVEN, UNEVEN, FEW = "no difference seen", "even", "not even", "too few seeds"
_Curve = Mapping[X, Mapping[str, float]]  # x → seed → value


@dataclass(frozen=True)
class Verdict:
    """One difference: what was taken from what, where, how large, and what that means for the claim."""

    says: str
    what: str
    place: tuple[str, str]
    x: X
    difference: Paired
    outcome: str


def verdicts(figure: FigureText, rows: Sequence[Row], paper: Paper) -> list[Verdict]:
    """All comparisons of the figure that the rows have numbers for, in the order of published.toml."""
    found = []
    for compare in figure.compare:
        curves = _curves(rows, compare)
        for (place, series), curve in curves.items():
            if compare.series is not None and series != compare.series:
                continue
            control = curves.get((place, str(compare.control)), {})
            if compare.kind == "peak":
                label = f"peak − end: {paper.series_label(series)} − {paper.series_label(str(compare.control))}"
                found += _verdict(compare, label, place, None, _drops(figure, curve), _drops(figure, control))
            elif compare.kind == "series":
                for x, first, second in _pairs(figure, curve, control, compare.x):
                    label = f"{paper.series_label(series)} − {paper.series_label(str(compare.control))}"
                    found += _verdict(compare, label, place, x, first, second)
            else:
                found += _along(figure, compare, paper.series_label(series), place, curve)
    return found


def _curves(rows: Sequence[Row], compare: Compare) -> dict[tuple[tuple[str, str], str], dict[X, dict[str, float]]]:
    curves: dict[tuple[tuple[str, str], str], dict[X, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row.metric == compare.metric and matches(row.place, compare.panel, compare.setting):
            curves[row.place, row.series][row.x][row.seed] = row.value
    return curves


def _pairs(
    figure: FigureText, curve: _Curve, control: _Curve, wanted: str | None
) -> list[tuple[X, Mapping[str, float], Mapping[str, float]]]:
    """(x, series, control) at each x; a control without x, or at 0 only, is training on all samples and serves every x."""
    serves_all = list(control) in ([None], [0.0])
    order = [x for x in figure.order_x(curve) if x in control or serves_all]
    order = order[-1:] if wanted == "last" else order
    return [(x, curve[x], control[x] if x in control else next(iter(control.values()))) for x in order]


def _drops(figure: FigureText, curve: _Curve) -> dict[str, float]:
    """Each seed's largest value over x minus its last. Noise alone makes it positive, so it wants a control."""
    order = [curve[x] for x in figure.order_x(curve) if x is not None]
    seeds = [seed for seed in order[-1] if all(seed in values for values in order)] if order else []
    return {seed: max(values[seed] for values in order) - order[-1][seed] for seed in seeds}


def _along(figure: FigureText, compare: Compare, label: str, place: tuple[str, str], curve: _Curve) -> list[Verdict]:
    """Differences within one series."""
    order: Sequence[X] = [x for x in figure.order_x(curve) if x is not None]
    if compare.between:
        order = [x for x in compare.between if x in order]
    if len(order) < (3 if compare.kind == "bend" else 2):
        return []
    first, last = curve[order[0]], curve[order[-1]]
    ends = f"{_name(order[-1])} − {_name(order[0])}"
    if compare.kind == "ends":
        return _verdict(compare, f"{label}: {ends}", place, None, last, first)
    at = [x if isinstance(x, float) else float(n) for n, x in enumerate(order)]
    middle = min(order[1:-1], key=lambda x: abs(at[order.index(x)] - (at[0] + at[-1]) / 2))
    share = (at[order.index(middle)] - at[0]) / (at[-1] - at[0])
    line = {seed: first[seed] + share * (last[seed] - first[seed]) for seed in first if seed in last}
    return _verdict(compare, f"{label}: straight line − curve, at {_name(middle)}", place, None, line, curve[middle])


def _name(x: X) -> str:
    return f"{x:g}" if isinstance(x, float) else str(x)


def _verdict(
    compare: Compare, what: str, place: tuple[str, str], x: X, first: Mapping[str, float], second: Mapping[str, float]
) -> list[Verdict]:
    difference = paired(first, second, lower_is_better=compare.expect == "lower")
    if difference is None:
        return []
    if compare.expect not in ("higher", "lower") and difference.mean < 0:  # seeds that agree: with the mean
        difference = paired(first, second, lower_is_better=True)
        assert difference is not None
    return [Verdict(compare.says, what, place, x, difference, outcome(difference, compare.expect, compare.margin))]


def outcome(difference: Paired, expect: str | None, margin: float = 5.0) -> str:
    """What the 95 % interval of the paired difference says about the claim. Even is what is all within the margin."""
    if difference.interval is None:
        return FEW
    low, high = difference.interval
    sign = 1 if low > 0 else -1 if high < 0 else 0
    if expect is None:
        return {1: "higher", -1: "lower", 0: UNSEEN}[sign]
    if expect == "even" and -margin < low <= high < margin:
        return EVEN
    if expect == "even":
        return UNEVEN if sign else UNSETTLED
    if not sign:
        return UNSETTLED
    return HOLDS if sign == (1 if expect == "higher" else -1) else OPPOSITE
