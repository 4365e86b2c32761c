"""Several devices as one: communication between the processes that torchrun started.

All of it is a no-op in a process that runs alone. Numbers on the device go through NCCL (or gloo, on a CPU); what the
hosts must agree on goes through gloo, so that no process waits for a GPU.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from spurcli.errors import InputError, SpurError, UsageError
from spurcli.runtime.device import choose_device
from spurcli.runtime.launch import Launch, launched
from spurcli.words import counted

T = TypeVar("T")

# Others may wait for hours while the first process works alone. No process waits for one that ended, because its connections close.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class World:
    """This process is number `rank` of `size`; `control` is the group through which their hosts talk."""

    rank: int = 0
    size: int = 1
    control: Any = None

    @property
    def is_alone(self) -> bool:
        return self.size == 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that reads state, writes files and prints."""
        return self.rank == 0

    def share(self, batch_size: int, unit: int = 1) -> slice:
        """Which places of a whole batch are this process's: contiguous, as equal as whole `unit`s allow.

        A last, smaller batch leaves later places empty, so that batch norm never gets single samples of a divided batch.
        Raises UsageError if a whole batch already would leave processes without work.
        """
        num_units = batch_size // unit
        if num_units < self.size:
            what = (
                f"{counted(num_units, 'unit')} of {unit} samples that stay together"
                if unit > 1
                else counted(batch_size, "sample")
            )
            raise UsageError(
                f"A batch of {what} is too small for {counted(self.size, 'process')}",
                f"Start fewer, or use --set training.batch_size={self.size * unit} or more.",
            )
        each, surplus = divmod(num_units, self.size)
        begin = self.rank * each + min(self.rank, surplus)
        return slice(begin * unit, (begin + each + (self.rank < surplus)) * unit)

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of `tensor` over all processes, in each of them."""
        if self.is_alone:
            return tensor
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        with _peers():
            distributed.all_reduce(total, group=self._group(total))
        return total

    def collected(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of `tensor` over all processes, in the first; in the others something of its shape."""
        if self.is_alone:
            return tensor
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        with _peers():
            distributed.reduce(total, dst=0, group=self._group(total))
        return total

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Copy `tensors` from the first process to all."""
        if self.is_alone:
            return
        for tensor in tensors:
            content = tensor.detach().contiguous()
            if content.numel():
                with _peers():  # as bytes: not every kind of number can be sent by every backend
                    distributed.broadcast(content.view(-1).view(torch.uint8), 0, group=self._group(content))
                with torch.no_grad():
                    tensor.copy_(content)

    def agree(self, *numbers: int) -> tuple[int, ...]:
        """The largest of each of `numbers` in any process. The hosts wait for each other, but not for devices."""
        if self.is_alone:
            return numbers
        largest = torch.tensor(numbers, dtype=torch.int64)
        with _peers():
            distributed.all_reduce(largest, distributed.ReduceOp.MAX, group=self.control)
        return tuple(largest.tolist())

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.agree(0)

    def first(self, work: Callable[[], T]) -> T:
        """The result of `work`, which only the first process runs, in all processes. It must be plain JSON."""
        if self.is_alone:
            return work()
        content = json.dumps(work()).encode() if self.is_first else b""
        (length,) = self.agree(len(content))
        text = torch.frombuffer(bytearray(content or length), dtype=torch.uint8)
        with _peers():
            distributed.broadcast(text, 0, group=self.control)
        found: T = json.loads(text.numpy().tobytes())
        return found

    def require_same(self, identity: str, what: str) -> None:
        """Raise InputError where `identity` is not that of the first process: hosts may hold other files."""
        if self.first(lambda: identity) != identity:
            raise InputError(
                f"Process {self.rank} has other {what} than process 0",
                "Give all hosts the same files and the same command.",
            )

    def _group(self, tensor: torch.Tensor) -> Any:
        return self.control if tensor.device.type == "cpu" else None


ALONE = World()


def open_world(device_name: str) -> tuple[World, torch.device]:
    """The processes of this run, and this one's device: of GPUs that of its number on the host.

    Raises UsageError for a `device_name` that several processes cannot share, InputError if there are too few GPUs.
    """
    launch = launched()
    if launch.is_alone:
        return ALONE, choose_device(device_name)
    device = _own_device(device_name, launch)
    return _joined(launch, device), device


def close_world() -> None:
    """Leave the process group cleanly at the end of all work."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _own_device(name: str, launch: Launch) -> torch.device:
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise UsageError(
            f"--device {name} is one device, and torchrun started {counted(launch.size, 'process')}",
            "Use --device cuda, which gives each process its own GPU, or --device cpu.",
        )
    choose_device("cuda")
    if launch.local_rank >= torch.cuda.device_count():
        raise InputError(
            f"This host has {torch.cuda.device_count()} GPUs for {launch.local_rank + 1} processes or more",
            f"Start as many as there are (torchrun --nproc-per-node={torch.cuda.device_count()}), or use --device cpu.",
        )
    return torch.device("cuda", launch.local_rank)


@functools.cache
def _joined(launch: Launch, device: torch.device) -> World:
    """Join the group, once per process; a program that has joined already keeps its group."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    try:
        if not distributed.is_initialized():
            if on_gpu:
                distributed.init_process_group("nccl", device_id=device)
            else:
                distributed.init_process_group("gloo", timeout=_PATIENCE)
        control = distributed.new_group(backend="gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise SpurError(
            f"The {counted(launch.size, 'process')} could not connect ({' '.join(str(error).split())[:100]})",
            "If no other process failed, check that the hosts can reach each other at torchrun's --master-addr or --rdzv-endpoint.",
        ) from error
    return World(launch.rank, launch.size, control)


@contextlib.contextmanager
def _peers() -> Iterator[None]:
    """Convert the errors of the backends for a lost process into one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise SpurError(
            f"Another process of this run has ended ({' '.join(str(error).split())[:100]})",
            "See torchrun's message below; a process killed with signal 9 may have run out of memory.",
        ) from error
