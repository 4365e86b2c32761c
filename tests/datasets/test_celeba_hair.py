"""CelebA's hair task: official splits, blond hair against sex; the real lists have the published counts."""

from __future__ import annotations

import numpy as np
import pytest

from spurcli.datasets.celeba_files import ATTRIBUTES, PARTITION, read_table
from spurcli.datasets.celeba_hair import PUBLISHED, load, read_folder
from spurcli.datasets.check import check
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.session import configure

SPLITS = ("train", "val", "test")


def obvious(folder):
    """Names and groups of each split, read line by line."""
    lines = (folder / ATTRIBUTES).read_text().split("\n")
    columns = lines[1].split()
    split = dict(line.split() for line in (folder / PARTITION).read_text().split("\n") if line.strip())
    found = {name: ([], []) for name in SPLITS}
    for line in lines[2:]:
        if line.strip():
            name, *values = line.split()
            values = dict(zip(columns, values, strict=True))
            names, groups = found[SPLITS[int(split[name])]]
            names.append(name)
            groups.append(2 * (values["Blond_Hair"] == "1") + (values["Male"] == "1"))
    return found


def counts_of(folder):
    return {name: [groups.count(number) for number in range(4)] for name, (_, groups) in obvious(folder).items()}


def small(folder, **options):
    published = options.pop("published", None) or counts_of(folder)
    return read_folder(folder, **{"image_size": 8, "published": published, **options})


def test_each_official_split_in_file_order(celeba_folder):
    folder = celeba_folder()
    dataset = small(folder)
    assert dataset.group_names == ("not blond/female", "not blond/male", "blond/female", "blond/male")
    assert list(dataset.splits) == list(SPLITS)
    for name, (names, groups) in obvious(folder).items():
        assert list(dataset.splits[name].sample_id) == names
        assert dataset.group(name).tolist() == groups
    image = dataset.splits["val"].inputs.read(np.array([0]))[0]
    assert abs(int(image[4, 4, 0]) - 26) < 4  # the 27th image is red 26


def test_only_what_is_there(celeba_folder):
    folder = celeba_folder(images=[f"{number:06d}.jpg" for number in range(9, 30)])
    with pytest.raises(InputError, match=r"21 of CelebA's 42 images are not in .*: 000001\.jpg, 000002\.jpg") as error:
        small(folder)
    assert len(error.value.names) == 21
    with pytest.warns(SpurWarning, match=r"21 of CelebA's 42 .* not the official splits \(train 18, val 3\)"):
        dataset = small(folder, available_only=True)
    assert list(dataset.splits) == ["train", "val"]
    assert list(dataset.splits["train"].sample_id) == [f"{number:06d}.jpg" for number in range(9, 27)]


def test_all_that_is_there_is_the_whole(celeba_folder):
    folder = celeba_folder()
    for name, split in small(folder, available_only=True).splits.items():
        assert split.fingerprint == small(folder).splits[name].fingerprint


@pytest.mark.parametrize("number", range(4))
def test_a_count_that_is_off_is_named(celeba_folder, number):
    folder = celeba_folder()
    published = counts_of(folder)
    row = published["test"]
    other = max(set(range(4)) - {number}, key=row.__getitem__)
    row[number], row[other] = row[number] + 1, row[other] - 1
    with pytest.raises(
        InputError, match=r"official test split has \d (blond )?(wo)?men .* in .*attr_celeba.txt, not \d"
    ):
        small(folder, published=published)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (PARTITION, "000007.jpg 0", "000007.jpg 1", "25 images in the official train split, not 26"),
        (PARTITION, "000007.jpg 0\n", "", r"000007\.jpg is in one of them only"),
        (ATTRIBUTES, "000007.jpg", "000008.jpg", r"lists 000008\.jpg 2 times"),
        (ATTRIBUTES, "Blond_Hair", "Fair_Hair", "names 40 attributes"),
    ],
)
def test_a_damaged_copy_is_named(celeba_folder, file, old, new, words):
    folder = celeba_folder(line_end="\n")
    published = counts_of(folder)
    (folder / file).write_text((folder / file).read_text().replace(old, new))
    with pytest.raises(InputError, match=words):
        small(folder, published=published)


def test_without_the_data_it_names_its_own_recipe(tmp_path):
    with pytest.raises(InputError, match="--recipe celeba-hair-cpu"):
        load(data_root=tmp_path)
    with pytest.raises(UsageError, match="image_size = 0"):
        read_folder(tmp_path, image_size=0)


@pytest.mark.data
def test_the_real_lists_have_the_published_counts(celeba_data):
    table = read_table(celeba_data / "celeba", "Blond_Hair", "Male")
    for number, rights in enumerate(PUBLISHED.values()):
        assert np.bincount(table.group[table.official == number]).tolist() == list(rights)


@pytest.mark.data
def test_the_images_at_hand_and_which_feature_each_class_has(celeba_data):
    with pytest.warns(SpurWarning) as warned:
        dataset = load(data_root=celeba_data, image_size=16, available_only=True)
    assert "not the official splits (train 10,048, val 1,203, test 1,160)" in str(warned[0].message)
    found = check(dataset)
    assert sum(split["num_samples"] for split in found["splits"].values()) == 12_411
    assert found["splits"]["train"]["published"]["blond/male"] == 1_387
    # women are no majority of those who are not blond here, yet they are the blond's feature, as in the whole set
    features = {name: feature["attribute"] for name, feature in found["spurious_features"].items()}
    assert features == {"not blond": "male", "blond": "female"}
    assert found["conflict_groups"] == ["blond/male"]


def test_the_recipe_is_the_published_plain_training():
    settings = configure(recipe="celeba-hair")
    training = settings.training
    assert (settings.model.options["arch"], training.epochs, training.batch_size) == ("resnet50", 50, 128)
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("sgd", 1e-3, 1e-4)
    assert (training.schedule, training.momentum, settings.preprocessing.image_size) == ("constant", 0.9, 224)
