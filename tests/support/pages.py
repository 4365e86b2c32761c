"""Reading an HTML page: whether it nests, loads anything, and what a screen reader says of its pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)

    def values(self, *names):
        return [value for _, name, value in self.attributes if name in names]


def loads_nothing(text: str) -> Page:
    """The page, checked to have unique ids and no link but to itself and to data that it holds."""
    page = Page(text)
    ids, links = page.values("id"), page.values("href", "src", "xlink:href", "srcset")
    assert len(ids) == len(set(ids))
    assert not {"script", "link"} & set(page.tags)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert not re.search(r"url\((?!#)|@import|https?://", re.sub(r"data:[^\"]+", "", text))
    return page


def spoken(text: str) -> list[str]:
    """Title and description of every SVG that is not hidden from readers; images without a text fail."""
    body = re.sub(r"(?s)^.*?(<body>.*</body>).*$", r"\1", text).replace("&nbsp;", " ")
    root = ElementTree.fromstring(re.sub(r"(<img [^>]*[^/>])>", r"\1/>", body))
    assert all(item.get("alt") for item in root.iter("img"))
    names = []
    for picture in root.iter("svg"):
        if picture.get("aria-hidden") != "true":
            assert picture.get("role") == "img"
            ids = {item.get("id"): item.text or "" for item in picture if item.tag in ("title", "desc")}
            names.append(" ".join(ids[name] for name in (picture.get("aria-labelledby") or "").split()))
    return names
