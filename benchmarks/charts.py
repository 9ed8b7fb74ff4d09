"""Charts of the recorded ratios: one for each group of benchmarks, drawn when the documentation is built."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.catalog import BENCHMARKS, HEADINGS, Benchmark
from deepkit.visualize.figures import BLUE, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.pairs import Spread
    from benchmarks.records import Row

NOISE_FLOOR = "noise-floor"
COLORS = {"met": BLUE, "missed": ORANGE, "recorded": "0.4"}
BAND, DARK = "0.88", "0.15"
WIDTH, ROW_HEIGHT, MARGIN = 7.2, 0.5, 0.8  # inches
NARROW = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.0)


def chart_path(group: str) -> str:
    """Return the path of the chart of a group, relative to the folder of the documentation."""
    return f"figures/benchmarks-{group.lower().replace(' ', '-')}.svg"


def charts(rows: Mapping[str, Row], benchmarks: Sequence[Benchmark] = BENCHMARKS) -> dict[str, bytes]:
    """Return the SVG file of each group with a measured row, by its path."""
    groups = {heading: measured(heading, rows, benchmarks) for heading in HEADINGS}
    return {chart_path(heading): svg(draw(group, _noise(rows))) for heading, group in groups.items() if group}


def measured(group: str, rows: Mapping[str, Row], benchmarks: Sequence[Benchmark]) -> list[Row]:
    """Return the measured rows of a group, in the order of the page."""
    names = [benchmark.name for benchmark in benchmarks if benchmark.group == group]
    return [rows[name] for name in names if name in rows and not rows[name].problem]


def is_rate(unit: str) -> bool:
    """Return whether more is faster.

    Examples:
        >>> is_rate("images/s"), is_rate("ms/step"), is_rate("s")
        (True, False, False)
    """
    return unit.endswith("/s")


def quantity_of(unit: str) -> str:
    """Return the quantity that a unit measures.

    Examples:
        >>> quantity_of("images/s"), quantity_of("ms/step"), quantity_of("MB")
        ('rates', 'times', 'sizes')
    """
    if is_rate(unit):
        return "rates"
    return "sizes" if unit in ("MB", "GB") else "times"


def draw(rows: Sequence[Row], noise: Spread | None = None) -> Figure:
    """Draw the ratios of some rows on a logarithmic axis: median, quartiles, range and target.

    Args:
        rows: Measured rows with the same kind of unit, the first at the top.
        noise: The spread of a net compared with itself, shaded between its quartiles; None for no band.
    """
    figure = Figure(figsize=(WIDTH, MARGIN + ROW_HEIGHT * len(rows)), layout="constrained")
    axes = figure.subplots()
    if noise is not None:
        axes.axvspan(noise.lower, noise.upper, color=BAND, linewidth=0, zorder=0)
    axes.axvline(1.0, color=DARK, linewidth=0.8, linestyle=":", zorder=1)
    for position, row in enumerate(rows):
        _draw_row(axes, position, row)
    labels = [f"{row.left}\nover {row.right}".replace("`", "") for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    _set_ratio_axis(axes)
    better = {"rates": "right is faster", "times": "left is faster", "sizes": "left is smaller"}
    quantity = quantity_of(rows[0].unit)
    axes.set_xlabel(f"ratio of the {quantity}; further to the {better[quantity]}", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def _draw_row(axes: Axes, position: int, row: Row) -> None:
    ratio, color = row.summary().ratio, COLORS[row.verdict()]
    axes.plot([ratio.minimum, ratio.maximum], [position] * 2, color=color, linewidth=1, zorder=2)
    axes.plot([ratio.lower, ratio.upper], [position] * 2, color=color, linewidth=6, solid_capstyle="butt", zorder=2)
    axes.plot([ratio.median], [position], "o", color="white", markeredgecolor=color, markersize=6, zorder=3)
    if row.target is not None:
        limits = [limit for limit in (row.target.low, row.target.high) if limit is not None]
        axes.vlines(limits, position - 0.32, position + 0.32, color=DARK, linewidth=1.4, zorder=4)


def _set_ratio_axis(axes: Axes) -> None:
    """Use a logarithmic axis that contains 1, with plain numbers."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    low, high = min(low, 0.9), max(high, 1.12)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_tick_values(low, high)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _tick_values(low: float, high: float) -> list[float]:
    """Return about five to ten values between two limits."""
    powers = [10.0**exponent for exponent in range(-4, 6)]
    digits = (1, 2, 5) if high / low < 300 else (1,)
    values = NARROW if high / low < 4 else [float(f"{digit * power:g}") for power in powers for digit in digits]
    return [value for value in values if low <= value <= high]


def _noise(rows: Mapping[str, Row]) -> Spread | None:
    row = rows.get(NOISE_FLOOR)
    return None if row is None or row.problem else row.summary().ratio


def svg(figure: Figure) -> bytes:
    """Return a figure as an SVG file, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "deepkit"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
