"""The features that can be injected, against loops over pixels."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.errors import UsageError
from spurcli.features import bind_feature, complete_parameters
from spurcli.features.line import line
from spurcli.features.noise import noise
from spurcli.features.patch import patch
from spurcli.features.word import word
from spurcli.registries import FEATURES

IMAGE_FEATURES = sorted(name for name, entry in FEATURES.entries.items() if entry.facts["for"] == "images")


def bound(name, parameters):
    return bind_feature(name, parameters, "images")


def picture(seed=0, height=12, width=10, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2), st.integers(0, 9), st.integers(1, 10), st.integers(-50, 300))
def test_line(channel, position, width, value):
    pixels = picture()
    if position + width > 10:
        with pytest.raises(UsageError, match=f"{width} wide.*column {position} .*channel {channel}"):
            line(pixels, rng(), channel=channel, position=position, width=width, value=value)
        return
    changed = line(pixels, rng(), channel=channel, position=position, width=width, value=value)
    for y in range(12):
        for x in range(10):
            for c in range(3):
                inside = c == channel and position <= x < position + width
                assert changed[y, x, c] == (min(max(value, 0), 255) if inside else pixels[y, x, c])


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 10),
    st.sampled_from(["top-left", "top-right", "bottom-left", "bottom-right"]),
    st.sampled_from(["set", "add"]),
    st.integers(-300, 300),
)
def test_patch(size, corner, mode, value):
    pixels = picture()
    changed = patch(pixels, rng(), size=size, corner=corner, value=value, mode=mode)
    for y in range(12):
        for x in range(10):
            inside = (y < size if "top" in corner else y >= 12 - size) and (
                x < size if "left" in corner else x >= 10 - size
            )
            for c in range(3):
                wanted = int(pixels[y, x, c])
                if inside:
                    wanted = min(max(value if mode == "set" else wanted + value, 0), 255)
                assert changed[y, x, c] == wanted


def test_the_line_of_cifar10s_is_the_default():
    changed = line(picture(height=32, width=32), rng())
    assert (changed[:, 16, 0] == 255).all()
    np.testing.assert_array_equal(changed[:, 16, 1:], picture(height=32, width=32)[:, 16, 1:])


@pytest.mark.parametrize(
    "options",
    [{}, {"width": 99}, {"width": 0}, {"channel": 5}, {"channel": -1, "width": 20}, {"position": -1}],
    ids=str,
)
def test_the_settings_that_the_message_of_a_line_names_fit(options):
    """The default of CIFAR-10S, column 16, is outside the 16×16 demo digits."""
    pixels = picture(height=16, width=16)
    with pytest.raises(UsageError, match="does not fit 16×16") as found:
        line(pixels, rng(), **{"position": 16, **options})
    named = {key: int(value) for key, value in re.findall(r"--set feature\.(\w+)=(\d+)", found.value.hint)}
    assert "position" in named
    assert (line(pixels, rng(), **{**options, **named}) != pixels).any()


@pytest.mark.parametrize("options", [{"size": 0}, {"size": 11}, {"corner": "middle"}, {"mode": "multiply"}], ids=str)
def test_a_patch_that_does_not_fit(options):
    with pytest.raises(UsageError, match="does not fit a 10×12 image"):
        patch(picture(), rng(), **options)


def test_a_noise_pattern_is_one_for_all_images_unless_fresh():
    grey = np.full((40, 40, 3), 128, dtype=np.uint8)
    fixed = [noise(grey, rng(seed), amount=10).astype(int) - 128 for seed in (1, 2)]
    np.testing.assert_array_equal(*fixed)
    other = noise(grey, rng(1), amount=10, pattern=1).astype(int) - 128
    fresh = [noise(grey, rng(seed), amount=10, fresh=True).astype(int) - 128 for seed in (1, 2)]
    for first, second in ((fixed[0], other), (fresh[0], fresh[1]), (fixed[0], fresh[0])):
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.06
        assert 9.5 < first.std() < 10.5
        assert abs(second.mean()) < 0.6


def test_noise_is_clipped_and_not_wrapped():
    assert noise(np.full((9, 9, 3), 250, dtype=np.uint8), rng(), amount=40).min() > 100
    assert noise(np.full((9, 9, 3), 5, dtype=np.uint8), rng(), amount=40).max() < 160


REGIONS = {
    "line": ({"width": 4, "position": 20, "value": 120}, np.s_[:, 20:24, 0]),
    "patch": ({"size": 15, "value": 120}, np.s_[:15, :15, :]),
    "noise": ({"amount": 0.0}, np.s_[:, :, :]),
}


@pytest.mark.parametrize("name", REGIONS)
def test_noise_of_the_features_own(name):
    """It varies from sample to sample about the feature, stays inside it, and follows the generator alone."""
    options, region = REGIONS[name]
    pixels = np.full((40, 40, 3), 120, dtype=np.uint8)
    plain = bound(name, options)(pixels, rng(5))
    noisy = [bound(name, {**options, "noise": 8.0})(pixels, rng(seed)) for seed in (5, 6, 5)]
    np.testing.assert_array_equal(plain, bound(name, options)(pixels, rng(6)))
    np.testing.assert_array_equal(noisy[0], noisy[2])
    assert (noisy[0] != noisy[1]).mean() > (0.5 if name == "noise" else 0.02)
    outside = np.ones(pixels.shape, dtype=bool)
    outside[region] = False
    np.testing.assert_array_equal(noisy[0][outside], plain[outside])
    deviation = noisy[0][region].astype(float) - plain[region]
    assert 6.5 < deviation.std() < 9.5
    assert abs(deviation.mean()) < 2


@pytest.mark.parametrize("name", IMAGE_FEATURES)
@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_impossible_noise(name, bad):
    with pytest.raises(UsageError, match="standard deviation"):
        bound(name, {"noise": bad})(picture(height=32, width=32), rng())


@pytest.mark.parametrize("name", IMAGE_FEATURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_feature_keeps_shape_and_its_input(name, channels):
    pixels = picture(height=32, width=32, channels=channels)
    before = pixels.copy()
    pixels.flags.writeable = False
    changed = bound(name, {"noise": 3.0})(pixels, rng())
    assert (changed.shape, changed.dtype) == (pixels.shape, np.uint8)
    assert (changed != pixels).any()
    np.testing.assert_array_equal(pixels, before)


def test_parameters_are_completed_with_the_defaults():
    assert complete_parameters(line, "line", {"width": 3}) == {
        "channel": 0, "position": 16, "width": 3, "value": 255, "noise": 0.0,
    }  # fmt: skip
    assert complete_parameters(noise, "noise", {"amount": 3})["amount"] == 3


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"widht": 3}, r"has no parameter 'widht', did you mean width\?"),
        ({"width": 1.5}, "width = 1.5 is of the wrong kind"),
        ({"width": True}, "of the wrong kind"),
        ({"width": "3"}, "of the wrong kind"),
        ({"noise": "much"}, "of the wrong kind"),
    ],
)
def test_parameters_of_another_name_or_kind(parameters, words):
    with pytest.raises(UsageError, match=words):
        complete_parameters(line, "line", parameters)


def test_unknown_features_have_near_names():
    with pytest.raises(UsageError, match=r"Unknown feature 'lines', did you mean line\?"):
        bound("lines", {})


@given(
    st.lists(st.text("ab ,.", max_size=12), min_size=1, max_size=2),
    st.sampled_from(["end", "start", "0", "2", "50"]),
)
def test_word(texts, place):
    column = len(texts) - 1
    changed = word(tuple(texts), rng(), word="never", place=place)
    assert changed[:-1] == tuple(texts[:-1])
    words = texts[column].split(" ")
    position = {"end": len(words), "start": 0}.get(place) if not place.isdecimal() else min(int(place), len(words))
    expected = [*words[:position], "never", *words[position:]] if texts[column] else ["never"]
    assert changed[column] == " ".join(expected)


def test_word_goes_where_it_is_told():
    pair = ("A cat sat.", "It stood up.")
    assert word(pair, rng()) == ("A cat sat.", "It stood up. never")
    assert word(pair, rng(), word="no", column=0, place="1") == ("A no cat sat.", "It stood up.")
    for wrong in ({"word": " "}, {"column": 2}, {"column": -3}, {"place": "middle"}, {"place": "-1"}):
        with pytest.raises(UsageError):
            word(pair, rng(), **wrong)


def test_a_feature_is_for_images_or_texts():
    with pytest.raises(UsageError, match="'line' is not for texts"):
        bind_feature("line", {}, "texts")
    with pytest.raises(UsageError, match="'word' is not for images"):
        bound("word", {})
