"""A data set under a name by which every later command of a study finds it.

Files record only the last part of an absolute path, which says nothing about this machine. So a command that takes its data from a
model or a list finds data outside the current folder and the data root only by a relative path.
"""

from __future__ import annotations

import os
from pathlib import PurePath

from spurcli.registry import is_user_code
from spurcli.requests.options import File
from spurcli.session import find_data_root


def reachable(dataset: File | None, data_root: File | None) -> File | None:
    """`dataset`, relative to the current folder if it is an absolute path that is not in the data root; user code is named again anyway."""
    text = os.fspath(dataset) if dataset is not None else ""
    if not PurePath(text).is_absolute() or is_user_code(text):
        return dataset
    root = find_data_root(None if data_root is None else os.fspath(data_root)).absolute()
    if any(PurePath(real(text)).is_relative_to(real(root)) for real in (os.path.normpath, os.path.realpath)):
        return dataset
    try:
        return os.path.relpath(text)
    except ValueError:  # another drive of Windows
        return dataset
