"""Text in the boxes of a diagram, and its width."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from deepkit.visualize.diagrams import layer_labels as _labels
from deepkit.visualize.diagrams.elements import Element

FONT, FONT_SIZE = "DejaVu Sans", 7.0  # comes with Matplotlib; wide, so that a viewer's substitute font fits as well
LINE_HEIGHT, PADDING, SPACING = 10.0, 4.0, 5.0  # of a line of text, at its sides, and between its texts, in points


class TextLine(NamedTuple):
    """A line of text.

    Args:
        bold: Bold text at the left.
        plain: Plain text after it.
        right: Gray text at the right.
        category: Category of the layer, which decides the background color; empty for none.
    """

    bold: str = ""
    plain: str = ""
    right: str = ""
    category: str = ""

    @property
    def width(self) -> float:
        """The width in points, with spacing and padding."""
        texts = ((self.bold, True), (self.plain, False), (self.right, False))
        widths = [text_width(text, bold=bold) for text, bold in texts if text]
        return sum(widths) + 2 * PADDING + SPACING * max(0, len(widths) - 1)


def box_lines(element: Element) -> list[TextLine]:
    """Return the lines of a box: its name, its layers, and its output shape."""
    lines = []
    if element.name or element.num_copies > 1:
        lines.append(TextLine(element.name, right=copies_text(element)))
    shows_params = sum(row.num_params > 0 for row in element.rows) > 1
    for row in element.rows:
        repeats_box = element.name and (row.is_generic or row.name == element.name)
        name = "" if repeats_box else row.name
        label = "" if name and _labels.is_redundant(name, row.label) else row.label
        num_params = f"{row.num_params:,}" if shows_params and row.num_params else ""
        lines.append(TextLine(name, label, num_params, row.category))
    shape = f"{element.shape} → output" if element.is_output else element.shape
    return [*lines, TextLine(plain=shape, right=params_text(element))]


def block_header(element: Element) -> TextLine:
    """Return the line at the top of a block: its name, its output shape, and its number of weights."""
    name = f"{element.name}  {copies_text(element)}" if element.num_copies > 1 else element.name
    return TextLine(name, right="   ".join(text for text in (element.shape, params_text(element)) if text))


def copies_text(element: Element) -> str:
    """Return `× 3` for an element that stands for three copies, and an empty string for a single one."""
    return f"× {element.num_copies}" if element.num_copies > 1 else ""


def params_text(element: Element) -> str:
    """Return the number of weights of an element, or of each copy and of all copies; an empty string for no weights."""
    if not element.num_params:
        return ""
    if element.reuses_weights:
        return f"{element.num_params:,} shared"
    per_copy, remainder = divmod(element.num_params, element.num_copies)
    if element.num_copies == 1 or remainder:
        return f"{element.num_params:,}"
    return f"{element.num_copies} × {per_copy:,} = {element.num_params:,}"


def text_width(text: str, *, bold: bool = False, size: float = FONT_SIZE) -> float:
    """Return the width of a text in points."""
    return _relative_width(text, bold) * size


@cache
def _relative_width(text: str, bold: bool) -> float:
    font = FontProperties(family=FONT, weight="bold" if bold else "normal", size=100)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return width / 100
