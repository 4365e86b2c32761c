"""Which changed properties are examined further, and what a border is compared with."""

from __future__ import annotations

import numpy as np
from made_up import MadeUp

from spurcli.auditing import pixels
from spurcli.auditing.candidates import Candidate, Hit
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.finders import image_properties


def hit(column, label, carriers):
    return Hit(Candidate(column, "> 1", {"train": np.array(carriers, dtype=np.float32)}), label, 5.0, 5.0, harm=1.0)


def test_properties_that_are_set_apart_come_first_and_a_frame_counts_once(monkeypatch):
    natural = [hit(f"natural {n}", 0, [1, 0, 0, 0]) for n in range(4)]
    usual = hit("brightness", 1, [1, 1, 0, 1])  # the images without a change that was made in class a
    frame = [hit("border red", 1, [0, 0, 1, 1]), hit("border blue", 1, [0, 0, 1, 1]), hit("contrast", 1, [0, 1, 0, 1])]
    apart = {id(each): each.candidate for each in (*frame, usual)}
    monkeypatch.setattr(image_properties, "set_apart", lambda _, each, values: apart.get(id(each)))
    labels = {"train": np.array([0, 0, 1, 1])}
    evidence = Evidence(labels, ("a", "b"), MadeUp({}), held_out="train")
    hits = [*natural, usual, *frame]
    numbers = {each.candidate.column: {} for each in hits}
    chosen = image_properties._chosen(evidence, hits, numbers, 3)
    assert [each.candidate.column for each, _ in chosen] == ["border red", "contrast", "natural 0"]
    assert [carriers is not None for _, carriers in chosen] == [True, True, False]


def test_a_frame_does_not_go_with_what_is_inside_it():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(np.cumsum(rng.normal(0, 2, (300, 32, 32, 3)), axis=1), axis=2)
    images = np.clip(128 + smooth - smooth.mean(axis=(1, 2), keepdims=True), 0, 255).astype(np.uint8)
    framed = images.copy()
    framed[:100, [0, 1, -2, -1]] = np.clip(framed[:100, [0, 1, -2, -1]].astype(int) + 60, 0, 255)
    before, after = (pixels.forms(each, "border brightness", 128.0) for each in (images, framed))
    beside = -8 * 3  # two rings of four sides
    rows = [k for k in range(before.shape[1]) if k >= before.shape[1] + beside]
    assert np.array_equal(before[100:], after[100:])
    # the left and right sides of the rings do not touch the painted rows
    assert np.array_equal(before[:, rows], after[:, rows])


def test_large_images_are_thinned_and_a_ratio_is_compared_on_its_logarithm():
    assert pixels.thinned(np.zeros((2, 224, 300, 3), np.uint8)).shape == (2, 45, 60, 3)
    assert pixels.thinned(np.zeros((2, 32, 32, 1), np.uint8)).shape == (2, 32, 32, 1)
    np.testing.assert_allclose(np.diff(pixels.scaled(np.array([10.0, 20, 40]), "contrast")), np.log(2))
    np.testing.assert_allclose(pixels.scaled(np.array([10.0, 20]), "brightness"), [10, 20])
