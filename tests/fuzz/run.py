"""Damage the files of every reader and see what it does.   python tests/fuzz/run.py --mutations 10000

Each reader runs in a process of its own. A fault is any exception but the project's own, a crash, more than 5 seconds or
2 GiB for one file, a file written anywhere, a program or code run, a connection. The damaged file of a fault is kept in
--faults, and the run goes on behind it.
With --engine atheris (pip install -e .[fuzz]) the changes are led by which lines of the project they reach.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
SECONDS, GIBIBYTES = 5, 2
STARTUP_SECONDS = 300  # torch, datasets and transformers on a busy machine


class Acts:
    """What Python did while a file was only to be read: writes anywhere, programs, connections, code from beside the file."""

    ALWAYS = frozenset({"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect"})
    FILES = frozenset(
        {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod"}
    )
    WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

    def __init__(self) -> None:
        self.noted: list[str] | None = None
        sys.addaudithook(self._see)  # for good: a hook cannot be taken away

    def _see(self, event: str, args: tuple[object, ...]) -> None:
        if self.noted is None:
            return
        opened = event == "open" and isinstance(args[2], int) and args[2] & self.WRITES and args[0] != os.devnull
        # Code of a file below where the damaged ones lie; "<string>" is how typing reads our own annotations.
        run = event == "exec" and str(getattr(args[0], "co_filename", "")).startswith(str(Path.cwd()))
        if opened or run or event in self.ALWAYS or event in self.FILES:
            self.noted.append(f"{event} {args[:1]}")

    @contextlib.contextmanager
    def forbidden(self) -> Iterator[None]:
        self.noted = []
        try:
            yield
        finally:
            noted, self.noted = self.noted, None
        if noted:
            raise AssertionError(f"the reader did more than read: {noted[:5]}")


@cache
def acts() -> Acts:
    return Acts()


def damage(name: str, folder: Path, numbers: range, limited: bool = False) -> int:
    """Read one damaged file after another, saying beforehand which; returns how many were refused."""
    from mutations import mutate
    from targets import quietly, targets

    from spurcli.errors import SpurError

    target = targets()[name]
    target.make(folder)
    valid = {path: path.read_bytes() for path in sorted(folder.glob(target.damaged)) if path.is_file()}
    names = tree(folder)
    os.chdir(folder)
    try:  # also loads what is loaded late, before memory is limited
        quietly(target.read, folder)
    except SpurError as error:
        if not target.ends_with or target.ends_with not in str(error):
            raise AssertionError(f"the valid file of {name} is refused") from error
    if limited:
        limit_memory()
    paths, others, refused = list(valid), list(valid.values()), 0
    for number in numbers:
        rng = random.Random(f"{name} {number}")
        path = rng.choice(paths)
        content = mutate(valid[path], others, rng)
        path.write_bytes(content)
        print(f"{number} {refused} {path}", flush=True)
        try:
            with acts().forbidden():
                quietly(target.read, folder)
        except SpurError as error:
            refused += 1
            text = str(error)
            if not 1 <= len(text.split("\n")) <= 2 or len(text) > 2000:
                raise AssertionError(f"a message of {len(text)} letters: {text[:500]!r}") from error
        if path.read_bytes() != content or tree(folder) != names:
            raise AssertionError(f"the reader wrote: {sorted(tree(folder) ^ names)}")
        path.write_bytes(valid[path])
    return refused


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def limit_memory() -> None:
    with Path("/proc/self/statm").open() as stream:
        now = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + GIBIBYTES * 2**30,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def watch(name: str, num_mutations: int, faults: Path) -> tuple[int, int]:
    """Numbers of refused files and of faults of one reader."""
    refused = found = start = 0
    while start < num_mutations:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
            words = [sys.executable, str(HERE / "run.py"), "--child", name, folder, str(start), str(num_mutations)]
            child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, env=plain_environment())
            last, seen = "", []  # of the file at work: when it was begun, and the CPU seconds before it
            done = threading.Event()
            hung: list[bool] = []

            def stop_if_it_hangs(child=child, seen=seen, done=done, hung=hung) -> None:
                began = time.monotonic()
                while not done.wait(0.5):
                    since, before = seen or (began + STARTUP_SECONDS, 0.0)
                    waited, busy = time.monotonic() - since, cpu_seconds(child.pid) - before
                    if waited > SECONDS and (busy > SECONDS or waited > 12 * SECONDS):
                        hung.append(True)
                        child.kill()
                        return

            watcher = threading.Thread(target=stop_if_it_hangs, daemon=True)
            watcher.start()
            assert child.stdout
            for line in child.stdout:
                last = line.strip()
                seen[:] = [time.monotonic(), cpu_seconds(child.pid)]
            status = child.wait()
            done.set()
            if last.startswith("done"):
                return refused + int(last.split()[1]), found
            errors.seek(0)
            said = errors.read().strip().splitlines() or [f"exit code {status}"]
            if not last:
                raise SystemExit(f"{name} cannot be run: {said[-1]}")
            number, refused_before, path = last.split(" ", 2)
            refused += int(refused_before)
            found += 1
            faults.mkdir(parents=True, exist_ok=True)
            kept = faults / f"{name}-{number}-{Path(path).name}"
            shutil.copy(path, kept)
            why = f"more than {SECONDS} s" if hung else f"exit code {status}: {said[-1]}"
            print(f"{name}: mutation {number}: {why} → {kept}", flush=True)
            kept.with_suffix(f"{kept.suffix}.txt").write_text("\n".join(said), encoding="utf-8")
            start = int(number) + 1
    return refused, found


def cpu_seconds(pid: int) -> float:
    """What a process used so far: on a busy machine not what passed. Without /proc that must do."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def plain_environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def lead(name: str, num_mutations: int, faults: Path) -> int:
    """Let atheris choose the damage; returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        words = [
            sys.executable,
            str(HERE / "run.py"),
            "--lead",
            name,
            folder,
            str(num_mutations),
            str(faults.resolve()),
        ]
        faults.mkdir(parents=True, exist_ok=True)
        return subprocess.run(words, check=False, env=plain_environment()).returncode


def led(name: str, folder: Path, num_mutations: int, faults: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["spurcli"]):
        from targets import quietly, targets

        from spurcli.errors import SpurError
    target = targets()[name]
    inputs, corpus = folder / "inputs", folder / "corpus"
    inputs.mkdir()
    corpus.mkdir()
    target.make(inputs)
    valid = {path: path.read_bytes() for path in sorted(inputs.glob(target.damaged)) if path.is_file()}
    paths = list(valid)
    for number, content in enumerate(valid.values()):
        (corpus / str(number)).write_bytes(bytes([number]) + content)
    os.chdir(inputs)

    def once(data: bytes) -> None:
        path = paths[data[0] % len(paths)] if data else paths[0]
        path.write_bytes(data[1:])
        with contextlib.suppress(SpurError):
            quietly(target.read, inputs)
        path.write_bytes(valid[path])

    options = [
        f"-runs={num_mutations}",
        f"-timeout={SECONDS}",
        f"-rss_limit_mb={(GIBIBYTES + 1) * 1024}",
        "-max_len=65536",
    ]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={faults}/{name}-", "-verbosity=0", str(corpus)], once)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="readers (default: all)")
    parser.add_argument("--mutations", type=int, default=10_000, help="damaged files for each reader")
    parser.add_argument(
        "--faults",
        type=Path,
        default=Path(tempfile.gettempdir()) / "spurcli-faults",
        help="folder for files that made a fault (default: %(default)s)",
    )
    parser.add_argument("--engine", choices=["random", "atheris"], default="random")
    arguments = parser.parse_args()
    from targets import targets

    total = 0
    for name in arguments.names or targets():
        started = time.monotonic()
        if arguments.engine == "atheris":
            code = lead(name, arguments.mutations, arguments.faults)
            total += code != 0
            told = "no fault" if code == 0 else f"a fault, exit code {code}"
        else:
            refused, found = watch(name, arguments.mutations, arguments.faults)
            total += found
            told = f"{refused:,} of {arguments.mutations:,} refused, {found} faults"
        print(f"{name}: {told}, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    if sys.argv[1:2] == ["--child"]:
        numbers = range(int(sys.argv[4]), int(sys.argv[5]))
        print(f"done {damage(sys.argv[2], Path(sys.argv[3]), numbers, limited=True)}")
    elif sys.argv[1:2] == ["--lead"]:
        led(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
    else:
        sys.exit(main())
