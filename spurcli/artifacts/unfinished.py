"""OUTPUT.state/: where a stage keeps unfinished work, so that an interrupted one can resume. One process at a time uses it."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from spurcli.artifacts.atomic import readable_os_errors
from spurcli.artifacts.lock import lock
from spurcli.errors import InputError

# What file systems say that have no locks (some of clusters): there a second process is let in, as none can be kept out.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def folder_of(output: Path) -> Path:
    """OUTPUT.state/ of what will be `output`, a file or a folder."""
    return output.with_name(f"{output.name}.state")


def clear(output: Path) -> None:
    """Remove what a kill left in OUTPUT.state/ after the output was complete; not where another process uses it."""
    if folder_of(output).is_dir():
        with contextlib.suppress(InputError), unfinished(output):
            pass


@contextlib.contextmanager
def unfinished(output: Path) -> Iterator[Path]:
    """OUTPUT.state/, used by no other process meanwhile (InputError) and gone once the work in it has succeeded."""
    with contextlib.ExitStack() as held:
        path = output.with_name(f".{output.name}.lock")
        with readable_os_errors(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(lock(path))
            except BlockingIOError:
                raise InputError(
                    f"Another process is writing {output}", "Wait for it, end it, or choose another -o."
                ) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                path.unlink(missing_ok=True)
        yield folder_of(output)
        shutil.rmtree(folder_of(output), ignore_errors=True)
