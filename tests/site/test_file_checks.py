"""Each check without a browser detects its faults on a small site, and accepts a correct one."""

import os

import pytest

from .conftest import newer_sources
from .findings import Finding, report
from .image_texts import check_images
from .internal_links import check_links
from .network_addresses import check_network
from .page_heads import check_heads
from .page_sizes import check_page_sizes

HEAD = '<meta name="description" content="About {0}."><title>{0}</title>'
CHECKS = (check_network, check_links, check_images, check_page_sizes, check_heads)


def write_site(folder, content="", head="", **pages):
    """Write a site with an image, a second page, and a first page with the given content."""
    (folder / "guide").mkdir()
    (folder / "dot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    pages = {
        "index": f"{head}<article><h1 id='top'>Start</h1>{content}</article>",
        "guide/index": "<article><h1 id='a-b'>Guide</h1></article>",
        **pages,
    }
    for name, body in pages.items():
        text = f"<!doctype html><html lang='en'><head>{HEAD.format(name)}</head><body>{body}</body></html>"
        (folder / f"{name}.html").write_text(text)
    return folder


def problems(findings):
    return [finding.problem for finding in findings]


def test_a_correct_page_passes(tmp_path):
    content = """
        <a href="https://example.org/x.html#y">other site</a> <a href="guide/">page</a> <a href="guide/#a-b">part</a>
        <a href="#top">top</a> <a href="guide/index.html">file</a> <a href="mailto:a@example.org">mail</a>
        <img src="dot.svg" alt="A dot"> <svg role="img" aria-label="A dot"></svg>
        <svg role="img"><title>A dot</title></svg> <a title="icon"><svg></svg></a> <svg aria-hidden="true"></svg>
        <p style="background: url(dot.svg)">text</p>"""
    head = '<link rel="canonical" href="https://example.org/"><link rel="stylesheet" href="style.css">'
    site = write_site(tmp_path, content, head)
    (site / "style.css").write_text("@import 'other.css'; p { background: url(data:image/png;base64,AA) }")
    (site / "script.js").write_text("draw('http://www.w3.org/2000/svg'); fetch('search/index.json') // https://a.b")
    for check in CHECKS:
        assert check(site) == [], check.__name__


@pytest.mark.parametrize(
    "content",
    [
        '<script src="https://example.org/a.js"></script>',
        '<link rel="stylesheet" href="//example.org/a.css">',
        '<link rel="preconnect" href="https://example.org">',
        '<img alt="a" src="https://example.org/a.png">',
        '<img alt="a" src="dot.svg" srcset="dot.svg 1x, https://example.org/a.png 2x">',
        '<iframe src="https://example.org"></iframe>',
        '<video poster="https://example.org/a.png"></video>',
        '<p style="background: url(https://example.org/a.png)">a</p>',
        "<style>@import 'https://example.org/a.css';</style>",
        "<script>fetch(`https://example.org/a.json`)</script>",
        '<a href="https://example.org" data-md-component="source">repository</a>',
        '<pre class="mermaid">graph</pre>',
    ],
)
def test_a_request_from_the_network_is_detected(content, tmp_path):
    assert len(check_network(write_site(tmp_path, content))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.css", "@font-face { src: url('https://example.org/a.woff2') }"),
        ("a.css", '@import "//example.org/a.css";'),
        ("a.js", 'import("https://example.org/a.js")'),
    ],
)
def test_a_request_from_a_style_sheet_or_script_is_detected(name, text, tmp_path):
    site = write_site(tmp_path)
    (site / name).write_text(text)
    assert [finding.page for finding in check_network(site)] == [name]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("missing/", "does not exist"),
        ("guide/missing.html", "does not exist"),
        ("../outside.html", "leaves the site"),
        ("#missing", "'#missing'"),
        ("guide/#missing", "'#missing'"),
        ("javascript:back()", "is not an address"),
    ],
)
def test_a_broken_link_is_detected(address, problem, tmp_path):
    (finding,) = check_links(write_site(tmp_path, f'<a href="{address}">link</a>'))
    assert finding.page == "index.html"
    assert problem in finding.problem
    assert address in finding.element


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('<img src="missing.png" alt="a">', "does not exist"),
        ('<img src="dot.svg">', "has no alternative text"),
        ('<img src="dot.svg" alt=" ">', "has no alternative text"),
        ('<img alt="a">', "has no address"),
        ("<svg><text>a</text></svg>", 'needs role="img" and an aria-label or a <title>'),
        ('<svg role="img"></svg>', 'needs role="img" and an aria-label or a <title>'),
        ("<svg><title>a</title></svg>", 'needs role="img" and an aria-label or a <title>'),
    ],
)
def test_an_image_without_file_or_text_is_detected(content, problem, tmp_path):
    assert problems(check_images(write_site(tmp_path, content))) == [problem]


def test_a_large_page_is_detected(tmp_path):
    site = write_site(tmp_path, '<img src="large.svg" alt="a"> <img src="large.svg" alt="a, again">')
    (site / "large.svg").write_bytes(b" " * 1_100_000)
    (finding,) = check_page_sizes(site)
    assert "1.10 MB" in finding.problem
    assert "large.svg 1,100 kB" in finding.problem


def test_missing_heads_are_detected(tmp_path):
    site = write_site(tmp_path, other="<h1>One</h1><h1>Two</h1>")
    (site / "empty.html").write_text("<!doctype html><p>text</p>")
    (site / "copy.html").write_text((site / "index.html").read_text())
    result = {finding.page: problems(other for other in check_heads(site) if other.page == finding.page)
             for finding in check_heads(site)}  # fmt: skip
    assert result == {
        "copy.html": ["shares its title with 1 other pages", "shares its description with 1 other pages"],
        "index.html": ["shares its title with 1 other pages", "shares its description with 1 other pages"],
        "empty.html": [
            "has no language", "has 0 headings of level 1, expected one", "has no title", "has no description",
        ],
        "other.html": ["has 2 headings of level 1, expected one"],
    }  # fmt: skip


def test_the_report_has_one_line_for_a_fault_of_many_pages():
    findings = [Finding(f"{number}.html", "is cut", "code", 390) for number in range(6)]
    findings.append(Finding("0.html", "is pale", scheme="dark"))
    assert report(findings) == (
        "0.html: [dark] is pale\n0.html, 1.html, 2.html, 3.html and 2 more: [390 px] code: is cut"
    )


def test_changed_sources_are_newer_than_the_site(tmp_path):
    for name in ("site/404.html", "docs/index.md", "docs/css/site.css", "mkdocs.yml", "docs/__pycache__/hooks.pyc"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (100, 100))
    assert newer_sources(tmp_path, tmp_path / "site") == []
    os.utime(tmp_path / "docs/css/site.css", (101, 101))
    os.utime(tmp_path / "docs/__pycache__/hooks.pyc", (101, 101))
    assert newer_sources(tmp_path, tmp_path / "site") == ["docs/css/site.css"]
