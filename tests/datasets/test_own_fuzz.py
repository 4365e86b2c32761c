"""Damaged tables of any kind: what is read is sound, what is not is told in two short lines."""

from __future__ import annotations

import json
import warnings

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from spurcli.datasets import load_dataset
from spurcli.errors import SpurError, SpurWarning

BITS = [
    b"\0", b"\xff", b'"', b",", b"\n", b"\r", b"\t", b"{", b"}", b"[", b"\\ud800", b"NaN", b"null", b"1e999", b"-", b"\xef\xbb\xbf",
    b"../", b"/", b"x" * 200_000, "é".encode(), b"\x1b[31m", b":", b" ", b"label",
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The content of a sound table of each kind, and a folder."""
    root = tmp_path_factory.mktemp("fuzz")
    rows = [{"text": f"t {row}", "label": row % 2, "split": "train", "group": row % 4} for row in range(12)]
    lines = ["text,label,split,group", *(",".join(map(str, row.values())) for row in rows)]
    parquet.write_table(pa.Table.from_pylist(rows), root / "sound.parquet")
    return root, {
        "csv": "\n".join(lines).encode(),
        "tsv": "\n".join(lines).replace(",", "\t").encode(),
        "jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "parquet": (root / "sound.parquet").read_bytes(),
    }


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["csv", "tsv", "jsonl", "parquet"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0, 1, 5, 50]), st.sampled_from(BITS)), max_size=4),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damaged_tables(sound, kind, changes, kept):
    root, contents = sound
    content = bytearray(contents[kind])
    for place, length, bit in changes:
        begin = int(place * len(content))
        content[begin : begin + length] = bit
    (root / f"own.{kind}").write_bytes(content[: int(kept * len(content))])
    found, message = None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpurWarning)
            found = load_dataset("table", {"path": f"own.{kind}"}, data_root=root)
    except SpurError as error:
        message = str(error)
    if found is None:
        assert 1 <= len(message.splitlines()) <= 2
        assert len(message) < 1500
        return
    lines = [line for split in found.splits.values() for line in split.sample_id]
    assert len(set(lines)) == len(lines) > 0
    assert all(name.strip() == name and name for name in (*found.class_names, *found.attribute_names))
