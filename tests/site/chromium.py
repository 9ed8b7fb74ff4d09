"""Headless Chromium on a built site: an installed browser, and a server on this machine."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

WIDE, NARROW = 1280, 390  # pixels: a laptop and a phone
HEIGHTS = {WIDE: 900, NARROW: 844}
EXECUTABLES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]  # no sandbox for root
UNFOLD = """async () => {
    document.querySelectorAll("details").forEach((element) => { element.open = true });
    document.querySelectorAll("img").forEach((image) => { image.loading = "eager" });
    await Promise.all([...document.images].map((image) => image.decode().catch(() => null)));
}"""
SET_SCHEME = """(scheme) => {
    const hasSchemes = "mdColorScheme" in document.body.dataset;
    if (hasSchemes) document.body.dataset.mdColorScheme = scheme;
    return hasSchemes;
}"""
MAX_MILLISECONDS = 120_000  # for each step, on a machine that is busy
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"


@dataclass
class Window:
    """A window of a browser on a served site.

    Args:
        context: The context that the pages share: their cache and their events.
        address: Address of the site.
        page: The open page.
    """

    context: BrowserContext
    address: str
    page: Page

    def open(self, path: str) -> None:
        """Load a page, and show all of it at rest: images, folded parts, no transitions.

        Each page has a process of its own, which takes its memory with it.
        """
        self.page.close()
        self.page = self.context.new_page()
        self.page.goto(f"{self.address}/{path}", wait_until="load")
        self.page.add_style_tag(content=STILL)
        self.page.evaluate(UNFOLD)

    def resize(self, width: int) -> None:
        """Give the window a width, and the height that belongs to it."""
        self.page.set_viewport_size({"width": width, "height": HEIGHTS[width]})

    def show_scheme(self, scheme: str) -> None:
        """Show the light or the dark color scheme: of a page of the theme by its attribute, else by the media query."""
        if not self.page.evaluate(SET_SCHEME, {"light": "default", "dark": "slate"}[scheme]):
            self.page.emulate_media(color_scheme=scheme)


def executable() -> str | None:
    """Return the path of an installed Chromium or Chrome."""
    return next(filter(None, map(shutil.which, EXECUTABLES)), None)


@contextmanager
def launch() -> Iterator[Browser]:
    """Start the installed browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serve(site: Path) -> Iterator[str]:
    """Serve a folder to this machine, and yield its address."""
    handler = functools.partial(_QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def open_window(browser: Browser, site: Path) -> Iterator[Window]:
    """Open a window on a served site."""
    with serve(site) as address:
        context = browser.new_context(reduced_motion="reduce")
        context.set_default_timeout(MAX_MILLISECONDS)
        try:
            yield Window(context, address, context.new_page())
        finally:
            context.close()
