"""spurcli data cache: what it says and writes, and that no result depends on it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

from spurcli.datasets.inputs import FileImages

OWN = ("--set", "preprocessing.image_size=8")
QUICK = ("--set", "model.options.hidden=[4]", "--set", "training.epochs=2", "--recipe", "demo")


@pytest.fixture
def cache(spurcli, pictures, monkeypatch):
    """Run `data cache` on the pictures; options after the name."""
    monkeypatch.delenv("SPURCLI_CACHE", raising=False)
    monkeypatch.delenv("SPURCLI_DATA_ROOT", raising=False)
    return lambda *words: spurcli("data", "cache", "pictures.py:load", *OWN, *words)


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir()) if root.is_dir() else []


def test_it_announces_writes_and_then_finds(cache, pictures):
    first = cache()
    assert first.code == 0
    assert first.out == ""
    lines = first.err.splitlines()
    assert lines[0] == f"Writing 4.0 kB of pixels to {Path('data') / '.spurcli-cache'}: train, val, test"
    assert lines[1] == "train: 12 samples, written (2.3 kB)"
    assert len(folders(pictures / ".spurcli-cache")) == 3
    times = {path: path.stat().st_mtime_ns for path in (pictures / ".spurcli-cache").rglob("*")}
    again = cache("--workers", "1")
    assert again.code == 0
    assert "Checking the cache of train" in again.err
    assert "train: 12 samples, exists and is complete (2.3 kB)" in again.err
    assert {path: path.stat().st_mtime_ns for path in (pictures / ".spurcli-cache").rglob("*")} == times


def test_json_alone_on_stdout(cache, pictures):
    found = cache("--json").json
    assert found["name"] == "pictures"
    assert found["folder"] == str(Path("data") / ".spurcli-cache")
    assert {name: facts["num_samples"] for name, facts in found["splits"].items()} == {"train": 12, "val": 5, "test": 4}
    assert {facts["done"] for facts in found["splits"].values()} == {"written"}
    assert sorted(facts["folder"] for facts in found["splits"].values()) == folders(pictures / ".spurcli-cache")
    assert found["splits"]["val"]["bytes"] == 5 * 8 * 8 * 3


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_nothing_to_do_for_pixels_in_memory(spurcli, tmp_path, extra):
    result = spurcli("data", "cache", "demo", *extra)
    assert result.code == 0
    if extra:
        assert {facts["done"] for facts in result.json["splits"].values()} == {"nothing"}
    else:
        assert result.err == "Nothing to do: no split of demo has images to decode, or texts\n"
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_another_place(cache, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("SPURCLI_CACHE", str(tmp_path / "fast disk"))
    assert cache().code == 0
    assert len(folders(tmp_path / "fast disk")) == 3
    assert not (pictures / ".spurcli-cache").exists()


def test_a_disk_too_small_is_refused_before_any_work(cache, pictures, monkeypatch):
    usage = shutil.disk_usage(pictures)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1500))
    result = cache()
    assert result.code == 3
    error, hint = result.err.splitlines()
    assert error == "Error: The cache needs 4.0 kB, 1.5 kB are free in data/.spurcli-cache: 2.5 kB more are needed"
    assert "SPURCLI_CACHE" in hint
    assert not (pictures / ".spurcli-cache").exists()


def test_a_place_that_cannot_be_written_names_the_variable(cache, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPURCLI_CACHE", str(tmp_path / "file" / "below"))
    result = cache()
    assert result.code == 3
    assert "SPURCLI_CACHE" in result.err


def test_what_is_damaged_is_made_again_and_said(cache, pictures):
    cache()
    damaged = pictures / ".spurcli-cache" / folders(pictures / ".spurcli-cache")[0]
    with (damaged / "pixels.npy").open("rb+") as stream:
        stream.truncate(200)
    result = cache("--json")
    assert result.code == 0
    assert sorted(facts["done"] for facts in result.json["splits"].values()) == ["replaced", "there", "there"]
    assert re.search(f"data/.spurcli-cache/{damaged.name}.*pixels.npy.* 200 bytes", result.err)
    assert cache("--json").json["splits"].keys() == result.json["splits"].keys()


def test_stages_refuse_what_is_damaged(cache, spurcli, pictures):
    cache()
    for folder in (pictures / ".spurcli-cache").iterdir():
        (folder / "cache.json").write_text("{")
    result = spurcli("score", "--dataset", "pictures.py:load", *OWN, *QUICK, "--epoch", "1")
    assert result.code == 3
    assert len(result.err.splitlines()) == 2
    assert "Make it again with spurcli data cache" in result.err


def results(spurcli, folder: Path, dataset: str) -> dict[str, object]:
    """Scores, trained weights and evaluation of one way through the chain."""
    own = ("--dataset", dataset, *(("--set", "dataset.name=pictures.py:load") if dataset == "inject.json" else ()))
    for command in (
        ("score", *own, *OWN, *QUICK, "--epoch", "1", "--workers", "0", "--force"),
        ("train", *own, *OWN, *QUICK, "--keep", "all", "--workers", "0", "--force"),
        ("evaluate", *own, "--workers", "0"),
    ):
        done = spurcli(*command)
        assert done.code == 0, done.err
    found: dict[str, object] = dict(load_file(folder / "model.safetensors"))
    with h5py.File(folder / "scores.h5") as file:
        found |= {f"score {name}": file[f"scores/{name}/values"][:] for name in file["scores"]}
    with h5py.File(folder / "predictions.h5") as file:
        file.visititems(lambda name, item: found.update({name: item[:]}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_results_are_the_same_bits_with_the_cache_and_a_few_images_are_decoded(
    cache, spurcli, pictures, tmp_path, monkeypatch
):
    inject = ("--dataset", "pictures.py:load", "--feature", "patch", "--set", "feature.noise=9", "--class", "even")
    assert spurcli("inject", *inject, *OWN, "--count", "3", "--recipe", "demo").code == 0
    reads, right = [], FileImages.read

    def counting(self, indices):
        reads.extend(indices.tolist())
        return right(self, indices)

    monkeypatch.setattr(FileImages, "read", counting)
    plain = [results(spurcli, tmp_path, dataset) for dataset in ("pictures.py:load", "inject.json")]
    assert cache().code == 0
    reads.clear()
    mapped = [results(spurcli, tmp_path, dataset) for dataset in ("pictures.py:load", "inject.json")]
    for mine, other in zip(plain, mapped, strict=True):
        assert mine.keys() == other.keys()
        assert len(mine) > 12
        assert all(np.array_equal(mine[name], other[name]) for name in mine)
    assert "injected/logits" in plain[1]
    assert not np.array_equal(plain[0]["score el2n"], plain[1]["score el2n"])
    assert len(reads) == 6 * (5 + 5 + 4)  # six stages compared a few of each split, and read no other


def test_the_cache_of_an_injected_set_is_that_of_its_base(cache, spurcli, pictures):
    inject = ("--dataset", "pictures.py:load", "--feature", "patch", "--class", "even", "--count", "3")
    assert spurcli("inject", *inject, *OWN, "--recipe", "demo").code == 0
    words = ("data", "cache", "inject.json", *OWN, "--set", "dataset.name=pictures.py:load", "--json")
    assert {facts["done"] for facts in spurcli(*words).json["splits"].values()} == {"written"}
    assert {facts["done"] for facts in cache("--json").json["splits"].values()} == {"there"}


def test_nothing_of_the_cache_is_stored_with_a_result(cache, spurcli, tmp_path, monkeypatch):
    monkeypatch.setenv("SPURCLI_CACHE", str(tmp_path / "secret-place"))
    cache()
    assert spurcli("score", "--dataset", "pictures.py:load", *OWN, *QUICK, "--epoch", "1", "--workers", "0").code == 0
    with h5py.File(tmp_path / "scores.h5") as file:
        provenance = bytes(file.attrs["provenance"]).decode()
    assert "pictures.py:load" in provenance
    assert "secret-place" not in provenance
    assert "cache" not in provenance
