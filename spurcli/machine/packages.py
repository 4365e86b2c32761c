"""Which packages are installed, in which version, and which extras they make: asked of the installation, nothing is imported."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import TypedDict

from packaging.requirements import Requirement

_FOR_DEVELOPERS = ("fuzz", "docs", "test", "dev")  # extras that no command requires


class Package(TypedDict):
    """`version` is None where the package is not installed; `wanted` is what spurcli requires, such as ">=2.4"."""

    name: str
    version: str | None
    wanted: str
    fits: bool


class Extra(TypedDict):
    """A group of optional packages; `install` is the command that installs it."""

    name: str
    packages: list[Package]
    installed: bool
    install: str


def needed_packages() -> list[Package]:
    """Python, spurcli and the packages that it requires."""
    python = Package(
        name="python", version=platform.python_version(), wanted=_of_python() or "", fits=_fits(_of_python())
    )
    own = Package(name="spurcli", version=_version("spurcli"), wanted="", fits=True)
    return [
        python,
        own,
        *(_package(each) for each in _requirements() if each.marker is None or each.marker.evaluate({"extra": ""})),
    ]


def extras() -> list[Extra]:
    """The optional packages, by extra."""
    try:
        names = importlib.metadata.metadata("spurcli").get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        names = []
    found = []
    for name in names:
        if name in _FOR_DEVELOPERS:
            continue
        packages = [
            _package(each)
            for each in _requirements()
            if each.marker is not None
            and not each.marker.evaluate({"extra": ""})
            and each.marker.evaluate({"extra": name})
        ]
        if packages:
            installed = all(each["fits"] for each in packages)
            found.append(
                Extra(name=name, packages=packages, installed=installed, install=f"pip install 'spurcli[{name}]'")
            )
    return found


def _requirements() -> list[Requirement]:
    try:
        return [Requirement(line) for line in importlib.metadata.requires("spurcli") or ()]
    except importlib.metadata.PackageNotFoundError:  # it runs from its source
        return []


def _package(wanted: Requirement) -> Package:
    version = _version(wanted.name)
    fits = version is not None and wanted.specifier.contains(version, prereleases=True)
    return Package(name=wanted.name, version=version, wanted=str(wanted.specifier), fits=fits)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _of_python() -> str | None:
    try:
        return next(iter(importlib.metadata.metadata("spurcli").get_all("Requires-Python") or []), None)
    except importlib.metadata.PackageNotFoundError:
        return None


def _fits(wanted: str | None) -> bool:
    return not wanted or Requirement(f"python{wanted}").specifier.contains(platform.python_version(), prereleases=True)
