"""Check that every image exists and has a text for readers who cannot see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .built_pages import BuiltPage, built_pages, describe, is_external
from .findings import Finding


def check_images(site: Path) -> list[Finding]:
    """Return each image that does not exist or has no alternative text."""
    return [finding for page in built_pages(site) for finding in (*_of_images(page), *_of_drawings(page))]


def image_files(page: BuiltPage) -> set[Path]:
    """Return the files of the images of a page."""
    addresses = [image.get("src", "") for image in page.root.iter("img")]
    return {
        page.target(address) for address in addresses if address and not is_external(address) and address[:5] != "data:"
    }


def _of_images(page: BuiltPage) -> Iterator[Finding]:
    for image in page.root.iter("img"):
        address = image.get("src", "")
        if not address:
            yield Finding(page.path, "has no address", describe(image))
        elif address[:5] != "data:" and not is_external(address) and not page.target(address).is_file():
            yield Finding(page.path, "does not exist", describe(image))
        if not image.get("alt", "").strip():
            yield Finding(page.path, "has no alternative text", describe(image))


def _of_drawings(page: BuiltPage) -> Iterator[Finding]:
    """Yield the SVG elements of the content without a text; icons of the theme stand outside of it or are hidden."""
    for drawing in page.content.iter("svg"):
        if drawing.xpath("ancestor-or-self::*[@aria-hidden='true'] | ancestor::svg"):
            continue
        if drawing.xpath("ancestor::a[@aria-label or @title] | ancestor::button[@aria-label or @title]"):
            continue
        has_text = drawing.get("aria-label", "").strip() or any(
            (title.text or "").strip() for title in drawing.iter("title")
        )
        if drawing.get("role") != "img" or not has_text:
            yield Finding(page.path, 'needs role="img" and an aria-label or a <title>', describe(drawing))
