"""Every command in README, docs and examples exists as written; those that need no benchmark data are run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
SEVERAL_WORDS = (
    *("$SETTINGS", "$DATA", "$run", "$line", "$rule", "$like", "$clean", "$word", "$own", "$columns"),
    *("…", "COMMAND"),
)
SCRIPTS = sorted((ROOT / "examples").glob("*.sh"))


def shell_blocks(path: Path) -> list[str]:
    if path.suffix == ".sh":
        return [path.read_text(encoding="utf-8")]
    return re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def command_lines(block: str) -> list[list[str]]:
    """The words of every `spurcli …` in a shell text, up to the next pipe, redirection or comment."""
    found = []
    for line in block.replace("\\\n", " ").splitlines():
        for part in re.split(r"\||;|&&", line):
            words = shlex.split(part.strip().removeprefix("$ "), comments=True)
            if words[:1] == ["spurcli"]:
                cut = next((place for place, word in enumerate(words) if re.fullmatch(r"\d?>+|<", word)), len(words))
                found.append(words[1:cut])
    return found


@pytest.fixture
def bin_folder(tmp_path, warm):
    """A folder to put first in PATH, so that `spurcli` and `python` are those of this test, without their start."""
    folder = tmp_path / "bin"
    folder.mkdir()
    warm.command(folder / "spurcli", ["-m", "spurcli"])
    warm.command(folder / "python", [])
    return folder


def run_shell(text: str, folder: Path, bin_folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-ec", text],
        cwd=folder,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("path", [*DOCUMENTS, *SCRIPTS], ids=lambda path: path.name)
def test_every_command_and_option_exists(path, spurcli):
    for block in shell_blocks(path):
        for words in command_lines(block):
            # A variable of several words says nothing about its options; any other stands for one value.
            known = ["1" if "$" in word else word for word in words if word not in SEVERAL_WORDS]
            if not known or known[0].startswith("-"):
                continue
            result = spurcli(*known, "--help")
            assert result.code == 0, (words, result.err)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_readme_blocks_on_the_built_in_data_run_as_they_stand(tmp_path, bin_folder):
    blocks = [block for block in shell_blocks(ROOT / "README.md") if "--dataset demo" in block and "my_" not in block]
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        folder = tmp_path / f"block{number}"
        folder.mkdir()
        done = run_shell(block, folder, bin_folder)
        assert done.returncode == 0, done.stderr
        assert (folder / "model.safetensors").is_file()
        assert (folder / "evaluation.json").is_file()
    assert (tmp_path / "block0" / "report.html").is_file()


def test_pruning_baselines_run_as_they_stand(tmp_path, bin_folder):
    blocks = shell_blocks(ROOT / "docs" / "baselines.md")
    assert len(blocks) == 1
    settings = "--set training.epochs=1 --set dataset.options.num_train=500"
    done = run_shell(blocks[0].replace("--keep all", f"--keep all {settings}"), tmp_path, bin_folder)
    assert done.returncode == 0, done.stderr
    assert {f"{name}.txt" for name in ("random", "drop", "prototypes", "k-centre", "balanced")} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_python_calls_run_as_they_stand(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "own-parts.md").read_text(encoding="utf-8")
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "import spurcli\n" in code]
    exec(compile(block, "own-parts.md", "exec"), {})
    assert {"report.html", "errors.txt", "keep.txt"} <= {path.name for path in tmp_path.iterdir()}
    printed = capfd.readouterr()
    assert printed.out.count("'value'") == 2
    assert printed.err == ""


def test_own_parts(tmp_path, bin_folder):
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = run_shell("sh own_parts.sh", folder, bin_folder)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in folder.iterdir()}
    assert {"shapes.safetensors", "frame.h5", "foreign-keep.txt", "own-keep.txt", "own-parts.html"} <= made


def test_own_data(tmp_path, bin_folder):
    """The script, and then what the page tells to look at, on the files that the script made up."""
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = run_shell("sh own_data.sh", folder, bin_folder, SETTINGS="--set training.epochs=1 --set scoring.epoch=1")
    assert done.returncode == 0, done.stderr
    assert "gull/sea" in done.stdout
    assert "birds.csv" in (folder / "own-data.html").read_text(encoding="utf-8")
    blocks = [block for block in shell_blocks(ROOT / "docs" / "own-data.md") if "data check" in block]
    looked = run_shell("".join(blocks), folder, bin_folder)
    assert looked.returncode == 0, looked.stderr
    assert looked.stderr.count("30% test taken at random") == 1  # only reviews.csv has no split


def test_ci_job(tmp_path, bin_folder):
    script = (ROOT / "examples" / "ci.sh").read_text(encoding="utf-8")
    settings = "--set training.epochs=2 --set dataset.options.num_train=500 --epoch 1"
    done = run_shell(script, tmp_path, bin_folder, SETTINGS=settings, FLOOR="0.2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("accuracy 0.")
    again = tmp_path / "again"
    again.mkdir()
    assert run_shell(script, again, bin_folder, SETTINGS=settings, FLOOR="0.99").returncode == 1


def test_ci_job_fails_where_a_stage_fails(tmp_path, bin_folder):
    script = (ROOT / "examples" / "ci.sh").read_text(encoding="utf-8")
    done = run_shell(script, tmp_path, bin_folder, DATASET="demos")
    assert done.returncode == 3
    assert "did you mean demo?" in done.stderr
    assert not (tmp_path / "model.safetensors").exists()
