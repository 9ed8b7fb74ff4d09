"""Check in a browser that the search of a site finds a page and shows its results readably."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import TimeoutError as NoResult

from .browser_contrast import SCHEMES, check_contrast
from .chromium import NARROW, WIDE, Window
from .findings import Finding

if TYPE_CHECKING:
    from playwright.sync_api import Page

BUTTON, INPUT, RESULT = ".md-header__button[for=__search]", ".md-search__input", ".md-search-result__link"

RESULTS_DELAY = 500  # milliseconds between two looks at the results, which follow the keys
MAX_LOOKS = 60

BEYOND = """({ selector, width }) => [...document.querySelectorAll(selector)]
    .map((element) => [element.textContent.trim().slice(0, 40), element.getBoundingClientRect()])
    .filter(([text, box]) => box.width && (box.left < 0 || box.right > width))
    .map(([text, box]) => text)"""


def check_search(window: Window, query: str) -> list[Finding]:
    """Return the faults of the results of a query in each width and color scheme."""
    findings = []
    for width in (WIDE, NARROW):
        window.open("index.html")
        window.resize(width)
        findings += _results(window, query, width)
    return findings


def _results(window: Window, query: str, width: int) -> list[Finding]:
    page, name = window.page, f"search for '{query}'"
    page.locator(BUTTON if width == NARROW else INPUT).click()
    page.locator(INPUT).press_sequentially(query)  # the theme listens to keys
    try:
        page.locator(RESULT).first.wait_for()
    except NoResult:
        return [Finding(name, "finds no page", width=width)]
    findings = [finding for scheme in SCHEMES for finding in check_contrast(window, name, scheme)]
    beyond = page.evaluate(BEYOND, {"selector": RESULT, "width": width})
    return findings + [Finding(name, "reaches beyond the window", text, width) for text in beyond]


def check_answers(window: Window, answers: dict[str, tuple[str, ...]], *, first: int = 3) -> list[Finding]:
    """Return the queries whose first results lead to none of the pages that answer them.

    Args:
        window: A window that shows the site.
        answers: Paths of the pages that answer a query, by query.
        first: Number of results that a reader looks at.
    """
    window.open("index.html")
    window.resize(WIDE)
    page, findings = window.page, []
    for query, expected in answers.items():
        page.locator(INPUT).fill("")
        page.locator(INPUT).press_sequentially(query)  # the theme listens to keys
        for _ in range(MAX_LOOKS):  # a busy machine needs seconds to load the index
            page.wait_for_timeout(RESULTS_DELAY)
            links = _first_links(page, first)
            if any(answer in link for answer in expected for link in links):
                break
        else:
            findings.append(Finding(f"search for '{query}'", f"finds {links}, expected one of {expected}"))
    return findings


def _first_links(page: Page, count: int) -> list[str]:
    links = page.locator(".md-search-result__item > .md-search-result__link")
    return links.evaluate_all("(links) => links.map((link) => new URL(link.href).pathname)")[:count]
