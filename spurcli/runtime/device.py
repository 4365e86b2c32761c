"""Choosing the device and seeding what is random on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from spurcli.errors import InputError, SpurError, UsageError

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU; a device that is named must exist."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"Unknown device {name!r}", "Use auto, cpu, cuda, cuda:1 or mps.") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise InputError(f"This machine has no {device.type} device", "Use --device auto.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"There are {torch.cuda.device_count()} CUDA devices, none is {name}", "Use --device cuda.")
    return device


def autocast(device: torch.device, precision: str) -> Any:
    """The context in which a forward pass runs at `precision` (float32, bf16, fp16)."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, _DTYPES[precision])


def seed_step(device: torch.device, seed: int) -> None:
    """Seed the random numbers of a step on `device` (such as dropout).

    torch.manual_seed asks every kind of device that torch knows, which takes as long as a small network's step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextlib.contextmanager
def memory_advice(setting: str, batch_size: int) -> Iterator[None]:
    """Convert an out-of-memory error into an error that names a smaller batch size."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError) and "out of memory" not in text and "allocate memory" not in text:
            raise
        hint = f"Try --set {setting}={batch_size // 2}." if batch_size > 1 else "Use a smaller model or smaller images."
        raise SpurError(f"Out of memory with {setting} = {batch_size}", hint) from error


def mix(*numbers: int) -> int:
    """One 63-bit seed from several numbers (splitmix64), so that (seed, step, rank) never collide by addition."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
