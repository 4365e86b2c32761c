"""The devices that torch can use here. Only this part of `spurcli checks` imports torch, which takes seconds."""

from __future__ import annotations

import os
from typing import TypedDict


class Device(TypedDict):
    """`name` is what --device takes; `memory` is None where it is not known."""

    name: str
    model: str
    memory: int | None


class Devices(TypedDict):
    """`auto` is the device that --device auto takes; `problem` says why torch does not run, "" where it does."""

    auto: str
    found: list[Device]
    threads: int
    problem: str


def devices() -> Devices:
    """What torch sees."""
    try:
        import torch

        from spurcli.runtime.device import choose_device

        found = [Device(name="cpu", model=f"{os.cpu_count()} cores", memory=None)]
        for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            about = torch.cuda.get_device_properties(number)
            found.append(Device(name=f"cuda:{number}", model=about.name, memory=about.total_memory))
        if torch.backends.mps.is_available():
            found.append(Device(name="mps", model="Apple GPU", memory=None))
        torch.ones(2).sum().item()
        return Devices(auto=choose_device("auto").type, found=found, threads=torch.get_num_threads(), problem="")
    except Exception as error:  # report any error of a broken installation
        problem = f"torch does not run: {(str(error).splitlines() or [type(error).__name__])[0][:200]}"
        return Devices(auto="", found=[], threads=0, problem=problem)
