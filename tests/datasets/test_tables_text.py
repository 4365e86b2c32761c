"""Tables as people bring them: separators, encodings, quotation marks, compression, JSON of any layout."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.artifacts.injection import is_injection
from spurcli.datasets import tables_text
from spurcli.datasets.tables import Reading, column_names, read_table
from spurcli.errors import InputError, SpurWarning, UsageError

HEADER = ["text", "label", "split"]


def rows_of(count=12):
    return [[f"some {row} words", "ab"[row % 2], "train" if row < 8 else "test"] for row in range(count)]


def write(path, rows, separator=",", header=HEADER, encoding="utf-8", end="\n", begin=""):
    lines = [separator.join(row) for row in [header, *rows]]
    path.write_bytes((begin + end.join(lines) + end).encode(encoding))
    return path


def read(path, columns=HEADER, **options):
    return read_table(path, columns, "a table", "Name one.", reading=Reading(**options))


def silently(path, columns=HEADER, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(path, columns, **options)


def texts(table):
    return list(table["text"])


# ---- separators


@pytest.mark.parametrize(
    ("name", "separator", "word"),
    [("t.csv", ";", "semicolons"), ("t.csv", "\t", "tabs"), ("t.csv", "|", "bars"), ("t.tsv", ",", "commas"), ("t.txt", ";", "semicolons")],
)  # fmt: skip
def test_another_separator_is_found_in_the_header_and_said(tmp_path, name, separator, word):
    path = write(tmp_path / name, rows_of(), separator)
    with pytest.warns(SpurWarning, match=f"separated by {word}.*dataset.options.separator") as said:
        table = read(path)
    assert len(said) == 1
    assert (len(table), set(table["label"]), table.read_as.split(",")[0]) == (12, {"a", "b"}, f"separated by {word}")
    assert texts(silently(path, separator=separator)) == texts(table)


def test_decimal_commas_and_quoted_headers(tmp_path):
    rows = [[f"1,{row}; {row}", "ab"[row % 2], "train"] for row in range(6)]
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter=";", quoting=csv.QUOTE_ALL).writerows([["text", "label, class", "split"], *rows])
    with pytest.warns(SpurWarning, match="semicolons"):
        table = read(path, ["text", "label, class"])
    assert texts(table) == [row[0] for row in rows]


def test_texts_with_other_separators_are_read_as_ever(tmp_path):
    rows = [[f"one; two | {row}; three", "ab"[row % 2], "train"] for row in range(6)]
    assert texts(silently(write(tmp_path / "t.csv", rows))) == [row[0] for row in rows]
    assert texts(silently(write(tmp_path / "t.tsv", [[f"{row[0]}, four", *row[1:]] for row in rows], "\t")))[
        0
    ].endswith(", four")


def test_two_separators_that_both_fit_are_asked(tmp_path):
    (tmp_path / "t.csv").write_text("a;b|c\n1;2|3\n")
    with pytest.raises(InputError, match=r"semicolons or bars\n.*dataset.options.separator="):
        read(tmp_path / "t.csv", ["a"])


def test_the_line_that_excel_puts_before_the_header(tmp_path):
    for begin, separator in (("sep=,\n", ","), ("sep=;\r\n", ";"), ('"sep=\t"\n', "\t")):
        table = silently(write(tmp_path / "t.csv", rows_of(), separator, begin=begin))
        assert (len(table), table.line[0]) == (12, 3)


def test_columns_without_a_name_are_passed_over(tmp_path):
    path = write(
        tmp_path / "t.csv", [[*row, "", ""] for row in rows_of()] + [["", "", "", "", ""]] * 3, header=[*HEADER, "", ""]
    )
    assert len(silently(path)) == 12
    assert column_names(path, "", "", Reading()) == HEADER
    assert (
        len(
            silently(
                write(tmp_path / "i.csv", [[str(n), *row] for n, row in enumerate(rows_of())], header=["", *HEADER])
            )
        )
        == 12
    )
    rows = rows_of()
    rows[3] = ["hello", " some words", "a", "train", ""]
    with pytest.raises(InputError, match="line 5: a value in a column that has no name"):
        read(
            write(
                tmp_path / "x.csv", [row if len(row) > 3 else [*row, "", ""] for row in rows], header=[*HEADER, "", ""]
            )
        )


def test_separators_at_the_end_of_rows_that_the_header_has_not(tmp_path):
    assert texts(silently(write(tmp_path / "t.csv", [[*row, ""] for row in rows_of()]))) == [
        row[0] for row in rows_of()
    ]


@pytest.mark.parametrize(
    ("name", "separator", "warned"), [("t.txt", " ", 2), ("t.txt", "\t", 1), ("t.csv", ",", 1), ("t.csv", ";", 2)]
)
def test_the_row_numbers_that_r_writes_without_naming_them(tmp_path, name, separator, warned):
    """write.table(frame): the header has one field less than the rows; pandas takes their first for the index."""
    rows = [[f'"{number}"', *(f'"{value}"' for value in row)] for number, row in enumerate(rows_of(), start=1)]
    path = write(tmp_path / name, rows, separator, header=[f'"{column}"' for column in HEADER])
    with pytest.warns(SpurWarning) as said:
        table = read(path)
    assert (texts(table), list(table["label"])) == ([row[0] for row in rows_of()], [row[1] for row in rows_of()])
    assert len(said) == warned
    assert "row number" in str(said[-1].message)


def test_rows_that_are_wider_than_the_header_are_refused(tmp_path):
    named = [[f"row {number}", *row] for number, row in enumerate(rows_of())]
    with pytest.raises(InputError, match=r"line 2: 4 fields, the header has 3\n.*as R writes it"):
        read(write(tmp_path / "t.csv", named))
    texts_with_commas = [
        [f"{row[0]}, yes" if number == 4 else row[0], *row[1:]] for number, row in enumerate(rows_of())
    ]
    with pytest.raises(InputError, match=r"line 6: 4 fields, the header has 3\n.*quotation marks"):
        read(write(tmp_path / "t.csv", texts_with_commas))
    numbered = [[str(number), *row] for number, row in enumerate(rows_of(1200))]
    numbered[1100][0] = "x"
    with pytest.raises(InputError, match="line 1,102: 'x' is not the number of a row"):
        read(write(tmp_path / "t.csv", numbered))


@pytest.mark.parametrize("name", ["t.txt", "t.csv"])
def test_spaces_separate_if_nothing_else_does(tmp_path, name):
    rows = [[f"img{number}.jpg", "ab"[number % 2]] for number in range(12)]
    path = write(tmp_path / name, rows, "   ", header=["image", "label"])
    with pytest.warns(SpurWarning, match="separated by spaces.*separator=space"):
        assert list(read(path, ["image", "label"])["label"]) == [row[1] for row in rows]
    for options in ({"separator": "space"}, {"separator": " ", "quoting": "none"}):
        assert list(silently(path, ["image"], **options)["image"]) == [row[0] for row in rows]


def test_a_header_in_the_middle_is_named(tmp_path):
    for name, separator in (("t.csv", ","), ("t.tsv", "\t")):
        with pytest.raises(InputError, match="line 14 repeats the header"):
            read(write(tmp_path / name, [*rows_of(), HEADER, *rows_of()], separator))


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_quotation_marks_after_a_backslash(tmp_path, separator):
    """As MySQL and Spark write them."""
    rows = [[f'"he said \\"no {row[0]}\\", and left"', *row[1:]] for row in rows_of()]
    path = write(tmp_path / "t.csv", rows, separator)
    if separator != "\t":
        with pytest.raises(InputError, match=r"line 2: .*\n.*quoting=backslash"):
            read(path, separator=separator)
    found = texts(silently(path, separator=separator, quoting="backslash"))
    assert found == [f'he said "no {row[0]}", and left' for row in rows_of()]


@pytest.mark.parametrize("options", [{"separator": "::"}, {"separator": '"'}, {"quoting": "maybe"}, {"encoding": "utf-9"}, {"encoding": "rot13"}, {"encoding": "a\0"}])  # fmt: skip
def test_options_that_cannot_be(options):
    with pytest.raises(UsageError, match=f"dataset.options.{next(iter(options))} = "):
        Reading(**options)


# ---- encodings and compression


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    rows = [["caf\u00e9", "a", "train"], ["\u6f22", "b", "train"]]
    assert texts(silently(write(tmp_path / "t.csv", rows, encoding=encoding, end="\r\n"))) == ["caf\u00e9", "\u6f22"]
    assert texts(silently(write(tmp_path / "t.tsv", rows, "\t", encoding=encoding))) == ["caf\u00e9", "\u6f22"]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_the_line_of_the_bad_byte_and_how_it_would_read(tmp_path, name):
    rows = rows_of(40)
    rows[19][0] = "caf\u00e9 au lait"
    path = write(tmp_path / name, rows, "," if name == "t.csv" else "\t", encoding="latin-1")
    with pytest.raises(
        InputError,
        match=r"line 21: not UTF-8 text \(byte 0xE9\)\nSave it as UTF-8, or if 'caf\u00e9 au .*encoding=cp1252",
    ):
        read(path)
    assert texts(silently(path, encoding="cp1252"))[19] == "caf\u00e9 au lait"


def test_encodings_that_do_not_fit(tmp_path):
    path = write(tmp_path / "t.csv", rows_of(), encoding="utf-16-le")
    with pytest.raises(InputError, match="encoding=utf-16-le"):
        read(path)
    assert len(silently(path, encoding="utf-16-le")) == 12
    path = write(tmp_path / "b.csv", rows_of(), encoding="utf-8-sig")
    with pytest.raises(UsageError, match="byte-order mark"):
        read(path, encoding="cp1252")
    (tmp_path / "cut.csv").write_bytes("text,label\na\u00e9,b\n".encode("utf-16")[:-1])
    with pytest.raises(InputError, match=r"cut\.csv"):
        read(tmp_path / "cut.csv", ["text"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04 docProps/app.xml", "Excel workbook.*\nSave the sheet as CSV"),
        (b"PK\x03\x04 train.csv", "zip archive.*\nUnpack it"),
        (b"PAR1 ...", r"Parquet file\n.*\.parquet"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", "Git LFS.*\n.*git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "web page"),
    ],
)
def test_other_files_under_the_name_of_a_table(tmp_path, content, words):
    for name in ("x.csv", "x.jsonl", *(["x.parquet"] if not content.startswith(b"PAR1") else [])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=words):
            read(tmp_path / name, ["text"])


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_compressed_tables(tmp_path, ending, pack):
    plain = write(tmp_path / "t.csv", rows_of(), encoding="utf-16")
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(pack(plain.read_bytes()))
    assert texts(silently(path)) == texts(silently(plain))
    (tmp_path / f"l.jsonl{ending}").write_bytes(pack(b'{"text": "a"}\n'))
    assert texts(silently(tmp_path / f"l.jsonl{ending}", ["text"])) == ["a"]
    path.write_bytes(pack(plain.read_bytes())[:-20])
    with pytest.raises(InputError, match="cannot be unpacked"):
        read(path)


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables_text, "_MIN_LIMIT", 1 << 16)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\n" + b"a,b\n" * 100_000))
    with pytest.raises(InputError, match="more than 100 times its size"):
        read(path, ["text"])


# ---- quotation marks


def stray(count=60, first=5, last=15):
    rows = rows_of(count)
    rows[first][0], rows[last][0] = '"Oh no said the usher', 'and ended with we are lost"'
    return rows


def test_a_stray_quotation_mark_between_tabs_is_a_character(tmp_path):
    for name in ("t.tsv", "t.txt"):
        found = texts(silently(write(tmp_path / name, stray(), "\t")))
        assert len(found) == 60
        assert (found[5], found[15]) == ('"Oh no said the usher', 'and ended with we are lost"')


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows,
        lambda rows: [row[::-1] for row in rows],
        lambda rows: [[row[1], row[0]] for row in rows],
        lambda rows: [[row[0], row[1]] for row in rows],
        lambda rows: rows[:5] + rows[5:16],
        lambda rows: [[f"{number}", *row] for number, row in enumerate(rows)],
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_a_quoted_text_that_swallows_rows_of_a_csv_is_named(tmp_path, change, end, separator):
    rows = change(stray())
    header = [f"c{number}" for number in range(len(rows[0]))]
    path = write(tmp_path / "t.csv", rows, separator, header=header, end=end)
    with pytest.raises(
        InputError, match=r"line 7: a quoted text spans 11 lines and looks like rows of the table\n.*quoting=none"
    ):
        read(path, header, separator=separator)
    assert len(silently(path, header, separator=separator, quoting="none")) == len(rows)
    assert len(silently(path, header, separator=separator, quoting="csv")) == len(rows) - 10


def test_two_rows_joined_by_quotation_marks(tmp_path):
    path = write(tmp_path / "t.csv", stray(first=5, last=6))
    with pytest.raises(InputError, match="line 7: a quoted text spans 2 lines"):
        read(path)


REVIEWS = [
    "First, I was afraid\nand then, happy",
    'He said "no",\nand left,\n\nfor good',
    "Well,\r\nyes",
    "pos,train\nis a, strange text",
    "plain",
]


@pytest.mark.parametrize(
    "columns", [("text", "label"), ("label", "text"), ("label", "text", "split"), ("text", "label", "split")]
)
@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.tsv", "\t"), ("t.csv", ";")])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_texts_with_line_breaks_are_read_silently(tmp_path, columns, name, separator, quoting, end):
    rows = [
        {"text": f"{text} {row}".replace(",", separator), "label": "ab"[row % 2], "split": "train"}
        for row in range(4)
        for text in REVIEWS
    ]
    with (tmp_path / name).open("w", newline="") as stream:
        writer = csv.DictWriter(
            stream, columns, delimiter=separator, quoting=quoting, extrasaction="ignore", lineterminator=end
        )
        writer.writeheader()
        writer.writerows(rows)
    table = silently(tmp_path / name, columns, separator=separator)
    assert texts(table) == [row["text"] for row in rows]
    assert list(table["label"]) == [row["label"] for row in rows]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ('"closed"', "closed"),
        ('"with ""doubled"" marks"', 'with "doubled" marks'),
        ('"Oh" she said', '"Oh" she said'),
        ('she said "oh"', 'she said "oh"'),
        ('"a" and "b"', '"a" and "b"'),
        ('5" by 4"', '5" by 4"'),
        ('"', '"'),
        ('""', ""),
        ("'single'", "'single'"),
    ],
)
def test_quotation_marks_on_one_line_between_tabs(tmp_path, written, found):
    rows = [[written, "a", "train"], ["next", "b", "train"]]
    assert texts(silently(write(tmp_path / "t.tsv", rows, "\t"))) == [found, "next"]
    assert texts(silently(write(tmp_path / "t.tsv", rows, "\t"), quoting="none")) == [written, "next"]


def test_a_quoted_field_that_holds_a_tab(tmp_path):
    rows = [['"one\ttwo"', "a", "train"], ['"three', "b", "train"], ["four", "b", "train"]]
    assert texts(silently(write(tmp_path / "t.tsv", rows, "\t"))) == ["one\ttwo", '"three', "four"]


def test_a_quotation_mark_that_is_not_closed_names_its_line(tmp_path):
    (tmp_path / "t.tsv").write_text('text\tlabel\tsplit\nx\ta\ttrain\n"open\nand so on\ta\ttrain\nmore\tb\ttrain\n')
    with pytest.raises(InputError, match=r"line 3: 1 field, and a quotation mark.*\n.*quoting=none"):
        read(tmp_path / "t.tsv")
    (tmp_path / "t.tsv").write_text('text\tlabel\nt\tx\nt;\tx\n"t\n\t;\n"\tx\n"t\n\t;\n"\tx\n')
    with pytest.raises(InputError, match=r"line 4: a quoted text spans 3 lines and looks like rows of the table"):
        read(tmp_path / "t.tsv", ["text", "label"])
    (tmp_path / "t.csv").write_text('text,label\nx,a\n"oh" he said,b\n')
    with pytest.raises(InputError, match=r"line 3: .*\n.*quoting=none"):
        read(tmp_path / "t.csv", ["text"])


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([".csv", ".tsv"]),
    st.lists(st.tuples(st.text(alphabet='ab",\t\n ;', max_size=12), st.sampled_from(["x", "y"])), min_size=1, max_size=12),
)  # fmt: skip
def test_what_the_csv_module_writes_is_read_back_or_named(tmp_path_factory, suffix, rows):
    path = tmp_path_factory.mktemp("any") / f"t{suffix}"
    rows = [("t" + text, label) for text, label in rows]
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter="," if suffix == ".csv" else "\t").writerows([("text", "label"), *rows])
    try:
        table = read(path, ["text", "label"])
    except InputError as error:
        if "looks like rows" in error.problem:
            return
        raise
    assert list(zip(table["text"], table["label"], strict=True)) == rows


# ---- JSON


RECORDS = [{"text": f"words {row}", "label": "ab"[row % 2], "n": None if row else 1.0} for row in range(6)]


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.json"])
@pytest.mark.parametrize("form", ["lines", "array", "pretty", "empty lines"])
def test_json_of_any_layout(tmp_path, name, form):
    lines = [json.dumps(record) for record in RECORDS]
    content = {
        "lines": "\n".join(lines),
        "array": json.dumps(RECORDS),
        "pretty": json.dumps(RECORDS, indent=2),
        "empty lines": "\ufeff\n" + "\r\n\r\n".join(lines) + "\r\n",
    }[form]
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    table = silently(tmp_path / name, ["label", "text", "n"])
    assert texts(table) == [record["text"] for record in RECORDS]
    assert list(table["n"]) == ["1", "", "", "", "", ""]
    assert not is_injection(str(tmp_path / "t.json")) or name != "t.json"
    if form in ("lines", "array"):
        (tmp_path / name).write_text(content, encoding="utf-16")
        assert texts(silently(tmp_path / name, ["text"])) == texts(table)
        assert not is_injection(str(tmp_path / name))


@pytest.mark.parametrize("lacking", [0, 3])
def test_the_columns_of_json_lines_are_the_keys_of_all(tmp_path, lacking):
    records = [dict(record, split="train") for record in RECORDS]
    del records[lacking]["split"]
    for name, content, unit in (
        ("t.jsonl", "\n".join(map(json.dumps, records)), "line"),
        ("t.json", json.dumps(records), "object"),
    ):
        (tmp_path / name).write_text(content)
        assert "split" in column_names(tmp_path / name, "", "", Reading())
        for wanted in ("split", "split?"):
            with pytest.raises(InputError, match=f"{unit} {lacking + 1} has no 'split'"):
                read(tmp_path / name, ["text", wanted])
        assert len(silently(tmp_path / name, ["text", "absent?"])) == 6


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"text": {"0": "a"}, "label": {"0": "b"}}', "one object of columns.*\n.*lines=True"),
        ('{"text": ["a"], "label": ["b"]}', "one object of columns"),
        ('{\n "text": {"0": "a"}\n}', "line 1 is not JSON.*\n.*lines=True"),
        ('[{"text": "a"}, 5]', "object 2 is not a JSON object"),
        ('[{"text": "a"} {"text": "b"}]', "no comma or ] after object 1"),
        ('[{"text": "a"}, {"text": ', "object 2 is not JSON"),
        ('[{"text": "a"}', "no comma or ] after object 1"),
        ('[{"text": "a"}]\n[{"text": "b"}]', "more text after the array"),
        ('[{"text": "\\ud800"}]', "object 1 is not JSON"),
        ('[{"text": {"a": 1}}]', "object 1: text is of type dict"),
        ("[]", "has no rows"),
        ('{"version": 1, "data": [{"text": "a"}]}', "rows in data\n.*lines=True"),
        ('{"train": [{"text": "a"}], "test": [{"text": "b"}]}', "rows in train, test"),
    ],
)
def test_json_that_is_no_table(tmp_path, content, words):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(InputError, match=words):
        read(tmp_path / "t.json", ["text"])


def test_an_array_larger_than_a_block(tmp_path):
    records = [{"text": "x" * (row * 5000), "label": "a"} for row in range(40)]
    (tmp_path / "t.json").write_text(json.dumps(records, indent=1))
    assert texts(silently(tmp_path / "t.json", ["text"])) == [record["text"] for record in records]
