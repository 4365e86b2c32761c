"""Heads on embeddings are audited like models of the images behind them: changed images are embedded again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import spurcli as package
from spurcli.artifacts.audit import read_audit
from spurcli.artifacts.embeddings import read_embeddings
from spurcli.embedding.behind import Behind
from spurcli.errors import InputError
from spurcli.requests.behind import settings_behind

SIZES = {"dataset.options.num_train": 1000, "dataset.options.num_val": 600, "dataset.options.num_test": 400}
MARKS = ("audit", "--finder", "marks")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head on embeddings of digits with a patch, made by a network that was trained on them for three epochs; not to be changed."""
    folder = tmp_path_factory.mktemp("behind")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        package.inject(dataset="demo", feature="patch", class_name="3", fraction=0.5, seed=1, set=SIZES)
        net = {"model.options.hidden": [128], "training.epochs": 3}
        package.train(dataset="inject.json", recipe="demo", keep="all", seed=1, set=net, output="net.safetensors")
        package.embed(checkpoint="net.safetensors")
        package.train(dataset="embeddings.h5", keep="all", seed=1)
        package.evaluate()
    return folder


@pytest.fixture
def here(prepared, tmp_path, spurcli):
    """`spurcli` in a copy of `prepared`."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return spurcli


def _behind(path: Path, samples=None) -> Behind:
    found = read_embeddings(path)
    samples = samples or {name: split.fingerprint for name, split in found.splits.items()}
    return Behind.open(path, found.backbone, samples, settings_behind(path, data_root=None, device="cpu", workers=0))


def test_samples_behind_embeddings_are_embedded_as_before(here):
    path = Path("embeddings.h5")
    found, behind = read_embeddings(path), _behind(path)
    for name, split in found.splits.items():
        np.testing.assert_allclose(behind.embed(behind.dataset.splits[name].inputs), split.embedding, atol=1e-5)


def test_a_mark_is_found_in_the_images_behind_a_head_added_to_them_and_cut(here):
    done = here(*MARKS)
    assert done.code == 0, done.err
    first = read_audit(Path("audit/audit.json"))["suspects"][0]
    assert (first["class"], first["status"], first["judged_by"]) == ("3", "confirmed", "pairs")
    assert "tokenising" not in done.err
    true = here("evaluate", "-o", "true.json", "--json").json["metrics"]["feature_effect"]["value"]
    added = here("evaluate", "--suspect", "audit:1", "-o", "added.json", "--json").json
    assert added["suspect"]["measured_by"] == "insertion"
    assert added["metrics"]["feature_effect"]["value"] == pytest.approx(true, abs=0.05)
    cut = here("cut", "--seeds", "1,2", "--set", "training.epochs=5", "--json")
    assert cut.code == 0, cut.err
    effect = {arm: np.mean(values["feature_effect"]) for arm, values in cut.json["measures"].items()}
    assert effect["cut"] < min(effect["all"], effect["cut-random"]) / 2


def test_the_audited_model_is_a_row_of_its_own_even_if_a_seed_ends_in_the_same_weights(here):
    assert here(*MARKS).code == 0
    done = here("cut", "--seeds", "1,2")
    assert done.code == 0, done.err
    rows = [line.split() for line in (done.out + done.err).splitlines()]
    assert any(row[:2] == ["ERM", "2"] for row in rows), done.err  # seed 1 is trained as the audited model was
    assert any(row[:3] == ["audited", "model", "1"] for row in rows)


def test_without_what_is_behind_them_a_default_audit_says_so_and_goes_on(here, monkeypatch):
    def missing(*_):
        raise InputError("inject.json is missing", "Bring it back.")

    monkeypatch.setattr("spurcli.requests.behind.read_embeddings_header", missing)
    done = here(*MARKS)
    assert done.code == 3
    assert "inject.json" in done.err
    done = here("audit", "--finder", "clusters")
    assert done.code == 0
    assert "Features are not inserted" not in done.err
    done = here("audit", "-o", "all")
    assert done.code == 0, done.err
    assert "Features are not inserted into what the embeddings were made from:" in " ".join(done.err.split())
    assert {entry["name"] for entry in read_audit(Path("all/audit.json"))["finders"]}.isdisjoint({"marks", "regions"})


def test_other_samples_or_weights_are_noticed(here):
    path = Path("embeddings.h5")
    other = read_embeddings(path).splits["val"].fingerprint
    with pytest.raises(InputError):
        _behind(path, {"train": other})
    found = read_embeddings(path)
    backbone = {**found.backbone, "weights_sha256": "0" * 64}
    samples = {name: split.fingerprint for name, split in found.splits.items()}
    with pytest.raises(InputError, match="other weights"):
        Behind.open(path, backbone, samples, settings_behind(path, data_root=None, device="cpu", workers=0))
