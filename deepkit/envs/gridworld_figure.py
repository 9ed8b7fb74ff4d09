"""Figure of a gridworld: its map, the values of the states as colors and numbers, and a policy as arrows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepkit.envs.grid_map import FLOOR, GOAL, MOVES, PIT, GridMap
from deepkit.utils.errors import format_value, make_error
from deepkit.visualize.figures import PngFigure, hide_axis_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

WALL_COLOR, FLOOR_COLOR, GOAL_COLOR, PIT_COLOR = "#343a40", "#f8f9fa", "#2b8a3e", "#e8590c"
_COLORMAP = "RdYlBu"


def draw_gridworld(grid_map: GridMap, *, policy: ArrayLike | None = None, values: ArrayLike | None = None) -> PngFigure:
    """Return a figure of a map, as `Gridworld.draw` describes."""
    rows, columns = grid_map.shape
    figure = PngFigure(figsize=(0.75 * columns + 0.2, 0.75 * rows + 0.2), layout="constrained")
    draw_gridworld_on(figure.subplots(), grid_map, policy=policy, values=values)
    return figure


def draw_gridworld_on(
    axes: Axes, grid_map: GridMap, *, policy: ArrayLike | None = None, values: ArrayLike | None = None
) -> None:
    """Draw a map, a policy and values on axes."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    rows, columns = grid_map.shape
    probabilities = None if policy is None else _probabilities(policy, len(grid_map.cells))
    numbers = None if values is None else _values(values, len(grid_map.cells))
    hide_axis_lines(axes).set(xlim=(0, columns), ylim=(rows, 0), aspect="equal", facecolor=WALL_COLOR)
    limit = 1e-9 if numbers is None else max(1e-9, float(np.abs(numbers).max()))
    colors = colormaps[_COLORMAP](
        Normalize(-1.7 * limit, 1.7 * limit)(np.zeros(len(grid_map.cells)) if numbers is None else numbers)
    )
    for state, (row, column) in enumerate(grid_map.cells):
        kind, terminal = grid_map.kinds[state], grid_map.is_terminal[state]
        color = colors[state] if numbers is not None else FLOOR_COLOR
        if terminal:
            color = {GOAL: GOAL_COLOR, PIT: PIT_COLOR}[kind]
        axes.fill_between((column, column + 1), row, row + 1, color=color, linewidth=0)
        if kind != FLOOR:
            x, y, size = (column + 0.5, row + 0.5, 13) if terminal else (column + 0.12, row + 0.17, 8)
            axes.text(x, y, kind, color="white" if terminal else "black", size=size, ha="center", va="center")
        if numbers is not None and not terminal:
            axes.text(column + 0.5, row + 0.82, f"{numbers[state]:.2f}", size=7, ha="center", va="center")
        if probabilities is not None and not terminal:
            _draw_arrows(axes, column + 0.5, row + 0.42, probabilities[state])
    for edge in range(1, max(rows, columns)):
        axes.axhline(edge, color="white", linewidth=1)
        axes.axvline(edge, color="white", linewidth=1)


def _draw_arrows(axes: Axes, x: float, y: float, probabilities: np.ndarray) -> None:
    """Draw an arrow for each action; its length is the root of the probability."""
    for (row, column), probability in zip(MOVES, probabilities, strict=True):
        if probability > 0.02:
            start = 0.24 if probability > 0.99 else 0.0  # a single arrow has its middle in the middle of the cell
            length = start + 0.28 * np.sqrt(probability)
            head = min(0.16, 0.5 * length)
            axes.arrow(
                x - start * column,
                y - start * row,
                length * column,
                length * row,
                color="black",
                width=0.012,
                head_width=head,
                head_length=head,
                length_includes_head=True,
            )


def _probabilities(policy: ArrayLike, num_states: int) -> np.ndarray:
    """Return a policy as probabilities `(states, actions)`."""
    array = np.asarray(policy)
    if array.shape == (num_states,) and array.dtype.kind in "iu" and np.all((array >= 0) & (array < len(MOVES))):
        return np.eye(len(MOVES))[array]
    if array.shape == (num_states, len(MOVES)) and array.dtype.kind in "iuf" and np.all((array >= 0) & (array <= 1)):
        return array
    problem = (
        f"Gridworld.draw: policy must be {num_states} actions from 0 to {len(MOVES) - 1}, or probabilities of shape "
        f"{(num_states, len(MOVES))}, received {format_value(array)}"
    )
    raise make_error(ValueError, problem, hint="policy=Q.argmax(axis=1) draws the best action of each state")


def _values(values: ArrayLike, num_states: int) -> np.ndarray:
    """Return finite values `(states,)`."""
    array = np.asarray(values)
    if array.shape == (num_states,) and array.dtype.kind in "iuf" and np.all(np.isfinite(array)):
        return array
    problem = f"Gridworld.draw: values must be {num_states} finite numbers, received {format_value(array)}"
    raise make_error(ValueError, problem, hint="values=Q.max(axis=1) draws the value of each state")
