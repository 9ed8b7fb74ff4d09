"""The text map of a gridworld: its cells, and the cell that each action leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepkit.utils.errors import did_you_mean, format_value, make_error

START, GOAL, PIT, WALL, FLOOR = "S", "G", "P", "#", "."
MOVES = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])  # rows and columns of the actions up, right, down, left
_LEGEND = "S start, G goal, P pit, # wall, . floor"
_EXAMPLE = 'use a map such as ["S.#", "..G"]: ' + _LEGEND


@dataclass(frozen=True, eq=False)
class GridMap:
    """A parsed map. The states are the cells that are not walls, from left to right and from top to bottom.

    Args:
        rows: The rows of the map.
        cells: Row and column of each state, `(states, 2)`.
        kinds: The character of each state, `(states,)`.
        successors: The state that each action leads to, `(states, actions)`. A wall or the border returns to the cell.
    """

    rows: tuple[str, ...]
    cells: np.ndarray
    kinds: np.ndarray
    successors: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.rows), len(self.rows[0])

    @property
    def starts(self) -> np.ndarray:
        """The states in which an episode can begin, `(starts,)`."""
        return np.flatnonzero(self.kinds == START)

    @property
    def is_terminal(self) -> np.ndarray:
        """Whether each state ends an episode: the goals and the pits, `(states,)`."""
        return (self.kinds == GOAL) | (self.kinds == PIT)

    def reachable(self, start: int) -> np.ndarray:
        """Return whether each state can be reached from a state, `(states,)`; a goal or a pit ends the path."""
        reached = np.zeros(len(self.cells), bool)
        border = {start}
        while border:
            reached[list(border)] = True
            inner = [state for state in border if not self.is_terminal[state]]
            border = {int(state) for state in self.successors[inner].ravel() if not reached[state]}
        return reached


def parse_grid(grid: str | Sequence[str]) -> GridMap:
    """Return the map of a text, or of its rows.

    Raises:
        TypeError: The map is not text.
        ValueError: The rows have different lengths, a character is unknown, there is no start, or no goal can be
            reached from a start.
    """
    rows = _rows(grid)
    _check_characters(rows)
    characters = np.array([list(row) for row in rows])
    cells = np.argwhere(characters != WALL)
    states = np.full(characters.shape, -1)
    states[tuple(cells.T)] = np.arange(len(cells))
    targets = cells[:, None] + MOVES  # (states, actions, 2)
    inside = np.all((targets >= 0) & (targets < characters.shape), axis=-1)
    targets = np.where(inside[..., None], targets, cells[:, None])
    successors = states[targets[..., 0], targets[..., 1]]
    successors = np.where(successors < 0, np.arange(len(cells))[:, None], successors)  # a wall
    parsed = GridMap(rows, cells, characters[tuple(cells.T)], successors)
    for start in parsed.starts:
        if not np.any((parsed.kinds == GOAL) & parsed.reachable(int(start))):
            row, column = cells[start] + 1
            problem = (
                f"Gridworld: a goal must be reachable from each start, received {list(rows)}, where no goal can be "
                f"reached from row {row}, column {column}"
            )
            raise make_error(ValueError, problem, hint="open a path between S and G that crosses neither # nor P")
    return parsed


def _rows(grid: str | Sequence[str]) -> tuple[str, ...]:
    """Return the rows of a map, which all have the same length."""
    lines = grid.strip("\n").split("\n") if isinstance(grid, str) else grid
    if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
        problem = f"Gridworld: grid must be text or a list of its rows, received {format_value(grid)}"
        raise make_error(TypeError, problem, hint=_EXAMPLE)
    rows = tuple(line.strip() for line in lines)
    if not rows or not rows[0]:
        problem = f"Gridworld: grid must have at least one row, received {format_value(grid)}"
        raise make_error(ValueError, problem, hint=_EXAMPLE)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            problem = (
                f"Gridworld: the rows of grid must have equal lengths, received {len(rows[0])} characters in row 1 and "
                f"{len(row)} in row {number}"
            )
            raise make_error(ValueError, problem, hint=f"fill row {number} with . or #: {row!r}")
    return rows


def _check_characters(rows: tuple[str, ...]) -> None:
    """Raise an error for an unknown character, no start and no goal."""
    for number, row in enumerate(rows, start=1):
        for column, character in enumerate(row, start=1):
            if character not in (START, GOAL, PIT, WALL, FLOOR):
                suggestion = did_you_mean(character.upper(), (START, GOAL, PIT))
                problem = (
                    f"Gridworld: grid must have the characters S, G, P, # and . only, received {character!r} in row "
                    f"{number}, column {column}{suggestion}"
                )
                raise make_error(ValueError, problem, hint=_LEGEND)
    for character, name in ((START, "start S"), (GOAL, "goal G")):
        if not any(character in row for row in rows):
            problem = f"Gridworld: grid must have at least one {name}, received {list(rows)}"
            raise make_error(ValueError, problem, hint=_EXAMPLE)
