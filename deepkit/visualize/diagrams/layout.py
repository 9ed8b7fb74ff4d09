"""Where the boxes and the lines of a diagram lie, in points from the top left corner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from deepkit.visualize.diagrams.box_text import LINE, box_lines, head_line
from deepkit.visualize.diagrams.boxes import Link, Part
from deepkit.visualize.diagrams.columns import GAP, Wiring, in_columns
from deepkit.visualize.diagrams.layered import Rows, spread
from deepkit.visualize.diagrams.row_order import Edge, Key, Node, Order
from deepkit.visualize.diagrams.tracks import Rail, in_tracks

HEAD, MARGIN, SHADOW = 12.0, 6.0, 3.0  # the line over a block, room in it, the edge of a second sheet
_BESIDE, _GUTTER = 10.0, 20.0  # between neighbours, and between columns
_TRACK = 5.0  # between lines that run along between two rows
_PORT = 9.0  # between lines that enter a box

Point = tuple[float, float]


class Line(NamedTuple):
    """A line with corners, from one call's output; `arrow` where it ends at a box."""

    net: int
    points: tuple[Point, ...]
    arrow: bool


class Placed(NamedTuple):
    """A box or a block at its place; `level` counts the blocks around it."""

    part: Part
    x: float
    y: float
    width: float
    height: float
    level: int


@dataclass
class Area:
    """A laid-out part: its size, what lies in it, and where lines enter at its top and leave at its bottom.

    Args:
        part: What it shows; None for a column, which has no frame.
        width: In points.
        height: In points.
        ins: Where the lines of each net enter, from the left; empty for a box, which they enter anywhere.
        outs: Where they leave.
        inner: The areas in it, each with its place.
        lines: In its own coordinates.
    """

    part: Part | None
    width: float
    height: float
    ins: dict[int, float] = field(default_factory=dict)
    outs: dict[int, float] = field(default_factory=dict)
    inner: list[tuple[Area, float, float]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    above: float = 0.0  # room that its lines take over it

    @property
    def is_box(self) -> bool:
        """Whether lines end at it."""
        return self.part is not None and not self.part.parts

    def placed(self, x: float = 0.0, y: float = 0.0, level: int = 0) -> list[Placed]:
        """Return every box and block in it, outer ones first, at their place on the page."""
        own = [Placed(self.part, x, y, self.width, self.height, level)] if self.part else []
        return own + [p for area, dx, dy in self.inner for p in area.placed(x + dx, y + dy, level + len(own))]

    def drawn(self, x: float = 0.0, y: float = 0.0) -> list[Line]:
        """Return every line in it, at its place on the page."""
        own = [line._replace(points=tuple((x + a, y + b) for a, b in line.points)) for line in self.lines]
        return own + [line for area, dx, dy in self.inner for line in area.drawn(x + dx, y + dy)]


def arrange(part: Part, links: Iterable[Link], tallest: float, make_input: Sequence[int] = ()) -> Area:
    """Lay out a part and all that lies in it.

    Args:
        part: A box, or a block.
        links: From call to call, in the whole model.
        tallest: Height in points above which what stands in a row is wrapped into columns.
        make_input: The calls whose outputs enter it, in the order in which these come from the left.
    """
    area = _inside(part, links, tallest, make_input)
    return area if area.is_box else _framed(part, area)


def arrange_page(part: Part, links: Iterable[Link], tallest: float) -> Area:
    """Lay out a model: as a block, but without its frame."""
    area = _inside(part, links, tallest)
    return Area(None, area.width, area.height + 2 * area.above, inner=[(area, 0.0, area.above)])


def _inside(part: Part, links: Iterable[Link], tallest: float, make_input: Sequence[int] = ()) -> Area:
    if not part.parts:
        lines = box_lines(part)
        return Area(part, max(line.width for line in lines), len(lines) * LINE)
    uses = set(part.uses)
    links = sorted(link for link in links if link[0] in uses or link[1] in uses)
    areas = _arranged(part.parts, links, tallest, make_input)
    columns = in_columns(Wiring(part.parts, links), [area.height for area in areas], tallest)
    if len(columns) == 1:
        return _stacked(part.parts, areas, links, make_input)
    sides = []
    for column in columns:
        sides.append(_stacked([part.parts[i] for i in column], [areas[i] for i in column], links, make_input))
    return _side_by_side(sides)


def _arranged(parts: Sequence[Part], links: Sequence[Link], tallest: float, make_input: Sequence[int]) -> list[Area]:
    """Lay out what lies in a block, each part for the order in which lines will come to it from the left."""
    if not any(part.parts for part in parts):
        return [arrange(part, links, tallest) for part in parts]
    wiring = Wiring(parts, links, make_input)
    order = Order(_nodes(parts, [Area(part, 0.0, 0.0) for part in parts], wiring), wiring.edges())
    return [arrange(part, links, tallest, order.make_input(i)) for i, part in enumerate(parts)]


# --- from top to bottom ---


def _nodes(parts: Sequence[Part], areas: Sequence[Area], wiring: Wiring) -> dict[Key, Node]:
    """Return what stands in rows, in the order in which it should stand from the left."""
    # deepkit calls what goes around a body its shortcut: it stands at the right, as in the papers
    order = sorted(range(len(parts)), key=lambda i: parts[i].name == "shortcut")
    nodes: dict[Key, Node] = {i: Node(areas[i].width, ins=areas[i].ins, outs=areas[i].outs) for i in order}
    nodes |= {("in", net): Node(0.0, first=True) for net, _ in wiring.ins}
    return nodes | {("out", net): Node(0.0, last=True) for net, _ in wiring.outs}


def _stacked(parts: Sequence[Part], areas: Sequence[Area], links: Iterable[Link], make_input: Sequence[int]) -> Area:
    wiring = Wiring(parts, links, make_input)
    rows = Rows(_nodes(parts, areas, wiring), wiring.edges(), _BESIDE)
    ends = _ends(rows, areas)
    tops, lines, height = _lines(rows, areas, ends)
    shift = -min((rows.left[key] for key in rows.left), default=0.0)
    width = max(rows.left[key] + rows.nodes[key].width for key in rows.left) + shift
    inner = [
        (areas[key], rows.left[key] + shift, tops[key]) for row in rows.rows for key in row if isinstance(key, int)
    ]
    moved = [line._replace(points=tuple((x + shift, y) for x, y in line.points)) for line in lines]
    ins = {net: rows.left["in", net] + shift for net, _ in wiring.ins}
    outs = {net: rows.left["out", net] + shift for net, _ in wiring.outs}
    return Area(None, width, height, ins, outs, inner, moved)


def _ends(rows: Rows, areas: Sequence[Area]) -> dict[Edge, float]:
    """Return where each piece of a line ends: at a box straight below its start where there is room."""
    ends = {piece: rows.into(piece) for piece in rows.pieces}
    at_box: dict[Key, list[Edge]] = defaultdict(list)
    for piece in rows.pieces:
        if isinstance(piece.target, int) and areas[piece.target].is_box:
            at_box[piece.target].append(piece)
    for key, pieces in at_box.items():
        pieces.sort(key=rows.out)
        left, width = rows.left[key], rows.nodes[key].width
        step = min(_PORT, (width - 12.0) / len(pieces))
        wishes = [min(max(rows.out(piece), left + 6.0), left + width - 6.0) for piece in pieces]
        if len(pieces) == 1 and abs(wishes[0] - ends[pieces[0]]) > _PORT:
            wishes = [ends[pieces[0]]]
        straight = [100.0 if wish == rows.out(piece) else 1.0 for wish, piece in zip(wishes, pieces, strict=True)]
        walls, steps = (left + 4.0, left + width - 4.0), [0.0, *[step] * (len(pieces) - 1), 0.0]
        _, *places, _ = spread([walls[0], *wishes, walls[1]], [1e6, *straight, 1e6], steps)
        ends |= dict(zip(pieces, places, strict=True))
    return ends


def _lines(rows: Rows, areas: Sequence[Area], ends: Mapping[Edge, float]) -> tuple[dict[Key, float], list[Line], float]:
    """Return the top of every node, the lines, and the height of all."""
    level = {key: i for i, row in enumerate(rows.rows) for key in row}
    between: dict[int, list[Edge]] = defaultdict(list)
    for piece in rows.pieces:
        between[level[piece.source]].append(piece)
    tops: dict[Key, float] = {}
    bottoms: dict[Key, float] = {}
    lines: list[Line] = []
    y = floor = 0.0
    for i, row in enumerate(rows.rows):
        for key in row:
            tops[key] = y
            bottoms[key] = y + (areas[key].height if isinstance(key, int) else 0.0)
        floor = max(bottoms[key] for key in row)
        tracks = _tracks(between[i], rows, areas, ends)
        last = i + 1 == len(rows.rows)
        if not last:
            short = not tracks and {key[0] for key in row + rows.rows[i + 1] if isinstance(key, tuple)} & {"in", "out"}
            y = floor + (GAP / 2 if short else GAP) + _TRACK * max(tracks.values(), default=0)
        for piece in between[i]:
            turn = floor + GAP / 2 - 1.5 + _TRACK * tracks.get(piece, 0)
            start = (rows.out(piece), bottoms[piece.source])
            end = (ends[piece], y)
            corners = () if abs(start[0] - end[0]) < 0.5 else ((start[0], turn), (end[0], turn))
            box = isinstance(piece.target, int) and areas[piece.target].is_box
            lines.append(Line(piece.net, (start, *corners, end), box))
    return tops, lines, floor


def _tracks(pieces: Sequence[Edge], rows: Rows, areas: Sequence[Area], ends: Mapping[Edge, float]) -> dict[Edge, int]:
    """Give lines that run along between the same two rows a height each, so that none lies on another."""
    nets: dict[tuple[Key, int], list[Edge]] = defaultdict(list)
    for piece in pieces:
        if abs(rows.out(piece) - ends[piece]) >= 0.5:
            nets[piece.source, piece.net].append(piece)
    rails = []
    for group in nets.values():
        [target, *others] = {piece.target for piece in group}
        box = isinstance(target, int) and areas[target].is_box and not others
        rails.append(Rail(rows.out(group[0]), tuple(ends[piece] for piece in group), target if box else None))
    heights = in_tracks(rails)
    return {piece: height for group, height in zip(nets.values(), heights, strict=True) for piece in group}


# --- in columns ---


def _side_by_side(columns: Sequence[Area]) -> Area:
    area = Area(None, 0.0, max(column.height for column in columns) + GAP, columns[0].ins, above=GAP / 2)
    x = 0.0
    for before, column in zip([None, *columns], columns, strict=False):
        if before is not None:
            [(net, entry)] = column.ins.items()
            start, top = x - _GUTTER - before.width + before.outs[net], x - _GUTTER / 2
            low = before.height + GAP / 2
            points = (
                (start, before.height), (start, low), (top, low),
                (top, -GAP / 2), (x + entry, -GAP / 2), (x + entry, 0.0),
            )  # fmt: skip
            area.lines.append(Line(net, points, False))
        area.inner.append((column, x, 0.0))
        x += column.width + _GUTTER
    area.width = x - _GUTTER
    area.outs = {net: area.width - columns[-1].width + out for net, out in columns[-1].outs.items()}
    area.lines += [Line(net, ((out, columns[-1].height), (out, area.height)), False) for net, out in area.outs.items()]
    return area


# --- the frame ---


def _framed(part: Part, area: Area) -> Area:
    """Return a block: its name above, room around, and the lines led to its border."""
    top = HEAD + MARGIN + area.above
    width = max(area.width + 2 * MARGIN, head_line(part).width + MARGIN)
    left = (width - area.width) / 2
    height = top + area.height + MARGIN
    ins = {net: left + x for net, x in area.ins.items()}
    outs = {net: left + x for net, x in area.outs.items()}
    make_input = [Line(net, ((x, 0.0), (x, top)), False) for net, x in ins.items()]
    leaving = [Line(net, ((x, height - MARGIN), (x, height)), False) for net, x in outs.items()]
    return Area(part, width, height, ins, outs, [(area, left, top)], [*make_input, *leaving])
