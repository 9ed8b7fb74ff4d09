"""The words in a diagram's boxes, and how much room they take."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from deepkit.visualize.diagrams import labels as _labels
from deepkit.visualize.diagrams.boxes import Part

FONT, SIZE = "DejaVu Sans", 7.0  # comes with Matplotlib; wide, so that a viewer's other font fits as well
LINE, PAD, GAP = 10.0, 4.0, 5.0  # height of a line of text, room at its sides and between its words, in points


class Text(NamedTuple):
    """One line: bold words, plain words after them, and grey ones at the right; `kind` colours the ground."""

    bold: str = ""
    plain: str = ""
    right: str = ""
    kind: str = ""

    @property
    def width(self) -> float:
        """What it takes in points, with room between and at the sides."""
        texts = ((self.bold, True), (self.plain, False), (self.right, False))
        widths = [width(text, bold=bold) for text, bold in texts if text]
        return sum(widths) + 2 * PAD + GAP * max(0, len(widths) - 1)


def box_lines(part: Part) -> list[Text]:
    """Return the lines of a box: its name, its layers, and what it returns."""
    head = [Text(part.name, right=times(part))] if part.name or part.times > 1 else []
    weighty = sum(row.params > 0 for row in part.rows) > 1
    rows = []
    for row in part.rows:
        shown = row.name and not (part.name and (row.plain or row.name == part.name))
        text = "" if shown and _labels.redundant(row.name, row.text) else row.text
        rows.append(
            Text(row.name if shown else "", text, f"{row.params:,}" if weighty and row.params else "", row.kind)
        )
    return [*head, *rows, Text(plain=f"{part.shape} → output" if part.output else part.shape, right=count(part))]


def head_line(part: Part) -> Text:
    """Return the line over a block."""
    name = f"{part.name}  {times(part)}" if part.times > 1 else part.name
    return Text(name, right="   ".join(text for text in (part.shape, count(part)) if text))


def times(part: Part) -> str:
    """Return `× 3` for what stands for three."""
    return f"× {part.times}" if part.times > 1 else ""


def count(part: Part) -> str:
    """Return the weights of a part, of one copy and of all where it stands for several; nothing for none."""
    if not part.params:
        return ""
    if part.again:
        return f"{part.params:,} shared"
    each, rest = divmod(part.params, part.times)
    return f"{part.params:,}" if part.times == 1 or rest else f"{part.times} × {each:,} = {part.params:,}"


def width(text: str, *, bold: bool = False, size: float = SIZE) -> float:
    """Return the width of a text in points."""
    return _width(text, bold) * size


@cache
def _width(text: str, bold: bool) -> float:
    font = FontProperties(family=FONT, weight="bold" if bold else "normal", size=100)
    wide, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return wide / 100
