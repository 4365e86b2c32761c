"""Functions that MkDocs calls while it builds the site: pages generated from other files, and links to files outside docs/."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import outside
import reference

ROOT = Path(__file__).resolve().parents[2]
# Documents outside docs/ that are pages of the site.
PAGES = {
    "README.md": "made/index.md",
    "CONTRIBUTING.md": "made/contributing.md",
    "examples/grid/README.md": "made/source/examples/grid/README.md",
    "examples/paper/README.md": "made/source/examples/paper/README.md",
}


def on_config(config: Any) -> Any:
    from pymdownx.slugs import slugify

    config["mdx_configs"]["toc"]["slugify"] = slugify(case="lower")  # the anchors that GitHub gives
    return config


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File, InclusionLevel

    def add(place: str, text: str, inclusion: Any = InclusionLevel.INCLUDED) -> None:
        made = File.generated(config, place, content=text, inclusion=inclusion)
        if place == "made/index.md":  # the front page of the site
            made.dest_uri = made.url = "index.html"
        files.append(made)

    documents = {f"docs/{file.src_uri}": file.abs_src_path for file in files.documentation_pages()}
    documents |= {name: str(ROOT / name) for name in PAGES}
    linked: set[str] = set()
    for name, path in documents.items():
        text, targets = outside.relinked(Path(path).read_text(encoding="utf-8"), name, PAGES)
        linked |= targets
        if name in PAGES:
            add(
                PAGES[name],
                text,
                InclusionLevel.INCLUDED if "/source/" not in PAGES[name] else InclusionLevel.NOT_IN_NAV,
            )
    shown: set[str] = set()
    while linked - shown:  # a listing of a folder links to its files
        for target in sorted(linked - shown):
            shown.add(target)
            text, more = outside.page(ROOT, target)
            linked |= more
            add(outside.place(target), text, InclusionLevel.NOT_IN_NAV)
    add("made/commands.md", reference.commands())
    add("made/parts.md", reference.parts())
    add("made/python.md", reference.python())
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    if page.file.src_uri.startswith("made/"):
        return markdown
    return outside.relinked(markdown, str(PurePosixPath("docs") / page.file.src_uri), PAGES)[0]


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """The one script that the theme would load from the network is in docs/site."""
    from mkdocs.utils import get_relative_url

    here = get_relative_url("site/iframe-worker.js", page.url)
    output = output.replace("https://unpkg.com/iframe-worker/shim", here)
    elsewhere = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="?(https?://[^"> ]+)', output)
    if elsewhere:
        logging.getLogger("mkdocs.hooks").warning("%s loads from the network: %s", page.url, elsewhere[0])
    return output


def on_page_content(html: str, **_: Any) -> str:
    """Wide tables scroll separately from the page. GitHub needs `\\|` for a bar in a table's code; here the backslash is removed."""

    def changed(match: re.Match[str]) -> str:
        return f'<div class="wide"><table>{match[1]}</table></div>'.replace("\\|", "|")

    return re.sub(r"<table>(.*?)</table>", changed, html, flags=re.DOTALL)
