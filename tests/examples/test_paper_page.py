"""The page of examples/paper: made from made-up numbers, whole, alone, and right.

Every number here comes from a seeded generator and means nothing.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import itertools
import json
import math
import random
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

PAPER = Path(__file__).parents[2] / "examples" / "paper"
SEEDS = ("1", "2", "3", "4", "5")
VOID = {"meta", "img", "br", "link", "input", "hr"}
FRACTIONS = (0, 10, 25, 40, 50, 75, 90)


@pytest.fixture
def paper(monkeypatch):
    """The modules of the folder, imported as `python page.py` does, and forgotten again."""
    names = ("tidy", "charts", "verdicts", "page")
    monkeypatch.syspath_prepend(str(PAPER))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import page

    yield page
    for name in names:
        sys.modules.pop(name, None)


def synthetic(out: Path, seeds=SEEDS) -> Path:
    """A folder as collect.py writes it, with made-up numbers for every figure."""
    chance = random.Random(0)
    tables: dict[str, list[tuple]] = {}

    def add(figure, panel, setting, series, x, metric, level, spread=1.5):
        for seed in seeds:
            value = min(100.0, max(0.0, chance.gauss(level, spread)))
            tables.setdefault(figure, []).append((figure, panel, setting, series, x, seed, metric, f"{value:.4f}"))

    for x in (0, 1, 10, 50):
        add("fig1a", "", "celeba48", "erm", x, "conflict_accuracy", 68 - 6 * x**0.5)
    groups = ("women_no_glasses", "women_glasses", "men_no_glasses", "men_glasses")
    for setting, (group, level) in itertools.product(
        ("glasses_10", "glasses_50"), zip(groups, (10, 40, 20, 8), strict=True)
    ):
        add("fig1b", "training samples", setting, "stage1", group, "share_wrong", level)
    for size, (series, rise) in itertools.product((1, 2, 3), (("in_hardest", 9), ("in_easiest", 0.5), ("none", 0))):
        add("fig2ab", "", "cifar10s", series, f"S{size}", "spurious_misclassification", 3 + rise * size)
    for epoch in range(1, 13):
        add("fig2cd", "", "cifar10s", "in_hardest", epoch, "spurious_misclassification", 5 + 2.5 * epoch, 3)
        add("fig2cd", "", "cifar10s", "in_easiest", epoch, "spurious_misclassification", 25 * math.exp(-epoch / 4) + 3)
    for place in range(0, 5000, 700):
        add("fig3", "", "cifar10s", "slice", place, "spurious_misclassification", 3 + 22 * (place / 4900) ** 3, 2)
    for metric, levels in (("conflict_accuracy", (35, 50, 36, 37)), ("accuracy", (80, 80, 79, 80))):
        add("fig4", "", "celeba48", "erm", "", metric, levels[0])
        for series, level in zip(("carriers_hardest", "carriers_easiest", "carriers_random"), levels[1:], strict=True):
            for x in (10, 20, 40):
                add("fig4", "", "celeba48", series, x, metric, level + (x / 4 if metric != "accuracy" else 0))
    for panel, setting, shares in (
        ("unidentifiable", "cifar10s", (22, 24, 28, 26)),
        ("unidentifiable", "celeba48", (25, 26, 24, 25)),
        ("identifiable", "waterbirds", (45, 30, 15, 10)),
    ):
        for quartile, level in enumerate(shares, 1):
            add("fig5", panel, setting, "whole_set", f"Q{quartile}", "share_of_carriers", level)
            add("fig5", panel, setting, "within_class", f"Q{quartile}", "share_of_carriers", (level + 25) / 2)
    for figure, setting, metric, sign in (
        ("fig6", "celeba48", "conflict_accuracy", 1),
        ("fig7", "cifar10s setting 2", "spurious_misclassification", -1),
        ("fig8", "waterbirds", "worst_group_accuracy", 1),
    ):
        for x, series in itertools.product(FRACTIONS, ("erm", "hardest", "random")):
            if (series == "erm") == (x == 0):
                gain = sign * x / 6 if series == "hardest" else 0
                add(figure, "", setting, series, x, metric, (16 if sign < 0 else 40) + gain, 2.5)
                add(figure, "", setting, series, x, "accuracy", 80 - x / (8 if series == "hardest" else 20))
    for position in range(0, 101, 10):
        add("fig9", "", "planes", "airplane", position, "el2n", position / 80, 0.03)
    for panel, names in (
        ("waterbirds", ("erm", "pruning", "random", "group_dro", "jtt", "cnc", "pde", "dfr_train", "dfr_val", "subg")),
        ("multinli", ("erm", "pruning", "random", "jtt")),
    ):
        for position, name in enumerate(names):
            add("table1", panel, "small", name, "", "worst_group_accuracy", 30 + 4 * position, 4)
            add("table1", panel, "small", name, "", "adjusted_mean_accuracy", 92 - position)
    for series, level in (("in_hardest", 5), ("in_easiest", 40), ("none", 55)):
        add("a4", "i", "small", series, "", "worst_group_accuracy", level, 3)
    for series, level in (("carriers_hardest", 50), ("carriers_easiest", 41), ("erm", 40)):
        add("a4", "ii", "small", series, "", "worst_group_accuracy", level, 3)
    for quartile, level in enumerate((55, 20, 14, 11), 1):
        add("a4", "iii", "small", "whole_set", f"Q{quartile}", "share_of_carriers", level)

    (out / "data").mkdir(parents=True)
    for figure, rows in tables.items():
        write(out, figure, rows)
    ran = {"size": "cpu", "dataset": "made up", "samples": 5000, "model": "none", "epochs": 3, "image_size": 48,
           "seeds": [1, 2, 3, 4, 5], "version": "0.1.0", "cpu_seconds": 1234.5}  # fmt: skip
    (out / "data" / "runs.json").write_text(json.dumps(dict.fromkeys(tables, ran)), encoding="utf-8")
    return out


def write(out: Path, figure: str, rows) -> None:
    (out / "data").mkdir(parents=True, exist_ok=True)
    with (out / "data" / f"{figure}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("figure", "panel", "setting", "series", "x", "seed", "metric", "value"))
        writer.writerows(rows)


class Page(HTMLParser):
    """Checks that tags nest, and keeps what a test asks for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.ids, self.text = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The page of all figures, made by the command itself; (folder, text)."""
    folder = tmp_path_factory.mktemp("made")
    synthetic(folder / "out")
    done = run(folder / "out", "-o", folder / "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    return folder, (folder / "page.html").read_text(encoding="utf-8")


def run(*words):
    command = [sys.executable, PAPER / "page.py", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def section(text: str, figure: str) -> str:
    """The words of one figure, without its charts."""
    found = re.search(rf'<section id="{figure}">(.*?)</section>', text, flags=re.DOTALL)
    words = re.sub(r"<svg.*?</svg>|<[^>]+>", " ", found[1], flags=re.DOTALL)
    return " ".join(html.unescape(words).replace("\u00a0", " ").split())


def one(paper, folder, figure, rows):
    """(FigureText, rows) of a CSV with these rows; a row is (panel, setting, series, x, seed, metric, value)."""
    write(folder, figure, [(figure, *row) for row in rows])
    text = next(item for item in paper.load_paper().figures if item.id == figure)
    return text, paper.load_rows(folder / "data" / f"{figure}.csv", figure)


def test_the_page_nests_has_every_figure_and_loads_nothing(made):
    folder, text = made
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    figures = [name for name in page.ids if re.fullmatch(r"(fig|table|a)\d[a-d]*", name)]
    assert figures == ["fig1a", "fig1b", "fig2ab", "fig2cd", "fig3", "fig4", "fig5", "fig6", "fig7", "fig8", "fig9", "table1", "a4"]  # fmt: skip
    assert "script" not in page.tags
    assert "link" not in page.tags
    links = [value for _, name, value in page.attributes if name in ("href", "src", "xlink:href", "srcset")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert {link[1:] for link in links if link.startswith("#")} <= set(page.ids)
    assert not re.search(r"url\((?!#)|@import|https?://", re.sub(r"data:[^\"]+", "", text))
    assert len(text.encode()) < 3_000_000
    assert str(folder) not in text


def test_every_chart_says_what_it_shows(made):
    _, text = made
    drawings = re.findall(r'<svg[^>]*role="img"[^>]*>.*?</svg>', text, flags=re.DOTALL)
    assert len(drawings) > 20
    for drawing in drawings:
        title, about = re.search(r'aria-labelledby="(\S+) (\S+)"', drawing).groups()
        assert f'<title id="{title}">' in drawing
        assert re.search(rf'<desc id="{about}">[^<]*Means: [^<]*\d', drawing)


def test_the_data_is_one_click_away_and_whole(made):
    folder, text = made
    links = re.findall(r'<a download="(\w+)\.csv" href="data:text/csv;base64,([^"]+)"', text)
    assert len(links) == 13
    for figure, content in links:
        assert base64.b64decode(content) == (folder / "out" / "data" / f"{figure}.csv").read_bytes()


def test_a_large_csv_is_a_file_beside_the_page(paper, tmp_path):
    rows = [
        ("fig3", "", "x" * 60, "slice", x, seed, "spurious_misclassification", x / 3)
        for x in range(700)
        for seed in range(6)
    ]
    write(tmp_path / "out & more", "fig3", rows)
    link, _ = paper._csv_link(tmp_path / "out & more" / "data" / "fig3.csv", tmp_path)
    assert link == "out%20%26%20more/data/fig3.csv"


def test_what_was_not_run_is_said_and_nothing_is_drawn_for_it(paper, tmp_path):
    (tmp_path / "data").mkdir()
    text = paper.page(tmp_path, paper.load_paper(), base=tmp_path)
    Page(text)
    assert text.count("Verdict:</b> not run.") == 13
    assert 'role="img"' not in text
    assert "0 of 13 run" in text
    table = section(text, "table1")  # the published numbers stand there all the same
    assert "Pruning (the paper) waterbirds not run 90.93 (0.58) not run 92.48 (0.72)" in table


def test_names_are_text(paper, tmp_path):
    hostile = "<script>alert('x')</script>\u202e&amp;"
    rows = [
        ("fig4", hostile, hostile, hostile, x, seed, "accuracy", 50 + seed) for x in (hostile, 3) for seed in (1, 2, 3)
    ]
    write(tmp_path, "fig4", rows)
    (tmp_path / "data" / "runs.json").write_text(json.dumps({"fig4": {hostile: hostile, "seeds": [hostile]}}))
    text = paper.page(tmp_path, paper.load_paper(), base=tmp_path)
    page = Page(text)
    assert "script" not in page.tags
    assert "\u202e" not in text
    assert "alert('x')" in " ".join(page.text)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("figure,series\n", "columns"),
        ("HEAD\nfig3,,,slice,0,1,accuracy,nan\n", "line 2: 'nan' is no number"),
        ("HEAD\nfig4,,,slice,0,1,accuracy,3\n", "line 2: of figure 'fig4'"),
        ("HEAD\nfig3,,,slice,0,1\n", "line 2: not 8 fields"),
        ("HEAD\nfig3,,,slice,0,1,accuracy,3\nfig3,,,slice,0.0,1,accuracy,4\n", "line 3: a second value"),
        ("HEAD\nfig3,,,\udcff,0,1,accuracy,3\n", "cannot be read"),
    ],
)
def test_a_csv_that_is_off_is_named(tmp_path, content, problem):
    write(tmp_path, "fig3", [])
    path = tmp_path / "data" / "fig3.csv"
    head = path.read_text().strip()
    path.write_bytes(content.replace("HEAD", head).encode(errors="surrogateescape"))
    done = run(tmp_path, "-o", tmp_path / "page.html")
    assert done.returncode == 3
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_numbers_of_the_table_are_those_of_a_slow_calculation(made):
    """Mean, sd and 95 % interval, with the quantile of Student's t found by integrating its density."""
    folder, text = made
    with (folder / "out" / "data" / "fig6.csv").open(encoding="utf-8") as file:
        values = [
            float(row["value"])
            for row in csv.DictReader(file)
            if (row["series"], row["x"], row["metric"]) == ("hardest", "50", "conflict_accuracy")
        ]
    assert len(values) == 5
    center = sum(values) / 5
    spread = math.sqrt(sum((value - center) ** 2 for value in values) / 4)
    half = slow_t975(4) * spread / math.sqrt(5)
    assert (
        f"hardest removed celeba48 Conflict accuracy 50 {center:.1f} ± {spread:.1f} "
        f"{center - half:.1f} to {center + half:.1f} 5"
    ) in section(text, "fig6")


def slow_t975(degrees: int) -> float:
    """Where the integral of Student's density from 0 is 0.475, by the midpoint rule."""
    scale = math.gamma((degrees + 1) / 2) / (math.sqrt(degrees * math.pi) * math.gamma(degrees / 2))
    area, t, step = 0.0, 0.0, 1e-4
    while area < 0.475:
        area += step * scale * (1 + (t + step / 2) ** 2 / degrees) ** (-(degrees + 1) / 2)
        t += step
    return t


def test_verdicts_are_paired_by_seed(paper, tmp_path):
    """By hand: hardest − random is −4, −6, −8 over the three seeds both have; the fourth of one arm does not count."""
    metric = "spurious_misclassification"
    rows = [
        ("", "cifar10s setting 2", "hardest", 20, seed, metric, value) for seed, value in enumerate((10, 30, 50, 99))
    ]
    rows += [
        ("", "cifar10s setting 2", "random", 20, seed, metric, value) for seed, value in ((2, 58), (1, 36), (0, 14))
    ]
    rows += [("", "cifar10s setting 2", "erm", 0, seed, metric, value) for seed, value in enumerate((11, 29, 52))]
    rows += [("", "t", "hardest", 20, 0, metric, 1), ("", "t", "random", 50, 0, metric, 1)]  # no pair: another fraction
    found = paper.verdicts(*one(paper, tmp_path, "fig7", rows), paper.load_paper())
    assert [verdict.what for verdict in found] == ["hardest removed − random removed, same counts", "hardest removed − ERM, all samples"]  # fmt: skip
    first, second = found
    assert first.difference.mean == pytest.approx(-6)
    assert first.difference.se == pytest.approx(2 / math.sqrt(3))
    half = slow_t975(2) * 2 / math.sqrt(3)
    assert first.difference.interval == pytest.approx([-6 - half, -6 + half], abs=1e-3)
    assert (first.x, first.difference.num_better, first.difference.num_pairs) == (20, 3, 3)
    assert (first.outcome, second.outcome) == ("as the paper says", "not settled")
    assert second.difference.mean == pytest.approx(-2 / 3)


@pytest.mark.parametrize(
    ("shape", "outcomes"),
    [
        (lambda x: x**2 / 100, ["as the paper says", "as the paper says"]),
        (lambda x: 10 * x**0.5, ["as the paper says", "the opposite"]),
        (lambda x: 50 - x / 2, ["the opposite", "not settled"]),
    ],
)
def test_a_curve_is_super_linear_where_it_bends_upwards(paper, tmp_path, shape, outcomes):
    noise = (-0.02, 0.01, 0.01)
    rows = [
        ("", "s", "slice", x, seed, "spurious_misclassification", shape(x) + noise[(seed + x) % 3] * 3)
        for x in (0, 10, 30, 70, 100)  # not evenly spaced
        for seed in range(3)
    ]
    found = paper.verdicts(*one(paper, tmp_path, "fig3", rows), paper.load_paper())
    assert [verdict.outcome for verdict in found] == outcomes
    assert found[1].difference.mean == pytest.approx(shape(0) + 0.3 * (shape(100) - shape(0)) - shape(30), abs=0.2)


def test_groups_are_compared_by_name_and_only_where_both_are_there(paper, tmp_path):
    """By hand: blond men are wrong 30, 32 and 28 points more often; no woman wears glasses in these training samples."""
    wrong = {
        "hair": {"not_blond_women": (1, 2, 1), "blond_men": (80, 81, 79), "blond_women": (50, 49, 51)},
        "glasses": {"women_no_glasses": (20, 21, 22), "men_no_glasses": (30, 31, 29), "men_glasses": (31, 30, 29)},
    }
    rows = [
        ("training samples", setting, "stage1", group, seed, "share_wrong", value)
        for setting, groups in wrong.items()
        for group, values in groups.items()
        for seed, value in enumerate(values)
    ]
    blond, men = paper.verdicts(*one(paper, tmp_path, "fig1b", rows), paper.load_paper())
    assert (blond.place[1], blond.difference.mean, blond.outcome) == ("hair", 30, "as the paper says")
    assert (men.place[1], men.difference.mean, men.outcome) == ("glasses", 0, "even")


def test_what_is_overcome_falls_from_its_peak_by_more_than_its_control(paper, tmp_path):
    """By hand: the easiest fall by 17, 22 and 18 from their own peaks, without the feature by 1, 0 and 2."""
    curves = {
        "in_easiest": ((20, 10, 3), (5, 25, 3), (19, 5, 1)),
        "in_hardest": ((5, 32, 30), (9, 34, 30), (5, 20, 40)),
        "none": ((3, 4, 3), (3, 3, 3), (4, 3, 2)),
    }
    rows = [
        ("", "s", series, epoch, seed, "spurious_misclassification", value)
        for series, values in curves.items()
        for seed, curve in enumerate(values)
        for epoch, value in enumerate(curve)
    ]
    last, peak = paper.verdicts(*one(paper, tmp_path, "fig2cd", rows), paper.load_paper())
    assert last.difference.mean == pytest.approx((27 + 27 + 39) / 3)
    assert peak.difference.mean == pytest.approx((16 + 22 + 16) / 3)
    assert (last.x, last.outcome, peak.outcome) == (2, "as the paper says", "as the paper says")


@pytest.mark.parametrize(
    ("accuracy", "outcome", "agree"),
    [
        ((80.1, 79.8, 80.2), "even", 2),  # against 80, 80, 80: all within two points
        ((77.1, 77.0, 76.9), "not even", 3),  # clearly lower, and all three say so
        ((80, 90, 70), "not settled", 1),  # even or not, who knows
    ],
)
def test_even_is_an_interval_near_none_and_not_a_wide_one(paper, tmp_path, accuracy, outcome, agree):
    rows = [("", "s", "erm", "", seed, "accuracy", 80) for seed in range(3)]
    rows += [("", "s", "carriers_hardest", 10, seed, "accuracy", value) for seed, value in enumerate(accuracy)]
    (found,) = paper.verdicts(*one(paper, tmp_path, "fig4", rows), paper.load_paper())
    assert (found.outcome, found.difference.num_better) == (outcome, agree)


def test_two_seeds_settle_nothing(paper, tmp_path):
    rows = [("", "s", "slice", x, seed, "spurious_misclassification", x) for x in (0, 50, 90) for seed in (1, 2)]
    found = paper.verdicts(*one(paper, tmp_path, "fig3", rows), paper.load_paper())
    assert {verdict.outcome for verdict in found} == {"too few seeds"}


def test_published_marks_stand_at_the_published_values(paper, tmp_path):
    """Read back from the axes: hollow diamonds, and nothing else is one."""
    from matplotlib.figure import Figure

    metric = "worst_group_accuracy"
    levels = {"in_hardest": 5, "none": 60, "in_easiest": 50}
    figure, rows = one(
        paper,
        tmp_path,
        "a4",
        [("i", "s", name, "", seed, metric, level + seed) for name, level in levels.items() for seed in range(3)],
    )
    texts = paper.load_paper()
    styles = paper.series_styles(figure, rows, texts)
    (chart,) = paper.charts(figure, rows, texts, styles)
    axes = Figure().add_subplot()
    chart.panel.draw(axes)
    names = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    marks = {
        names[int(line.get_ydata()[0])]: float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D"
    }
    assert marks == {"feature in the hardest": 1.04, "feature in the easiest": 55.22, "no feature": 67.42}
    low, high = axes.get_xlim()
    assert all(low < value < high for value in marks.values())


def test_labels_below_an_axis_do_not_meet(paper, tmp_path):
    """The slices of Fig. 3 lie close at its end: one is left without a label, never the last."""
    from matplotlib.figure import Figure

    places = (0, 1500, 3000, 4000, 4500, 4900)
    figure, rows = one(
        paper, tmp_path, "fig3", [("", "s", "slice", x, 1, "spurious_misclassification", x / 100) for x in places]
    )
    texts = paper.load_paper()
    (chart,) = paper.charts(figure, rows, texts, paper.series_styles(figure, rows, texts))
    axes = Figure(figsize=(4.3, 3.1)).add_subplot()
    chart.panel.draw(axes)
    labels = axes.get_xticklabels()
    boxes = [label.get_window_extent() for label in labels]
    assert [label.get_text() for label in labels] == ["0", "1500", "3000", "4000", "4900"]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_a_published_value_belongs_to_its_setting(paper, tmp_path):
    from matplotlib.figure import Figure

    settings = ("cifar10s setting 1", "cifar10s setting 2", "digits")
    figure, rows = one(
        paper,
        tmp_path,
        "fig7",
        [
            ("", setting, series, x, 1, "spurious_misclassification", 20 + x)
            for setting in settings
            for series, x in (("erm", 0), ("hardest", 20), ("random", 20))
        ],
    )
    texts = paper.load_paper()
    drawn = {}
    for chart in paper.charts(figure, rows, texts, paper.series_styles(figure, rows, texts)):
        axes = Figure().add_subplot()
        chart.panel.draw(axes)
        drawn[chart.heading.split(" · ")[0]] = [
            (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "D"
        ]
    assert drawn == {settings[0]: [(0, 58.0)], settings[1]: [(0, 13.76)], settings[2]: []}


def test_series_differ_without_colour(paper, tmp_path):
    rows = [("", "s", f"arm{n}", x, 1, "accuracy", 50 + n) for n in range(7) for x in (1, 2)]
    figure, rows = one(paper, tmp_path, "fig6", rows)
    styles = paper.series_styles(figure, rows, paper.load_paper())
    assert len({(style.marker, style.dashes) for style in styles.values()}) == 7
    assert len({style.color for style in styles.values()}) == 7
    for style in styles.values():
        assert f'fill="{style.color}"' in paper.swatch(style)  # the legend has the shape too
    assert "D" not in {style.marker for style in styles.values()}  # the published mark's own


def test_every_published_number_has_a_source_and_a_place(paper):
    texts = paper.load_paper()
    figures = {figure.id: figure for figure in texts.figures}
    for value in texts.values:
        assert value.source
        assert (value.value is None) != (not value.words)
        assert value.value is None or 0 <= value.value <= 100
        assert value.metric in figures[value.figure].metrics
        assert value.series is None or value.series in texts.series
    for figure in texts.figures:
        assert figure.claim.endswith(".")
        assert {compare.metric for compare in figure.compare} <= set(figure.metrics)
    printed = [value.shown for value in texts.values if value.panel == "waterbirds*" and not value.elsewhere]
    assert printed[:2] == ["74.81 (0.7)", "98.10 (0.1)"]
    assert printed[-2:] == ["90.93 (0.58)", "92.48 (0.72)"]


def test_pictures_only_where_they_are_wanted(paper, tmp_path):
    from PIL import Image

    synthetic(tmp_path)
    folder = tmp_path / "pictures" / "fig9" / "dog_sled"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (300, 200), (80 * number, 0, 0)).save(folder / f"{number}.png")
    strips, _ = paper._strips(tmp_path / "pictures" / "fig9", True)
    assert [picture["alt"] for picture in strips[0]["pictures"]] == [
        f"dog sled, {n} of 3 from easy to hard" for n in (1, 2, 3)
    ]
    for picture in strips[0]["pictures"]:
        with Image.open(io.BytesIO(base64.b64decode(picture["uri"].partition(",")[2]))) as image:
            assert max(image.size) == 96
    done = run(tmp_path, "-o", tmp_path / "page.html", "--without-pictures")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert done.returncode == 0
    assert "img" not in Page(text).tags
    assert "Pictures of the data set are left out" in text


def test_chromium_shows_it_without_an_error_or_a_request(made):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no chromium here")
    folder, _ = made
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", "--dump-dom",
            (folder / "page.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("</html>")
    assert "CONSOLE" not in done.stderr


if __name__ == "__main__":  # a folder to look at:   python test_paper_page.py FOLDER
    synthetic(Path(sys.argv[1]))
