"""One small table per kind of part: a name, its location, and a description. Resolved on first use.

Wherever a name is accepted, so is `package.module:attr` and `path/to/file.py:attr`. Descriptions live here, not in
the modules, so that `spurcli list` and `--help` need not import torch.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spurcli.beside import run_file
from spurcli.errors import InputError, MissingExtraError, UsageError

Options = Mapping[str, Any]  # of a part, a user's own too: names and values are checked when the part is built


@dataclass(frozen=True)
class Entry:
    """A registered part: the location of its factory, a description in one line, and its source."""

    target: str
    summary: str
    source: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """All parts of one kind; `flag` is what a user types to choose one."""

    kind: str
    flag: str
    entries: Mapping[str, Entry]

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def load(self, spec: str) -> Any:
        """The object that `spec` names: a registered name, `package.module:attr` or `file.py:attr`."""
        if spec in self.entries:
            return _import(self.entries[spec].target, self.kind)
        if is_user_code(spec):
            found = _import_file(spec, self.kind) if ".py:" in spec else _import(spec, self.kind)
            if not callable(found):
                raise UsageError(f"{spec} is not a function", "docs/own-parts.md shows what each part looks like.")
            return found
        raise UsageError(
            f"Unknown {self.kind} {spec!r}{near(spec, self.entries)}",
            f"Known: {', '.join(self.entries)}. Your own: {self.flag} path/to/file.py:attr",
        )

    def check(self, spec: str) -> None:
        """Raise `UsageError` unless `spec` is registered or names user code; imports nothing."""
        if spec not in self.entries and not is_user_code(spec):
            self.load(spec)


def is_user_code(spec: str) -> bool:
    return re.fullmatch(r"(?:.*\.py|[A-Za-z_][\w.]*):[A-Za-z_]\w*", spec) is not None


def near(name: str, known: Any) -> str:
    """ ", did you mean …?" for the closest known names, or nothing."""
    names = dict.fromkeys(map(str, known))  # two folders may hold the same name
    matches = difflib.get_close_matches(name, names, n=2)
    shown = [match if match.isprintable() else repr(match) for match in matches]
    return f", did you mean {' or '.join(shown)}?" if shown else ""


def same_kind(value: Any, default: Any) -> bool:
    """Whether an option's value is of the kind of its default (if that is a plain one); whole numbers are accepted as decimal numbers."""
    if not isinstance(default, bool | int | float | str):
        return True
    return type(value) is type(default) or (type(default) is float and type(value) is int)


def _import(target: str, kind: str) -> Any:
    module_name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name or (error.name and module_name.startswith(f"{error.name}.")):
            raise UsageError(f"No module {module_name!r} for the {kind} {target!r}", "Check its spelling.") from error
        raise MissingExtraError(
            f"{target} needs the package {error.name!r}", f"Install it: pip install {error.name}"
        ) from error
    except (Exception, SystemExit) as error:
        if module_name.partition(".")[0] == __package__:
            raise
        raise _failed_import(module_name, error) from error
    return _attribute(module, attribute, target, kind)


def _import_file(spec: str, kind: str) -> Any:
    file_name, _, attribute = spec.rpartition(":")
    path = Path(file_name)
    if not path.is_file():
        raise UsageError(f"No such file: {path} (for the {kind} {spec})", "Name it as path/to/file.py:attr.")
    name = f"spurcli_user_{re.sub(r'[^0-9A-Za-z]', '_', str(path.resolve()))}"
    if name not in sys.modules:
        try:
            run_file(path, name)
        except (Exception, SystemExit) as error:  # a script that runs on import may also call exit()
            raise _failed_import(path, error) from error
    return _attribute(sys.modules[name], attribute, spec, kind)


def _failed_import(what: object, error: BaseException) -> InputError:
    reason = (str(error).splitlines() or [""])[0][:200]
    hint = "Run it with python to see where; --debug shows the traceback."
    if "relative import with no known parent" in reason:
        hint = "Import a file in the same folder by its name, without the dot: from layers import Net"
    return InputError(f"{what} failed while being imported: {type(error).__name__}: {reason}", hint)


def _attribute(module: Any, attribute: str, spec: str, kind: str) -> Any:
    if not hasattr(module, attribute):
        names = [name for name in vars(module) if not name.startswith("_")]
        raise UsageError(f"{spec}: no {attribute!r} there{near(attribute, names)}", f"Name a {kind} that exists.")
    return getattr(module, attribute)
