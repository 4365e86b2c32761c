"""The small pictures of docs/measures.md, drawn from two normal distributions and no data.

    python docs/measures/draw.py [FOLDER]

On the axis is L = z_c1 − max of the other logits. P is the feature's class, N all others; 0 without the feature (solid),
1 with it (dashed). The feature shifts every sample by the same amount; the model predicts c1 to the right of the threshold.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

WIDTH, HEIGHT, BASE, SCALE, TOP = 360, 130, 100, 34.0, 75.0
DISTANCE, SHIFT, THRESHOLD, MATCHED = 2.6, 1.2, 1.9, 1.3
CENTRES = {"N0": 0.0, "N1": SHIFT, "P0": DISTANCE, "P1": DISTANCE + SHIFT}
BLUE, ORANGE, GREY, INK = "#1f5fa8", "#c45a11", "#b9b9b9", "#222222"


def x_of(value: float) -> float:
    return 105 + SCALE * value


def density(centre: float, value: float) -> float:
    return math.exp(-((value - centre) ** 2) / 2)


def curve(name: str, *, pale: bool) -> str:
    centre, colour = CENTRES[name], GREY if pale else (BLUE if name[0] == "P" else ORANGE)
    values = [centre - 2.9 + 0.1 * step for step in range(59)]
    points = " ".join(f"{x_of(v):.1f},{BASE - TOP * density(centre, v):.1f}" for v in values)
    dash = ' stroke-dasharray="4 3"' if name[1] == "1" else ""
    label = "" if pale else text(x_of(centre), BASE - TOP - 6, name, colour)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>{label}'


def text(x: float, y: float, words: str, colour: str = INK, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{words}</text>'


def area(top: Callable[[float], float], low: float, high: float, colour: str) -> str:
    """The area under a curve between two values of L."""
    values = [low + (high - low) * step / 40 for step in range(41)]
    points = " ".join(f"{x_of(v):.1f},{BASE - TOP * top(v):.1f}" for v in values)
    return f'<polygon points="{x_of(low):.1f},{BASE} {points} {x_of(high):.1f},{BASE}" fill="{colour}" opacity="0.35"/>'


def arrow(low: float, high: float, y: float, words: str, colour: str = INK) -> str:
    """A double arrow between two values of L, with words to the right of it."""
    left, right = x_of(low), x_of(high)
    heads = "".join(
        f'<path d="M{at:.1f} {y} l{4 * way} -3 v6 z" fill="{colour}"/>' for at, way in ((left, 1), (right, -1))
    )
    line = f'<line x1="{left:.1f}" y1="{y}" x2="{right:.1f}" y2="{y}" stroke="{colour}"/>'
    return line + heads + text(right + 6, y + 4, words, colour, "start")


def threshold(value: float, words: str, *, pale: bool = False) -> str:
    colour = GREY if pale else INK
    line = f'<line x1="{x_of(value):.1f}" y1="14" x2="{x_of(value):.1f}" y2="{BASE}" stroke="{colour}" stroke-dasharray="1 2"/>'
    return line + text(x_of(value), 11, words, colour)


def picture(title: str, shown: Sequence[str], *more: str) -> str:
    curves = "".join(curve(name, pale=name not in shown) for name in sorted(CENTRES, key=lambda name: name in shown))
    axis = f'<line x1="10" y1="{BASE}" x2="{WIDTH - 10}" y2="{BASE}" stroke="{INK}"/>' + text(
        WIDTH - 14, BASE + 12, "L"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11" role="img"><title>{title}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>{axis}{"".join(more)}{curves}</svg>\n'
    )


def pictures() -> dict[str, str]:
    """Name → SVG."""

    def flipped(value: float) -> float:
        """Density of N1 that was left of the threshold without the feature."""
        return density(CENTRES["N1"], value) if value - SHIFT < THRESHOLD else 0.0

    edge = 5.2
    return {
        "background_auroc": picture("Background AUROC: P0 against N0", ["P0", "N0"]),
        "subgroup_auroc": picture("Subgroup AUROC: P1 against N1, shifted by the same amount", ["P1", "N1"]),
        "bpsn_auroc": picture("BPSN AUROC: P0 against N1; the shift moves them closer", ["P0", "N1"]),
        "bnsp_auroc": picture("BNSP AUROC: P1 against N0; the shift moves them apart", ["P1", "N0"]),
        "auroc_gap": picture("AUROC gap: P0 against N0, minus P0 against N1", ["P0", "N0", "N1"]),
        "probit_gap": picture(
            "Probit gap: the shift in standard deviations", ["N0", "N1"],
            arrow(0, SHIFT, 112, "shift in standard deviations"),
        ),
        "feature_effect": picture(
            "Feature effect: the shift divided by the distance between the classes", ["N0", "N1", "P0"],
            arrow(0, SHIFT, 110, "shift …", ORANGE),
            arrow(0, DISTANCE, 122, "… divided by the class distance", BLUE),
        ),
        "flip_rate": picture(
            "Flip rate: the samples that cross the threshold when the feature is added", ["N0", "N1"],
            area(flipped, THRESHOLD, THRESHOLD + SHIFT, ORANGE), threshold(THRESHOLD, "threshold"),
        ),
        "matched": picture(
            "Matched threshold: without the feature, misses and false alarms are equal in number", ["P0", "N0", "N1"],
            area(lambda v: density(0, v), MATCHED, 3.0, ORANGE),
            area(lambda v: density(DISTANCE, v), DISTANCE - 2.9, MATCHED, BLUE),
            threshold(THRESHOLD, "", pale=True), threshold(MATCHED, "matched"),
        ),
        "spurious_misclassification": picture(
            "Spurious misclassification: N1 beyond the threshold, because of both shift and threshold", ["N1"],
            area(lambda v: density(SHIFT, v), THRESHOLD, edge, ORANGE), threshold(THRESHOLD, "threshold"),
        ),
    }  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, svg in pictures().items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
