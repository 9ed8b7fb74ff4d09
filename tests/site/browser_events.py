"""Watch a page in a browser: errors of its scripts, missing files, and requests that leave the machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Request, Response, WebError

from .chromium import Window
from .findings import Finding


@dataclass
class EventLog:
    """The faults that a browser reports while a window loads pages.

    Args:
        window: The window.
        path: Path of the page that loads.
        findings: The faults so far.
    """

    window: Window
    path: str = ""
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = self.window.context
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("response", self._on_response)

    def _add(self, problem: str) -> None:
        self.findings.append(Finding(self.path, problem))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._add(f"logs an error: {message.text[:200]}")

    def _on_error(self, error: WebError) -> None:
        self._add(f"a script fails: {str(error.error)[:200]}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.window.address, "data:", "blob:")):
            self._add(f"requests {request.url[:200]}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self._add(f"receives status {response.status} for {response.url.removeprefix(self.window.address)}")
