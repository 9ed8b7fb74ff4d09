"""Charts of the GPU benchmark, drawn when the documentation is built: the deviations, and the step times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from benchmarks import charts
from benchmarks.gpu_page import ORDER, chart_path, measured_steps, ratios
from benchmarks.gpu_records import Check, Run
from benchmarks.records import Row
from deepkit.visualize.figures import BLUE, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FLOOR = 1e-9  # where a deviation of 0 is drawn
WIDTH, HEIGHT = 7.2, 2.6  # inches, of a precision


def figures(runs: Mapping[str, Run]) -> dict[str, bytes]:
    """Return the SVG files of all runs on a GPU, by their paths."""
    result = {}
    for run in (runs[name] for name in ORDER if name in runs):
        compared = [check for check in run.rows("checks") if check.outputs is not None]
        if compared:
            result[chart_path(run, "checks")] = charts.svg(draw_checks(compared))
        rows = step_rows(run)
        if rows:
            result[chart_path(run, "steps")] = charts.svg(charts.draw(rows))
    return result


def step_rows(run: Run) -> list[Row]:
    """Return the ratios of the step times of deepkit to those of the others, as rows of a chart."""
    rows = []
    for net, sides in measured_steps(run).items():
        for side, other in sides.items():
            if side != "deepkit" and "deepkit" in sides:
                pairs = tuple((ratio, 1.0) for ratio in ratios(sides["deepkit"], other))
                rows.append(Row(net, f"{net}, deepkit", side, "ms/step", run.command, run.date, pairs=pairs))
    return rows


def draw_checks(checks: list[Check]) -> Figure:
    """Draw the deviations of outputs and gradients of each case, sorted, with their tolerances; a row for a precision.

    Args:
        checks: Checks whose outputs were compared.
    """
    precisions = list(dict.fromkeys(check.precision for check in checks))
    figure = Figure(figsize=(WIDTH, HEIGHT * len(precisions) + 0.3), layout="constrained")
    grid = figure.subplots(len(precisions), 2, sharey=True, squeeze=False)
    for axes, precision in zip(grid, precisions, strict=True):
        group = [check for check in checks if check.precision == precision]
        outputs = [(check.outputs, check.outputs_tolerance) for check in group]
        gradients = [(check.gradients, check.gradients_tolerance) for check in group]
        for ax, name, pairs in zip(axes, ("outputs", "gradients"), (outputs, gradients), strict=True):
            _draw_deviations(ax, [(a, b) for a, b in pairs if a is not None])
            ax.set_title(f"{precision}, {name}", fontsize=9)
        axes[0].set_ylabel("deviation from the CPU", fontsize=8)
    for ax in grid[-1]:
        ax.set_xlabel("cases, sorted by deviation", fontsize=8)
    return figure


def _draw_deviations(axes: Axes, pairs: list[tuple[float, float]]) -> None:
    pairs = sorted(pairs)
    values = [min(max(deviation, FLOOR), 1 / FLOOR) for deviation, _ in pairs]
    colors = [BLUE if deviation <= tolerance else ORANGE for deviation, tolerance in pairs]
    axes.scatter(range(len(pairs)), values, s=8, c=colors, zorder=3)
    axes.scatter(range(len(pairs)), [tolerance for _, tolerance in pairs], s=24, c="0.4", marker="_", linewidths=1)
    axes.set_yscale("log")
    axes.set_xticks([])
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
