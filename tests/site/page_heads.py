"""Check what search engines and screen readers read first: language, title, description and heading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .built_pages import BuiltPage, built_pages
from .findings import Finding


def check_heads(site: Path) -> list[Finding]:
    """Return each page without language, heading, or a title and a description of its own."""
    pages = built_pages(site)
    titles, descriptions = Counter(map(title, pages)), Counter(map(description, pages))
    return [finding for page in pages for finding in _of_page(page, titles, descriptions)]


def title(page: BuiltPage) -> str:
    return " ".join(page.root.xpath("//head/title/text()")).strip()


def description(page: BuiltPage) -> str:
    return " ".join(page.root.xpath("//head/meta[@name='description']/@content")).strip()


def _of_page(page: BuiltPage, titles: Counter[str], descriptions: Counter[str]) -> Iterator[Finding]:
    if not page.root.get("lang"):
        yield Finding(page.path, "has no language")
    if len(list(page.root.iter("h1"))) != 1:
        yield Finding(page.path, f"has {len(list(page.root.iter('h1')))} headings of level 1, expected one")
    for name, value, counts in (("title", title(page), titles), ("description", description(page), descriptions)):
        if not value:
            yield Finding(page.path, f"has no {name}")
        elif counts[value] > 1:
            yield Finding(page.path, f"shares its {name} with {counts[value] - 1} other pages", value[:80])
