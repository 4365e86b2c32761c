"""Reading results and descriptions: what is off is named."""

from __future__ import annotations

import pytest

from spurcli.errors import InputError
from spurcli.studies.description import read_description
from spurcli.studies.tidy import COLUMNS, in_order, read_tidy

HEAD = ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("figure,series\n", "columns"),
        (f"{HEAD}\nfig3,,,slice,0,1,accuracy,nan\n", "line 2: 'nan' is not a number"),
        (f"{HEAD}\nfig4,,,slice,0,1,accuracy,3\n", "line 2: of figure 'fig4'"),
        (f"{HEAD}\nfig3,,,slice,0,1\n", "line 2: not 8 fields"),
        (f"{HEAD}\nfig3,,,slice,0,1,accuracy,3\nfig3,,,slice,0.0,1,accuracy,4\n", "line 3: a second value"),
        (f"{HEAD}\nfig3,,,\udcff,0,1,accuracy,3\n", "cannot be read"),
    ],
)
def test_a_csv_that_is_off_is_named(tmp_path, content, problem):
    (tmp_path / "fig3.csv").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as caught:
        read_tidy(tmp_path / "fig3.csv", "fig3")
    assert problem in caught.value.problem


def test_a_description_that_is_none_is_named(tmp_path):
    (tmp_path / "a.toml").write_text("[paper", encoding="utf-8")
    for name in ("a.toml", "absent.toml"):
        with pytest.raises(InputError, match=name):
            read_description(tmp_path / name)


def test_places_along_an_axis_have_an_order():
    assert in_order(["Q2", 10.0, "new", None, 9.0, "Q1"], ("Q1", "Q2")) == [None, 9.0, 10.0, "Q1", "Q2", "new"]


def test_shares_are_those_of_the_file_and_other_units_stay(study):
    rows = [("", "s", "erm", "", 0, 50), ("hardness", "", "s", "erm", "", 0, 1.4)]
    made = study(rows=rows)
    assert {key.metric: curve[None]["0"] for key, curve in made.curves.items()} == {
        "spurious_misclassification": 0.5,
        "hardness": 1.4,
    }
