"""What a data set is: what its constructor refuses, and how image files are decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import ArrayImages, Dataset, FileImages, Split
from spurcli.datasets.inputs import decode_square
from spurcli.errors import InputError


def images(number=4):
    return ArrayImages(np.zeros((number, 8, 8, 3), dtype=np.uint8))


def split(label=(0, 1, 0, 1), **more):
    return Split(np.array(label, dtype=np.int64), images(len(label)), **more)


def dataset(train, attribute_names=("no", "yes")):
    return Dataset("own", ("a", "b"), {"train": train}, attribute_names)


def test_groups():
    made = dataset(split(attribute=np.array([0, 1, 1, 0])))
    assert made.group_names == ("a/no", "a/yes", "b/no", "b/yes")
    assert made.group("train").tolist() == [0, 3, 1, 2]
    assert dataset(split()).group("train") is None


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (lambda: split([]), "has no samples"),
        (lambda: Split(np.array([0, 1]), images(3)), "has 3 inputs and 2 labels"),
        (lambda: split([0, 2]), r"label 2 of sample 1 is outside 0\.\.1"),
        (lambda: split([0, -1]), "label -1 of sample 1"),
        (lambda: Split(np.array([0.0, 1.0]), images(2)), r"label is float64 \[2\]"),
        (lambda: Split(np.array([0, 1], dtype=np.int32), images(2)), "label is int32"),
        (lambda: split([0, 1], attribute=np.array([0, 5])), "attribute 5 of sample 1"),
        (lambda: split([0, 1], attribute=np.array([0])), r"attribute is int64 \[1\]"),
        (lambda: split([0, 1], sample_id=["x"]), "has 1 id for 2 samples"),
        (lambda: split([0, 1, 0], sample_id=["x", "y", "x"]), r"has the id 'x' 2 times"),
    ],
)
def test_what_does_not_fit_together_is_refused(train, words):
    with pytest.raises(InputError, match=words):
        dataset(train())


def test_a_data_set_needs_a_training_split():
    with pytest.raises(InputError, match="has no split 'train'"):
        Dataset("own", ("a", "b"), {"test": split()})
    with pytest.raises(InputError, match=r"has no split 'val'\nIt has: train\."):
        dataset(split()).split("val")


@pytest.mark.parametrize("pixels", [np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8), dtype=np.uint8)])
def test_images_are_bytes_of_four_dimensions(pixels):
    with pytest.raises(InputError, match="A data set returns uint8"):
        ArrayImages(pixels)


@pytest.mark.parametrize(("width", "height"), [(30, 40), (40, 30), (31, 40), (32, 32)])
def test_decoding_crops_first_and_then_resizes(tmp_path, width, height):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    side = min(width, height)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    for size in (side, 16, 48):
        expected = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(decode_square(tmp_path / "a.png", size), expected)


def test_a_large_jpeg_is_decoded_at_a_smaller_scale_to_nearly_the_same(tmp_path):
    y, x = np.mgrid[0:218, 0:178]
    pixels = np.stack([x, y, (x + y) % 200 // 2], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        whole = image.convert("RGB").crop((0, 20, 178, 198)).resize((48, 48), Image.Resampling.BILINEAR)
    difference = decode_square(tmp_path / "a.jpg", 48).astype(int) - np.asarray(whole)
    assert np.abs(difference).mean() < 1.5


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_any_colour_mode_becomes_rgb(tmp_path, mode):
    Image.new("RGB", (20, 20), (200, 200, 200)).convert(mode).save(tmp_path / "a.tiff")
    pixels = decode_square(tmp_path / "a.tiff", 10)
    assert pixels.shape == (10, 10, 3)
    assert np.abs(pixels.astype(int) - 200).max() <= 8  # a palette is dithered


def test_reading_follows_the_indices(tmp_path):
    paths = []
    for number in range(5):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (9, 9), (number * 10, 0, 0)).save(paths[-1])
    inputs = FileImages(paths, 4)
    assert (len(inputs), inputs.shape, inputs.resident) == (5, (4, 4, 3), False)
    assert inputs.read(np.array([3, 0, 3]))[:, 0, 0, 0].tolist() == [30, 0, 30]
    assert inputs.read(np.array([], dtype=np.int64)).shape == (0, 4, 4, 3)


def test_a_file_that_is_gone_or_broken_is_named(tmp_path):
    with pytest.raises(InputError, match=r"No such image: 7\.jpg"):
        decode_square(tmp_path / "7.jpg", 8)
    (tmp_path / "8.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"Image 8\.jpg cannot be decoded"):
        decode_square(tmp_path / "8.jpg", 8)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "9.jpg")
    (tmp_path / "9.jpg").write_bytes((tmp_path / "9.jpg").read_bytes()[:900])
    with pytest.raises(InputError, match=r"Image 9\.jpg cannot be decoded"):
        decode_square(tmp_path / "9.jpg", 8)


@pytest.mark.parametrize("error", [TypeError("'IFDRational' object"), MemoryError(), IndexError("x")])
def test_a_decoder_that_fails_in_any_way_is_about_the_image(tmp_path, monkeypatch, error):
    def fail(*_arguments):
        raise error

    Image.new("RGB", (4, 4)).save(tmp_path / "p.tif")
    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(InputError, match=r"Image p\.tif cannot be decoded \((Memory|x|'IFD)"):
        decode_square(tmp_path / "p.tif", 8)


def test_a_png_whose_data_claim_four_gigabytes_is_named(tmp_path):
    """Pillow asks the file for as many bytes as the last piece says; a process that may not have them says so."""
    resource = pytest.importorskip("resource")
    noise = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "p.png")
    content = (tmp_path / "p.png").read_bytes()
    place = content.index(b"IDAT")
    (tmp_path / "p.png").write_bytes(content[: place - 4] + b"\x7f\xff\xff\xff" + content[place:])
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if not pages:
        pytest.skip("needs /proc to know what is in use")
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), before[1]))
    try:
        with pytest.raises(InputError, match=r"Image p\.png cannot be decoded \("):
            decode_square(tmp_path / "p.png", 8)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
