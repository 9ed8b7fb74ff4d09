"""Check in a browser that every text has the contrast of WCAG AA against its background, in both color schemes."""

from __future__ import annotations

from pathlib import Path

from .chromium import Window
from .findings import Finding

SCHEMES = ("light", "dark")
SCRIPT = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


def check_contrast(window: Window, path: str, scheme: str) -> list[Finding]:
    """Return the texts of the open page with too little contrast in a color scheme."""
    window.show_scheme(scheme)
    return [
        Finding(
            path,
            f"{text['foreground']} on {text['background']} has a contrast of {text['contrast']:.2f}, "
            f"expected {text['required']}",
            text["element"],
            scheme=scheme,
        )
        for text in window.page.evaluate(SCRIPT)
    ]
