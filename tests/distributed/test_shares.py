"""Who takes which part of a batch or of a pass: everything once, and what one process alone would run."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.datasets import ArrayImages
from spurcli.errors import UsageError
from spurcli.runtime.distributed import ALONE, World, open_world
from spurcli.runtime.feed import ImageFeed
from spurcli.runtime.forward import forward_windows, window
from spurcli.runtime.launch import Launch, launched

CPU = torch.device("cpu")
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


def worlds(size: int) -> list[World]:
    return [World(rank, size) for rank in range(size)]


@given(size=st.integers(1, 9), units=st.integers(1, 40), unit=st.integers(1, 5), num_samples=st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_the_shares_of_a_batch_are_contiguous_and_whole(size, units, unit, num_samples):
    units = max(units, size)
    shares = [world.share(units * unit, unit) for world in worlds(size)]
    assert np.array_equal(np.concatenate([np.arange(units * unit)[share] for share in shares]), np.arange(units * unit))
    lengths = [(share.stop - share.start) / unit for share in shares]
    assert all(length == int(length) for length in lengths)
    assert 0 <= max(lengths) - min(lengths) <= 1
    last = np.arange(min(num_samples, units * unit))  # a smaller batch
    parts = [last[share] for share in shares]
    assert np.array_equal(np.concatenate(parts), last)
    assert len(parts[0])
    assert sum(0 < len(part) < share.stop - share.start for part, share in zip(parts, shares, strict=True)) <= 1


def test_a_batch_that_leaves_processes_idle_is_refused():
    with pytest.raises(UsageError, match=r"3 samples.* 4 processes"):
        World(0, 4).share(3)
    with pytest.raises(UsageError, match=r"1 .*68 samples.* 2 processes"):
        World(0, 2).share(68, 68)


@given(size=st.integers(1, 5), num_samples=st.integers(1, 60), batch_size=st.integers(5, 20), first=st.integers(0, 3))
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("resident", [True, False])
def test_a_feed_reads_shares(size, num_samples, batch_size, first, resident):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 2, 2, 1), dtype=np.uint8)
    images = ArrayImages(pixels)
    feed = ImageFeed.build(images, CPU, 0) if resident else ImageFeed(images, CPU, 0)
    for order in (np.arange(num_samples), np.random.default_rng(1).permutation(60)[:num_samples]):
        whole = list(feed.batches(order, batch_size, first))
        parts = [list(feed.batches(order, batch_size, first, world.share(batch_size))) for world in worlds(size)]
        for number, (index, samples) in enumerate(whole):
            assert torch.equal(torch.cat([part[number][0] for part in parts]), index)
            assert torch.equal(torch.cat([part[number][1] for part in parts]), samples)
        assert all(len(part) == len(whole) for part in parts)


@given(size=st.integers(1, 5), num_samples=st.integers(1, 50), batch_size=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_a_pass_deals_the_batches_of_one_process(size, num_samples, batch_size):
    feed = ImageFeed.build(ArrayImages(np.zeros((num_samples, 2, 2, 1), dtype=np.uint8)), CPU, 0)

    class Plain:
        def evaluation(self, samples):
            return samples.float().flatten(1)

    def batches(world: World) -> list[tuple[int, int, list[list[int]]]]:
        parts = feed, Plain()
        passes = forward_windows(
            torch.nn.Identity(), *parts, num_samples=num_samples, batch_size=batch_size, world=world
        )
        return [(begin, end, [index.tolist() for index, _ in each]) for begin, end, each in passes]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spurcli.runtime.forward.WINDOW", 20)
        alone, dealt = batches(ALONE), [batches(world) for world in worlds(size)]
        assert [end - begin for begin, end, _ in alone[:-1]] == [window(batch_size)] * (len(alone) - 1)
    for number, (begin, end, whole) in enumerate(alone):
        assert sorted(itertools.chain(*whole)) == list(range(begin, end))
        mine = [process[number] for process in dealt]
        assert all(each[:2] == (begin, end) for each in mine)
        assert sorted(batch for *_, each in mine for batch in each) == sorted(whole)


def test_without_torchrun_there_is_one_process(monkeypatch):
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    assert launched() == Launch(0, 1, 0)
    assert open_world("cpu") == (ALONE, CPU)
    assert ALONE.agree(3, 4) == (3, 4)
    tensor = torch.ones(2)
    assert ALONE.total(tensor) is tensor
    for name, value in TORCHRUN.items():
        assert launched().is_alone
        monkeypatch.setenv(name, value)
    assert launched() == Launch(1, 2, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launched().is_alone


@pytest.mark.parametrize("device", ["mps", "cuda:1", "cuda:0"])
def test_one_device_for_several_processes_is_a_contradiction(monkeypatch, device):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"--device {device}.*torchrun.* 2 processes"):
        open_world(device)


@pytest.mark.parametrize(
    ("rank", "words", "code", "said"),
    [
        ("0", ["prune", "--fraction", "0.1"], 2, "spurcli prune runs in one process only, and torchrun started 2"),
        ("1", ["prune", "--fraction", "0.1"], 0, ""),
        ("0", ["train", "--keep", "-"], 2, "stdin works with one process only"),
        ("0", ["score", "--dataset", "demo", "-o", "-"], 2, "-o -: stdout works with one process only"),
        ("0", ["score", "--logits", "z.npy"], 2, "Logits are scored by one process"),
        ("0", ["evaluate", "--logits", "z.npy"], 2, "Logits are evaluated by one process"),
    ],
)
def test_what_one_process_does_refuses_several(spurcli, monkeypatch, rank, words, code, said):
    monkeypatch.setattr(Launch, "is_first_to_fail", lambda _self, number: (True, number))
    for name, value in {**TORCHRUN, "RANK": rank}.items():
        monkeypatch.setenv(name, value)
    result = spurcli(*words)
    assert (result.code, result.out) == (code, "")
    assert said in result.err
    assert bool(said) == bool(result.err)
