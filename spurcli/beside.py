"""A user's file can import modules from its own folder, as when Python runs it: `from mine_layers import Block`.

Nothing is added to sys.path, and only the file that the command line names (and what it imports) sees its folder. Two
folders may hold modules of the same name.
"""

from __future__ import annotations

import builtins
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

# Modules of each folder by name, if modules of another folder have that name in sys.modules.
_set_aside: dict[Path, dict[str, ModuleType]] = {}


def run_file(path: Path, name: str) -> ModuleType:
    """The module `name` that the code of `path` makes; it is in sys.modules, as worker processes and dataclasses look it up.

    Raises what the code raises, and leaves no module in that case.
    """
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path), path.resolve().parent))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        assert spec.loader is not None
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def own_parts() -> set[str]:
    """The files that were run, and those that they imported from their own folders, as real paths."""
    loaders = [getattr(module, "__loader__", None) for module in list(sys.modules.values())]
    return {os.path.realpath(loader.path) for loader in loaders if isinstance(loader, _Loader)}


class _Loader(SourceFileLoader):
    """Runs a file whose imports, also those inside its functions, look into `folder` first."""

    def __init__(self, name: str, path: str, folder: Path) -> None:
        super().__init__(name, path)
        self.folder = folder

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importer(self.folder)}
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds modules of one folder, by their plain names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        file = _file_of(self.folder, name) if path is None else None
        if file is None:
            return None
        inside = [str(file.parent)] if file.name == "__init__.py" else None
        loader = _Loader(name, str(file), self.folder)
        return importlib.util.spec_from_file_location(name, file, loader=loader, submodule_search_locations=inside)


def _file_of(folder: Path, name: str) -> Path | None:
    """The file of the module `name` in `folder`; names of the standard library are excluded."""
    if name in sys.stdlib_module_names:
        return None
    return next((file for file in (folder / f"{name}.py", folder / name / "__init__.py") if file.is_file()), None)


def _importer(folder: Path) -> Callable[..., Any]:
    def import_(name: str, *rest: Any, **named: Any) -> Any:
        level = rest[3] if len(rest) > 3 else named.get("level", 0)
        top = name.partition(".")[0]
        if level or _file_of(folder, top) is None:
            return builtins.__import__(name, *rest, **named)
        with _in_front(folder, top):
            return builtins.__import__(name, *rest, **named)

    return import_


@contextmanager
def _in_front(folder: Path, top: str) -> Iterator[None]:
    """While the module `top` is imported, it is the one of `folder`."""
    mine, others = _set_aside.setdefault(folder, {}), {}
    if not _is_of(sys.modules.get(top), folder):
        others = _taken(top)
        sys.modules.update({name: module for name, module in mine.items() if _is_below(name, top)})
    finder = _Finder(folder)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if others or _is_installed(top, folder):
            mine.update(_taken(top))
            sys.modules.update(others)


def _taken(top: str) -> dict[str, ModuleType]:
    """The module `top` and those in it, taken out of sys.modules."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if _is_below(name, top)}


def _is_below(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}.")


def _is_of(module: ModuleType | None, folder: Path) -> bool:
    file = module.__file__ if module else None
    return isinstance(file, str) and module is not None and Path(file).resolve() == _file_of(folder, module.__name__)


def _is_installed(top: str, folder: Path) -> bool:
    """Whether a library also has that name, which other code may need, such as `datasets`."""
    spec = PathFinder.find_spec(top)
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve() != _file_of(folder, top))
