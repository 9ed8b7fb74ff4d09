"""The diagram of a model: its layers as boxes, nested by block, with shapes and numbers of weights."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import keras
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline

from deepkit.visualize.diagrams import labels as _labels
from deepkit.visualize.diagrams.box_text import FONT, GAP, LINE, PAD, SIZE, Text, box_lines, head_line, width
from deepkit.visualize.diagrams.boxes import closed, levels
from deepkit.visualize.diagrams.graph import read
from deepkit.visualize.diagrams.layout import HEAD, SHADOW, Area, Line, Placed, Point, arrange_page
from deepkit.visualize.diagrams.nesting import Nest
from deepkit.visualize.figures import file_format, save

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
_GROUNDS = ("#f8f9fa", "#f1f3f5", "#e9ecef")  # of blocks in blocks
_BORDER, _TITLE, _TITLE_SIZE = 8.0, 18.0, 9.0  # round the page, over it, and of its letters, in points
_PAGE = (760.0, 1000.0)  # what is as large as this is printed on a page as it is
_LEGIBLE = 0.72  # how far it may be made smaller
_LONG = 2.85  # sides that differ more make a picture awkward
_TALLEST = (1e9, 1300.0, 1000.0, 760.0, 560.0, 420.0, 320.0, 240.0)
_LINES, _BOXES, _HEADS = 100, 200, 300  # what is drawn over what
_HEAD, _CURVE = 4.0, 3.0  # of an arrow, and of a corner, in points
_DPI = 180.0
_PIXELS = 20_000  # the most a picture may have along a side


def diagram(model: keras.Model, path: str | os.PathLike[str] | None = None, *, depth: int | None = None) -> Figure:
    """Draw the layers of a model as boxes in the blocks they lie in, with the way that data takes between them.

    A box lists layers: what they are, the shape of what they return without the batch axis, the number of their
    weights. A block around boxes has its own shape and weights at its top. Equal blocks in a row are drawn once,
    with `× 3` and the sum of their weights; what uses weights a second time says `shared`. A long model is wrapped
    into columns. Blocks are known from dots in the names of layers, as deepkit gives them
    (`stage2.residual1.conv_block2.conv`), from models in models, and, where no name has a dot, from underscores
    (`conv2_block1_1_conv`). Graphviz is not needed.

    Args:
        model: A Functional or Sequential model that is built.
        path: A file to save it in: `.svg`, whose text can be searched and copied, `.png` or `.pdf`.
        depth: How many blocks within each other are drawn open; 0 shows the outermost ones as boxes. Left out: as
            many as leave the text large enough to read on a page.

    Returns:
        The figure; its size is that of the text at 7 points.

    Raises:
        ValueError: The model is subclassed or not built, the depth is negative, or the path has another ending.
        OSError: It cannot be written; what was there before still is.

    Examples:
        >>> from pathlib import Path
        >>> import deepkit as dk
        >>> model = dk.Sequential([dk.ConvStack(32), dk.Classifier(10)]).build((28, 28, 1))
        >>> figure = dk.visualize.diagram(model, "model.svg")
        >>> "28×28×32" in Path("model.svg").read_text(encoding="utf-8")
        True
    """
    if path is not None:
        file_format(path)
    figure = draw(layout(model, depth=depth))
    if path is not None:
        save(figure, path)
    return figure


@dataclass
class Page:
    """A diagram before it is drawn.

    Args:
        title: Over the diagram.
        area: What is where, in points from the top left corner.
        nest: The model as nested parts.
        depth: How many blocks within each other are open.
    """

    title: Text
    area: Area
    nest: Nest
    depth: int

    def __post_init__(self) -> None:
        title = self.title.width * _TITLE_SIZE / SIZE
        self.width = max(self.area.width, title) + 2 * _BORDER
        self.height = self.area.height + _TITLE + 2 * _BORDER

    @property
    def corner(self) -> Point:
        """The top left corner of the area on the page."""
        return (self.width - self.area.width) / 2, _BORDER + _TITLE

    @property
    def scale(self) -> float:
        """How large it is on a page of paper: 1 for its full size."""
        return min(1.0, _PAGE[0] / self.width, _PAGE[1] / self.height)

    @property
    def fit(self) -> float:
        """The scale, and less for what is very long or very wide."""
        return self.scale * min(1.0, _LONG * self.width / self.height, _LONG * self.height / self.width)


def layout(model: keras.Model, *, depth: int | None = None) -> Page:
    """Return where everything lies in the diagram of a model; arguments and errors as `diagram`."""
    if depth is not None and (not isinstance(depth, int) or depth < 0):
        raise ValueError(
            f"diagram: expected a depth of 0 or more, received {depth!r}"
            "\n  hint: depth=0 for the outermost blocks, or leave it out"
        )
    uses = read(model)
    nest = Nest(model.name, uses)
    if depth is not None:
        return _page(model, nest, depth)
    pages = (_page(model, nest, tried) for tried in range(levels(nest.root), 0, -1))
    return next((page for page in pages if page.scale >= _LEGIBLE), None) or _page(model, nest, 0)


def _page(model: keras.Model, nest: Nest, depth: int) -> Page:
    """Lay out a page, wrapped into columns as far as makes it clearly easier to read."""
    root, title = closed(nest.root, depth), Text(model.name, _parameters(model))
    best = Page(title, arrange_page(root, nest.links, _TALLEST[0]), nest, depth)
    for tallest in _TALLEST[1:]:
        if 1.05 * best.fit >= 1.0:
            break
        page = Page(title, arrange_page(root, nest.links, tallest), nest, depth)
        best = page if page.fit > 1.05 * best.fit else best
    return best


def _parameters(model: keras.Model) -> str:
    weights = {id(weight): math.prod(weight.shape) for weight in model.non_trainable_weights}
    frozen = sum(weights.values())
    return f"{model.count_params():,} parameters" + (f", {frozen:,} of them not trainable" if frozen else "")


def draw(page: Page) -> Figure:
    """Return the figure of a diagram."""
    dpi = min(_DPI, 72 * _PIXELS / max(page.width, page.height))
    figure = Figure(figsize=(page.width / 72, page.height / 72), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, page.width), ylim=(page.height, 0))
    axes.axis("off")
    _write(axes, page.title, _BORDER, _BORDER, page.width - 2 * _BORDER, size=_TITLE_SIZE)
    x, y = page.corner
    for at in page.area.placed(x, y):
        (_block if at.part.parts else _box)(axes, at)
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
    style: dict[str, Any] = {"edgecolor": _LINE, "linewidth": 0.7}
    if at.part.times > 1:
        under = (at.x + SHADOW, at.y + SHADOW)
        axes.add_patch(Rectangle(under, at.width, at.height, facecolor="#ffffff", zorder=at.level - 0.5, **style))
    axes.add_patch(Rectangle((at.x, at.y), at.width, at.height, facecolor=ground, zorder=order, **style))


def _fill(axes: Any, at: Placed, down: float, height: float, colour: str, order: float) -> None:
    corner = (at.x + 0.35, at.y + down + 0.35)
    axes.add_patch(Rectangle(corner, at.width - 0.7, height - 0.7, facecolor=colour, linewidth=0, zorder=order))


def _write(
    axes: Any, text: Text, x: float, y: float, wide: float, *, order: float = _HEADS, size: float = SIZE
) -> None:
    style: dict[str, Any] = {
        "fontsize": size,
        "family": [FONT, "sans-serif"],
        "va": "center_baseline",
        "zorder": order,
        "parse_math": False,
    }
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
