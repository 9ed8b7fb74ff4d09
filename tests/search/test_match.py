import math

import numpy as np
import pytest

import deepkit as dk
from deepkit.search.match import wilson_interval
from deepkit.utils.action_choice import sample_actions

CONNECT_FOUR = dk.envs.ConnectFour()


def position(moves):
    state = CONNECT_FOUR.start(1)
    for column in moves:
        state, *_ = CONNECT_FOUR.play(state, [column])
    return state


def first_legal(game, state):
    return game.legal_actions(state).argmax(1)


class Recorder:
    """Plays the first legal move, and records the sides and the numbers of games."""

    def __init__(self):
        self.calls = []

    def __call__(self, game, state):
        self.calls.append(game.to_play(state).tolist())
        return first_legal(game, state)


def test_each_player_begins_half_of_the_games():
    recorder = Recorder()
    match = dk.play(recorder, first_legal, "TicTacToe", num_games=10)
    assert recorder.calls[0] == [0] * 5
    assert recorder.calls[1] == [1] * 5
    assert (match.moving_first, match.moving_second) == ((5, 0, 0), (0, 0, 5))  # cells 0, 2, 4 and 6 win
    assert (match.wins, match.draws, match.losses, match.score) == (5, 0, 5, 0.5)
    assert match.mean_length == 7


def test_a_match_is_reproducible_and_reverses_with_its_players():
    first = dk.play(dk.search.RulePlayer(), dk.search.random_player, CONNECT_FOUR, num_games=100, seed=3)
    assert first == dk.play(dk.search.RulePlayer(), dk.search.random_player, CONNECT_FOUR, num_games=100, seed=3)
    second = dk.play(dk.search.random_player, dk.search.RulePlayer(), CONNECT_FOUR, num_games=100, seed=3)
    assert first.score > 0.9 > 0.1 > second.score


def test_random_beginnings_are_played_on_both_sides():
    match = dk.play(first_legal, first_legal, CONNECT_FOUR, num_games=60, num_random_moves=4)
    assert match.moving_first == match.moving_second[::-1]
    assert 0 < match.moving_first[0] < 30
    with pytest.raises(ValueError, match=r"a game of TicTacToe is finished within 6 random moves\n  hint: use fewer"):
        dk.play(first_legal, first_legal, "TicTacToe", num_random_moves=6)


def test_the_interval_is_that_of_wilson():
    low, high = wilson_interval(0.5, 100)
    assert (low, high) == (pytest.approx(0.4038, abs=1e-4), pytest.approx(0.5962, abs=1e-4))
    low, high = wilson_interval(1.0, 10)
    assert (low, high) == (pytest.approx(0.7225, abs=1e-4), pytest.approx(1))
    for share, n in ((0.2, 30), (0.9, 400)):  # the ends solve |share - p| = z sqrt(p (1 - p) / n)
        for p in wilson_interval(share, n):
            assert abs(share - p) == pytest.approx(1.959964 * math.sqrt(p * (1 - p) / n))


def test_a_match_is_displayed():
    match = dk.search.Match("ConnectFour", ("one", "two"), (30, 2, 18), (25, 1, 24), 21.5)
    assert repr(match) == (
        "one against two, 100 games of ConnectFour: 55 wins, 3 draws, 42 losses; "
        "score 0.565 (95 % interval 0.467 to 0.658)"
    )
    html = match._repr_html_()
    assert "two moves first" in html
    assert "21.5 moves per game" in html
    assert "failed" not in html


def test_agents_and_policy_models_are_players():
    class Agent:
        name = "agent"

        def act(self, observations, action_mask=None):
            assert observations.shape[1:] == (6, 7, 2)
            return action_mask.argmax(1)

    assert dk.play(Agent(), first_legal, CONNECT_FOUR, num_games=2).players == ("agent", "first_legal")
    policy = dk.Sequential([dk.Classifier(7)], name="net").build((6, 7, 2))
    policy.set_weights([np.zeros((84, 7)), np.array([0, 0, 0, 9, 0, 0, 0])])  # the middle column
    match = dk.play(policy, first_legal, CONNECT_FOUR, num_games=20)
    assert match.players[0] == "net"
    assert match.moving_first[0] >= 9  # four stones on each other


def test_actions_are_drawn_from_the_softmax_of_legal_logits():
    logits = np.tile([0.0, 1.0, 2.0, 9.0], (20_000, 1))
    legal = np.tile([True, True, True, False], (20_000, 1))
    shares = np.bincount(sample_actions(logits, legal, np.random.default_rng(0)), minlength=4) / 20_000
    np.testing.assert_allclose(shares, [*np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), 0], atol=0.01)
    assert set(sample_actions(logits, legal, np.random.default_rng(0), temperature=0)) == {2}


@pytest.mark.parametrize(
    ("moves", "column"),
    [
        ((0, 6, 1, 6, 2, 5), 3),  # wins
        ((0, 6, 1, 6, 2), 3),  # blocks
        ((0, 6, 1, 6, 2, 6), 3),  # wins in place of blocking column 6
        ((0, 1, 0, 1, 0, 2), 0),  # wins upward
    ],
)
def test_the_rule_player_wins_and_blocks(moves, column):
    for seed in range(5):
        assert dk.search.RulePlayer()(CONNECT_FOUR, position(moves), np.random.default_rng(seed)).tolist() == [column]


def test_the_rule_player_prefers_the_center():
    state = CONNECT_FOUR.start(4000)
    shares = np.bincount(dk.search.RulePlayer()(CONNECT_FOUR, state), minlength=7) / 4000
    weights = np.exp([3, 4, 5, 7, 5, 4, 3])  # rows through the lowest cells
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.02)
    np.testing.assert_allclose(dk.search.RulePlayer().probabilities(CONNECT_FOUR, state)[0], weights / weights.sum())
    assert dk.search.RulePlayer(0).probabilities(CONNECT_FOUR, state)[0].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert set(dk.search.RulePlayer(temperature=0)(CONNECT_FOUR, state)) == {3}
    assert set(dk.search.RulePlayer(0)(dk.envs.TicTacToe(), dk.envs.TicTacToe().start(2))) == {4}


def test_errors():
    with pytest.raises(ValueError, match=r"play: num_games must be even.*received 5\n  hint: use num_games=6"):
        dk.play(first_legal, first_legal, "TicTacToe", num_games=5)
    with pytest.raises(ValueError, match=r"play: seed must be an integer of at least 0, received -1"):
        dk.play(first_legal, first_legal, "TicTacToe", seed=-1)
    with pytest.raises(TypeError, match=r"expected a player, .*received None\n  at    second player\n  hint: pass"):
        dk.play(first_legal, None, "TicTacToe")
    with pytest.raises(ValueError, match=r"there is no board game 'Chess'; the games are TicTacToe, ConnectFour"):
        dk.play(first_legal, first_legal, "Chess")
    with pytest.raises(ValueError, match=r"(?s)action 0 is illegal in game 0.*at    second player.*hint: choose among"):
        dk.play(first_legal, lambda game, state: np.zeros(len(state["board"]), int), "TicTacToe")
    with pytest.raises(ValueError, match=r"actions must be integers of shape \(200,\).*\n  at    first player"):
        dk.play(lambda game, state: [0], first_legal, "TicTacToe")
    policy = dk.Classifier(7).build((3, 3, 2))
    with pytest.raises(ValueError, match=r"\(200, 9\), received \(200, 7\)\n  at    first player\n  hint: end the"):
        dk.play(policy, first_legal, "TicTacToe")
    with pytest.raises(ValueError, match=r"RulePlayer: temperature must be a number from 0, received -1"):
        dk.search.RulePlayer(-1)

    class Go(dk.envs.BoardGame):
        name, num_actions, observation_shape = "Go", 1, (1, 1, 1)
        start = legal_actions = apply = observe = to_play = draw = None

    with pytest.raises(
        TypeError, match=r"RulePlayer: expected dk.envs.TicTacToe.*Go object.*\n  hint: use dk.search.ran"
    ):
        dk.search.RulePlayer()(Go(), {})
