"""The decoded cache: the same pixels as without it, and other images, settings or damage are never taken for them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import ArrayImages, Dataset, FileImages, Split, load_dataset
from spurcli.datasets import decoded as decoded_module
from spurcli.datasets.decoded import MappedImages, cache_images, image_key, use_cache
from spurcli.errors import InputError
from spurcli.progress import Silent


def load(root: Path, cached: bool = False, **options) -> Dataset:
    size = options.pop("image_size", 8)
    name = f"{root.parent / 'pictures.py'}:load"
    return load_dataset(name, options, data_root=root, image_size=size, cache_root=root / "cache" if cached else None)


def write(root: Path, **options) -> dict[str, str]:
    found = cache_images(load(root, **options), root, root / "cache", num_workers=2, progress=Silent())
    return {name: facts["done"] for name, facts in found.items()}


def pixels(dataset: Dataset) -> dict[str, np.ndarray]:
    return {name: split.inputs.read(np.arange(len(split))) for name, split in dataset.splits.items()}


ALL = {"train", "val", "test"}


def test_the_same_pixels_from_a_map(pictures):
    assert write(pictures) == dict.fromkeys(ALL, "written")
    plain, mapped = load(pictures), load(pictures, cached=True)
    for name, split in mapped.splits.items():
        assert isinstance(split.inputs, MappedImages)
        assert split.inputs.shape == plain.splits[name].inputs.shape
        assert len(split.inputs) == len(split)
        assert split.fingerprint == plain.splits[name].fingerprint
        assert np.array_equal(pixels(mapped)[name], pixels(plain)[name])
        order = np.random.default_rng(0).permutation(len(split))
        assert np.array_equal(split.inputs.read(order), plain.splits[name].inputs.read(order))
    assert write(pictures) == dict.fromkeys(ALL, "there")


def test_what_is_read_is_a_copy_that_may_be_painted_on(pictures):
    write(pictures)
    inputs = load(pictures, cached=True).splits["val"].inputs
    before = inputs.read(np.array([3]))
    inputs.read(np.array([3]))[:] = 0
    assert np.array_equal(inputs.read(np.array([3])), before)
    assert before.any()


@pytest.mark.parametrize("options", [{"image_size": 7}, {"squash": True}])
def test_another_transform_has_a_cache_of_its_own(pictures, options):
    write(pictures)
    plain, other = load(pictures, **options), load(pictures, cached=True, **options)
    assert all(isinstance(split.inputs, FileImages) for split in other.splits.values())
    assert write(pictures, **options) == dict.fromkeys(ALL, "written")
    both = [load(pictures, cached=True), load(pictures, cached=True, **options)]
    for mapped, wanted in zip(both, (load(pictures), plain), strict=True):
        assert all(isinstance(split.inputs, MappedImages) for split in mapped.splits.values())
        assert all(np.array_equal(pixels(mapped)[name], pixels(wanted)[name]) for name in ALL)


def test_another_decoder_has_a_cache_of_its_own(pictures, monkeypatch):
    write(pictures)
    monkeypatch.setattr(decoded_module, "DECODER", decoded_module.DECODER + 1)
    assert isinstance(load(pictures, cached=True).splits["train"].inputs, FileImages)


def test_other_files_and_other_samples_have_a_key_of_their_own(pictures):
    split = load(pictures).splits["train"]
    images = split.inputs
    key = image_key(split, pictures)
    elsewhere = [pictures / "elsewhere" / path.name for path in images.paths]
    others = [
        Split(split.label, FileImages(elsewhere, 8), sample_id=split.sample_id),
        Split(split.label, FileImages(images.paths[::-1], 8), sample_id=split.sample_id),
        Split(1 - split.label, images, sample_id=split.sample_id),
        Split(split.label, images, sample_id=[f"x{name}" for name in split.sample_id]),
        Split(split.label[:-1], FileImages(images.paths[:-1], 8), sample_id=split.sample_id[:-1]),
    ]
    assert all(image_key(other, pictures) != key for other in others)
    assert image_key(Split(split.label, images, split.label, split.sample_id), pictures) == key


def test_a_data_root_that_moved_takes_its_cache_along(pictures, tmp_path):
    write(pictures)
    moved = tmp_path / "elsewhere" / "data"
    moved.parent.mkdir()
    shutil.copy(tmp_path / "pictures.py", moved.parent)
    pictures.rename(moved)
    assert all(isinstance(split.inputs, MappedImages) for split in load(moved, cached=True).splits.values())


@dataclass(frozen=True)
class Unknown:
    """Images of a user's own kind, which do not say where they come from."""

    pixels: np.ndarray
    resident = False
    shape = (8, 8, 3)

    def __len__(self):
        return len(self.pixels)

    def read(self, indices):
        return self.pixels[indices]


class Mirrored(FileImages):
    def read(self, indices):
        return super().read(indices)[:, :, ::-1]


def with_inputs(dataset: Dataset, make) -> Dataset:
    splits = {name: replace(split, inputs=make(split.inputs)) for name, split in dataset.splits.items()}
    return replace(dataset, splits=splits)


def test_pixels_in_memory_and_images_that_do_not_say_where_they_come_from_are_left_alone(pictures):
    assert write(pictures, in_memory=True) == dict.fromkeys(ALL, "nothing")
    own = with_inputs(load(pictures), lambda files: Unknown(files.read(np.arange(len(files)))))
    found = cache_images(own, pictures, pictures / "cache", num_workers=1, progress=Silent())
    assert {facts["done"] for facts in found.values()} == {"nothing"}
    assert not (pictures / "cache").exists()
    write(pictures)
    assert use_cache(own, pictures, pictures / "cache").splits["train"].inputs is own.splits["train"].inputs
    assert isinstance(load(pictures, cached=True, in_memory=True).splits["train"].inputs, ArrayImages)


def test_a_kind_derived_from_image_files_has_a_cache_of_its_own(pictures):
    write(pictures)
    own = with_inputs(load(pictures), lambda files: Mirrored(files.paths, 8))
    assert isinstance(use_cache(own, pictures, pictures / "cache").splits["train"].inputs, Mirrored)
    cache_images(own, pictures, pictures / "cache", num_workers=1, progress=Silent())
    for name, split in use_cache(own, pictures, pictures / "cache").splits.items():
        assert isinstance(split.inputs, MappedImages)
        assert np.array_equal(split.inputs.read(np.arange(len(split))), pixels(load(pictures))[name][:, :, ::-1])


def test_a_saved_hugging_face_data_set(pictures):
    datasets = pytest.importorskip("datasets")
    train = load(pictures).splits["train"]
    rows = {"image": [path.read_bytes() for path in train.inputs.paths], "label": train.label.tolist()}
    rows["image"] = [{"bytes": content, "path": None} for content in rows["image"]]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["even", "odd"])})
    saved = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": saved, "test": saved.select([3, 5])}).save_to_disk(pictures / "saved")
    plain = load_dataset(
        "table", {"path": "saved", "image": "image", "label": "label"}, data_root=pictures, image_size=8
    )
    found = cache_images(plain, pictures, pictures / "cache", num_workers=2, progress=Silent())
    assert [facts["done"] for facts in found.values()] == ["written"] * 2
    mapped = use_cache(plain, pictures, pictures / "cache")
    assert all(isinstance(split.inputs, MappedImages) for split in mapped.splits.values())
    assert all(np.array_equal(pixels(mapped)[name], pixels(plain)[name]) for name in plain.splits)
    sizes = [path.stat().st_size for path in train.inputs.paths]
    assert plain.splits["test"].inputs.num_bytes().tolist() == [sizes[3], sizes[5]]


def repaint(path: Path) -> None:
    Image.new("RGB", (13, 10), (1, 2, 3)).save(path)


@pytest.mark.parametrize("position", [0, 11])
def test_another_image_under_the_same_name_is_found_on_opening(pictures, position):
    write(pictures)
    repaint(pictures / "train" / f"{position:02d}.png")
    with pytest.raises(
        InputError, match=rf"(?s)the pixels of image {position} of 12 are different now.*data cache.*delete the folder"
    ):
        load(pictures, cached=True)
    assert write(pictures) == {"train": "replaced", "val": "there", "test": "there"}
    assert np.array_equal(pixels(load(pictures, cached=True))["train"], pixels(load(pictures))["train"])


def test_another_pillow_is_found(pictures, monkeypatch):
    write(pictures)
    right = FileImages.read

    def differently(self, indices):
        batch = right(self, indices)
        batch[..., 0] ^= 1
        return batch

    monkeypatch.setattr(FileImages, "read", differently)
    with pytest.raises(InputError, match="are different now"):
        load(pictures, cached=True)


def test_a_change_between_the_images_that_are_compared_is_found_by_building(pictures):
    write(pictures)
    repaint(pictures / "train" / "01.png")
    load(pictures, cached=True)  # only five of the twelve are looked at
    assert write(pictures)["train"] == "replaced"
    assert np.array_equal(pixels(load(pictures, cached=True))["train"], pixels(load(pictures))["train"])


def only_folder(root: Path, split: str) -> Path:
    found = cache_images(load(root), root, root / "cache", num_workers=1, progress=Silent())
    return root / "cache" / found[split]["folder"]


@pytest.mark.parametrize("image", [0, 6, 11])
def test_bytes_turned_over_are_found_on_opening_or_by_building(pictures, image):
    folder = only_folder(pictures, "train")
    content = bytearray((folder / "pixels.npy").read_bytes())
    content[len(content) - (12 - image) * 3 * 64] ^= 255
    (folder / "pixels.npy").write_bytes(content)
    if image in (0, 11):
        with pytest.raises(InputError, match="the cache is damaged"):
            load(pictures, cached=True)
    assert write(pictures)["train"] == "replaced"
    assert np.array_equal(pixels(load(pictures, cached=True))["train"], pixels(load(pictures))["train"])


def test_arrays_of_another_kind_under_the_right_key_are_refused(pictures):
    folder = only_folder(pictures, "val")
    manifest = json.loads((folder / "cache.json").read_text())
    for array in (np.zeros((5, 8, 8, 3), np.uint8), np.zeros((5, 3, 8, 8), np.int16), np.zeros((4, 3, 8, 8), np.uint8)):
        np.save(folder / "pixels.npy", array)
        manifest["arrays"]["pixels"] |= {"shape": list(array.shape), "dtype": array.dtype.str}
        (folder / "cache.json").write_text(json.dumps(manifest))
        with pytest.raises(InputError, match="does not hold these images"):
            load(pictures, cached=True)
    del manifest["arrays"]["pixels"]
    (folder / "cache.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="does not hold these images"):
        load(pictures, cached=True)


def test_an_image_that_cannot_be_decoded_is_named_and_leaves_nothing(pictures):
    path = pictures / "val" / "02.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"02\.png"):
        write(pictures)
    assert len(list((pictures / "cache").iterdir())) == 1  # the training split, which came first and is whole
    Image.new("RGB", (9, 9)).save(path)
    assert write(pictures) == {"train": "there", "val": "written", "test": "written"}


def test_a_split_that_is_cached_alone_is_used_alone(pictures):
    write(pictures)
    shutil.rmtree(only_folder(pictures, "test"))
    kinds = {name: type(split.inputs) for name, split in load(pictures, cached=True).splits.items()}
    assert kinds == {"train": MappedImages, "val": MappedImages, "test": FileImages}


def test_building_holds_a_few_batches_not_the_data_set(tmp_path):
    """Images asked for and not yet written are bounded by the workers, whatever their number."""
    image = tmp_path / "one.png"
    Image.new("RGB", (4, 4), (1, 2, 3)).save(image)
    asked = []

    class Counting(list):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    images = FileImages(Counting([image] * 1000), 4)
    written, most = 0, 0
    for block in decoded_module._decoded(images, 2, Silent()):
        written += len(block)
        most = max(most, len(asked) - written)
    assert written == 1000
    assert sorted(asked) == list(range(1000))
    assert most <= 5 * 64
