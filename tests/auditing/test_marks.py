"""The finder of marks: its parts against plain loops, and marks over the whole image that it must find."""

from __future__ import annotations

import numpy as np
import pytest
from photographs import Linear

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.finders.marks import find
from spurcli.auditing.regions.lumps import lumps
from spurcli.auditing.regions.marks import (
    Mark,
    Shape,
    Spectrum,
    additions,
    are_parted,
    difference,
    grouped,
    independence,
    joined,
    ordered,
)
from spurcli.auditing.regions.search import area
from spurcli.auditing.regions.shapes import Region
from spurcli.auditing.regions.squares import Squares
from spurcli.auditing.statistics import judged
from spurcli.datasets import ArrayImages, Dataset, Split

SIDE, CLASSES, MARKED = 12, 4, 2


def border():
    added = np.full((SIDE, SIDE), 12.0)
    added[1:-1, 1:-1] = 0
    return added


def noise():
    return np.random.default_rng(3).normal(0, 8, (SIDE, SIDE))


def evidence(added, *, share=0.3, num_classes=CLASSES, marked=MARKED, seed=5, leans=True, num_train=800):
    """Noise with a blob for each class, which varies in brightness; a share of class 2 has something added, and the model leans on it."""
    rng = np.random.default_rng(seed)
    places = added.reshape(-1, SIDE, SIDE)
    blobs = np.zeros((num_classes, SIDE, SIDE))
    for y in range(num_classes):
        blobs[y, 4:8, 2 * y + 2 : 2 * y + 4] = 60
    weight = blobs.reshape(num_classes, -1).T / 60
    splits, carries = {}, {}
    for name, size in (("train", num_train), ("val", 400)):
        label = np.arange(size) % num_classes
        pixels = 100 + blobs[label] * rng.uniform(0.5, 1.5, (size, 1, 1)) + rng.normal(0, 12, (size, SIDE, SIDE))
        carries[name] = (label == marked) & (rng.random(size) < share)
        pixels[carries[name]] += places[rng.integers(len(places), size=carries[name].sum())]
        splits[name] = Split(label, ArrayImages(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)[..., None]))
    if leans:
        weight[:, marked] += 1.5 * places.sum(axis=0).ravel() / np.abs(places).max()
    dataset = Dataset("blobs", tuple("abcd"[:num_classes]), splits)
    labels = {name: split.label for name, split in splits.items()}
    return Evidence(labels, dataset.class_names, Linear(dataset, weight), held_out="val", dataset=dataset), carries


def test_images_become_means_over_squares_and_come_back():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), dtype=np.uint8)
    squares = Squares.of((40, 30, 3))
    values = squares.values(pixels)
    assert squares.side == 3
    assert values.shape == (2, 14 * 10 * 3)
    images = squares.images(values)
    assert images.shape == pixels.shape
    assert images[1, 37, 4, 2] == pytest.approx(pixels[1, 36:39, 3:6, 2].mean())
    small = Squares.of((16, 16, 1))
    assert (small.images(small.values(pixels[:, :16, :16, :1])) == pixels[:, :16, :16, :1]).all()


def test_in_units_of_the_others_samples_that_vary_as_they_do_have_spread_one():
    rng = np.random.default_rng(1)
    residual = rng.normal(size=(4000, 5)) * [0.5, 1, 2, 4, 8]
    spectrum = Spectrum.of(residual.T @ residual, len(residual))
    white = spectrum.white(residual, 5)
    assert (np.diff(spectrum.spread) >= 0).all()
    np.testing.assert_allclose(white.std(axis=0)[3:], 1, atol=0.1)
    np.testing.assert_allclose(spectrum.within(residual, 5), residual)
    assert spectrum.within(residual, 2).std(axis=0).argmax() in (0, 1)


def test_a_mark_is_independent_of_content_and_a_kind_of_content_is_not():
    rng = np.random.default_rng(2)
    kind, carries = np.arange(200) % 2, rng.random(200) < 0.4
    images = 100 + rng.normal(0, 5, (200, 6, 6, 1))
    images[kind == 1, :3] += np.linspace(-30, 30, 100)[:, None, None, None] * rng.choice([-1, 1], (100, 1, 1, 1))
    assert independence(images, carries.astype(float)) > 0.8
    assert independence(images, (kind == 1).astype(float)) < 0.5


def test_a_few_far_away_are_parted_from_the_rest_and_the_tail_of_a_smooth_heap_is_not():
    rng = np.random.default_rng(6)
    for values, expected in (
        (np.concatenate([rng.normal(size=170), rng.normal(7, 1, size=12)]), True),
        (np.concatenate([rng.normal(size=120), rng.normal(1.5, 1, size=60)]), False),
        (rng.uniform(size=180), False),
        (rng.gamma(2, size=180), False),
    ):
        assert are_parted(lumps(values[None]), values, 0) == expected


def test_what_two_marks_add_is_fitted_together_as_those_who_lack_one_may_carry_the_other():
    rng = np.random.default_rng(4)
    place = rng.choice(3, 400, p=[0.5, 0.4, 0.1])  # a tenth carries neither
    uppers = np.stack([place == 0, place == 1]).astype(float)
    pixels = 100 + rng.normal(0, 2, (400, 3, 3, 1))
    pixels[place == 0, 0, 0] += 20
    pixels[place == 1, 2, 2] += 20
    added, error = additions(np.rint(pixels).astype(np.uint8), uppers)
    expected = np.zeros((2, 3, 3, 1))
    expected[0, 0, 0] = expected[1, 2, 2] = 20
    np.testing.assert_allclose(added, expected, atol=2)
    counts = np.bincount(place)
    np.testing.assert_allclose(error, 1 / counts[:2] + 1 / counts[2])  # of a difference of two means
    alone = difference(np.rint(pixels).astype(np.uint8), uppers[0], 1 - uppers[0])
    assert alone[2, 2] < -10  # a difference of two means takes the other place for what is missing


def test_content_that_moves_the_model_far_does_not_take_the_place_of_a_mark_that_moves_it_little():
    nothing = np.zeros(1)

    def mark(effect, separation, independence):
        return Mark(0, nothing, nothing, 50.0, separation, nothing, effect, independence)

    smooth, shared, weak, still = mark(0.5, 1.5, 0.9), mark(0.6, 5.0, 0.4), mark(0.15, 6.0, 0.95), mark(0.01, 6.0, 1.0)
    assert ordered([smooth, shared, weak, still]) == [weak, smooth, shared]


def test_a_known_shape_takes_the_place_of_content_with_its_carriers_and_not_of_a_mark():
    nothing, (few, many) = np.zeros(1), np.eye(8)[[0, 1]]
    region = Region("column 1", np.ones((2, 2), dtype=bool))

    def mark(upper, independence, shape=None):
        return Mark(0, nothing, upper, 50.0, 5.0, nothing, 0.5, independence, shape)

    known = mark(few, 1.0, Shape(0, region, nothing))
    content, foreign, elsewhere = mark(few, 0.1), mark(few, 1.0), mark(many, 1.0)
    assert joined([content, elsewhere], [known]) == [known, elsewhere]
    assert joined([foreign, elsewhere], [known]) == [foreign, elsewhere]
    assert ordered([elsewhere, known]) == [known, elsewhere]


def test_a_pattern_at_another_place_joins_its_mark_and_one_at_the_same_place_does_not():
    nothing, pattern = np.zeros(1), np.zeros((8, 8, 1))
    pattern[:3, :3, 0] = [[9, 0, 9], [0, 9, 0], [9, 0, 9]]

    def mark(shown, label=0):
        return Mark(label, nothing, nothing, 50.0, 5.0, shown, 0.5, 1.0)

    stripes = np.zeros((8, 8, 1))
    stripes[:, ::4] = 9
    first, again, moved = mark(pattern), mark(0.8 * pattern), mark(np.roll(pattern, 5, axis=1))
    other, elsewhere = mark(stripes), mark(pattern, label=1)
    twice = mark(np.roll(pattern, 5, axis=1) * 0.5)
    found = grouped([first, again, moved, other, twice, elsewhere], most=3)
    assert [[id(one) for one in group] for group in found] == [[id(first), id(moved)], [id(other)], [id(elsewhere)]]


@pytest.mark.parametrize(("added", "place"), [(border(), "border"), (noise(), "whole image")])
def test_a_frame_and_noise_in_some_images_of_a_class_are_found_with_their_carriers(added, place):
    given, carries = evidence(added)
    first, *_ = find(given)
    first.require_fitting({"train": 800, "val": 400}, "train", CLASSES)
    assert first.label_index == MARKED
    assert place in first.name
    for split in ("train", "val"):
        mine = given.label(split) == MARKED
        assert area(first.presence[split][mine].astype(float), carries[split][mine]) > 0.95
    suspect = judged(given, [first])[0]
    assert suspect.status == "confirmed", suspect.reason
    assert first.inferred


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_faint_column_is_found_whatever_share_of_the_class_has_it(share):
    column = np.zeros((SIDE, SIDE))
    column[:, 1] = 14
    given, carries = evidence(column, share=share, num_train=2400)
    first, *_ = find(given)
    assert first.name == "c mark column 1"
    assert first.shown["box"] == [0, 1, SIDE, 2]
    mine = given.label("val") == MARKED
    assert area(first.presence["val"][mine].astype(float), carries["val"][mine]) > 0.95
    assert judged(given, [first])[0].status == "confirmed"


@pytest.mark.parametrize("share", [0.6, 0.9])
def test_a_mark_at_four_places_is_one_suspect(share):
    cross = np.zeros((SIDE, SIDE))
    cross[[0, 0, 1, 2, 2], [0, 2, 1, 0, 2]] = 60
    places = np.stack([np.roll(cross, (down, right), (0, 1)) for down in (0, 9) for right in (0, 9)])
    given, carries = evidence(places, share=share)
    first, *_ = find(given)
    assert first.details["num_places"] == 4
    mine = given.label("val") == MARKED
    assert area(first.presence["val"][mine].astype(float), carries["val"][mine]) > 0.95
    assert judged(given, [first])[0].status == "confirmed"


def test_a_mark_that_the_model_does_not_use_is_not_confirmed():
    given, _ = evidence(noise(), leans=False)
    assert all(suspect.status != "confirmed" for suspect in judged(given, find(given)))


def test_without_a_mark_nothing_is_confirmed():
    given, _ = evidence(noise(), share=0.0)
    assert all(suspect.status != "confirmed" for suspect in judged(given, find(given)))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_of_two_classes_a_mark_is_found_and_none_where_there_is_none(share):
    given, _ = evidence(border(), share=share, num_classes=2, marked=1)
    statuses = [suspect.status for suspect in judged(given, find(given))]
    assert ("confirmed" in statuses) == (share > 0)
