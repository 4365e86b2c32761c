"""Memory of freed tensors: kept by glibc, left alone where the user has said otherwise or there is no glibc."""

import os
import subprocess
import sys

import pytest

from spurcli.cli import run as command_line

# A block that glibc maps afresh each time, touched and freed often; prints what was answered and the pages asked for.
PAGES = """
import resource, sys
from spurcli.runtime.malloc import keep_freed_memory
kept = keep_freed_memory()
for _ in range(20):
    block = bytearray(40 << 20)
    block[::4096] = b"x" * len(block[::4096])
    del block
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def _has_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError):
        return False


glibc = pytest.mark.skipif(not _has_glibc(), reason="glibc's malloc is what is asked")


def _pages(**more: str) -> tuple[str, int]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", PAGES], env={**plain, **more}, capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return kept, int(faults)


@glibc
def test_pages_of_a_freed_block_are_used_again():
    kept, faults = _pages()
    left_alone, many = _pages(MALLOC_ARENA_MAX="4")
    assert (kept, left_alone) == ("True", "False")
    assert faults < many / 4  # 40 MiB are 10,240 pages, asked for once or 20 times


@pytest.mark.parametrize("name", ["GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_"])
def test_what_the_user_says_of_malloc_stands(name):
    assert _pages(**{name: ""})[0] == "False"


@pytest.mark.parametrize(
    ("words", "asked"),
    [(["train"], 1), (["data", "embed", "photos"], 1), (["canary"], 1), (["data", "check"], 0), ([], 0)],
)
def test_commands_that_run_a_model_keep_freed_memory(words, asked, monkeypatch):
    calls = []
    monkeypatch.setattr(command_line, "keep_freed_memory", lambda: calls.append(1))
    monkeypatch.setattr(command_line, "run", lambda _: 0)
    with pytest.raises(SystemExit):
        command_line.main(words)
    assert len(calls) == asked
