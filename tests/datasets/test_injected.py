"""A data set with a feature in it: who carries it, twins, and what stays the same whatever the batches."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.injection import Injection
from spurcli.datasets import ArrayImages, Dataset, Split
from spurcli.datasets.injected import apply_injection
from spurcli.errors import InputError
from spurcli.features.patch import patch

NUM = 40


@dataclass(frozen=True)
class OnDemand:
    """Images that are decoded when read, as image files are."""

    pixels: np.ndarray
    resident = False

    @property
    def shape(self):
        return self.pixels.shape[1:]

    def __len__(self):
        return len(self.pixels)

    def read(self, indices):
        return self.pixels[indices]


def dataset(kind=ArrayImages):
    rng = np.random.default_rng(0)
    splits = {
        name: Split(
            np.arange(size, dtype=np.int64) % 4,
            kind(rng.integers(60, 180, (size, 10, 10, 3), dtype=np.uint8)),
            sample_id=[f"{name}{row}" for row in range(size)],
        )
        for name, size in (("train", NUM), ("val", 12), ("test", 20))
    }
    return Dataset("own", ("a", "b", "c", "d"), splits)


def injection(**changes):
    given = {
        "feature": "patch",
        "parameters": {"noise": 20.0, "size": 4, "value": 200},
        "seed": 5,
        "dataset": "own",
        "dataset_options": {},
        "fingerprint": dataset().splits["train"].fingerprint,
        "feature_of": 1,
        "twin_class": 2,
        "carriers": np.array([1, 9, 13, 37]),
        "provenance": {},
    }
    return Injection(**{**given, **changes})


EXACT = {"parameters": {"size": 4, "value": 255}}


@pytest.mark.parametrize("kind", [ArrayImages, OnDemand])
def test_the_carriers_and_only_they_carry_it(kind):
    base, injected = dataset(kind), apply_injection(dataset(kind), injection(**EXACT))
    before, after = (each.splits["train"].inputs.read(np.arange(NUM)) for each in (base, injected))
    for row in range(NUM):
        expected = patch(before[row], None, size=4, value=255) if row in (1, 9, 13, 37) else before[row]
        np.testing.assert_array_equal(after[row], expected)
    assert np.flatnonzero(injected.splits["train"].attribute).tolist() == [1, 9, 13, 37]
    assert injected.attribute_names == ("no patch", "patch")
    assert injected.group("train")[[0, 1, 5]].tolist() == [0, 3, 2]


@pytest.mark.parametrize("kind", [ArrayImages, OnDemand])
@pytest.mark.parametrize("name", ["val", "test"])
def test_evaluation_splits_stay_clean_and_have_a_twin_that_carries_it_everywhere(kind, name):
    base, injected = dataset(kind), apply_injection(dataset(kind), injection(**EXACT))
    everything = np.arange(len(base.splits[name]))
    clean = base.splits[name].inputs.read(everything)
    np.testing.assert_array_equal(injected.splits[name].inputs.read(everything), clean)
    assert not injected.splits[name].attribute.any()
    twin = injected.twins[name]
    np.testing.assert_array_equal(twin.index, everything)
    for row, pixels in enumerate(twin.inputs.read(everything)):
        np.testing.assert_array_equal(pixels, patch(clean[row], None, size=4, value=255))
    assert set(injected.twins) == {"val", "test"}


def test_twins_are_made_when_asked_for_and_once(monkeypatch):
    """Training reads none of them."""
    calls = []

    @functools.wraps(patch)
    def feature(pixels, rng, **parameters):
        calls.append(1)
        return patch(pixels, rng, **parameters)

    monkeypatch.setattr("spurcli.features.patch.patch", feature)
    injected = apply_injection(dataset(), injection(**EXACT))
    assert len(calls) == 4
    assert injected.twins["val"].inputs is injected.twins["val"].inputs
    assert len(calls) == 4 + 12


def test_the_data_underneath_is_not_touched():
    base = dataset()
    before = base.splits["train"].inputs.pixels.copy()
    apply_injection(base, injection())
    np.testing.assert_array_equal(base.splits["train"].inputs.pixels, before)
    assert base.splits["train"].attribute is None


def test_labels_ids_and_fingerprints_are_those_of_the_base():
    base, injected = dataset(), apply_injection(dataset(), injection())
    for name in base.splits:
        assert injected.splits[name].fingerprint == base.splits[name].fingerprint
    assert injected.injection_sha256 == injection().sha256
    assert injected.injection["carriers"] == {"train": [1, 9, 13, 37]}


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(NUM)), st.integers(1, NUM), st.sampled_from([ArrayImages, OnDemand]))
def test_own_noise_does_not_depend_on_order_batches_or_where_the_images_lie(order, size, kind):
    expected = apply_injection(dataset(), injection()).splits["train"].inputs.read(np.arange(NUM))
    inputs = apply_injection(dataset(kind), injection()).splits["train"].inputs
    found = np.empty_like(expected)
    for start in range(0, NUM, size):
        chosen = np.array(order[start : start + size])
        found[chosen] = inputs.read(chosen)
    np.testing.assert_array_equal(found, expected)


def test_own_noise_is_the_samples_own_and_the_seeds():
    def noise(name="train", **changes):
        made = apply_injection(dataset(), injection(**{"carriers": np.arange(NUM), **changes}))
        inputs = made.splits["train"].inputs if name == "train" else made.twins[name].inputs
        return inputs.read(np.arange(12))[:, :4, :4].astype(float)

    one = noise()
    assert len({image.tobytes() for image in one}) == 12
    np.testing.assert_array_equal(one, noise())
    for other in (noise(seed=6), noise("val"), noise("test")):
        assert (one != other).mean() > 0.8
    assert 15 < (one[one < 255] - 200).std() < 22


def test_carriers_are_chosen_independently_of_each_others_noise():
    few = apply_injection(dataset(), injection(carriers=np.array([9]))).splits["train"].inputs.read(np.array([9]))
    many = apply_injection(dataset(), injection(carriers=np.arange(NUM))).splits["train"].inputs.read(np.array([9]))
    np.testing.assert_array_equal(few, many)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fingerprint": Fingerprint(NUM + 1)}, "not about the same samples: 41 samples against 40"),
        ({"fingerprint": Fingerprint.of(np.zeros(NUM, dtype=np.int64))}, "the labels differ"),
        (
            {"fingerprint": Fingerprint.of(np.arange(NUM) % 4, [str(row) for row in range(NUM)])},
            "the sample ids differ",
        ),
        ({"feature_of": 4}, "names class 4 of 4"),
        ({"twin_class": 7}, "names class 7 of 4"),
    ],
)
def test_an_injection_of_other_data_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        apply_injection(dataset(), injection(**changes))


OWN = """
import numpy as np
def grows(pixels, rng): return np.pad(pixels, ((1, 1), (1, 1), (0, 0)))
def floats(pixels, rng): return pixels * 1.0
def darkens(pixels, rng, *, by=10): return np.clip(pixels.astype(int) - by, 0, 255).astype(np.uint8)
"""


def test_a_feature_of_ones_own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    own = injection(feature=f"{tmp_path / 'own.py'}:darkens", parameters={"by": 7})
    injected = apply_injection(dataset(), own)
    assert injected.attribute_names == ("no darkens", "darkens")
    before = dataset().splits["train"].inputs.pixels[9].astype(int)
    np.testing.assert_array_equal(injected.splits["train"].inputs.read(np.array([9]))[0], before - 7)
    for name, words in (("grows", r"returned uint8 \[12, 12, 3\] for an image \[10, 10, 3\]"), ("floats", "float64")):
        bad = replace(own, feature=f"{tmp_path / 'own.py'}:{name}", parameters={})
        with pytest.raises(InputError, match=words):
            apply_injection(dataset(), bad)
