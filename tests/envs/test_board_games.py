import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import deepkit as dk
from deepkit.envs.board_game import put_games, take_games

GAMES = (dk.envs.TicTacToe(), dk.envs.ConnectFour())
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


def play_moves(game, actions):
    """Return the position after the moves of one game, the last reward, and whether the game is finished."""
    state = game.start(1)
    for action in actions:
        state, rewards, finished = game.play(state, [action])
    return state, rewards[0], finished[0]


def has_row(board, side, length):
    """Look for a row cell by cell."""
    rows, columns = board.shape
    for row in range(rows):
        for column in range(columns):
            for down, right in DIRECTIONS:
                cells = [(row + down * step, column + right * step) for step in range(length)]
                if all(0 <= r < rows and 0 <= c < columns and board[r, c] == side for r, c in cells):
                    return True
    return False


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_random_games_equal_rules_written_cell_by_cell(game):
    rng = np.random.default_rng(0)
    num_games = 50
    state, boards = game.start(num_games), np.zeros((num_games, game.rows, game.columns), int)
    running, ends = np.arange(num_games), []
    stone = 1
    while len(running):
        legal = game.legal_actions(state)
        actions = dk.search.random_player(game, state, rng)
        state, rewards, finished = game.play(state, actions)
        for index, action, is_legal in zip(running, actions, legal, strict=True):
            board = boards[index]
            if game.name == "TicTacToe":
                assert is_legal.tolist() == (board.ravel() == 0).tolist()
                board[action // 3, action % 3] = stone
            else:
                assert is_legal.tolist() == [column.any() for column in (board == 0).T]
                board[np.flatnonzero(board[:, action] == 0).max(), action] = stone
        np.testing.assert_array_equal(state["board"], boards[running])
        wins = [has_row(boards[index], stone, game.length) for index in running]
        assert (rewards == 1).tolist() == wins
        assert finished.tolist() == [bool(win or boards[index].all()) for win, index in zip(wins, running, strict=True)]
        assert game.is_finished(state).tolist() == finished.tolist()
        ends += rewards[finished].tolist()
        state, running, stone = take_games(state, ~finished), running[~finished], -stone
    assert sorted(set(ends)) == ([0.0, 1.0] if game.name == "TicTacToe" else [1.0])


def test_tic_tac_toe_has_255168_games():
    """5,478 positions, 255,168 games: 131,184 won by the first side, 77,904 by the second, 46,080 draws."""
    game = dk.envs.TicTacToe()
    state, counts, positions = game.start(1), np.ones(1, int), {bytes(9)}
    ends = {"first": 0, "second": 0, "draws": 0}
    while len(counts):
        games, actions = np.nonzero(game.legal_actions(state))
        state, rewards, finished = game.play(take_games(state, games), actions)
        counts = counts[games]
        mover = "first" if game.to_play(state)[0] == 1 else "second"
        ends[mover] += int(counts[rewards == 1].sum())
        ends["draws"] += int(counts[finished & (rewards == 0)].sum())
        boards, index, inverse = np.unique(state["board"], axis=0, return_index=True, return_inverse=True)
        positions |= {board.tobytes() for board in boards}
        counts = np.bincount(inverse.ravel(), counts).astype(int)  # equal positions are merged
        state, finished = take_games(state, index), finished[index]
        state, counts = take_games(state, ~finished), counts[~finished]
    assert ends == {"first": 131_184, "second": 77_904, "draws": 46_080}
    assert len(positions) == 5_478


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ((0, 1, 0, 1, 0, 1, 0), "X has won"),
        ((0, 1, 2, 1, 2, 1, 2, 1), "O has won"),
        ((0, 1, 1, 2, 2, 3, 2, 3, 3, 6, 3), "X has won"),
    ],
)
def test_rows_of_connect_four(columns, text):
    game = dk.envs.ConnectFour()
    state, reward, finished = play_moves(game, columns)
    assert (reward, finished) == (1, True)
    assert game.draw(state).splitlines()[-1] == text


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_winning_actions_are_those_that_win(game):
    rng, state, num_wins = np.random.default_rng(0), game.start(100), 0
    while len(state["board"]):
        for side in (0, 1):
            wins = game.winning_actions(state, np.full(len(state["board"]), side, np.int8))
            num_wins += wins.sum()
            games, actions = np.nonzero(game.legal_actions(state))
            positions = {**take_games(state, games), "to_play": np.full(len(games), side, np.int8)}
            np.testing.assert_array_equal(wins[games, actions], game.play(positions, actions)[1] == 1)
            assert wins.sum() == wins[games, actions].sum()  # no illegal action
        state, _, finished = game.play(state, dk.search.random_player(game, state, rng))
        state = take_games(state, ~finished)
    assert num_wins > 50


def test_a_full_board_is_a_draw():
    game = dk.envs.TicTacToe()
    state, reward, finished = play_moves(game, (0, 1, 2, 4, 3, 5, 7, 6, 8))
    assert (reward, finished) == (0, True)
    assert game.draw(state) == "X O X\nX O O\nO X X\ndraw"


def test_an_observation_is_seen_by_the_side_to_move():
    game = dk.envs.ConnectFour()
    state, *_ = play_moves(game, (3,))
    observation = game.observe(state)[0]
    assert observation.dtype == np.float32
    assert observation.shape == game.observation_shape == (6, 7, 2)
    assert (observation[5, 3].tolist(), observation.sum()) == ([0, 1], 1)  # a stone of the other side
    assert game.observe(play_moves(game, (3, 4))[0])[0, 5, 3:5].tolist() == [[1, 0], [0, 1]]


def test_functions_do_not_change_their_arguments():
    game = dk.envs.ConnectFour()
    state = game.start(3)
    copy = {key: values.copy() for key, values in state.items()}
    after, *_ = game.play(state, [0, 1, 2])
    put_games(state, np.array([1]), take_games(after, np.array([1])))
    for key, values in state.items():
        np.testing.assert_array_equal(values, copy[key])


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ([0, 9], "TicTacToe: action 9 is illegal in game 1, expected one of 0, 1, 2, 3, 5, 6, 7, 8"),
        ([0, 4], "action 4 is illegal in game 1"),
        ([-1, 0], "action -1 is illegal in game 0"),
        ([0], "actions must be integers of shape \\(2,\\), one for each game, received <ndarray of shape \\(1,\\)"),
        ([0.0, 1.0], "received <ndarray of shape \\(2,\\) and dtype float64"),
        (3, "received 3"),
    ],
)
def test_a_wrong_action_is_an_error(actions, text):
    game = dk.envs.TicTacToe()
    state, *_ = game.play(game.start(2), [4, 4])
    with pytest.raises(ValueError, match=text) as caught:
        game.play(state, actions)
    assert "hint: " in str(caught.value)


def test_an_error_draws_the_position():
    game = dk.envs.TicTacToe()
    with pytest.raises(ValueError, match=r"illegal in game 0") as caught:
        game.play(game.play(game.start(1), [4])[0], [4])
    assert ". X ." in str(caught.value)
    finished, *_ = play_moves(game, (0, 3, 1, 4, 2))
    with pytest.raises(
        ValueError, match=r"game 0 is finished, received action 8\n.*\n.*\n.*\n.*X has won\n  hint: play"
    ):
        game.play(finished, [8])


@pytest.mark.parametrize("name", ["TicTacToe", "ConnectFour"])
def test_the_environment_is_registered_and_passes_the_checks_of_gymnasium(name):
    env = gymnasium.make(f"deepkit/{name}-v0", render_mode="ansi")
    for _ in range(5):
        check_env(env.unwrapped)
    batch = gymnasium.make_vec(f"deepkit/{name}-v0", num_envs=3, vectorization_mode="vector_entry_point")
    observations, info = batch.reset(seed=0)
    assert observations.shape == (3, *batch.unwrapped.game.observation_shape)
    assert info["action_mask"].all()
    assert batch.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.DISABLED


def test_an_environment_plays_whole_games_and_restores_them():
    env, rng = dk.envs.BatchedBoardGame(4, game=dk.envs.ConnectFour()), np.random.default_rng(0)
    _, info = env.reset(seed=0)
    finished, num_finished = np.zeros(4, bool), 0
    for step in range(60):
        actions = [rng.choice(np.flatnonzero(mask)) for mask in info["action_mask"]]
        state = env.get_state()
        first = env.step(actions)
        env.set_state(state)
        second = env.step(actions)
        for one, other in zip(first[:4], second[:4], strict=True):
            np.testing.assert_array_equal(one, other)
        rewards, finished, info = first[1], first[2], first[4]
        assert set(rewards) <= {0, 1}
        assert step >= 6 or not finished.any()
        num_finished += finished.sum()
        if finished.any():
            assert not info["action_mask"][finished].any()
            _, info = env.reset(options={"reset_mask": finished})
            assert (info["to_play"][finished] == 0).all()
    assert num_finished > 4


def test_an_illegal_action_of_an_environment_is_an_error():
    env = dk.envs.SingleBoardGame(game="TicTacToe")
    env.reset()
    env.step(4)
    with pytest.raises(ValueError, match=r"action 4 is illegal in environment 0; legal are 0, 1, 2, 3, 5.*\n  hint: "):
        env.step(4)


@pytest.mark.parametrize("name", ["ConnectFour", "deepkit/ConnectFour-v0"])
def test_make_finds_board_games(name):
    env = dk.envs.make(name, num_envs=3)
    assert isinstance(env, dk.envs.BatchedBoardGame)
    assert (env.num_envs, env.game) == (3, dk.envs.ConnectFour())


def test_games_are_named_or_passed():
    with pytest.raises(ValueError, match=r"there is no board game 'ConectFour'; did you mean 'ConnectFour'"):
        dk.envs.BatchedBoardGame(1, game="ConectFour")
    with pytest.raises(TypeError, match=r"expected the rules of a board game, or their name, received 3\n  hint: pass"):
        dk.envs.BatchedBoardGame(1, game=3)
    assert dk.envs.ConnectFour() == dk.envs.ConnectFour() != dk.envs.TicTacToe()
