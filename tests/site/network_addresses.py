"""Check that a site requests nothing from the network: links to other sites are fine, their files are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .built_pages import BuiltPage, built_pages, describe, is_external
from .findings import Finding

SOURCES = ("src", "srcset", "data", "poster", "data-src")  # attributes that a browser requests
NOT_REQUESTED = {"canonical", "alternate", "prev", "next", "author", "license", "help", "edit"}  # relations of <link>
CSS_ADDRESS = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s;]+)""")
JS_STRING = re.compile(r"""["'`]((?:https?:)//[^"'`\s]*)""")
KNOWN_ADDRESSES = {  # of scripts of the theme, which request them under a condition that no page meets
    "http://www.w3.org/": "a namespace",
    "https://api.github.com/": "only with the attribute data-md-component=source",
    "https://${": "GitLab's address, only with the attribute data-md-component=source",
    "https://unpkg.com/mermaid@": "only with an element of the class mermaid",
    "https://unpkg.com/resize-observer-polyfill": "only in browsers without ResizeObserver",
}
CONDITIONS = {
    "//*[@data-md-component='source']": "makes the theme request the repository's statistics",
    "//*[contains(concat(' ', @class, ' '), ' mermaid ')]": "makes the theme request mermaid",
}


def check_network(site: Path) -> list[Finding]:
    """Return each address that a page, a style sheet or a script would request from the network."""
    findings = [finding for page in built_pages(site) for finding in _of_page(page)]
    for file in sorted(site.rglob("*.css")):
        findings += _of_style(file.read_text(encoding="utf-8"), file.relative_to(site).as_posix())
    for file in sorted(site.rglob("*.js")):
        findings += _of_script(file.read_text(encoding="utf-8"), file.relative_to(site).as_posix())
    return findings


def _of_page(page: BuiltPage) -> Iterator[Finding]:
    for element in page.root.iter("*"):
        for address in _requested(element):
            if is_external(address):
                yield Finding(page.path, f"requests {address}", describe(element))
        yield from _of_style(element.get("style", ""), page.path)
        if element.tag == "style":
            yield from _of_style(element.text or "", page.path)
        if element.tag == "script":
            yield from _of_script(element.text or "", page.path)
    for condition, consequence in CONDITIONS.items():
        for element in page.root.xpath(condition):
            yield Finding(page.path, consequence, describe(element))


def _requested(element) -> list[str]:
    """Return the addresses that a browser requests for an element."""
    addresses = [element.get(name) for name in SOURCES if element.get(name)]
    relations = set(element.get("rel", "").split())
    if element.tag in {"use", "image"} or (element.tag == "link" and not relations <= NOT_REQUESTED):
        addresses += [value for name, value in element.attrib.items() if name in {"href", "xlink:href"}]
    return [part for address in addresses for part in re.split(r",?\s+", address.strip())]


def _of_style(text: str, path: str) -> list[Finding]:
    return [Finding(path, f"requests {address}", "style") for address in CSS_ADDRESS.findall(text)]


def _of_script(text: str, path: str) -> list[Finding]:
    addresses = [address for address in JS_STRING.findall(text) if not address.startswith(tuple(KNOWN_ADDRESSES))]
    return [Finding(path, f"may request {address[:80]}", "script") for address in addresses]
