"""From a name and options to a data set: registered ones, and the user's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from spurcli.datasets import load_dataset
from spurcli.datasets.load import loader_arguments
from spurcli.errors import InputError, UsageError

OWN = """
import numpy as np
from spurcli.datasets import ArrayImages, Dataset, Split

def load(*, data_root, size=4, share=0.5, name="own", flag=False):
    label = np.arange(size) % 2
    return Dataset(name, ("a", "b"), {"train": Split(label, ArrayImages(np.zeros((size, 8, 8, 3), np.uint8)))})

def rootless(*, size=4): ...
def needy(*, data_root, path): ...
def sized(*, data_root, image_size): ...
def anything(*, data_root, **options): return options
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return lambda attribute: f"{tmp_path / 'own.py'}:{attribute}"


def test_the_users_own(own):
    assert len(load_dataset(own("load"), {"size": 6}).splits["train"]) == 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"sise": 3},
            r"has no option 'sise', did you mean size\?\nIt has: size, share, name, flag\. Set one with --set",
        ),
        ({"size": 2.5}, "dataset.options.size = 2.5 is of the wrong kind"),
        ({"size": True}, "wrong kind"),
        ({"flag": "yes"}, r"(?s)wrong kind.*The default is false"),
        ({"name": 3}, "wrong kind"),
        ({"share": "half"}, "wrong kind"),
    ],
)
def test_options_of_another_name_or_kind(own, options, words):
    with pytest.raises(UsageError, match=words):
        load_dataset(own("load"), options)


def test_a_whole_number_passes_for_a_decimal_one(own):
    assert load_dataset(own("load"), {"share": 1}).name == "own"


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("rootless", r"takes no data_root\nWrite it as def load\(\*, data_root"),
        ("needy", r"needs the option 'path'\nSet it with --set dataset\.options\.path="),
        ("sized", r"needs the option 'image_size'\nSet it with --set preprocessing\.image_size="),
        ("laod", "no 'laod' there, did you mean load"),
    ],
)
def test_loaders_that_do_not_fit(own, attribute, words):
    with pytest.raises(UsageError, match=words):
        load_dataset(own(attribute))


def test_what_is_returned_must_be_a_data_set(own):
    with pytest.raises(InputError, match="returned dict, not spurcli"):
        load_dataset(own("anything"), {"whatever": 1})


def test_the_image_size_reaches_only_loaders_that_take_it():
    def resizes(*, data_root, image_size=1): ...
    def does_not(*, data_root): ...
    def takes_any(*, data_root, **options): ...

    assert loader_arguments(resizes, "x", {}, 48) == {"image_size": 48}
    assert loader_arguments(resizes, "x", {}, None) == {}
    assert loader_arguments(does_not, "x", {}, 48) == {}
    assert loader_arguments(takes_any, "x", {"a": 1}, 48) == {"a": 1, "image_size": 48}


def test_unknown_names_have_near_ones():
    with pytest.raises(UsageError, match=r"'cifar'.*cifar10\?"):
        load_dataset("cifar")


@pytest.mark.parametrize("name", ["celeba", "cifar10"])
def test_missing_data_is_bad_input_and_says_where_it_goes(spurcli, name):
    result = spurcli("data", "check", name)
    assert result.code == 3
    assert len(result.err.strip().splitlines()) == 2
    for word in ("is not in data", "https://", "SHA-256", f"{name}-cpu", "--data-root", "SPURCLI_DATA_ROOT"):
        assert word in result.err


def test_data_and_weights_are_missed_together_and_before_any_work(spurcli, tmp_path):
    result = spurcli("score", "--dataset", "celeba", "--epoch", "10")
    assert result.code == 3
    assert len(result.err.strip().splitlines()) == 2
    first, second = result.err.strip().splitlines()
    assert first == "Error: CelebA is not in data. The weights resnet50-0676ba61.pth were not found"
    for word in ("mmlab.ie.cuhk.edu.hk", "data/celeba", "download.pytorch.org", "data/weights/resnet50-0676ba61.pth"):
        assert word in second
    assert list(Path(tmp_path).iterdir()) == []
    (tmp_path / "birds.csv").write_text("shot,species\na.png,crow\n")
    result = spurcli("score", "--dataset", "birds.csv", "--recipe", "own-images", "--data-root", tmp_path)
    assert "--text COLUMN. Fetch https://" in result.err


def test_a_recipe_without_weights_misses_the_data_alone(spurcli):
    result = spurcli("score", "--recipe", "celeba-cpu")
    assert result.code == 3
    assert "weights" not in result.err
