"""What `make release` refuses, and how it makes the README fit for a package index."""

from __future__ import annotations

import importlib.util
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ADDRESS = "https://example.org/owner/spurcli"


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_link_of_the_readme_becomes_absolute(release):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = release.absolute(text, f"{ADDRESS}/", "1.2.3")
    assert text.count("](") == found.count("](") == found.count("](https://")
    assert f"({ADDRESS}/blob/v1.2.3/docs/tasks.md)" in found
    assert f"({ADDRESS}/raw/v1.2.3/docs/report-demo.png)" in found
    same = "[a](https://a.b/c) [d](#e) [f](mailto:g@h.i)"
    assert release.absolute(same, ADDRESS, "1") == same


@pytest.mark.parametrize(
    ("address", "changelog", "changed", "said"),
    [
        (ADDRESS, "\n## 1.2 – 2026-12-01\n", "", ""),
        ("", "\n## 1.2 – 2026-12-01\n", "", "Add [project.urls] Repository"),
        (ADDRESS, "\n## Unreleased\n", "", "no section '## 1.2"),
        (ADDRESS, "\n## 1.2 – 2026-12-01\n", " M README.md\n", "not committed: README.md"),
    ],
)
def test_what_cannot_be_uploaded_is_not_built(release, address, changelog, changed, said):
    found = release.refused(address, "1.2", changelog, changed)
    assert said in found
    assert bool(found) == bool(said)


def test_files_that_are_missing_or_too_many_are_named(release, tmp_path):
    tracked = {"README.md", ".gitignore", "spurcli/__init__.py", "spurcli/recipes/demo.toml"}
    wheel, archive = tmp_path / "a.whl", tmp_path / "a.tar.gz"
    with zipfile.ZipFile(wheel, "w") as opened:
        for name in ("spurcli/__init__.py", "tests/photo.png", "spurcli-1.dist-info/METADATA"):
            opened.writestr(name, "")
    with tarfile.open(archive, "w:gz") as opened:
        for name in ("README.md", "PKG-INFO", "spurcli/__init__.py", "spurcli/recipes/demo.toml", "dist/old.whl"):
            opened.addfile(tarfile.TarInfo(f"spurcli-1/{name}"))
    assert release.wrong_in_wheel(wheel, tracked) == [
        "a.whl lacks spurcli/recipes/demo.toml",
        "a.whl has tests/photo.png, which is not tracked",
        "a.whl has no LICENSE",
    ]
    assert release.wrong_in_archive(archive, tracked) == ["a.tar.gz has dist/old.whl, which is not tracked"]
