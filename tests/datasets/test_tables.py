"""Tables from outside: four formats say the same, and whatever is wrong with one is named by its line."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from spurcli.datasets.tables import column_names, read_table
from spurcli.errors import InputError

ROWS = [("a.jpg", "cat", 1), ("b c.jpg", 'do"g, 2', 2), ("ü.jpg", "", 30)]
NAMES = ["image", "label", "number"]


def write(path, rows=ROWS, names=NAMES):
    if path.suffix == ".parquet":
        columns = [list(column) for column in zip(*rows, strict=True)]
        parquet.write_table(pa.table(dict(zip(names, columns, strict=True))), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, delimiter="," if path.suffix == ".csv" else "\t").writerows([names, *rows])
    return path


def read(path, columns=NAMES, **more):
    return read_table(path, columns, "a table", "Name one.", **more)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".jsonl", ".parquet"])
def test_every_format_says_the_same(tmp_path, suffix):
    path = write(tmp_path / f"table{suffix}")
    assert column_names(path, "a table", "") == NAMES
    table = read(path, ["number", "image", "absent?"])
    assert list(table.columns) == ["number", "image"]
    assert list(table["image"]) == ["a.jpg", "b c.jpg", "ü.jpg"]
    assert list(table["number"]) == ["1", "2", "30"]
    first = 1 if suffix in (".jsonl", ".parquet") else 2
    assert list(table.line) == [first, first + 1, first + 2]
    assert table.where(1) == f"{path}, {'row' if suffix == '.parquet' else 'line'} {first + 1}"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)] * 2),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]),
)
def test_any_text_comes_back(tmp_path_factory, rows, suffix):
    rows = [("x" + first, "y" + second) for first, second in rows]
    path = write(tmp_path_factory.mktemp("any") / f"t{suffix}", rows, ["one", "two"])
    table = read(path, ["two", "one"])
    assert list(zip(table["one"], table["two"], strict=True)) == rows


def test_lines_of_cells_with_line_feeds(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n"one\ntwo",1\n\nthree,2\n')
    assert list(read(path, ["a"]).line) == [2, 5]


def test_byte_order_mark_crlf_and_spaces_in_the_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffimage , label\r\na.jpg,cat\r\n".encode())
    table = read(path, ["image", "label"])
    assert (list(table["image"]), list(table["label"])) == (["a.jpg"], ["cat"])


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_numbers_truths_and_what_is_none(tmp_path, suffix):
    values = [1.0, 2.5, float("nan"), None, -0.0, 1e300]
    path = write(tmp_path / f"t{suffix}", [(value,) for value in values], ["v"])
    assert list(read(path, ["v"])["v"]) == ["1", "2.5", "", "", "0", "1e+300"]
    path = write(tmp_path / f"b{suffix}", [(True,), (False,), (None,)], ["v"])
    assert list(read(path, ["v"])["v"]) == ["true", "false", ""]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"image,lable\na,b\n", r"no column 'label', did you mean lable\?\nIt has: image, lable\."),
        ("t.csv", b"image,label\na,b\nc\n", "line 3: 1 field, the header has 2"),
        ("t.csv", b"image,label\na,b,c\n", "line 2: 3 fields"),
        ("t.csv", b'image,label\na,"b\n', "line 2: unexpected end of data"),
        ("t.csv", b"image,label\na,b\n\xff,c\n", "not UTF-8"),
        ("t.csv", b"image,label,image\na,b,c\n", "two columns called 'image'"),
        ("t.csv", b"image,label\n", "has no rows"),
        ("t.csv", b"", "is empty"),
        (
            "t.csv",
            b"image,label\na," + b"x" * 200_000 + b"\n",
            "line 2: field larger than field limit.*\n.*jsonl or .parquet",
        ),
        ("t.jsonl", b'{"image": "a", "label": "b"}\n[1]\n', "line 2 is not a JSON object"),
        ("t.jsonl", b'{"image": "a", "label": "b"}\n{"image": "a"}\n', "line 2 has no 'label'"),
        ("t.jsonl", b'{"image": "a", "label": "b"}\n{"image": \n', "line 2 is not JSON"),
        ("t.jsonl", b'{"image": "a", "label": {"b": 1}}\n', "line 1: label is of type dict"),
        ("t.jsonl", b'{"image": "a", "label": ["b"]}\n', "line 1: label is of type list"),
        ("t.jsonl", b'{"image": "\\ud800", "label": "b"}\n', "line 1 is not JSON"),
        ("t.jsonl", b"[" * 100_000 + b"\n", "line 1 is not JSON"),
        ("t.jsonl", b"\n\n", "has no rows"),
        ("t.parquet", b"PAR1 and nothing more", "is not a Parquet file"),
        ("t.xlsx", b"PK", r"unsupported table format\nSave the sheet as CSV"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read(path, ["image", "label"])


def test_parquet_that_is_not_what_it_seems(tmp_path):
    path = write(tmp_path / "t.parquet", [(b"raw",)], ["image"])
    with pytest.raises(InputError, match="row 1: image is of type bytes"):
        read(path, ["image"])
    path = write(tmp_path / "n.parquet", [({"bytes": b"", "path": "x"},)], ["image"])
    with pytest.raises(InputError, match="row 1: image is of type dict"):
        read(path, ["image"])
    dotted = write(tmp_path / "d.parquet", [("x", "y")], ["a.b", "a"])
    assert list(read(dotted, ["a.b"])["a.b"]) == ["x"]
    whole = write(tmp_path / "w.parquet", [("x" * 40, str(number)) for number in range(3000)], ["a", "b"])
    content = bytearray(whole.read_bytes())
    content[200:400] = bytes(200)
    whole.write_bytes(content)
    with pytest.raises(InputError, match=r"w\.parquet"):
        read(whole, ["a", "b"])
    twice = pa.table([pa.array(["x"]), pa.array(["y"])], names=["a", "a"])
    parquet.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(InputError, match="two columns called 'a'"):
        read(tmp_path / "twice.parquet", ["a"])


def test_codes_name_the_first_line_that_does_not_fit(tmp_path):
    table = read(write(tmp_path / "t.csv", [("a", "cat"), ("b", "dgo"), ("c", "dog")], ["image", "label"]), ["label"])
    with pytest.raises(InputError, match=r"line 3: label is 'dgo', did you mean dog\?\nIt must be one of: cat, dog"):
        table.codes("label", ["cat", "dog"])
    assert table.codes("label", ["dog", "cat", "dgo"]) == [1, 2, 0]


@pytest.mark.parametrize("name", ["absent.csv", "folder.csv", "a\0b.csv", "x" * 300 + ".csv"])
def test_no_such_file(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError):
        read(tmp_path / name)


def test_a_parquet_file_whose_column_has_no_name_in_utf8(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"label": [0, 1]}), tmp_path / "own.parquet", store_schema=False)
    content = (tmp_path / "own.parquet").read_bytes()
    (tmp_path / "own.parquet").write_bytes(content.replace(b"label", b"\xe7abel"))
    with pytest.raises(InputError, match="is not a Parquet file"):
        column_names(tmp_path / "own.parquet", "a table", "")
