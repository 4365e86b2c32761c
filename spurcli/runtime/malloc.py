"""Keeps freed CPU memory for the next batch (glibc on Linux), which saves the kernel's work on large images."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Make glibc keep the memory of freed tensors for the next ones; returns whether it does.

    glibc maps each block of more than 32 MiB anew and returns it when it is freed, so for large images the kernel fills
    the same pages with zeros once per layer and batch. Results are the same bit by bit. Nothing is done where there is no
    glibc, or if the user has configured malloc.
    """
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError, ValueError):  # macOS, Windows, musl
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
