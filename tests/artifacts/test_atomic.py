"""A file appears whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from spurcli.artifacts.atomic import atomic_path, readable_os_errors, write_json, write_text
from spurcli.errors import InputError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_written_whole_with_the_rights_of_a_new_file(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "new" / "x.txt", "größer\n")
    finally:
        os.umask(old)
    path = tmp_path / "new" / "x.txt"
    assert path.read_bytes() == "größer\n".encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(path.parent) == ["x.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_way_out_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_killed_while_writing(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    script = """
        import sys, time
        from pathlib import Path
        from spurcli.artifacts.atomic import atomic_path
        with atomic_path(Path(sys.argv[1])) as temporary:
            temporary.write_text("half")
            print("ready", flush=True)
            time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        write_text(path, "other")
        assert len(names(tmp_path)) == 2  # what is being written is let alone
        process.send_signal(signal.SIGKILL)
    assert path.read_text() == "other"
    left = next(name for name in names(tmp_path) if name != "x.txt")
    assert left.startswith(".x.txt.")
    assert left.endswith(".tmp")
    elsewhere = [left.replace(".x.txt.", ".x.txt.other"), ".x.txt.x.tmp", left.replace(".x.txt.", ".x.")]
    for name in elsewhere:
        (tmp_path / name).write_text("another machine's, an older version's, another file's")
    write_text(path, "new")  # and what a killed process left is swept by the next
    assert path.read_text() == "new"
    assert names(tmp_path) == sorted([*elsewhere, "x.txt"])


WRITERS = {
    "text": "from spurcli.artifacts.atomic import write_text\nwrite_text(path, 'x' * 100_000)",
    "hdf5": """
        import numpy as np
        from spurcli.artifacts.fingerprint import Fingerprint
        from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
        from spurcli.artifacts.subject import Subject
        n = 100_000
        with write_scores(path, ScoresHeader(Subject(Fingerprint(n)), (), (), {}), np.arange(n)) as writer:
            writer.add_score(ScoreInfo("el2n", "harder"))
            writer.write("el2n", 0, 0, np.random.default_rng(0).random(n, dtype=np.float32))
    """,
    "safetensors": """
        import torch
        from spurcli.artifacts.checkpoint_torch import save_checkpoint
        save_checkpoint(path, {"w": torch.zeros(100_000)}, {})
    """,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_no_room_is_said_and_the_old_file_stays(tmp_path, writer):
    """A limit on the size of files stands in for a full disk: the same calls fail at the same places."""
    path = tmp_path / "out"
    path.write_text("old")
    script = f"""
import sys
from pathlib import Path
from spurcli.errors import InputError
path = Path(sys.argv[1])
try:
{textwrap.indent(textwrap.dedent(WRITERS[writer]), "    ")}
except InputError as error:
    print(error)
    sys.exit(3)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[0] == f"Cannot write {path}: File too large"
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left while writing"),
        (errno.EDQUOT, "No space left while writing"),
        (errno.EACCES, "Not allowed to write"),
        (errno.EROFS, "Not allowed to write"),
        (errno.EIO, "Cannot write .*: Input/output error"),
    ],
)
def test_what_the_system_says_becomes_a_next_step(tmp_path, number, words):
    path = tmp_path / "x.h5"
    texts = f"Unable to write (errno = {number}, error message = '{os.strerror(number)}')"
    raised = [OSError(number, os.strerror(number), str(path)), OSError(number, os.strerror(number))]
    if number in (errno.ENOSPC, errno.EACCES):
        raised += [RuntimeError(texts), OSError(texts)]  # as HDF5 words it
    for error in raised:
        with pytest.raises(InputError, match=words) as caught, readable_os_errors(path):
            raise error
        assert caught.value.hint


def test_errors_of_other_files_and_of_programs_are_not_blamed_on_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), readable_os_errors(tmp_path / "out.h5"):
        (tmp_path / "picture.png").read_bytes()
    with pytest.raises(RuntimeError, match="shapes"), readable_os_errors(tmp_path / "out.h5"):
        raise RuntimeError("shapes do not match")


def test_a_folder_without_rights(tmp_path):
    tmp_path.chmod(0o555)
    user = os.geteuid()
    if user == 0:  # root may write anywhere: try as nobody
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match="Not allowed to write"):
            write_text(tmp_path / "x.txt", "x")
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o755)
    assert names(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    for place, words in (
        ("folder", "is a folder\nName a file to write with -o FILE"),
        ("pipe", "is a pipe or a device"),
        ("file/x.txt", "Cannot write .*(File exists|Not a directory)"),
        ("x" * 250, "Cannot write .*File name too long"),
    ):
        with pytest.raises(InputError, match=words):
            write_text(tmp_path / place, "x")
    assert names(tmp_path) == ["file", "folder", "pipe"]
    assert (tmp_path / "file").read_text() == "old"
    with pytest.raises(InputError, match="is a pipe or a device"):
        write_text(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()


def test_json_is_sorted_and_short(tmp_path):
    write_json(tmp_path / "x.json", {"b": [1, 2.5, None], "a": {"d": [[1], [2]], "c": "ü"}, "e": {}, "f": []})
    assert (tmp_path / "x.json").read_text() == (
        '{\n "a": {\n  "c": "ü",\n  "d": [\n   [1],\n   [2]\n  ]\n },\n "b": [1, 2.5, null],\n "e": {},\n "f": []\n}\n'
    )
