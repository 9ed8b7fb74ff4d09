"""The pages of a built site, parsed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lxml.html


@dataclass(frozen=True)
class BuiltPage:
    """An HTML file of a site."""

    site: Path
    file: Path

    @property
    def path(self) -> str:
        return self.file.relative_to(self.site).as_posix()

    @cached_property
    def root(self) -> lxml.html.HtmlElement:
        return lxml.html.document_fromstring(self.file.read_bytes(), parser=lxml.html.HTMLParser(encoding="utf-8"))

    @cached_property
    def content(self) -> lxml.html.HtmlElement:
        elements = [*self.root.iter("article"), *self.root.iter("main"), *self.root.iter("body")]
        return elements[0]

    @cached_property
    def anchors(self) -> set[str]:
        """The targets of links with `#`."""
        return {"", "top", *self.root.xpath("//@id"), *self.root.xpath("//a/@name")}

    def target(self, address: str) -> Path:
        """Return the file that an internal address names; a folder stands for its index."""
        path = unquote(urlsplit(address).path)
        if not path:
            return self.file
        start = self.site if path.startswith("/") else self.file.parent
        target = (start / path.lstrip("/")).resolve()
        return target / "index.html" if target.is_dir() or path.endswith("/") else target


def built_pages(site: Path) -> list[BuiltPage]:
    """Return the pages of a site in the order of their paths."""
    site = site.resolve()
    return [BuiltPage(site, file) for file in sorted(site.rglob("*.html"))]


def is_external(address: str) -> bool:
    """Return whether an address leaves the site."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in {"http", "https", "ftp", "mailto", "tel"}


def describe(element: lxml.html.HtmlElement) -> str:
    """Return the start tag of an element, shortened."""
    attributes = "".join(f' {name}="{value[:60]}"' for name, value in element.attrib.items() if name != "style")
    return f"<{element.tag}{attributes}>"[:160]
