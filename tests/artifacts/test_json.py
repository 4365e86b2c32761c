"""JSON from anywhere: what cannot be written again is not read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.artifacts.atomic import write_json
from spurcli.artifacts.envelope import canonical_json, parse_json, read_json_artifact, sha256_of_json
from spurcli.artifacts.evaluation import predictions_path, read_evaluation
from spurcli.artifacts.history import history_path, read_history
from spurcli.artifacts.injection import read_injection
from spurcli.errors import InputError

TEXT = st.text(st.characters(codec="utf-8"))
PLAIN = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
CONTENT = st.recursive(PLAIN | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


def refuse(read, path, match, content=None):
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(InputError, match=match) as caught:
        read(path)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


@settings(max_examples=50, deadline=None)
@given(content=CONTENT)
def test_what_is_written_is_read(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "x.json"
    write_json(path, content)
    assert parse_json(path.read_bytes(), "x") == content
    assert parse_json(canonical_json(content), "x") == content


@settings(max_examples=50, deadline=None)
@given(content=st.dictionaries(TEXT, PLAIN))
def test_the_hash_does_not_depend_on_the_order_of_keys(content):
    assert sha256_of_json(dict(reversed(content.items()))) == sha256_of_json(content)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"[NaN]", "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b"[1e999]", "1e999 is too large a number"),
        (b"[" + b"9" * 5000 + b"]", "not valid JSON"),
        (b'["\\ud800"]', "not valid JSON"),
        (b'{"\\udfff": 1}', "not valid JSON"),
        (b'["\xff"]', "not valid JSON"),
        (b"\xef\xbb\xbf[]", "BOM"),
        (b"[" * 101 + b"]" * 101, "nested more than 100 deep"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "nested more than 100 deep"),
        (b"[" * 1_000_000, "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b"[1] [2]", "Extra data"),
        (b"\x00", "not valid JSON"),
    ],
)
def test_what_cannot_be_written_again_is_refused(text, match):
    with pytest.raises(InputError, match=match):
        parse_json(text, "x")


def test_deep_but_sane_nesting_is_read():
    assert parse_json("[" * 90 + "]" * 90, "x")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_nan_is_never_written(tmp_path, number):
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"value": number})
    assert not list(tmp_path.iterdir())


def test_format_and_version(tmp_path):
    def read(path):
        return read_json_artifact(path, "spurcli.x", 2, "Make it.")

    path = tmp_path / "x.json"
    for version in (1, 2):
        path.write_text(json.dumps({"format": "spurcli.x", "version": version}))
        assert read(path)["version"] == version
    refuse(
        read, path, "has version 3; this spurcli reads spurcli.x up to version 2", {"format": "spurcli.x", "version": 3}
    )
    for version in (0, -1, "1", 1.0, True, None, [1]):
        refuse(read, path, "no usable version", {"format": "spurcli.x", "version": version})
    refuse(read, path, "no format name", {"version": 1})
    refuse(read, path, "format 'spurcli.y'", {"format": "spurcli.y", "version": 1})
    refuse(read, path, "is not a spurcli.x file", [1])
    refuse(read, path, "is empty", b"")
    refuse(read, tmp_path, "is a folder")


def test_a_file_larger_than_any_should_be_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("spurcli.artifacts.envelope.MAX_JSON_BYTES", 10)
    refuse(lambda path: read_json_artifact(path, "x", 1, ""), tmp_path / "x.json", "too large for a", {"format": "x"})


CHANGES = {
    "evaluation": [
        ({"metrics": None}, "'metrics' is missing"),
        ({"metrics": []}, "'metrics' is missing or of the wrong kind"),
        ({"metrics": {"accuracy": 0.5}}, "'accuracy' is missing or of the wrong kind"),
        ({"provenance": []}, "'provenance' is not an object"),
    ],
    "history": [
        ({"epochs": None}, "'epochs' is missing"),
        ({"epochs": {}}, "'epochs' is missing or of the wrong kind"),
        ({"epochs": [1]}, "an epoch is not an object"),
        ({"provenance": {"lineage": {}}}, "'lineage' is missing or of the wrong kind"),
    ],
    "inject": [
        ({"feature": 5}, "'feature' is missing or of the wrong kind"),
        ({"dataset": "demo"}, "'dataset' is missing or of the wrong kind"),
        ({"dataset": {"name": "demo"}}, "'options' is missing"),
        ({"parameters": None}, "'parameters' is missing"),
        ({"seed": True}, "'seed' is missing or of the wrong kind"),
        ({"seed": -1}, "count from 0"),
        ({"feature_of": -1}, "count from 0"),
        ({"twin_class": -1}, "count from 0"),
        ({"twin_class": "dog"}, "'twin_class' is missing or of the wrong kind"),
        ({"carriers": [1]}, "'carriers' is missing or of the wrong kind"),
        ({"carriers": {"train": "12"}}, "'train' is missing or of the wrong kind"),
        ({"carriers": {"train": [1.0]}}, "must be integers"),
        ({"carriers": {"train": [True]}}, "must be integers"),
        ({"carriers": {"train": [6]}}, "outside the 6 training samples"),
        ({"carriers": {"train": [-1]}}, "outside the 6 training samples"),
        ({"carriers": {"train": [10**30]}}, "outside the 6 training samples"),
        ({"carriers": {"train": [1, 1]}}, "listed twice"),
        ({"carriers": {"train": [1]}}, "was changed after it was written"),
        ({"seed": 8}, "was changed after it was written"),
        ({"sha256": "00"}, "was changed after it was written"),
        ({"sha256": 1}, "'sha256' is missing or of the wrong kind"),
        ({"fingerprint": None}, "no usable fingerprint"),
        ({"provenance": "x"}, "'provenance' is not an object"),
    ],
}
READERS = {"evaluation": read_evaluation, "history": read_history, "inject": read_injection}


@pytest.mark.parametrize(
    ("kind", "change", "match"), [(kind, *case) for kind, cases in CHANGES.items() for case in cases]
)
def test_wrong_kinds_are_named(golden, tmp_path, kind, change, match):
    content = json.loads((golden / f"{kind}-v1.json").read_text())
    refuse(READERS[kind], tmp_path / "x.json", match, {**content, **change})


def test_an_injection_without_its_hash_may_be_edited(golden, tmp_path):
    content = json.loads((golden / "inject-v1.json").read_text())
    del content["sha256"]
    content["carriers"]["train"] = [5, 0, 2]
    path = tmp_path / "inject.json"
    path.write_text(json.dumps(content))
    assert read_injection(path).carriers.tolist() == [0, 2, 5]


def test_where_companion_files_go(tmp_path):
    assert history_path(tmp_path / "model.safetensors") == tmp_path / "history.json"
    assert history_path(tmp_path / "big.safetensors") == tmp_path / "big.history.json"
    assert predictions_path(tmp_path / "evaluation.json") == tmp_path / "predictions.h5"
    assert predictions_path(tmp_path / "seed1.json") == tmp_path / "seed1.predictions.h5"
