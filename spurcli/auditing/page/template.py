"""The templates and scripts of this folder. A page allows its own script by its hash, and nothing from elsewhere."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from typing import Any

from spurcli.reporting.page import template as report_template
from spurcli.reporting.values import printable


def render(name: str, **values: Any) -> str:
    """A template of this folder with these values; scripts and JSON are inserted unchanged, all other text is escaped."""
    from markupsafe import Markup

    values = {key: Markup(value) if key in ("code", "json") else value for key, value in values.items()}
    return printable(_template(name).render(**values))


@functools.cache
def _template(name: str) -> Any:
    environment = report_template("page.html.j2").environment
    return environment.from_string(source(name))


def source(name: str) -> str:
    return resources.files("spurcli.auditing.page").joinpath(name).read_text(encoding="utf-8")


def script_hash(code: str) -> str:
    """The hash by which Content-Security-Policy allows a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
