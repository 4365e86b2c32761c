"""infer on a model with dropout and batch norm: what is read, from which mode, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from spurcli.artifacts.describe import describe
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.indices import read_indices
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.groups import is_grid
from spurcli.inferring.sources import random_halves
from spurcli.runtime.context import RunContext
from spurcli.stages.evaluate import evaluate
from spurcli.stages.infer import infer
from spurcli.stages.train import train
from spurcli.training.early_training import train_early


@pytest.fixture
def trained(configured, tmp_path):
    """Settings, a checkpoint, and predictions of the training split."""
    settings = configured()
    train(settings, output=tmp_path / "model.safetensors")
    evaluate(settings, model=tmp_path / "model.safetensors", split="train", output=tmp_path / "train.evaluation.json")
    return settings, tmp_path / "model.safetensors", next(tmp_path.glob("*predictions.h5"))


def plain_logits(context, path: Path, *, training: bool = False, split: str = "train") -> np.ndarray:
    """One pass over all pictures at once, without the house's loaders."""
    model = context.model(0)
    model.load_state_dict(load_file(path))
    model.train(training)
    mean, std = context.settings.preprocessing.mean, context.settings.preprocessing.std
    pixels = np.stack(list(context.dataset.splits[split].inputs.pixels))
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return model((inputs - mean[0]) / std[0]).numpy()


def lines(path: Path, split: str = "train") -> list[str]:
    found = read_groups(path)
    return [found.names[code] for code in found.splits[split].group]


def test_mistakes_are_those_of_eval_mode(trained, tmp_path):
    settings, model, _ = trained
    context = RunContext.open(settings)
    label, names = context.dataset.splits["train"].label, context.dataset.class_names
    result = infer(settings, by="mistakes", source=model, errors=tmp_path / "e.txt", output=tmp_path / "g.txt")
    wrong = plain_logits(context, model).argmax(1) != label
    assert lines(tmp_path / "g.txt") == [
        f"{names[y]}/{'wrong' if bad else 'right'}" for y, bad in zip(label, wrong, strict=True)
    ]
    test = context.dataset.splits["test"].label
    wrong_test = plain_logits(context, model, split="test").argmax(1) != test
    assert lines(tmp_path / "g.txt", "test") == [
        f"{names[y]}/{'wrong' if bad else 'right'}" for y, bad in zip(test, wrong_test, strict=True)
    ]
    assert read_groups(tmp_path / "g.txt").splits["test"].subject == context.dataset.subject("test")
    assert result["splits"] == {"train": 83, "test": 41}
    torch.manual_seed(0)
    dropped = plain_logits(context, model, training=True).argmax(1) != label
    assert (dropped != wrong).any()  # else the test could not tell the modes apart
    listed = read_indices(tmp_path / "e.txt", bare_kind="errors")
    assert (listed.kind, listed.indices.tolist()) == ("errors", np.flatnonzero(wrong).tolist())
    assert listed.rule == {"by": "mistakes"}
    assert result["num_errors"] == wrong.sum()
    true = context.dataset.group("train")
    for code, row in enumerate(result["counts"]):
        assert row["name"] == context.dataset.group_names[code]
        assert row["counts"] == {
            "right": int(((true == code) & ~wrong).sum()),
            "wrong": int(((true == code) & wrong).sum()),
        }
    assert result["rows"] == "true group"


@pytest.mark.parametrize("by", ["mistakes", "predictions"])
def test_predictions_and_their_checkpoint_say_the_same(trained, tmp_path, by):
    settings, model, predictions = trained
    files = []
    for number, source in enumerate((model, predictions)):
        paths = tmp_path / f"g{number}.txt", tmp_path / f"e{number}.txt"
        infer(settings, by=by, source=source, errors=paths[1], output=paths[0])
        found = []
        for path in paths:
            first, *rest = path.read_text().splitlines()
            header = json.loads(first.partition("{")[1] + first.partition("{")[2])
            assert header.pop("provenance")["parents"][0]["file"] == source.name
            found.append((header, rest))
        files.append(found)
    assert files[0][1] == files[1][1]
    assert lines(tmp_path / "g0.txt") == lines(tmp_path / "g1.txt")
    found = read_groups(tmp_path / "g0.txt")
    assert (list(found.splits), list(read_groups(tmp_path / "g1.txt").splits)) == (["train", "test"], ["train"])
    assert is_grid(found.names, ("low", "mid", "high"))
    assert found.within_class is (by == "mistakes")
    assert found.main.subject == RunContext.open(settings).dataset.subject("train")


@pytest.mark.filterwarnings("ignore:.*samples are right")  # it has hardly learned, on purpose
def test_an_early_model_is_trained_as_score_does(configured, tmp_path):
    settings = configured({"scoring.epoch": 2}, seed=3)
    context = RunContext.open(settings)
    feed = context.feed(context.dataset.splits["train"].inputs)
    model = train_early(context, feed, 3, 2, tmp_path / "state")
    torch.save(model.state_dict(), tmp_path / "early.pt")
    for by in ("predictions", "clusters"):
        infer(settings, by=by, output=tmp_path / "trained.txt", force=True)
        infer(settings, by=by, source=tmp_path / "early.pt", output=tmp_path / "given.txt", force=True)
        assert lines(tmp_path / "trained.txt") == lines(tmp_path / "given.txt")
    assert not (tmp_path / "trained.txt.state").exists()


@pytest.mark.filterwarnings("ignore:.*samples are right")  # it has hardly learned, on purpose
def test_each_sample_is_judged_by_the_twin_that_has_not_seen_it(configured, tmp_path):
    settings = configured(seed=4)
    context = RunContext.open(settings)
    label, names = context.dataset.splits["train"].label, context.dataset.class_names
    feed, half = context.feed(context.dataset.splits["train"].inputs), random_halves(label, 4)
    expected = [""] * 83
    for number in (0, 1):
        model = train_early(context, feed, 4 + number, 1, tmp_path / f"s{number}", kept=np.flatnonzero(half == number))
        torch.save(model.state_dict(), tmp_path / "twin.pt")
        infer(settings, by="predictions", source=tmp_path / "twin.pt", output=tmp_path / "twin.txt", force=True)
        for i, line in enumerate(lines(tmp_path / "twin.txt")):
            if half[i] != number:
                right = line.endswith(f"/{names[label[i]]}")
                expected[i] = f"{names[label[i]]}/{'right' if right else 'wrong'}"
    infer(settings, by="cross-mistakes", errors=tmp_path / "e.txt", output=tmp_path / "g.txt")
    assert lines(tmp_path / "g.txt") == expected
    errors = read_indices(tmp_path / "e.txt", bare_kind="errors").indices
    assert errors.tolist() == [i for i, line in enumerate(expected) if line.endswith("wrong")]


def test_the_same_seed_gives_the_same_file_and_another_is_refused(configured, tmp_path):
    path = tmp_path / "g.txt"
    infer(configured(), by="clusters", num_clusters=3, output=path)
    first = path.read_bytes()
    infer(configured(), by="clusters", num_clusters=3, output=path, force=True)
    assert path.read_bytes() == first
    assert read_groups(path).names[:3] == ("low/c0", "low/c1", "low/c2")
    time = path.stat().st_mtime_ns
    infer(configured(), by="clusters", num_clusters=3, output=path)  # finished: nothing is done
    assert path.stat().st_mtime_ns == time
    for settings, options in ((configured(seed=1), {"num_clusters": 3}), (configured(), {"num_clusters": 2})):
        with pytest.raises(SpurError, match="finished output of another run"):
            infer(settings, by="clusters", output=path, **options)


def test_errors_asked_for_later_are_written(trained, tmp_path):
    settings, model, _ = trained
    infer(settings, by="mistakes", source=model, output=tmp_path / "g.txt")
    result = infer(settings, by="mistakes", source=model, output=tmp_path / "g.txt", errors=tmp_path / "e.txt")
    assert result["num_errors"] == sum(line.endswith("wrong") for line in lines(tmp_path / "g.txt"))
    assert describe(tmp_path / "e.txt")["kind"] == "error list"
    assert describe(tmp_path / "g.txt")["inferred_by"] == "mistakes"


def test_a_way_of_ones_own(trained, parts, tmp_path):
    settings, model, _ = trained
    infer(settings, by=f"{parts}:sure", source=model, output=tmp_path / "g.txt")
    top = np.sort(plain_logits(RunContext.open(settings), model), axis=1)
    sure = top[:, -1] - top[:, -2] > 0.5
    assert [line.endswith("/sure") for line in lines(tmp_path / "g.txt")] == sure.tolist()
    with pytest.raises(InputError, match="does not return an attribute 0 … 1 as int64"):
        infer(settings, by=f"{parts}:confused", source=model, output=tmp_path / "c.txt")
    parts.write_text(parts.read_text() + "\n# changed\n")
    with pytest.raises(SpurError, match="another run"):  # its code is another one
        infer(settings, by=f"{parts}:sure", source=model, output=tmp_path / "g.txt")


def test_a_model_that_is_always_right_tells_nothing(configured, tmp_path):
    settings = configured({"preprocessing.mean": [0.5], "preprocessing.std": [0.5]}, data="even", model="always")
    train(settings, output=tmp_path / "m.safetensors")
    for by in ("mistakes", "predictions"):
        with pytest.raises(InputError, match="classifies every training sample correctly") as caught:
            infer(settings, by=by, source=tmp_path / "m.safetensors", errors=tmp_path / "e.txt", output=tmp_path / "g")
        assert "smaller --epoch" in caught.value.hint
        assert "weight_decay" in caught.value.hint
    assert not (tmp_path / "e.txt").exists()
    with pytest.raises(InputError, match="no last linear layer"):
        infer(settings, by="clusters", source=tmp_path / "m.safetensors", output=tmp_path / "g")


def test_what_a_source_cannot_give(trained, configured, tmp_path):
    settings, model, predictions = trained
    out = {"output": tmp_path / "g.txt"}
    with pytest.raises(InputError, match="holds logits, and this way needs embeddings") as caught:
        infer(settings, by="clusters", source=predictions, **out)
    assert "Name the checkpoint" in caught.value.hint
    for source in (model, predictions):
        with pytest.raises(UsageError, match="trains two models itself"):
            infer(settings, by="cross-mistakes", source=source, **out)
    with pytest.raises(UsageError, match="--num-clusters has no effect"):
        infer(settings, by="mistakes", source=model, num_clusters=2, **out)
    with pytest.raises(UsageError, match=r"'mistake'.*mistakes"):
        infer(settings, by="mistake", source=model, **out)
    with pytest.raises(UsageError, match="Groups and errors would both be"):
        infer(settings, by="mistakes", source=model, errors=tmp_path / "g.txt", **out)
    with pytest.raises(UsageError, match="Nothing to infer from"):
        infer(by="mistakes", **out)
    with pytest.raises(UsageError, match="beyond the recipe's 3"):
        infer(configured({"scoring.epoch": 4}), by="mistakes", **out)
    assert not (tmp_path / "g.txt").exists()


def test_a_source_about_other_samples_is_refused(trained, configured, tmp_path):
    _, model, predictions = trained
    other = configured({"dataset.options.moved": 7})
    for source in (model, predictions):
        with pytest.raises(InputError, match=r"samples.*labels differ"):
            infer(other, by="mistakes", source=source, output=tmp_path / "g.txt")
    evaluate(configured(), model=model, split="test", output=tmp_path / "test.json")
    source = next(path for path in tmp_path.glob("*predictions.h5") if path != predictions)
    for settings in (configured(), None):
        with pytest.raises(InputError, match="is about the split 'test'") as caught:
            infer(settings, by="mistakes", source=source, output=tmp_path / "g.txt")
        assert "--split train" in caught.value.hint
