"""Connect Four: recorded games, the data of the value networks, and the counts of the networks."""

import numpy as np
import pytest

import deepkit as dk
from recipes.reinforcement import connect_four as recipe
from recipes.reinforcement import connect_four_matches as matches
from recipes.reinforcement.recorded_games import record_branches, record_games

GAME = dk.envs.ConnectFour()


@pytest.fixture(scope="module")
def games():
    return record_games(GAME, 200, dk.search.random_player, np.random.default_rng(0))


def test_recorded_games_can_be_replayed(games):
    """The recorded moves of a game lead from the first position to its outcome, through the recorded positions."""
    for index in (0, 50, 199):
        moves = games.take(games.games == index)
        assert moves.moves.tolist() == list(range(len(moves)))
        state = GAME.start(1)
        for observation, action in zip(moves.observations, moves.actions, strict=True):
            np.testing.assert_array_equal(GAME.observe(state)[0], observation)
            state, rewards, finished = GAME.play(state, [action])
        assert finished[0]
        assert moves.outcomes[-1] == rewards[0]
        np.testing.assert_array_equal(moves.outcomes[1:], -moves.outcomes[:-1])  # the other side


def test_mirror_images_are_legal_positions_and_moves(games):
    both = games.mirrored()
    assert len(both) == 2 * len(games)
    mirror = both.take(np.arange(len(games), len(both)))
    np.testing.assert_array_equal(mirror.observations[..., ::-1, :], games.observations)
    np.testing.assert_array_equal(mirror.actions, 6 - games.actions)


def test_one_position_of_each_game_and_whole_games(games):
    rng = np.random.default_rng(0)
    one = games.one_of_each_game(rng)
    assert one.games.tolist() == list(range(200))
    assert 5 < one.moves.mean() < 15  # anywhere in the game
    many = games.first_games(1_000, rng)
    assert 1_000 <= len(many) < 1_042
    for index in np.unique(many.games):
        assert np.sum(many.games == index) == np.sum(games.games == index)


def test_branches_have_their_player_before_and_after_the_random_move():
    def first(game, state):
        return np.where((state["board"] != 0).sum((1, 2)) % 2, 0, 1)  # O in column 0, X in column 1

    def second(game, state):
        return np.full(len(state["board"]), 6)

    def third(game, state):
        return game.legal_actions(state).argmax(1)

    positions = record_branches(GAME, 40, (first, second, third), 4, np.random.default_rng(0))
    assert sorted(np.unique(positions.games)) == list(range(40))
    for index in (0, 15, 39):
        length = index // 10
        game = positions.take(positions.games == index)
        assert game.moves[0] == length + 1
        board = game.observations[0].sum(-1)
        assert board[:, 6].sum() == 1
        assert board[:, :2].sum() == length


def test_the_best_accuracy_is_that_of_a_policy_which_knows_the_rules():
    rng = np.random.default_rng(0)
    positions = record_games(GAME, 150, recipe.EXPERT, rng)
    stones = positions.observations[..., 0] - positions.observations[..., 1]
    state = {**GAME.start(len(stones)), "board": stones.astype(np.int8)}
    is_equal = recipe.EXPERT.probabilities(GAME, state).argmax(1) == positions.actions
    assert recipe.best_accuracy(positions) == pytest.approx(is_equal.mean(), abs=0.03)
    assert 0.6 < is_equal.mean() < 0.9


def test_the_networks_have_the_weights_of_the_formula():
    convolutions = (9 * 2 + 1) * 32 + 2 * (9 * 32 + 1) * 32
    policy, value = recipe.policy_network(), recipe.value_network()
    assert policy.build(GAME.observation_shape).count_params() == convolutions + (42 * 32 + 1) * 7
    assert value.build(GAME.observation_shape).count_params() == convolutions + (42 * 32 + 1) * 64 + 65


def test_lost_games_are_those_against_every_reply():
    game = dk.envs.TicTacToe()

    def last_cell(game, state):
        return game.num_actions - 1 - game.legal_actions(state)[:, ::-1].argmax(1)

    assert matches.count_lost_games(game, last_cell) > matches.count_lost_games(game, dk.search.RulePlayer(0)) > 0
