"""infer --by ticks: the advice if the probe finds the feature poorly."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import Texts
from spurcli.datasets.inputs import ArrayImages, Vectors
from spurcli.inferring.other_embeddings import commands_with_frozen, poorly_found
from spurcli.session import configure

COLOURS = ArrayImages(np.zeros((2, 4, 4, 3), np.uint8))
TICKS, GROUPS = Path("my ticks.csv"), Path("out/groups.txt")


def settings_of(name, *, data_root=Path("data"), **options):
    overrides = {f"dataset.options.{key}": value for key, value in options.items()}
    return configure(name, overrides=overrides, uses=("dataset",), data_root=data_root)


def test_a_class_is_poorly_found_below_the_limit_only():
    rows = [("cat", {"value": 0.79}), ("dog", {"value": 0.8}), ("owl", None)]
    assert poorly_found({"classes": [{"class": name, "auroc": area} for name, area in rows]}) == ["cat"]


def test_the_same_samples_are_embedded_by_the_recipe_of_the_data_set():
    settings = settings_of("celeba", available_only=True, num_train_per_class=2500, data_root=Path("my data"))
    assert commands_with_frozen(settings, COLOURS, TICKS, GROUPS) == [
        "spurcli data embed celeba --set dataset.options.available_only=true --set dataset.options.num_train_per_class=2500"
        " --data-root 'my data' --recipe celeba-frozen",
        "spurcli infer --dataset embeddings.h5 --by ticks --ticks 'my ticks.csv' -o out/frozen-groups.txt",
    ]
    assert commands_with_frozen(settings_of("cifar10"), COLOURS, TICKS, GROUPS)[0].endswith(
        " --recipe own-images-frozen"
    )


def test_texts_get_a_recipe_of_texts():
    found = commands_with_frozen(settings_of("demo"), Texts(["a", "b"]), TICKS, GROUPS)
    assert found[0] == "spurcli data embed demo --recipe own-text-frozen"


@pytest.mark.parametrize(
    "inputs", [Vectors(np.zeros((2, 3), np.float32)), ArrayImages(np.zeros((2, 4, 4, 1), np.uint8))]
)
def test_embeddings_and_grey_images_get_no_command(inputs):
    assert commands_with_frozen(settings_of("demo"), inputs, TICKS, GROUPS) == []


def test_user_code_is_not_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("", encoding="utf-8")
    assert commands_with_frozen(settings_of("mine.py:load"), COLOURS, TICKS, GROUPS) == []


def test_random_answers_about_own_images_name_commands_that_can_be_typed(spurcli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with Path("birds.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "species", "split"])
        for n in range(60):
            Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(f"{n}.png")
            rows.writerow([f"{n}.png", ("crow", "gull")[n % 2], "train" if n < 40 else "test"])
    columns = ["--image", "file", "--label", "species"]
    small = ["--recipe", "own-images-cpu", "--set", "preprocessing.image_size=32", "--set", "training.epochs=1"]
    assert spurcli("train", "--dataset", "birds.csv", *columns, *small, "--keep", "all", "--workers", "0").code == 0
    with Path("ticks.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "answer"), *((f"{n}.png", ("yes", "no")[n // 2 % 2]) for n in range(40))])
    done = spurcli("infer", "model.safetensors", "--by", "ticks", "--ticks", "ticks.csv", "--workers", "0")
    assert done.code == 0, done.err
    assert ": AUROC below 0.8, so many inferred carriers may be wrong." in done.err
    assert "use the groups with the higher AUROC:" in done.err
    again = spurcli("infer", "model.safetensors", "--by", "ticks", "--ticks", "ticks.csv", "--workers", "0", "--json")
    first, second = again.json["next"]
    assert shlex.split(first)[:3] == ["spurcli", "data", "embed"]
    assert all(f"  {line}" in done.err for line in (first, second))
    assert spurcli(*shlex.split(first)[1:], "--model", "small_cnn", "--workers", "0").code == 0  # needs no weights
    better = spurcli(*shlex.split(second)[1:], "--workers", "0")
    assert better.code == 0, better.err
    assert Path("frozen-groups.txt").is_file()
    assert "Tick more samples, or use embeddings that show the feature better" in better.err
