"""The trees of many games as arrays: selection by PUCT, expansion and backup."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepkit.envs.board_game import BoardGame, IntArray, State, take_games

Path = list[tuple[IntArray, IntArray, IntArray]]
"""For each level of the tree: the games that reach it, and the node and the action of each."""


class SearchTrees:
    """One tree for each game, in arrays with the axes (games, nodes) or (games, nodes, actions).

    Node 0 is the root. Values in the arrays are those of the side to move at the node; `outcomes` and the values that
    `back_up` receives are those of the side that has begun the game.

    Args:
        game: The rules.
        state: Positions at the roots, which are not finished.
        num_nodes: Largest number of nodes of each tree.
    """

    def __init__(self, game: BoardGame, state: State, num_nodes: int) -> None:
        self.game = game
        num_games = len(game.to_play(state))
        nodes, edges = (num_games, num_nodes), (num_games, num_nodes, game.num_actions)
        self._states = {key: np.empty((*nodes, *values.shape[1:]), values.dtype) for key, values in state.items()}
        self._signs = np.ones(nodes)  # 1 where the side that has begun is to move, else -1
        self._finished = np.zeros(nodes, bool)
        self._outcomes = np.zeros(nodes)  # of finished games
        self._legal = np.zeros(edges, bool)
        self.priors = np.zeros(edges)
        self.visits = np.zeros(edges, np.int64)
        self.totals = np.zeros(edges)  # sums of values
        self.children = np.full(edges, -1, np.int32)
        self._num_nodes = 0
        self._add_nodes(np.arange(num_games), state)

    def select(self, c_puct: float) -> tuple[Path, IntArray]:
        """Descend from each root to an action without a child, or to a finished game.

        Args:
            c_puct: Weight of the exploration.

        Returns:
            The path, and the last node of each game.
        """
        games = np.arange(len(self.visits))
        last_nodes = np.zeros(len(games), np.int64)
        nodes, path = last_nodes.copy(), []
        while len(games):
            last_nodes[games] = nodes
            is_inner = ~self._finished[games, nodes]
            games, nodes = games[is_inner], nodes[is_inner]
            actions = self._best_actions(games, nodes, c_puct)
            path.append((games, nodes, actions))
            children = self.children[games, nodes, actions].astype(np.int64)
            has_child = children >= 0
            games, nodes = games[has_child], children[has_child]
        return path, last_nodes

    def expand(self, path: Path, last_nodes: IntArray) -> tuple[NDArray[np.float64], IntArray, State]:
        """Add the position after the last action of each path as a node.

        Args:
            path: The path that `select` returned.
            last_nodes: The last nodes that it returned.

        Returns:
            The outcome of each game for the side that has begun, 0 unless the game is finished; the games whose new
            position is not finished; and these positions.
        """
        outcomes = self._outcomes[np.arange(len(last_nodes)), last_nodes]
        last_actions = np.full(len(last_nodes), -1, np.int64)
        for games, _, actions in path:
            last_actions[games] = actions
        games = np.flatnonzero(~self._finished[np.arange(len(last_nodes)), last_nodes])
        nodes, actions = last_nodes[games], last_actions[games]
        parents = {key: values[games, nodes] for key, values in self._states.items()}
        state, rewards, finished = self.game.apply(parents, actions)
        self.children[games, nodes, actions] = self._num_nodes
        outcomes[games] = rewards * self._signs[games, nodes]
        self._outcomes[games, self._num_nodes] = outcomes[games]
        self._add_nodes(games, state)
        return outcomes, games[~finished], take_games(state, ~finished)

    def set_priors(self, games: IntArray, priors: NDArray[np.float64]) -> None:
        """Set the prior probabilities of the actions at the newest nodes of some games."""
        self.priors[games, self._num_nodes - 1] = priors

    def back_up(self, path: Path, values: NDArray[np.float64]) -> None:
        """Add the value of each game, for the side that has begun, to the edges of its path."""
        for games, nodes, actions in path:
            self.visits[games, nodes, actions] += 1
            self.totals[games, nodes, actions] += values[games] * self._signs[games, nodes]

    def signs(self, games: IntArray) -> NDArray[np.float64]:
        """Return 1 for the games in whose newest node the side that has begun is to move, else -1."""
        return self._signs[games, self._num_nodes - 1]

    def principal_variations(self) -> list[list[int]]:
        """Return the most visited actions of each game, from the root until a node without visits."""
        variations: list[list[int]] = [[] for _ in self.visits]
        games, nodes = np.arange(len(self.visits)), np.zeros(len(self.visits), np.int64)
        while len(games):
            has_visits = self.visits[games, nodes].any(1)
            games, nodes = games[has_visits], nodes[has_visits]
            actions = self.visits[games, nodes].argmax(1)
            for game, action in zip(games, actions, strict=True):
                variations[game].append(int(action))
            nodes = self.children[games, nodes, actions].astype(np.int64)
        return variations

    def _best_actions(self, games: IntArray, nodes: IntArray, c_puct: float) -> IntArray:
        visits = self.visits[games, nodes]
        values = self.totals[games, nodes] / np.maximum(visits, 1)  # 0 without a visit
        num_visits = 1 + visits.sum(1, keepdims=True)  # of the node; the first one has evaluated it
        bonuses = c_puct * self.priors[games, nodes] * np.sqrt(num_visits) / (1 + visits)
        return np.where(self._legal[games, nodes], values + bonuses, -np.inf).argmax(1)

    def _add_nodes(self, games: IntArray, state: State) -> None:
        node = self._num_nodes
        for key, values in state.items():
            self._states[key][games, node] = values
        legal = self.game.legal_actions(state)
        self._legal[games, node] = legal
        self._finished[games, node] = ~legal.any(1)
        self._signs[games, node] = 1 - 2 * self.game.to_play(state).astype(np.int64)
        self._num_nodes += 1
