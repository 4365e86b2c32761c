"""The contrast of a class with the others: whitening, amounts and their two parts, and marks on nearly all images of a class."""

from __future__ import annotations

import numpy as np
import pytest
from photographs import SIDE, evidence, patch, smooth
from scipy.stats import t

from spurcli.auditing.finders.marks import find
from spurcli.auditing.regions.contrast import FOLDS, Contrast, Sums, Whitening
from spurcli.auditing.regions.contrasts import Contrasts
from spurcli.auditing.regions.parts import Parts, parts_of
from spurcli.auditing.regions.search import area
from spurcli.auditing.statistics import judged
from spurcli.auditing.suspect import CONFIRMED


def test_values_of_smooth_images_are_uncorrelated_with_variance_one():
    rng = np.random.default_rng(0)
    images = smooth(rng, 300)
    values, weights = Whitening.of(images, np.zeros(300, dtype=np.int64))(images)
    inner = values[:, 4:-4, 4:-4]
    assert inner.std() == pytest.approx(1, abs=0.1)
    near = [(inner[:, 1:], inner[:, :-1]), (inner[:, :, 1:], inner[:, :, :-1]), (inner[..., 1], inner[..., 0])]
    raw = images[:, 4:-4, 4:-4] - images.mean(axis=0)[4:-4, 4:-4]
    assert np.corrcoef(raw[:, 1:].ravel(), raw[:, :-1].ravel())[0, 1] > 0.8
    assert all(abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.1 for one, other in near)
    assert weights.shape == (*images.shape[:3], 1)


def test_images_of_few_values_are_whitened_as_a_whole():
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(36, 36))
    images = (rng.normal(size=(400, 36)) @ mixed).reshape(400, 6, 6, 1).astype(np.float32)
    label = np.arange(400) % 2
    whitening = Whitening.of(images, label)
    assert whitening.kernel is None
    assert whitening.reach == 0
    values, weights = whitening(images)
    covariance = np.cov(values.reshape(400, -1), rowvar=False)
    assert (weights == 1).all()
    assert np.trace(covariance) > 10  # of 36: directions of small variance are shrunk
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.6


def test_an_image_with_more_texture_has_a_smaller_weight():
    images = smooth(np.random.default_rng(2), 200)
    images[:100] = 128 + (images[:100] - 128) * 0.2
    _, weights = Whitening.of(images, np.arange(200) % 2)(images)
    assert weights[:100].mean() > 1.5 * weights[100:].mean()


@pytest.mark.parametrize("side", [(3, 40), (40, 3), (1, 1)])
def test_images_smaller_than_a_window_are_whitened_too(side):
    images = np.random.default_rng(3).normal(size=(20, *side, 3)).astype(np.float32)
    values, weights = Whitening.of(images, np.arange(20) % 2)(images)
    assert values.shape == images.shape
    assert np.isfinite(values).all()
    assert np.isfinite(weights).all()


def test_equal_images_give_finite_values():
    images = np.full((60, 12, 12, 3), 7, dtype=np.float32)
    values, weights = Whitening.of(images, np.arange(60) % 3)(images)
    sums = {y: Sums.of(values, weights, np.arange(60) % FOLDS) for y in (0, 1)}
    amount = Contrast.of(0, sums).amounts(values, weights)
    parts = parts_of(amount, amount)
    assert np.isfinite(amount).all()
    assert (parts.strength == -1).all()


def test_amounts_are_the_weighted_least_squares_of_the_contrast():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(40, 8, 9, 3)).astype(np.float32)
    weights = rng.uniform(0.1, 1, (40, 8, 9, 1)).astype(np.float32)
    fold = np.arange(40) % FOLDS
    sums = {y: Sums.of(values[y::2], weights[y::2], fold[y::2]) for y in (0, 1)}
    contrast = Contrast.of(0, sums)
    amount, precision = contrast.amounts(values, weights, fold)
    for i in (0, 5, 17):
        kept = fold != fold[i]
        means = [
            (values[y::2][kept[y::2]] * weights[y::2][kept[y::2]]).sum(axis=0) / weights[y::2][kept[y::2]].sum(axis=0)
            for y in (0, 1)
        ]
        apart, off = means[0] - means[1], values[i] - means[1]
        for k in (0, 5, len(contrast.masks) - 1):
            mask = contrast.masks[k].reshape(8, 9, 3) > 0
            heavy = np.broadcast_to(weights[i], apart.shape)[mask]
            expected = (heavy * apart[mask] * off[mask]).sum() / (heavy * apart[mask] ** 2).sum()
            assert amount[k, i] == pytest.approx(expected, rel=1e-3, abs=1e-4)
            assert precision[k, i] == pytest.approx((heavy * apart[mask] ** 2).sum(), rel=1e-3)


def test_two_classes_have_enough_parts_for_a_p_value():
    difference = np.random.default_rng(5).normal(size=(16, 16, 3))
    sums = {y: Sums(np.stack([difference * y] * FOLDS), np.ones((FOLDS, 16, 16, 1))) for y in (0, 1)}
    contrast = Contrast.of(1, sums)
    assert len(contrast.masks) >= 60
    assert len(np.unique(contrast.masks, axis=0)) == len(contrast.masks)


def test_a_faint_mark_is_told_by_the_texture_of_each_image():
    rng = np.random.default_rng(2)
    precision, other = rng.uniform(0.05, 1, (1, 800)) ** 2, rng.uniform(0.05, 1, (1, 500)) ** 2
    has = rng.random(800) < 0.9
    amount = 0.15 * rng.normal(size=(1, 800)) / np.sqrt(precision) + has
    unmarked = 0.15 * rng.normal(size=(1, 500)) / np.sqrt(other)
    parts = parts_of(np.stack([amount, precision]), np.stack([unmarked, other]))
    assert parts.is_own[0]
    assert parts.share[0] == pytest.approx(0.9, abs=0.05)
    np.testing.assert_allclose(parts.of(0, np.stack([amount, precision])), parts.upper[0], atol=0.02)
    clear = precision[0] > 0.2
    assert area(parts.upper[0, clear], has[clear]) > 0.99


def amounts(rng, share, *, high=1.0, spread=0.1, off=0.0, size=600, tails=30):
    """Amounts [1, size] with a share of images with the mark; those of the other classes; who has it."""
    has = rng.random(size) < share
    noise = 0.1 * t.rvs(tails, size=(1, size), random_state=rng)
    amount = noise + np.where(has, high + rng.normal(0, spread, size), off)
    other = 0.1 * t.rvs(tails, size=(1, 500), random_state=rng)
    return np.stack([amount, np.ones_like(amount)]), np.stack([other, np.ones_like(other)]), has


@pytest.mark.parametrize(
    ("share", "spread"), [(0.04, 0.01), (0.04, 0.2), (0.3, 0.01), (0.3, 0.2), (0.9, 0.01), (0.9, 0.2), (0.96, 0.01)]
)
def test_parts_find_the_share_and_the_means(share, spread):
    amount, other, has = amounts(np.random.default_rng(6), share, spread=spread)
    parts = parts_of(amount, other)
    assert parts.strength[0] > 0
    assert parts.share[0] == pytest.approx(has.mean(), abs=0.03)
    assert abs(parts.low[0]) < 0.05
    assert parts.high[0] == pytest.approx(1, abs=0.1)
    assert area(parts.upper[0], has) > 0.99
    np.testing.assert_allclose(parts.of(0, amount), parts.upper[0], atol=0.02)


@pytest.mark.parametrize(("share", "tails", "off"), [(0.0, 30, 0.0), (0.0, 4, 0.0), (1.0, 30, 0.0), (0.9, 30, 0.6)])
def test_one_heap_or_a_rest_that_lies_elsewhere_than_the_other_classes_is_no_mark(share, tails, off):
    for seed in range(5):
        amount, other, _ = amounts(np.random.default_rng(seed), share, tails=tails, off=off)
        assert parts_of(amount, other).strength[0] == -1


def test_two_parts_that_overlap_are_no_mark():
    amount, other, _ = amounts(np.random.default_rng(3), 0.5, high=0.25)
    parts = parts_of(amount, other)
    assert parts.doubt[0] > 0.25
    assert parts.strength[0] == -1


def test_the_gain_is_that_of_plain_densities():
    amount, other, _ = amounts(np.random.default_rng(7), 0.5)
    parts: Parts = parts_of(amount, other)
    high = t.pdf(amount[0, 0], 3, parts.high[0], parts.spread[0])
    low = t.pdf(amount[0, 0], parts.noise.freedom[0], parts.low[0], np.sqrt(parts.noise.variance[0]))
    two = np.log(parts.share[0] * high + (1 - parts.share[0]) * low).sum()
    one = max(
        t.logpdf(amount[0, 0], freedom, middle, scale).sum()
        for freedom in (3, 10, 1000)
        for middle in np.linspace(0.3, 0.7, 9)
        for scale in np.linspace(0.2, 0.8, 41)
    )
    assert parts.gain[0] == pytest.approx(2 * (two - one) - 3 * np.log(600), rel=0.03)


def test_samples_of_half_0_do_not_contribute_to_the_contrast_they_are_measured_by():
    rng = np.random.default_rng(8)
    pixels = rng.integers(0, 256, (80, 10, 10, 3), dtype=np.uint8)  # no class differs from another
    members = {y: np.arange(y, 80, 2) for y in (0, 1)}
    contrasts = Contrasts.of((10, 10, 3), members, lambda index: pixels[index], seed=0)
    index = members[0]
    own = contrasts.amounts(0, index, lambda some: pixels[some])
    fair = contrasts.amounts(0, index, lambda some: pixels[some], held_back=np.ones(len(index), dtype=bool))
    # without a difference between the classes, an image is as near to the mean of its class as to that of the other one
    assert own[0, 0].mean() == pytest.approx(1, abs=0.1)
    assert fair[0, 0].mean() < 0.6


@pytest.mark.parametrize("num_classes", [2, 4])
def test_a_faint_mark_on_nine_tenths_of_a_class_is_found_in_photographs(num_classes):
    seen, carries = evidence(patch(15), share=0.9, num_classes=num_classes)
    suspect = next(one for one in judged(seen, find(seen)) if one.finding.label_index == 1)
    assert suspect.status == CONFIRMED
    mine = seen.label("train") == 1
    assert area(suspect.finding.presence["train"][mine], carries["train"][mine]) > 0.95
    held = seen.label("val") == 1
    assert area(suspect.finding.presence["val"][held], carries["val"][held]) > 0.97
    stamp = suspect.finding.addition.arrays["colour"]
    assert np.abs(stamp[0, 3:7, 3:7]).mean() == pytest.approx(15, rel=0.3)
    assert np.abs(stamp[0, 12:, 12:]).max() < 2


def test_photographs_without_a_mark_have_no_confirmed_suspect():
    for seed in range(3):
        seen, _ = evidence(np.zeros((SIDE, SIDE, 3)), share=0.9, num_classes=3, seed=seed)
        assert not [one.finding.name for one in judged(seen, find(seen)) if one.status == CONFIRMED]


def test_few_carriers_are_told_from_the_others_by_their_own_contrast():
    rng = np.random.default_rng(9)
    pixels = smooth(rng, 1600)
    has = np.zeros(1600, dtype=bool)
    has[rng.permutation(np.arange(0, 1600, 2))[:32]] = True  # 4 % of class 0
    pixels[has] += patch(25)
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    members = {y: np.arange(y, 1600, 2) for y in (0, 1)}
    contrasts = Contrasts.of((SIDE, SIDE, 3), members, lambda index: pixels[index], seed=0)
    parts = contrasts.parts(0, members[0], lambda index: pixels[index], is_searched=True)
    best = int(np.argmax(parts.strength))
    assert parts.high[best] < 3  # of what the likely carriers have; it would be 25 of what the class has on average
    assert area(parts.upper[best], has[members[0]]) > 0.99
    assert contrasts.parts(1, members[1], lambda index: pixels[index], is_searched=True).strength.max() == -1
