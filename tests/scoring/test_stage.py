"""The stage `score`: what it scores, in which order, with which weights. Traps 3, 7, 8 of the definitions."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch
from operations import Counted, kernels  # the module is in tests/support

from spurcli.artifacts.checkpoint import weights_sha256_of_file
from spurcli.artifacts.scores import open_scores
from spurcli.errors import InputError, UsageError
from spurcli.registries import SCORES
from spurcli.runtime import feed
from spurcli.runtime.context import RunContext
from spurcli.scoring import formulas
from spurcli.scoring.requested import ON_DEMAND
from spurcli.stages.score import score
from spurcli.stages.train import train
from spurcli.training.options import TrainOptions


def read(path):
    """All values of all scores, {name: [runs, n]}."""
    with open_scores(path) as reader:
        return {
            name: np.stack([reader.values(name, run) for run in range(info.num_runs)])
            for name, info in reader.scores.items()
        }


@pytest.fixture
def checkpoint(configured, tmp_path):
    """A model trained for three epochs, and its checkpoint after two."""
    train(configured(), options=TrainOptions(save_epochs=[2]), output=tmp_path / "model.safetensors")
    return tmp_path / "model.epoch2.safetensors"


def test_scores_after_k_epochs_are_those_of_the_full_training_at_epoch_k(configured, checkpoint, tmp_path):
    """The early training is on the schedule of the full recipe: to the bit, with a schedule that would show."""
    schedule = {"training.schedule": "cosine", "training.optimizer": "sgd", "training.learning_rate": 0.05}
    train(configured(schedule), options=TrainOptions(save_epochs=[2]), output=tmp_path / "full.safetensors")
    score(configured(schedule), output=tmp_path / "early.h5")
    score(configured(schedule), checkpoint=tmp_path / "full.epoch2.safetensors", output=tmp_path / "late.h5")
    early, late = read(tmp_path / "early.h5"), read(tmp_path / "late.h5")
    assert list(early) == list(late) == sorted(set(SCORES.entries) - set(ON_DEMAND))
    for name in early:
        assert np.array_equal(early[name], late[name]), name
    with open_scores(tmp_path / "early.h5") as reader:
        assert reader.scores["el2n"].weights_sha256 == (weights_sha256_of_file(tmp_path / "full.epoch2.safetensors"),)
        assert (reader.scores["el2n"].epoch, reader.scores["el2n"].seeds) == (2, (0,))


def test_trap_7_eval_mode_one_sample_at_a_time(configured, checkpoint, tmp_path):
    """An independent loop: own preprocessing, model in eval mode, one sample a time, no batch, no dropout."""
    settings = configured()
    score(settings, checkpoint=checkpoint, output=tmp_path / "scores.h5")
    found = read(tmp_path / "scores.h5")
    context = RunContext.open(settings)
    model = context.model(0)
    model.load_state_dict(safetensors.torch.load_file(checkpoint))
    model.eval()
    split = context.dataset.splits["train"]
    for index in range(0, len(split), 7):
        pixels = torch.from_numpy(split.inputs.pixels[index]).permute(2, 0, 1)[None].float()
        inputs = (pixels / 255 - settings.preprocessing.mean[0]) / settings.preprocessing.std[0]
        with torch.no_grad():
            h = model[:-1](inputs)
            logits = model[-1](h)
        label = split.label[index : index + 1]
        for name, function in ((name, getattr(formulas, name)) for name in formulas.FROM_LOGITS):
            assert found[name][0, index] == pytest.approx(float(function(logits, label)), rel=1e-4, abs=1e-6), name
        expected = float(formulas.el2n(logits, label)) * float((1 + h.square().sum()).sqrt())
        assert found["grand_last"][0, index] == pytest.approx(expected, rel=1e-4)


def test_trap_7_an_augmented_view_is_recorded(configured, checkpoint, tmp_path):
    score(configured(), checkpoint=checkpoint, output=tmp_path / "plain.h5")
    changes = {"scoring.view": "augmented", "preprocessing.flip": True, "preprocessing.crop_padding": 1}
    for name in ("first.h5", "second.h5"):
        score(configured(changes), checkpoint=checkpoint, output=tmp_path / name)
    plain, first, second = (read(tmp_path / f"{name}.h5")["el2n"] for name in ("plain", "first", "second"))
    assert np.array_equal(first, second)
    assert not np.allclose(first, plain)
    for name, view in (("plain.h5", "eval"), ("first.h5", "augmented")):
        with open_scores(tmp_path / name) as reader:
            assert {info.view for info in reader.scores.values()} == {view}


@pytest.mark.parametrize(
    ("batch_size", "workers", "resident"), [(1, 0, True), (7, 0, True), (82, 2, False), (100_000, 0, False)]
)
def test_trap_3_batches_and_workers_do_not_show(
    configured, checkpoint, tmp_path, monkeypatch, batch_size, workers, resident
):
    """83 samples: last batches of 1, 6, 1, 83. None is dropped, padded or reordered."""
    score(configured(), checkpoint=checkpoint, output=tmp_path / "reference.h5")
    if not resident:
        monkeypatch.setattr(feed, "RESIDENT_BYTES", 0)
    settings = configured({"scoring.batch_size": batch_size}, num_workers=workers)
    score(settings, checkpoint=checkpoint, output=tmp_path / "other.h5")
    reference, other = read(tmp_path / "reference.h5"), read(tmp_path / "other.h5")
    for name, values in reference.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.filterwarnings("ignore:.*samples are right")  # it has hardly learned, on purpose
@pytest.mark.parametrize("name", SCORES.entries)
def test_trap_3_permuting_the_data_permutes_the_scores(configured, checkpoint, tmp_path, name):
    """The contract of every registered score, and that scoring twice gives the same bits."""
    weights = safetensors.torch.load_file(checkpoint)  # of another fingerprint: only the weights are compared
    safetensors.torch.save_file(weights, tmp_path / "plain.safetensors")
    for output, order in (("a.h5", 0), ("again.h5", 0), ("b.h5", 5)):
        settings = configured({"dataset.options.order": order})
        more = {"further_scores": [name] if name in ON_DEMAND else []}
        score(settings, checkpoint=tmp_path / "plain.safetensors", output=tmp_path / output, **more)
    ids = []
    for output in ("a.h5", "b.h5"):
        with open_scores(tmp_path / output) as reader:
            ids.append(reader.sample_ids(np.arange(83)))
    a, again, b = (read(tmp_path / f"{output}.h5")[name][0] for output in ("a", "again", "b"))
    assert np.array_equal(a, again)
    if name == "random":
        assert np.array_equal(a, b)  # it knows nothing of the sample
    else:
        assert ids[0] != ids[1]
        by_id = dict(zip(ids[0], a, strict=True))
        np.testing.assert_allclose(b, [by_id[i] for i in ids[1]], rtol=1e-5, atol=1e-7)


def test_the_buffer_between_device_and_file_does_not_show(configured, checkpoint, tmp_path, monkeypatch):
    from spurcli.runtime import forward

    score(configured(), checkpoint=checkpoint, output=tmp_path / "one.h5")
    monkeypatch.setattr(forward, "WINDOW", 10)
    score(configured({"scoring.batch_size": 4}), checkpoint=checkpoint, output=tmp_path / "many.h5")
    one, many = read(tmp_path / "one.h5"), read(tmp_path / "many.h5")
    for name, values in one.items():
        np.testing.assert_allclose(many[name], values, rtol=1e-4, atol=1e-6)


def test_scoring_takes_a_few_operations_a_batch(configured, checkpoint, tmp_path):
    """Forty for the scores of each batch took as long as a small network; those of many batches are taken at once."""
    counted = {}
    for size in (40, 4):
        with Counted() as counting:
            score(configured({"scoring.batch_size": size}), checkpoint=checkpoint, output=tmp_path / f"{size}.h5")
        counted[size] = counting.found
    num_more = -(-83 // 4) - -(-83 // 40)
    assert kernels(counted[4] - counted[40]) <= 14 * num_more, (counted[4] - counted[40]).most_common()


def test_trap_8_a_checkpoint_that_does_not_fit_is_refused(configured, checkpoint, tmp_path):
    weights = safetensors.torch.load_file(checkpoint)
    broken = {
        "missing": {name: value for name, value in weights.items() if name != "5.bias"},
        "larger": {**weights, "6.weight": torch.zeros(1)},
        "shape": {**weights, "5.bias": torch.zeros(4)},
        "nan": {**weights, "5.bias": torch.full((3,), float("nan"))},
    }
    for name, tensors in broken.items():
        path = tmp_path / f"{name}.safetensors"
        safetensors.torch.save_file(tensors, path)
        with pytest.raises(InputError):
            score(configured(), checkpoint=path, output=tmp_path / "none.h5")
    assert not (tmp_path / "none.h5").exists()


def test_trap_8_the_scores_are_those_of_the_files_weights_not_of_new_ones(configured, checkpoint, tmp_path):
    score(configured(seed=1), checkpoint=checkpoint, output=tmp_path / "trained.h5")
    score(configured({"scoring.epoch": 0}, seed=1), output=tmp_path / "random.h5")
    trained, untrained = read(tmp_path / "trained.h5")["el2n"], read(tmp_path / "random.h5")["el2n"]
    assert np.median(trained) < np.median(untrained)
    with open_scores(tmp_path / "trained.h5") as reader:
        assert reader.scores["el2n"].weights_sha256 == (weights_sha256_of_file(checkpoint),)
        assert reader.scores["el2n"].epoch == 2
    with open_scores(tmp_path / "random.h5") as reader:
        assert reader.scores["el2n"].epoch == 0


def test_grand_last_only_where_the_last_layer_gives_the_logits(configured, tmp_path):
    score(configured(model="tail"), output=tmp_path / "tail.h5")
    assert set(read(tmp_path / "tail.h5")) == set(SCORES.entries) - {"grand_last", *ON_DEMAND}
    score(configured({"model.options.bias": False}), output=tmp_path / "bare.h5")
    assert "grand_last" in read(tmp_path / "bare.h5")


def test_groups_and_ids_come_along(configured, checkpoint, tmp_path):
    settings = configured()
    score(settings, checkpoint=checkpoint, output=tmp_path / "scores.h5")
    dataset = RunContext.open(settings).dataset
    with open_scores(tmp_path / "scores.h5") as reader:
        assert reader.groups().tolist() == dataset.group("train").tolist()
        assert reader.header.group_names == dataset.group_names
        assert reader.header.subject == dataset.subject("train")


def test_user_scores_stand_beside_the_registered_ones(configured, parts, checkpoint, tmp_path):
    own = [f"{parts}:brier", f"{parts}:as_numpy"]
    score(configured(), checkpoint=checkpoint, further_scores=own, output=tmp_path / "scores.h5")
    found = read(tmp_path / "scores.h5")
    assert set(found) == {*SCORES.entries, "brier", "as_numpy"} - set(ON_DEMAND)
    np.testing.assert_allclose(found["brier"], found["el2n"] ** 2, rtol=1e-4, atol=1e-6)
    with open_scores(tmp_path / "scores.h5") as reader:
        assert (reader.scores["brier"].higher_is, reader.scores["as_numpy"].higher_is) == ("harder", "easier")
        assert (reader.scores["brier"].formula, reader.scores["brier"].source) == ("sum of squared errors", "user code")


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("aimless", UsageError, "does not state its direction"),
        ("el2n", UsageError, "named el2n already exists"),
        ("missing", UsageError, "no 'missing' there"),
        ("mean_of_batch", InputError, r"returned \[\] for"),
        ("fails", InputError, "RuntimeError: no luck"),
    ],
)
def test_user_scores_that_cannot_be_used(configured, parts, checkpoint, tmp_path, name, kind, says):
    with pytest.raises(kind, match=says):
        score(configured(), checkpoint=checkpoint, further_scores=[f"{parts}:{name}"], output=tmp_path / "none.h5")
    assert not (tmp_path / "none.h5").exists()
    with pytest.raises(UsageError, match="always computed"):
        score(configured(), checkpoint=checkpoint, further_scores=["loss"], output=tmp_path / "none.h5")
