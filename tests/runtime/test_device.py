"""Choosing a device, seeding it, stopping on signals."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.errors import InputError, UsageError
from spurcli.runtime.device import autocast, choose_device, mix, seed_step
from spurcli.runtime.signals import stop_requests


def test_a_device_asked_for_by_name_must_be_there(monkeypatch):
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no cuda device"):
        choose_device("cuda")
    with pytest.raises(UsageError, match="Unknown device 'gpu7'"):
        choose_device("gpu7")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match="There are 2 CUDA devices, none is cuda:2"):
        choose_device("cuda:2")


def test_auto_without_an_accelerator_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")


def test_autocast_runs_at_the_precision_asked_for():
    layer, x = torch.nn.Linear(4, 4), torch.ones(1, 4)
    for precision, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(torch.device("cpu"), precision):
            assert layer(x).dtype == dtype


def test_seeding_a_step_is_what_manual_seed_does_on_the_cpu():
    seed_step(torch.device("cpu"), 7)
    found = torch.rand(5)
    torch.manual_seed(7)
    assert torch.equal(found, torch.rand(5))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9))
def test_mixed_seeds_are_valid_and_tell_near_numbers_apart(seed, step):
    found = {mix(seed + a, step + b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)}
    assert len(found) == 8
    assert all(0 <= value < 1 << 63 for value in found)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_asks_and_a_second_one_insists(number):
    earlier = signal.getsignal(number)
    with stop_requests() as request:
        assert request.signal_number == 0
        os.kill(os.getpid(), number)
        assert request.signal_number == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == earlier
