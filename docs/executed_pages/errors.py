"""The error of a page: it names the page, the fence and its line."""

from __future__ import annotations


class PageError(Exception):
    """A page that cannot be executed or shown.

    Args:
        message: What is wrong.
        page: Path of the page, relative to the folder of the documentation.
        fence: Number of the fence on the page, from 1; None for the page as a whole.
        line: Line of the fence or comment in the page; None if there is none.
    """

    def __init__(self, message: str, *, page: str, fence: int | None = None, line: int | None = None) -> None:
        path = page
        if fence is not None:
            path += f", fence {fence}"
        if line is not None:
            path += f" (line {line})"
        super().__init__(f"{path}: {message}")
        self.page = page
        self.fence = fence
        self.line = line
