"""Pages and figures of one's own, from levels over seeds."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.figure import Figure as Canvas
from pages import loads_nothing, spoken

from spurcli.reporting.document import SeedValue
from spurcli.reporting.drawing import Figure, Panel, Style
from spurcli.reporting.pictures import Picture
from spurcli.reporting.plot_seeds import PUBLISHED, Published, Series, draw_along, draw_rows, in_words
from spurcli.reporting.study import Grid, Part, Study, study_page
from spurcli.reporting.tables import over_seeds


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
