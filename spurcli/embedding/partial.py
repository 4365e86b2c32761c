"""Unfinished embeddings: rows on disk, so that a killed command can resume."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.atomic import readable_os_errors, write_json
from spurcli.artifacts.envelope import parse_json
from spurcli.errors import InputError

_START_OVER = "Start over with --force."


@dataclass
class Partial:
    """The rows of some parts (splits and twins), `sizes` each, of `width` numbers, in raw float32 files of `folder`.

    `identity` is what must be equal for an interrupted command to resume. `done` says of each part how many samples of its
    reading order are written.
    """

    folder: Path
    identity: str
    width: int
    sizes: Mapping[str, int]
    done: dict[str, int] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, identity: str, width: int, sizes: Mapping[str, int], *, replace_other: bool) -> Partial:
        """What is in `folder`; another command's unfinished work is refused, or removed if `replace_other`."""
        partial = cls(folder, identity, width, sizes, dict.fromkeys(sizes, 0))
        if partial._state.exists():
            try:
                partial.done = partial._read()
                return partial
            except InputError:
                if not replace_other:
                    raise
        shutil.rmtree(folder, ignore_errors=True)
        with readable_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for part in sizes:
                partial._file(part).touch()
        partial._save()
        return partial

    def write(self, part: str, places: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Write the next `rows` of a part at `places`, and note it once they are on disk."""
        with readable_os_errors(self._file(part)), self._file(part).open("r+b") as stream:
            for start, stop in _runs(places):
                stream.seek(4 * self.width * int(places[start]))
                stream.write(np.ascontiguousarray(rows[start:stop], dtype="<f4").data)
            stream.flush()
            os.fsync(stream.fileno())
        self.done[part] += len(places)
        self._save()

    def rows(self, part: str) -> NDArray[np.float32]:
        """All rows of a finished part, mapped from disk."""
        shape = (self.sizes[part], self.width)
        return np.memmap(self._file(part), dtype="<f4", mode="r", shape=shape)

    def _file(self, part: str) -> Path:
        return self.folder / f"{list(self.sizes).index(part)}.f32"

    @property
    def _state(self) -> Path:
        return self.folder / "embedding.json"

    def _save(self) -> None:
        write_json(self._state, {"identity": self.identity, "width": self.width, "done": self.done})

    def _read(self) -> dict[str, int]:
        content: Any = parse_json(self._state.read_bytes(), str(self._state))
        if not isinstance(content, dict) or (content.get("identity"), content.get("width")) != (
            self.identity,
            self.width,
        ):
            raise InputError(
                f"{self.folder} holds the unfinished work of another command",
                f"Finish it with the command that started it. {_START_OVER}",
            )
        done = content.get("done")
        if not isinstance(done, dict) or set(done) != set(self.sizes):
            raise InputError(f"{self.folder} cannot be used", _START_OVER)
        for part, size in self.sizes.items():
            file = self._file(part)
            written = file.stat().st_size // (4 * self.width) if file.exists() else -1
            if not isinstance(done[part], int) or not 0 <= done[part] <= min(size, max(written, -1)):
                raise InputError(f"{self.folder} is damaged: rows of {part} are missing", _START_OVER)
        return {part: int(done[part]) for part in self.sizes}


def _runs(places: NDArray[np.int64]) -> Sequence[tuple[int, int]]:
    """Start and end of each run of consecutive places: images form one run, texts sorted by length form many."""
    breaks = (np.flatnonzero(np.diff(places) != 1) + 1).tolist()
    return list(zip([0, *breaks], [*breaks, len(places)], strict=True))
