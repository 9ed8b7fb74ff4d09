"""The diagram of a model: its layers as boxes, nested by block, with shapes and numbers of weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import keras
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline

from deepkit.visualize import _labels
from deepkit.visualize._graph import read
from deepkit.visualize._layout import HEAD, SHADOW, Area, Line, Placed, arrange
from deepkit.visualize._parts import Nest, closed, levels
from deepkit.visualize._text import FONT, LINE, PAD, SIZE, Text, box_lines, head_line, width
from deepkit.visualize.figures import save

_INK, _GREY, _LINE = "#212529", "#495057", "#868e96"
_FILLS = {
    _labels.CONVOLUTION: "#d0ddfb",
    _labels.DENSE: "#ffdfb8",
    _labels.NORMALISATION: "#e9ecef",
    _labels.ACTIVATION: "#d3efd8",
    _labels.POOLING: "#e4d7f5",
    _labels.MERGE: "#fbeeb0",
    _labels.INPUT: "#d5eef2",
    _labels.OTHER: "#f4f1ea",
}
_GROUNDS = ("#ffffff", "#f8f9fa", "#f1f3f5", "#e9ecef")  # of blocks in blocks
_BORDER, _TITLE = 8.0, 18.0  # of the page, in points
_PAGE = (760.0, 1000.0)  # what is as large as this is printed on a page as it is
_LEGIBLE = 0.7  # how far it may be made smaller
_TALLEST = (1e9, 1300.0, 1000.0, 760.0, 560.0, 420.0, 320.0, 240.0)
_PIXELS = 20_000  # the most a picture may have along a side


def diagram(model: keras.Model, path: str | os.PathLike[str] | None = None, *, depth: int | None = None) -> Figure:
    """Draw a model."""
    page = layout(model, depth=depth)
    figure = _drawn(page)
    if path is not None:
        save(figure, path)
    return figure


@dataclass
class Page:
    """A diagram before it is drawn: what is where, in points from the top left corner."""

    title: Text
    area: Area
    nest: Nest
    depth: int

    def __post_init__(self) -> None:
        self.width = max(self.area.width, self.title.width) + 2 * _BORDER
        self.height = self.area.height + _TITLE + 2 * _BORDER

    @property
    def scale(self) -> float:
        """How large it is on a page of paper, 1 for its full size; less where it is very long or very wide."""
        shape = min(1.0, 3 * self.width / self.height, 3 * self.height / self.width)
        return shape * min(1.0, _PAGE[0] / self.width, _PAGE[1] / self.height)


def layout(model: keras.Model, *, depth: int | None = None) -> Page:
    """Return where everything lies in the diagram of a model; arguments as `diagram`."""
    nest = Nest(model.name, read(model))
    if depth is not None:
        return _page(model, nest, depth)
    for tried in range(levels(nest.root), -1, -1):
        page = _page(model, nest, tried)
        if page.scale >= _LEGIBLE:
            break
    return page


def _page(model: keras.Model, nest: Nest, depth: int) -> Page:
    """Lay out a page, wrapped into columns as far as makes it clearly easier to read."""
    root = closed(nest.root, depth)
    params = f"{model.count_params():,} parameters"
    best = None
    for tallest in _TALLEST:
        page = Page(Text(model.name, params), arrange(root, nest.links, tallest), nest, depth)
        if best is None or page.scale > 1.05 * best.scale:
            best = page
    return best


def _drawn(page: Page) -> Figure:
    figure = Figure(figsize=(page.width / 72, page.height / 72), dpi=min(180.0, 72 * _PIXELS / max(page.width, page.height)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, page.width), ylim=(page.height, 0))
    axes.axis("off")
    _write(axes, page.title, _BORDER, _BORDER, page.width - 2 * _BORDER, size=9.0)
    x, y = (page.width - page.area.width) / 2, _BORDER + _TITLE
    [_, *placed] = page.area.placed(x, y)
    for at in placed:
        (_box if not at.part.parts else _block)(axes, at)
    for line in page.area.drawn(x, y):
        _line(axes, line)
    return figure


def _block(axes: Any, at: Placed) -> None:
    order = 10 * at.level
    if at.part.times > 1:
        _frame(axes, at, order, SHADOW)
    _frame(axes, at, order + 1)
    ground = Rectangle((at.x + 0.4, at.y + 0.4), at.width - 0.8, HEAD - 0.8, facecolor="#dee2e6", linewidth=0, zorder=order + 9)
    axes.add_patch(ground)
    _write(axes, head_line(at.part), at.x, at.y, at.width, order=order + 9.5)


def _frame(axes: Any, at: Placed, order: float, shift: float = 0.0) -> None:
    axes.add_patch(
        Rectangle(
            (at.x + shift, at.y + shift), at.width, at.height,
            facecolor=_GROUNDS[min(at.level, len(_GROUNDS) - 1)] if at.part.parts else "#ffffff",
            edgecolor=_LINE, linewidth=0.7, zorder=order,
        )
    )  # fmt: skip


def _box(axes: Any, at: Placed) -> None:
    order = 10 * at.level
    if at.part.times > 1:
        _frame(axes, at, order, SHADOW)
    _frame(axes, at, order + 5)
    for i, text in enumerate(box_lines(at.part)):
        y = at.y + i * LINE
        if text.kind:
            fill = Rectangle((at.x + 0.4, y + 0.4), at.width - 0.8, LINE - 0.8, facecolor=_FILLS[text.kind], linewidth=0, zorder=order + 6)
            axes.add_patch(fill)
        _write(axes, text, at.x, y, at.width, order=order + 7)


def _write(axes: Any, text: Text, x: float, y: float, wide: float, *, order: float = 1.0, size: float = SIZE) -> None:
    common = {"fontsize": size, "family": FONT, "va": "center_baseline", "zorder": order}
    middle = y + LINE / 2
    left = x + PAD
    if text.bold:
        axes.text(left, middle, text.bold, weight="bold", color=_INK, **common)
        left += width(text.bold, bold=True, size=size) + 5.0
    if text.plain:
        axes.text(left, middle, text.plain, color=_INK, **common)
    if text.right:
        axes.text(x + wide - PAD, middle, text.right, color=_GREY, ha="right", **common)


def _line(axes: Any, line: Line) -> None:
    axes.plot(*zip(*line.points), color=_LINE, linewidth=0.9, zorder=500, solid_joinstyle="round")
