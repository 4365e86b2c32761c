"""Slips of the hand: what a command would silently ignore, or write over, is said instead."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from spurcli.cli import console
from spurcli.cli.progress import TerminalProgress
from spurcli.errors import UsageError
from spurcli.progress import Span, Turn
from spurcli.requests.files import output_file


@pytest.fixture
def chain(in_tiny_run):
    return in_tiny_run


def test_an_output_of_another_kind_is_not_replaced(chain):
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    for words in (
        ("prune", "scores.h5", "--fraction", "0.1", "-o", "scores.h5"),
        ("evaluate", "-o", "model.safetensors"),
        ("inject", "--dataset", "demo", "--feature", "patch", "--class", "3", "--count", "5", "-o", "keep.txt"),
        ("train", "--force", "-o", "keep.txt"),
        ("report", "--format", "html", "-o", "scores.h5"),
    ):
        result = chain(*words)
        assert result.code == 3, words
        assert "does not write" in result.err
        assert "Choose another file with -o" in result.err
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before
    assert chain("prune", "--fraction", "0.2", "-o", "keep.txt").code == 0  # its own kind is


@pytest.mark.parametrize("words", [("prune", "--fraction", "0.1"), ("evaluate",), ("report", "--format", "md")])
def test_a_folder_as_output_is_named_as_such(chain, words):
    for folder in (".", "/"):
        result = chain(*words, "-o", folder)
        assert result.code == 3
        assert f"{folder} is a folder" in result.err


@pytest.mark.parametrize(
    ("standard_name", "output", "right"),
    [
        ("keep.txt", "keep.csv", "keep.txt"),
        ("remove.txt", "a/keep.JSON", "a/keep.txt"),
        ("keep.txt", "filtered/", "filtered/keep.txt"),
        ("groups.txt", "groups.h5", "groups.txt"),
        ("errors.txt", "wrong.npy", "wrong.txt"),
        ("scores.h5", "x.csv", "x.h5"),
        ("scores.h5", "scores.parquet", "scores.h5"),
        ("model.safetensors", "model.pt", "model.safetensors"),
        ("model.safetensors", "runs/seed1/", "runs/seed1/model.safetensors"),
        ("evaluation.json", "test.csv", "test.json"),
        ("inject.json", "inject.toml", "inject.json"),
    ],
)
def test_an_output_named_as_another_kind_of_file_is_refused_with_the_right_name(tmp_path, standard_name, output, right):
    with pytest.raises(UsageError, match=re.escape(f"-o {output} ")) as caught:
        output_file(output, standard_name)
    assert caught.value.hint == f"Write -o {right}"
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("standard_name", "output"),
    [
        ("keep.txt", "keep"),
        ("keep.txt", "keep.v2"),
        ("keep.txt", "hardest0.1"),
        ("scores.h5", "s.hdf5"),
        ("model.safetensors", "m.2024"),
    ],
)
def test_other_names_are_free(tmp_path, monkeypatch, standard_name, output):
    monkeypatch.chdir(tmp_path)
    assert output_file(output, standard_name) == Path(output)


def test_figures_go_into_a_folder_that_is_there(chain):
    assert chain("evaluate").code == 0
    Path("figures").mkdir()
    for _ in range(2):
        assert chain("report", "--format", "svg", "-o", "figures").code == 0
    assert list(Path("figures").glob("*.svg"))
    assert chain("report", "--format", "pdf").code == 0
    assert list(Path("figures").glob("*.pdf"))
    assert chain("report", "--format", "pdf", "-o", "-").code == 2


def test_checkpoints_that_never_come_are_named(chain):
    result = chain("train", "--same-steps", "--save-epochs", "2,99", "-o", "s.safetensors")
    assert result.code == 0
    assert Path("s.epoch2.safetensors").is_file()
    assert "no checkpoint of epoch 99" in result.err
    piped = chain("train", "--save-epochs", "2", "-o", "-")
    assert piped.code == 2
    assert "Name a file with -o" in piped.err


def test_the_chosen_epoch_is_said(chain):
    result = chain("train", "--set", "training.selection=best-val-mean", "-o", "b.safetensors")
    assert "(best-val-mean)" in result.err


def test_a_list_that_is_not_used_is_not_said_to_be_read(chain, tiny_flags):
    result = chain("train", "--keep", "all", "--dataset", "demo", *tiny_flags, "-o", "all.safetensors")
    assert result.code == 0
    assert "Reading" not in result.err
    assert "300 of 300" in result.err


def test_train_reads_what_prune_wrote_as_remove(chain):
    assert chain("prune", "--fraction", "0.2", "--kind", "remove").code == 0
    both = chain("train", "-o", "second.safetensors")
    assert both.code == 2
    assert "Both keep.txt and remove.txt are here" in both.err
    Path("keep.txt").unlink()
    result = chain("train", "-o", "second.safetensors", "--json")
    assert result.code == 0
    assert "Reading remove.txt" in result.err
    assert result.json["num_kept"] == 240


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "--set", "training.epochs=7"),
        ("evaluate", "--set", "method.options.gamma=1"),
        ("score", "--checkpoint", "model.safetensors", "--set", "training.epochs=7", "-o", "b.h5"),
        ("score", "--dataset", "demo", "--set", "method.name=erm", "-o", "b.h5"),
        ("score", "--logits", "l.npy", "--labels", "y.npy", "--set", "scoring.batch_size=3", "-o", "b.h5"),
        ("evaluate", "--logits", "l.npy", "--labels", "y.npy", "--set", "model.options.hidden=[3]"),
        ("inject", "--dataset", "demo", "--class", "3", "--count", "5", "--set", "training.epochs=2"),
        ("data", "check", "demo", "--set", "model.name=mlp"),
    ],
)
def test_a_setting_without_effect_is_refused(chain, words):
    np.save("l.npy", np.eye(4, dtype=np.float32))
    np.save("y.npy", np.arange(4))
    result = chain(*words)
    assert result.code == 2
    assert "has no effect" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("score", "--labels", "y.npy"), "Add --logits FILE"),
        (("score", "--logits", "l.npy", "--labels", "y.npy", "--model", "mlp"), "--model has no effect with --logits"),
        (
            ("evaluate", "--logits", "l.npy", "--labels", "y.npy", "--model", "mlp"),
            "--model has no effect with --logits",
        ),
        (("prune", "scores.h5", "./scores.h5", "--fraction", "0.1"), "is named twice"),
        (("inject", "--dataset", "demo", "--class", "3", "--count", "5", "--score", "loss"), "Add --scores FILE"),
    ],
)
def test_flags_that_make_no_sense_together(chain, words, said):
    result = chain(*words)
    assert result.code == 2
    assert said in result.err


def test_a_list_that_removes_nothing_warns(chain):
    result = chain("prune", "--fraction", "0.001", "--per-class", "--json")
    assert result.code == 0
    assert any("Nothing is removed" in warning for warning in result.json["warnings"])
    assert "Nothing is removed" in result.err


def test_the_only_score_of_a_file_decides(spurcli):
    with h5py.File("own.h5", "w") as file:
        file.attrs["format"], file.attrs["version"] = "spurcli.scores", 1
        file["label"] = np.arange(10, dtype="<i8") % 2
        score = file.create_group("scores/mine")
        score.attrs["higher_is"] = "harder"
        score["values"] = np.arange(10, dtype="<f4")[None, :]
    result = spurcli("prune", "own.h5", "--fraction", "0.2", "--json")
    assert result.code == 0
    assert result.json["rule"]["score"] == "mine"
    assert [line for line in Path("keep.txt").read_text().split("\n") if line.isdigit()] == list("01234567")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def mine(*, data_root):\n    raise KeyError('colour')", "mine.py, line 2: KeyError: 'colour'"),
        ("def mine(*, data_root):\n    open('sizes.json')", "mine.py, line 2: sizes.json: No such file"),
        ("mine = 3", "mine.py:mine is not a function"),
        ("import numpy\ndef mine(*, data_root):\n    return numpy.zeros(3) @ numpy.zeros(2)", "mine.py, line 3"),
    ],
)
def test_an_error_in_an_own_part_is_no_bug_of_ours(spurcli_process, tmp_path, body, said):
    (tmp_path / "mine.py").write_text(body)
    result = spurcli_process("data", "check", "mine.py:mine")
    assert result.code in (1, 2)
    assert said in result.err
    assert "like a bug" not in result.err


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("list >&-", 0, ""),
        ("prune - --fraction 0.1 <&-", 3, "The pipe is empty"),
        ("recipe copy demo 2>&-", 0, ""),
        ("list --json >/dev/full", 1, "No space left on device"),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path, line, code, said):
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m spurcli {line}'],  # only a shell closes a stream
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stderr
    assert "like a bug" not in done.stderr


def test_json_and_tables_where_only_ascii_can_be_shown(spurcli_process):
    assert spurcli_process("list", "datasets", PYTHONIOENCODING="ascii").code == 0
    result = spurcli_process("list", "datasets", "--json", PYTHONIOENCODING="ascii")
    assert "16×16" in result.json["datasets"][0]["summary"]
    assert result.json["datasets"][0]["options"]["num_train"] == 4000


@pytest.mark.parametrize(
    "words", [("train", "--keep", ""), ("prune", "", "--fraction", "0.1"), ("score", "--dataset", "")]
)
def test_an_unset_variable_is_no_default(spurcli, words):
    result = spurcli(*words)
    assert result.code == 2
    assert "shell variable" in result.err


def test_a_missing_value_points_to_the_help_of_its_command(spurcli):
    assert "Try: spurcli prune --help" in spurcli("prune", "--group").err


def test_the_last_line_names_the_file(chain):
    assert "→ p.txt" in chain("prune", "--fraction", "0.1", "-o", "p.txt").err
    assert "Evaluation: evaluation.json" in chain("evaluate").err


def test_what_was_not_used_is_not_shown(chain):
    shown = chain("show", "keep.txt").out
    assert "None" not in shown
    assert "per: class" in shown
    assert "groups" not in chain("show", "scores.h5").out


def test_the_history_of_a_file_begins_with_inject(spurcli, tiny_flags):
    flags = ("--feature", "patch", "--class", "3", "--fraction", "0.3", *tiny_flags[:6])
    assert spurcli("inject", "--dataset", "demo", *flags).code == 0
    assert spurcli("score", "--dataset", "inject.json", *tiny_flags[6:]).code == 0
    assert spurcli("prune", "--fraction", "0.1").code == 0
    assert spurcli("train").code == 0
    assert spurcli("evaluate").code == 0
    for name in ("scores.h5", "keep.txt", "model.safetensors", "evaluation.json"):
        lines = [line for line in spurcli("show", name).out.splitlines() if line.startswith("$ spurcli")]
        stages = [line.split()[2] for line in lines]
        assert stages == ["inject", "score", "prune", "train", "evaluate"][: len(stages)]
        assert len(stages) >= 2


def test_help_shows_no_types_of_python(spurcli_process):
    for command in ((), ("score",), ("prune",), ("report",), ("data", "check"), ("recipe", "copy")):
        out = spurcli_process(*command, "--help", COLUMNS="80").out
        assert "<bool>" not in out
        assert "<list" not in out
        assert "<path>" not in out
        assert "[[" not in out


def test_short_epochs_do_not_blank_the_progress(monkeypatch):
    monkeypatch.setattr("sys.stderr", stream := io.StringIO())
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    progress = TerminalProgress()
    for epoch in range(3):
        progress.start(f"epoch {epoch}", 100)
        progress.advance(100)
    shown = stream.getvalue()
    assert shown.startswith("\r\x1b[2Kepoch 0: 100 of 100")
    assert not shown.endswith("\x1b[2K")
    progress.close()
    assert stream.getvalue().endswith("\x1b[2K")


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_the_time_left_is_that_of_the_job(monkeypatch):
    """3 runs of 2 epochs of 1,000 samples at 100 a second; between them an evaluation, which the job pays for too."""
    clock, said = Clock(), []
    monkeypatch.setattr("spurcli.cli.progress.time", clock)
    monkeypatch.setattr("spurcli.cli.progress.say", said.append)
    progress = TerminalProgress()
    for run in range(3):
        turn = Turn(progress, run, 3)
        for epoch in range(2):
            turn.start(f"run {run}, epoch {epoch}", 1000, Span(epoch / 2, 1 / 2))
            turn.advance(0)
            for _ in range(20):
                clock.now += 0.5
                turn.advance(50)
            turn.start("evaluating", 100)
            clock.now += 2
            turn.advance(100)
    assert said[0] == "run 0, epoch 1: 300 of 1,000 (100 a second), 54 s left"  # in truth 57 s
    assert said[-1] == "evaluating: 100 of 100 (50 a second), 12 s left"  # the last epoch and its evaluation


def test_the_preparation_of_a_piece_says_nothing_about_the_time_left(monkeypatch):
    clock, said = Clock(), []
    monkeypatch.setattr("spurcli.cli.progress.time", clock)
    monkeypatch.setattr("spurcli.cli.progress.say", said.append)
    progress = TerminalProgress()
    progress.start("words", 20_000)
    for _ in range(2):
        clock.now += 20
        progress.advance(1)
    assert said == ["words: 1 of 20,000", "words: 2 of 20,000, 111.1 h left"]


def test_what_was_done_before_a_kill_took_no_time(monkeypatch):
    clock, said = Clock(), []
    monkeypatch.setattr("spurcli.cli.progress.time", clock)
    monkeypatch.setattr("spurcli.cli.progress.say", said.append)
    progress = TerminalProgress()
    progress.start("training, epoch 9 of 10", 1000, Span(0.8, 0.1))
    progress.advance(500)
    clock.now += 20
    progress.advance(100)
    assert said == ["training, epoch 9 of 10: 600 of 1,000 (5 a second), 4.7 min left"]


@pytest.mark.parametrize("width", [20, 40, 79, 80])
def test_lines_on_a_terminal_end_between_words_and_never_in_what_is_copied(monkeypatch, width):
    said = (
        "a_file_with_quite_a_long_name.safetensors is the finished output of another run\n"
        "Choose another with -o FILE, or: spurcli train --keep keep.txt -o /a/b/model.safetensors (and no other)."
    )
    kept = ["-o FILE", "spurcli train --keep keep.txt -o /a/b/model.safetensors"]
    for live in (True, False):
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr(stream, "isatty", lambda live=live: live, raising=False)
        monkeypatch.setenv("COLUMNS", str(width))
        console.console.cache_clear()
        console.warn(said)
        console.console.cache_clear()
        shown = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
        assert " ".join(shown.split()) == " ".join(f"Warning: {said}".split())
        assert all(text in shown for text in kept)
        lines = shown.removesuffix("\n").split("\n")
        assert (len(lines) == 2) != live or width > 200
        if live:
            assert all(len(line) <= width or " " not in line or "spurcli train" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("score", "demo"), 2, "--dataset demo"),
        (("train", "keep.txt"), 2, "--keep keep.txt"),
        (("train", "scores.h5"), 2, "spurcli prune scores.h5"),
        (("evaluate", "model.safetensors", "tests"), 2, "spurcli evaluate --help"),
        (("score", "--dataset", "keep.txt"), 3, "keep.txt is an index list, not a data set"),
        (("prune", "keep.txt", "--fraction", "0.1"), 3, "keep.txt is an index list, not a score file"),
        (("train", "--keep", "scores.h5"), 3, "scores.h5 is a score file, not an index list"),
        (("evaluate", "history.json"), 3, "history.json is a training history, not a checkpoint"),
        (("infer", "keep.txt", "--by", "mistakes"), 3, "not a checkpoint or a predictions file"),
    ],
)
def test_a_file_in_the_place_of_another_is_called_what_it_is(chain, words, code, said):
    result = chain(*words)
    assert result.code == code
    assert said in result.err


def test_an_interruption_is_said(spurcli, monkeypatch, tmp_path):
    """Typer makes a bare exit code of a KeyboardInterrupt."""

    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("spurcli.stages.prune.prune", interrupted)
    (tmp_path / "scores.h5").touch()
    done = spurcli("prune", "--fraction", "0.1")
    assert (done.code, done.err.splitlines()[-1]) == (130, "Error: Interrupted")
