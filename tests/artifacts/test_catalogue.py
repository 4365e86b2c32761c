"""The catalogue of artefacts is complete: each is documented, golden, fuzzed, recognised, and told from the others."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import typer

import spurcli
from spurcli.artifacts import catalogue
from spurcli.artifacts.catalogue import CATALOGUE, ERRORS, INDICES, Artefact, require_kind
from spurcli.artifacts.describe import artefact_of, read_described
from spurcli.artifacts.indices import IndexList, write_indices
from spurcli.cli.app import COMMANDS, app
from spurcli.errors import InputError

ROOT = Path(__file__).parent.parent.parent
FUZZED = (ROOT / "tests/fuzz/targets.py").read_text(encoding="utf-8")
FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def golden_of(tmp_path_factory):
    """The golden file of a kind and version."""

    def find(artefact: Artefact, version: int) -> list[Path]:
        names = [Path(name) for name in artefact.names]
        return [ROOT / "tests/golden" / f"{name.stem}-v{version}{name.suffix}" for name in names]

    return find


@pytest.mark.parametrize("artefact", CATALOGUE, ids=lambda artefact: artefact.kind)
def test_each_is_documented_golden_fuzzed_and_written_by_a_stage(artefact, golden_of):
    headings = "\n".join(re.findall("^## .*$", FORMATS, re.MULTILINE))
    rows = [line for line in FORMATS.splitlines() if line.startswith("| [")]
    for name in artefact.names:
        assert name in headings
        assert any(name in row and f"`{artefact.stage}" in row.split("|")[2] for row in rows), name
    if artefact.endings != (".txt", ".list", ".lst"):
        assert artefact.format in FORMATS
    assert artefact.stage.split()[0] in COMMANDS
    words = artefact.use.split()
    assert words[0] in COMMANDS
    group = typer.main.get_command(app)
    parameters = group.get_command(group.make_context("spurcli", [words[0]], resilient_parsing=True), words[0]).params
    assert {word for word in words if word.startswith("--")} <= {flag for each in parameters for flag in each.opts}
    for version in range(1, artefact.version + 1):
        for path in golden_of(artefact, version):
            assert path.is_file(), f"{path.name}: a golden file of each version (tests/golden/make.py)"
            assert catalogue.recognise(path) == artefact
            assert artefact_of(path) == artefact
            assert read_described(path, artefact).kind.startswith(artefact.kind)
            assert f'target("{path.name}"' in FUZZED, f"{path.name}: a target in tests/fuzz/targets.py"


def test_no_other_format_is_written():
    """A writer of a format that the catalogue does not have would have no page, no golden file, no fuzz target."""
    source = Path(spurcli.__file__).parent
    stated = {
        found
        for path in source.rglob("*.py")
        for found in re.findall(r'"(spurcli\.[a-z]+)", *[0-9]', path.read_text(encoding="utf-8"))
    }
    assert stated == {artefact.format for artefact in CATALOGUE} | {"spurcli.cache"}  # a folder that is made anew


def test_names_and_kinds_are_of_one_artefact_each():
    names = [name for artefact in CATALOGUE for name in artefact.names]
    assert len(set(names)) == len(names)
    assert len({artefact.kind for artefact in CATALOGUE}) == len(CATALOGUE)
    assert all(catalogue.named(name).names[0].split(".")[-1] for name in names)


def test_one_kind_in_place_of_another_is_called_what_it_is(golden_of):
    for expected, other in itertools.product(CATALOGUE, CATALOGUE):
        path = golden_of(other, 1)[0]
        if expected == other:
            require_kind(path, expected, "")
            continue
        with pytest.raises(InputError) as caught:
            require_kind(path, expected, "Make one with: spurcli thing.")
        assert f"{path} is {other.noun}, not " in caught.value.problem
        assert f"Make one with: spurcli thing. {path.name} goes to: spurcli {other.use.split()[0]}" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\x89HDF\r\n\x1a\n", b"\x08\0\0\0\0\0\0\0{}", b"# spurcli ind", b"#", b"\xff" * 100, b"1\n2\n",
        b'{"format": "spurcli.unknown"}', b'{"format": "spurcli.scores", "version": 1}',
        b'\x22\0\0\0\0\0\0\0{"__metadata__":{"other":"spurcli"}}',
    ],
)  # fmt: skip
def test_what_spurcli_did_not_write_is_not_recognised(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    assert catalogue.recognise(tmp_path / "x") is None


def test_lists_that_begin_with_a_mark_or_a_damaged_header_are_lists(tmp_path):
    path = tmp_path / "x.txt"
    write_indices(path, IndexList(np.array([1]), "errors"))
    content = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + content)
    assert catalogue.recognise(path) == ERRORS
    path.write_bytes(content[:40])
    assert catalogue.recognise(path) == INDICES
