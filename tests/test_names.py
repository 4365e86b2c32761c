"""Names from outside: their canonical form, what stands for nothing, and the warning about look-alikes."""

from __future__ import annotations

import unicodedata
import warnings

import pytest

from spurcli.errors import SpurWarning
from spurcli.names import alike, alike_key, canonical, canonical_values, is_missing, may_be_missing, warn_alike

CAFE = "caf\u00e9"


@pytest.mark.parametrize(
    "written",
    [unicodedata.normalize("NFD", CAFE), f" {CAFE}\t", f"\ufeff{CAFE}", "ca\u200bf\u00e9\u200b", f"\u00a0{CAFE}\u3000", "ca\u00adf\u00e9", f"{CAFE}\u200e", "ca\u200df\u00e9"],
)  # fmt: skip
def test_one_name_however_it_is_written(written):
    assert canonical(written) == CAFE


@pytest.mark.parametrize(
    "name", ["cat", "Ant", "land bird", "\u0645\u06cc\u200c\u0634\u0648\u062f", "\U0001f468\u200d\U0001f467", "\u304c", "a  b"]
)  # fmt: skip
def test_what_is_spelled_so_stays(name):
    assert canonical(name) == name


def test_numbers_are_one_class_where_all_are_numbers():
    assert canonical_values(["0", "1.0", "0.0", "1", "1e0", "2.50", "+3", "-0.0", "007", ""]) == {
        "0": "0", "1.0": "1", "0.0": "0", "1": "1", "1e0": "1", "2.50": "2.5", "+3": "3", "-0.0": "0", "007": "007", "": ""
    }  # fmt: skip
    assert canonical_values(["1.0", "one"]) == {"1.0": "1.0", "one": "one"}
    assert canonical_values(["1e999999999", "1"]) == {"1e999999999": "1e999999999", "1": "1"}
    assert canonical_values(["12345678901234567890.0"])["12345678901234567890.0"] == "12345678901234567890"


@pytest.mark.parametrize(
    "names",
    [
        ("Ant", "ant"), ("1", "1.0"), ("1", "01"), ("1", "1e0"), ("1,0", "1"), ("True", "TRUE"), ("true", "1"), ("no", "False"),
        ("land_bird", "land bird"), ("land-bird", "Landbird"), ("land  bird", "land bird"), ("cat", "c\u0430t"),
        (CAFE, "cafe"), ("\uff41nt", "ant"), ("\u2764", "\u2764\ufe0f"), ("stra\u00dfe", "STRASSE"),
    ],
)  # fmt: skip
def test_names_that_may_be_the_same(names):
    assert alike(names) == [names]


@pytest.mark.parametrize(
    "names",
    [("ant", "bee"), ("1", "-1"), ("1", "10"), ("1-0", "10"), ("A", "A-"), ("A+", "A"), ("\u304c", "\u304b"), ("c", "c++"), ("2.5", "25"), ("1e5", "1e50"), ("_", "-")],
)  # fmt: skip
def test_names_that_differ(names):
    assert alike(names) == []


def test_missing_values():
    assert all(map(is_missing, ["", " ", "nan", "NaN", "<NA>", "NaT", "#N/A", "\u200b", "\ufeff"]))
    assert all(map(may_be_missing, ["NA", "N/A", "None", "null", "NULL", "?"]))
    assert not any(is_missing(word) or may_be_missing(word) for word in ["Nan Madol", "nano", "0", "no", "unknown"])


def test_one_warning_names_all_and_tells_those_apart_that_print_alike():
    with pytest.warns(
        SpurWarning, match=r"own\.csv: classes that may be the same: Ant and ant; cat and c\\u0430t"
    ) as found:
        warn_alike(["Ant", "ant", "bee", "cat", "c\u0430t"], "classes", "own.csv")
    assert len(found) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_alike(["ant", "bee"], "classes", "own.csv")


def test_keys_of_any_text_are_stable():
    for code in (*range(0x3000), *range(0xFB00, 0x10000)):
        if not 0xD800 <= code < 0xE000:
            name = f"a{chr(code)}1"
            assert canonical(canonical(name)) == canonical(name)
            assert alike_key(canonical(name)) == alike_key(name)
