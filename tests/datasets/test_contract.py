"""What every registered data set keeps to. One that is added is tested without another line here."""

from __future__ import annotations

import itertools
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurcli.artifacts.embeddings import EmbeddedSplit, Embeddings, write_embeddings
from spurcli.datasets import Dataset, Texts, Vectors, load_dataset
from spurcli.datasets.check import check
from spurcli.datasets.own.naming import OWN_DATA
from spurcli.errors import InputError, SpurWarning
from spurcli.registries import DATASETS

# What a part of a data set needs to be loadable at all; everything else loads with its defaults.
OPTIONS = {
    "celeba": {"available_only": True, "num_train_per_class": 500},
    "celeba-hair": {"available_only": True},
    "hard-imagenet": {"available_only": True},
    "multinli": {"available_only": True},
    "demo": {"num_test": 2000},
    "folder": {"path": "photos"},
    "table": {"path": "photos.csv"},
    "embeddings": {"path": "photos.h5"},
}


def own_data(root: Path) -> Path:
    """A folder of made-up images, photos/train/cat/0.png and so on, and a table of the same with groups."""
    rng, lines = np.random.default_rng(0), ["image,label,split,attribute"]
    for split, class_name in itertools.product(("train", "valid", "test"), ("cat", "dog")):
        folder = root / "photos" / split / class_name
        folder.mkdir(parents=True)
        for number in range(6):
            Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / f"{number}.png")
            place = f"photos/{split}/{class_name}/{number}.png"
            lines.append(f"{place},{class_name},{split},{('day', 'night')[number % 2]}")
    (root / "photos.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    embed_by_pixels(root)
    return root


def embed_by_pixels(root: Path) -> None:
    """The table once more as embeddings: each image's mean colours."""
    source = load_dataset("table", OPTIONS["table"], data_root=root, image_size=4)
    splits = {
        name: EmbeddedSplit(
            (split.inputs.read(np.arange(len(split))).mean((1, 2)) / 255).astype(np.float32),
            *(split.label, split.fingerprint, split.attribute, tuple(split.sample_id)),
        )
        for name, split in source.splits.items()
    }
    made = Embeddings(source.name, source.class_names, splits, {}, {}, source.attribute_names)
    write_embeddings(root / "photos.h5", made)


@pytest.fixture(scope="module", params=list(DATASETS.entries))
def loaded(request, tmp_path_factory) -> list[Dataset]:
    """The same data set loaded twice."""
    root = Path(os.environ.get("SPURCLI_TEST_DATA") or Path(__file__).parents[2] / ".data")
    if request.param in OWN_DATA:
        root = own_data(tmp_path_factory.mktemp("own"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpurWarning)
            return [
                load_dataset(request.param, OPTIONS.get(request.param), data_root=root, image_size=24) for _ in range(2)
            ]
    except InputError as error:
        if " is not in " not in error.problem:  # what is there must load
            raise
        pytest.skip(error.problem)


def test_splits_and_names(loaded):
    dataset = loaded[0]
    assert {"train", "test"} <= set(dataset.splits)
    assert len(set(dataset.class_names)) == len(dataset.class_names) >= 2
    assert len(set(dataset.group_names)) == len(dataset.class_names) * len(dataset.attribute_names)
    assert dataset.injection is None
    assert not dataset.twins


def test_labels_attributes_and_inputs_agree(loaded):
    dataset = loaded[0]
    for name, split in dataset.splits.items():
        assert len(split) == len(split.label) == len(split.inputs)
        assert split.label.dtype == np.int64
        assert set(np.unique(split.label)) <= set(range(len(dataset.class_names)))
        group = dataset.group(name)
        assert (group is None) == (not dataset.attribute_names)
        if group is not None:
            np.testing.assert_array_equal(group // len(dataset.attribute_names), split.label)
            np.testing.assert_array_equal(group % len(dataset.attribute_names), split.attribute)
            for number in np.unique(group):
                class_name, _, attribute = dataset.group_names[number].partition("/")
                row = np.flatnonzero(group == number)[0]
                assert dataset.class_names[split.label[row]] == class_name
                assert dataset.attribute_names[split.attribute[row]] == attribute


def test_texts_are_strings_read_by_position(loaded):
    for split in loaded[0].splits.values():
        if not isinstance(split.inputs, Texts):
            pytest.skip("images")
        last = len(split) - 1
        texts = split.inputs.read(np.array([last, 0, last]))
        assert texts[0] == texts[2] == tuple(column[last] for column in split.inputs.columns)
        assert all(isinstance(text, str) for sample in texts for text in sample)


def test_pixels_are_bytes_read_by_position(loaded):
    rng = np.random.default_rng(0)
    shapes = set()
    if isinstance(loaded[0].splits["train"].inputs, Texts | Vectors):
        pytest.skip("texts or embeddings")
    for split in loaded[0].splits.values():
        indices = rng.choice(len(split), size=min(16, len(split)), replace=False)
        pixels = split.inputs.read(indices)
        assert pixels.dtype == np.uint8
        assert pixels.shape == (len(indices), *split.inputs.shape)
        shapes.add(split.inputs.shape)
        assert pixels.std() > 1
        for row, index in enumerate(indices):
            np.testing.assert_array_equal(split.inputs.read(np.array([index]))[0], pixels[row])
    assert len(shapes) == 1


def test_ids_are_unique_and_no_sample_of_training_is_tested(loaded):
    dataset = loaded[0]
    for split in dataset.splits.values():
        if split.sample_id is not None:
            assert len(set(split.sample_id)) == len(split)
            assert not any("\n" in identifier or "/" in identifier[:1] for identifier in split.sample_id)
    train = dataset.splits["train"]
    if train.sample_id is not None:
        for name in set(dataset.splits) - {"train"}:
            assert not set(train.sample_id) & set(dataset.splits[name].sample_id)


def test_loading_twice_gives_the_same(loaded):
    first, second = loaded
    assert list(first.splits) == list(second.splits)
    some = np.array([0, 5, 3])
    for name in first.splits:
        assert first.splits[name].fingerprint == second.splits[name].fingerprint
        np.testing.assert_array_equal(first.splits[name].inputs.read(some), second.splits[name].inputs.read(some))


def test_its_counts_are_those_of_a_plain_count(loaded):
    dataset = loaded[0]
    found = check(dataset)
    assert list(found["splits"]) == list(dataset.splits)
    for name, content in found["splits"].items():
        split = dataset.splits[name]
        assert content["num_samples"] == len(split) == sum(content["classes"].values())
        for number, class_name in enumerate(dataset.class_names):
            assert content["classes"][class_name] == sum(split.label == number)
        assert content["fingerprint"] == split.fingerprint.to_json()
        if content["groups"] is not None:
            groups = [dataset.group_names[number] for number in dataset.group(name)]
            assert content["groups"] == {group: groups.count(group) for group in dataset.group_names}
