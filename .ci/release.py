"""Builds dist/: the wheel and the source archive of the last commit, with absolute links in the README, and checks both.

    make release

It uploads nothing. It needs `build` and `twine`, and the address of the repository in pyproject.toml:

    [project.urls]
    Repository = "https://github.com/OWNER/NAME"

A package index shows the README without the other files, so each relative link becomes one to the tag vVERSION in that
repository (addresses as GitHub's, GitLab's or Codeberg's). `--no-address` builds with relative links, to look at.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELATIVE = re.compile(r"(!?)(\[[^\]]*\])\((?!https?://|mailto:|#)([^)\s]+)\)")
NOT_IN_ARCHIVE = {".gitattributes", ".gitignore", ".pre-commit-config.yaml"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-address", action="store_true", help="keep relative links; not for an upload")
    asked = parser.parse_args()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version, address = value_of("version", project), value_of("Repository", project)
    problem = refused(address, version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), changed())
    if problem and not asked.no_address:
        print(f"release: {problem}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="spurcli-release-") as folder:
        tree = Path(folder) / "tree"
        tracked = checkout(tree)
        readme = tree / "README.md"
        if not asked.no_address:
            readme.write_text(absolute(readme.read_text(encoding="utf-8"), address, version), encoding="utf-8")
        dist = ROOT / "dist"
        shutil.rmtree(dist, ignore_errors=True)
        python(["-m", "build", "--outdir", str(dist), str(tree)])
    wheel, archive = next(dist.glob("*.whl")), next(dist.glob("*.tar.gz"))
    python(["-m", "twine", "check", "--strict", str(wheel), str(archive)])
    if found := [*wrong_in_wheel(wheel, tracked), *wrong_in_archive(archive, tracked)]:
        print("release:", *found, sep="\n  ", file=sys.stderr)
        return 1
    print(
        f"{wheel.name} and {archive.name} are in dist/", *(["; NOT FOR AN UPLOAD"] if asked.no_address else []), sep=""
    )
    return 0


def refused(address: str, version: str, changelog: str, changed_files: str) -> str:
    """Why nothing is built for an upload; empty if it can be."""
    if changed_files:
        return f"not committed: {changed_files.split()[-1]}. Commit first: the last commit is built."
    if not address:
        return (
            "the README's relative links would be broken on a package index. "
            'Add [project.urls] Repository = "https://…" to pyproject.toml.'
        )
    if f"\n## {version} " not in changelog:
        return f"CHANGELOG.md has no section '## {version} – DATE'. Give 'Unreleased' this heading."
    return ""


def absolute(text: str, address: str, version: str) -> str:
    """The Markdown with each relative link as a link to the tag of `version`; pictures to the file itself."""

    def link(found: re.Match[str]) -> str:
        picture, label, target = found.groups()
        return f"{picture}{label}({address.rstrip('/')}/{'raw' if picture else 'blob'}/v{version}/{target})"

    return RELATIVE.sub(link, text)


def wrong_in_wheel(wheel: Path, tracked: set[str]) -> list[str]:
    """The wheel holds the tracked files of the package, its metadata and the licence, and nothing else."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not re.match(r"[^/]+\.dist-info/", name)}
    wanted = {name for name in tracked if name.startswith("spurcli/")}
    licence = any(name.endswith("/licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())
    return [*compared(wheel.name, names, wanted), *([] if licence else [f"{wheel.name} has no LICENSE"])]


def wrong_in_archive(archive: Path, tracked: set[str]) -> list[str]:
    """The source archive holds all tracked files but git's own, and what setuptools adds."""
    with tarfile.open(archive) as opened:
        names = {each.name.partition("/")[2] for each in opened.getmembers() if each.isfile()}
    made = {name for name in names if name in ("PKG-INFO", "setup.cfg") or name.startswith("spurcli.egg-info/")}
    return compared(archive.name, names - made, tracked - NOT_IN_ARCHIVE)


def compared(where: str, names: set[str], wanted: set[str]) -> list[str]:
    missing = [f"{where} lacks {name}" for name in sorted(wanted - names)]
    return missing + [f"{where} has {name}, which is not tracked" for name in sorted(names - wanted)]


def value_of(key: str, project: str) -> str:
    """A string of pyproject.toml; Python 3.10 has no tomllib."""
    found = re.search(rf'^{key} = "([^"]+)"', project, re.MULTILINE)
    return found[1] if found else ""


def changed() -> str:
    return git("status", "--porcelain").stdout.decode()


def checkout(folder: Path) -> set[str]:
    """The files of the last commit in `folder`, and their names."""
    folder.mkdir()
    packed = folder.parent / "tree.tar"
    git("archive", "--output", str(packed), "HEAD")
    with tarfile.open(packed) as opened:
        opened.extractall(folder, filter="data")
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def git(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True)


def python(words: list[str]) -> None:
    subprocess.run([sys.executable, *words], check=True)


if __name__ == "__main__":
    sys.exit(main())
