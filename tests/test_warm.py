"""Children of the warm process are what `python WORDS` would be, whoever starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest


def test_words_streams_folder_and_environment(warm, tmp_path):
    code = "import os, sys; print(sys.argv, os.getcwd(), os.environ['X'], sys.stdin.read()); print('é', file=sys.stderr); sys.exit(7)"
    (tmp_path / "in").write_text("given")
    streams = {name: tmp_path / name.removeprefix("std") for name in ("stdin", "stdout", "stderr")}
    child = warm.start(["-c", code, "a b"], tmp_path, environment={"X": "x"}, **streams)
    assert child.join(60) == child.exitcode == 7
    assert (tmp_path / "out").read_text() == f"['-c', 'a b'] {tmp_path} x given\n"
    assert (tmp_path / "err").read_text() == "é\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [("", 0), ("1 / 0", 1), ("raise SystemExit('no')", 1), ("raise SystemExit", 0), ("import os; os.kill(os.getpid(), 15)", -15)],
)  # fmt: skip
def test_exit_codes(warm, tmp_path, code, expected):
    assert warm.start(["-c", code], tmp_path).join(60) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals(warm, tmp_path, number):
    """SIGINT too, whatever whoever started the tests does with it."""
    (tmp_path / "a.py").write_text("import time\nprint(1, flush=True)\nwhile True:\n    time.sleep(0.01)\n")
    child = warm.start(["a.py"], tmp_path, stdout=tmp_path / "out")
    assert child.exitcode is None
    while not (tmp_path / "out").read_text():
        time.sleep(0.01)
    child.send_signal(number)
    assert child.join(60) == (1 if number == signal.SIGINT else -number)  # a KeyboardInterrupt that nobody handles


def test_a_shell_runs_it(warm, tmp_path):
    warm.command(tmp_path / "python", [])
    warm.command(tmp_path / "spurcli", ["-m", "spurcli"])
    (tmp_path / "a.py").write_text("import sys\nfrom beside import B\nprint(sys.argv, B)\n")
    (tmp_path / "beside.py").write_text("B = 1\n")
    script = """
    echo 'import sys; print(sys.argv)' | ./python - x | tr a-z A-Z
    ./python a.py y
    ./spurcli show missing 2> said || echo $?
    ./python -c 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)' || echo $?
    """
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['-', 'X']", "['a.py', 'y'] 1", "3", "137"]
    assert "missing" in (tmp_path / "said").read_text()


def test_the_child_of_a_shell_dies_with_it(warm, tmp_path):
    warm.command(tmp_path / "python", [])
    code = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"
    with subprocess.Popen([tmp_path / "python", "-c", code], stdout=subprocess.PIPE) as client:
        pid = int(client.stdout.readline())
        client.kill()
    for _ in range(6000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("it still runs")
