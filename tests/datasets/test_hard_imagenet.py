"""Hard ImageNet: classes from the table, the paper's setting, incomplete and damaged copies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets.hard_imagenet import CLASS_NAMES, CLASSES, LISTED, Counts, load, read_folder
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.session import configure

SLED, SKI = "n03218198", "n04228054"
WNIDS = [wnid for _, wnid, _ in CLASSES]
LISTED_NAMES = {f"{SLED}_{number}.JPEG" for number in LISTED}
NUM_TRAIN = len(LISTED) + 20 + 12 + 13 * 3  # listed and other dog sleds, skis, three of each other class
SMALL = Counts(train=range(NUM_TRAIN - 2, NUM_TRAIN + 3), test_per_class=2)


def train_names(wnid: str) -> list[str]:
    numbers: Sequence[int] = range(1, 4)
    if wnid == SLED:
        numbers = [*LISTED, *range(30_000, 30_020)]
    elif wnid == SKI:
        numbers = range(1, 13)
    return [f"{wnid}_{number}.JPEG" for number in numbers]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small copy, its class folders made in an order that is not the table's."""
    root = tmp_path / "data" / "HardImageNet_Images"
    image = tmp_path / "image.jpg"
    Image.new("RGB", (40, 20), (10, 20, 30)).save(image)
    raw = image.read_bytes()
    for position, wnid in enumerate(sorted(WNIDS, reverse=True)):
        val = [f"ILSVRC2012_val_{2 * position + number:08d}.JPEG" for number in range(2)]
        for split, names in (("train", train_names(wnid)), ("val", val)):
            (root / split / wnid).mkdir(parents=True)
            for name in names:
                (root / split / wnid / name).write_bytes(raw)
    return root


def small(folder: Path, **options):
    return read_folder(folder, **{"image_size": 8, "num_ski": 10, "published": SMALL, **options})


def by_class(dataset, split: str = "train") -> dict[str, list[str]]:
    """File names of each class, in order."""
    found = {name: [] for name in CLASS_NAMES}
    for label, path in zip(dataset.splits[split].label, dataset.splits[split].sample_id, strict=True):
        found[CLASS_NAMES[label]].append(path.split("/")[-1])
    return found


def test_the_table_is_that_of_the_benchmark():
    indices = [index for index, _, _ in CLASSES]
    assert indices == [537, 379, 785, 795, 837, 433, 416, 602, 706, 746, 655, 810, 890, 981, 801]
    assert dict(zip(CLASS_NAMES, WNIDS, strict=True))["snorkel"] == "n04251144"
    assert len(set(WNIDS)) == len(set(CLASS_NAMES)) == 15
    assert len(set(LISTED)) == 59
    assert {7321, 25473, 230}.issubset(LISTED)


def test_the_papers_setting(folder):
    dataset = small(folder)
    train = by_class(dataset)
    assert set(train["dog sled"]) == LISTED_NAMES
    assert len(train["ski"]) == 10
    assert all(len(train[name]) == 3 for name in CLASS_NAMES if name not in ("dog sled", "ski"))
    assert dataset.confusion == (CLASS_NAMES.index("dog sled"), CLASS_NAMES.index("ski"))
    assert list(dataset.splits) == ["train", "test"]
    assert dataset.splits["train"].inputs.shape == (8, 8, 3)


def test_labels_follow_the_table_and_files_the_bytes_of_their_names(folder):
    for split in small(folder, num_dog_sled=0, num_ski=0).splits.values():
        assert (np.diff(split.label) >= 0).all()
        for label, wnid in enumerate(WNIDS):
            ids = [split.sample_id[row] for row in np.flatnonzero(split.label == label)]
            assert ids == sorted(ids, key=str.encode)
            assert {identifier.split("/")[1] for identifier in ids} == {wnid}
    train = small(folder, num_ski=0).splits["train"].sample_id
    skis = [identifier.removeprefix(f"train/{SKI}/{SKI}_") for identifier in train if SKI in identifier]
    assert skis[:5] == ["1.JPEG", "10.JPEG", "11.JPEG", "12.JPEG", "2.JPEG"]


def test_skis_are_drawn_by_their_seed_alone(folder):
    draws = [tuple(by_class(small(folder, ski_seed=seed))["ski"]) for seed in (0, 0, 1, 2)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3
    assert len(by_class(small(folder, num_ski=0))["ski"]) == 12
    with pytest.raises(InputError, match=r"12 skis.* 13 "):
        small(folder, num_ski=13)


@pytest.mark.parametrize("option", ["num_dog_sled", "num_ski", "ski_seed"])
def test_options_below_zero(folder, option):
    with pytest.raises(UsageError, match=f"dataset.options.{option} = -1 is below 0"):
        small(folder, **{option: -1})


def test_the_data_root_may_be_the_folder_itself(folder, monkeypatch):
    monkeypatch.setattr("spurcli.datasets.hard_imagenet.read_folder", lambda folder, **_: folder)
    assert load(data_root=folder) == load(data_root=folder.parent) == folder
    with pytest.raises(InputError, match="HardImageNet_Images") as error:
        load(data_root=folder / "train")
    assert "--recipe hard-imagenet-cpu" in error.value.hint


def test_what_systems_leave_behind_is_no_image(folder):
    for name in (".DS_Store", "._n03218198_230.JPEG", "Thumbs.db"):
        (folder / "train" / SLED / name).write_bytes(b"x")
    assert set(by_class(small(folder))["dog sled"]) == LISTED_NAMES


DAMAGE = {
    "a missing class": (
        lambda root: [path.unlink() for path in (root / "val" / SKI).iterdir()], "val has no images of ski",
    ),
    "a missing test image": (
        lambda root: next((root / "val" / SKI).iterdir()).unlink(), "val has 1 image of ski, not 2",
    ),
    "missing training images": (
        lambda root: [(root / "train" / SKI / f"{SKI}_{number}.JPEG").unlink() for number in range(1, 6)],
        "train has 125 images .fewest of howler monkey: 3., not 128 to 132",
    ),
    "a listed image": (
        lambda root: (root / "train" / SLED / f"{SLED}_230.JPEG").unlink(),
        "1 of the 59 dog sleds without snow and people are not in .*: n03218198_230.JPEG",
    ),
    "a test image among those to train on": (
        lambda root: next((root / "val" / SKI).iterdir()).rename(root / "train" / SKI / "ILSVRC2012_val_9.JPEG"),
        "ILSVRC2012_val_9.JPEG is not a training image of ski: their names begin with n04228054_",
    ),
    "a training image among those to test on": (
        lambda root: (root / "val" / SKI / f"{SKI}_1.JPEG").write_bytes(b"x"),
        "n04228054_1.JPEG occurs twice in .*: train/n04228054/n04228054_1.JPEG and val/n04228054/n04228054_1.JPEG",
    ),
    "a test image in two classes": (
        lambda root: (root / "val" / SLED / min(path.name for path in (root / "val" / SKI).iterdir())).write_bytes(b"x"),
        "occurs twice in .*: val/n03218198/ILSVRC2012_val_.* and val/n04228054/",
    ),
    "a swapped class folder": (
        lambda root: (root / "train" / SLED).rename(root / "train" / "x")
        and (root / "train" / SKI).rename(root / "train" / SLED),
        "is not a training image of dog sled",
    ),
    "a download cut short": (
        lambda root: (root / "train" / SKI / f"{SKI}_77.JPEG.part").write_bytes(b"x"), "_77.JPEG.part is not a JPEG image",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_off_is_named(folder, damage):
    change, words = DAMAGE[damage]
    change(folder)
    with pytest.raises(InputError, match=words):
        small(folder)


def test_only_what_is_there(folder):
    for name in ("230", "263"):
        (folder / "train" / SLED / f"{SLED}_{name}.JPEG").unlink()
    for path in (folder / "val" / SKI).iterdir():
        path.unlink()
    with pytest.raises(InputError, match="available_only=true"):
        small(folder)
    with pytest.warns(SpurWarning, match=r"106 training images and 28 test images \(none of ski\) are used"):
        dataset = small(folder, available_only=True)
    assert len(by_class(dataset)["dog sled"]) == 57
    assert by_class(dataset, "test")["ski"] == []
    assert dataset.class_names == CLASS_NAMES


def test_a_whole_copy_is_the_same_with_and_without(folder):
    whole, part = small(folder), small(folder, available_only=True)  # a warning would be an error
    assert {n: s.fingerprint for n, s in whole.splits.items()} == {n: s.fingerprint for n, s in part.splits.items()}


def test_a_copy_of_part_is_refused_with_the_published_counts(folder, spurcli):
    words = ["data", "check", "hard-imagenet", "--data-root", folder.parent]
    refused = spurcli(*words)
    assert refused.code == 3
    assert "val has 2 images of dog sled, not 50" in refused.err
    shown = spurcli(*words, "--set", "dataset.options.available_only=true", "--json")
    assert shown.code == 0
    assert "is a part of Hard ImageNet" in shown.err
    found = json.loads(shown.out)["splits"]
    assert found["train"]["classes"]["dog sled"] == found["train"]["published"]["dog sled"] == 59
    assert found["train"]["published"]["patio"] is None
    assert (found["train"]["as_published"], found["test"]["as_published"]) == (False, False)  # 12 skis are not 100


@pytest.mark.data
def test_the_layout_at_hand(benchmark_data):
    if not (benchmark_data / "HardImageNet_Images").is_dir():
        pytest.skip(f"no HardImageNet_Images in {benchmark_data}")
    with pytest.raises(InputError, match="val has no images of dog sled, howler monkey"):
        load(data_root=benchmark_data, image_size=32)
    with pytest.warns(SpurWarning, match="is a part of Hard ImageNet"):
        dataset = load(data_root=benchmark_data, image_size=32, available_only=True)
    test = by_class(dataset, "test")
    assert {name: len(names) for name, names in test.items() if names} == dict.fromkeys(
        ("sunglasses", "miniskirt", "volleyball", "snorkel"), 50
    )
    assert {len(names) for name, names in by_class(dataset).items() if test[name]} == {501}
    pixels = dataset.splits["test"].inputs.read(np.array([0, 199]))
    assert pixels.shape == (2, 32, 32, 3)
    assert pixels.std() > 20


def test_the_recipe_holds_the_papers_numbers():
    settings = configure(recipe="hard-imagenet")
    training, preprocessing = settings.training, settings.preprocessing
    assert (settings.model.options["arch"], training.epochs, training.batch_size) == ("resnet50", 50, 128)
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("sgd", 1e-3, 1e-4)
    assert (training.momentum, training.schedule, settings.scoring.epoch) == (0.9, "constant", 1)
    assert (preprocessing.decode_size, preprocessing.image_size, preprocessing.flip) == (256, 224, True)
    assert preprocessing.resized_crop_scale == (0.08, 1.0)
