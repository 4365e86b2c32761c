"""Figures about samples: how difficulty is distributed, where the carriers fall, what pruning removed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from spurcli.artifacts.envelope import canonical_json
from spurcli.reporting import statistics
from spurcli.reporting.document import Removed, RemovedPart, Report
from spurcli.reporting.drawing import COLORS, INK, MUTED, Figure, Panel, Style, spoken
from spurcli.reporting.scores_entry import ScoresEntry
from spurcli.words import counted, listed

_MAX_ROWS = 24
_MAX_ARMS = 6
_MAX_FIGURES = 8  # kinds of scoring
_MAX_OUTLINES = 8  # further files of one kind in its histogram
_QUARTILES = ("Q1\neasiest", "Q2", "Q3", "Q4\nhardest")
_CARRIERS, _REST = COLORS["vermillion"], COLORS["blue"]


def difficulty(report: Report) -> list[Figure]:
    """For each kind of scoring: the histograms of its files, carriers by quartile over all of them.

    Files of one kind are seeds of one scoring: they agree in score, epoch, data set, model and feature. For a model
    with unknown epoch, its other seeds cannot be identified.
    """
    series: dict[str, list[ScoresEntry]] = {}
    for scores in report.scores:
        about = scores.of if scores.epoch is None else bool(scores.of)
        told_by = [about, scores.name, scores.epoch, scores.view, scores.feature, scores.settings]
        series.setdefault(canonical_json(told_by), []).append(scores)
    kinds = list(series.values())
    headings = Counter(_heading(found) for found in kinds)
    figures = []
    for number, found in enumerate(kinds[:_MAX_FIGURES]):
        heading = _heading(found)
        place = f" · {found[0].file}" if headings[heading] > 1 else ""
        figures.append(_difficulty(found, number, f"{heading}{place}"))
    if left := [scores.file for found in kinds[_MAX_FIGURES:] for scores in found]:
        words = f" Only {_MAX_FIGURES} kinds of scoring are drawn; left out: {listed(left)}."
        figures[-1] = replace(figures[-1], caption=figures[-1].caption + words)
    return figures


def _heading(found: Sequence[ScoresEntry]) -> str:
    """The heading: scored by models trained for this, or by an existing model."""
    name, of, epoch = found[0].name, found[0].of, found[0].epoch
    if of and len(found) == 1:
        return f"Difficulty: {name} of {of}"
    models = f" of {counted(len(found), 'model')}" if of else ""
    return f"Difficulty: {name}{models}" + (f" after {counted(epoch, 'epoch')}" if epoch is not None else "")


def _difficulty(found: Sequence[ScoresEntry], number: int, heading: str) -> Figure:
    first = found[0]
    known = [scores.quartiles for scores in found if scores.quartiles]
    drawn = found[: 1 + _MAX_OUTLINES]
    title = f"Distribution of {first.name} over {counted(first.num_samples, 'training sample')}"
    panels = [Panel("histogram", _histograms(drawn), height=2.9, title=title, about=_spread(first))]
    for key, words in (("within_class", "within the class"), ("whole_set", "over all samples")):
        if known:
            shares = [quartiles.parts[key] for quartiles in known]
            title = f"Share of all carriers in each quartile of difficulty {words}"
            panels.append(Panel(key, _quartiles(shares, words), height=2.9, title=title, about=_four(_means(shares))))
    carriers = (
        f" Carriers of “{first.feature}”: {first.num_carriers:,} in the first file. In the quartile panels the "
        "dashed line is an even spread (25 %); dots are single files."
        if known
        else ""
    )
    part = first.num_shown < first.num_samples
    thinned = f" Every {-(-first.num_samples // first.num_shown)}th sample is used." if part else ""
    return Figure(
        name="difficulty" if not number else f"difficulty-{number + 1}",
        heading=heading,
        caption=f"Distribution in {first.file} ({counted(first.num_samples, 'training sample')}, mean of "
        f"{counted(first.num_runs, 'run')}), each curve as a share of its own samples."
        f"{_others(found)}{_agreement(found)}{carriers}{thinned}{_other_scores(first)}",
        panels=panels,
        columns=("part", "file", "from", "to", "carriers", "rest"),
        data=_rows(found),
        legend=[Style("carriers of the feature", _CARRIERS, ""), Style("all other samples", _REST, "")]
        if known
        else [],
    )


def _means(shares: Sequence[Sequence[float]]) -> list[float]:
    return [100 * statistics.mean([file[quartile] for file in shares]) for quartile in range(4)]


def _four(percents: Sequence[float]) -> str:
    names = ("easiest quarter", "second", "third", "hardest quarter")
    return spoken(f"{name} {percent:.0f} %" for name, percent in zip(names, percents, strict=True))


def _spread(scores: ScoresEntry) -> str:
    """Range of the values, and between which of them the middle half of the samples falls."""
    edges, parts = scores.histogram.edges, []
    for name, words in (("carriers", "of the carriers"), ("rest", "of the other samples")):
        shares = scores.histogram.parts[name]
        if shares is None or not sum(shares):
            continue
        sums = list(itertools.accumulate(shares))
        low, high = (next(n for n, total in enumerate(sums) if total >= at * sums[-1]) for at in (0.25, 0.75))
        parts.append(f"the middle half {words} from about {edges[low]:.3g} to {edges[high + 1]:.3g}")
    way = f"higher is {scores.higher_is}"
    return spoken([f"Values from {edges[0]:.3g} to {edges[-1]:.3g}, {way}", *parts])


def _others(found: Sequence[ScoresEntry]) -> str:
    """Which files are the thin lines of the histogram, and which are not in it."""
    names = [scores.file for scores in found[1:]]
    drawn, left = names[:_MAX_OUTLINES], names[_MAX_OUTLINES:]
    said = f" Thin lines: {listed(drawn)}." if drawn else ""
    return said + (f" Not drawn in the histogram, but in the data: {listed(left)}." if left else "")


def _other_scores(scores: ScoresEntry) -> str:
    return f" Scores in the file that are not drawn: {listed(scores.other_scores)}." if scores.other_scores else ""


def _agreement(found: Sequence[ScoresEntry]) -> str:
    """How well the runs within the files agree, over all files with several."""
    agreed = [scores.agreement for scores in found if scores.agreement]
    if not agreed:
        return ""
    spearman = statistics.mean([entry.spearman for entry in agreed])
    overlap = statistics.mean([entry.overlap_hardest_tenth for entry in agreed])
    return (
        f" Two runs of a file agree with Spearman {spearman:.2f} and have {100 * overlap:.0f} % of the hardest tenth in "
        "common (10 % by chance)."
    )


def _rows(found: Sequence[ScoresEntry]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for scores in found:
        histogram = scores.histogram
        edges = histogram.edges
        carriers: Sequence[float | None] = histogram.carriers or [None] * len(histogram.rest)
        for position, (share, rest) in enumerate(zip(carriers, histogram.rest, strict=True)):
            rows.append(("histogram", scores.file, edges[position], edges[position + 1], share, rest))
        for part, shares in (scores.quartiles.parts if scores.quartiles else {}).items():
            for quartile, share in enumerate(shares):
                rows.append((f"quartile {part}", scores.file, quartile + 1, quartile + 1, share, None))
    return rows


def _histograms(found: Sequence[ScoresEntry]) -> Any:
    """The first file filled, the others as thin lines."""
    scores = found[0]

    def draw(axes: Any) -> None:
        for name, color in (("rest", _REST), ("carriers", _CARRIERS)):
            for file in found:
                shares, edges = file.histogram.parts[name], file.histogram.edges
                if shares is None:
                    continue
                percent = [100 * share for share in shares]
                if file is scores:
                    axes.stairs(percent, edges, color=color, fill=True, alpha=0.15, linewidth=0)
                axes.stairs(percent, edges, color=color, linewidth=1.6 if file is scores else 0.6)
        way = "higher is harder" if scores.higher_is == "harder" else "higher is easier"
        axes.set_title("Distribution of difficulty")
        axes.set_xlabel(f"{scores.name} ({way})")
        axes.set_ylabel("% of samples in the bin")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")

    return draw


def _quartiles(shares: Sequence[Sequence[float]], words: str) -> Any:
    def draw(axes: Any) -> None:
        means = _means(shares)
        axes.bar(range(4), means, width=0.66, color=_CARRIERS, alpha=0.75)
        for quartile in range(4) if len(shares) > 1 else ():
            values = [100 * file[quartile] for file in shares]
            axes.plot([quartile] * len(values), values, "o", color=INK, markersize=2.6, alpha=0.7, mew=0)
        axes.axhline(25, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        top = max(25.0, *[100 * share for file in shares for share in file])
        for quartile, value in enumerate(means):
            axes.text(quartile, 0.02 * top, f"{value:.0f} %", ha="center", va="bottom", color=INK)
        axes.set_ylim(0, 1.1 * top)
        axes.set_xticks(range(4), _QUARTILES)
        axes.set_title(f"Carriers by quartile {words}")
        axes.set_xlabel(f"quartile of difficulty {words}")
        axes.set_ylabel("% of all carriers")

    return draw


def removed(report: Report, styles: Sequence[Style]) -> Figure | None:
    """Share removed of each class, group and quartile, for each arm that was pruned and each unused list.

    `styles` are those of the arms, then of the lists.
    """
    parts: list[tuple[Style, Removed]] = []
    for position, arm in enumerate(report.arms):
        if arm.removed and arm.removed not in [
            found for _, found in parts
        ]:  # the same lists, evaluated on several splits
            parts.append((styles[position], arm.removed))
    for number, entry in enumerate(report.lists):
        if entry.removed:
            style = styles[len(report.arms) + number]
            parts.append((replace(style, label=f"{style.label} (list only)"), entry.removed))
    if not parts:
        return None
    shown = parts[:_MAX_ARMS]
    panels, even = [], ""
    for key, title in (
        ("by_quartile", "by quartile of difficulty"),
        ("by_class", "by class"),
        ("by_group", "by group"),
    ):
        names = list(dict.fromkeys(row.name for _, summary in shown for row in summary.parts[key]))
        if key == "by_class" and all(_even(summary.parts[key]) for _, summary in shown):
            even = " Each rule removed the same share of every class."
        elif names:
            height = 2.9 if key == "by_quartile" else 0.75 + 0.2 * min(len(names), _MAX_ROWS)
            about = spoken(_removed_in_words(style, summary.parts[key]) for style, summary in shown)
            draw = _shares(shown, key, names, f"Removed {title}")
            panels.append(Panel(key, draw, height=max(height, 1.6), title=f"Share removed {title}", about=about))
    if not panels:
        return None
    averaged = ", mean over the lists of a rule" if any(summary.num_lists > 1 for _, summary in shown) else ""
    hidden = f" The first {_MAX_ARMS} of {len(parts)} rules." if len(parts) > _MAX_ARMS else ""
    return Figure(
        name="removed",
        heading="What pruning removed",
        caption=f"Share of the training samples of each quartile, class or group that was removed{averaged}.{even}{hidden}",
        panels=panels,
        columns=("rule", "part", "name", "share_removed", "mean_num_removed", "mean_num_samples"),
        data=[
            (style.label, key, row.name, row.share, row.num_removed, row.num_samples)
            for style, summary in parts
            for key in ("by_quartile", "by_class", "by_group")
            for row in summary.parts[key]
        ],
        legend=[style for style, _ in shown],
    )


def _removed_in_words(style: Style, rows: Sequence[RemovedPart]) -> str:
    shares = listed([f"{row.name} {100 * row.share:.0f} %" for row in rows])
    return f"{style.label}: {shares or 'nothing known'}"


def _even(rows: Sequence[RemovedPart]) -> bool:
    """Whether all shares are equal up to the rounding of counts: such a panel has no information."""
    shares = [row.share for row in rows]
    return not shares or max(shares) - min(shares) <= max(1 / max(1, row.num_samples) for row in rows)


def _shares(shown: Sequence[tuple[Style, Removed]], key: str, names: Sequence[str], title: str) -> Any:
    names, hidden = names[:_MAX_ROWS], len(names) - _MAX_ROWS

    def draw(axes: Any) -> None:
        for number, (style, summary) in enumerate(shown):
            shift = 0.12 * (number - (len(shown) - 1) / 2)
            shares = {row.name: 100 * row.share for row in summary.parts[key]}
            at = [position for position, name in enumerate(names) if name in shares]
            values = [shares[names[position]] for position in at]
            if key == "by_quartile":
                axes.plot(at, values, color=style.color, marker=style.marker, linestyle=style.dashes, markersize=5.5)
            else:
                axes.plot(values, [y + shift for y in at], style.marker, color=style.color, markersize=5, alpha=0.9)
        axes.set_title(title)
        if key == "by_quartile":
            axes.set_xticks(range(len(names)), _QUARTILES if list(names) == ["1", "2", "3", "4"] else names)
            axes.set_ylabel("% removed")
            axes.set_xlabel("quartile of difficulty")
            axes.set_ylim(bottom=0)
            axes.grid(axis="y")
        else:
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.set_xlim(left=min(0, axes.get_xlim()[0]))
            axes.set_xlabel(
                "% removed" + (f" (the first {_MAX_ROWS}; {hidden} more in the report)" if hidden > 0 else "")
            )
            axes.grid(axis="x")
            axes.grid(axis="y", alpha=0.15)

    return draw
