"""Monte Carlo tree search with a policy network and a value network, as in AlphaGo (Silver et al. 2016)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepkit.envs.board_game import BoardGame, BoolArray, FloatArray, IntArray, State
from deepkit.envs.players import NetworkFunction, as_player, player_name, random_player
from deepkit.search.play_out import play_out
from deepkit.search.search_tree import SearchTrees
from deepkit.utils.action_choice import sample_actions
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_integer, check_number


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The visits and values of a search of each game.

    Args:
        visits: Number of simulations that began with each action, (games, actions).
        values: Mean value of these simulations for the side to move, (games, actions); 0 without a visit.
        priors: Prior probability of each action, (games, actions).
        principal_variations: For each game the most visited actions from its position on.

    Examples:
        >>> import deepkit as dk
        >>> game = dk.envs.TicTacToe()
        >>> state = game.start(1)
        >>> for action in (0, 3, 1, 4):  # X can win in cell 2
        ...     state, rewards, finished = game.play(state, [action])
        >>> result = dk.search.PUCT(num_simulations=50).search(game, state)
        >>> result.actions, float(result.values[0, 2])
        (array([2]), 1.0)
    """

    visits: IntArray
    values: NDArray[np.float64]
    priors: NDArray[np.float64]
    principal_variations: list[list[int]]

    @property
    def actions(self) -> IntArray:
        """The most visited action of each game, (games,)."""
        return self.visits.argmax(1)

    @property
    def value(self) -> NDArray[np.float64]:
        """Mean value of all simulations of each game, for the side to move, (games,)."""
        return (self.visits * self.values).sum(1) / self.visits.sum(1)


@dataclass(frozen=True, kw_only=True, repr=False)
class PUCT:
    r"""Monte Carlo tree search that is directed by a policy network and a value network.

    Each simulation descends from the position to a new one. At each node it takes the action with the largest

        $$ Q(s, a) + c_\mathrm{puct} P(a|s) \frac{\sqrt{N(s)}}{1 + N(s, a)} $$

    where P is the probability of the policy network, N counts visits and Q is the mean value of the simulations. The
    new position has the value (1 - mixing) v + mixing z, where v is the output of the value network and z the outcome
    of a rollout, a game that a fast player finishes; the value of a finished game is its outcome. The value is added
    along the path, for each side with its own sign. In the end, the player moves as the most simulations did.

    All games are searched at the same time: a simulation evaluates the networks once, for all of them. A search is a
    player for `dk.play` and `dk.envs.against`.

    Reference:
        Silver et al. 2016, "Mastering the game of Go with deep neural networks and tree search", Methods.

    Args:
        policy: Keras model, or another callable, of observations that returns a logit for each action; None for the
            same prior for each legal action.
        value: Keras model, or another callable, of observations that returns the value for the side to move, which is
            clipped to [-1, 1]; None for rollouts only.
        rollout: The player that finishes the games of rollouts; None for random moves.
        mixing: Weight of the rollout in the value of a position, between 0 (value network only) and 1 (rollouts only).
            The default None is 0.5 with a value network, and 1 without.
        c_puct: Weight of the exploration, above 0.
        num_simulations: Number of simulations for each move.
        temperature: 0 plays the most visited action; above 0, an action is drawn with a probability proportional to
            its visits to the power of 1 / temperature.
        seed: Seed of the rollouts and of the drawn actions if there is no other generator; `dk.play` has its own.

    Raises:
        ValueError: A number is out of range, or `mixing` requires a value network.
        TypeError: A network is not callable.

    Examples:
        >>> import deepkit as dk
        >>> search = dk.search.PUCT(num_simulations=100)
        >>> match = dk.play(search, dk.search.random_player, "TicTacToe", num_games=20)
        >>> match.score > 0.9
        True
    """

    policy: Callable[[Any], Any] | None = None
    value: Callable[[Any], Any] | None = None
    rollout: object = None
    mixing: float | None = None
    c_puct: float = 5.0
    num_simulations: int = 100
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, network in (("policy", self.policy), ("value", self.value)):
            if network is not None and (not callable(network) or isinstance(network, type)):
                problem = f"PUCT: {name} must be a Keras model or a function of observations, received "
                hint = "pass a built model, such as `run.model` or `definition.build(game.observation_shape)`"
                raise TypeError(message(problem + format_value(network), hint=hint))
        mixing = self._default_mixing() if self.mixing is None else self.mixing
        hint = "0 is the value network alone, 1 the rollouts alone"
        mixing = check_number(mixing, "PUCT: mixing", minimum=0, maximum=1, hint=hint)
        if self.value is None and mixing < 1:
            problem = f"PUCT: mixing={mixing:g} needs a value network, received value=None"
            raise ValueError(message(problem, hint="pass value=, or mixing=1 for rollouts only"))
        object.__setattr__(self, "mixing", mixing)
        hint = "5 is the constant of AlphaGo; a larger one follows the policy for longer"
        check_number(self.c_puct, "PUCT: c_puct", above=0, hint=hint)
        check_integer(self.num_simulations, "PUCT: num_simulations")
        check_number(self.temperature, "PUCT: temperature", minimum=0)
        check_integer(self.seed, "PUCT: seed", minimum=0)

    def __repr__(self) -> str:
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        defaults["mixing"] = self._default_mixing()
        values = {name: getattr(self, name) for name in defaults}
        players = {"policy", "value", "rollout"}
        texts = [
            f"{name}={player_name(value) if name in players else repr(value)}"
            for name, value in values.items()
            if value is not defaults[name] and value != defaults[name]
        ]
        return f"PUCT({', '.join(texts)})"

    def _default_mixing(self) -> float:
        return 1.0 if self.value is None else 0.5

    def __call__(self, game: BoardGame, state: State, rng: np.random.Generator | None = None) -> IntArray:
        """Choose an action for each game.

        Args:
            game: The rules.
            state: Positions that are not finished.
            rng: Source of randomness; by default a new generator with the seed of the search.

        Returns:
            An action for each game, (games,).

        Raises:
            ValueError: A game is finished, or a network has another number of outputs.
        """
        rng = rng or np.random.default_rng(self.seed)
        visits = self._simulate(game, state, rng).visits[:, 0]
        if self.temperature == 0:
            return visits.argmax(1)
        return sample_actions(np.log(np.maximum(visits, 1)), visits > 0, rng, self.temperature)

    def search(self, game: BoardGame, state: State, rng: np.random.Generator | None = None) -> SearchResult:
        """Search the position of each game.

        Args:
            game: The rules.
            state: Positions that are not finished.
            rng: Source of randomness; by default a new generator with the seed of the search.

        Returns:
            A `SearchResult`: visits, values and priors of the actions, and the principal variations.

        Raises:
            ValueError: A game is finished, or a network has another number of outputs.
        """
        trees = self._simulate(game, state, rng or np.random.default_rng(self.seed))
        visits = trees.visits[:, 0]
        values = trees.totals[:, 0] / np.maximum(visits, 1)
        return SearchResult(visits, values, trees.priors[:, 0], trees.principal_variations())

    def _simulate(self, game: BoardGame, state: State, rng: np.random.Generator) -> SearchTrees:
        is_finished = game.is_finished(state)
        if is_finished.any():
            index = int(is_finished.argmax())
            problem = f"PUCT: expected positions with a legal action, received game {index}, which is finished"
            hint = "search only the games for which `game.is_finished(state)` is False"
            raise ValueError(message(problem, code=game.draw(state, index), hint=hint))
        evaluator = self._evaluator(game)
        trees = SearchTrees(game, state, self.num_simulations + 1)
        trees.set_priors(np.arange(len(is_finished)), evaluator.priors(game.observe(state), game.legal_actions(state)))
        for _ in range(self.num_simulations):
            path, last_nodes = trees.select(self.c_puct)
            values, games, positions = trees.expand(path, last_nodes)
            if len(games):
                observations = game.observe(positions)
                trees.set_priors(games, evaluator.priors(observations, game.legal_actions(positions)))
                values[games] = evaluator.values(observations, positions, rng) * trees.signs(games)
            trees.back_up(path, values)
        return trees

    @functools.cached_property
    def _evaluators(self) -> dict[BoardGame, Evaluator]:
        return {}

    def _evaluator(self, game: BoardGame) -> Evaluator:
        if game not in self._evaluators:
            self._evaluators[game] = Evaluator(self, game)
        return self._evaluators[game]


class Evaluator:
    """The networks and the rollouts of a search, for one game.

    Args:
        search: The search.
        game: The rules.
    """

    def __init__(self, search: PUCT, game: BoardGame) -> None:
        self._game, self._mixing = game, search.mixing or 0.0
        self._policy = self._value = None
        if search.policy is not None:
            self._policy = NetworkFunction(search.policy, game, game.num_actions, "policy")
        if search.value is not None:
            self._value = NetworkFunction(search.value, game, 1, "value")
        self._rollout = as_player(search.rollout or random_player, game, "rollout")

    def priors(self, observations: FloatArray, legal: BoolArray) -> NDArray[np.float64]:
        """Return the probability of each action: the softmax of the policy over the legal actions."""
        if self._policy is None:
            return legal / legal.sum(1, keepdims=True)
        logits = np.where(legal, self._policy(observations), -np.inf)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        return weights / weights.sum(1, keepdims=True)

    def values(self, observations: FloatArray, state: State, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the value of each position for the side to move: value network and rollout, mixed."""
        values = np.zeros(len(observations))
        if self._value is not None and self._mixing < 1:
            values += (1 - self._mixing) * np.clip(self._value(observations)[:, 0], -1, 1)
        if self._mixing > 0:
            sides = self._game.to_play(state)
            players, names = (self._rollout, self._rollout), ("rollout", "rollout")
            values += self._mixing * play_out(self._game, state, players, sides, rng, names)[0]
        return values
