"""The text of a table file: unpacked if it is compressed, decoded, and cut into lines; what is wrong is named by its line."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO

from spurcli.errors import InputError, UsageError

PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
MAX_LINE = 1 << 24
FIX = "Fix this line."
_MAGIC = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\x00": ".xz"}
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is its beginning
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WORKBOOK = (b"[Content_Types].xml", b"docProps/", b"xl/", b"oasis.opendocument")  # near the begin of such archives
_MIN_LIMIT, _MAX_RATIO = 16 << 20, 100  # tables compress to a tenth; what unpacks to a hundredfold is a trap
Row = tuple[int, Sequence[Any]]


@dataclass(frozen=True)
class Reading:
    """How to read a text table, "" for what the file itself says: `separator` (one character; a space stands for any number
    of spaces), `quoting` ("csv", "backslash" or "none"), `encoding` (a Python name).
    """

    separator: str = ""
    quoting: str = ""
    encoding: str = ""

    def __post_init__(self) -> None:
        named = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ",", "pipe": "|", "space": " "}
        object.__setattr__(self, "separator", named.get(self.separator, self.separator))
        if len(self.separator) > 1 or self.separator in ('"', "\n", "\r"):
            raise UsageError(
                f"dataset.options.separator = {self.separator!r} is not one character",
                'Write ";", "|", "tab" or "space".',
            )
        if self.quoting not in ("", "csv", "backslash", "none"):
            raise UsageError(
                f"dataset.options.quoting = {self.quoting!r} is unknown",
                'Write "csv" (quotation marks enclose fields), "backslash" (with a backslash before those inside) or "none".',
            )
        try:
            known = not self.encoding or codecs.lookup(self.encoding)._is_text_encoding
        except (LookupError, ValueError):  # ValueError: a name with a NUL
            known = False
        if not known:
            raise UsageError(
                f"dataset.options.encoding = {self.encoding!r} is unknown", "Write utf-8, utf-16, cp1252, for instance."
            )


@dataclass(frozen=True)
class Opened:
    """A table that is open: `names` of all its columns (it may stop when it has found all of those given), and `rows` of
    some columns, with the number of each, which counts in `unit`.

    `read_as` says how it is read, for people, and `decided` what had to be guessed for that. A file that holds whole columns
    gives them by `columns`, all of one length, instead of rows.
    """

    names: Callable[[Collection[str]], list[str]]
    rows: Callable[[list[str]], Iterator[Row]]
    read_as: str
    decided: tuple[str, ...] = ()
    unit: str = "line"
    columns: Callable[[list[str]], Mapping[str, Sequence[str]]] | None = None


def without_packing(path: Path) -> Path:
    """The path without the ending of a compressed file: own.csv of own.csv.gz."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


def open_text(path: Path, encoding: str, *, newline: str = "") -> TextIO:
    """The decoded text, unpacked if it is compressed. Raises InputError if it grows as no table does."""
    return io.TextIOWrapper(_open_bytes(path), encoding=encoding, newline=newline)


def encoding_of(path: Path, asked: str) -> str:
    """The encoding to read a file with: as asked, else that of its byte-order mark, else UTF-8."""
    with _open_bytes(path) as stream:
        begin = stream.read(1024)
    require_table(begin, path)
    marked = next((name for mark, name in _MARKS.items() if begin.startswith(mark)), "")
    if asked:
        name = codecs.lookup(asked).name
        if marked and not name.startswith(marked[:6]):
            raise UsageError(
                f"{path} begins with the byte-order mark of {marked[:6]}, not {asked}",
                "Remove dataset.options.encoding.",
            )
        return "utf-8-sig" if name == "utf-8" else asked
    if not marked and begin[:200].count(0) * 3 > len(begin[:200]):
        name = "utf-16-be" if begin[0] == 0 else "utf-16-le"
        raise InputError(
            f"{path} is not UTF-8: it looks like {name} without a byte-order mark",
            f"Save it as UTF-8, or --set dataset.options.encoding={name}",
        )
    return marked or "utf-8-sig"


def require_table(begin: bytes, path: Path) -> None:
    """Raise InputError if a file that begins so is none of the tables, but what is often found under their names."""
    start = begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if begin.startswith(b"PK\x03\x04") and not any(mark in begin for mark in _WORKBOOK):
        raise InputError(f"{path} is a zip archive, not text", "Unpack it, and name the table in it.")
    if begin.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise InputError(f"{path} is an Excel workbook, not text", "Save the sheet as CSV (UTF-8).")
    if begin.startswith(b"\x89HDF"):
        raise InputError(f"{path} is an HDF5 file", "Rename it: its name must end in .h5.")
    if begin.startswith(b"PAR1"):
        raise InputError(f"{path} is a Parquet file", "Rename it: its name must end in .parquet.")
    if begin.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a pointer of Git LFS, not the file itself", "Fetch the file: git lfs pull")
    if start.startswith((b"<!doctype html", b"<html")):
        raise InputError(
            f"{path} is a web page, not a table", "The download may have ended at a login: fetch the file again."
        )


def lines_of(stream: TextIO, path: Path) -> Iterator[tuple[int, str]]:
    """The lines, counted from 1, with their ends."""
    line = 0
    while text := stream.readline(MAX_LINE):
        line += 1
        if len(text) == MAX_LINE:
            raise InputError(f"{path}, line {line:,} is longer than {MAX_LINE:,} characters", FIX)
        yield line, text


def not_decodable(path: Path, encoding: str, own: bool) -> InputError:
    """The error for a file that is not text in an encoding, with the line of the first bad byte."""
    line = 1
    decoder = codecs.getincrementaldecoder(encoding)()
    with _open_bytes(path) as stream:
        while block := stream.read(1 << 16):
            try:
                line += decoder.decode(block).count("\n")
            except UnicodeDecodeError as error:
                content, place = error.object, error.start
                line += content[:place].decode(encoding, errors="ignore").count("\n")
                hint = "Save it as UTF-8"
                if own and _plain(encoding) == "UTF-8":
                    word = _word(content, place)
                    hint += f", or if {word!r} is correct there, --set dataset.options.encoding=cp1252"
                problem = f"{path}, line {line:,}: not {_plain(encoding)} text (byte 0x{content[place]:02X})"
                return InputError(problem, f"{hint}.")
            except UnicodeError:
                break  # a UTF-16 file without a byte-order mark
    return InputError(f"{path}, after line {line:,}: not {_plain(encoding)} text", "Save it as UTF-8.")


def _word(content: bytes, place: int) -> str:
    """The text around a byte as Windows in western Europe would read it, within its line."""
    begin = max(content.rfind(b"\n", 0, place) + 1, place - 12)
    end = content.find(b"\n", place)
    return (
        content[begin : min(end if end >= 0 else len(content), place + 12)].decode("cp1252", errors="replace").strip()
    )


def _plain(encoding: str) -> str:
    return encoding.upper().removesuffix("-SIG")


def _open_bytes(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        begin = stream.read(6)
    packing = next((name for magic, name in _MAGIC.items() if begin.startswith(magic)), "")
    if not packing:
        return path.open("rb")
    limit = max(_MIN_LIMIT, _MAX_RATIO * path.stat().st_size)
    return io.BufferedReader(_Unpacked(path, packing, limit), 1 << 16)


def require_unpacked_size(path: Path, num_bytes: int, label: str) -> None:
    """Raise InputError if `label` in a file claims more bytes than its tables should unpack to."""
    if num_bytes > max(_MIN_LIMIT, _MAX_RATIO * path.stat().st_size):
        raise InputError(
            f"{label} unpacks to more than {_MAX_RATIO} times the file's size", "Write it without compression."
        )


class _Unpacked(io.RawIOBase):
    """A compressed file's content, at most `limit` bytes of it."""

    def __init__(self, path: Path, packing: str, limit: int) -> None:
        self._path, self._limit, self._total = path, limit, 0
        self._stream: Any = PACKED[packing](path, "rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._stream.read(min(len(buffer), 1 << 16))
        except (OSError, EOFError, zlib.error, lzma.LZMAError, MemoryError) as error:
            raise InputError(f"{self._path} cannot be unpacked ({str(error)[:80]})", "Make it again.") from error
        self._total += len(content)
        if self._total > self._limit:
            raise InputError(
                f"{self._path} unpacks to more than {_MAX_RATIO} times its size", "If this is correct, unpack it first."
            )
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
