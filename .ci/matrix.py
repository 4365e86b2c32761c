"""Installs the wheel into empty environments, one for each Python and choice of dependencies, and runs the method in it.

    make matrix                                     every interpreter found, lowest and newest dependencies
    python3 .ci/matrix.py 3.13:newest 3.10:lowest    these only
    python3 .ci/matrix.py 3.13:newest --tests tests  and pytest with these words, of the installed wheel with its extra `test`
    python3 .ci/matrix.py 3.13:newest --keep FOLDER  the environments stay in FOLDER, to look at what failed

It needs no network but the package index, several GB of disk for one environment at a time, and some minutes for each (much less
with uv, which is used if it is in PATH). It is not part of CI. Interpreters are looked for in PATH and in pyenv's folder.
`lowest` pins each dependency of pyproject.toml to the version after its >=.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# The lowest numpy, scipy, pillow and torch have no wheels for newer interpreters.
WITH_LOWEST = ("3.10", "3.11")
TINY = ["--set", "training.epochs=2", "--set", "dataset.options.num_train=500", "--set", "scoring.epoch=1"]
SMOKE = (
    ["--version"],
    ["list", "--json"],
    ["score", "--help"],
    ["score", "--dataset", "demo", *TINY],
    ["prune", "--fraction", "0.1", "--per-class"],
    ["train"],
    ["evaluate"],
    ["report"],
    ["show", "keep.txt"],
)
SHOWN = ("torch", "numpy", "typer", "transformers", "scikit-learn")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="PYTHON:newest or PYTHON:lowest")
    parser.add_argument("--tests", nargs=argparse.REMAINDER, default=[], help="words for pytest; the last option")
    parser.add_argument("--keep", type=Path, help="a folder in which the environments stay")
    asked = parser.parse_args()
    rows = [row.split(":") for row in asked.rows] or [
        *([version, "newest"] for version in PYTHONS),
        *([version, "lowest"] for version in WITH_LOWEST),
    ]
    print("| Python | dependencies | result | versions | seconds |\n|---|---|---|---|---|", flush=True)
    failed = 0
    with contextlib.ExitStack() as stack:
        folder = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spurcli-matrix-")))
        wheel = build(folder)
        for version, choice in rows:
            begun = time.monotonic()
            python = interpreter(version)
            if python is None:
                print(f"| {version} | {choice} | no such interpreter here | | |", flush=True)
                continue
            place = folder.resolve() / f"{version}-{choice}"
            result, installed = tried(python, place, wheel, choice, asked.tests)
            failed += not result.startswith("passed")
            print(f"| {version} | {choice} | {result} | {installed} | {time.monotonic() - begun:.0f} |", flush=True)
            if not asked.keep:
                shutil.rmtree(place, ignore_errors=True)
    return 1 if failed else 0


def build(folder: Path) -> Path:
    """The wheel of this tree, built by pip."""
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)  # setuptools packs what an older build left there
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, *words], check=True)
    return next(folder.glob("*.whl"))


def interpreter(version: str) -> str | None:
    """The newest patch release of `version` in pyenv's folder, or the one in PATH."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(root.glob(f"versions/{version}.*/bin/python"), key=lambda path: int(path.parts[-3].split(".")[2]))
    return str(found[-1]) if found else shutil.which(f"python{version}")


def lowest() -> str:
    """Constraints: each dependency that pip installs with the wheel, at the version after its >=."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.partition("\ndependencies = [")[2].partition("\n]")[0]
    return "".join(f"{name}=={number}\n" for name, number in re.findall(r'"([\w-]+)>=([\d.]+)', block))


def tried(python: str, place: Path, wheel: Path, choice: str, tests: list[str]) -> tuple[str, str]:
    """What came of it, and the versions that were installed."""
    subprocess.run([python, "-m", "venv", "--clear", str(place)], check=True)
    work, programs = place / "work", place / "bin"
    work.mkdir()
    limits = place / "constraints.txt"
    limits.write_text(lowest() if choice == "lowest" else "", encoding="utf-8")
    # the tests start what they find in PATH, and uv installs into VIRTUAL_ENV
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"VIRTUAL_ENV": str(place)}
    clean["PATH"] = f"{programs}{os.pathsep}{clean.get('PATH', '')}"
    pip = ["uv", "pip"] if shutil.which("uv") else [programs / "python", "-m", "pip"]
    install = [*pip, "install", "--quiet", "--constraint", limits]
    steps = [
        (work, [*install, wheel]),
        (work, [*pip, "check"]),
        *((work, [programs / "spurcli", *words]) for words in SMOKE),
    ]
    if tests:
        # `pytest` and not `python -m pytest`, which would import the package of this folder instead of the installed one
        steps += [(work, [*install, f"{wheel}[test]"]), (ROOT, [programs / "pytest", "-q", *tests])]
    for folder, words in steps:
        done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout[-30000:], done.stderr[-3000:], sep="\n", file=sys.stderr)
            shown = " ".join(map(str, words[1:])).replace(str(place), "…")
            return f"failed: {Path(words[0]).name} {shown}", versions(programs)
    # pytest's last line counts what passed
    return ": ".join(["passed", *done.stdout.splitlines()[-1:]]) if tests else "passed", versions(programs)


def versions(programs: Path) -> str:
    code = "import importlib.metadata as m, sys; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
    done = subprocess.run([programs / "python", "-c", code, *SHOWN], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
