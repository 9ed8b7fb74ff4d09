"""Elements of the report as HTML. All arguments are plain texts, except those named `content`, which are HTML."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from deepkit.training.reporting.report_style import style_sheet

_MAX_NAME = 120  # characters of a name of the user


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Args:
        title: Its heading.
        content: Its content as HTML.
    """

    title: str
    content: str

    @property
    def anchor(self) -> str:
        """The id of its heading."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def page(title: str, lead: str, content: str, sections: Sequence[Section], footer: str) -> str:
    """Return a complete page.

    Args:
        title: Name of the model.
        lead: A sentence about the run.
        content: The content above the first section.
        sections: The sections.
        footer: The last line.
    """
    links = "".join(f'<a href="#{section.anchor}">{escape(section.title)}</a>' for section in sections)
    body = "".join(
        f'<section aria-labelledby="{section.anchor}"><h2 id="{section.anchor}">{escape(section.title)}</h2>'
        f"{section.content}</section>\n"
        for section in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: report of a run</title>\n<style>{style_sheet()}</style></head>\n<body>"
        f"<header><div><h1>{isolated(title)}</h1><p>{escape(lead)}</p></div></header>\n"
        f'<main>{content}<nav aria-label="Sections">{links}</nav>\n{body}</main>\n'
        f"<footer>{escape(footer)}</footer></body></html>\n"
    )


def escape(text: object) -> str:
    """Return a text with the characters that HTML reserves escaped; characters without a glyph are left out."""
    encodable = str(text).encode("utf-8", "replace").decode("utf-8")
    return html.escape("".join(c for c in encodable if c in "\n\t" or ord(c) >= 32))


def isolated(text: object) -> str:
    """Return a text of the user, whose direction of writing does not change that of its surroundings."""
    return f"<bdi>{escape(shorten(str(text), _MAX_NAME))}</bdi>"


def name(text: object) -> str:
    """Return a name of the user in an element of limited width."""
    return f'<span class="name">{isolated(text)}</span>'


def shorten(text: str, limit: int) -> str:
    """Return the first characters of a text.

    >>> shorten("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """Return a paragraph in small type."""
    return f'<p class="note">{escape(text)}</p>'


def warning(text: str) -> str:
    """Return a paragraph that stands out."""
    return f'<p class="warning">{escape(text)}</p>'


def heading(text: str) -> str:
    """Return a heading inside a section."""
    return f"<h3>{isolated(text)}</h3>"


def numbers(pairs: Sequence[tuple[str, str]]) -> str:
    """Return names and values as cards."""
    cards = "".join(f"<div><dt>{isolated(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in pairs)
    return f'<dl class="numbers">{cards}</dl>'


def facts(rows: Sequence[Sequence[str]]) -> str:
    """Return a table of facts: the name of the row, and texts about it, which a narrow screen shows below the name."""
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<table class="facts"><tbody>{body}</tbody></table>'


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    texts: int = 1,
    totals: Sequence[Sequence[str]] = (),
    caption: str = "",
) -> str:
    """Return a table that scrolls inside its box if the screen is narrow.

    Args:
        header: The titles of the columns.
        rows: The cells; the first of a row is its name.
        texts: Number of columns of texts; the cells of the others are numbers, aligned at the right.
        totals: Rows below a line.
        caption: A line above the table.
    """
    head = "".join(_cell("th", cell, i >= texts, ' scope="col"') for i, cell in enumerate(header))
    body = "".join(_row(row, texts) for row in rows) + "".join(_row(row, texts, ' class="total"') for row in totals)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return scroll(f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", caption or header[0])


def scroll(content: str, label: str, kind: str = "") -> str:
    """Return wide content in a box that scrolls, also with the keyboard."""
    classes = f"scroll {kind}".strip()
    return f'<div class="{classes}" tabindex="0" role="group" aria-label="{escape(label)}">{content}</div>'


def code(text: str) -> str:
    """Return code in the lines of the text."""
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def details(summary: str, content: str) -> str:
    """Return content that is hidden until the reader opens it."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def image(content: bytes, alternative: str, mime_type: str = "image/png", kind: str = "") -> str:
    """Return an image that is part of the page.

    Args:
        content: The content of the image file.
        alternative: Text for readers who cannot see the image.
        mime_type: The type of the image file.
        kind: The class of the element.
    """
    source = f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
    attributes = f' class="{kind}"' if kind else ""
    return f'<img{attributes} alt="{escape(alternative)}" src="{source}">'


def figure(content: str, caption: str = "") -> str:
    """Return an image with a caption."""
    return f"<figure>{content}{f'<figcaption>{escape(caption)}</figcaption>' if caption else ''}</figure>"


def panels(contents: Sequence[str]) -> str:
    """Return figures side by side, or below each other on a narrow screen."""
    return f'<div class="panels">{"".join(contents)}</div>' if contents else ""


def cards(contents: Sequence[str], kind: str = "") -> str:
    """Return a list of cards."""
    return f'<ul class="{f"cards {kind}".strip()}">{"".join(f"<li>{content}</li>" for content in contents)}</ul>'


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Return names and values for a card."""
    return f"<dl>{''.join(f'<dt>{isolated(key)}</dt><dd>{isolated(value)}</dd>' for key, value in rows)}</dl>"


def quotation(text: str) -> str:
    """Return a text of the data in its own direction of writing."""
    return f'<blockquote dir="auto">{escape(text)}</blockquote>'


def _row(cells: Sequence[str], texts: int, attributes: str = "") -> str:
    content = "".join(
        _cell("td" if i else "th", cell, i >= texts, "" if i else ' scope="row"') for i, cell in enumerate(cells)
    )
    return f"<tr{attributes}>{content}</tr>"


def _cell(tag: str, text: str, is_number: bool, attributes: str) -> str:
    if is_number:
        return f'<{tag}{attributes} class="number">{escape(text)}</{tag}>'
    return f"<{tag}{attributes}>{name(text)}</{tag}>"
