"""Links from a document to files outside docs/: the site shows those files as pages, so that it is complete without a repository."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

LANGUAGES = {".py": "python", ".sh": "sh", ".toml": "toml", ".yaml": "yaml", ".json": "json", ".csv": "text"}
# A link or picture in Markdown whose target is neither an address nor an anchor of the same page.
LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(\))")
LONGEST = 400  # lines of a file that are shown


def place(target: str) -> str:
    """Where the site has the page of a file or folder of the repository."""
    return f"made/source/{target.strip('/')}" + ("" if target.endswith(".html") else ".md")


def relinked(text: str, name: str, pages: Mapping[str, str]) -> tuple[str, set[str]]:
    """The document `name` with its links as the site needs them, and the files outside docs/ that need a page."""
    here = pages.get(name) or name.removeprefix("docs/")
    linked = set()

    def changed(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), match[2]))
        if target.startswith("docs/") and not target.endswith(".py"):
            goal = target.removeprefix("docs/")
        elif target in pages:
            goal = pages[target]
        else:
            linked.add(target)
            goal = place(target)
        return f"{match[1]}{posixpath.relpath(goal, posixpath.dirname(here) or '.')}{match[3] or ''}{match[4]}"

    # Code is left as it is: in Python `x[i](y)` is not a link.
    parts = re.split(r"(```.*?```|`[^`\n]+`)", text, flags=re.DOTALL)
    return "".join(part if number % 2 else LINK.sub(changed, part) for number, part in enumerate(parts)), linked


def page(root: Path, target: str) -> tuple[str, set[str]]:
    """The page that shows a file or folder, and what it links to in turn."""
    path = root / target
    if path.suffix == ".html":
        return path.read_text(encoding="utf-8"), set()
    title = f"# {target}\n\n"
    if path.is_dir():
        inside = sorted(each for each in path.iterdir() if each.suffix in LANGUAGES and each.name != "__init__.py")
        names = [f"{target}/{each.name}" for each in inside]
        here = posixpath.dirname(place(target))
        lines = [f"- [{posixpath.basename(name)}]({posixpath.relpath(place(name), here)})" for name in names]
        return title + "\n".join(lines) + "\n", set(names)
    lines = path.read_text(encoding="utf-8").splitlines()
    more = f"\n… {len(lines) - LONGEST} more lines\n" if len(lines) > LONGEST else ""
    language = LANGUAGES.get(path.suffix, "text")
    shown = "\n".join(lines[:LONGEST])
    return f"{title}````{language}\n{shown}\n````\n{more}", set()
