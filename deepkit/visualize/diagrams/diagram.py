"""The diagram of a model: its layers as boxes, nested by block, with shapes and numbers of weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Outline

from deepkit.utils.validation import check_integer
from deepkit.visualize.diagrams import layer_labels as _labels
from deepkit.visualize.diagrams.box_text import (
    FONT,
    FONT_SIZE,
    LINE_HEIGHT,
    PADDING,
    SPACING,
    TextLine,
    block_header,
    box_lines,
    text_width,
)
from deepkit.visualize.diagrams.call_graph import trace_calls
from deepkit.visualize.diagrams.elements import close_blocks, nesting_depth
from deepkit.visualize.diagrams.layout import (
    HEADER_HEIGHT,
    SHADOW,
    Area,
    PlacedElement,
    Point,
    Polyline,
    lay_out_model,
)
from deepkit.visualize.diagrams.nesting import NestedGraph
from deepkit.visualize.figures import SvgFigure, file_format, save
from deepkit.visualize.model_inputs import accepts_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deepkit.utils.types import PathLike

_TEXT_COLOR, _GRAY_TEXT_COLOR, _LINE_COLOR = "#212529", "#495057", "#868e96"
_PAGE_COLOR, _BOX_COLOR, _HEADER_COLOR = "#ffffff", "#ffffff", "#dee2e6"
_BLOCK_COLORS = ("#f8f9fa", "#f1f3f5", "#e9ecef")  # from the outermost block inwards
_CATEGORY_COLORS = {
    _labels.CONVOLUTION: "#d0ddfb",
    _labels.DENSE: "#ffdfb8",
    _labels.NORMALIZATION: "#e9ecef",
    _labels.ACTIVATION: "#d3efd8",
    _labels.POOLING: "#e4d7f5",
    _labels.MERGE: "#fbeeb0",
    _labels.INPUT: "#d5eef2",
    _labels.OTHER: "#f4f1ea",
}
_BORDER, _TITLE_HEIGHT, _TITLE_SIZE = 8.0, 18.0, 9.0  # around the page, of the title, and of its font, in points
_PAGE_SIZE = (760.0, 1000.0)  # a diagram of at most this size is printed without scaling, in points
_MIN_SCALE = 0.72  # the smallest scale at which the text is legible
_MAX_ASPECT = 2.85  # of the longer side to the shorter one
_MAX_HEIGHTS = (1e9, 1300.0, 1000.0, 760.0, 560.0, 420.0, 320.0, 240.0)  # of columns, tried in this order
_LINE_ORDER, _BOX_ORDER, _HEADER_ORDER = 100, 200, 300  # larger numbers are drawn on top
_ARROW_SIZE, _CORNER_RADIUS = 4.0, 3.0  # in points
_DPI = 180.0
_MAX_PIXELS = 20_000  # along a side of an image


@accepts_run
def diagram(model: keras.Model, path: PathLike | None = None, *, depth: int | None = None) -> Figure:
    """Draw the layers of a model as boxes, nested in blocks, with lines for the data flow between them.

    A box lists layers: their kind, their output shape without the batch axis, and their number of weights. A block
    around boxes shows its own output shape and number of weights at the top. Equal consecutive blocks are drawn once,
    with `× 3` and the sum of their weights; a repeated use of the same weights is marked as `shared`. A long model is
    wrapped into columns. Blocks are recognized by the dots in layer names that deepkit generates
    (`stage2.residual1.conv_block2.conv`), by nested models, and, if no name has a dot, by underscores
    (`conv2_block1_1_conv`). Graphviz is not needed.

    Args:
        model: A built Functional or Sequential model, or the model of `dk.GAN` or `dk.Seq2Seq`.
            A `Run` stands for its model.
        path: A file to save the diagram in: `.svg`, whose text can be searched and copied, `.png` or `.pdf`.
        depth: Number of nested blocks to draw open; 0 draws the outermost blocks as boxes. By default as many as
            leave the text legible on a printed page.

    Returns:
        The figure, in a size that gives its text a height of 7 points.

    Raises:
        ValueError: The model does not have a graph of layers, or is not built, the depth is negative, or the path
            has another suffix.
        OSError: The file cannot be written; an existing file is left unchanged.

    Examples:
        >>> from pathlib import Path
        >>> import deepkit as dk
        >>> model = dk.Sequential([dk.ConvStack(32), dk.Classifier(10)]).build(
        ...     (28, 28, 1)
        ... )
        >>> figure = dk.visualize.diagram(model, "model.svg")
        >>> "28×28×32" in Path("model.svg").read_text(encoding="utf-8")
        True
    """
    if path is not None:
        file_format(path)
    figure = draw_page(lay_out_page(model, depth=depth))
    if path is not None:
        save(figure, path)
    return figure


@dataclass
class Page:
    """The layout of a diagram.

    Args:
        title: The title of the diagram.
        area: The laid-out model, in points from the top left corner.
        graph: The model as nested elements.
        depth: Number of nested blocks that are open.
    """

    title: TextLine
    area: Area
    graph: NestedGraph
    depth: int

    def __post_init__(self) -> None:
        title_width = self.title.width * _TITLE_SIZE / FONT_SIZE
        self.width = max(self.area.width, title_width) + 2 * _BORDER
        self.height = self.area.height + _TITLE_HEIGHT + 2 * _BORDER

    @property
    def area_position(self) -> Point:
        """The top left corner of the area on the page."""
        return (self.width - self.area.width) / 2, _BORDER + _TITLE_HEIGHT

    @property
    def scale(self) -> float:
        """The scale that fits the diagram on a printed page: 1 for its full size."""
        return min(1.0, _PAGE_SIZE[0] / self.width, _PAGE_SIZE[1] / self.height)

    @property
    def score(self) -> float:
        """The scale, reduced for a very tall or very wide diagram."""
        return self.scale * min(1.0, _MAX_ASPECT * self.width / self.height, _MAX_ASPECT * self.height / self.width)


def lay_out_page(model: keras.Model, *, depth: int | None = None) -> Page:
    """Return the layout of the diagram of a model; arguments and errors as in `diagram`."""
    if depth is not None:
        hint = "use depth=0 for the outermost blocks, or leave it out"
        depth = check_integer(depth, "diagram: depth", minimum=0, hint=hint)
    graph = NestedGraph(model.name if isinstance(model, keras.Model) else "", trace_calls(model))
    if depth is not None:
        return _wrapped_page(model, graph, depth)
    for open_depth in range(nesting_depth(graph.root), 0, -1):
        page = _wrapped_page(model, graph, open_depth)
        if page.scale >= _MIN_SCALE:
            return page
    return _wrapped_page(model, graph, 0)


def _wrapped_page(model: keras.Model, graph: NestedGraph, depth: int) -> Page:
    """Return a page that is wrapped into columns as far as this clearly improves its legibility."""
    root, title = close_blocks(graph.root, depth), TextLine(model.name, _parameters_text(model))
    best_page = Page(title, lay_out_model(root, graph.links, _MAX_HEIGHTS[0]), graph, depth)
    for max_height in _MAX_HEIGHTS[1:]:
        if 1.05 * best_page.score >= 1.0:
            break
        page = Page(title, lay_out_model(root, graph.links, max_height), graph, depth)
        if page.score > 1.05 * best_page.score:
            best_page = page
    return best_page


def _parameters_text(model: keras.Model) -> str:
    sizes = {id(weight): math.prod(weight.shape) for weight in model.non_trainable_weights}
    num_frozen = sum(sizes.values())
    text = f"{model.count_params():,} parameters"
    return f"{text}, {num_frozen:,} of them not trainable" if num_frozen else text


def draw_page(page: Page) -> Figure:
    """Return the figure of a diagram."""
    dpi = min(_DPI, 72 * _MAX_PIXELS / max(page.width, page.height))
    figure = SvgFigure(figsize=(page.width / 72, page.height / 72), dpi=dpi, facecolor=_PAGE_COLOR)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, page.width), ylim=(page.height, 0))
    axes.axis("off")
    _draw_text(axes, page.title, _BORDER, _BORDER, page.width - 2 * _BORDER, size=_TITLE_SIZE)
    x, y = page.area_position
    for placed in page.area.placed_elements(x, y):
        if placed.element.children:
            _draw_block(axes, placed)
        else:
            _draw_box(axes, placed)
    for line in page.area.placed_lines(x, y):
        _draw_line(axes, line)
    return figure


def _draw_block(axes: Axes, placed: PlacedElement) -> None:
    _draw_frame(axes, placed, placed.level, _BLOCK_COLORS[min(placed.level, len(_BLOCK_COLORS) - 1)])
    _draw_background(axes, placed, 0, HEADER_HEIGHT, _HEADER_COLOR, _HEADER_ORDER)
    y = placed.y + (HEADER_HEIGHT - LINE_HEIGHT) / 2
    _draw_text(axes, block_header(placed.element), placed.x, y, placed.width, order=_HEADER_ORDER + 1)


def _draw_box(axes: Axes, placed: PlacedElement) -> None:
    _draw_frame(axes, placed, _BOX_ORDER, _BOX_COLOR)
    for i, line in enumerate(box_lines(placed.element)):
        if line.category:
            color = _CATEGORY_COLORS[line.category]
            _draw_background(axes, placed, i * LINE_HEIGHT, LINE_HEIGHT, color, _BOX_ORDER + 1)
        _draw_text(axes, line, placed.x, placed.y + i * LINE_HEIGHT, placed.width, order=_BOX_ORDER + 2)


def _draw_frame(axes: Axes, placed: PlacedElement, order: float, color: str) -> None:
    """Draw the frame of an element, with a second sheet behind it if it stands for several copies."""
    if placed.element.num_copies > 1:
        _draw_sheet(axes, placed, SHADOW, _BOX_COLOR, placed.level - 0.5)
    _draw_sheet(axes, placed, 0.0, color, order)


def _draw_sheet(axes: Axes, placed: PlacedElement, offset: float, color: str, order: float) -> None:
    corner = placed.x + offset, placed.y + offset
    sheet = Rectangle(
        corner, placed.width, placed.height, facecolor=color, zorder=order, edgecolor=_LINE_COLOR, linewidth=0.7
    )
    axes.add_patch(sheet)


def _draw_background(axes: Axes, placed: PlacedElement, offset: float, height: float, color: str, order: float) -> None:
    """Draw the background of a line of text, within the frame."""
    corner = placed.x + 0.35, placed.y + offset + 0.35
    axes.add_patch(Rectangle(corner, placed.width - 0.7, height - 0.7, facecolor=color, linewidth=0, zorder=order))


def _draw_text(
    axes: Axes,
    line: TextLine,
    x: float,
    y: float,
    width: float,
    *,
    order: float = _HEADER_ORDER,
    size: float = FONT_SIZE,
) -> None:
    left = x + PADDING
    if line.bold:
        _draw_string(axes, line.bold, left, y, size, order, bold=True)
        left += text_width(line.bold, bold=True, size=size) + SPACING
    if line.plain:
        _draw_string(axes, line.plain, left, y, size, order)
    if line.right:
        _draw_string(axes, line.right, x + width - PADDING, y, size, order, align_right=True)


def _draw_string(
    axes: Axes,
    text: str,
    x: float,
    y: float,
    size: float,
    order: float,
    *,
    bold: bool = False,
    align_right: bool = False,
) -> None:
    axes.text(
        x,
        y + LINE_HEIGHT / 2,
        text,
        fontsize=size,
        family=[FONT, "sans-serif"],
        weight="bold" if bold else "normal",
        color=_GRAY_TEXT_COLOR if align_right else _TEXT_COLOR,
        horizontalalignment="right" if align_right else "left",
        verticalalignment="center_baseline",
        zorder=order,
        parse_math=False,
    )


def _draw_line(axes: Axes, line: Polyline) -> None:
    """Draw a line with rounded corners, with an arrowhead if it ends at a box."""
    first, *corners, last = line.points
    points, codes = [first], [Outline.MOVETO]
    for before, corner, after in zip(line.points, corners, [*corners[1:], last], strict=False):
        points += [_curve_end(corner, before), corner, _curve_end(corner, after)]
        codes += [Outline.LINETO, Outline.CURVE3, Outline.CURVE3]
    x, y = last
    points.append((x, y - _ARROW_SIZE / 2 if line.has_arrow else y))
    codes.append(Outline.LINETO)
    outline = Outline(points, codes)
    axes.add_patch(PathPatch(outline, facecolor="none", edgecolor=_LINE_COLOR, linewidth=0.9, zorder=_LINE_ORDER))
    if line.has_arrow:
        left, right = x - _ARROW_SIZE / 2.4, x + _ARROW_SIZE / 2.4
        head = [(x, y), (left, y - _ARROW_SIZE), (right, y - _ARROW_SIZE)]
        axes.add_patch(Polygon(head, facecolor=_LINE_COLOR, linewidth=0, zorder=_LINE_ORDER))


def _curve_end(corner: Point, neighbor: Point) -> Point:
    """Return the point between a corner and its neighbor at which the corner's curve ends."""
    dx, dy = neighbor[0] - corner[0], neighbor[1] - corner[1]
    length = max(abs(dx), abs(dy))
    largest_share = 0.5 if length < 2 * _CORNER_RADIUS else 1.0
    share = min(1.0, _CORNER_RADIUS / max(length, 1e-9), largest_share)
    return corner[0] + share * dx, corner[1] + share * dy
