"""Whether claims hold in the given numbers: differences paired by seed, judged as in every report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from spurcli.reporting import claims
from spurcli.reporting.plot_seeds import X, x_words
from spurcli.reporting.statistics import Paired, paired
from spurcli.studies.description import Compare, Description, FigureText
from spurcli.studies.tidy import Curve, Curves, Key, in_order

HOLDS, OPPOSITE, UNSETTLED = "as the paper says", "the opposite", "not settled"
UNSEEN, EVEN, UNEVEN, FEW = "no difference seen", "even", "not even", "too few seeds"
_Seeds = Mapping[str, float]


@dataclass(frozen=True)
class Verdict:
    """One difference: the two values, where, how large, and what it means for the claim.

    `is_claim` as in every report (`reporting.claims`): from five seeds on, Holm-adjusted over the figure's comparisons.
    """

    compare: Compare
    what: str
    key: Key
    x: X
    difference: Paired
    outcome: str
    is_claim: bool = False

    @property
    def words(self) -> str:
        """The outcome; one that is no claim is called a hint."""
        is_open = self.outcome in (UNSETTLED, UNSEEN, FEW)
        return self.outcome if self.is_claim or is_open else f"{self.outcome} (a hint)"


def verdicts(figure: FigureText, curves: Curves, study: Description) -> list[Verdict]:
    """All comparisons of the figure that there are numbers for, in the order of the description."""
    found = []
    for compare in figure.compare:
        for key, curve in curves.items():
            if key.metric != compare.metric or not compare.is_at(key) or compare.series not in ("", key.series):
                continue
            control = curves.get(key._replace(series=compare.control), {})
            for what, x, first, second in _differences(figure, compare, curve, control):
                difference = paired(first, second, lower_is_better=compare.expect == "lower")
                if difference and difference.mean < 0 and compare.expect not in ("higher", "lower"):
                    difference = paired(first, second, lower_is_better=True)  # seeds that agree: with the mean
                if difference:
                    says = what.format(study.label(key.series), study.label(compare.control))
                    found.append(Verdict(compare, says, key, x, difference, outcome(difference, compare)))
    tested = [verdict for verdict in found if verdict.difference.num_pairs >= claims.MIN_SEEDS]
    adjusted = claims.holm([p if (p := verdict.difference.p) is not None else 1.0 for verdict in tested])
    p_values = {id(verdict): p for verdict, p in zip(tested, adjusted, strict=True)}
    return [replace(verdict, is_claim=_is_claim(verdict, p_values.get(id(verdict), 1.0))) for verdict in found]


def _is_claim(verdict: Verdict, p: float) -> bool:
    if verdict.outcome == EVEN:
        return claims.is_equivalent(verdict.difference, verdict.compare.margin / 100)
    return p <= claims.LEVEL


def _differences(
    figure: FigureText, compare: Compare, curve: Curve, control: Curve
) -> Iterator[tuple[str, X, _Seeds, _Seeds]]:
    """(what, x, by seed, by seed) of each difference; in `what` {0} and {1} are series and control."""
    if compare.kind == "series":
        serves_all = list(control) in ([None], [0.0])  # training on all samples
        order = [x for x in in_order(curve, figure.x_order) if x in control or serves_all]
        for x in order[-1:] if compare.x == "last" else order:
            yield "{0} − {1}", x, curve[x], control[x] if x in control else next(iter(control.values()))
        return
    order = [x for x in in_order(curve, figure.x_order) if x is not None]
    if compare.kind == "peak":
        yield "peak − end: {0} − {1}", None, _drops(figure, curve), _drops(figure, control)
        return
    order = [x for x in compare.between if x in order] or ([] if compare.between else order)
    if len(order) < (3 if compare.kind == "bend" else 2):
        return
    first, last = curve[order[0]], curve[order[-1]]
    if compare.kind == "ends":
        yield f"{{0}}: {x_words(order[-1])} − {x_words(order[0])}", None, last, first
        return
    at = {x: x if isinstance(x, float) else float(n) for n, x in enumerate(order)}
    low, high = at[order[0]], at[order[-1]]
    middle = min(order[1:-1], key=lambda x: abs(at[x] - (low + high) / 2))
    share = (at[middle] - low) / (high - low)
    line = {seed: first[seed] + share * (last[seed] - first[seed]) for seed in first if seed in last}
    yield f"{{0}}: straight line − curve, at {x_words(middle)}", None, line, curve[middle]


def _drops(figure: FigureText, curve: Curve) -> dict[str, float]:
    """Each seed's largest value over x minus its last. Noise alone makes it positive, so it needs a control."""
    order = [curve[x] for x in in_order(curve, figure.x_order) if x is not None]
    seeds = [seed for seed in order[-1] if all(seed in values for values in order)] if order else []
    return {seed: max(values[seed] for values in order) - order[-1][seed] for seed in seeds}


def outcome(difference: Paired, compare: Compare) -> str:
    """The outcome of a difference for the claim. "Even" means that its full 95 % interval is within the margin."""
    if difference.interval is None:
        return FEW
    way = ("lower" if difference.mean < 0 else "higher") if difference.clear else ""
    if compare.expect is None:
        return way or UNSEEN
    if compare.expect == "even":
        is_within = max(map(abs, difference.interval)) < compare.margin / 100
        return EVEN if is_within else UNEVEN if way else UNSETTLED
    return UNSETTLED if not way else HOLDS if way == compare.expect else OPPOSITE
