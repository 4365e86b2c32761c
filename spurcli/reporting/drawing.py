"""How figures are drawn: one small panel at a time, as SVG that takes the page's text colour, or as PDF.

The bytes are a function of the numbers: fixed id salt, no dates. Matplotlib is imported on first use.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

# Okabe and Ito (2008) without black and yellow, which are invisible on one of the two backgrounds.
COLORS = {"blue": "#0072B2", "vermillion": "#D55E00", "green": "#009E73", "purple": "#CC79A7"}
OTHER_COLORS = ("#56B4E9", "#E69F00", "#8C8C8C")
# Two colours that are not used otherwise; in SVG they become currentColor, the muted one at 60 %.
INK, MUTED = "#010203", "#010204"
_PRINT_INK, _PRINT_MUTED = "#1a1a1a", "#666666"
WIDTH, FONT_SIZE = 5.2, 9.5


@dataclass(frozen=True)
class Style:
    """How an arm is drawn everywhere; the marker "d" is hollow, without dashes there is no line."""

    label: str
    color: str
    marker: str = "o"
    dashes: str = "-"


@dataclass(frozen=True)
class Panel:
    """One pair of axes: `draw(axes)` puts the content in; `height` and `width` in inches.

    `title` and `about` are read by screen readers: the content of the picture, and its numbers as text.
    """

    name: str
    draw: Callable[[Any], None]
    height: float = 3.0
    width: float = WIDTH
    title: str = ""
    about: str = ""


@dataclass(frozen=True)
class Figure:
    """Panels under one heading, a caption that says how to read them, and their data as a table."""

    name: str
    heading: str
    caption: str
    panels: Sequence[Panel]
    columns: Sequence[str]
    data: Sequence[Sequence[Any]]
    legend: Sequence[Style] = field(default=())


def render_svg(
    panel: Panel, *, prefix: str, legend: Sequence[Style] = (), inline: bool = True, title: str = "", about: str = ""
) -> str:
    """The panel as SVG with all ids starting with `prefix`; `inline` leaves out the parts that only a separate file needs.

    `title` and what it is `about` are for screen readers (default: the panel's).
    """
    buffer = io.StringIO()
    _save(panel, legend, buffer, "svg", {"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r"<style type=\"text/css\">.*?</style>\s*", "", svg, flags=re.DOTALL
    )  # its "*" would apply to the full page
    svg = re.sub(r"<defs>\s*</defs>\s*", "", svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'(?:xlink:)?href="#', f'href="#{prefix}-', svg)
    svg = re.sub(rf"(fill|stroke): {INK}", r"\1: currentColor", svg)
    svg = re.sub(rf"(fill): {MUTED}", r"\1: currentColor; fill-opacity: .65", svg)
    svg = re.sub(rf"(stroke): {MUTED}", r"\1: currentColor; stroke-opacity: .45", svg)
    svg = svg.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box is not None  # matplotlib always writes one
    space = "" if inline else ' xmlns="http://www.w3.org/2000/svg"'
    words = [
        (kind, escape(text)) for kind, text in (("title", title or panel.title), ("desc", about or panel.about)) if text
    ]
    names = f' aria-labelledby="{" ".join(f"{prefix}-{kind}" for kind, _ in words)}"' if words else ""
    root = f'<svg{space} {box[0]} role="img"{names} style="stroke-linejoin:round;stroke-linecap:butt">'
    root += "".join(f'<{kind} id="{prefix}-{kind}">{text}</{kind}>' for kind, text in words)
    return root + svg[svg.index(">") + 1 :].strip() + "\n"


def render_pdf(panel: Panel, legend: Sequence[Style] = ()) -> bytes:
    buffer = io.BytesIO()
    _save(panel, legend, buffer, "pdf", {"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()


def render_png(panel: Panel, legend: Sequence[Style] = ()) -> bytes:
    """PNG on white at 200 pixels per inch, for slides and programs that show no SVG."""
    buffer = io.BytesIO()
    _save(panel, legend, buffer, "png", {"Software": None})
    return buffer.getvalue()


def _save(panel: Panel, legend: Sequence[Style], target: Any, kind: str, metadata: dict[str, object]) -> None:
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    size = (panel.width, panel.height + 0.2 * len(legend))
    with matplotlib.rc_context(_settings()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names in scripts that the font lacks: the viewer's font has them
        figure = Canvas(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        panel.draw(axes)
        if legend:
            figure.legend(handles=[_handle(style) for style in legend], loc="outside lower left", frameon=False)
        if kind in ("pdf", "png"):
            _recolor(figure)
        figure.savefig(
            target, format=kind, metadata=metadata, transparent=kind != "png", dpi=200 if kind == "png" else "figure"
        )


def _settings() -> Any:
    return {
        "font.family": "DejaVu Sans",
        "font.size": FONT_SIZE,
        "text.parse_math": False,  # a class called "$x$" is a name
        "svg.fonttype": "none",
        "svg.hashsalt": "spurcli",
        "pdf.fonttype": 42,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": FONT_SIZE + 1,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlecolor": INK,
        "axes.titlepad": 8,
        "axes.labelpad": 5,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": MUTED,
        "grid.linewidth": 0.5,
        "grid.alpha": 0.35,
        "text.color": INK,
        "xtick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.color": MUTED,
        "ytick.labelcolor": INK,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "legend.fontsize": FONT_SIZE,
        "lines.linewidth": 1.6,
    }


def _handle(style: Style) -> Any:
    from matplotlib.lines import Line2D

    dashes: Any = style.dashes
    fill: Any = "none" if style.marker == "d" else "full"
    return Line2D([], [], color=style.color, marker=style.marker, linestyle=dashes, fillstyle=fill, label=style.label)


def _recolor(figure: Any) -> None:
    """Real colours in place of the two that only mean something in SVG."""
    from matplotlib.colors import to_hex

    stands_for = {INK: _PRINT_INK, MUTED: _PRINT_MUTED}
    for artist in figure.findobj():
        for kind in ("color", "edgecolor", "facecolor"):
            getter, setter = getattr(artist, f"get_{kind}", None), getattr(artist, f"set_{kind}", None)
            if getter is None or setter is None:
                continue
            try:
                color = to_hex(getter())
            except (ValueError, TypeError):
                continue
            if color in stands_for and artist.get_visible():
                setter(stands_for[color])


def spoken(parts: Iterable[str], most: int = 12) -> str:
    """Parts of a panel's description as one sentence; the figure's table has the rest of many."""
    found = list(parts)
    more = f"; and {len(found) - most} more in the table below" if len(found) > most else ""
    return f"{'; '.join(found[:most])}{more}."


def share_axis(axis: Any, values: Sequence[float], *, unit: str, zero: bool = False) -> None:
    """Limits around `values` (in the axis' own units) with a margin; `zero` starts at zero."""
    if not values:
        return
    low, high = min(values), max(values)
    least = 1.0 if unit == "%" else 0.01
    air = max(0.08 * (high - low), least / 2)
    low = 0 if zero else (max(0.0, low - air) if low >= 0 else low - air)
    axis(low, high + air)


def scaled(value: float, unit: str) -> float:
    """A share in percent; other values as they are."""
    return 100 * value if unit == "%" else value
