"""How an artefact was made: the command, the settings, the versions, the files it came from.

Nothing volatile (no time, host, user or absolute path), so the same work gives the same bytes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, TypedDict, cast

from spurcli.artifacts.envelope import JsonObject, optional_field, sha256_of_file
from spurcli.errors import InputError

_VERSIONED = ("spurcli", "numpy", "torch", "h5py", "safetensors")


class ParentFile(TypedDict):
    """A file that a stage read, as it is stored."""

    file: str
    sha256: str


class Provenance(TypedDict, total=False):
    """How a file was made, as it is stored; a file of an older version or of another program may lack any key."""

    stage: str
    command: str
    lineage: list[str]
    settings: JsonObject
    arguments: JsonObject
    parents: list[ParentFile]
    versions: dict[str, str]


# Arguments: hashes of what a fingerprint leaves out. Older files do not state them.
EMBEDDINGS_SHA256, GROUPS_SHA256 = CONTENT_HASHES = "data_embeddings_sha256", "data_groups_sha256"


@dataclass(frozen=True)
class Parent:
    """A file that a stage read: its name, hash, and the commands that led to it."""

    file: str
    sha256: str
    lineage: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, provenance: Provenance | None = None) -> Parent:
        return cls(portable_path(str(path)), sha256_of_file(path), lineage_of(provenance or {}))


def provenance(
    stage: str,
    *,
    command: str = "",
    settings: Mapping[str, object] | None = None,
    arguments: Mapping[str, object] | None = None,
    parents: Iterable[Parent] = (),
) -> Provenance:
    """The provenance of one artefact, ready for JSON.

    `settings` are the resolved settings that downstream stages inherit, `arguments` the options of the stage
    itself. `lineage` lists the commands that led here, oldest first, so that the last file of a pipe
    still has the full history.
    """
    parents = tuple(parents)
    lineage: list[str] = []
    for parent in parents:
        lineage += [line for line in parent.lineage if line not in lineage]
    command = command or f"spurcli.{stage}(...)  # called from Python"
    return {
        "stage": stage,
        "command": command,
        "lineage": [*[line for line in lineage if line != command], command],
        "settings": dict(settings or {}),
        "arguments": dict(arguments or {}),
        "parents": [{"file": parent.file, "sha256": parent.sha256} for parent in parents],
        "versions": versions(),
    }


def read_provenance(content: Any, where: str) -> Provenance:
    """The provenance that a file holds, its parts checked to be of the right kind; {} if it has none."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{where}: 'provenance' is not an object", "See docs/formats.md for the layout.")
    for kind, keys in ((str, ("stage", "command")), (list, ("lineage", "parents")), (dict, ("settings", "arguments"))):
        for key in keys:
            optional_field(content, key, kind, f"{where}: provenance")
    return cast(Provenance, content)


def lineage_of(content: Mapping[str, object]) -> tuple[str, ...]:
    lineage = content.get("lineage", ())
    return tuple(line for line in lineage if isinstance(line, str)) if isinstance(lineage, list | tuple) else ()


def origin_of(content: Provenance) -> str:
    """Where groups or errors in a file come from: "inferred: mistakes" if `spurcli infer` wrote it, else "file"."""
    way = (content.get("arguments") or {}).get("by")
    return f"inferred: {way}" if content.get("stage") == "infer" and isinstance(way, str) else "file"


def versions() -> dict[str, str]:
    import importlib.metadata  # a tenth of the time of `spurcli --help`, which does not need it
    import platform

    found = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def portable_path(text: str) -> str:
    """A path without machine-specific parts: absolute paths are cut to their last part."""
    private = PurePath(text).is_absolute() or text.startswith("~")
    return (PurePath(text).name or text) if private else text


def same_ending(first: str, second: str) -> bool:
    """Whether two stored paths agree as far as both are known: the shorter is how the longer ends; `..` is unknown."""
    one, two = ([part for part in PurePath(path).parts if part not in ("..", "/", "~")] for path in (first, second))
    common = min(len(one), len(two))
    return bool(common) and one[-common:] == two[-common:]


def portable_command(argv: Sequence[str]) -> str:
    """The command as typed, quoted for a shell, absolute paths cut, `--data-root` left out.

    Bytes of a file name that are not UTF-8 become "?".
    """
    words: list[str] = ["spurcli"]
    skip = False
    for word in argv:
        if skip:
            skip = False
            continue
        if word == "--data-root":
            skip = True
            continue
        if word.startswith("--data-root="):
            continue
        option, equals, value = word.partition("=")
        if equals and option.startswith("-"):
            words.append(f"{option}={portable_word(value)}")
        else:
            words.append(portable_word(word))
    return shlex.join(words).encode(errors="replace").decode()


def portable_word(word: str) -> str:
    """`word` with an absolute path in it cut; `file.py:attr` and `key=/abs/path` keep what follows or precedes it."""
    match = re.fullmatch(r"(?P<key>[\w.]+=)?(?P<path>(?:/|~)[^:]*)(?P<attr>:\w+)?", word)
    if not match:
        return word
    return (match["key"] or "") + portable_path(match["path"]) + (match["attr"] or "")
