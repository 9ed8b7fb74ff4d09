"""Hook of MkDocs that converts equations to MathML, which browsers render without a script or a font of their own.

An equation stands between `$$` and `$$` on lines of its own, or in a line between `\\(` and `\\)`.
"""

import re

from latex2mathml.converter import convert

_FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^[ ]{0,3}\$\$(.+?)\$\$[ ]*$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"\\\((.+?)\\\)")


def on_page_markdown(markdown, page, config, files):
    """Convert the equations of a page, except those in code."""
    return convert_equations(markdown)


def convert_equations(markdown: str) -> str:
    """Return Markdown with MathML in place of LaTeX."""
    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _convert(part) for part in parts)


def _convert(text: str) -> str:
    text = _BLOCK.sub(lambda match: f'\n<div class="equation">{_mathml(match[1], "block")}</div>\n', text)
    # in a span, because Markdown takes <math> at the start of a line for a block
    return _INLINE.sub(lambda match: f"<span>{_mathml(match[1], 'inline')}</span>", text)


def _mathml(latex: str, display: str) -> str:
    return convert(" ".join(latex.split()), display=display)
