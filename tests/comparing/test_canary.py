"""`spurcli canary`: planted features are where their file says, the forecast follows its rule, nothing of it reaches other data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import spurcli as spurcli_in_python
from spurcli.artifacts.embeddings import read_embeddings
from spurcli.artifacts.injection import read_injection
from spurcli.comparing.canary.forecast import Measured, forecast, ratio
from spurcli.comparing.canary.frozen import _only
from spurcli.comparing.canary.planting import canaries_of
from spurcli.comparing.canary.request import CanaryRequest
from spurcli.comparing.canary.running import _base, _planned, _plant
from spurcli.comparing.canary.words import sentences
from spurcli.datasets import ArrayImages, Texts, load_dataset
from spurcli.datasets.injected import apply_injection
from spurcli.errors import InputError, UsageError
from spurcli.progress import Silent
from spurcli.requests.options import Caller

DATA = {"dataset.options.num_train": 300, "dataset.options.num_val": 60, "dataset.options.num_test": 60}
TINY = {"model.options.hidden": [16], "training.epochs": 2, "scoring.epoch": 1}
ASKED = {"seeds": 2, "fractions": "0.2", "canaries": 2, "output": "canary", "set": TINY}


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """A folder in which a small canary run on a data set with a feature of its own ended; not to be changed."""
    folder = tmp_path_factory.mktemp("calm")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        spurcli_in_python.inject(dataset="demo", feature="patch", class_name="3", count=9, set=DATA)
        planned = spurcli_in_python.canary(dataset="inject.json", dry_run=True, **ASKED)
        assert planned["forecast"] is None
        assert not (folder / "canary").exists()
        result = spurcli_in_python.canary(dataset="inject.json", **ASKED)
        assert result["forecast"]["split"] == "val"
        assert "Accuracy" in (folder / "canary/canary.html").read_text(encoding="utf-8")
        assert result["num_commands"] == planned["num_commands"] == 2 * (1 + 3 + 2 + 3 * 2)
    return folder


def test_each_canary_is_judged_on_the_same_training_images_in_which_carriers_differ(calm):
    options = {key.rpartition(".")[2]: value for key, value in DATA.items()}
    files = [calm / "canary" / "seed1" / f"canary{number}.json" for number in (1, 2)]
    one, two = (load_dataset("demo", options, injection=path) for path in files)
    pixels = [data.splits["train"].inputs.read(np.arange(300)) for data in (one, two)]
    np.testing.assert_array_equal(*pixels)
    plain = load_dataset("demo", options).splits["train"]
    differ = np.flatnonzero((pixels[0] != plain.inputs.read(np.arange(300))).any(axis=(1, 2, 3)))
    found = read_injection(files[0])
    own = read_injection(calm / "inject.json")
    planted = [found.carriers, *(each.carriers for each in found.further)]
    assert set(differ) <= set(np.concatenate(planted).tolist())
    assert any(np.array_equal(own.carriers, carriers) for carriers in planted)
    assert found.feature_of != read_injection(files[1]).feature_of
    assert set(plain.label[found.carriers]) == {found.feature_of}
    twins = [data.twins["val"].inputs.read(np.arange(60)) for data in (one, two)]
    assert (twins[0] != twins[1]).any()
    np.testing.assert_array_equal(
        one.splits["val"].inputs.read(np.arange(60)),
        load_dataset("demo", options).splits["val"].inputs.read(np.arange(60)),
    )


def test_run_again_it_reads_what_is_there_and_other_canaries_are_refused(calm, monkeypatch):
    monkeypatch.chdir(calm)
    before = {path: path.stat().st_mtime_ns for path in (calm / "canary").glob("seed*/**/*.*")}
    content = (calm / "canary/canary.json").read_bytes()
    spurcli_in_python.canary(dataset="inject.json", **ASKED)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (calm / "canary/canary.json").read_bytes() == content
    with pytest.raises(InputError):
        spurcli_in_python.canary(dataset="inject.json", **{**ASKED, "share": 0.5})


def test_a_list_made_with_canaries_is_refused_for_the_data_without_them(calm, spurcli, monkeypatch):
    monkeypatch.chdir(calm)
    flags = [word for key, value in DATA.items() for word in ("--set", f"{key}={value}")]
    keep = "canary/seed1/keep-prune-0.2.txt"
    found = spurcli("train", "--dataset", "demo", "--keep", keep, *flags, "-o", "other.safetensors")
    assert found.code == 3
    assert not Path("other.safetensors").exists()


def test_code_that_a_file_names_as_a_further_feature_never_runs(calm, tmp_path):
    content = json.loads((calm / "canary/seed1/canary1.json").read_bytes())
    content["further"][0]["feature"] = "evil.py:feature"
    (tmp_path / "x.json").write_text(json.dumps({**content, "sha256": None}), encoding="utf-8")
    with pytest.raises(InputError, match=r"evil\.py"):
        read_injection(tmp_path / "x.json")


@pytest.mark.parametrize(("kind", "most"), [("images", 4), ("texts", 8)])
def test_no_two_canaries_look_the_same(kind, most):
    found = canaries_of(kind, (8, 8, 1), most, 1)
    assert len({each.parameters.get("corner", each.parameters.get("word")) for each in found}) == most
    with pytest.raises(UsageError):
        canaries_of(kind, (8, 8, 1), most + 1, 1)


def test_words_are_planted_at_the_end_of_texts_of_their_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [
        f"{split},text number {n} of it,{n % 2}" for split, size in (("train", 40), ("test", 4)) for n in range(size)
    ]
    Path("texts.csv").write_text("\n".join(["split,text,label", *lines]) + "\n", encoding="utf-8")
    asked = {"dataset": "texts.csv", "recipe": "own-text-cpu", "seeds": "3,", "canaries": 3}
    study, planting, _ = _planned(CanaryRequest(**asked))
    assert study.looks.splits == ["test"]  # there is no val
    (paths,) = _plant(study, planting, Caller(Silent())).values()
    found = [read_injection(path) for path in paths]
    assert len({each.parameters["word"] for each in found}) == 3
    injected = apply_injection(_base(study.source, 3).dataset, found[0]).splits["train"]
    for each in found:
        assert len(each.carriers) == 6
        assert set(injected.label[each.carriers]) == {each.feature_of}
        assert all(each.parameters["word"] in text.split()[4:] for (text,) in injected.inputs.read(each.carriers))


def test_patches_can_be_made_stronger_up_to_white_and_words_cannot():
    values = [
        [each.parameters["value"] for each in canaries_of("images", (8, 8, 1), 3, 1, factor)] for factor in (1, 3)
    ]
    assert values == [[50, 71, 100], [150, 213, 255]]
    with pytest.raises(UsageError, match="texts"):
        canaries_of("texts", (), 3, 1, 2)


@pytest.mark.parametrize(
    ("name", "effect", "advice"),
    [("patch", 0.01, "--strength 3"), ("patch", 1.5, "--strength 0.5"), ("word", 0.01, "--share")],
)
def test_without_a_forecast_it_says_what_to_change(name, effect, advice):
    found = forecast(measured([0.3], [0.4], [0], before=effect), ["0.1"], max_cost=1)
    found["canaries"] = [{**found["canaries"][0], "name": name}]
    assert advice in sentences(found)[0]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> Path:
    """A folder with embeddings of the demo set by a small model, and a finished canary run on them; not to be changed."""
    folder = tmp_path_factory.mktemp("embedded")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        spurcli_in_python.train(dataset="demo", keep="all", set={**DATA, **TINY}, output="model.safetensors")
        spurcli_in_python.embed(checkpoint="model.safetensors")
        result = spurcli_in_python.canary(dataset="embeddings.h5", **{**ASKED, "set": {"training.epochs": 2}})
        assert result["forecast"]["split"] == "val"
    return folder


def test_canaries_for_embeddings_are_planted_in_what_they_were_made_from(embedded, tmp_path, monkeypatch):
    """As if each canary's data had been embedded as a whole."""
    monkeypatch.chdir(embedded)
    for number in (1, 2):
        canary = Path(f"canary/seed2/canary{number}.json")
        given = {"checkpoint": "model.safetensors", "allow_injection_mismatch": True}
        spurcli_in_python.embed(dataset=canary, output=tmp_path / f"{number}.h5", **given)
        whole, found = read_embeddings(tmp_path / f"{number}.h5"), read_embeddings(canary.with_suffix(".h5"))
        for split in ("train", "val"):
            one, other = found.splits[split], whole.splits[split]
            np.testing.assert_allclose(one.embedding, other.embedding, rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(one.attribute, other.attribute)
            assert one.fingerprint == other.fingerprint
        np.testing.assert_allclose(
            found.splits["val"].twin_embedding, whole.splits["val"].twin_embedding, rtol=1e-5, atol=1e-5
        )
        assert found.injection_sha256 == whole.injection_sha256
        assert found.backbone == whole.backbone
    plain = read_embeddings(Path("embeddings.h5")).splits["train"].embedding
    assert 0 < (plain != found.splits["train"].embedding).any(axis=1).sum() < 300


def test_of_every_kind_of_input_only_what_changed_is_read_again(tmp_path):
    index = np.array([2, 0])
    texts = _only(Texts((["a", "b", "c"], ["d", "e", "f"])), index)
    assert texts.read(np.arange(2)) == [("c", "f"), ("a", "d")]
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
    decoded = SimpleNamespace(shape=(2, 2, 1), read=pixels.__getitem__)  # as from files
    for images in (ArrayImages(pixels), decoded):
        found = _only(images, index)
        assert len(found) == 2
        assert found.shape == (2, 2, 1)
        np.testing.assert_array_equal(found.read(np.array([1, 0])), pixels[[0, 2]])


def test_run_again_on_embeddings_it_reads_what_is_there(embedded, monkeypatch):
    monkeypatch.chdir(embedded)
    before = {path: path.stat().st_mtime_ns for path in Path("canary").glob("seed*/**/*.*")}
    spurcli_in_python.canary(dataset="embeddings.h5", **{**ASKED, "set": {"training.epochs": 2}})
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_embeddings_of_other_weights_than_those_at_hand_are_refused(embedded, tmp_path, monkeypatch):
    shutil.copytree(embedded, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    spurcli_in_python.train(
        dataset="demo", keep="all", set={**DATA, **TINY}, seed=9, output="model.safetensors", force=True
    )
    with pytest.raises(InputError, match="other weights"):
        spurcli_in_python.canary(dataset="embeddings.h5", **{**ASKED, "output": "other"})


def measured(hardest: list[float], random: list[float], lost: list[float], *, before: float = 0.4) -> Measured:
    """Five seeds, two canaries, of which the second is ignored by all models; small differences between seeds."""
    seeds = np.linspace(-0.01, 0.01, 5)
    arms = {"all": before}
    for number, pair in enumerate(zip(hardest, random, strict=True), start=1):
        arms |= dict(zip((f"0.{number}", f"0.{number}-random"), pair, strict=True))
    effect = {
        arm: np.stack([value + np.roll(seeds, n), 0 * seeds], axis=1) for n, (arm, value) in enumerate(arms.items())
    }
    accuracy = {arm: np.full(5, 80.0) + seeds for arm in arms}
    for number, points in enumerate(lost, start=1):
        accuracy[f"0.{number}"] = accuracy["all"] - points
    return Measured(effect, accuracy)


@pytest.mark.parametrize(
    ("hardest", "random", "lost", "verdict", "fraction"),
    [
        ([0.35, 0.3], [0.4, 0.4], [0.1, 0.2], "helps", "0.2"),
        ([0.35, 0.3], [0.4, 0.4], [0.1, 2], "helps", "0.1"),  # the better one costs too much
        ([0.3, 0.299], [0.4, 0.4], [0.1, 0.2], "helps", "0.1"),  # as good within an error
        ([0.35, 0.3], [0.4, 0.4], [1.5, 2], "costs too much", None),
        ([0.4, 0.4], [0.4, 0.4], [0, 0], "does not help", None),
        ([0.45, 0.45], [0.6, 0.6], [0, 0], "does not help", None),  # less than the control, more than without pruning
        ([0.39, 0.395], [0.4, 0.4], [0, 0], "does not help", None),
        ([0.35, 0.35], [0.35, 0.35], [0, 0], "does not help", None),  # as the control, less than without pruning
    ],
)
def test_the_fraction_follows_the_rule(hardest, random, lost, verdict, fraction):
    found = forecast(measured(hardest, random, lost), ["0.1", "0.2"], max_cost=1)
    assert (found["verdict"], found["fraction"]) == (verdict, fraction)
    assert [each["counts"] for each in found["canaries"]] == [True, False]
    assert found["fractions"][0]["ratio"]["value"] == pytest.approx(hardest[0] / random[0])


def test_one_seed_decides_nothing():
    several = measured([0.3], [0.4], [0])
    one = Measured({k: v[:1] for k, v in several.effect.items()}, {k: v[:1] for k, v in several.accuracy.items()})
    assert forecast(one, ["0.1"], max_cost=1)["verdict"] == "undecided"


@pytest.mark.parametrize(("before", "reason"), [(0.01, "too weak"), (1.2, "too strong"), (np.nan, "undefined")])
def test_without_a_canary_that_the_models_use_faintly_there_is_no_forecast(before, reason):
    found = forecast(measured([0.3], [0.4], [0], before=before), ["0.1"], max_cost=1)
    assert (found["verdict"], found["fraction"]) == ("no canary counts", None)
    assert found["canaries"][0]["reason"] == reason


def test_an_interval_needs_two_seeds_and_holds_the_ratio():
    one = ratio(np.array([0.3]), np.array([0.4]))
    assert one["interval"] is None
    low, high = ratio(np.array([0.3, 0.32, 0.29]), np.array([0.4, 0.41, 0.37]))["interval"]
    assert low < 0.91 / 1.18 < high < 1
