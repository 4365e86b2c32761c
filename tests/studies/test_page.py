"""Pages and figures of one's own, from levels over seeds."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure as Canvas
from pages import loads_nothing, spoken

from spurcli.reporting.document import SeedValue
from spurcli.reporting.drawing import Figure, Panel, Style
from spurcli.reporting.page import swatch
from spurcli.reporting.pictures import Picture
from spurcli.reporting.plot_seeds import PUBLISHED, Published, Series, draw_along, draw_rows, in_words
from spurcli.reporting.tables import over_seeds
from spurcli.studies.page import Grid, Part, Study, study_page
from spurcli.studies.parts import study_part
from spurcli.studies.plots import styles_of

from .conftest import compare


def level(*values):
    return over_seeds([SeedValue(seed, None, value) for seed, value in enumerate(values)], (0.0, 1.0))


ERM = Series(Style("ERM", "#0072B2"), [(0.0, level(0.2, 0.22, 0.24))])
PRUNED = Series(Style("pruned", "#D55E00", "s"), [(10.0, level(0.3, 0.31, 0.32)), (50.0, level(0.4, 0.5, 0.6))])
CONTROL = Series(Style("control", "#009E73", "^", "--"), [(None, level(0.3))])
EVERY = (ERM, PRUNED, CONTROL)


def diamonds(axes):
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines if line.get_marker() == "D"]


def test_published_numbers_stand_at_their_place_along_an_axis_and_nowhere_else():
    axes = Canvas().add_subplot()
    marks = [
        Published(0.25, "25", "ERM", 0.0),
        Published(0.55, "55.0", "pruned"),
        Published(0.9, "90", "pruned", 30.0),
        Published(0.1, "10", "not run"),
    ]
    draw_along(axes, EVERY, "%", published=marks)
    assert diamonds(axes) == [(0, 25), (55, pytest.approx(55))]  # 55: beside the last x
    assert [text.get_text() for text in axes.texts] == ["25", "55.0"]
    low, high = axes.get_ylim()
    assert low < 20 < 60 < high


def test_published_numbers_stand_in_the_rows_of_their_series():
    axes = Canvas().add_subplot()
    draw_rows(axes, EVERY, "%", published=[Published(0.9, "", "pruned"), Published(0.1)], reference=0.22)
    assert diamonds(axes) == [(10, 0), (90, 1), (10, 1), (10, 2)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ERM", "Pruned", "Control"]


def test_labels_below_an_axis_do_not_meet_and_the_last_stays():
    axes = Canvas(figsize=(4.3, 3.1)).add_subplot()
    places = (0.0, 1500.0, 3000.0, 4000.0, 4500.0, 4900.0)
    draw_along(axes, [Series(Style("slice", "#0072B2"), [(x, level(0.1)) for x in places])], "%")
    labels = axes.get_xticklabels()
    assert [label.get_text() for label in labels] == ["0", "1500", "3000", "4000", "4900"]
    boxes = [label.get_window_extent() for label in labels]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_categories_are_spaced_evenly_and_numbers_too_where_asked():
    for xs, to_scale in ((("S1", "S2", "S3"), True), ((0.0, 2.0, 50.0), False)):
        axes = Canvas().add_subplot()
        draw_along(axes, [Series(Style("a", "#0072B2"), [(x, level(0.1)) for x in xs])], "%", to_scale=to_scale)
        assert list(axes.get_xticks()) == [0, 1, 2]


def test_a_page_of_ones_own_is_whole_safe_and_spoken():
    hostile = "<script>alert('x')</script>\u202e&amp;"
    panel = Panel(
        "accuracy", lambda axes: draw_along(axes, EVERY, "%"), title=f"Accuracy {hostile}", about=in_words(EVERY, "%")
    )
    rows = [(seed, hostile, 0.5) for seed in range(30_000)]
    figure = Figure("accuracy", hostile, hostile, [panel], ("seed", "arm", "value"), rows, [ERM.style, PUBLISHED])
    part = Part(
        "one",
        hostile,
        facts=[("Ran", hostile)],
        findings=[hostile],
        figure=figure,
        pictures={hostile: [Picture("data:image/png;base64,AA==", (), hostile, False)]},
        tables=[Grid(hostile, ("arm", "value"), [(hostile, "1.0\n0.5–1.5")] * 200, is_open=True)],
    )
    text = study_page(Study(hostile, [part, Part("two", "Not run")], facts=[hostile], reading=hostile))
    page = loads_nothing(text)
    assert "alert('x')" in " ".join(page.text)
    assert "\u202e" not in text
    assert "50 more rows" in text
    assert page.values("download") == ["accuracy.csv"]  # also of 900 kB
    (name,) = spoken(text)
    assert "ERM: 22.0 ± 2.0 % at 0" in name
    assert "control: 30.0 %" in name


PUBLISHED_TOML = """
published = [
  { setting = "set 1", series = "erm", x = 0, numbers = { spurious_misclassification = "58.0" }, source = "Sec. 6" },
  { setting = "set 2", series = "erm", x = 0, numbers = { spurious_misclassification = "13.76 (0.5)" }, source = "Sec. 6" },
  { series = "hardest", numbers = { spurious_misclassification = "almost none" }, source = "Sec. 7" },
  { setting = "set 2", series = "hardest", x = 20, numbers = { spurious_misclassification = "5" }, source = "others", elsewhere = true },
]
"""


def part_of(made):
    return study_part(made.figure, made.description, made.rows)


def test_a_published_number_belongs_to_its_setting(study):
    values = {"erm": {0: (20, 30, 40)}, "hardest": {20: (1, 2, 3)}, "random": {20: (5, 5, 5)}}
    rows = [
        ("", setting, series, x, seed, value)
        for setting in ("set 1", "set 2", "digits")
        for series, levels in values.items()
        for x, seeds in levels.items()
        for seed, value in enumerate(seeds)
    ]
    part = part_of(study(PUBLISHED_TOML, rows))
    drawn = {}
    for panel in part.figure.panels:
        axes = Canvas().add_subplot()
        panel.draw(axes)
        drawn[panel.title.split(" · ")[0]] = diamonds(axes)
    assert drawn == {"set 1": [(0, pytest.approx(58.0))], "set 2": [(0, pytest.approx(13.76))], "digits": []}
    table = part.tables[0]
    cells = {row[:3]: row[3:] for row in table.rows}
    assert table.columns[3:] == ("Spurious misclassification", "published (%)", "Seeds")
    assert cells["ERM", "set 2", "0"] == ("30.0 ± 10.0 %\n5.2–54.8", "13.76 (0.5)\nSec. 6", "3")
    assert cells["ERM", "digits", "0"][1] == "–"
    assert cells["hardest removed", "set 2", "20"][1] == "5 elsewhere\nothers"
    assert cells["hardest removed", "–", "–"] == ("not run", "almost none\nSec. 7", "–")


def test_rows_are_methods_in_their_order(study):
    rows = [("", "s", series, "", seed, 10 + seed) for series in ("hardest", "new", "erm") for seed in range(3)]
    part = part_of(study('x_kind = "rows"\nrow_order = ["erm", "hardest"]\n', rows))
    axes = Canvas().add_subplot()
    part.figure.panels[0].draw(axes)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ERM", "Hardest removed", "New"]
    assert [row[0] for row in part.tables[0].rows] == ["ERM", "hardest removed", "new"]
    assert part.tables[0].is_open
    assert part.figure.legend == []


def test_series_differ_without_colour():
    styles = styles_of({f"arm{n}": f"Arm {n}" for n in range(7)}, {"arm3": "blue", "arm5": "blue"}).values()
    assert len({(style.marker, style.dashes) for style in styles}) == 7
    assert "D" not in {style.marker for style in styles}  # the published mark's own
    for style in styles:
        assert f'fill="{style.color}"' in swatch(style)  # the legend has the shape too


def test_many_comparisons_are_counted_and_few_are_told(study):
    text = compare("series", series="hardest", control="random", expect="lower")
    rows = [("", "s", "random", "", seed, 15) for seed in range(3)]
    rows += [("", "s", "hardest", x, seed, 5 + seed) for x in (10, 20) for seed in range(3)]
    few = part_of(study(text, rows))
    assert few.findings == [
        "it is so: s at 10: −9.0 ± 0.6 points (3 of 3 seeds), as the paper says (a hint); "
        "s at 20: −9.0 ± 0.6 points (3 of 3 seeds), as the paper says (a hint)"
    ]
    rows += [("", "s", "hardest", 30, seed, 15 + seed) for seed in range(3)]
    many = part_of(study(text, rows))
    assert many.findings == [
        "it is so: as the paper says (a hint) in 2, not settled in 1 of 3 comparisons; differences from −9.0 to +1.0 points"
    ]
    assert many.tables[1].rows[0] == (
        "It is so", "s", "hardest removed − random removed, at 10", "as the paper says (a hint)", "−9.0 ± 0.6 points",
        "−11.5 to −6.5", "3 of 3",
    )  # fmt: skip


def test_what_was_not_run_is_said(study):
    part = part_of(study(compare("ends")))
    assert (part.findings, part.figure) == (["Verdict: not run"], None)
    assert part.heading.endswith("(not run)")


def test_the_data_of_a_figure_is_held_in_its_page(study):
    rows = [("", "<b>", "x" * 60, x, seed, x / 30) for x in range(700) for seed in range(6)]
    made = study(rows=rows)
    text = study_page(Study("Many", [part_of(made)]))
    (link,) = [link for link in loads_nothing(text).values("href") if link.startswith("data:")]
    assert len(list(csv.DictReader(io.StringIO(base64.b64decode(link.partition(",")[2]).decode())))) == 4200


def test_the_lines_of_the_document_make_a_page(study, tmp_path, monkeypatch):
    study(rows=[("", "s", "erm", 0, seed, 10 + seed) for seed in range(3)])
    monkeypatch.chdir(tmp_path)
    document = Path(__file__).parents[2] / "docs" / "studies.md"
    exec(re.search(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)[1], {})
    page = loads_nothing((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Figure 1. It works" in " ".join(page.text)
