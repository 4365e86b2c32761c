"""The built-in set: reproducible draws, disjoint digits, one scale of clutter in every split."""

from __future__ import annotations

import gzip
import importlib.machinery

import numpy as np
import pytest

from spurcli import recipes
from spurcli.datasets import demo
from spurcli.datasets.demo import load

SIZES = {"num_train": 300, "num_val": 200, "num_test": 300}


def draw(**options):
    return load(data_root=None, **{**SIZES, **options})


@pytest.fixture
def bases(monkeypatch):
    """What each split is composed from, in the order train, val, test: base images and their labels."""
    seen = []
    compose = demo._compose
    monkeypatch.setattr(demo, "_compose", lambda *args: (seen.append(args[:2]), compose(*args))[1])
    return seen


def intensities(split):
    settings = recipes.read_recipe("demo")["preprocessing"]
    return (split.inputs.pixels[..., 0] / 255 - settings["mean"][0]) / settings["std"][0]


def residuals(split, base, label):
    """Distance (root mean square) of each sample to the nearest shifted base digit of its class: grows with clutter."""
    padded = np.pad(base, ((0, 0), (1, 1), (1, 1)))
    shifted = np.stack([padded[:, y : y + 16, x : x + 16] for y in range(3) for x in range(3)], axis=1)
    found = []
    for image, own in zip(intensities(split), split.label, strict=True):
        found.append(np.sqrt(((shifted[label == own] - image) ** 2).mean(axis=(2, 3))).min())
    return np.array(found)


def test_a_draw_is_reproducible_and_another_is_another():
    first, again, other = draw(draw=3), draw(draw=3), draw(draw=4)
    for name in ("train", "val", "test"):
        np.testing.assert_array_equal(first.splits[name].inputs.pixels, again.splits[name].inputs.pixels)
        np.testing.assert_array_equal(first.splits[name].label, again.splits[name].label)
        assert (first.splits[name].inputs.pixels != other.splits[name].inputs.pixels).mean() > 0.3
        assert first.splits[name].fingerprint != other.splits[name].fingerprint


def test_the_size_of_one_split_does_not_change_another():
    first, other = draw(), draw(num_train=50)
    np.testing.assert_array_equal(first.splits["test"].inputs.pixels, other.splits["test"].inputs.pixels)


def test_the_digits_are_those_of_scikit_learn(monkeypatch, tmp_path):
    """Bit for bit, whether read from its file or, where that is not found, through its loader."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    table = demo._digits_file()
    assert table is not None
    np.testing.assert_array_equal(table, np.column_stack([digits.data, digits.target]))
    assert table.dtype == digits.data.dtype
    base, label = demo._digits()
    np.testing.assert_array_equal(base[:, ::2, ::2], digits.images / 16.0)
    np.testing.assert_array_equal(label, digits.target)
    for array in (base, label):  # shared by all that draw from them
        assert not array.flags.writeable
    monkeypatch.setattr(demo, "_digits_file", lambda: None)
    for mine, theirs in zip((base, label), demo._digits.__wrapped__(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype


@pytest.mark.parametrize(
    "content",
    [None, b"", b"not gzip", gzip.compress(b"1,2\n3,4\n"), gzip.compress(b"a,b\n")],
    ids=["absent", "empty", "not gzip", "other numbers", "words"],  # gzip's bytes hold the time: processes would differ
)
def test_a_digits_file_that_is_absent_or_another_is_not_taken(monkeypatch, tmp_path, content):
    folder = tmp_path / "datasets" / "data"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "digits.csv.gz").write_bytes(content)
    spec = importlib.machinery.ModuleSpec("sklearn", None, is_package=True)
    spec.submodule_search_locations.append(str(tmp_path))
    for found in (spec, None):
        monkeypatch.setattr("importlib.util.find_spec", lambda _name, found=found: found)
        assert demo._digits_file() is None


def test_the_splits_come_from_disjoint_digits(bases):
    from sklearn.datasets import load_digits

    draw()
    train, val, test = ({image.tobytes() for image in base} for base, _ in bases)
    assert not (train & val) | (train & test) | (val & test)
    assert [len(label) for _, label in bases] == [1258, 180, 359]
    assert sum(len(label) for _, label in bases) == len(load_digits().target)
    for base, _ in bases:
        np.testing.assert_array_equal(base[:, ::2, ::2], base[:, 1::2, 1::2])  # each 8×8 pixel became 2×2
        assert base.min() == 0
        assert base.max() == 1


def test_without_clutter_a_sample_is_a_digit_with_noise(bases):
    dataset = draw(clutter=0)
    for (base, label), split in zip(bases, dataset.splits.values(), strict=True):
        error = residuals(split, base, label)
        assert 0.09 < np.median(error) < 0.11
        assert error.max() < 0.13


def test_clutter_has_one_distribution_in_all_splits(bases):
    dataset = draw()
    train, _, test = (
        residuals(split, base, label) for (base, label), split in zip(bases, dataset.splits.values(), strict=True)
    )
    grid = np.linspace(0.08, 0.4, 60)
    distance = np.abs([(train < value).mean() - (test < value).mean() for value in grid]).max()
    assert distance < 0.15  # Kolmogorov-Smirnov, 1 % level for 300 against 300 is 0.133
    for errors in (train, test):  # heavy-tailed: most samples easy, some far out
        assert np.median(errors) < 0.125
        assert np.quantile(errors, 0.95) > 0.19


def test_what_is_asked_for():
    dataset = draw()
    assert dataset.class_names == tuple("0123456789")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 300, "val": 200, "test": 300}
    assert dataset.splits["train"].inputs.shape == (16, 16, 1)
    assert set(dataset.splits["test"].label.tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("num_train=0", "num_train = 0 is below 1"),
        ("num_test=-3", "num_test = -3 is below 1"),
        ("clutter=1.5", "clutter = 1.5 is not within"),
        ("draw=one", "draw = 'one' is of the wrong kind"),
        ("num_trian=5", "did you mean num_train"),
    ],
)
def test_impossible_options_are_usage_errors(spurcli, flag, words):
    result = spurcli("data", "check", "demo", "--set", f"dataset.options.{flag}")
    assert result.code == 2
    assert words in result.err
