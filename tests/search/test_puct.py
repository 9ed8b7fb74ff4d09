import numpy as np
import pytest

import deepkit as dk
from deepkit.envs.board_game import take_games
from tests.search import reference

TIC_TAC_TOE, CONNECT_FOUR = dk.envs.TicTacToe(), dk.envs.ConnectFour()


def position(game, actions, num_games=1):
    state = game.start(num_games)
    for action in actions:
        state, *_ = game.play(state, np.full(num_games, action))
    return state


def linear(game, num_outputs, seed):
    """Return a function of observations whose sums are exact, in every order."""
    weights = np.random.default_rng(seed).integers(-4, 5, (np.prod(game.observation_shape), num_outputs)) / 32
    return lambda observations: np.clip(observations.reshape(len(observations), -1) @ weights, -1, 1)


def table_rollout(game, state):
    """Choose the first legal action in an order that depends on the number of stones."""
    table = np.random.default_rng(7).permuted(np.tile(np.arange(game.num_actions), (43, 1)), axis=1)
    ranks = table[(state["board"] != 0).sum((1, 2))]
    return np.where(game.legal_actions(state), ranks, -1).argmax(1)


def random_positions(game, num_games, num_moves):
    rng, state = np.random.default_rng(3), game.start(num_games)
    for _ in range(num_moves):
        state, _, finished = game.play(state, dk.search.random_player(game, state, rng))
        state = take_games(state, ~finished)
    return state


@pytest.mark.parametrize("game", [TIC_TAC_TOE, CONNECT_FOUR], ids=lambda game: game.name)
@pytest.mark.parametrize("mixing", [0, 0.5, 1])
def test_all_games_at_once_equal_a_search_of_each(game, mixing):
    state = random_positions(game, 6, num_moves=4)
    policy, value = linear(game, game.num_actions, 1), linear(game, 1, 2)
    search = dk.search.PUCT(
        policy=policy, value=value, rollout=table_rollout, mixing=mixing, c_puct=2.5, num_simulations=60
    )
    result = search.search(game, state)
    assert result.visits.sum(1).tolist() == [60] * len(state["board"])
    for index in range(len(state["board"])):
        one = take_games(state, np.array([index]))
        root = reference.search(game, one, policy, value, table_rollout, mixing, 2.5, 60)
        assert {action: result.visits[index, action] for action in root.legal} == root.visits
        for action, n in root.visits.items():
            assert result.priors[index, action] == pytest.approx(root.priors[action], abs=1e-12)
            assert result.values[index, action] == pytest.approx(root.totals[action] / max(n, 1), abs=1e-12)


def test_without_networks_the_prior_is_uniform_and_rollouts_are_random():
    state = position(TIC_TAC_TOE, (0,))
    search = dk.search.PUCT(num_simulations=30)
    result = search.search(TIC_TAC_TOE, state)
    assert search.mixing == 1
    np.testing.assert_allclose(result.priors[0], [0, *[1 / 8] * 8])
    again = search.search(TIC_TAC_TOE, state)
    np.testing.assert_array_equal(result.visits, again.visits)  # the seed of the search
    other = search.search(TIC_TAC_TOE, state, np.random.default_rng(5))
    assert (result.visits != other.visits).any()


def test_a_keras_model_is_a_policy_and_a_value():
    net = dk.Sequential([dk.MLP([8]), dk.Classifier(7)])
    policy = net.build(CONNECT_FOUR.observation_shape)
    value = dk.Sequential([dk.MLP([8]), dk.Regressor(1)]).build(CONNECT_FOUR.observation_shape)
    state = random_positions(CONNECT_FOUR, 5, 6)
    search = dk.search.PUCT(policy=policy, value=value, mixing=0, num_simulations=20)
    functions = [lambda x, model=model: np.asarray(model(x)) for model in (policy, value)]
    same = dk.search.PUCT(policy=functions[0], value=functions[1], mixing=0, num_simulations=20)
    np.testing.assert_array_equal(search.search(CONNECT_FOUR, state).visits, same.search(CONNECT_FOUR, state).visits)
    before = search.search(CONNECT_FOUR, state).priors
    policy.set_weights([-3 * weight + 1 for weight in policy.get_weights()])  # the search reads the new weights
    assert (search.search(CONNECT_FOUR, state).priors != before).any()


WIN_AT_ONCE = (0, 6, 1, 6, 2, 5)
"""X wins in column 3."""
BLOCK = (0, 6, 1, 6, 2)
"""O loses unless it plays column 3."""
OPEN_THREE = (2, 2, 3, 3)
"""X makes three stones in a row with two open ends, and wins with the move after it."""


@pytest.mark.parametrize(("moves", "action"), [(WIN_AT_ONCE, {3}), (BLOCK, {3}), (OPEN_THREE, {1, 4})])
def test_forced_moves_of_connect_four(moves, action):
    result = dk.search.PUCT(num_simulations=300, seed=1).search(CONNECT_FOUR, position(CONNECT_FOUR, moves))
    assert set(result.actions) <= action
    assert result.principal_variations[0][0] in action


def test_values_change_their_sign_between_the_sides():
    """O has two open ends: whatever X plays, X loses with the next move of O."""
    state = position(CONNECT_FOUR, (0, 2, 0, 3, 6, 4))  # X is to move, O threatens columns 1 and 5
    result = dk.search.PUCT(num_simulations=300).search(CONNECT_FOUR, state)
    assert result.value[0] < -0.5
    replies, *_ = CONNECT_FOUR.play(state, [1])
    reply = dk.search.PUCT(num_simulations=200).search(CONNECT_FOUR, replies)
    assert reply.actions[0] == 5
    assert (reply.values[0, 5], result.values[0].max() < 0 < reply.value[0]) == (1, True)


def test_the_children_of_a_finished_game_are_its_outcome():
    """One empty cell: every simulation reaches the draw, which no network evaluates."""
    state = position(TIC_TAC_TOE, (0, 1, 2, 4, 3, 5, 7, 6))

    def fail(observations):
        raise AssertionError("a finished game was evaluated")

    result = dk.search.PUCT(value=fail, mixing=0, num_simulations=10).search(TIC_TAC_TOE, state)
    assert result.visits[0].tolist() == [0] * 8 + [10]
    assert result.value[0] == 0
    assert result.principal_variations == [[8]]


def losses_against_every_reply(player, side):
    """Return the lost and all games of a player against every sequence of replies, and so against a perfect one."""
    game, num_losses, num_games = TIC_TAC_TOE, 0, 0
    state = game.start(1)
    while len(state["board"]):
        if game.to_play(state)[0] == side:
            actions = player(game, state)
        else:
            games, actions = np.nonzero(game.legal_actions(state))
            state = take_games(state, games)
        mover = game.to_play(state)[0]
        state, rewards, finished = game.play(state, actions)
        num_losses += int(rewards.sum()) if mover != side else 0
        num_games += int(finished.sum())
        state = take_games(state, ~finished)
    return num_losses, num_games


def test_it_never_loses_at_tic_tac_toe_when_it_begins():
    num_losses, num_games = losses_against_every_reply(dk.search.PUCT(num_simulations=200), 0)
    assert (num_losses, num_games > 50) == (0, True)


@pytest.mark.slow
def test_it_never_loses_at_tic_tac_toe_on_both_sides():
    assert losses_against_every_reply(dk.search.RulePlayer(), 1)[0] > 0  # one move ahead is not enough
    for side in (0, 1):
        num_losses, _ = losses_against_every_reply(dk.search.PUCT(num_simulations=800), side)
        assert num_losses == 0


def test_a_temperature_draws_actions_by_their_visits():
    state = position(TIC_TAC_TOE, (0,), num_games=2000)
    search = dk.search.PUCT(rollout=table_rollout, num_simulations=16, temperature=1)
    visits = search.search(TIC_TAC_TOE, state).visits[0]
    shares = np.bincount(search(TIC_TAC_TOE, state), minlength=9) / 2000
    np.testing.assert_allclose(shares, visits / 16, atol=0.05)
    cold = dk.search.PUCT(rollout=table_rollout, num_simulations=16)
    assert set(cold(TIC_TAC_TOE, state)) == {visits.argmax()}


def test_a_finished_position_is_an_error():
    state = position(TIC_TAC_TOE, (0, 3, 1, 4, 2))
    with pytest.raises(
        ValueError, match=r"PUCT: expected positions with a legal action, received game 0, which is fin"
    ):
        dk.search.PUCT().search(TIC_TAC_TOE, state)
    with pytest.raises(ValueError, match=r"hint: search only the games for which"):
        dk.search.PUCT()(TIC_TAC_TOE, state)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"c_puct": 0}, "PUCT: c_puct must be a number above 0, received 0\n  hint: "),
        ({"c_puct": float("nan")}, "c_puct must be a number above 0, received nan"),
        ({"value": len, "mixing": 1.5}, "PUCT: mixing must be a number from 0 to 1, received 1.5\n  hint: "),
        ({"value": len, "mixing": -0.1}, "mixing must be a number from 0 to 1, received -0.1"),
        ({"mixing": 0.5}, "PUCT: mixing=0.5 needs a value network, received value=None\n  hint: pass value="),
        ({"num_simulations": 0}, "PUCT: num_simulations must be a positive integer, received 0"),
        ({"temperature": -1}, "PUCT: temperature must be a number from 0, received -1"),
        ({"seed": -1}, "PUCT: seed must be an integer of at least 0"),
    ],
)
def test_wrong_numbers_are_errors(arguments, text):
    with pytest.raises(ValueError, match=text):
        dk.search.PUCT(**arguments)


def test_wrong_networks_are_errors():
    with pytest.raises(TypeError, match=r"PUCT: policy must be a Keras model or a function of.*'net'\n  hint: "):
        dk.search.PUCT(policy="net")
    state = CONNECT_FOUR.start(2)
    policy = dk.Classifier(8).build(CONNECT_FOUR.observation_shape)
    text = r"expected an output of shape \(2, 7\), received \(2, 8\)\n  at    policy\n  hint: .*dk.Classifier\(7\)"
    with pytest.raises(ValueError, match=text):
        dk.search.PUCT(policy=policy)(CONNECT_FOUR, state)
    with pytest.raises(ValueError, match=r"shape \(2, 1\), received \(2, 3\)\n  at    value\n  hint: .*Regressor"):
        dk.search.PUCT(value=lambda x: np.zeros((len(x), 3)))(CONNECT_FOUR, state)
    with pytest.raises(ValueError, match=r"ConnectFour: observations have shape \(6, 7, 2\), the model takes \(3, 3,"):
        dk.search.PUCT(policy=dk.Classifier(7).build((3, 3, 2)))(CONNECT_FOUR, state)
    with pytest.raises(ValueError, match=r"action 9 is illegal in game 0.*\n  at    rollout"):
        dk.search.PUCT(rollout=lambda game, state: np.full(len(state["board"]), 9))(CONNECT_FOUR, state)
