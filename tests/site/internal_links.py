"""Check that internal links lead to a file of the site and to an element of its page."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from .built_pages import BuiltPage, built_pages, describe, is_external
from .findings import Finding


def check_links(site: Path) -> list[Finding]:
    """Return each internal link without a target."""
    pages = {page.file: page for page in built_pages(site)}
    return [
        Finding(page.path, problem, describe(link))
        for page in pages.values()
        for link in page.root.iter("a", "area")
        if (problem := _problem(link.get("href"), page, pages))
    ]


def _problem(address: str | None, page: BuiltPage, pages: dict[Path, BuiltPage]) -> str:
    if address is None or is_external(address):
        return ""
    if urlsplit(address).scheme:
        return "is not an address of a page"
    target = page.target(address)
    if page.site not in target.parents:
        return "leaves the site"
    if not target.is_file():
        return "leads to a file that does not exist"
    fragment = unquote(urlsplit(address).fragment)
    if target in pages and fragment not in pages[target].anchors:
        return f"leads to an element that does not exist, '#{fragment}'"
    return ""
