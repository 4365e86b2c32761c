"""The search for properties of images by changing them, the images whose property does not go with the rest, and groups at equal difficulty."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import MadeUp

from spurcli.auditing import pixels
from spurcli.auditing.candidates import of_numbers, search
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.finders import image_properties
from spurcli.auditing.groups import push_of_groups, push_within
from spurcli.auditing.ranking import ranked
from spurcli.auditing.set_apart import HIGH
from spurcli.auditing.statistics import effect_of, judged
from spurcli.auditing.suspect import CONFIRMED
from spurcli.datasets import ArrayImages, Dataset, Split
from spurcli.evaluation.reliance import margin

NAMES = ("a", "b", "c")


def drawn(seed, shares, *, push=0.1, natural=0, by=24, num_val=600):
    """Images of three classes: a background and ink of varying amount. A share of each class is brighter by `by` grey levels.

    `natural` makes class b brighter by an amount that varies smoothly. The model knows the class by the upper row, and leans on brightness by `push` for
    each grey level.
    """
    rng = np.random.default_rng(seed)
    labels, inputs, has = {}, {}, {}
    for split, size in (("train", 900), ("val", num_val)):
        label = np.arange(size) % 3
        images = 60 + rng.normal(0, 6, (size, 12, 12, 1))
        ink = rng.integers(20, 90, size)[:, None] * (rng.random((size, 144)) < 0.3)
        images += ink.reshape(images.shape)
        images[np.arange(size), 0, label] += 40
        images += natural * (label == 1)[:, None, None, None] * rng.gamma(4, 0.25, size)[:, None, None, None]
        has[split] = rng.random(size) < np.array(shares)[label]
        images += by * has[split][:, None, None, None]
        labels[split], inputs[split] = label, ArrayImages(np.clip(np.rint(images), 0, 255).astype(np.uint8))

    def answer(images):
        values = images.astype(np.float32)
        logits = (values[:, 0, :3, 0] - values[:, 0, :3, 0].mean(axis=1, keepdims=True)) / 15
        logits[:, 1] += push * (values.mean(axis=(1, 2, 3)) - 80)
        return logits

    logits = {split: answer(part.read(np.arange(len(part)))) for split, part in inputs.items()}
    splits = {split: Split(labels[split], inputs[split]) for split in labels}
    dataset = Dataset("made", NAMES, splits)
    return Evidence(labels, NAMES, MadeUp(logits, None, answer), held_out="val", dataset=dataset), has


def by_groups(evidence):
    """The classes and properties that a comparison of held-out carriers with the others finds."""
    candidates = []
    for name in ("brightness", "contrast", "border brightness"):
        values = {
            split: pixels.measured(evidence.inputs(split).read(np.arange(len(evidence.label(split)))))[name].astype(
                np.float64
            )
            for split in evidence.splits
        }
        candidates += of_numbers(name, values, "train")
    return {(hit.candidate.column, hit.label_index) for hit in search(evidence, candidates, 3)}


def test_brightness_of_nearly_a_whole_class_is_found_by_changing_images_where_groups_find_nothing():
    evidence, has = drawn(1, (0.02, 0.97, 0.02))
    assert ("brightness", 1) not in by_groups(evidence)
    first = ranked(judged(evidence, image_properties.find(evidence)))[0]
    assert (first.finding.shown["column"], first.finding.shown["value"]) == ("brightness", HIGH)
    assert (first.label, first.status) == ("b", CONFIRMED)
    assert (first.finding.presence["train"] == has["train"]).mean() > 0.99


def test_an_effect_that_is_undefined_has_a_lower_end():
    evidence, _ = drawn(2, (0.02, 0.97, 0.02))
    first = ranked(judged(evidence, image_properties.find(evidence)))[0]
    assert first.finding.shown["column"] == "brightness"
    metric = first.reliance["feature_effect"]
    assert metric["value"] is None
    assert 0.1 < metric["at_least"] == effect_of(first.reliance) < 1
    assert first.expected_harm > 0


@pytest.mark.parametrize(("shares", "push"), [((0.3, 0.3, 0.3), 0.1), ((0.05, 0.9, 0.05), 0.0)])
def test_brightness_that_is_not_linked_or_not_used_is_not_confirmed(shares, push):
    for seed in range(3):
        evidence, _ = drawn(seed, shares, push=push)
        suspects = judged(evidence, image_properties.find(evidence))
        assert not [each.finding.name for each in suspects if each.status == CONFIRMED]


def test_brightness_that_varies_smoothly_in_the_class_may_be_part_of_it():
    evidence, _ = drawn(2, (0, 0, 0), natural=30)
    suspects = judged(evidence, image_properties.find(evidence))
    mine = [each for each in suspects if each.finding.shown["column"] == "brightness" and each.label == "b"]
    assert mine
    assert all("varies smoothly" in each.reason for each in mine)


def groups(rng, num_classes, shares, *, easier=0.0, scale=1.0, push=0.0):
    """Logits [n, classes] with a column of class 0: its carriers are easier or have smaller logits, or the model leans on it."""
    label = np.repeat(np.arange(num_classes), 60)
    has = rng.random(len(label)) < np.where(label == 0, *shares)
    logits = rng.normal(size=(len(label), num_classes))
    logits[np.arange(len(label)), label] += rng.normal(3, 1.2, len(label)) + easier * has
    logits[has] *= scale
    logits[:, 0] += push * has
    return logits, label, has


@pytest.mark.parametrize("num_classes", [3, 10])
@pytest.mark.parametrize("what", [{}, {"easier": 2.0}, {"easier": -1.0}, {"scale": 0.6}, {"scale": 1.5}])
def test_a_column_of_easy_or_hard_samples_is_rarely_called_a_push(num_classes, what):
    rng = np.random.default_rng(7)
    draws = [groups(rng, num_classes, (0.8, 0.08), **what) for _ in range(200)]
    found = [push_of_groups(z, label, has, np.ones(len(label), bool), 0).z for z, label, has in draws]
    assert sum(z is not None and z > 1.645 for z in found) <= 18


def test_a_push_is_seen_more_often_at_equal_difficulty():
    rng = np.random.default_rng(8)
    new = old = 0
    for _ in range(100):
        logits, label, has = groups(rng, 3, (0.8, 0.12), push=1.2)
        everyone = np.ones(len(label), dtype=bool)
        found = push_of_groups(logits, label, has, everyone, 0)
        sides = [push_within(margin(logits, [0]), label, has, side) for side in (label == 0, label != 0)]
        new += (found.z or 0) > 1.645
        old += min(z or 0 for z in sides) > 1.645
    assert new > old + 20


def test_grey_images_in_a_class_of_colours_are_confirmed_by_taking_the_colours_out():
    rng = np.random.default_rng(3)
    labels, inputs, has = {}, {}, {}
    for split, size in (("train", 600), ("val", 600)):
        label = np.arange(size) % 3
        images = rng.integers(30, 220, (size, 12, 12, 3)).astype(np.float64)
        images[np.arange(size), 0, label] = 255
        has[split] = rng.random(size) < np.array((0.04, 0.5, 0.04))[label]
        images[has[split]] = images[has[split]].mean(axis=3, keepdims=True)
        labels[split], inputs[split] = label, ArrayImages(np.rint(images).astype(np.uint8))

    def answer(images):
        values = images.astype(np.float32)
        logits = (values[:, 0, :3].mean(axis=2) - values[:, 0, :3].mean(axis=(1, 2))[:, None]) / 15
        logits[:, 1] += 3 * ((values.max(axis=3) - values.min(axis=3)).mean(axis=(1, 2)) < 5)
        return logits

    logits = {split: answer(part.read(np.arange(len(part)))) for split, part in inputs.items()}
    dataset = Dataset("made", NAMES, {split: Split(labels[split], inputs[split]) for split in labels})
    evidence = Evidence(labels, NAMES, MadeUp(logits, None, answer), held_out="val", dataset=dataset)
    first = ranked(judged(evidence, image_properties.find(evidence)))[0]
    assert (first.finding.name, first.label, first.status) == ("saturation 0 (grey)", "b", CONFIRMED)
    assert np.array_equal(first.finding.presence["val"] > 0.5, has["val"])


def test_few_held_out_images_are_filled_up_with_training_images():
    evidence, _ = drawn(1, (0.02, 0.5, 0.02), num_val=36)
    assert len(evidence.label("val")) == 36
    hits = image_properties.find(evidence)
    assert ("brightness", 1) in {(each.shown["column"], each.label_index) for each in hits}
