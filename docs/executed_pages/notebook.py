"""A page as a notebook: text cells without what only the site can show, code cells with their outputs."""

from __future__ import annotations

import base64
import mimetypes
import re
import textwrap
from pathlib import Path
from typing import Any

import nbformat

from .cell_outputs import make_cell
from .kernel import ExecutedPage
from .source import Fence

ATTRIBUTES = re.compile(r"\{:?\s*[.#][^}\n]*\}")
DIV = re.compile(r"^[ \t]*</?div[^>\n]*>[ \t]*\n?", re.MULTILINE)  # of the site's layout
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?://|mailto:|#)([^)\s]+)\)")
INLINE_EQUATION = re.compile(r"\\\((.+?)\\\)")  # Jupyter and Colab have dollars around an equation
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def make_notebook(executed: ExecutedPage, docs_dir: Path) -> str:
    """Return the notebook of a page as JSON.

    Images of the page are attached to the notebook; links to other pages become text, because a notebook is read
    outside the site. Fences that are not executed are text, so that all cells run.
    """
    folder = (docs_dir / executed.page.path).parent
    cells, text = [], ""
    for number, part in enumerate(executed.page.parts):
        if isinstance(part, Fence) and part.is_executed:
            cells += _text_cells(text, f"text{number}", folder)
            text = ""
            cells.append(make_cell(part, executed.outputs[part.number]))
        else:
            text += part.block if isinstance(part, Fence) else part.text
    cells += _text_cells(text, "text-end", folder)
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata=METADATA))


def _text_cells(text: str, name: str, folder: Path) -> list[Any]:
    """Return the cell of a text of the page, or none if it is empty."""
    attachments: dict[str, dict[str, str]] = {}

    def attach(image: re.Match[str]) -> str:
        path = folder / image[2]
        mime_type = mimetypes.guess_type(path.name)[0]
        if not path.is_file() or mime_type is None:
            return image[0]
        attachments[path.name] = {mime_type: base64.b64encode(path.read_bytes()).decode()}
        return f"![{image[1]}](attachment:{path.name})"

    text = LINK.sub(r"\1", ATTRIBUTES.sub("", DIV.sub("", COMMENT.sub("", textwrap.dedent(text)))))
    text = IMAGE.sub(attach, INLINE_EQUATION.sub(r"$\1$", text)).strip("\n")
    if not text.strip():
        return []
    cell = nbformat.v4.new_markdown_cell(text, id=name)
    if attachments:
        cell["attachments"] = attachments
    return [cell]
