"""Whether torchrun started this process, and as which of how many. No torch here: every command asks."""

from __future__ import annotations

import os
from dataclasses import dataclass

from spurcli.errors import UsageError

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True)
class Launch:
    """This process is number `rank` (from 0) of `size`, and number `local_rank` on its host."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_alone(self) -> bool:
        return self.size == 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def require_alone(self, what: str, hint: str = "Run it without torchrun.") -> None:
        """Raise UsageError if `what`, which one process does, was asked of several."""
        if not self.is_alone:
            raise UsageError(f"{what}, and torchrun started {self.size}", hint)

    def is_first_to_fail(self, code: int) -> tuple[bool, int]:
        """Whether no other process has failed before, and the exit code of the one that was first.

        That process reports the reason; the others only notice that it is gone. The exit codes are in torchrun's store.
        """
        if self.is_alone:
            return True, code
        from datetime import timedelta

        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        place, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        attempt, mine = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), f"{self.rank} {code}"
        try:
            store = TCPStore(place, port, is_master=False, timeout=timedelta(seconds=5))
            found = store.compare_set(f"spurcli/failed/{attempt}", "", mine).decode()
        except RuntimeError:  # the store is gone: an error printed twice is better than none
            return True, code
        return found == mine, int(found.split()[1])


def launched() -> Launch:
    """The launch from torchrun's environment; one process alone without it."""
    words = [os.environ.get(name, "") for name in _NAMES]
    if not all(word.isdecimal() for word in words) or not {"MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
        return Launch()
    rank, size, local_rank = map(int, words)
    return Launch(rank, size, local_rank) if size > 1 else Launch()
