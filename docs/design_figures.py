"""The figures of the page on the design: the packages in the order of their imports, and the flow of a training."""

import io

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from tests.test_architecture import GRAPH, GROUPS

BOX_WIDTH, BOX_HEIGHT = 2.1, 0.62  # of the flow, in inches
ROW_HEIGHT, ROW_GAP = 0.42, 0.3  # of packages
Point = tuple[float, float]
FILLS = ("#e7f0fb", "#dbe8f8")
DARK, LINE = "#1f2937", "#4b6a9b"

# name, text, column, row
BOXES = (
    ("definition", "definition\na value without weights", 0, 0),
    ("data", "data\npipelines by seed and epoch", 0, 1),
    ("plan", "plan\ndevices, precision, seed", 0, 2),
    ("model", "keras.Model\nlayers named by their path", 1, 0),
    ("fit", "fit\ncompiles, checks, trains", 1, 1),
    ("directory", "run directory\nconfig, checkpoint, model", 2, 1),
    ("run", "Run\nmodel, history, predictions", 2, 0),
    ("report", "report.html\nfigures of the run", 2, 2),
)
ARROWS = (
    ("definition", "model", "build"), ("model", "fit", ""), ("data", "fit", ""), ("plan", "fit", ""),
    ("fit", "directory", "every epoch"), ("directory", "fit", "resume"), ("fit", "run", ""),
    ("directory", "report", ""), ("directory", "run", "load_run"),
)  # fmt: skip


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, with the same bytes for the same figure."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "deepkit"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def packages() -> Figure:
    """Draw a row for each group of packages, the users of a package above it, with the imports inside a group."""
    imports = package_imports()
    existing = {name.split(".")[1] for name in GRAPH}
    groups = [[package for package in group if package in existing] for group in reversed(GROUPS)]
    rows = [["recipes"], *(in_order(group, imports) for group in groups)]
    top = len(rows) * (ROW_HEIGHT + ROW_GAP) - ROW_GAP
    figure, axes = _canvas(7.6, top + 0.1)
    for number, row in enumerate(rows):
        _draw_row(axes, row, imports, (len(rows) - 1 - number) * (ROW_HEIGHT + ROW_GAP), FILLS[number % 2])
    _arrow(axes, (0.35, top), (0.35, 0), width=2.2)
    axes.text(0.1, top / 2, "imports point downward", rotation=90, va="center", ha="center", fontsize=9, color=DARK)
    return figure


def _draw_row(axes: Axes, row: list[str], imports: dict[str, set[str]], bottom: float, fill: str) -> None:
    """Draw the packages of a group, and an arrow from each package to those of the group that it imports."""
    centers = {package: 4.1 + (index - (len(row) - 1) / 2) * 1.75 for index, package in enumerate(row)}
    middle = bottom + ROW_HEIGHT / 2
    for package, center in centers.items():
        _box(axes, (center, bottom), (1.35, ROW_HEIGHT), package, fill)
    for index, package in enumerate(row):
        for other in row[index + 1 :]:
            forward, backward = other in imports.get(package, ()), package in imports.get(other, ())
            if forward or backward:
                style = {(True, True): "<|-|>", (True, False): "-|>", (False, True): "<|-"}[forward, backward]
                _arrow(axes, (centers[package] + 0.675, middle), (centers[other] - 0.675, middle), style=style)


def package_imports() -> dict[str, set[str]]:
    """Return the other packages that each package of deepkit imports, computed from its modules."""
    imports: dict[str, set[str]] = {}
    for name, targets in GRAPH.items():
        package = name.split(".")[1]
        others = {target.split(".")[1] for target in targets if target.count(".")}
        imports.setdefault(package, set()).update(others - {package, "_version"})
    return imports


def in_order(group: list[str], imports: dict[str, set[str]]) -> list[str]:
    """Return the packages of a group, those that import others of the group to the left of them."""
    remaining, ordered = sorted(group), []
    while remaining:
        imported = {other for package in remaining for other in imports.get(package, set())}
        package = next((package for package in remaining if package not in imported), remaining[0])
        remaining.remove(package)
        ordered.append(package)
    return ordered


def flow() -> Figure:
    """Draw what happens from a definition to the report."""
    figure, axes = _canvas(8.4, 3.2)
    centers = {name: (1.1 + column * 3.1, 2.5 - row * 1.25) for name, _, column, row in BOXES}
    for name, text, _, row in BOXES:
        _box(axes, centers[name], (BOX_WIDTH, BOX_HEIGHT), text, FILLS[row % 2])
    for start, end, label in ARROWS:
        _connect(axes, centers[start], centers[end], label)
    return figure


def _connect(axes: Axes, start: Point, end: Point, label: str) -> None:
    """Draw an arrow between two boxes: vertical in a column, horizontal in a row, else from the nearest corner."""
    (x, y), (end_x, end_y) = start, end
    middle = BOX_HEIGHT / 2
    if x == end_x:
        tail, head = ((x, y), (x, end_y + BOX_HEIGHT)) if y > end_y else ((x, y + BOX_HEIGHT), (x, end_y))
    elif y == end_y:
        shift = {"every epoch": 0.16, "resume": -0.16}.get(label, 0)
        side = BOX_WIDTH / 2 if end_x > x else -BOX_WIDTH / 2
        tail, head = (x + side, y + middle + shift), (end_x - side, y + middle + shift)
    else:
        tail = (x + BOX_WIDTH / 2 - 0.3, y + BOX_HEIGHT) if end_y > y else (x + BOX_WIDTH / 2, y)
        head = (end_x - BOX_WIDTH / 2, end_y + middle)
    _arrow(axes, tail, head)
    center = ((tail[0] + head[0]) / 2, (tail[1] + head[1]) / 2)
    if x == end_x:
        axes.text(center[0] + 0.08, center[1], label, fontsize=8, va="center", color=DARK)
    else:
        above = label != "resume"
        axes.text(center[0], center[1] + (0.05 if above else -0.05), label, fontsize=8, ha="center",
                  va="bottom" if above else "top", color=DARK)  # fmt: skip


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set(xlim=(-0.1, width), ylim=(-0.1, height), aspect="equal")
    axes.axis("off")
    return figure, axes


def _box(axes: Axes, bottom_center: Point, size: Point, text: str, fill: str) -> None:
    """Draw a box with a title and, after a line break, its details."""
    (center, bottom), (width, height) = bottom_center, size
    style = "round,pad=0,rounding_size=0.08"
    corner = (center - width / 2, bottom)
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=fill, edgecolor=LINE))
    title, _, details = text.partition("\n")
    middle, alignment = bottom + height / 2, {"ha": "center", "va": "center", "color": DARK}
    if details:
        axes.text(center, middle + 0.13, title, fontsize=10, weight="bold", **alignment)
        axes.text(center, middle - 0.15, details, fontsize=8, **alignment)
    else:
        axes.text(center, middle, title, fontsize=10, **alignment)


def _arrow(axes: Axes, start: Point, end: Point, width: float = 1.1, style: str = "-|>") -> None:
    arrow = FancyArrowPatch(
        start, end, arrowstyle=style, mutation_scale=11, color=LINE, linewidth=width, shrinkA=1, shrinkB=1
    )
    axes.add_patch(arrow)
