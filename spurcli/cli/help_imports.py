"""Importing what Typer prints help with, without what our help never uses."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

# Typer imports these for help in Markdown and for its own tracebacks; we have neither, and they take half of `spurcli --help`.
_UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}


def import_rich_help() -> None:
    """Import typer.rich_utils, where the classes of `_UNUSED` are imported when they are called."""
    if "typer.rich_utils" in sys.modules:
        return
    import rich.console  # noqa: F401 - it has reasons of its own to import some of Rich

    stand_ins = {name: _stand_in(name, attr) for name, attr in _UNUSED.items() if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        importlib.import_module("typer.rich_utils")
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _stand_in(name: str, attr: str) -> ModuleType:
    def make(_cls: type, *arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(name), attr)(*arguments, **options)

    module = ModuleType(name)
    setattr(module, attr, type(attr, (), {"__new__": make}))  # a class, as annotations name it
    return module
