"""Fragments of HTML for the display in notebooks: readable on a light and a dark page, and with all texts escaped.

Styles are attributes of the elements, because a style sheet would apply to the whole page. Text and background have the
colors of the page.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

_BORDER = "1px solid rgba(128,128,128,.35)"
_CELL = f"text-align:left;vertical-align:top;padding:3px 14px 3px 0;border:0;border-bottom:{_BORDER};white-space:normal"
_INHERIT = "color:inherit;background:transparent"


def block(*fragments: str) -> str:
    """Return fragments as one block of a page."""
    return f'<div class="deepkit" style="{_INHERIT};max-width:60rem">{"".join(fragments)}</div>'


def title(text: str, detail: str = "") -> str:
    """Return a bold title, followed by a detail in normal type."""
    rest = f" {_escape(detail)}" if detail else ""
    return f'<p style="margin:.3rem 0"><b>{_escape(text)}</b>{rest}</p>'


def note(text: str) -> str:
    """Return a paragraph in small type."""
    return f'<p style="margin:.3rem 0;font-size:85%;opacity:.8">{_escape(text)}</p>'


def warning(text: str) -> str:
    """Return a paragraph that stands out."""
    style = "margin:.4rem 0;padding:.3rem .7rem;border-left:4px solid #e03131;font-weight:bold"
    return f'<p style="{style}">{_escape(text)}</p>'


def code(text: str) -> str:
    """Return code in the lines of the text."""
    style = f"{_INHERIT};margin:.4rem 0;padding:0;border:0;overflow-x:auto;white-space:pre;font-size:90%"
    return f'<pre style="{style}">{_escape(text)}</pre>'


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Return a table of texts; the first column contains the names of the rows."""
    head = f"<thead>{_row('th', header, 'font-weight:bold')}</thead>" if header else ""
    body = "".join(_row("td", row) for row in rows)
    style = f"{_INHERIT};border-collapse:collapse;border:0;margin:.4rem 0;font-size:90%"
    return f'<table style="{style}">{head}<tbody>{body}</tbody></table>'


def image(content: bytes, mime_type: str, alternative: str) -> str:
    """Return an image whose content is part of the page.

    Args:
        content: The content of the image file.
        mime_type: `"image/png"` or `"image/svg+xml"`.
        alternative: Text for readers who cannot see the image.
    """
    source = f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
    style = "display:block;max-width:100%;height:auto;margin:.4rem 0;border-radius:4px"
    return f'<img alt="{_escape(alternative)}" src="{source}" style="{style}">'


def details(summary: str, *fragments: str) -> str:
    """Return fragments that are hidden until the reader opens them."""
    return f'<details><summary style="cursor:pointer">{_escape(summary)}</summary>{"".join(fragments)}</details>'


def _row(tag: str, cells: Sequence[str], style: str = "") -> str:
    texts = "".join(f'<{tag} style="{_CELL};{style}">{_escape(cell)}</{tag}>' for cell in cells)
    return f'<tr style="{_INHERIT}">{texts}</tr>'


def _escape(text: str) -> str:
    return html.escape(str(text))
