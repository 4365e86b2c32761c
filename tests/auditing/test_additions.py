"""What an audit adds to samples: found again from carriers, stored, and put into the samples of any split."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from spurcli.artifacts.addition import (
    STAMP,
    TEXT_PROPERTY,
    WORDS,
    Addition,
    StoredAddition,
    read_addition,
    write_addition,
)
from spurcli.auditing.additions import added_to
from spurcli.auditing.stamps import stamp
from spurcli.datasets import ArrayImages, Texts, Vectors
from spurcli.errors import InputError

TWO = Path("x.addition.h5")


def images(count, seed=0):
    """Smooth images: neighbouring pixels are alike, as in photographs."""
    values = np.random.default_rng(seed).normal(120, 35, (count, 6, 6, 3))
    for axis in (1, 2):
        values = (values + np.roll(values, 1, axis)) / np.sqrt(2)
    return np.clip(values - values.mean() + 120, 0, 255).astype(np.uint8)


def covered(pixels, opacity):
    """A yellow mark in the first two rows and columns, more or less opaque, and 40 added to the blue of the last row."""
    made = pixels.astype(np.float64)
    made[:, :2, :2] = (1 - opacity) * made[:, :2, :2] + opacity * np.array([250, 210, 0])
    made[:, 5, :, 2] += 40
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("opacity", [1.0, 0.6])
@pytest.mark.parametrize("narrow", [False, True])
def test_a_stamp_is_found_again_from_the_carriers(opacity, narrow):
    """On other images it makes what the mark itself makes; a region keeps to what is connected with it."""
    pixels, mine = images(400), np.arange(400) % 4 == 0
    pixels[mine] = covered(pixels[mine], opacity)
    region = np.zeros((6, 6), dtype=bool)
    region[0, 0] = True
    found = stamp(pixels, mine[None].astype(float), 1.0 - mine, region if narrow else None)
    others = images(100, seed=1)
    made = added_to(found, ArrayImages(others), np.arange(100)).pixels.astype(int)
    wanted = covered(others, opacity)
    if narrow:
        wanted[:, 5] = others[:, 5]
    error = np.abs(made - wanted)
    assert error[:, :2, :2].mean() < (2 if opacity == 1 else 6)
    assert error[:, 2:].mean() < 4
    if narrow:
        assert not error[:, 2:].any()


def test_too_few_carriers_make_no_stamp():
    mine = np.arange(20) < 3
    assert stamp(images(20), mine[None].astype(float), 1.0 - mine) is None


def test_an_addition_depends_on_the_position_alone():
    opacity = np.zeros((2, 6, 6), np.float32)
    colour = np.zeros((2, 6, 6, 3), np.float32)
    colour[0, 0], colour[1, 5] = 300, -300
    at_two_places = Addition(STAMP, arrays={"opacity": opacity, "colour": colour})
    pixels = images(9)
    every = added_to(at_two_places, ArrayImages(pixels), np.arange(9)).pixels
    assert (every[0::2, 0] == 255).all()
    assert (every[1::2, 5] == 0).all()
    assert (every[1::2, :5] == pixels[1::2, :5]).all()
    assert (added_to(at_two_places, ArrayImages(pixels), np.array([3, 8])).pixels == every[[3, 8]]).all()
    texts = Texts((["a b c d e f"] * 5,))
    word = Addition(WORDS, {"text": "never", "column": 0, "times": 2, "seed": 3})
    made = added_to(word, texts, np.arange(5)).columns[0]
    assert all(text.split().count("never") == 2 for text in made)
    assert added_to(word, texts, np.array([4])).columns[0] == [made[4]]
    ends = Addition(TEXT_PROPERTY, {"property": "ends with", "value": "!", "column": 0})
    assert added_to(ends, texts, np.arange(1)).columns[0] == ["a b c d e f!"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (ArrayImages(images(2)[:, :5]), "6 × 6 × 3, and the images are 5 × 6 × 3"),
        (Texts((["a"],)), "is one for images"),
        (Vectors(np.zeros((2, 3), np.float32)), "cannot be added to embeddings"),
    ],
)
def test_an_addition_is_not_put_into_other_inputs(inputs, words):
    found = Addition(STAMP, arrays={"opacity": np.zeros((1, 6, 6), "f4"), "colour": np.zeros((1, 6, 6, 3), "f4")})
    with pytest.raises(InputError, match=words):
        added_to(found, inputs, np.arange(1))


@pytest.mark.parametrize(
    "found",
    [
        Addition(STAMP, arrays={"opacity": np.ones((1, 2, 2), "f4"), "colour": np.ones((1, 2, 2, 1), "f4")}),
        Addition(WORDS, {"text": "nicht – mehr", "column": 1, "times": 2, "seed": 0}),
    ],
)
def test_an_addition_is_read_as_it_was_written(tmp_path, found):
    write_addition(tmp_path / TWO, StoredAddition(found, "an – suspect", "b"))
    again = read_addition(tmp_path / TWO)
    assert (again.name, again.label, again.addition.kind) == ("an – suspect", "b", found.kind)
    assert again.addition.parameters == found.parameters
    assert all((again.addition.arrays[name] == values).all() for name, values in found.arrays.items())


def changes():
    def version(file):
        file.attrs["version"] = 2

    def kind(file):
        file.attrs["kind"] = "pickle"

    def lost(file):
        del file["colour"]

    def opaque(file):
        file["opacity"][...] = 1.5

    def undefined(file):
        file["colour"][0, 0, 0, 0] = np.nan

    def shape(file):
        del file["opacity"]
        file["opacity"] = np.zeros((1, 3, 2), np.float32)

    return [version, kind, lost, opaque, undefined, shape]


@pytest.mark.parametrize("change", changes(), ids=lambda change: change.__name__)
def test_a_damaged_or_newer_addition_is_refused(tmp_path, change):
    found = Addition(STAMP, arrays={"opacity": np.ones((1, 2, 2), "f4"), "colour": np.ones((1, 2, 2, 1), "f4")})
    write_addition(tmp_path / TWO, StoredAddition(found, "a", "b"))
    with h5py.File(tmp_path / TWO, "a") as file:
        change(file)
    with pytest.raises(InputError):
        read_addition(tmp_path / TWO)
