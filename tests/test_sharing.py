"""What stage calls share inside `shared()`, and that nothing is shared outside."""

from __future__ import annotations

import numpy as np

from spurcli.datasets import load_dataset
from spurcli.session import configure
from spurcli.sharing import once, shared


def test_nothing_is_shared_by_default(tmp_path):
    assert load_dataset("demo", {"num_train": 20}, data_root=tmp_path) is not load_dataset(
        "demo", {"num_train": 20}, data_root=tmp_path
    )


def test_one_data_set_serves_several_stages_and_options_tell_others_apart(tmp_path):
    with shared():
        first = load_dataset("demo", {"num_train": 20}, data_root=tmp_path)
        with shared():
            assert load_dataset("demo", {"num_train": 20}, data_root=tmp_path) is first
        assert load_dataset("demo", {"num_train": 20, "draw": 3}, data_root=tmp_path) is not first
        assert load_dataset("demo", {"num_train": 20}, data_root=tmp_path / "other") is not first


def test_an_injection_that_was_made_again_is_read_again(spurcli, tmp_path):
    """Its content counts, not its name: the same path holds another injection for each seed of a study."""
    words = ("inject", "--dataset", "demo", "--set", "dataset.options.num_train=40", "--class", "3")
    with shared():
        carriers = []
        for count in ("1", "2"):
            assert spurcli(*words, "--count", count, "--feature", "patch").code == 0
            found = load_dataset("demo", {"num_train": 40}, data_root=tmp_path, injection=tmp_path / "inject.json")
            carriers.append(int((found.splits["train"].attribute == 1).sum()))
    assert carriers == [1, 2]


def test_pixels_that_are_ready_are_shared(tmp_path):
    from spurcli.runtime.context import RunContext

    settings = configure("demo", overrides={"dataset.options.num_train": 20}, device="cpu", data_root=tmp_path)
    with shared():
        one, two = (RunContext.open(settings) for _ in range(2))
        feed = one.feed(one.dataset.splits["train"].inputs)
        assert two.feed(two.dataset.splits["train"].inputs) is feed
        assert one.feed(one.dataset.splits["val"].inputs) is not feed
    np.testing.assert_array_equal(feed.pixels.numpy().shape, (20, 1, 16, 16))


def test_only_what_was_used_last_is_kept():
    made = []
    with shared():
        for key in (*range(8), 0, 8, 0, 1):
            once(key, lambda key=key: made.append(key))
        assert made == [*range(8), 8, 1]  # 0 was used again, so 1 went for 8
        big = [once(("big", number), object, lambda _: 3 << 30) for number in range(2)]
        assert once(("big", 1), object) is big[1]
        assert once(("big", 0), object) is not big[0]
