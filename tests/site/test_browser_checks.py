"""Each check in a browser detects its faults on a small page, and accepts a correct one."""

import pytest

from .chromium import NARROW, WIDE

pytestmark = pytest.mark.slow

STYLE = "article { width: 300px; margin: auto } pre, .scroll { overflow-x: auto } pre { width: 100% }"
WORDS = "word " * 40
LINE = f"<pre><code>{'x' * 80}</code></pre>"
TABLE = f"<table><tr><td style='white-space: nowrap'>{WORDS}</td></tr></table>"
DOT = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/%3E"


@pytest.fixture
def check(browser, tmp_path):
    """Return a function that returns the findings of a page with a content."""
    from .browser_checks import check_in_browser

    def check(content, style=""):
        head = (
            f"<meta name=viewport content='width=device-width'><link rel=icon href=data:,><style>{STYLE}{style}</style>"
        )
        page = f"<!doctype html><html lang=en><head>{head}</head><body><article>{content}</article></body></html>"
        (tmp_path / "index.html").write_text(page)
        return check_in_browser(browser, tmp_path)

    return check


def test_a_correct_page_passes(check):
    content = f"""<h1 id=a>Title</h1><p>{WORDS}</p><pre><code>x = 1</code></pre><table><tr><td>cell</td></tr></table>
        <div class=scroll><img alt="a dot" width=10 src="{DOT}"></div><details><summary>more</summary>{WORDS}</details>
        <div class=scroll><p style="width: 500px">an axis</p></div><p style="color: #767676">gray</p>"""
    assert check(content) == []


@pytest.mark.parametrize(
    ("content", "problem", "widths"),
    [
        (LINE, "a line of code is cut", {WIDE}),
        (f"<div class=scroll>{TABLE}</div>", "is wider than its column", {WIDE}),
        (TABLE, "px beyond the column", {WIDE, NARROW}),
        (f"<details><summary>more</summary>{TABLE}</details>", "px beyond the column", {WIDE, NARROW}),
        (f"<div style='overflow: hidden'>{TABLE}</div>", "is cut by", {WIDE, NARROW}),
        ("<p style='margin-left: -200px'>text</p>", "px beyond the column", {WIDE, NARROW}),
        ("<p style='width: 350px'>text</p>", "reaches 50 px beyond the column", {WIDE}),
        ("<img alt='a dot' src='missing.png'>", "is not loaded: missing.png", {WIDE, NARROW}),
    ],
)
def test_content_that_does_not_fit_is_detected(content, problem, widths, check):
    assert {finding.width for finding in check(content) if problem in finding.problem} == widths


def test_a_page_that_scrolls_sideways_is_detected(check):
    problems = {
        finding.width: finding.problem for finding in check("<p style='width: 700px'>wide</p>") if finding.width
    }
    assert problems[NARROW] == f"reaches {700 + 45 - NARROW} px beyond the column"
    sideways = [finding for finding in check("<p style='width: 700px'>wide</p>") if "sideways" in finding.problem]
    assert [finding.width for finding in sideways] == [NARROW]


def test_the_finding_names_the_element_and_the_heading_above_it(check):
    (finding,) = check(f"<h2 id=usage>Usage</h2>{LINE}")
    assert finding.element == f"pre '{'x' * 60}' below #usage"
    assert "'xxxxxxxxxx" in finding.problem


@pytest.mark.parametrize(
    ("content", "colors"),
    [
        ("<p style='color: #777'>gray</p>", "#777777 on #ffffff has a contrast of 4.48"),
        ("<p style='color: rgb(0 0 0 / 50%)'>half</p>", "#7f7f7f on #ffffff"),
        ("<p style='opacity: 0.4; color: black'>faded</p>", "#999999 on #ffffff"),
        ("<div style='background: #333'><p style='color: #666'>dark</p></div>", "#666666 on #333333"),
        ("<svg width=90 height=30><text y=20 fill='#888'>drawn</text></svg>", "#888888 on #ffffff"),
    ],
)
def test_a_text_with_little_contrast_is_detected(content, colors, check):
    findings = check(content)
    assert [finding.scheme for finding in findings] == ["light", "dark"]
    assert all(colors in finding.problem for finding in findings)


def test_a_color_scheme_of_its_own_is_measured(check):
    style = "@media (prefers-color-scheme: dark) { body { background: #222; color: #ccc } a { color: #444 } }"
    (finding,) = check("<p>text <a href=''>link</a></p>", style + "a { color: #04c }")
    assert (finding.scheme, finding.element) == ("dark", "p > a")


def test_large_and_hidden_texts_need_less(check):
    content = "<p style='color: #888; font-size: 24px'>large</p><p style='color: #eee; visibility: hidden'>hidden</p>"
    assert check(content) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("<script>console.error('no data')</script>", "logs an error: no data"),
        ("<script>missing()</script>", "a script fails: missing is not defined"),
        ("<script src='missing.js'></script>", "receives status 404 for /missing.js"),
        ("<script>fetch('http://127.0.0.1:9/a').catch(() => 0)</script>", "requests http://127.0.0.1:9/a"),
    ],
)
def test_errors_and_requests_are_detected(content, problem, check):
    assert problem in {finding.problem for finding in check(content)}
