"""OUTPUT.state/: what a kill leaves there after the output was complete is removed, but not under another process."""

from __future__ import annotations

from pathlib import Path

from spurcli.artifacts.unfinished import clear, folder_of, unfinished


def test_a_run_that_is_complete_leaves_no_state(in_tiny_run, tmp_path):
    folder = folder_of(Path("model.safetensors"))
    folder.mkdir()
    (folder / "state.safetensors").write_bytes(b"of a run that was killed after its model was written")
    done = in_tiny_run("train", "--set", "training.epochs=1")
    assert (done.code, "nothing to do" in done.err) == (0, True), done.err
    assert not folder.exists()


def test_the_state_of_a_process_at_work_stays(tmp_path):
    output = tmp_path / "model.safetensors"
    with unfinished(output) as folder:
        folder.mkdir()
        clear(output)
        assert folder.is_dir()
    clear(output)
    assert not folder.exists()
