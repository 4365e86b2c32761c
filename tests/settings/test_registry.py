"""Names and user code: near names, file.py:attr, package.module:attr, and what goes wrong in them."""

from __future__ import annotations

import sys

import pytest

from spurcli.errors import InputError, MissingExtraError, UsageError
from spurcli.registries import ALL, DATASETS, MODELS, SCORES
from spurcli.registry import Entry, Registry, is_user_code, near


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.kind)
def test_everything_registered_is_there_and_describes_itself(registry):
    for name, entry in registry.entries.items():
        assert name in registry
        registry.check(name)
        assert callable(registry.load(name))
        assert entry.summary
        assert "\n" not in entry.summary


def test_an_unknown_name_is_answered_with_near_ones():
    for use in (SCORES.load, SCORES.check):
        with pytest.raises(UsageError) as caught:
            use("el2m")
        assert caught.value.problem.startswith("Unknown score 'el2m', did you mean el2n")
        assert "Your own: --add-score path/to/file.py:attr" in caught.value.hint
    assert near("zzzz", ["el2n"]) == ""
    assert near("nope.csv", ["nop.csv", "nop.csv"]) == ", did you mean nop.csv?"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("own.py:load", True),
        ("dir/own.py:load", True),
        ("/abs/my file.py:load", True),
        ("package.module:attr", True),
        ("demo", False),
        ("own.py", False),
        ("own.py:", False),
        ("own.py:not-a-name", False),
        (":attr", False),
        ("http://x.org:80", False),
        ("own.txt:attr", True),  # reads as a module
        ("a b:attr", False),
        ("own.py:load\n", False),
    ],
)
def test_what_counts_as_user_code(spec, expected):
    assert is_user_code(spec) is expected


def test_code_from_a_file_runs_once_and_only_when_loaded(tmp_path):
    path = tmp_path / "own part.py"
    path.write_text(
        "from pathlib import Path\nran = Path(__file__).with_name('ran')\n"
        "ran.write_text(ran.read_text() + 'x' if ran.exists() else 'x')\ndef build(): return 7\n"
    )
    MODELS.check(f"{path}:build")
    assert not (tmp_path / "ran").exists()
    build = MODELS.load(f"{path}:build")
    assert build() == 7
    assert MODELS.load(f"{path}:build") is build
    assert (tmp_path / "ran").read_text() == "x"
    assert sys.modules[build.__module__].build is build  # worker processes and dataclasses look it up


def test_files_of_equal_name_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(f"def build(): return {folder!r}\n")
    assert [MODELS.load(f"{tmp_path}/{folder}/own.py:build")() for folder in "ab"] == ["a", "b"]


def test_code_from_an_installed_module():
    import json

    assert DATASETS.load("json:loads") is json.loads


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def build(:\n", r"own\.py failed while being imported: SyntaxError"),
        ("1 / 0\n", r"failed while being imported: ZeroDivisionError: division by zero"),
        ("import not_installed_anywhere\n", "ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("raise SystemExit(0)\n", "failed while being imported: SystemExit: 0"),
        ("raise ValueError('one\\ntwo')\n", "ValueError: one\nRun it with python"),
    ],
)
def test_code_that_fails_on_import_says_so(tmp_path, monkeypatch, code, words):
    name = f"fails_{abs(hash(code))}"
    path = tmp_path / "own.py"
    path.write_text(code)
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=words):
        MODELS.load(f"{path}:build")
    path.write_text("def build(): return 1\n")
    assert MODELS.load(f"{path}:build")() == 1  # mended, it loads
    if "not_installed" in code:
        with pytest.raises(
            MissingExtraError, match="needs the package 'not_installed_anywhere'\nInstall it: pip install"
        ):
            MODELS.load(f"{name}:build")
    else:
        with pytest.raises(InputError, match="failed while being imported"):
            MODELS.load(f"{name}:build")


def test_what_is_not_there(tmp_path):
    (tmp_path / "own.py").write_text("def build(): pass\n")
    with pytest.raises(UsageError, match=r"no 'biuld' there, did you mean build\?"):
        MODELS.load(f"{tmp_path}/own.py:biuld")
    with pytest.raises(UsageError, match=r"No such file: .*other\.py"):
        MODELS.load(f"{tmp_path}/other.py:build")
    with pytest.raises(UsageError, match="No module 'no_such_package' for the model"):
        MODELS.load("no_such_package:build")
    with pytest.raises(UsageError, match=r"No module 'json\.nothing'"):
        MODELS.load("json.nothing:build")
    with pytest.raises(UsageError, match="no 'lods' there, did you mean"):
        MODELS.load("json:lods")


def test_a_mistake_of_our_own_is_not_blamed_on_the_user(monkeypatch):
    registry = Registry("thing", "--thing", {"x": Entry("spurcli.registry:nothing", "x")})
    with pytest.raises(UsageError, match="no 'nothing' there"):
        registry.load("x")


def test_a_file_imports_what_lies_beside_it_as_python_does(tmp_path, monkeypatch):
    """At its top, inside a function, through another sibling, from a package; two folders are not mixed up."""
    before = list(sys.path), list(sys.meta_path)
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder / "zpkg").mkdir(parents=True)
        (tmp_path / folder / "zlayers.py").write_text(
            f"from zbase import N\ndef late():\n    import zlate\n    return zlate.N\nV = N + {number}"
        )
        (tmp_path / folder / "zbase.py").write_text("N = 10")
        (tmp_path / folder / "zlate.py").write_text(f"N = {number}")
        (tmp_path / folder / "zpkg" / "__init__.py").write_text("from .inner import W")
        (tmp_path / folder / "zpkg" / "inner.py").write_text(f"W = {number}")
        (tmp_path / folder / "own.py").write_text(
            "from dataclasses import dataclass\nfrom zlayers import V, late\nimport zpkg.inner\n"
            "def build():\n    from zlate import N\n    import zlayers\n    return V, zlayers.V, N, late(), zpkg.W, zpkg.inner.W\n"
        )
    builds = [MODELS.load(f"{tmp_path / folder / 'own.py'}:build") for folder in ("one", "two")]
    for number in (0, 1, 0):
        assert builds[number]() == (10 + number, 10 + number, number, number, number, number)
    assert (sys.path, sys.meta_path) == before
    (tmp_path / "one" / "timm.py").write_text("N = 5")
    (tmp_path / "one" / "shadow.py").write_text(
        "import timm\ndef build():\n    import timm as again\n    return timm.N + again.N"
    )
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    assert MODELS.load(f"{tmp_path / 'one' / 'shadow.py'}:build")() == 10
    assert "timm" not in sys.modules
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / "own.py").write_text("import zabsent")
    with pytest.raises(InputError, match="No module named 'zabsent'"):
        MODELS.load(f"{tmp_path / 'three' / 'own.py'}:build")
    (tmp_path / "three" / "dotted.py").write_text("from .own import N")
    with pytest.raises(InputError) as caught:
        MODELS.load(f"{tmp_path / 'three' / 'dotted.py'}:build")
    assert "without the dot" in caught.value.hint
    (tmp_path / "three" / "other.py").write_text("import zlate\ndef build(): return zlate.N")
    monkeypatch.delitem(sys.modules, "zlate")
    with pytest.raises(InputError, match="No module named 'zlate'"):
        MODELS.load(f"{tmp_path / 'three' / 'other.py'}:build")
