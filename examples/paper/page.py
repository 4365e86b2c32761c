"""The paper's figures and tables beside the published numbers, on one page.   python page.py OUT [-o page.html]

Reads OUT/data/<figure>.csv and OUT/data/runs.json, which collect.py writes, and published.toml. The page is one file that loads
nothing from anywhere: charts are inline SVG, each figure's CSV is a data: link (beyond 300 kB a link to the file in OUT/data).
Pictures (Fig. 9, OUT/pictures/fig9/<class>/*.jpg, in the order of their names) are for one's own eyes: pixels of a data set are
not to be passed on, so --without-pictures makes the page that may be published.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from charts import MAX_CHARTS, charts, place_name, points, series_styles
from tidy import FigureText, Paper, Row, Value, X, load_paper, load_rows, load_runs
from verdicts import Verdict, verdicts

from spurcli.artifacts.atomic import write_text
from spurcli.errors import InputError, SpurError
from spurcli.reporting.drawing import render_svg
from spurcli.reporting.page import swatch
from spurcli.reporting.statistics import mean, sd, t_interval
from spurcli.reporting.values import name_of, number, printable
from spurcli.words import duration

MAX_ROWS = 150
_MAX_CSV_BYTES = 300_000
_MAX_PICTURES, _SIDE = 24, 96
_NOT_SHOWN = "Pictures of the data set are left out of this page; made without --without-pictures it shows them."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("   ")[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of a run, with data/*.csv")
    parser.add_argument("-o", "--output", type=Path, default=Path("page.html"))
    parser.add_argument("--without-pictures", action="store_true", help="no pixel of a data set, for a page to pass on")
    options = parser.parse_args(arguments)
    try:
        text = page(options.out, load_paper(), base=options.output.parent, pictures=not options.without_pictures)
        write_text(options.output, text)
    except SpurError as error:
        print(f"page.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def page(out: Path, paper: Paper, *, base: Path, pictures: bool = True) -> str:
    """The page as text. `base` is the folder that it will lie in; InputError if OUT/data is no folder of such files."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    if not (out / "data").is_dir():
        raise InputError(f"{out} has no folder data", "Run the workflow, or collect.py, first.")
    runs = load_runs(out / "data" / "runs.json")
    figures = [_figure(figure, out, paper, runs.get(figure.id, {}), base, pictures) for figure in paper.figures]
    for view in figures:
        for chart in view["charts"]:
            chart["svg"] = Markup(chart["svg"])
        for entry in view["legend"]:
            entry["key"] = Markup(entry["key"])
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["tight"] = _tight
    template = Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8")
    text = environment.from_string(template).render(
        paper=paper,
        css=Markup(resources.files("spurcli.reporting").joinpath("style.css").read_text(encoding="utf-8")),
        published_key=Markup(_published_key()),
        figures=figures,
        num_run=sum(view["run"] for view in figures),
    )
    return printable(text)


def _figure(
    figure: FigureText, out: Path, paper: Paper, ran: Mapping[str, Any], base: Path, pictures: bool
) -> dict[str, Any]:
    """All that the template shows of one figure."""
    path = out / "data" / f"{figure.id}.csv"
    rows = load_rows(path, figure.id) if path.exists() else []
    found = verdicts(figure, rows, paper)
    styles = series_styles(figure, rows, paper)
    drawn = charts(figure, rows, paper, styles)
    values = [value for value in paper.values if value.figure == figure.id]
    strips, strip_note = _strips(out / "pictures" / figure.id, pictures)
    legend = [{"label": style.label, "key": swatch(style)} for style in styles.values()]
    if figure.x_kind == "rows":
        legend = []
    if any(value.value is not None for value in values):
        legend.append({"label": "published in the paper", "key": _published_key()})
    tables = [_verdict_table(found), _published_table(values, rows, paper), _numbers_table(rows, paper)]
    if figure.x_kind == "rows":
        tables = [_method_table(figure, rows, values, paper), *tables]
    csv, csv_where = _csv_link(path, base) if rows else ("", "")
    return {
        "id": figure.id,
        "name": figure.name,
        "title": figure.title,
        "claim": figure.claim,
        "differs": figure.differs,
        "paper": _facts(figure.paper),
        "here": _facts(ran) if ran else "not recorded in runs.json" if rows else "nothing",
        "run": bool(rows),
        "verdict": _verdict_lines(figure, found, bool(rows)),
        "legend": legend,
        "charts": [_chart_view(chart, f"{figure.id}-{position}") for position, chart in enumerate(drawn[:MAX_CHARTS])],
        "hidden_charts": max(0, len(drawn) - MAX_CHARTS),
        "guide": f"Dashed line: {figure.guide['label']} ({figure.guide['value']} %)." if figure.guide else "",
        "strips": strips,
        "strip_note": strip_note,
        "csv": csv,
        "csv_where": csv_where,
        "num_rows": f"{len(rows):,}",
        "tables": [table for table in tables if table["rows"]],
    }


def _chart_view(chart: Any, prefix: str) -> dict[str, str]:
    svg = render_svg(chart.panel, prefix=prefix, title=chart.heading, about=chart.about)
    return {"heading": chart.heading, "svg": svg}


def _tight(text: str) -> str:
    """No line break between a number and what belongs to it."""
    return str(text).replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0")


def _published_key() -> str:
    shape = '<path d="M13 .8l5.2 5.2l-5.2 5.2l-5.2 -5.2z" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    return f'<svg class="key" viewBox="0 0 26 12" aria-hidden="true">{shape}</svg>'


_WORDS = {
    "dataset": "{}",
    "samples": "{} samples",
    "model": "{}",
    "epochs": "{} epochs",
    "image_size": "{} pixels",
    "seeds": "seeds {}",
    "size": "size {}",
    "version": "spurcli {}",
    "cpu_seconds": "{} of CPU time",
    "cpu_seconds_per_job": "CPU seconds a job: {}",
}


def _facts(facts: Mapping[str, Any]) -> str:
    """What was run, in words: known keys in that order with their unit, then others by name."""
    found = []
    for key in (*(key for key in _WORDS if key in facts), *(key for key in facts if key not in _WORDS)):
        value = facts[key]
        if value is None or value in ("", [], {}):
            continue
        if key == "cpu_seconds":
            shown = duration(number(value))
        elif isinstance(value, list):
            shown = ", ".join(map(name_of, value))
        elif isinstance(value, Mapping):
            shown = ", ".join(f"{name_of(name)} {name_of(item)}" for name, item in value.items())
        elif isinstance(value, int) and not isinstance(value, bool):
            shown = f"{value:,}"
        else:
            shown = str(value)
        found.append(_WORDS.get(key, key.replace("_", " ") + " {}").format(shown))
    return "; ".join(found) + "."


def _verdict_lines(figure: FigureText, found: Sequence[Verdict], is_run: bool) -> list[str]:
    """What became of each comparison: the numbers where there are few, else how many went which way."""
    if not is_run:
        return ["not run"]
    if not figure.compare:
        return ["nothing is compared here; look at the chart"]
    lines = []
    for compare in figure.compare:
        mine = [verdict for verdict in found if verdict.says == compare.says]
        if len(mine) <= 2:
            several = len({(verdict.place, verdict.x) for verdict in mine}) < len(mine)
            words = "; ".join(_in_words(verdict, several) for verdict in mine) or "not run"
        else:
            counts = ", ".join(f"{name} in {count}" for name, count in Counter(v.outcome for v in mine).most_common())
            low, high = (_signed(end([verdict.difference.mean for verdict in mine])) for end in (min, max))
            words = f"{counts} of {len(mine)} comparisons; differences from {low} to {high} points"
        lines.append(f"{compare.says}: {words}")
    return lines


def _in_words(verdict: Verdict, what: bool) -> str:
    difference = verdict.difference
    agree = f" ({difference.num_better} of {difference.num_pairs} seeds)"
    return f"{_where(verdict, what)}{_points(verdict)} points{agree}, {verdict.outcome}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _where(verdict: Verdict, what: bool) -> str:
    """The chart, at which x, and, where that leaves several, what was taken from what."""
    words = [place_name(verdict.place), f"at {_x(verdict.x)}" if verdict.x is not None else ""]
    joined = ", ".join(filter(None, [" ".join(filter(None, words)), verdict.what if what else ""]))
    return f"{joined}: " if joined else ""


def _points(verdict: Verdict) -> str:
    difference = verdict.difference
    return _signed(difference.mean) + (f" ± {difference.se:.1f}" if difference.se is not None else "")


def _signed(value: float) -> str:
    shown = f"{value:+.1f}"
    return shown.lstrip("+-") if float(shown) == 0 else shown.replace("-", "−")


def _x(x: X) -> str:
    return "" if x is None else f"{x:g}" if isinstance(x, float) else x.replace("_", " ")


def _table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int], **more: Any
) -> Any:
    return {
        "title": title,
        "columns": columns,
        "rows": rows[:MAX_ROWS],
        "numbers": numbers,
        "hidden": max(0, len(rows) - MAX_ROWS),
        "open": False,
        **more,
    }


def _verdict_table(found: Sequence[Verdict]) -> Any:
    rows = [
        (
            _upper(verdict.says),
            place_name(verdict.place),
            f"{verdict.what}{f', at {_x(verdict.x)}' if verdict.x is not None else ''}",
            _points(verdict),
            " to ".join(map(_signed, verdict.difference.interval)) if verdict.difference.interval else "–",
            f"{verdict.difference.num_better} of {verdict.difference.num_pairs}",
            verdict.outcome,
        )
        for verdict in found
    ]
    columns = ("Claim", "Where", "Difference", "Points, mean ± se", "95 % interval", "Seeds that agree", "Outcome")
    return _table("Differences paired by seed", columns, rows, (3, 4, 5))


def _published_table(values: Sequence[Value], rows: Sequence[Row], paper: Paper) -> Any:
    lines = []
    for value in values:
        ours = [
            row
            for row in rows
            if row.metric == value.metric
            and value.is_at(row.place)
            and value.series in (None, row.series)
            and (value.x is None or row.x in (value.x, None))
        ]
        label = paper.series_label(value.series) if value.series else "all series"
        where = ", ".join(dict.fromkeys(place_name(row.place) for row in ours))
        alone = {(row.place, row.series, row.x) for row in ours}
        shown = (
            _mean_sd([row.value for row in ours], "%") if len(alone) == 1 else "see the chart" if alone else "not run"
        )
        metric = paper.metric(value.metric, [50.0])["label"]
        lines.append((label, where or "–", metric, _x(value.x) or "–", value.shown, shown, value.source))
    columns = ("Series", "Where", "Metric", "x", "Published (%)", "Here (mean ± sd)", "Source")
    return _table("Published numbers", columns, lines, (3, 4, 5))


def _numbers_table(rows: Sequence[Row], paper: Paper) -> Any:
    """Every point of the charts as text."""
    found: dict[tuple[tuple[str, str], str, str, X], list[float]] = {}
    for row in rows:
        found.setdefault((row.place, row.metric, row.series, row.x), []).append(row.value)
    lines = []
    for (place, metric, series, x), values in found.items():
        about = paper.metric(metric, values)
        interval = t_interval(values)
        digits = 1 if about["unit"] == "%" else 3
        lines.append(
            (
                paper.series_label(series),
                place_name(place),
                about["label"],
                _x(x) or "–",
                _mean_sd(values, about["unit"]),
                f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}".replace("-", "−") if interval else "–",
                str(len(values)),
            )
        )
    columns = ("Series", "Where", "Metric", "x", "Mean ± sd", "95 % interval", "Seeds")
    return _table("All points of the charts as a table", columns, lines, (3, 4, 5, 6))


def _method_table(figure: FigureText, rows: Sequence[Row], values: Sequence[Value], paper: Paper) -> Any:
    """Table 1: one row a panel, setting and method, ours beside the published, whether run or not."""
    places = list(dict.fromkeys(row.place for row in rows)) or [
        (name, "") for name in dict.fromkeys(value.panel.strip("*") for value in values)
    ]
    lines = []
    for place in places:
        here = [row for row in rows if row.place == place]
        printed = [value for value in values if value.is_at(place)]
        there = dict.fromkeys([*(row.series for row in here), *(value.series or "" for value in printed)])
        known = [name for name in figure.row_order if name in there]
        for series in [*known, *(name for name in there if name not in known)]:
            cells = [paper.series_label(series), place_name(place)]
            seeds = 0
            for metric in figure.metrics:
                mine = points([row for row in here if row.metric == metric], series)
                ours = [value for found in mine.values() for value in found]
                seeds = max(seeds, len(ours))
                cells.append(_mean_sd(ours, "%") if ours else "not run")
                texts = [
                    f"{value.shown}{' elsewhere' if value.elsewhere else ''}"
                    for value in printed
                    if value.series == series and value.metric == metric
                ]
                cells.append("; ".join(texts) or "–")
            lines.append((*cells, str(seeds) if seeds else "–"))
    columns = ["Method", "Data"]
    for metric in figure.metrics:
        label = paper.metric(metric, [50.0])["label"]
        columns += [f"{label}, here (%)", "published (%)"]
    title = f"{figure.name}, here beside the published numbers (mean ± sd over seeds)"
    return _table(title, [*columns, "Seeds"], lines, range(2, len(columns) + 1), open=True)


def _mean_sd(values: Sequence[float], unit: str) -> str:
    digits = 1 if unit == "%" else 3
    spread = sd(values)
    shown = f"{mean(values):.{digits}f}" + (f" ± {spread:.{digits}f}" if spread is not None else "")
    return shown.replace("-", "−")


def _csv_link(path: Path, base: Path) -> tuple[str, str]:
    """The link to a figure's data, and where it leads."""
    content = path.read_bytes()
    if len(content) <= _MAX_CSV_BYTES:
        return "data:text/csv;base64," + base64.b64encode(content).decode(), "held in this page"
    return quote(os.path.relpath(path, base or ".")), "a file beside this page"


def _strips(folder: Path, pictures: bool) -> tuple[list[dict[str, Any]], str]:
    """Pictures of each class in the order of their names, small; or a note on why there are none."""
    classes = sorted(item for item in folder.iterdir() if item.is_dir()) if folder.is_dir() else []
    if not classes:
        return [], ""
    if not pictures:
        return [], _NOT_SHOWN
    strips = []
    for item in classes:
        files = sorted(file for file in item.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
        shown = files[:_MAX_PICTURES]
        name = name_of(item.name).replace("_", " ")
        strips.append(
            {
                "name": name,
                "pictures": [
                    {"uri": _small(file), "alt": f"{name}, {place} of {len(shown)} from easy to hard"}
                    for place, file in enumerate(shown, 1)
                ],
            }
        )
    return strips, "From the easiest (first) to the hardest (last)."


def _small(path: Path) -> str:
    from PIL import Image

    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no picture: {error}", "Make it again with collect.py.") from None
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    sys.exit(main())
