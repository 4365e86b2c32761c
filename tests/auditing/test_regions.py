"""The finder of regions: its parts against plain loops, and a mark in a corner that it must find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.finders.regions import find, seconds
from spurcli.auditing.regions.lumps import lumps
from spurcli.auditing.regions.plan import passes, planned
from spurcli.auditing.regions.pushes import Scale, answers, margins
from spurcli.auditing.regions.search import area
from spurcli.auditing.regions.shapes import coarse, finer, rectangle
from spurcli.auditing.regions.templates import crossed, values_of
from spurcli.datasets import ArrayImages, Dataset, Split
from spurcli.errors import UsageError

SIDE, CLASSES, MARKED = 12, 4, 2


def linear(weight):
    """A model: logits are linear in the pixels."""
    return lambda pixels: (pixels.reshape(len(pixels), -1) / 255 @ weight).astype(np.float32)


def test_a_region_of_each_donor_is_put_into_each_recipient():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 6, 6, 2), dtype=np.uint8)
    donors, recipients = pixels[:2], pixels[2:]
    ask = linear(rng.normal(size=(72, 3)))
    region = rectangle(6, 6, (1, 2, 4, 6))
    found = answers(ask, recipients, donors, region)
    for d in range(2):
        for r in range(3):
            image = recipients[r].copy()
            for row in range(1, 4):
                for column in range(2, 6):
                    image[row, column] = donors[d, row, column]
            np.testing.assert_allclose(found[d, r], ask(image[None])[0], rtol=1e-5)
    for y in range(3):
        slow = [[one[y] - max(np.delete(one, y)) for one in each] for each in found.astype(float)]
        np.testing.assert_allclose(margins(found, y), slow, rtol=1e-5)


def test_a_push_does_not_depend_on_the_units_of_one_recipient():
    found = np.random.default_rng(1).normal(size=(40, 5))
    other = found.copy()
    other[:, 3] = 7 * other[:, 3] + 100
    np.testing.assert_allclose(Scale.of(other).push(other), Scale.of(found).push(found))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_two_parts_are_a_lump_and_a_skewed_heap_is_not(share):
    rng = np.random.default_rng(2)
    smooth = np.stack([rng.normal(size=300), rng.gamma(3, size=300)])
    carries = np.arange(300) < share * 300
    parts = rng.normal(size=300) + 8 * carries
    assert (lumps(smooth).gain < 5).all()
    found = lumps(parts[None])
    assert found.gain[0] > 20
    np.testing.assert_array_equal(found.upper[0] > 0.5, carries)
    assert found.share[0] == pytest.approx(share, abs=0.02)
    apart = parts[carries].mean() - parts[~carries].mean()
    assert found.high[0] - found.low[0] == pytest.approx(apart, rel=0.02)


def test_a_constant_series_is_no_lump():
    assert lumps(np.ones((1, 50))).gain[0] == -np.inf


@pytest.mark.parametrize(("height", "width"), [(12, 12), (16, 24), (5, 3), (224, 224)])
def test_regions_cover_the_image_once_each_and_lie_within_it(height, width):
    regions = coarse(height, width)
    assert np.any([region.mask for region in regions], axis=0).all()
    assert len({region.mask.tobytes() for region in regions}) == len(regions)
    assert not any(region.mask.all() for region in regions)
    for region in regions:
        for part in finer(region):
            assert part.mask.sum() < region.mask.sum()
            assert not (part.mask & ~region.mask).any()


def test_values_of_a_large_region_are_means_over_squares():
    pixels = np.random.default_rng(3).integers(0, 256, (2, 40, 40, 1), dtype=np.uint8)
    found = values_of(pixels, rectangle(40, 40, (0, 0, 40, 20)).mask)
    side = 2
    assert found.shape == (2, 40 * 20 // side**2)
    assert found[1, 0] == pytest.approx(pixels[1, :side, :side].mean())


def test_no_sample_has_a_part_in_its_own_template():
    values = np.random.default_rng(4).normal(size=(80, 30))
    weights = (np.arange(80) % 7 == 0)[None].astype(float)
    # of pure noise the template of the same samples would separate them well
    assert 0.25 < area(crossed(values, weights)[0], weights[0] > 0) < 0.75


def test_a_plan_that_fits_stays_within_the_passes_and_a_budget_in_seconds_cuts_them():
    for allowed in (1e3, 1e5, 1e7):
        plan = planned(allowed, 1000.0, 10, 49)
        assert plan.seconds * 1000 <= allowed or not plan.fits
    assert planned(1e7, 1e3, 10, 49).donors > planned(3e5, 1e3, 10, 49).donors
    assert passes(32, 32, 60.0, 1e3) == 60_000
    assert passes(64, 64, float("inf"), 1e3) * 4 == passes(32, 32, float("inf"), 1e9)


@dataclass(frozen=True)
class Linear:
    dataset: Dataset
    weight: np.ndarray

    def logits(self, split):
        return self.ask(self.dataset.splits[split].inputs.pixels)

    def embedding(self, _split):
        return None

    @property
    def ask(self):
        return linear(self.weight)


def evidence(*, marked: bool, num_classes: int = CLASSES, rare: bool = False) -> tuple[Evidence, np.ndarray]:
    """Noise with a blob for each class; a tenth of class 2 (of two classes, 1) has a mark in the corner, and the model leans on it.

    With `rare` the classes from 2 on have ten training samples each.
    """
    rng, mark = np.random.default_rng(5), 1 if rare or num_classes == 2 else MARKED
    blobs = np.zeros((num_classes, SIDE, SIDE))
    for y in range(num_classes):
        blobs[y, 4:8, 2 * y + 2 : 2 * y + 4] = 60
    weight = blobs.reshape(num_classes, -1).T / 60
    splits, carries = {}, {}
    for name, size in (("train", 600), ("val", 300)):
        label = np.arange(size) % num_classes
        if rare:
            label[(np.arange(size) >= 10 * num_classes) & (label > 1)] %= 2
        pixels = 100 + blobs[label] + rng.normal(0, 12, (size, SIDE, SIDE))
        carries[name] = (label == mark) & (rng.random(size) < 0.15) & marked
        pixels[carries[name], :2, :2] += 80
        splits[name] = Split(label, ArrayImages(np.clip(pixels, 0, 255).astype(np.uint8)[..., None]))
    if marked:
        weight.reshape(SIDE, SIDE, num_classes)[:2, :2, mark] = 3
    dataset = Dataset("blobs", tuple("abcd"[:num_classes]), splits)
    labels = {name: split.label for name, split in splits.items()}
    found = Evidence(labels, dataset.class_names, Linear(dataset, weight), held_out="val", dataset=dataset, budget=60.0)
    return found, carries["train"]


def test_a_mark_in_the_corner_of_a_tenth_of_a_class_is_found_with_its_carriers():
    given, carries = evidence(marked=True)
    first, *_ = find(given)
    first.require_fitting({"train": 600, "val": 300}, "train", CLASSES)
    assert first.label_index == MARKED
    top, left, bottom, right = first.shown["box"]
    assert top < 2
    assert left < 2
    assert (bottom - top) * (right - left) <= 9
    mine = given.label("train") == MARKED
    assert area(first.presence["train"][mine].astype(float), carries[mine]) > 0.99
    assert first.p_value is not None
    assert first.p_value < 0.02
    assert not first.doubt
    assert first.inferred
    twin = first.counterfactual
    assert twin is not None
    assert np.median(margins(twin.logits, MARKED) - margins(twin.control, MARKED)) > 1
    assert (given.half("val")[twin.index] == 1).all()


def test_a_search_that_is_cut_short_says_so_and_stops_between_classes():
    given, _ = evidence(marked=True)
    given.budget = None
    assert 0 < seconds(given) < 60
    find(given, seconds=0.0)
    assert [line.partition(":")[0] for line in given.notes] == ["regions", "regions"]
    assert "40 instead of" in given.notes[0]
    assert f"1 of {CLASSES} classes" in given.notes[1]
    assert all("--finder regions" in line for line in given.notes)
    assert not given.warnings  # what was found is right
    full, _ = evidence(marked=True)
    full.budget = None
    find(full)
    assert not full.warnings + full.notes


def test_without_a_mark_nothing_is_significant():
    given, _ = evidence(marked=False)
    assert all(one.doubt or one.p_value * 3 > 0.05 for one in find(given))


@pytest.mark.parametrize(
    ("num_classes", "rare", "said"),
    [(2, False, "2 classes: a region"), (4, True, "4 classes, of which 2 with at least 40 training samples: a region")],
)
def test_two_classes_are_said_to_be_too_few_for_a_p_value(num_classes, rare, said):
    given, _ = evidence(marked=True, num_classes=num_classes, rare=rare)
    found = find(given, region=[(0, 0, 4, 4)])
    assert found
    assert all(one.p_value is None and one.doubt.startswith(said) for one in found)


def test_a_region_outside_the_image_is_refused():
    given, _ = evidence(marked=False)
    with pytest.raises(UsageError, match="not within images of 12×12"):
        find(given, region=[(0, 0, 13, 4)])
