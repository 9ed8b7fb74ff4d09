"""Check that a page and its images load quickly: together they have less than a megabyte."""

from __future__ import annotations

from pathlib import Path

from .built_pages import BuiltPage, built_pages
from .findings import Finding
from .image_texts import image_files

MAX_BYTES = 1_000_000


def check_page_sizes(site: Path) -> list[Finding]:
    """Return each page that exceeds the limit together with its images, and its largest files."""
    return [finding for page in built_pages(site) if (finding := _finding(page))]


def page_bytes(page: BuiltPage) -> int:
    """Return the size of a page and its images."""
    return sum(file.stat().st_size for file in _files(page))


def _files(page: BuiltPage) -> list[Path]:
    files = {page.file, *image_files(page)}
    return sorted((file for file in files if file.is_file()), key=lambda file: -file.stat().st_size)


def _finding(page: BuiltPage) -> Finding | None:
    size = page_bytes(page)
    if size <= MAX_BYTES:
        return None
    largest = ", ".join(f"{file.name} {file.stat().st_size / 1e3:,.0f} kB" for file in _files(page)[:3])
    return Finding(page.path, f"has {size / 1e6:.2f} MB with its images, at most {MAX_BYTES / 1e6:g} MB; {largest}")
