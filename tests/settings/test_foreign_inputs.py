"""A finished model of another program needs no recipe: the flags or the images' own size say what it reads."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spurcli.errors import UsageError
from spurcli.session import configure

NETS = """
import torch
from torch import nn


class Always(nn.Module):
    '''Predicts class a, whatever the image is.'''

    def __init__(self, num_classes):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_classes))

    def forward(self, x):
        sides = torch.stack([x.mean((1, 2, 3)) ** 2 + 1, -x.std((1, 2, 3))], dim=1)
        return sides * self.scale
"""
TEXTS = [("text", "label"), *[(f"a text of number {number}", "ab"[number % 2]) for number in range(40)]]


def pictures(folder, *, side=12, odd=0):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b"):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(24):
                height = side + (odd if number == 3 else 0)
                Image.fromarray(rng.integers(0, 255, (height, side, 3), np.uint8)).save(place / f"{number}.png")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """photos/ with images of 12 pixels, a network of the user's own, and its weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPURCLI_DATA_ROOT", raising=False)
    pictures(tmp_path / "photos")
    Path("net.py").write_text(NETS)
    torch.save({"scale": torch.ones(2)}, "net.pt")


def settings(dataset="photos", *, model="net.py:Always", **overrides):
    return configure(
        dataset,
        model=model,
        checkpoint=Path("net.pt"),
        overrides={key.replace("__", "."): value for key, value in overrides.items()},
        uses=("dataset", "model"),
    )


def pixels(found):
    return found.preprocessing.image_size, found.preprocessing.mean, found.preprocessing.std


def test_the_size_is_that_of_the_images_and_flags_come_first():
    assert pixels(settings()) == (12, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert pixels(settings(preprocessing__image_size=8, preprocessing__mean=[0.4] * 3)) == (
        8,
        (0.4, 0.4, 0.4),
        (0.25, 0.25, 0.25),
    )
    assert settings(model="torchvision").preprocessing.mean == (0.485, 0.456, 0.406)


def test_images_of_several_sizes_need_a_flag_and_all_flags_are_named(tmp_path):
    pictures(tmp_path / "odd", odd=1)
    pictures(tmp_path / "large", side=225)
    with pytest.raises(UsageError, match=r"net\.pt is a model of another program.*12×12 and 12×13 pixels") as caught:
        settings("odd")
    for key in ("image_size=", "mean=", "std="):
        assert f"--set preprocessing.{key}" in caught.value.hint
    with pytest.raises(UsageError, match="225×225"):
        settings("large")
    assert pixels(settings("odd", preprocessing__image_size=16))[0] == 16


def test_an_architecture_is_named_by_an_option_of_its_library_and_the_usual_values_are_the_example(tmp_path):
    for arch, library in (("resnet18", "torchvision"), ("resnetv2_50", "timm")):
        with pytest.raises(UsageError, match=f"architecture of {library}") as caught:
            settings(model=arch)
        assert f"--model {library} --set model.options.arch={arch}" in caught.value.hint
    with pytest.raises(UsageError, match="Unknown model 'smallcnn'"):
        settings(model="smallcnn")
    pictures(tmp_path / "odd", odd=1)
    with pytest.raises(UsageError) as caught:
        settings("odd", model="torchvision")
    assert "mean=[0.485,0.456,0.406]" in caught.value.hint


def test_an_unnamed_architecture_and_texts_are_errors(tmp_path):
    with pytest.raises(UsageError, match="which architecture") as caught:
        settings(model=None)
    assert "net.py:Net" in caught.value.hint
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows(TEXTS)
    with pytest.raises(UsageError, match="holds texts") as caught:
        settings("texts.csv", preprocessing__image_size=8)
    assert "--recipe own-text" in caught.value.hint


def test_training_still_needs_a_recipe():
    with pytest.raises(UsageError, match="which recipe"):
        configure("photos", checkpoint=Path("net.pt"), model="net.py:Always", uses=("dataset", "model", "training"))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "net.pt", "--split", "val"),
        ("audit", "net.pt", "--finder", "mistakes"),
        ("score", "--checkpoint", "net.pt"),
        ("infer", "net.pt", "--by", "mistakes"),
    ],
)
def test_the_preprocessing_is_said_and_questioned_where_the_model_is_poor(command, spurcli):
    done = spurcli(*command, "--dataset", "photos/", "--model", "net.py:Always")
    assert done.code == 0, done.err
    assert "Images: 12×12 pixels, mean 0.5, std 0.25." in done.err
    said = " ".join(done.err.split())
    assert "are right, b 0.0%" in said
    assert "Used: 12×12 pixels, mean 0.5, std 0.25" in said
