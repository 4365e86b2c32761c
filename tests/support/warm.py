"""A process that has torch and spurcli loaded and forks a child for each command: milliseconds instead of seconds.

`Warm().start(["-m", "spurcli", "list"], folder)` is `python -m spurcli list` in that folder, but for the start of Python itself:
what is read only there (PYTHONPROFILEIMPORTTIME, PYTHONIOENCODING, closed streams) needs a real process. `Warm().command(path)`
writes a program that does the same for a shell: its child has the shell's streams, folder and environment, and dies with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import resource
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

STAGES = ("inject", "score", "prune", "train", "infer", "audit", "evaluate", "report")
# What commands import when they first need it comes too; torch._dynamo is what making an optimizer imports.
LATER = (
    *(
        "torch._dynamo",
        "sklearn.cluster",
        "matplotlib.figure",
        "matplotlib.backends.backend_svg",
        "jinja2",
        "rich.table",
    ),
    *(
        "pydantic.types",
        "pydantic.type_adapter",
        "pydantic.json_schema",
        "annotated_types",
        "PIL.Image",
        "pyarrow.parquet",
        "filelock",
        "rich._emoji_codes",
        "spurcli.datasets.demo",
        "spurcli.datasets.own.table",
        "spurcli.models.mlp",
        "spurcli.reporting.page",
        "spurcli.reporting.figures",
        "spurcli.reporting.pictures",
    ),
)
PRELOAD = ("spurcli.cli.run", *(f"spurcli.stages.{name}" for name in STAGES), *LATER)
_LENGTH, _SECONDS = struct.Struct("!I"), struct.Struct("d")
# What a shell runs in place of python: says what is to be run and where, waits, and ends as the child ended.
_CLIENT = """#!{python} -IS
import json, os, socket, struct, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    words = {words!r} + sys.argv[1:]
    request = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [struct.pack("!I", len(request))], [0, 1, 2])
    server.sendall(request)
    with server.makefile() as replies:
        replies.readline()
        code = json.loads(replies.readline())["code"]
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""

_SERVERS: list[Warm] = []


def cpu_seconds() -> float:
    """What the children of this process's servers took that have ended: nobody else can tell before the servers end."""
    return sum(server.cpu_seconds() for server in _SERVERS)


class Child:
    """A command at work; used as a process of multiprocessing is."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        self._code: int | None = None
        self.pid: int = self._reply(None)["pid"]

    def _reply(self, timeout: float | None) -> dict[str, Any]:
        self._connection.settimeout(timeout)  # 0: what is there
        while b"\n" not in self._received:
            try:
                more = self._connection.recv(4096)
            except (TimeoutError, BlockingIOError):
                return {}
            if not more:
                raise RuntimeError("the process that forks the children is gone")
            self._received += more
        line, self._received = self._received.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        return found

    def join(self, timeout: float | None = None) -> int | None:
        """Wait for its end, so many seconds at most; returns the exit code, −signal, or None if it still runs."""
        if self._code is None and (reply := self._reply(timeout)):
            self._code = reply["code"]
            self._connection.close()
        return self._code

    @property
    def exitcode(self) -> int | None:
        return self.join(0)

    def send_signal(self, number: int) -> None:
        if self.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def shared() -> Warm:
    """The server of this process of pytest; the fixture `warm` is it, and ends it."""
    return _SERVERS[0] if _SERVERS else Warm()


class Warm:
    """A server, started when it is first asked."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="spurcli-warm-")
        self._address = str(Path(self._folder.name) / "socket")
        self._process: subprocess.Popen[bytes] | None = None
        _SERVERS.append(self)

    def cpu_seconds(self) -> float:
        """What the children took that have ended; once the server has ended too, the system counts them for us."""
        tally = Path(self._folder.name) / "cpu"
        return _SECONDS.unpack(tally.read_bytes())[0] if tally.exists() else 0.0

    def start(
        self,
        words: Sequence[str | Path],
        folder: Path,
        *,
        stdin: Path | None = None,
        stdout: Path | None = None,
        stderr: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Run what `python WORDS` would run. Streams are files (stdout and stderr are appended to), or empty."""
        self._serve()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        request = json.dumps(
            [[str(word) for word in words], str(folder), {**os.environ, **(environment or {})}]
        ).encode()
        with contextlib.ExitStack() as stack:
            streams: list[BinaryIO] = [stack.enter_context(open(stdin or os.devnull, "rb"))]  # noqa: PTH123
            streams += [stack.enter_context(open(path or os.devnull, "ab")) for path in (stdout, stderr)]  # noqa: PTH123
            socket.send_fds(connection, [_LENGTH.pack(len(request))], [stream.fileno() for stream in streams])
            connection.sendall(request)
        return Child(connection)

    def command(self, path: Path, words: Sequence[str]) -> None:
        """Write a program that runs `python WORDS` with what else it is given."""
        self._serve()
        path.write_text(
            _CLIENT.format(python=sys.executable, address=self._address, words=list(words)), encoding="utf-8"
        )
        path.chmod(0o755)

    def _serve(self) -> None:
        if self._process is None:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(self._address)
                listener.listen(64)
                # in a session of its own: a Ctrl-C is for the tests, which then end it
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(listener.fileno()), self._folder.name],
                    stdin=subprocess.PIPE,
                    pass_fds=[listener.fileno()],
                    start_new_session=True,
                    env=environment,
                )

    def close(self) -> None:
        """End the server and what it forked."""
        if self._process is not None:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait()
        self._folder.cleanup()
        _SERVERS.remove(self)


def _main(descriptor: int, folder: Path) -> None:
    """Serve until stdin closes, which the end of the tests does however it comes."""
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # a job in the background is started deaf to it, and so would be its children
    for name in PRELOAD:
        importlib.import_module(name)
    _draw_once()
    gc.freeze()  # children then share these pages for good
    listener, selector = socket.socket(fileno=descriptor), selectors.DefaultSelector()
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for source in (0, listener, woken):
        selector.register(source, selectors.EVENT_READ)
    running: dict[int, socket.socket] = {}
    tally = (folder / "cpu").open("wb", buffering=0)
    tally.write(_SECONDS.pack(0))
    while True:
        for key, _ in selector.select():
            if key.fileobj == 0:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                os._exit(0)
            elif key.fileobj == woken:
                os.read(woken, 4096)
                _reap(running, selector, tally)
            elif key.fileobj is listener:
                connection = listener.accept()[0]
                pid = _fork(
                    connection, [listener.fileno(), woken, wakes, *(each.fileno() for each in running.values())]
                )
                if pid is not None:
                    running[pid] = connection
                    selector.register(connection, selectors.EVENT_READ)
            elif key.fileobj in running.values():  # who asked for it is gone
                selector.unregister(key.fileobj)
                os.kill(next(pid for pid, other in running.items() if other is key.fileobj), signal.SIGKILL)


def _draw_once() -> None:
    """Find the fonts and compile the page's template here, which every report would do: half of its time."""
    from matplotlib.figure import Figure

    from spurcli.reporting import page

    figure = Figure()
    figure.add_subplot().set_title("1")
    figure.savefig(io.BytesIO(), format="svg")
    page.template("page.html.j2")


def _reap(running: dict[int, socket.socket], selector: selectors.BaseSelector, tally: Any) -> None:
    """Tell who waits how a child ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.pwrite(tally.fileno(), _SECONDS.pack(usage.ru_utime + usage.ru_stime), 0)
        connection = running.pop(pid)
        with contextlib.suppress(KeyError):
            selector.unregister(connection)
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")
        connection.close()


def _fork(connection: socket.socket, ours: list[int]) -> int | None:
    """Read one request and fork its child; None if who asked is gone already."""
    first, streams, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
    length, received = _LENGTH.unpack(first)[0] if len(first) == _LENGTH.size else 0, b""
    while len(received) < length and (more := connection.recv(length - len(received))):
        received += more
    if not received or len(received) < length:
        connection.close()
        return None
    pid = os.fork()
    if pid:
        for descriptor in streams:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        for descriptor in (*streams, *ours, connection.fileno()):
            os.close(descriptor)
        code = _become(*json.loads(received))
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _become(words: list[str], folder: str, environment: dict[str, str]) -> int:
    """Do what `python WORDS` does; returns its exit code."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [
        path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path
    ]
    sys.path.remove(str(Path(__file__).parent))  # where this file is, as the server was started from it
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding="utf-8")  # noqa: SIM115
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(
            open(descriptor, "wb", closefd=False),  # noqa: SIM115
            encoding="utf-8",
            errors="backslashreplace" if name == "stderr" else "strict",
            line_buffering=name == "stderr" or os.isatty(descriptor),
        )
        setattr(sys, name, stream)
    try:
        _run(words)
        code: object = 0
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code & 0xFF if isinstance(code, int) else int(code is not None)


def _run(words: list[str]) -> None:
    first, *rest = words or ["-"]
    if first == "-m":
        sys.argv = rest
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first in ("-c", "-"):
        sys.argv = [first, *(rest[1:] if first == "-c" else rest)]
        sys.path.insert(0, "")
        code = rest[0] if first == "-c" else sys.stdin.read()
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(first).resolve().parent))
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _main(int(sys.argv[1]), Path(sys.argv[2]))
