"""prune as typed, and pipes through real processes."""

from __future__ import annotations

import json
import shlex
import subprocess

import numpy as np
import pytest

from spurcli.artifacts.indices import read_indices


@pytest.fixture
def scores(score_file):
    label = np.repeat([0, 1], [60, 40])
    attribute = (np.arange(100) % 4 == 0).astype(int)
    return score_file(np.linspace(0, 1, 100), label, attributes=("no", "yes"), attribute=attribute)


def test_standard_names_in_and_out(spurcli, scores, tmp_path):
    result = spurcli("prune", "--fraction", "0.1", "--per-class")
    assert result.code == 0
    assert result.out == ""
    assert "Reading scores.h5" in result.err
    assert "10 of 100 samples removed, 90 kept" in result.err
    assert len(read_indices(tmp_path / "keep.txt").indices) == 90
    as_json = spurcli("prune", "--fraction", "0.1", "--per-class", "--kind", "remove", "--json")
    assert as_json.json["output"] == "remove.txt"
    assert read_indices(tmp_path / "remove.txt").indices.tolist() == [*range(54, 60), *range(96, 100)]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "The number of samples to remove is not set"),
        (["--fraction", "10%"], 2, "not a decimal number"),
        (["--fraction", "2"], 2, "not between 0 and 1"),
        (["--fraction", "1"], 3, "Nothing would be kept"),
        (["--fraction", "0.1", "--select", "hardset"], 2, "did you mean hardest"),
        (["--fraction", "0.1", "--score", "el3n"], 3, "has no score 'el3n'"),
        (["--fraction", "0.1", "--kind", "drop"], 2, "--kind drop"),
        (["--fraction", "0.1", "--group", "class0/ys"], 2, "did you mean class0/yes"),
        (["--fraction", "0.1", "--group", "class0/yes", "--per-class"], 2, "cannot be combined"),
        (["--fraction", "0.1", "--match-groups"], 2, "--match LIST"),
        (["--match", "absent.txt"], 3, "No such file"),
        (["--fraction", "0.1", "-o", "-", "--json"], 2, "both write to stdout"),
        (["absent.h5", "--fraction", "0.1"], 3, "No such file"),
        (["-", "-", "--fraction", "0.1"], 2, "Only one input"),
    ],
)
def test_wrong_words(spurcli, scores, tmp_path, words, code, says):
    result = spurcli("prune", *words)
    assert (result.code, result.out) == (code, "")
    assert says in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["scores.h5"]


def test_prune_imports_no_torch(spurcli_process, scores):
    result = spurcli_process("prune", "--fraction", "0.1", PYTHONPROFILEIMPORTTIME="1")
    assert result.code == 0
    assert "| torch" not in result.err


@pytest.fixture
def pipe(warm, tmp_path, tmp_path_factory):
    """Run `spurcli … | spurcli …` in a shell as a user types it: (exit code of the last, its stdout, all stderr)."""
    command = tmp_path_factory.mktemp("bin") / "spurcli"
    warm.command(command, ["-m", "spurcli"])

    def run(*commands):
        line = " | ".join(f"{shlex.quote(str(command))} {words}" for words in commands)
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_the_chain_through_pipes_leaves_no_files_between(pipe, tiny_flags, tmp_path):
    flags = shlex.join(tiny_flags)
    code, out, err = pipe(
        f"score --dataset demo --epoch 1 {flags} -o -",
        "prune - --fraction 0.1 --per-class -o -",
        "train --keep - --json",
    )
    assert code == 0, err
    result = json.loads(out)
    assert result["num_train"] == 300
    assert result["keep"]["rule"]["fraction"] == "0.1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.json", "model.safetensors"]


def test_a_failing_first_stage_is_seen_downstream(pipe, tmp_path):
    code, out, err = pipe("score --dataset nowhere -o -", "prune - --fraction 0.1 -o -", "train --keep - --json")
    assert (code, out) == (3, "")
    assert "Unknown data set 'nowhere'" in err
    assert err.count("The pipe is empty") == 2
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_cut_stream_is_refused(spurcli_forked, scores, tmp_path):
    content = scores.read_bytes()
    for cut in (100, len(content) // 2, len(content) - 1):
        result = spurcli_forked("prune", "-", "--fraction", "0.1", stdin=content[:cut])
        assert result.code == 3
        assert "Traceback" not in result.err
    assert not (tmp_path / "keep.txt").exists()
    whole = spurcli_forked("prune", "-", "--fraction", "0.1", "--json", stdin=content)
    assert whole.json["num_removed"] == 10
    assert (tmp_path / "keep.txt").exists()
