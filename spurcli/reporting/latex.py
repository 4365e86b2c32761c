"""The table of arms as LaTeX, for a paper: booktabs, units in the header, no other package."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spurcli.reporting.document import Report, ShownMetric
from spurcli.reporting.sections import headings
from spurcli.reporting.tables import mean_sd_bare
from spurcli.reporting.values import printable

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "–": "--", "…": r"\dots{}",
    "·": r"$\cdot$", "×": r"$\times$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip
_ARROWS = {True: r" $\downarrow$", False: r" $\uparrow$", None: ""}


def latex(report: Report) -> str:
    """All arms and the metrics of the main table: mean ± sd over seeds, without the unit, which is in the header."""
    metrics = [metric for metric in report.metrics if metric.main]
    before = headings(report, range(len(report.arms)))
    lines = [
        f"% {' '.join(str(report.title).split())}",
        r"% Needs \usepackage{booktabs}. Mean and standard deviation over seeds.",
        rf"\begin{{tabular}}{{l{'r' * (len(metrics) + 1)}}}",
        r"\toprule",
        _row(["Arm", "Seeds"], [_head(metric) for metric in metrics]),
        r"\midrule",
    ]
    for number, arm in enumerate(report.arms):
        if number in before:
            lines.append(rf"\multicolumn{{{len(metrics) + 2}}}{{l}}{{\textit{{{_escape(before[number])}}}}} \\")
        cells = [_escape(mean_sd_bare(arm.metrics.get(metric.name), metric.unit)) for metric in metrics]
        lines.append(_row([arm.label, str(arm.num_seeds)], cells))
    return printable("\n".join([*lines, r"\bottomrule", r"\end{tabular}"])) + "\n"


def _head(metric: ShownMetric) -> str:
    unit = f" ({_escape(metric.unit)})" if metric.unit else ""
    return f"{_escape(metric.label)}{unit}{_ARROWS[metric.lower_is_better]}"


def _row(names: Sequence[str], cells: Sequence[str]) -> str:
    return " & ".join([*map(_escape, names), *cells]) + r" \\"


def _escape(text: str) -> str:
    """Names are text, never commands."""
    line = " ".join(str(text).split())
    return re.sub("|".join(map(re.escape, _ESCAPES)), lambda found: _ESCAPES[found[0]], line)
