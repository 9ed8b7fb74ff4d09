"""The chart of the benchmark of several workers, drawn when the documentation is built: the projected efficiency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from benchmarks import charts
from benchmarks.workers_page import WORKERS, chart_path, projected_efficiency, projected_links
from benchmarks.workers_records import BESIDE, TOGETHER, Run
from deepkit.visualize.figures import BLUE, GRAY, GREEN, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 7.2, 3.2  # inches
COLORS = (GRAY, BLUE, ORANGE, GREEN, "0.15")
STYLES = ("-", "-", "-", "--", ":")
COUNTS = tuple(2**exponent for exponent in range(7))  # up to 64 workers


def figures(run: Run | None) -> dict[str, bytes]:
    """Return the SVG file of a run by its path; none if nothing was measured."""
    return {chart_path(): charts.svg(draw(run))} if run is not None and run.measured_links() else {}


def draw(run: Run) -> Figure:
    """Draw the projected efficiency against the number of workers, weak and strong, with the measured two workers.

    Args:
        run: A run with at least one measured link.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, divide_batch, title in zip(panels, (False, True), ("weak scaling", "strong scaling"), strict=True):
        for (name, link), color, style in zip(projected_links(run).items(), COLORS, STYLES, strict=False):
            values = [projected_efficiency(run, count, link, divide_batch=divide_batch) for count in COUNTS]
            axes.plot(COUNTS, values, style, color=color, linewidth=1.4, label=name)
        _draw_measured(axes, run, divide_batch=divide_batch)
        axes.set_title(f"{title}, on paper", fontsize=9)
        _set_axes(axes)
    panels[0].set_ylabel("efficiency", fontsize=8)
    figure.legend(
        *panels[0].get_legend_handles_labels(), fontsize=7, frameon=False, ncols=5, loc="outside lower center"
    )
    return figure


def _draw_measured(axes: Axes, run: Run, *, divide_batch: bool) -> None:
    """Draw the measured efficiency of two workers, relative to two that do not communicate."""
    for link, color in zip(run.measured_links(), COLORS, strict=False):
        large, small = link.batch_sizes()
        size = small if divide_batch else large
        rate = link.milliseconds(BESIDE, large) / link.milliseconds(TOGETHER, size) * size / large
        axes.plot([2], [rate], "o", color=color, markeredgecolor="white", markersize=6, zorder=3)


def _set_axes(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([1, *WORKERS]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("workers; a dot is measured", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
