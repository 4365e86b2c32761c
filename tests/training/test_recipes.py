"""Every shipped recipe loads, is checked, and runs with its own model and settings on made-up data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spurcli import recipes
from spurcli.datasets import ArrayImages, Dataset, Split
from spurcli.errors import InputError, UsageError
from spurcli.models import build_model
from spurcli.progress import Silent
from spurcli.runtime.workbench import Workbench
from spurcli.session import configure
from spurcli.training import Trainer, fit
from spurcli.training.method import TrainingSamples, build_method

SHAPES = {
    "demo": (16, 16, 1, 10),
    "cifar10": (32, 32, 3, 10),
    "celeba": (None, None, 3, 2),
    "celeba-hair": (None, None, 3, 2),
    "hard-imagenet": (None, None, 3, 15),
}
LARGEST = 64  # pixels; a ResNet-50 at 224 is a GPU's work


def made_up(settings) -> Dataset:
    height, width, channels, num_classes = SHAPES[settings.dataset.name]
    size = min(settings.preprocessing.image_size or LARGEST, LARGEST)
    shape = (24, height or size, width or size, channels)
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, num_classes, 24), ArrayImages(rng.integers(0, 256, shape, dtype=np.uint8)))
    return Dataset(settings.dataset.name, tuple(map(str, range(num_classes))), {"train": split})


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_trains_two_steps(name):
    settings = configure(recipe=name, overrides={"training.batch_size": 12})
    if settings.model.options.get("weights"):
        with pytest.raises(InputError, match=r"weights .* are not there"):
            build_model(settings.model.name, settings.model.options, num_classes=2, input_shape=(3, 64, 64))
        settings = replace(settings, model=replace(settings.model, options={**settings.model.options, "weights": ""}))
    bench = Workbench(settings, made_up(settings), torch.device("cpu"), Silent())
    train = bench.dataset.splits["train"]
    num_classes = len(bench.dataset.class_names)
    trainer = Trainer(
        model=bench.model(0),
        method=build_method("erm", {}, TrainingSamples(np.arange(24), train.label, num_classes)),
        feed=bench.feed(train.inputs),
        preprocess=bench.preprocess(),
        label=torch.from_numpy(train.label),
        num_classes=num_classes,
        settings=settings.training,
        seed=0,
    )
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    (record,) = fit(trainer, until_epoch=1).records
    assert (record["num_steps"], record["samples_seen"]) == (2, 24)
    assert 0 < record["loss"] < 10
    changed = [not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True)]
    assert all(changed)


def test_recipes_hold_the_papers_numbers():
    """docs of the benchmarks: model, epochs, optimizer, schedule, batch, when to score, augmentation."""
    cifar, celeba = configure(recipe="cifar10"), configure(recipe="celeba")
    training = cifar.training
    assert (cifar.model.name, training.epochs, training.batch_size, cifar.scoring.epoch) == ("resnet20", 160, 64, 10)
    assert (training.optimizer, training.learning_rate, training.weight_decay, training.momentum) == (
        "sgd",
        0.1,
        1e-4,
        0.9,
    )
    assert (training.schedule, training.milestones, training.gamma) == ("step", (80, 120), 0.1)
    assert (cifar.preprocessing.crop_padding, cifar.preprocessing.flip) == (4, True)
    training = celeba.training
    assert (celeba.model.options["arch"], training.epochs, training.batch_size) == ("resnet50", 25, 64)
    assert (training.optimizer, training.learning_rate, training.weight_decay, training.momentum) == (
        "sgd",
        1e-3,
        1e-4,
        0.9,
    )
    assert (training.schedule, celeba.scoring.epoch, celeba.preprocessing.image_size) == ("constant", 10, 224)
    assert (celeba.preprocessing.crop_padding, celeba.preprocessing.flip) == (0, False)
    assert celeba.preprocessing.resized_crop_scale == ()
    for settings in (cifar, celeba):
        assert (settings.training.precision, settings.scoring.view, settings.training.selection) == (
            "float32",
            "eval",
            "last",
        )


def test_each_benchmark_has_a_twin_for_laptops():
    names = recipes.names()
    assert {"demo", "cifar10", "cifar10-cpu", "celeba", "celeba-cpu"} <= set(names)
    assert all(f"{name}-cpu" in names for name in names if not name.endswith("-cpu") and name != "demo")
    assert all(recipes.read_recipe(name)["summary"] for name in names)


def test_a_copied_recipe_is_the_same_run_and_changes_what_it_says(spurcli, tiny_flags):
    assert spurcli("recipe", "copy", "demo", "mine.toml").code == 0
    assert spurcli("recipe", "show", "demo").out == Path("mine.toml").read_text()
    assert spurcli("recipe", "show", "mine.toml").out == Path("mine.toml").read_text()
    kept = spurcli("recipe", "copy", "cifar10", "mine.toml")
    assert (kept.code, "mine.toml exists" in kept.err) == (1, True)
    assert spurcli("recipe", "copy", "cifar10").code == 0
    assert Path("cifar10.toml").is_file()
    text = Path("mine.toml").read_text()
    Path("mine.toml").write_text(text.replace("learning_rate = 1e-3", "learning_rate = 5e-3"))
    result = spurcli("train", "--recipe", "mine.toml", "--keep", "all", *tiny_flags, "--json")
    assert (result.code, result.json["last"]["learning_rate"], result.json["recipe"]) == (0, 5e-3, "mine.toml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[training", "not valid TOML"),
        ("[trainign]\nepochs = 1", "unknown table [trainign], did you mean training"),
        ("[dataset]\nname = 'demo'\n[training]\nepoch = 1", "training.epoch, did you mean epochs"),
        ("[dataset]\nname = 'demo'\n[training]\nepochs = 'two'", "training.epochs"),
    ],
)
def test_a_wrong_recipe_is_told_where(spurcli, content, message):
    Path("bad.toml").write_text(content)
    result = spurcli("train", "--recipe", "bad.toml", "--keep", "all")
    assert result.code in (2, 3)
    assert message in result.err


def test_unknown_recipes_are_answered_with_near_ones():
    with pytest.raises(UsageError, match="No recipe called 'cifar', did you mean cifar10"):
        recipes.read_recipe("cifar")
    with pytest.raises(InputError, match=r"No such file: absent\.toml"):
        recipes.read_recipe("absent.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("0.01", 0.01), ("true", True), ("[1, 2]", [1, 2]), ("cosine", "cosine"), ('"3"', "3")],
)
def test_values_on_the_command_line_are_toml_or_text(text, value):
    assert recipes.parse_value(text) == value
    assert type(recipes.parse_value(text)) is type(value)
