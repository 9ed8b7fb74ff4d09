"""Check in a browser that the content of a page fits its window: nothing is cut, nothing overflows."""

from __future__ import annotations

from pathlib import Path

from .chromium import WIDE, Window
from .findings import Finding

SCRIPT = (Path(__file__).parent / "layout.js").read_text(encoding="utf-8")


def check_layout(window: Window, path: str, width: int) -> list[Finding]:
    """Return the faults of the open page at a width of the window."""
    window.resize(width)
    faults = window.page.evaluate(SCRIPT, {"isWide": width == WIDE})
    return [Finding(path, fault["problem"], fault["element"], width) for fault in faults]
