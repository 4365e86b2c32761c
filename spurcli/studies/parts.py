"""The parts of a study's page: each figure's claim and verdict, its charts beside the published numbers, and its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from spurcli.reporting.drawing import Figure
from spurcli.reporting.pictures import Picture
from spurcli.reporting.plot_seeds import PUBLISHED, x_words
from spurcli.reporting.tables import difference
from spurcli.studies.comparisons import Verdict, verdicts
from spurcli.studies.description import Description, FigureText
from spurcli.studies.page import Grid, Part
from spurcli.studies.plots import numbers, panels, styles_of
from spurcli.studies.tidy import COLUMNS, Curves, Row, curves_of
from spurcli.words import amount, counted, unit_of_difference

MAX_CHARTS = 30
READING = """Small dots are single seeds, large marks are their means, and bars are 95 % t-intervals over seeds (with at least three seeds).
A hollow diamond is the number that the paper prints, if it prints one. Differences are paired by seed. As in every report, a claim requires
at least five seeds and p ≤ .05 in a paired t-test after Holm's adjustment over the comparisons of its figure. A result of three or more
seeds at 5 % without adjustment is a hint: of twenty comparisons without any effect, one would look clear. “Even” means that the 95 %
interval is within five points of zero (or within the named margin). ± after a difference is its standard error, and ± after a mean is the
standard deviation over seeds. Published numbers come from larger models and longer training, unless the line “Run here” equals the line
“Paper ran”."""


def study_part(
    figure: FigureText,
    study: Description,
    rows: Sequence[Row],
    *,
    facts: Sequence[tuple[str, str]] = (),
    pictures: Mapping[str, Sequence[Picture]] | None = None,
    note: str = "",
) -> Part:
    """The section of one figure from its rows (no rows: it was not run); `facts` are shown between the claim and the remarks."""
    curves = curves_of(rows, study.is_percent)
    found = verdicts(figure, curves, study)
    there = [key.metric for key in curves] + [item.metric for item in figure.published]
    metrics = [study.metric(name) for name in dict.fromkeys([*figure.metrics, *there]) if name in there]
    series = [key.series for key in curves] + [item.series for item in figure.published if item.series]
    labels = {name: study.label(name) for name in series}
    return Part(
        name=figure.id,
        heading=f"{figure.name}. {figure.title}" + ("" if rows else " (not run)"),
        facts=[("Claim", figure.claim), *facts, *([("Remarks", figure.differs)] if figure.differs else [])],
        findings=findings(figure, found, study, bool(rows)),
        figure=_figure(figure, curves, rows, study) if rows else None,
        pictures=pictures or {},
        note=note,
        tables=[numbers(curves, metrics, labels, figure, figure.published), differences_table(found, study)],
    )


def findings(figure: FigureText, found: Sequence[Verdict], study: Description, is_run: bool) -> list[str]:
    """What became of each claim: the numbers where there are few, else how many went which way."""
    if not is_run:
        return ["Verdict: not run"]
    if not figure.compare:
        return ["Verdict: no comparison; see the chart"]
    lines = []
    for says in dict.fromkeys(compare.says for compare in figure.compare):
        mine = [verdict for verdict in found if verdict.compare.says == says]
        if len(mine) <= 2:
            several = len({(verdict.key.place, verdict.x) for verdict in mine}) < len(mine)
            words = "; ".join(_in_words(verdict, study, several) for verdict in mine) or "not run"
        else:
            counts = ", ".join(f"{name} in {count}" for name, count in Counter(v.words for v in mine).most_common())
            unit = study.metric(mine[0].key.metric).unit
            low, high = (
                amount(end(v.difference.mean for v in mine), unit, signed=True, bare=True) for end in (min, max)
            )
            words = f"{counts} of {len(mine)} comparisons; differences from {low} to {high}{unit_of_difference(unit)}"
        lines.append(f"{says}: {words}")
    return lines


def _in_words(verdict: Verdict, study: Description, several: bool) -> str:
    unit, paired = study.metric(verdict.key.metric).unit, verdict.difference
    where = f"{verdict.key.place}{f' at {x_words(verdict.x)}' if verdict.x is not None else ''}".strip()
    where = ", ".join(filter(None, [where, verdict.what if several else ""]))
    size = f"{difference(paired, unit)}{unit_of_difference(unit)} ({paired.num_better} of {counted(paired.num_pairs, 'seed')})"
    return f"{f'{where}: ' if where else ''}{size}, {verdict.words}"


def differences_table(found: Sequence[Verdict], study: Description) -> Grid:
    rows = []
    for verdict in found:
        unit, paired = study.metric(verdict.key.metric).unit, verdict.difference
        ends = [amount(end, unit, signed=True, bare=True) for end in paired.interval or ()]
        at = f", at {x_words(verdict.x)}" if verdict.x is not None else ""
        size, agree = difference(paired, unit) + unit_of_difference(unit), f"{paired.num_better} of {paired.num_pairs}"
        claim = verdict.compare.says[:1].upper() + verdict.compare.says[1:]
        what = f"{verdict.what}{at}"
        rows.append((claim, verdict.key.place, what, verdict.words, size, " to ".join(ends) or "–", agree))
    columns = ("Claim", "Where", "Difference", "Outcome", "Mean ± se", "95 % interval", "Seeds that agree")
    return Grid("Differences paired by seed", columns, rows, num_names=4)


def _figure(figure: FigureText, curves: Curves, rows: Sequence[Row], study: Description) -> Figure:
    """One panel for each panel, setting and metric; where none of the figure's metrics is there, for all that are."""
    there = {key.metric: None for key in curves}
    metrics = [study.metric(name) for name in [name for name in figure.metrics if name in there] or there]
    names = list(dict.fromkeys(key.series for key in curves))
    order = [name for name in dict.fromkeys((*figure.row_order, *study.series, *names)) if name in names]
    colors = {name: study.series[name]["color"] for name in order if "color" in study.series.get(name, {})}
    styles = styles_of({name: study.label(name) for name in order}, colors)
    charts = panels(curves, metrics, styles, figure, figure.published)
    legend = [] if figure.x_kind == "rows" else list(styles.values())
    legend += [PUBLISHED] if any(item.value is not None for item in figure.published) else []
    guide = f"Dashed line: {figure.guide['label']} ({figure.guide['value']} %)." if figure.guide else ""
    hidden = f"{len(charts) - MAX_CHARTS} more charts are not shown." if len(charts) > MAX_CHARTS else ""
    caption = " ".join(filter(None, [guide, hidden]))
    data = [tuple(row.values()) for row in rows]
    return Figure(figure.id, "Measured", caption, charts[:MAX_CHARTS], COLUMNS, data, legend)
