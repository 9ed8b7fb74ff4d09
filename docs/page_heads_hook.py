"""Hook of MkDocs for titles and descriptions: what search engines and the tabs of a browser show of a page."""

import html
import re

import lxml.html

DESCRIPTION_LENGTH = 180  # characters
OBJECT = re.compile(r"^(::: \S+)\n(    options:(?: \{)?)?", re.MULTILINE)


def on_page_markdown(markdown, page, config, files):
    """Put the objects of an API page below the headings of their groups."""
    if page.file.src_uri.startswith("api/") and "\n## " in markdown:
        return OBJECT.sub(_nested, f"{markdown}\n")
    return markdown


def _nested(match):
    """Add the level of the heading to the options of an object, which stand in one line, in several, or nowhere."""
    if (match[2] or "").endswith("{"):
        return f"{match[1]}\n{match[2]} heading_level: 3,"
    return f"{match[1]}\n    options:\n      heading_level: 3" + ("" if match[2] else "\n")


def on_page_content(content, page, config, files):
    """Set the description of a page to its first paragraph, and distinguish API pages from guides of the same name."""
    page.meta.setdefault("description", html.escape(first_paragraph(content)))
    if page.file.src_uri.startswith("api/") and page.file.src_uri != "api/index.md":
        page.meta.setdefault("title", f"{page.title} (API)")
    return content


def first_paragraph(content):
    """Return the text of the first paragraph, shortened to whole words."""
    for paragraph in lxml.html.fragment_fromstring(content, create_parent="div").iter("p"):
        text = " ".join(paragraph.text_content().split())
        if text and not paragraph.find_class("notebook-link"):
            return text if len(text) <= DESCRIPTION_LENGTH else f"{text[:DESCRIPTION_LENGTH].rpartition(' ')[0]} ..."
    return ""
