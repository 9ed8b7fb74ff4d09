"""A page with its outputs, as Markdown, and the files of its figures."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from .cell_outputs import Shown, ShownFigure, ShownText, shown_outputs
from .errors import PageError
from .kernel import ExecutedPage
from .script import has_script
from .source import Fence, Text

TITLE = re.compile(r"^# .*\n", re.MULTILINE)
FOLDER = "executed"  # of the figures, next to the page


@dataclass
class RenderedPage:
    """A page with its outputs.

    Args:
        path: Path of the page, relative to the folder of the documentation.
        markdown: The Markdown of the page with its outputs.
        figures: The files of the figures, by path relative to the folder of the documentation.
        html: The HTML of objects, by the paragraph that holds its place: it must not pass through the Markdown parser.
    """

    path: str
    markdown: str = ""
    figures: dict[str, bytes] = field(default_factory=dict)
    html: dict[str, str] = field(default_factory=dict)

    def insert_html(self, content: str) -> str:
        """Replace the paragraphs that hold the places of HTML, after the page was converted to HTML."""
        for paragraph, item in self.html.items():
            content = content.replace(f"<p>{paragraph}</p>", f'<div class="cell-output cell-html">{item}</div>')
        return content

    def add(self, shown: Shown, name: str) -> str:
        """Return the Markdown of an output; store figures and HTML under a name."""
        if isinstance(shown, ShownText):
            ticks = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", shown.text)), 3)
            return f"{ticks} {{ .text .cell-output .no-copy }}\n{shown.text}\n{ticks}\n"
        if isinstance(shown, ShownFigure):
            path = f"{FOLDER}/{name}.{shown.suffix}"
            self.figures[str(PurePosixPath(self.path).parent / path)] = shown.content
            alt_text = re.sub(r"([\[\]\\])", r"\\\1", shown.alt_text)
            return f"![{alt_text}]({path}){{ .cell-figure }}\n"
        paragraph = f"output-{name}"
        self.html[paragraph] = shown.html
        return f"{paragraph}\n"


def render_page(executed: ExecutedPage) -> RenderedPage:
    """Insert the outputs after the fences, and a link to the notebook after the title."""
    page = executed.page
    stem = PurePosixPath(page.path).stem
    rendered = RenderedPage(page.path)
    chunks, num_outputs = [], 0
    for part in page.parts:
        if isinstance(part, Text):
            chunks.append(part.text)
            continue
        chunk = part.block
        for index, shown in enumerate(_shown(part, executed), start=1):
            chunk += f"\n{rendered.add(shown, f'{stem}-{part.number}-{index}')}"
            num_outputs += 1
        chunks.append(textwrap.indent(chunk, part.indent))
    if page.executed and not num_outputs:
        raise PageError("no fence shows an output; print a result, or end a fence with a figure", page=page.path)
    link = f"[Download this page as a notebook]({stem}.ipynb){{ .notebook-link download={stem}.ipynb }}\n"
    if has_script(page):
        link = f"{link}[or as a script]({stem}.py){{ .script-link download={stem}.py }}\n"
    rendered.markdown = TITLE.sub(lambda title: f"{title[0]}\n{link}", "".join(chunks), count=1)
    return rendered


def _shown(fence: Fence, executed: ExecutedPage) -> list[Shown]:
    return shown_outputs(fence, executed.outputs[fence.number], executed.page) if fence.is_executed else []
