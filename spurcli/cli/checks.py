"""The command `spurcli checks`: what is installed and found on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spurcli.cli.options import DataRoot, Debug, Json
from spurcli.words import counted

if TYPE_CHECKING:
    from spurcli.machine.devices import Devices
    from spurcli.machine.packages import Extra, Package
    from spurcli.machine.places import Place

app = typer.Typer(add_completion=False)


@app.command()
def checks(
    data_root: DataRoot = None,
    without_devices: Annotated[
        bool, typer.Option("--without-devices", help="Do not check devices (starting torch takes a few seconds).")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what this machine has: versions, extras, data sets, weights, caches and devices.

    The exit code is 1 if something that every command needs is missing or broken. Optional extras and data sets are listed
    with the line that installs them or the place to put them. Nothing is written.

    Example: spurcli checks --data-root .data
    """
    from spurcli.cli.console import print_json, results, say
    from spurcli.errors import SpurError
    from spurcli.machine import devices, packages, places
    from spurcli.session import find_data_root

    root = find_data_root(data_root)
    said_by = "--data-root" if data_root else "SPURCLI_DATA_ROOT" if os.environ.get("SPURCLI_DATA_ROOT") else ""
    cache = Path(os.environ.get("SPURCLI_CACHE") or root / ".spurcli-cache")
    found: dict[str, Any] = {
        "packages": packages.needed_packages(),
        "extras": packages.extras(),
        "working_folder": places.place(Path.cwd()),
        "data_root": places.place(root, said_by),
        "data_sets": places.benchmarks(root),
        "weights": {"folder": str(root / "weights"), "found": places.stored_in(root / "weights")},
        "cache": {
            **places.place(cache, "SPURCLI_CACHE" if os.environ.get("SPURCLI_CACHE") else ""),
            "found": places.stored_in(cache),
        },
    }
    stdout = results()
    if not as_json:
        for line in _lines(found):
            stdout.print(line, markup=False, soft_wrap=True)
        if not without_devices:
            say("Starting torch to look for devices …")
    found["devices"] = None if without_devices else devices.devices()
    problems = list(_problems(found))
    if as_json:
        print_json({"ok": not problems, "problems": problems, **found})
    elif found["devices"]:
        for line in _device_lines(found["devices"]):
            stdout.print(line, markup=False, soft_wrap=True)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise SpurError(f"{problems[0]['problem']}{more}", problems[0]["hint"])


def _problems(found: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Requirements of every command that are not met."""
    for each in found["packages"]:
        if not each["fits"]:
            is_there = f"is {each['version']}" if each["version"] else "is not installed"
            yield {
                "problem": f"{each['name']} {is_there}, and spurcli needs {each['name']}{each['wanted']}",
                "hint": f"pip install '{each['name']}{each['wanted']}'"
                if each["name"] != "python"
                else "Use a newer Python.",
            }
    if not found["working_folder"]["writable"]:
        yield {
            "problem": f"The working folder {found['working_folder']['folder']} cannot be written to",
            "hint": "Stages write into it: change to another folder, or name outputs with -o.",
        }
    root = found["data_root"]
    if root["said_by"] and not root["exists"]:
        yield {
            "problem": f"{root['said_by']} names {root['folder']}, which is not a folder",
            "hint": "Correct the path.",
        }
    if found["devices"] and found["devices"]["problem"]:
        yield {"problem": found["devices"]["problem"], "hint": "Install it again: pip install --force-reinstall torch"}


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield "Packages"
    yield from _package_lines(found["packages"])
    yield "Extras"
    yield from _extra_lines(found["extras"])
    yield "Data sets in " + _in_words(found["data_root"])
    width = max(len(each["name"]) for each in found["data_sets"])
    for each in found["data_sets"]:
        yield f"  {each['name']:{width}}  {each['folder'] or 'not found'}"
    yield "  spurcli data check NAME counts the samples of a data set and says where to get missing files."
    yield f"Weights in {found['weights']['folder']}"
    yield from _stored_lines(found["weights"]["found"], "none; docs/models.md says where to get them")
    yield "Cache in " + _in_words(found["cache"])
    yield from _stored_lines(found["cache"]["found"], "empty; spurcli data cache NAME fills it")
    yield "Working folder " + _in_words(found["working_folder"])


def _package_lines(packages: Sequence[Package]) -> Iterator[str]:
    width = max(len(each["name"]) for each in packages)
    for each in packages:
        wrong = "" if each["fits"] else f"  needed: {each['wanted']}"
        yield f"  {each['name']:{width}}  {each['version'] or 'not installed'}{wrong}"


def _extra_lines(extras: Sequence[Extra]) -> Iterator[str]:
    width = max((len(each["name"]) for each in extras), default=0)
    for each in extras:
        versions = ", ".join(f"{package['name']} {package['version']}" for package in each["packages"])
        yield f"  {each['name']:{width}}  {versions if each['installed'] else each['install']}"


def _stored_lines(stored: Sequence[Any], nothing: str) -> Iterator[str]:
    from spurcli.artifacts.space import in_words

    for each in stored:
        yield f"  {each['name']}  {in_words(each['bytes'])}"
    if not stored:
        yield f"  {nothing}"


def _in_words(place: Place) -> str:
    from spurcli.artifacts.space import in_words

    said = f" (by {place['said_by']})" if place["said_by"] else ""
    state = "" if place["exists"] else " (does not exist)"
    rights = "writable" if place["writable"] else "not writable"
    return f"{place['folder']}{said}{state}: {rights}, {in_words(place['free'])} free"


def _device_lines(devices: Devices) -> Iterator[str]:
    from spurcli.artifacts.space import in_words

    yield "Devices"
    for each in devices["found"]:
        memory = f", {in_words(each['memory'])}" if each["memory"] else ""
        yield f"  {each['name']}  {each['model']}{memory}"
    if devices["found"]:
        yield f"  --device auto uses {devices['auto']}; torch uses {counted(devices['threads'], 'thread')}"
