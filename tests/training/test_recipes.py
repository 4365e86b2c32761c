"""Every shipped recipe loads, is checked, and runs with its own model and settings on made-up data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from spurcli import recipes
from spurcli.datasets import ArrayImages, Dataset, Split, Texts
from spurcli.errors import InputError, UsageError
from spurcli.progress import Silent
from spurcli.runtime.context import RunContext
from spurcli.session import configure
from spurcli.settings import Settings
from spurcli.training import Trainer, fit
from spurcli.training.method import Annotation, TrainingSamples, build_method

NATIVE = {"demo": (16, 16, 1), "cifar10": (32, 32, 3)}
NUM_CLASSES, LARGEST = 3, 40  # pixels; a ResNet-50 at 224 is a GPU's work


def small(settings: Settings) -> Settings:
    """The same with images of at most LARGEST pixels, their margin for crops kept."""
    preprocessing = settings.preprocessing
    if (preprocessing.image_size or 0) > LARGEST:
        resize = preprocessing.resize_size and LARGEST + 8
        preprocessing = replace(preprocessing, image_size=LARGEST, resize_size=resize)
    return replace(settings, preprocessing=preprocessing)


def made_up(settings: Settings) -> Dataset:
    rng = np.random.default_rng(0)
    if settings.model.name in ("transformers", "small_transformer"):
        words = ["cat", "dog", "sat", "never", "on", "mats"]
        texts = [[" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(24)] for _ in range(2)]
        inputs = Texts(tuple(texts))
    else:
        size = settings.preprocessing.decode_size
        shape = NATIVE.get(settings.dataset.name, (size, size, 3))
        inputs = ArrayImages(rng.integers(0, 256, (24, *shape), dtype=np.uint8))
    split = Split(rng.integers(0, NUM_CLASSES, 24), inputs)
    return Dataset(settings.dataset.name, tuple(map(str, range(NUM_CLASSES))), {"train": split})


def write_bert(folder: Path) -> None:
    """A very small BERT where the recipe looks for the real one."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "sat", "never", "on", "mats"]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertForSequenceClassification(config).save_pretrained(folder)


FROZEN_RECIPES = [name for name in recipes.names() if "backbone" in recipes.read_recipe(name)]
METHOD_RECIPES = [
    name
    for name in recipes.names()
    if "extends" in recipes.recipe_path(name).read_text() and name not in FROZEN_RECIPES
]


@pytest.mark.parametrize("name", sorted({*recipes.names()} - {*METHOD_RECIPES, *FROZEN_RECIPES}))
def test_every_recipe_trains_two_steps(name, tmp_path):
    settings = small(configure(recipe=name, overrides={"training.batch_size": 12}, data_root=tmp_path))
    needs = settings.model.options.get("weights") or settings.model.options.get("path")
    if needs:
        with pytest.raises(InputError, match=rf"{needs}"):
            RunContext(settings, made_up(settings), torch.device("cpu"), Silent()).model(0)
    if settings.model.name == "transformers":
        write_bert(tmp_path / "weights" / needs)
    elif needs:  # 100 MB that cannot be made up: the same network from scratch
        settings = replace(settings, model=replace(settings.model, options={**settings.model.options, "weights": ""}))
    context = RunContext(settings, made_up(settings), torch.device("cpu"), Silent())
    train = context.dataset.splits["train"]
    trainer = Trainer(
        model=context.model(0),
        method=build_method("erm", {}, TrainingSamples(np.arange(24), train.label, NUM_CLASSES, 8)),
        feed=context.feed(train.inputs),
        preprocess=context.preprocess(),
        label=torch.from_numpy(train.label),
        num_classes=NUM_CLASSES,
        settings=settings.training,
        seed=0,
    )
    before = {name: tensor.detach().clone() for name, tensor in trainer.model.named_parameters()}
    (record,) = fit(trainer, until_epoch=1).records
    assert (record["num_steps"], record["samples_seen"]) == (2, 24)
    assert 0 < record["loss"] < 10
    still = [name for name, tensor in trainer.model.named_parameters() if torch.equal(before[name], tensor)]
    assert not [name for name in still if "key.bias" not in name]  # softmax does not see the bias of the keys


# model, epochs, optimizer, learning rate, weight decay, schedule, batch, score after, crop padding, resized crop, flip
PAPER = {
    "cifar10": ("resnet20", 160, "sgd", 0.1, 1e-4, "step", 64, 10, 4, (), True),
    "celeba": ("resnet50", 25, "sgd", 1e-3, 1e-4, "constant", 64, 10, 0, (), False),
    "hard-imagenet": ("resnet50", 50, "sgd", 1e-3, 1e-4, "constant", 128, 1, 0, (0.08, 1.0), True),
    "waterbirds": ("resnet50", 100, "sgd", 1e-3, 1e-3, "constant", 128, 1, 0, (0.7, 1.0), True),
    "multinli": ("bert-base-uncased", 20, "adamw", 2e-5, 0.0, "linear", 32, 5, 0, (), False),
}


@pytest.mark.parametrize("name", PAPER)
def test_recipes_hold_the_papers_numbers(name):
    settings = configure(recipe=name)
    training, preprocessing = settings.training, settings.preprocessing
    model = settings.model.options.get("arch") or settings.model.options.get("path") or settings.model.name
    assert PAPER[name] == (
        model, training.epochs, training.optimizer, training.learning_rate, training.weight_decay, training.schedule,
        training.batch_size, settings.scoring.epoch, preprocessing.crop_padding, preprocessing.resized_crop_scale,
        preprocessing.flip,
    )  # fmt: skip
    assert (training.precision, settings.scoring.view, training.selection) == ("float32", "eval", "last")
    assert training.channels_last == (name != "multinli")
    if training.optimizer == "sgd":
        assert training.momentum == 0.9
    if name == "cifar10":
        assert (training.milestones, training.gamma) == ((80, 120), 0.1)
    elif name == "multinli":
        assert (training.epsilon, training.clip_norm, training.decay_norm_and_bias) == (1e-8, 1.0, False)
        assert preprocessing.max_length == 128
    else:
        assert preprocessing.image_size == 224
        assert (preprocessing.mean, preprocessing.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    if name == "waterbirds":
        assert preprocessing.resized_crop_ratio == pytest.approx((3 / 4, 4 / 3))


@pytest.mark.parametrize("name", ["own-images", "own-text"])
def test_no_paper_says_how_your_own_data_is_computed(name):
    """Training is in bf16; a score's ties and order need float32."""
    settings = configure(recipe=name)
    assert (settings.training.precision, settings.scoring.precision) == ("bf16", "float32")


# method, its options, epochs, batch, learning rate, weight decay, as their authors publish them
METHODS = {
    "waterbirds-group-dro": ("group_dro", {"step_size": 0.01}, 300, 128, 1e-3, 1e-4),
    "celeba-hair-group-dro": ("group_dro", {"step_size": 0.01}, 50, 128, 1e-4, 1e-4),
    "multinli-group-dro": ("group_dro", {"step_size": 0.01}, 20, 32, 2e-5, 0.0),
    "waterbirds-jtt": ("jtt", {"upweight": 100}, 300, 64, 1e-5, 1.0),
    "celeba-hair-jtt": ("jtt", {"upweight": 50}, 50, 128, 1e-5, 0.1),
    "multinli-jtt": ("jtt", {"upweight": 4}, 5, 32, 1e-5, 0.1),
    "waterbirds-cnc": ("cnc", {"temperature": 0.1, "contrastive_weight": 0.75, "num_anchors": 17}, 5, 136, 1e-4, 1e-3),
    "celeba-hair-cnc": (
        "cnc",
        {"temperature": 0.05, "contrastive_weight": 0.75, "num_anchors": 64},
        15,
        256,
        1e-5,
        0.1,
    ),
    "waterbirds-dfr": ("dfr", {}, 100, 32, 1e-3, 1e-3),
    "waterbirds-pde": ("pde", {"warmup_epochs": 140, "expansion_size": 10}, 300, 64, 1e-2, 1e-2),
    "celeba-hair-pde": ("pde", {"warmup_epochs": 16, "expansion_size": 50}, 50, 128, 1e-2, 1e-4),
}


@pytest.mark.parametrize("name", METHOD_RECIPES)
def test_a_methods_recipe_has_its_authors_settings_and_the_data_sets_model(name):
    settings = configure(recipe=name)
    training, (method, options, *numbers) = settings.training, METHODS[name]
    assert settings.method.name == method
    assert options.items() <= settings.method.options.items()
    assert [training.epochs, training.batch_size, training.learning_rate, training.weight_decay] == numbers
    base = configure(recipe=settings.dataset.name)
    assert (settings.dataset, settings.model) == (base.dataset, base.model)
    label = np.arange(1200) % 2
    group = 2 * label + (np.arange(1200) % 5 == 0)
    known = Annotation(group, "data set", ("0/0", "0/1", "1/0", "1/1"))
    samples = TrainingSamples(np.arange(1200), label, 2, training.batch_size, known, Annotation(np.arange(9), "file"))
    build_method(method, settings.method.options, samples)
    assert settings.scoring.epoch == {"waterbirds-jtt": 60, "multinli-jtt": 2}.get(name, base.scoring.epoch)


@pytest.mark.parametrize("name", FROZEN_RECIPES)
def test_a_frozen_recipe_has_a_backbone_to_embed_and_a_head_to_train(name):
    tables = recipes.read_recipe(name)
    embedding = configure(recipe=name, uses=("dataset", "model", "backbone"))
    assert embedding.model.name == tables["backbone"]["name"] != tables["model"]["name"] == "linear"
    with pytest.raises(UsageError, match=f"data embed .*--recipe {name}"):  # pixels would be given to the head
        configure(recipe=name)


def test_each_benchmark_has_a_twin_for_laptops():
    names = recipes.names()
    assert {"demo", *PAPER, "celeba-hair", "own-images", "own-text"} <= set(names)
    own = {*names} - {*METHOD_RECIPES, *FROZEN_RECIPES}
    assert all(f"{name}-cpu" in names for name in own if not name.endswith("-cpu") and name != "demo")
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
    with pytest.raises(UsageError, match=r"recipe.*'cifar'.*cifar10"):
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


def test_a_recipe_extends_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(
        'extends = "waterbirds"\nsummary = "mine"\n[training]\nepochs = 7\n[method]\nname = "group_dro"\n'
    )
    mine, base = recipes.read_recipe("mine.toml"), recipes.read_recipe("waterbirds")
    assert mine == {
        **base,
        "summary": "mine",
        "training": {**base["training"], "epochs": 7},
        "method": {"name": "group_dro"},
    }
    Path("again.toml").write_text('extends = "mine.toml"\n[model]\nname = "small_cnn"\n')
    again = recipes.read_recipe("again.toml")
    assert again["model"] == {"name": "small_cnn"}  # the options were ResNet-50's
    assert again["training"]["epochs"] == 7


@pytest.mark.parametrize("base", ['"loop.toml"', '"other.toml"', "3", '["demo"]'])
def test_a_recipe_cannot_extend_itself(tmp_path, monkeypatch, base):
    monkeypatch.chdir(tmp_path)
    Path("loop.toml").write_text(f"extends = {base}\n")
    Path("other.toml").write_text('extends = "loop.toml"\n')
    with pytest.raises(InputError, match=r"Recipe (loop|other).toml extends"):
        recipes.read_recipe("loop.toml")
