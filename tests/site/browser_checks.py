"""All checks of a site in a browser: each page loads once, and is measured in each width and color scheme."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .browser_contrast import SCHEMES, check_contrast
from .browser_events import EventLog
from .browser_layout import check_layout
from .built_pages import built_pages
from .chromium import NARROW, WIDE, open_window
from .findings import Finding

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def check_in_browser(browser: Browser, site: Path) -> list[Finding]:
    """Return the faults of all pages of a site."""
    findings = []
    with open_window(browser, site) as window:
        log = EventLog(window)
        for page in built_pages(site):
            log.path = page.path
            window.open(page.path)
            window.resize(WIDE)
            for scheme in SCHEMES:
                findings += check_contrast(window, page.path, scheme)
            for width in (WIDE, NARROW):
                findings += check_layout(window, page.path, width)
    return findings + log.findings
