"""Files are written atomically."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from spurcli.errors import InputError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success flush it to disk and rename it over `path`.

    On any failure the temporary file is removed and an earlier `path` is unchanged. Temporary files of a killed process
    are removed by the next process that writes the same file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{_here()}-{os.getpid()}-{secrets.token_hex(6)}.tmp")
    try:
        with readable_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise InputError(f"{path} is a folder", "Name a file to write with -o FILE.")
            if path.exists() and not path.is_file():  # renaming over /dev/null would replace it for everyone
                raise InputError(f"{path} is a pipe or a device", "Write -o - for stdout, or name a file.")
            _sweep(path)
            yield temporary
            flush(temporary)
            temporary.chmod(0o666 & ~_umask())  # some writers create files that only their owner can read
            temporary.replace(path)
            flush(path.parent)
    finally:
        with contextlib.suppress(OSError):  # already renamed, or its folder did not exist
            temporary.unlink()


@contextlib.contextmanager
def readable_os_errors(path: Path) -> Iterator[None]:
    """Convert an error of the operating system on writing `path` into an `InputError` with a next step."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # HDF5 fails on closing with a RuntimeError
        if not _is_about(error, path):
            raise
        number = getattr(error, "errno", None) or _errno_in_text(str(error))
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"No space left while writing {path}",
                "Free some space or choose another location with -o. An existing file is not changed.",
            ) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise InputError(
                f"Not allowed to write {path}", "Check the folder's permissions, or choose another folder with -o."
            ) from error
        if number is not None:
            raise InputError(f"Cannot write {path}: {os.strerror(number)}", "Check the path.") from error
        raise


def _is_about(error: Exception, path: Path) -> bool:
    """Whether `error` came from writing `path`, not from another file that was read meanwhile."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str):
        return True
    return Path(name) in (path, *path.parents) or Path(name).name.startswith(f".{path.name}.")


def _errno_in_text(text: str) -> int | None:
    # HDF5 and safetensors wrap the system's error number in their message.
    for number in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EFBIG):
        if os.strerror(number).lower() in text.lower() or f"errno = {number}," in text:
            return number
    return None


def _sweep(path: Path) -> None:
    """Remove the temporary files of `path` whose writers have ended: only those of this machine, whose processes can be checked."""
    start = f".{path.name}.{_here()}-"
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:  # optional, so it must not fail
        for entry in entries:
            if entry.name.startswith(start) and entry.name.endswith(".tmp"):
                pid = entry.name.removeprefix(start).partition("-")[0]
                if pid.isdecimal() and not _is_alive(int(pid)):
                    Path(entry.path).unlink()


@functools.cache
def _here() -> str:
    """A name for the scope of process ids: the machine and the container."""
    with contextlib.suppress(OSError):
        return f"{_digest(platform.node())}{_digest(str(Path('/proc/self/ns/pid').readlink()))}"
    return _digest(platform.node())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # on other systems signal 0 is not a harmless check
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # another user's
    return True


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def flush(path: Path) -> None:
    """Flush a file, or a folder's list of files, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as key-sorted JSON (NaN is refused), lists of plain values on one line."""
    write_text(path, _pretty(content, "") + "\n")


def _pretty(content: Any, indent: str) -> str:
    inner = indent + " "
    if isinstance(content, dict) and content:
        rows = [f"{inner}{json.dumps(key)}: {_pretty(content[key], inner)}" for key in sorted(content)]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(content, list | tuple) and any(isinstance(item, dict | list | tuple) for item in content):
        rows = [inner + _pretty(item, inner) for item in content]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def copy_to_stream(path: Path, stream: Any) -> None:
    """Copy a finished file to a binary stream (for `-o -`)."""
    with path.open("rb") as source:
        shutil.copyfileobj(source, stream, 1 << 20)
    stream.flush()
