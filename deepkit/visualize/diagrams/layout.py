"""Coordinates of the boxes, blocks and lines of a diagram, in points from the top left corner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from deepkit.visualize.diagrams.box_text import LINE_HEIGHT, block_header, box_lines
from deepkit.visualize.diagrams.columns import ROW_GAP, Connections, wrap_into_columns
from deepkit.visualize.diagrams.elements import Element, Link
from deepkit.visualize.diagrams.row_order import Edge, Key, Node, OrderedRows
from deepkit.visualize.diagrams.row_placement import PlacedRows, spread
from deepkit.visualize.diagrams.tracks import HorizontalSegment, assign_tracks

HEADER_HEIGHT, MARGIN, SHADOW = 12.0, 6.0, 3.0  # of a block, inside a block, and offset of the sheet behind copies
_BOX_GAP, _COLUMN_GAP = 10.0, 20.0  # between neighbors in a row, and between columns
_TRACK_DISTANCE = 5.0  # between horizontal lines
_PORT_DISTANCE = 9.0  # between lines that enter a box

Point = tuple[float, float]


class Polyline(NamedTuple):
    """A line with corners that carries the output of the call `net`; `has_arrow` if it ends at a box."""

    net: int
    points: tuple[Point, ...]
    has_arrow: bool


class PlacedElement(NamedTuple):
    """A box or block with its coordinates; `level` is the number of blocks around it."""

    element: Element
    x: float
    y: float
    width: float
    height: float
    level: int


@dataclass
class Area:
    """A laid-out element: its size, its contents, and the ports at its top and bottom.

    Args:
        element: The element; None for a column, which has no frame.
        width: Width in points.
        height: Height in points.
        in_ports: Position at which the lines of each net enter; empty for a box, which they may enter anywhere.
        out_ports: Position at which the lines of each net leave.
        inner: The areas in it, each with its coordinates.
        lines: The lines in it, in its own coordinates.
        space_above: Height above it that its lines take.
    """

    element: Element | None
    width: float
    height: float
    in_ports: dict[int, float] = field(default_factory=dict)
    out_ports: dict[int, float] = field(default_factory=dict)
    inner: list[tuple[Area, float, float]] = field(default_factory=list)
    lines: list[Polyline] = field(default_factory=list)
    space_above: float = 0.0

    @property
    def is_box(self) -> bool:
        """Whether lines end at it."""
        return self.element is not None and not self.element.children

    def placed_elements(self, x: float = 0.0, y: float = 0.0, level: int = 0) -> list[PlacedElement]:
        """Return every box and block in it with page coordinates, outer ones first."""
        placed = []
        if self.element:
            placed.append(PlacedElement(self.element, x, y, self.width, self.height, level))
            level += 1
        for area, dx, dy in self.inner:
            placed += area.placed_elements(x + dx, y + dy, level)
        return placed

    def placed_lines(self, x: float = 0.0, y: float = 0.0) -> list[Polyline]:
        """Return every line in it with page coordinates."""
        placed = [_move(line, x, y) for line in self.lines]
        for area, dx, dy in self.inner:
            placed += area.placed_lines(x + dx, y + dy)
        return placed


def lay_out_element(
    element: Element, links: Iterable[Link], max_height: float, input_order: Sequence[int] = ()
) -> Area:
    """Lay out an element and its contents.

    Args:
        element: A box or a block.
        links: The links between the calls of the whole model.
        max_height: Height in points above which a stack of elements is wrapped into columns.
        input_order: The calls whose outputs enter the element, in the order from the left.
    """
    area = _lay_out_contents(element, links, max_height, input_order)
    return area if area.is_box else _add_frame(element, area)


def lay_out_model(root: Element, links: Iterable[Link], max_height: float) -> Area:
    """Lay out a model: like a block, but without a frame."""
    area = _lay_out_contents(root, links, max_height)
    return Area(None, area.width, area.height + 2 * area.space_above, inner=[(area, 0.0, area.space_above)])


def _move(line: Polyline, dx: float, dy: float) -> Polyline:
    return line._replace(points=tuple((dx + x, dy + y) for x, y in line.points))


def _lay_out_contents(
    element: Element, links: Iterable[Link], max_height: float, input_order: Sequence[int] = ()
) -> Area:
    if not element.children:
        lines = box_lines(element)
        return Area(element, max(line.width for line in lines), len(lines) * LINE_HEIGHT)
    calls = set(element.calls)
    links = sorted(link for link in links if link[0] in calls or link[1] in calls)
    children = element.children
    areas = _lay_out_children(children, links, max_height, input_order)
    columns = wrap_into_columns(Connections(children, links), [area.height for area in areas], max_height)
    if len(columns) == 1:
        return _stack(children, areas, links, input_order)
    column_areas = []
    for column in columns:
        column_areas.append(_stack([children[i] for i in column], [areas[i] for i in column], links, input_order))
    return _join_columns(column_areas)


def _lay_out_children(
    children: Sequence[Element], links: Sequence[Link], max_height: float, input_order: Sequence[int]
) -> list[Area]:
    """Lay out the contents of a block, each child for the order in which lines will enter it from the left."""
    if not any(child.children for child in children):
        return [lay_out_element(child, links, max_height) for child in children]
    connections = Connections(children, links, input_order)
    empty_areas = [Area(child, 0.0, 0.0) for child in children]
    rows = OrderedRows(_nodes(children, empty_areas, connections), connections.edges())
    return [lay_out_element(child, links, max_height, rows.incoming_nets(i)) for i, child in enumerate(children)]


# --- a stack of rows ---


def _nodes(elements: Sequence[Element], areas: Sequence[Area], connections: Connections) -> dict[Key, Node]:
    """Return the nodes of a stack in their preferred order from the left."""
    # deepkit names the branch around a body "shortcut": it is drawn at the right, as in the papers
    order = sorted(range(len(elements)), key=lambda i: elements[i].name == "shortcut")
    nodes: dict[Key, Node] = {}
    for i in order:
        nodes[i] = Node(areas[i].width, in_ports=areas[i].in_ports, out_ports=areas[i].out_ports)
    nodes |= {("in", net): Node(0.0, is_first=True) for net, _ in connections.incoming}
    return nodes | {("out", net): Node(0.0, is_last=True) for net, _ in connections.outgoing}


def _stack(
    elements: Sequence[Element], areas: Sequence[Area], links: Iterable[Link], input_order: Sequence[int]
) -> Area:
    """Arrange elements in rows from top to bottom and route the lines between them."""
    connections = Connections(elements, links, input_order)
    rows = PlacedRows(_nodes(elements, areas, connections), connections.edges(), _BOX_GAP)
    tops, lines, height = _route_lines(rows, areas, _segment_ends(rows, areas))
    shift = -min(rows.left.values(), default=0.0)
    width = max(rows.left[key] + rows.nodes[key].width for key in rows.left) + shift
    inner = []
    for row in rows.rows:
        inner += [(areas[key], rows.left[key] + shift, tops[key]) for key in row if isinstance(key, int)]
    in_ports = {net: rows.left["in", net] + shift for net, _ in connections.incoming}
    out_ports = {net: rows.left["out", net] + shift for net, _ in connections.outgoing}
    return Area(None, width, height, in_ports, out_ports, inner, [_move(line, shift, 0.0) for line in lines])


def _is_box(key: Key, areas: Sequence[Area]) -> bool:
    return isinstance(key, int) and areas[key].is_box


def _segment_ends(rows: PlacedRows, areas: Sequence[Area]) -> dict[Edge, float]:
    """Return the coordinate at which each segment ends: at a box, straight below its start if there is room."""
    ends = {segment: rows.target_x(segment) for segment in rows.segments}
    segments_of_box: dict[Key, list[Edge]] = defaultdict(list)
    for segment in rows.segments:
        if _is_box(segment.target, areas):
            segments_of_box[segment.target].append(segment)
    for key, segments in segments_of_box.items():
        segments.sort(key=rows.source_x)
        left, width = rows.left[key], rows.nodes[key].width
        distance = min(_PORT_DISTANCE, (width - 12.0) / len(segments))
        desired = [min(max(rows.source_x(segment), left + 6.0), left + width - 6.0) for segment in segments]
        if len(segments) == 1 and abs(desired[0] - ends[segments[0]]) > _PORT_DISTANCE:
            desired = [ends[segments[0]]]
        weights = []
        for x, segment in zip(desired, segments, strict=True):
            weights.append(100.0 if x == rows.source_x(segment) else 1.0)
        walls = left + 4.0, left + width - 4.0  # nearly immovable
        distances = [0.0, *[distance] * (len(segments) - 1), 0.0]
        _, *ports, _ = spread([walls[0], *desired, walls[1]], [1e6, *weights, 1e6], distances)
        ends |= dict(zip(segments, ports, strict=True))
    return ends


def _route_lines(
    rows: PlacedRows, areas: Sequence[Area], ends: Mapping[Edge, float]
) -> tuple[dict[Key, float], list[Polyline], float]:
    """Return the top of every node, the lines, and the total height."""
    row_of_node = {key: i for i, row in enumerate(rows.rows) for key in row}
    segments_below: dict[int, list[Edge]] = defaultdict(list)
    for segment in rows.segments:
        segments_below[row_of_node[segment.source]].append(segment)
    tops: dict[Key, float] = {}
    bottoms: dict[Key, float] = {}
    lines: list[Polyline] = []
    y = row_bottom = 0.0
    for i, row in enumerate(rows.rows):
        for key in row:
            tops[key] = y
            bottoms[key] = y + (areas[key].height if isinstance(key, int) else 0.0)
        row_bottom = max(bottoms[key] for key in row)
        tracks = _assign_tracks(segments_below[i], rows, areas, ends)
        if i + 1 < len(rows.rows):
            has_ports = any(isinstance(key, tuple) and key[0] in ("in", "out") for key in row + rows.rows[i + 1])
            gap = ROW_GAP / 2 if has_ports and not tracks else ROW_GAP
            y = row_bottom + gap + _TRACK_DISTANCE * max(tracks.values(), default=0)
        for segment in segments_below[i]:
            track_y = row_bottom + ROW_GAP / 2 - 1.5 + _TRACK_DISTANCE * tracks.get(segment, 0)
            start, end = (rows.source_x(segment), bottoms[segment.source]), (ends[segment], y)
            is_straight = abs(start[0] - end[0]) < 0.5
            corners = () if is_straight else ((start[0], track_y), (end[0], track_y))
            lines.append(Polyline(segment.net, (start, *corners, end), _is_box(segment.target, areas)))
    return tops, lines, row_bottom


def _assign_tracks(
    segments: Sequence[Edge], rows: PlacedRows, areas: Sequence[Area], ends: Mapping[Edge, float]
) -> dict[Edge, int]:
    """Assign the segments between two rows that are not straight to tracks, so that they do not overlap."""
    nets: dict[tuple[Key, int], list[Edge]] = defaultdict(list)
    for segment in segments:
        if abs(rows.source_x(segment) - ends[segment]) >= 0.5:
            nets[segment.source, segment.net].append(segment)
    horizontal_segments = []
    for net_segments in nets.values():
        targets = {segment.target for segment in net_segments}
        target = next(iter(targets))
        box = target if len(targets) == 1 and _is_box(target, areas) else None
        net_ends = tuple(ends[segment] for segment in net_segments)
        horizontal_segments.append(HorizontalSegment(rows.source_x(net_segments[0]), net_ends, box))
    tracks: dict[Edge, int] = {}
    for net_segments, track in zip(nets.values(), assign_tracks(horizontal_segments), strict=True):
        tracks |= dict.fromkeys(net_segments, track)
    return tracks


# --- columns ---


def _join_columns(columns: Sequence[Area]) -> Area:
    """Arrange columns side by side and connect the bottom of each with the top of the next."""
    height = max(column.height for column in columns) + ROW_GAP
    area = Area(None, 0.0, height, columns[0].in_ports, space_above=ROW_GAP / 2)
    x = 0.0
    for previous, column in zip([None, *columns], columns, strict=False):
        if previous is not None:
            [(net, in_port)] = column.in_ports.items()
            start, middle = x - _COLUMN_GAP - previous.width + previous.out_ports[net], x - _COLUMN_GAP / 2
            bottom, top = previous.height + ROW_GAP / 2, -ROW_GAP / 2
            points = (
                (start, previous.height), (start, bottom), (middle, bottom),
                (middle, top), (x + in_port, top), (x + in_port, 0.0),
            )  # fmt: skip
            area.lines.append(Polyline(net, points, False))
        area.inner.append((column, x, 0.0))
        x += column.width + _COLUMN_GAP
    area.width = x - _COLUMN_GAP
    last = columns[-1]
    area.out_ports = {net: area.width - last.width + port for net, port in last.out_ports.items()}
    for net, port in area.out_ports.items():
        area.lines.append(Polyline(net, ((port, last.height), (port, area.height)), False))
    return area


# --- the frame of a block ---


def _add_frame(element: Element, contents: Area) -> Area:
    """Return a block: its header, a margin around its contents, and the lines extended to its border."""
    top = HEADER_HEIGHT + MARGIN + contents.space_above
    width = max(contents.width + 2 * MARGIN, block_header(element).width + MARGIN)
    left = (width - contents.width) / 2
    height = top + contents.height + MARGIN
    in_ports = {net: left + x for net, x in contents.in_ports.items()}
    out_ports = {net: left + x for net, x in contents.out_ports.items()}
    lines = [Polyline(net, ((x, 0.0), (x, top)), False) for net, x in in_ports.items()]
    lines += [Polyline(net, ((x, height - MARGIN), (x, height)), False) for net, x in out_ports.items()]
    return Area(element, width, height, in_ports, out_ports, [(contents, left, top)], lines)
