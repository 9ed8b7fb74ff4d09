import numpy as np
import pytest

import deepkit as dk


def first_legal(game, state):
    return game.legal_actions(state).argmax(1)


def last_legal(game, state):
    return game.num_actions - 1 - game.legal_actions(state)[:, ::-1].argmax(1)


def play_steps(env, num_steps, seed=0):
    """Return the rewards and the finished games of random legal play."""
    rng = np.random.default_rng(seed)
    _, info = env.reset(seed=seed)
    steps = []
    for _ in range(num_steps):
        actions = [rng.choice(np.flatnonzero(mask)) for mask in info["action_mask"]]
        observations, rewards, finished, _, info = env.step(actions)
        steps.append((observations, rewards, finished))
        if finished.any():
            observations, info = env.reset(options={"reset_mask": finished})
    return steps


def test_a_step_is_a_move_of_the_agent_and_the_reply():
    env = dk.envs.against("TicTacToe", first_legal, num_envs=2)
    observations, info = env.reset(seed=0)
    assert info["to_play"].tolist() == [0, 1]
    assert observations[1, 0, 0].tolist() == [0, 1]  # the opponent has begun the second game in cell 0
    observations, rewards, finished, truncated, info = env.step([4, 4])
    assert observations[0, 1, 1].tolist() == [1, 0]
    assert observations[0, 0, 0].tolist() == [0, 1]
    assert not np.any([rewards, finished, truncated])
    assert info["action_mask"].sum(1).tolist() == [7, 6]
    _, rewards, finished, _, info = env.step([2, 8])  # the opponent wins the second game with cells 0, 1 and 2
    assert (rewards.tolist(), finished.tolist()) == ([0, -1], [False, True])
    assert info["action_mask"].sum(1).tolist() == [5, 0]
    env.reset(options={"reset_mask": finished})
    _, rewards, finished, _, info = env.step([6, 8])  # the agent wins the first game with cells 2, 4 and 6
    assert (rewards.tolist(), finished.tolist()) == ([1, 0], [True, False])


def test_the_sides_alternate_and_opponents_are_drawn():
    env = dk.envs.against("TicTacToe", [first_legal, last_legal], num_envs=64)
    env.reset(seed=0)
    sides, opponents = env.get_state()["arrays"]["agent_side"], env.get_state()["arrays"]["opponent"]
    assert sides.tolist() == [0, 1] * 32
    assert 16 < opponents.sum() < 48
    boards = env.get_state()["arrays"]["board"].reshape(64, 9)
    assert (boards[sides == 0] == 0).all()
    assert (boards[(sides == 1) & (opponents == 0), 0] == 1).all()
    assert (boards[(sides == 1) & (opponents == 1), 8] == 1).all()
    mask = np.arange(64) < 10
    _, info = env.reset(options={"reset_mask": mask})
    assert info["to_play"].tolist() == [1, 0] * 5 + [0, 1] * 27
    assert env.reset()[1]["to_play"].tolist() == [0, 1] * 5 + [1, 0] * 27


def test_rewards_agree_with_a_match():
    env = dk.envs.against("TicTacToe", dk.search.RulePlayer(), num_envs=200)
    steps = play_steps(env, 40)
    rewards = np.concatenate([rewards[finished] for _, rewards, finished in steps])
    assert all(not rewards[~finished].any() for _, rewards, finished in steps)
    match = dk.play(dk.search.random_player, dk.search.RulePlayer(), "TicTacToe", num_games=2000)
    assert np.mean(rewards == 1) == pytest.approx(match.wins / 2000, abs=0.03)
    assert np.mean(rewards == 0) == pytest.approx(match.draws / 2000, abs=0.04)


def test_a_restored_environment_continues_bit_for_bit():
    def make():
        return dk.envs.against("ConnectFour", [dk.search.random_player, dk.search.RulePlayer()], num_envs=3, seed=1)

    env, other = make(), make()
    env.reset(seed=5)
    env.step([3, 3, 3])
    state = env.get_state()
    other.set_state(state)
    for actions in ([0, 1, 2], [6, 5, 4]):
        for one, two in zip(env.step(actions)[:4], other.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(one, two)
    for one, two in zip(play_steps(make(), 20), play_steps(make(), 20), strict=True):
        np.testing.assert_array_equal(one[1], two[1])


def test_the_seed_argument_is_that_of_the_first_reset():
    boards = []
    for seed in (0, 0, 1):
        env = dk.envs.against("ConnectFour", dk.search.random_player, num_envs=20, seed=seed)
        boards.append(env.reset()[0])
    np.testing.assert_array_equal(boards[0], boards[1])
    assert (boards[0] != boards[2]).any()


def test_errors():
    with pytest.raises(ValueError, match=r"expected at least one opponent, received none\n  hint: "):
        dk.envs.against("TicTacToe", [])
    with pytest.raises(TypeError, match=r"expected a player, .*received 'best'\n  at    opponent 1\n  hint: "):
        dk.envs.against("TicTacToe", [first_legal, "best"])
    env = dk.envs.against("TicTacToe", lambda game, state: np.full(len(state["board"]), 4), num_envs=2)
    env.reset()
    with pytest.raises(ValueError, match=r"action 4 is illegal in game 0, expected one of.*\n  at    opponent 0"):
        env.step([4, 0])


def test_another_opponent_is_another_environment(tmp_path):
    """A run directory and a stored state belong to the opponents with which they were made."""
    game = dk.envs.TicTacToe()
    first, second = (
        dk.Sequential([dk.Classifier(9)]).build(game.observation_shape) for _ in range(2)
    )  # with other weights

    def env(opponent):
        return dk.envs.against(game, [opponent], num_envs=2)

    assert env(first).describe() == env(first).describe() != env(second).describe()
    arguments = {"num_steps": 20, "steps_per_epoch": 20, "verbose": 0, "run_dir": tmp_path}
    agent = dk.Reinforce([dk.Classifier(9)])
    dk.learn(agent, env(first), **arguments)
    with pytest.raises(dk.errors.RunDirError, match="env: stored OpponentPool"):
        dk.learn(agent, env(second), **arguments)


def test_a_policy_that_returns_nan_is_an_error():
    game = dk.envs.TicTacToe()
    model = dk.Sequential([dk.Classifier(9)]).build(game.observation_shape)
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    with pytest.raises(ValueError, match=r"expected numbers, received NaN in 3 outputs(.|\n)*diverged"):
        dk.play(model, model, game, num_games=6)
