"""Provenance and fingerprints: what identifies a file, and nothing that identifies a machine."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import socket
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.artifacts.describe import describe
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.provenance import (
    Parent,
    lineage_of,
    portable_command,
    portable_path,
    portable_word,
    provenance,
    read_provenance,
)
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.errors import InputError


@settings(max_examples=50, deadline=None)
@given(
    labels=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20),
    ids=st.none() | st.lists(st.text(st.characters(codec="utf-8")), max_size=20),
)
def test_a_fingerprint_is_what_the_documentation_says(labels, ids):
    found = Fingerprint.of(np.array(labels, dtype=np.int64), ids)
    packed = b"".join(struct.pack("<q", label) for label in labels)
    assert found.num_samples == len(labels)
    assert found.labels_sha256 == hashlib.sha256(packed).hexdigest()
    joined = None if ids is None else hashlib.sha256("".join(f"{name}\n" for name in ids).encode()).hexdigest()
    assert found.ids_sha256 == joined
    assert Fingerprint.from_json(json.loads(json.dumps(found.to_json())), "x") == found


def test_other_integer_types_have_the_same_fingerprint():
    labels = np.array([0, 1, 200])
    assert Fingerprint.of(labels) == Fingerprint.of(labels.astype(">u2")) == Fingerprint.of(labels[::-1][::-1])


def test_only_what_both_sides_have_is_compared():
    full, foreign = Subject(Fingerprint(3, "ab", "cd"), name="a"), Subject(Fingerprint(3), name="b")
    full.require_same(foreign, InjectionPolicy.SAME)
    foreign.require_same(full, InjectionPolicy.SAME)
    full.require_same(Subject.unknown(), InjectionPolicy.SAME)
    for other, words in (
        (Fingerprint(4), "3 samples against 4"),
        (Fingerprint(3, "xx"), "the labels differ"),
        (Fingerprint(3, None, "xx"), "the sample ids differ"),
    ):
        for policy in InjectionPolicy:
            with pytest.raises(InputError, match=f"a and b .*samples.*{words}"):
                full.require_same(Subject(other, name="b"), policy)


def test_injections_must_be_the_same():
    clean, injected = Subject(None, name="b"), Subject(None, "ab" * 32, name="a")
    clean.require_same(clean, InjectionPolicy.SAME)
    injected.require_same(injected, InjectionPolicy.SAME)
    injected.require_same(clean, InjectionPolicy.of(True))
    injected.require_same(Subject.unknown(), InjectionPolicy.SAME)
    with pytest.raises(InputError, match=r"a .*injection abababababab.* b .*no injection") as raised:
        injected.require_same(clean, InjectionPolicy.of(False))
    assert "--allow-injection-mismatch" in raised.value.hint


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["prune", "/home/me/s.h5", "-o", "sub/k.txt"], "spurcli prune s.h5 -o sub/k.txt"),
        (["score", "--dataset", "/home/me/my data.py:load"], "spurcli score --dataset 'my data.py:load'"),
        (["score", "--set", "model.options.weights=/w/r.pth"], "spurcli score --set model.options.weights=r.pth"),
        (["score", "--output=/home/me/s.h5"], "spurcli score --output=s.h5"),
        (["score", "--data-root", "/home/me", "--epoch", "3"], "spurcli score --epoch 3"),
        (["score", "--data-root=/home/me"], "spurcli score"),
        (["score", "~/x.h5", "../x.h5"], "spurcli score x.h5 ../x.h5"),
        (["show", "bad\udcff.h5"], "spurcli show 'bad?.h5'"),
        (["evaluate", "/"], "spurcli evaluate /"),
    ],
)
def test_the_command_as_typed_without_private_paths(argv, command):
    assert portable_command(argv) == command
    command.encode()


def test_words_and_paths():
    assert portable_path("/a/b.h5") == "b.h5"
    assert portable_path("a/b.h5") == "a/b.h5"
    assert portable_word("/a/b.py:load") == "b.py:load"
    assert portable_word("dir/b.py:load") == "dir/b.py:load"


def test_lineage_is_the_whole_chain_once(tmp_path):
    made = provenance("score", command="spurcli score")
    (tmp_path / "s.h5").write_bytes(b"x")
    parents = [Parent.of(tmp_path / "s.h5", made), Parent("t.h5", "ab", ("spurcli inject", "spurcli score"))]
    found = provenance("prune", command="spurcli prune", parents=parents)
    assert found["lineage"] == ["spurcli score", "spurcli inject", "spurcli prune"]
    assert found["parents"][0] == {"file": "s.h5", "sha256": hashlib.sha256(b"x").hexdigest()}
    again = provenance("prune", command="spurcli prune", parents=[Parent("k", "ab", tuple(found["lineage"]))])
    assert again["lineage"] == found["lineage"]
    assert lineage_of({"lineage": [1, "a", None]}) == ("a",)
    assert lineage_of({"lineage": "spurcli"}) == ()


def test_provenance_from_elsewhere_is_checked():
    assert read_provenance(None, "x") == {}
    assert read_provenance({"settings": None, "more": 1}, "x") == {"settings": None, "more": 1}
    for key, value in {
        "settings": [],
        "arguments": 1,
        "lineage": "a",
        "parents": {},
        "stage": 5,
        "command": [],
    }.items():
        with pytest.raises(InputError, match=f"x: provenance: '{key}'"):
            read_provenance({key: value}, "x")


def test_a_chain_leaves_nothing_of_the_machine_and_the_same_bytes_twice(spurcli, tiny_flags, tmp_path, monkeypatch):
    """The same commands, typed in two folders with absolute paths, give the same bytes but for the seconds."""
    files = ("inject.json", "scores.h5", "keep.txt", "model.safetensors", "evaluation.json", "predictions.h5")
    found = []
    for folder in ("one", "two"):
        place = tmp_path / folder
        place.mkdir()
        monkeypatch.chdir(place)
        counts = [word for word in tiny_flags if word == "--set" or word.startswith("dataset.")]
        counts = [
            word for n, word in enumerate(counts) if word != "--set" or counts[n + 1 : n + 2] not in ([], ["--set"])
        ]
        for words in (
            ["inject", "--dataset", "demo", "--feature", "patch", "--class", "1", "--fraction", "0.3", *counts],
            ["score", "--dataset", place / "inject.json", *tiny_flags[6:], "--data-root", place],
            ["prune", place / "scores.h5", "--fraction", "0.1", "--per-class"],
            ["train"],
            ["evaluate", f"{place}/model.safetensors"],
        ):
            done = spurcli(*words)
            assert done.code == 0, done.err
        found.append({name: (place / name).read_bytes() for name in files})
        for name in (*files, "history.json"):
            assert str(tmp_path).encode() not in (place / name).read_bytes()
            said = json.dumps(describe(place / name))
            assert not re.search(rf"\b({re.escape(socket.gethostname())}|{getpass.getuser()})\b", said)
    assert found[0] == found[1]
