"""What the user of a damaged file sees: two lines, exit code 3, and the earlier output as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

COMMANDS = {
    "scores.h5": ("prune", "scores.h5", "--fraction", "0.1", "-o", "out"),
    "keep.txt": ("train", "--dataset", "demo", "--keep", "keep.txt", "-o", "out", "--force"),
    "groups.txt": ("prune", "good.h5", "--fraction", "0.1", "--group-labels", "groups.txt", "-o", "out"),
    "model.safetensors": ("evaluate", "model.safetensors", "-o", "out"),
    "inject.json": ("score", "--dataset", "inject.json", "-o", "out", "--force"),
    "logits.npy": ("score", "--logits", "logits.npy", "--labels", "labels.npy", "-o", "out", "--force"),
    "evaluation.json": ("report", "evaluation.json", "--format", "html", "-o", "out"),
}
GOLDEN = {"logits.npy": None, **{name: name.replace(".", "-v1.") for name in COMMANDS if name != "logits.npy"}}


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "absent", "folder"])
@pytest.mark.parametrize("name", COMMANDS)
def test_damaged_input_stops_before_anything_is_replaced(spurcli, golden, tmp_path, name, damage):
    whole = (golden / GOLDEN[name]).read_bytes() if GOLDEN[name] else b"\x93NUMPY\x01\x00" + bytes(100)
    content = {"cut": whole[: len(whole) // 2], "garbage": b"\x80\xfe\x00garbage" * 9, "empty": b""}.get(damage)
    if content is not None:
        Path(name).write_bytes(content)
    elif damage == "folder":
        Path(name).mkdir()
    Path("out").write_text("old")
    Path("good.h5").write_bytes((golden / "scores-v1.h5").read_bytes())
    done = spurcli(*COMMANDS[name])
    lines = [line for line in done.err.splitlines() if not line.startswith("Reading ")]
    assert done.code == 3, done.err
    assert lines[0].startswith("Error: ")
    assert len(lines) == 2
    assert done.out == ""
    assert Path("out").read_text() == "old"
    assert {path.name for path in Path().iterdir()} - {name} == {"out", "good.h5"}


def test_code_that_a_file_names_is_not_run(spurcli, golden, tmp_path):
    Path("evil.py").write_text("from pathlib import Path\nPath('ran').touch()\ndef load(*, data_root): ...\n")
    content = json.loads((golden / "inject-v1.json").read_text())
    del content["sha256"]
    for change in ({"dataset": {"name": "evil.py:load", "options": {}}}, {"feature": "evil.py:load"}):
        Path("inject.json").write_text(json.dumps({**content, **change}))
        done = spurcli("score", "--dataset", "inject.json", "--recipe", "demo")
        assert done.code == 3
        assert "code is never run because a file names it\nIf you trust it, name it again: --" in done.err
        assert not Path("ran").exists()
