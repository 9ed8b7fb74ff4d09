"""The diagram of a model: its layers as boxes, nested by block, with shapes and numbers of weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import keras
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline

from deepkit.visualize import _labels
from deepkit.visualize._graph import read
from deepkit.visualize._layout import HEAD, SHADOW, Area, Line, Placed, Point, arrange_page
from deepkit.visualize._parts import Nest, closed, levels
from deepkit.visualize._text import FONT, GAP, LINE, PAD, SIZE, Text, box_lines, head_line, width
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
_LEGIBLE = 0.72  # how far it may be made smaller
_TALLEST = (1e9, 1300.0, 1000.0, 760.0, 560.0, 420.0, 320.0, 240.0)
_LINES, _BOXES, _HEADS = 100, 200, 300  # what is drawn over what
_HEAD, _CURVE = 4.0, 3.0  # of an arrow, and of a corner, in points
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
        """How large it is on a page of paper: 1 for its full size."""
        return min(1.0, _PAGE[0] / self.width, _PAGE[1] / self.height)

    @property
    def fit(self) -> float:
        """The scale, and less for what is very long or very wide."""
        return self.scale * min(1.0, 3 * self.width / self.height, 3 * self.height / self.width)


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
        page = Page(Text(model.name, params), arrange_page(root, nest.links, tallest), nest, depth)
        if best is None or page.fit > 1.05 * best.fit:
            best = page
        if 1.05 * best.fit >= 1.0:
            break
    return best


def _drawn(page: Page) -> Figure:
    figure = Figure(figsize=(page.width / 72, page.height / 72), dpi=min(180.0, 72 * _PIXELS / max(page.width, page.height)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, page.width), ylim=(page.height, 0))
    axes.axis("off")
    _write(axes, page.title, _BORDER, _BORDER, page.width - 2 * _BORDER, size=9.0)
    x, y = (page.width - page.area.width) / 2, _BORDER + _TITLE
    for at in page.area.placed(x, y):
        (_box if not at.part.parts else _block)(axes, at)
    for line in page.area.drawn(x, y):
        _line(axes, line)
    return figure


def _block(axes: Any, at: Placed) -> None:
    _frame(axes, at, at.level, _GROUNDS[min(at.level, len(_GROUNDS) - 1)])
    _fill(axes, at, 0, HEAD, "#dee2e6", _HEADS)
    _write(axes, head_line(at.part), at.x, at.y + (HEAD - LINE) / 2, at.width, order=_HEADS + 1)


def _box(axes: Any, at: Placed) -> None:
    _frame(axes, at, _BOXES, "#ffffff")
    for i, text in enumerate(box_lines(at.part)):
        if text.kind:
            _fill(axes, at, i * LINE, LINE, _FILLS[text.kind], _BOXES + 1)
        _write(axes, text, at.x, at.y + i * LINE, at.width, order=_BOXES + 2)


def _frame(axes: Any, at: Placed, order: float, ground: str) -> None:
    """Draw a sheet; a second one under it for what stands for several."""
    style = {"edgecolor": _LINE, "linewidth": 0.7}
    if at.part.times > 1:
        under = (at.x + SHADOW, at.y + SHADOW)
        axes.add_patch(Rectangle(under, at.width, at.height, facecolor="#ffffff", zorder=at.level - 0.5, **style))
    axes.add_patch(Rectangle((at.x, at.y), at.width, at.height, facecolor=ground, zorder=order, **style))


def _fill(axes: Any, at: Placed, down: float, height: float, colour: str, order: float) -> None:
    corner = (at.x + 0.35, at.y + down + 0.35)
    axes.add_patch(Rectangle(corner, at.width - 0.7, height - 0.7, facecolor=colour, linewidth=0, zorder=order))


def _write(axes: Any, text: Text, x: float, y: float, wide: float, *, order: float = _HEADS, size: float = SIZE) -> None:
    style = {"fontsize": size, "family": FONT, "va": "center_baseline", "zorder": order}
    middle, left = y + LINE / 2, x + PAD
    if text.bold:
        axes.text(left, middle, text.bold, weight="bold", color=_INK, **style)
        left += width(text.bold, bold=True, size=size) + GAP
    if text.plain:
        axes.text(left, middle, text.plain, color=_INK, **style)
    if text.right:
        axes.text(x + wide - PAD, middle, text.right, color=_GREY, ha="right", **style)


def _line(axes: Any, line: Line) -> None:
    """Draw a line with rounded corners, and the head of an arrow where it enters a box."""
    first, *corners, last = line.points
    points, codes = [first], [Outline.MOVETO]
    for before, corner, after in zip(line.points, corners, [*corners[1:], last], strict=False):
        for near, code in ((_towards(corner, before), Outline.LINETO), (corner, Outline.CURVE3)):
            points.append(near)
            codes.append(code)
        points.append(_towards(corner, after))
        codes.append(Outline.CURVE3)
    x, y = last
    outline = Outline([*points, (x, y - _HEAD / 2 if line.arrow else y)], [*codes, Outline.LINETO])
    axes.add_patch(PathPatch(outline, facecolor="none", edgecolor=_LINE, linewidth=0.9, zorder=_LINES))
    if line.arrow:
        head = [(x, y), (x - _HEAD / 2.4, y - _HEAD), (x + _HEAD / 2.4, y - _HEAD)]
        axes.add_patch(Polygon(head, facecolor=_LINE, linewidth=0, zorder=_LINES))


def _towards(corner: Point, other: Point) -> Point:
    """Return the point where a line leaves a corner's curve."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    share = min(1.0, _CURVE / max(abs(dx), abs(dy), 1e-9), 0.5 if max(abs(dx), abs(dy)) < 2 * _CURVE else 1.0)
    return corner[0] + share * dx, corner[1] + share * dy
