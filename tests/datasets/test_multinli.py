"""MultiNLI: three releases give the same rows, the published split is matched row by row, damage is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spurcli.datasets import multinli
from spurcli.datasets.multinli import METADATA, load, negates, read_rows
from spurcli.errors import InputError, SpurWarning, UsageError

LABELS = ["contradiction", "entailment", "neutral"]
# per part: label ("-" is dropped), premise, hypothesis
PARTS = {
    part: [
        (
            "-" if row % 7 == 3 else LABELS[(row + shift) % 3],
            f'He said "{part} {row}"',
            ["It was, never.", "No one knew", "I know", "Nobody's here", "nothing"][row % 5] + f" {row}",
        )
        for row in range(count)
    ]
    for part, count, shift in (("train", 40, 0), ("dev_matched", 16, 1), ("dev_mismatched", 15, 2))
}
LABELLED = [row for rows in PARTS.values() for row in rows if row[0] != "-"]
NEGATION = [{"It": 1, "No": 1, "I": 0, "Nobody's": 0, "nothing": 1}[row[2].split()[0].rstrip(",")] for row in LABELLED]


def write(root: Path, kind: str) -> Path:
    folder = root / ("MNLI" if kind == "tsv" else "multinli_1.0")
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in PARTS.items():
        if kind == "jsonl":
            lines = [json.dumps({"gold_label": y, "sentence1": a, "sentence2": b, "genre": "x"}) for y, a, b in rows]
            (folder / f"multinli_1.0_{part}.jsonl").write_text("\n".join(lines) + "\n")
            continue
        kept = [row for row in rows if kind == "txt" or row[0] != "-"]  # GLUE has dropped them
        lines = ["index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label"]
        lines += [f"{number}\tx\t{a}\t{b}\t{y}\t{y}" for number, (y, a, b) in enumerate(kept)]
        name = f"multinli_1.0_{part}.txt" if kind == "txt" else f"{part}.tsv"
        (folder / name).write_text("\r\n".join(lines) + "\r\n")
    return folder


def write_metadata(folder: Path, change=lambda rows: rows) -> list[int]:
    """The published split's file for these rows; returns the split of each labelled row."""
    index = [number for number, row in enumerate(row for rows in PARTS.values() for row in rows) if row[0] != "-"]
    split = np.random.default_rng(0).integers(0, 3, len(index)).tolist()
    rows = [
        [number, LABELS.index(row[0]), negation, part]
        for number, row, negation, part in zip(index, LABELLED, NEGATION, split, strict=True)
    ]
    text = ",gold_label,sentence2_has_negation,split\n"
    text += "".join(",".join(map(str, row)) + "\n" for row in change(rows))
    (folder / METADATA).write_text(text)
    return split


@pytest.fixture
def published(monkeypatch) -> None:
    """The counts of the rows above instead of the real ones."""
    split = np.random.default_rng(0).integers(0, 3, len(LABELLED))
    group = np.array([2 * LABELS.index(row[0]) + n for row, n in zip(LABELLED, NEGATION, strict=True)])
    counts = {
        name: tuple(np.bincount(group[split == number], minlength=6)) for number, name in enumerate(multinli.SPLITS)
    }
    monkeypatch.setattr(multinli, "PUBLISHED", counts)
    monkeypatch.setattr(multinli, "_NUM_LABELLED", len(LABELLED))


@pytest.mark.parametrize("kind", ["jsonl", "txt", "tsv"])
def test_rows_are_those_with_a_label_end_to_end(tmp_path, kind):
    rows = read_rows(write(tmp_path, kind))
    assert list(zip(rows.first, rows.second, strict=True)) == [(a, b) for _, a, b in LABELLED]
    assert rows.label.tolist() == [LABELS.index(y) for y, _, _ in LABELLED]
    assert rows.negation.tolist() == NEGATION


@pytest.mark.parametrize("kind", ["jsonl", "txt", "tsv"])
def test_the_published_split_whatever_the_release(tmp_path, kind, published):
    split = write_metadata(write(tmp_path, kind))
    dataset = load(data_root=tmp_path)
    for number, (name, part) in enumerate(dataset.splits.items()):
        mine = [row for row, where in zip(LABELLED, split, strict=True) if where == number]
        assert part.inputs.read(np.arange(len(part))) == [(a, b) for _, a, b in mine], name
    assert dataset.splits["train"].sample_id[0].startswith("train-")
    ids = [sample for part in dataset.splits.values() for sample in part.sample_id]
    assert sorted(ids) == sorted(read_rows(write(tmp_path / "other", "jsonl")).row_id)


def swapped(rows: list) -> list:
    """Two neighbours of another label in each other's place."""
    at = next(i for i in range(len(rows) - 1) if rows[i][1] != rows[i + 1][1])
    rows[at][1], rows[at + 1][1] = rows[at + 1][1], rows[at][1]
    return rows


def moved(rows: list) -> list:
    rows[5][3] = (rows[5][3] + 1) % 3
    return rows


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda rows: rows[:-1], f"{len(LABELLED) - 1} rows for {len(LABELLED)} labelled"),
        (swapped, r"line \d+: gold_label is"),
        (lambda rows: [[*row[:2], 1 - row[2], row[3]] for row in rows], "line 2: sentence2_has_negation is 0, in the"),
        (moved, "rows per group in"),
        (lambda rows: [[*row[:3], 5] for row in rows], "line 2: split is '5'"),
    ],
    ids=["missing row", "swapped labels", "other negation", "swapped split", "unknown split"],
)
def test_a_split_that_is_not_the_published_one_is_named(tmp_path, change, problem, published):
    write_metadata(write(tmp_path, "jsonl"), change)
    with pytest.raises(InputError, match=problem):
        load(data_root=tmp_path)


def test_missing_rows_are_refused_unless_allowed(tmp_path):
    write(tmp_path, "jsonl")
    with pytest.raises(InputError, match="61 labelled rows, not 412,349"):
        load(data_root=tmp_path)
    with pytest.warns(SpurWarning, match="not as published: metadata_random.csv .* is missing"):
        dataset = load(data_root=tmp_path, available_only=True)
    assert [len(part) for part in dataset.splits.values()] == [30, 12, 19]
    with pytest.warns(SpurWarning):
        again, other, more = (
            load(data_root=tmp_path, available_only=True, split_seed=seed, train_share=share)
            for seed, share in ((0, 0.5), (1, 0.5), (0, 0.8))
        )
    assert list(again.splits["train"].sample_id) == list(dataset.splits["train"].sample_id)
    assert list(other.splits["train"].sample_id) != list(dataset.splits["train"].sample_id)
    assert [len(part) for part in more.splits.values()] == [48, 5, 8]
    with pytest.raises(UsageError, match="train_share = 1"):
        load(data_root=tmp_path, available_only=True, train_share=1.0)


def test_rows_with_negation_can_be_left_out(tmp_path):
    write(tmp_path, "jsonl")
    with pytest.warns(SpurWarning):
        whole, without = (load(data_root=tmp_path, available_only=True, negation=given) for given in (True, False))
    for name, part in without.splits.items():
        full = whole.splits[name]
        kept = np.flatnonzero(full.attribute == 0)
        assert list(part.sample_id) == [full.sample_id[row] for row in kept]
        assert (part.attribute == 0).all()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Never!", True),
        ("no-one", False),
        ("It is not so", False),
        ("'Nothing,' he said", True),
        ("NO", True),
        ("", False),
    ],
)
def test_negation_as_the_benchmark_defines_it(sentence, expected):
    assert negates(sentence) is expected


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"neutral"', '"netural"', r"line \d+: gold_label is 'netural', did you mean neutral\?"),
        ('"sentence2"', '"sentense2"', r"(no column|has no) 'sentence2', did you mean sentense2"),
        ('"genre": "x"}', '"genre": "x"', r"line 1 is not JSON"),
    ],
)
def test_bad_rows_are_named_by_line(tmp_path, old, new, problem):
    path = write(tmp_path, "jsonl") / "multinli_1.0_dev_matched.jsonl"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=problem):
        load(data_root=tmp_path, available_only=True)


def test_without_the_data_it_says_where_to_get_it(tmp_path):
    with pytest.raises(InputError, match="sbowman/multinli"):
        load(data_root=tmp_path)


@pytest.mark.data
def test_real_rows(benchmark_data):
    with pytest.warns(SpurWarning, match="not as published"):
        dataset = load(data_root=benchmark_data, available_only=True)
    assert sum(len(part) for part in dataset.splits.values()) == 39_308
    total = sum(np.bincount(dataset.group(name), minlength=6) for name in dataset.splits)
    assert total.tolist() == [10_961, 2_022, 13_092, 318, 12_538, 377]
