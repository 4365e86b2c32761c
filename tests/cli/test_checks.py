"""checks: what is installed and found here, and an error only for what every command needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from spurcli.machine import devices, packages, places
from spurcli.registries import DATASETS

QUICK = ("checks", "--without-devices")
if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def versions(monkeypatch):
    """Versions that are not those installed: {"torch": "1.0", "timm": None}."""
    found = packages._version

    def pretend(**other):
        monkeypatch.setattr(packages, "_version", lambda name: other.get(name, found(name)))

    return pretend


def test_json_says_all_that_is_found(spurcli, monkeypatch):
    monkeypatch.delenv("SPURCLI_DATA_ROOT", raising=False)
    monkeypatch.delenv("SPURCLI_CACHE", raising=False)
    done = spurcli("checks", "--json")
    assert done.code == 0, done.err
    found = done.json
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    offered = set(project["optional-dependencies"]) - {"fuzz", "docs", "test", "dev"}
    assert {each["name"] for each in found["extras"]} <= offered
    assert {"python", "spurcli", "numpy", "torch", "transformers"} <= {each["name"] for each in found["packages"]}
    assert (found["ok"], found["problems"]) == (True, [])
    assert found["data_root"] | {"free": 0} == {
        "folder": "data",
        "said_by": "",
        "exists": False,
        "writable": True,
        "free": 0,
    }
    assert found["cache"]["folder"] == str(Path("data") / ".spurcli-cache")
    assert "cpu" in [each["name"] for each in found["devices"]["found"]]
    assert found["devices"]["auto"]
    assert list(Path().iterdir()) == []


def test_every_benchmark_is_looked_for():
    looked_for = {name for names in places._FOLDER_OF for name in names.split(", ")}
    assert looked_for == set(DATASETS.entries) - {"demo", "folder", "table", "embeddings"}


def test_data_weights_and_caches_are_found(spurcli, monkeypatch, tmp_path):
    for name, size in (("cifar-10-batches-py/data_batch_1", 3), ("weights/bert/config.json", 7), ("weights/r.pth", 5)):
        path = Path("root") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    monkeypatch.setenv("SPURCLI_DATA_ROOT", "root")
    monkeypatch.setenv("SPURCLI_CACHE", str(tmp_path / "cache"))
    found = spurcli(*QUICK, "--json").json
    assert found["data_root"]["said_by"] == "SPURCLI_DATA_ROOT"
    by_name = {each["name"]: each["folder"] for each in found["data_sets"]}
    assert by_name["cifar10"] == str(Path("root/cifar-10-batches-py"))
    assert by_name["waterbirds"] is None
    assert found["weights"]["found"] == [{"name": "bert/", "bytes": 7}, {"name": "r.pth", "bytes": 5}]
    assert (found["cache"]["said_by"], found["cache"]["found"]) == ("SPURCLI_CACHE", [])
    text = spurcli(*QUICK)
    assert "waterbirds           not found" in text.out
    assert "r.pth  5 bytes" in text.out


def test_a_missing_extra_is_no_error_and_comes_with_its_line(spurcli, versions):
    versions(timm=None)
    done = spurcli(*QUICK)
    assert done.code == 0, done.err
    assert "pip install 'spurcli[timm]'" in done.out


@pytest.mark.parametrize(("version", "said"), [("1.0", "torch is 1.0"), (None, "torch is not installed")])
def test_what_every_command_needs_is_an_error(version, said, spurcli, versions):
    versions(torch=version)
    done = spurcli(*QUICK, "--json")
    assert done.code == 1
    assert done.json["ok"] is False
    assert [each["problem"].split(",")[0] for each in done.json["problems"]] == [said]
    assert f"Error: {said}" in done.err
    assert "pip install 'torch>=" in done.err


def test_a_named_root_that_is_not_there_and_a_folder_that_cannot_be_written_are_errors(spurcli, monkeypatch):
    assert "--data-root names nowhere" in spurcli(*QUICK, "--data-root", "nowhere").err
    monkeypatch.setattr(os, "access", lambda *_: False)
    done = spurcli(*QUICK)
    assert done.code == 1
    assert "cannot be written to" in done.err
    assert "not writable" in done.out


def test_a_torch_that_does_not_run_is_an_error(spurcli, monkeypatch):
    def broken(name):
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr("spurcli.runtime.device.choose_device", broken)
    assert "libcudart" in devices.devices()["problem"]
    done = spurcli("checks")
    assert done.code == 1
    assert "torch does not run: libcudart" in done.err
