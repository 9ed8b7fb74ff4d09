"""Players of board games: callables, agents and policy models behind one signature."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from deepkit.envs.board_game import BoardGame, FloatArray, IntArray, State
from deepkit.utils.action_choice import sample_actions
from deepkit.utils.errors import format_value, message
from deepkit.utils.function_identity import identify
from deepkit.utils.tracing import without_retracing_warnings

Player: TypeAlias = Callable[[BoardGame, State, np.random.Generator], IntArray]
"""A function of the game, the positions and a generator; it returns an action for each game."""


def random_player(game: BoardGame, state: State, rng: np.random.Generator | None = None) -> IntArray:
    """Choose each legal action with the same probability.

    Args:
        game: The rules.
        state: Positions that are not finished.
        rng: Source of randomness; by default a new generator with seed 0.

    Returns:
        An action for each game, (games,).

    Examples:
        >>> import deepkit as dk
        >>> game = dk.envs.TicTacToe()
        >>> dk.search.random_player(game, game.start(4)).shape
        (4,)
    """
    legal = game.legal_actions(state)
    return sample_actions(np.zeros(legal.shape), legal, rng or np.random.default_rng(0))


def as_player(player: Any, game: BoardGame, path: str) -> Player:
    """Return a player of any kind as a function of the game, the positions and a generator.

    Args:
        player: A callable `player(game, state)` or `player(game, state, rng)`, a model with a method `act`, or a Keras
            model that returns a logit for each action, from whose softmax over the legal actions a move is drawn.
        game: The rules.
        path: Name of the player in errors.

    Raises:
        TypeError: The player is none of these.
        ValueError: A policy model has another number of outputs than the game has actions.
    """
    if callable(getattr(player, "act", None)):
        return _AgentPlayer(player)
    if is_keras_model(player):
        return _PolicyPlayer(NetworkFunction(player, game, game.num_actions, path))
    if not callable(player) or isinstance(player, type):
        problem = f"expected a player, a function of the game and its positions, received {format_value(player)}"
        hint = "pass dk.search.random_player, a dk.search.PUCT(...), a trained agent or a Keras model of logits"
        raise TypeError(message(problem, path=path, hint=hint))
    return player if _accepts_generator(player) else _TwoArgumentPlayer(player)


def is_keras_model(value: object) -> bool:
    """Return whether a value is a Keras model; without models, a match does not import Keras."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(value, keras.Model)


def player_name(player: Any) -> str:
    """Return a short name of a player: that of the model or the function, or the code that makes it."""
    name = getattr(player, "name", None) or getattr(player, "__name__", None)
    return name if isinstance(name, str) else format_value(player)


def player_identity(player: Any) -> str:
    """Return a text that differs for players that play differently: with the weights of a model, or the code.

    Args:
        player: A function, an agent or a Keras model.
    """
    if not is_keras_model(player):
        return identify(player).text
    digest = hashlib.sha256(type(player).__name__.encode())
    for weight in player.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return f"{player.name} {digest.hexdigest()[:16]}"


class NetworkFunction:
    """A model as a function of observations of any number of games, which returns NumPy arrays.

    TensorFlow traces a Keras model once, for all numbers of games.

    Args:
        network: A Keras model, or another callable, of observations.
        game: The rules.
        num_outputs: Numbers that the network returns for each game.
        path: Name of the network in errors.
    """

    def __init__(self, network: Any, game: BoardGame, num_outputs: int, path: str) -> None:
        self._num_outputs, self._path, self._function = num_outputs, path, network
        if is_keras_model(network):
            import tensorflow as tf

            signature = [tf.TensorSpec((None, *game.observation_shape), tf.float32)]
            self._check_input(network, game)
            self._function = tf.function(lambda x: network(x, training=False), input_signature=signature)

    @without_retracing_warnings()
    def __call__(self, observations: FloatArray) -> np.ndarray:
        """Return the outputs, float64 (games, outputs)."""
        outputs = np.asarray(self._function(observations), np.float64)
        expected = (len(observations), self._num_outputs)
        if outputs.shape != expected and outputs.shape != (len(observations),) * (self._num_outputs == 1):
            problem = f"expected an output of shape {expected}, received {outputs.shape}"
            if self._num_outputs == 1:
                hint = "a value network ends with dk.Regressor(1)"
            else:
                hint = f"end the policy with dk.Classifier({self._num_outputs}): a logit for each action of the game"
            raise ValueError(message(problem, path=self._path, hint=hint))
        if np.isnan(outputs).any():
            problem = f"expected numbers, received NaN in {int(np.isnan(outputs).any(axis=-1).sum())} outputs"
            raise ValueError(message(problem, path=self._path, hint="the training of this network has diverged"))
        return outputs.reshape(expected)

    def _check_input(self, network: Any, game: BoardGame) -> None:
        shape = getattr(network, "input_shape", None) if network.built else None
        if not isinstance(shape, tuple):
            return
        sizes = [
            other if size is None else size for size, other in zip(shape[1:], game.observation_shape, strict=False)
        ]
        if len(shape) != 4 or tuple(sizes) != game.observation_shape:
            problem = f"{game.name}: observations have shape {game.observation_shape}, the model takes {shape[1:]}"
            hint = "build the network with `game.observation_shape`"
            raise ValueError(message(problem, path=self._path, hint=hint))


class _TwoArgumentPlayer:
    def __init__(self, function: Callable[[BoardGame, State], Any]) -> None:
        self._function = function

    def __call__(self, game: BoardGame, state: State, rng: np.random.Generator) -> IntArray:
        return self._function(game, state)


class _AgentPlayer:
    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def __call__(self, game: BoardGame, state: State, rng: np.random.Generator) -> IntArray:
        return self._agent.act(game.observe(state), action_mask=game.legal_actions(state))


class _PolicyPlayer:
    def __init__(self, policy: NetworkFunction) -> None:
        self._policy = policy

    def __call__(self, game: BoardGame, state: State, rng: np.random.Generator) -> IntArray:
        return sample_actions(self._policy(game.observe(state)), game.legal_actions(state), rng)


def _accepts_generator(player: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(player).parameters
    except (TypeError, ValueError):  # a builtin
        return False
    return "rng" in parameters
