"""A fault of a page, and the report of all faults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

MAX_PAGES = 4  # that the report names for a fault of many pages


@dataclass(frozen=True, order=True)
class Finding:
    """A fault.

    Args:
        page: Path of the page or file, relative to the site.
        problem: What is wrong.
        element: The element, as a selector or an excerpt.
        width: Width of the window in pixels, or None without a browser.
        scheme: Color scheme, "light" or "dark", if it matters.
    """

    page: str
    problem: str
    element: str = ""
    width: int | None = None
    scheme: str = ""


def report(findings: Iterable[Finding]) -> str:
    """Return the findings as text, a line for each fault; a fault of many pages, such as of the navigation, is one."""
    pages = defaultdict(list)
    for finding in sorted(set(findings), key=lambda item: (item.page, item.width or 0, item.scheme, item.problem)):
        pages[finding.problem, finding.element, finding.width, finding.scheme].append(finding.page)
    return "\n".join(f"{_names(names)}: {_describe(*fault)}" for fault, names in pages.items())


def _names(pages: list[str]) -> str:
    more = f" and {len(pages) - MAX_PAGES} more" if len(pages) > MAX_PAGES else ""
    return ", ".join(pages[:MAX_PAGES]) + more


def _describe(problem: str, element: str, width: int | None, scheme: str) -> str:
    conditions = [f"{width} px" if width else "", scheme]
    condition = ", ".join(filter(None, conditions))
    return f"{f'[{condition}] ' if condition else ''}{element}{': ' if element else ''}{problem}"
