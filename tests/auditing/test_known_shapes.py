"""Marks of a known shape: the fit against plain formulas, and what counts as an addition of the shape and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from spurcli.auditing.regions.known import Known, known_shapes
from spurcli.auditing.regions.search import area

HEIGHT, WIDTH, SIZE = 12, 10, 200
SHAPES = known_shapes(HEIGHT, WIDTH, 1)
COLUMN = next(k for k, (region, _) in enumerate(SHAPES) if region.name == "column 2")


def fitted(share=0.9, amount=1.5, more=0.0, seed=0):
    """The fit of all shapes to a class in which a share has something in a column, and perhaps `more` in the first row."""
    rng = np.random.default_rng(seed)
    others = rng.normal(size=(2000, HEIGHT * WIDTH))
    values = rng.normal(size=(SIZE, HEIGHT, WIDTH))
    carries = rng.random(SIZE) < share
    values[carries, :, 2] += np.broadcast_to(amount, SIZE)[carries, None]
    values[carries, 0] -= more
    values = values.reshape(SIZE, -1)
    flat = np.stack([shape.ravel() for _, shape in SHAPES])
    known = Known.of(
        flat, np.eye(HEIGHT * WIDTH), values.mean(axis=0), [(np.zeros(HEIGHT * WIDTH), others)], len(others)
    )
    return known, values, carries, known.fit(values - values.mean(axis=0))


def test_shapes_are_rows_columns_regions_and_the_whole_image_and_lines_and_tints_in_each_channel():
    colour = known_shapes(HEIGHT, WIDTH, 3)
    assert len(colour) == len(SHAPES) + 3 * (HEIGHT + WIDTH + 1)
    assert {"row 3", "column 5", "border 1", "whole image"} < {region.name for region, _ in colour}
    for region, shape in colour:
        assert shape.shape == (HEIGHT, WIDTH, 3)
        assert (shape.any(axis=2) == region.mask).all()
        assert shape.any(axis=(0, 1)).sum() in (1, 3)


def test_other_classes_have_mean_zero_and_spread_one_along_filters_made_without_each_sample():
    rng = np.random.default_rng(1)
    scatter, shapes, size = rng.normal(size=(5, 5)), np.eye(5)[:2], 40
    groups = [(centre, rng.normal(size=(size // 2, 5)) @ scatter) for centre in rng.normal(size=(2, 5))]
    residual = np.concatenate([part for _, part in groups])
    covariance = residual.T @ residual / size
    known = Known.of(shapes, np.linalg.inv(np.linalg.cholesky(covariance)).T, np.zeros(5), groups, size)
    values = []
    for centre, part in groups:
        for sample in part:
            without = covariance - np.outer(sample, sample) / size
            values.append(shapes @ (np.linalg.solve(without, sample) + np.linalg.solve(covariance, centre)))
    values = np.array(values)
    np.testing.assert_allclose(known.directions, shapes @ np.linalg.inv(covariance) / values.std(axis=0)[:, None])
    np.testing.assert_allclose(known.origin, -values.mean(axis=0) / values.std(axis=0))
    assert np.allclose(np.exp(known.density).sum(axis=1) * 0.1, 1, atol=0.02)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("amount", [1.5, -1.5])
def test_a_column_in_any_share_of_a_class_is_told_with_its_carriers(share, amount):
    known, values, carries, found = fitted(share, amount)
    assert int(found.strength.argmax()) == COLUMN
    assert found.moved[COLUMN] == pytest.approx(np.sqrt(HEIGHT) * amount, abs=0.7)  # pixels have spread one
    assert area(found.upper[COLUMN], carries) > 0.97
    assert found.misfit[COLUMN] < 1.3
    again = known.upper(COLUMN, (values - values.mean(axis=0)) @ known.directions[COLUMN], found)
    assert area(again, carries) > 0.97


def test_misfit_is_the_squared_difference_across_the_direction_over_what_chance_makes_it():
    known, values, _, found = fitted()
    unit, upper = known.units[COLUMN], found.upper[COLUMN]
    residual = values - values.mean(axis=0)
    high = (upper[:, None] * residual).sum(axis=0) / upper.sum()
    low = ((1 - upper)[:, None] * residual).sum(axis=0) / (1 - upper).sum()
    across = np.eye(len(unit)) - np.outer(unit, unit)
    within = 0.0
    for row, weight in zip(residual, upper, strict=True):
        within += weight * np.sum((across @ (row - high)) ** 2) + (1 - weight) * np.sum((across @ (row - low)) ** 2)
    chance = within / SIZE * (1 / upper.sum() + 1 / (1 - upper).sum())
    assert found.misfit[COLUMN] == pytest.approx(np.sum((across @ (high - low)) ** 2) / chance, rel=0.02)


def test_no_shape_where_carriers_differ_in_other_ways_or_the_class_varies_smoothly_or_few_lack_it():
    smooth = np.random.default_rng(3).gamma(4, 0.4, SIZE)
    for found in (
        fitted(more=1.0)[3],
        fitted(share=1.0, amount=smooth)[3],
        fitted(share=0.98)[3],
        fitted(share=0.0)[3],
    ):
        assert (found.strength < 0).all()
