"""`dk.learn`: agents in environments, with checkpoints and exact resume."""

import math
import os
import random
import signal
import subprocess
import sys
import textwrap

import gymnasium
import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.errors import RunDirError
from deepkit.training import checkpoint
from deepkit.training.env_identity import describe_env

DQN = dk.DQN(
    [dk.MLP([16]), dk.Regressor(3)],
    learning_starts=50,
    update_every=2,
    target_update_every=20,
    exploration_steps=300,
    replay_size=150,
)
AGENTS = {  # the agent, its environment, and the number of environments
    "dqn": (DQN, "Catch", 1),
    "dqn in four": (dk.DQN([dk.Regressor(2)], learning_starts=40, replay_size=200), "CartPole-v1", 4),
    "reinforce": (
        dk.Reinforce([dk.Classifier(2)], baseline=[dk.Regressor(1)], episodes_per_update=3),
        "CartPole-v1",
        4,
    ),
    "actor_critic": (
        dk.ActorCritic(dk.Classifier(3), dk.Regressor(1), shared=dk.MLP([8]), rollout_length=7),
        "Catch",
        4,
    ),
}


class Interrupt(keras.callbacks.Callback):
    """Raises an error, or sends SIGTERM to its own process, after a number of updates."""

    stateless = True

    def __init__(self, terminates=False):
        super().__init__()
        self.at, self._terminates, self._num_updates = 0, terminates, 0

    def on_train_batch_end(self, batch, logs=None):
        self._num_updates += 1
        if self._num_updates == self.at:
            if not self._terminates:
                raise RuntimeError("interrupted")
            os.kill(os.getpid(), signal.SIGTERM)


def learn(name, folder=None, callbacks=(), **arguments):
    agent, env, num_envs = AGENTS[name]
    arguments = {"num_steps": 600, "steps_per_epoch": 200, "num_envs": num_envs, "verbose": 0} | arguments
    return dk.learn(agent, env, run_dir=folder, callbacks=list(callbacks), plan=dk.plan(seed=5), **arguments)


def assert_same_training(first, second):
    """Compare the last checkpoints: the variables, and the experience with the rows of the replay memory."""
    states = [checkpoint.load(folder) for folder in (first, second)]
    for group, pairs in states[0].variables.items():
        for (_, value), (_, other) in zip(pairs, states[1].variables[group], strict=True):
            np.testing.assert_array_equal(value, other)
    experiences = [state.callbacks[-1]["experience"] for state in states]
    for experience in experiences:
        del experience["environment"]  # pickles of equal environments differ in their bytes
        experience["collector"].pop("segments", None)  # one for each checkpoint
    np.testing.assert_equal(experiences[0], experiences[1])
    for path in (first / "replay").glob("*.npy"):
        np.testing.assert_array_equal(np.load(path), np.load(second / "replay" / path.name))


@pytest.mark.parametrize("terminates", [False, True])
@pytest.mark.parametrize("name", ["dqn", *[pytest.param(name, marks=pytest.mark.slow) for name in [*AGENTS][1:]]])
def test_an_interrupted_run_ends_as_an_undisturbed_one(name, terminates, tmp_path, no_report):
    expected = learn(name, tmp_path / "a", [Interrupt(terminates)])
    for at in (3, 9):
        interrupt = Interrupt(terminates)
        interrupt.at = at
        with pytest.raises(SystemExit if terminates else RuntimeError):
            learn(name, tmp_path / "b", [interrupt])
    resumed = learn(name, tmp_path / "b", [Interrupt(terminates)])
    np.testing.assert_equal(resumed.history, expected.history)
    assert_same_training(tmp_path / "a", tmp_path / "b")


def test_sigterm_saves_the_steps_of_an_epoch(tmp_path, no_report):
    interrupt = Interrupt(terminates=True)
    interrupt.at = 100
    with pytest.raises(SystemExit):
        learn("dqn", tmp_path, [interrupt])
    newest = checkpoint.load(tmp_path)
    assert newest.epoch == 1
    assert newest.partial_epoch.step == 248  # the hundredth update: one after every second step from step 50 on


@pytest.mark.parametrize(
    "name", ["actor_critic", *[pytest.param(n, marks=pytest.mark.slow) for n in ("dqn", "reinforce")]]
)
def test_a_finished_run_is_returned_and_continued(name, tmp_path, capsys, no_report):
    first = learn(name, tmp_path / "a")
    again = learn(name, tmp_path / "a", verbose=2)
    assert "holds a finished run of 600 steps" in capsys.readouterr().out
    np.testing.assert_equal(again.history, first.history)
    continued = learn(name, tmp_path / "a", num_steps=900)
    expected = learn(name, None, num_steps=900)
    assert continued.history["num_steps"] == [200, 400, 600, 800, 900]
    for received, value in zip(continued.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_array_equal(received, value)


@pytest.mark.parametrize(
    "name", ["reinforce", *[pytest.param(n, marks=pytest.mark.slow) for n in ("dqn", "actor_critic")]]
)
def test_a_saved_agent_plays_the_same_game_in_a_new_process(name, tmp_path, no_report):
    run = learn(name, tmp_path)
    _, env, num_envs = AGENTS[name]
    code = f"""
        import deepkit as dk
        run = dk.load_run({str(tmp_path)!r})
        arguments = {{"num_episodes": 6, "num_envs": {num_envs}, "explore": True, "seed": 4}}
        print(dk.evaluate_agent(run.model, {env!r}, **arguments).returns.tolist())
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    played = dk.evaluate_agent(run.model, env, num_episodes=6, num_envs=num_envs, explore=True, seed=4)
    assert result.stdout.strip().splitlines()[-1] == str(played.returns.tolist())


def test_the_report_and_the_display_show_the_returns(tmp_path):
    run = learn("dqn", tmp_path, validation_episodes=3)
    page = run.report.read_text()
    assert "Mean return of the episodes of an epoch" in page
    assert "without exploration" in page
    assert (tmp_path / "figures" / "mean_return.png").exists()
    assert run.resume == "exact"
    assert "mean return" in run._repr_html_().replace("_", " ")


def test_an_environment_that_cannot_be_restored_is_approximate(tmp_path, no_report):
    class Opaque(gymnasium.Wrapper):
        def __reduce__(self):
            raise TypeError("no")

    def make():
        return Opaque(gymnasium.make("CartPole-v1"))

    agent = dk.Reinforce([dk.Classifier(2)])
    interrupt = Interrupt()
    interrupt.at = 4
    arguments = {"num_steps": 300, "steps_per_epoch": 50, "verbose": 0, "run_dir": tmp_path}
    with pytest.raises(RuntimeError, match="interrupted"):
        dk.learn(agent, make, callbacks=[interrupt], **arguments)
    run = dk.learn(agent, make, callbacks=[Interrupt()], **arguments)
    assert run.resume.startswith("approximate because")
    assert run.history["num_steps"] == [50, 100, 150, 200, 250, 300]


class GlobalRandom(gymnasium.Env):
    """An environment that draws from the global generators."""

    observation_space = gymnasium.spaces.Box(-9, 9, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.float32([np.random.normal(), random.random()]), {}

    def step(self, action):
        return self.reset()[0], random.random() + np.random.normal(), np.random.random() < 0.1, False, {}


def test_an_environment_with_global_generators_resumes_exactly(tmp_path, no_report):
    arguments = {"num_steps": 300, "steps_per_epoch": 100, "verbose": 0, "plan": dk.plan(seed=5)}
    agent = dk.Reinforce([dk.Classifier(2)])
    expected = dk.learn(agent, GlobalRandom, callbacks=[Interrupt()], run_dir=tmp_path / "a", **arguments)
    interrupt = Interrupt()
    interrupt.at = 14
    with pytest.raises(RuntimeError):
        dk.learn(agent, GlobalRandom, callbacks=[interrupt], run_dir=tmp_path / "b", **arguments)
    resumed = dk.learn(agent, GlobalRandom, callbacks=[Interrupt()], run_dir=tmp_path / "b", **arguments)
    np.testing.assert_equal(resumed.history, expected.history)


def test_another_agent_environment_or_length_of_an_epoch_is_another_run(tmp_path, no_report):
    learn("dqn", tmp_path)
    arguments = {"num_steps": 600, "steps_per_epoch": 200, "run_dir": tmp_path, "plan": dk.plan(seed=5), "verbose": 0}
    other = dk.DQN([dk.MLP([16]), dk.Regressor(3)])
    with pytest.raises(RunDirError, match=r"definition: stored .*learning_starts=50"):
        dk.learn(other, "Catch", **arguments)
    with pytest.raises(RunDirError, match="steps_per_epoch: stored 200, now 100"):
        learn("dqn", tmp_path, steps_per_epoch=100)
    with pytest.raises(RunDirError, match=r"env: stored Catch\(.*rows=10.*, now .*"):
        dk.learn(DQN, dk.envs.Catch(rows=12), **arguments)


def test_a_class_is_identified_and_made_again_for_the_validation():
    class OtherCatch(dk.envs.Catch):
        pass

    run = dk.learn(DQN, dk.envs.Catch, num_steps=20, validation_episodes=1, verbose=0)
    assert len(run.history["val_mean_return"]) == 1
    assert len({describe_env(env, dk.envs.make(env)) for env in (dk.envs.Catch, OtherCatch)}) == 2


def test_a_damaged_replay_memory_is_an_error(tmp_path, no_report):
    learn("dqn", tmp_path)
    path = tmp_path / "replay" / "observations.npy"
    data = bytearray(path.read_bytes())
    data[66_000] ^= 255  # of a transition in the memory; the file holds older ones too
    path.write_bytes(bytes(data))
    with pytest.raises(RunDirError, match="damaged"):
        learn("dqn", tmp_path, num_steps=800)


def test_a_checkpoint_writes_only_new_transitions(tmp_path, no_report):
    learn("dqn", tmp_path)
    size = (tmp_path / checkpoint.NAME).stat().st_size
    observations = (tmp_path / "replay" / "observations.npy").stat().st_size
    learn("dqn", tmp_path, num_steps=1200)
    assert (tmp_path / checkpoint.NAME).stat().st_size < size + 3_000
    assert (tmp_path / "replay" / "observations.npy").stat().st_size == observations


def test_losses_before_the_first_update_are_nan():
    run = learn("dqn", num_steps=40, steps_per_epoch=20)
    assert all(math.isnan(value) for value in run.history["loss"])
    assert run.history["num_episodes"] == [2, 2]


@pytest.mark.slow
def test_the_agent_learns_to_catch():
    agent = dk.DQN(
        [dk.MLP([64]), dk.Regressor(3)], learning_starts=300, exploration_steps=2000, target_update_every=100
    )
    small = {"rows": 5, "columns": 5}
    run = dk.learn(
        agent, lambda: dk.envs.Catch(**small), num_steps=6000, learning_rate=2e-3, plan=dk.plan(seed=0), verbose=0
    )
    assert dk.evaluate_agent(run.model, lambda: dk.envs.Catch(**small), num_episodes=50).mean > 0.9


def test_illegal_actions_are_never_taken():
    class Masked(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 1, (4,), np.float32)
        action_space = gymnasium.spaces.Discrete(4)

        def _info(self):
            self._mask = self.np_random.random(4) < 0.5
            self._mask[self.np_random.integers(4)] = True
            return self._mask.astype("float32"), {"action_mask": self._mask.astype(np.int8)}

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self._info()

        def step(self, action):
            assert self._mask[action]
            observation, info = self._info()
            return observation, 1.0, bool(self.np_random.random() < 0.1), False, info

    for agent in (
        dk.DQN([dk.Regressor(4)], learning_starts=10),
        dk.Reinforce([dk.Classifier(4)]),
        dk.ActorCritic(dk.Classifier(4), dk.Regressor(1)),
    ):
        run = dk.learn(agent, Masked, num_envs=3, num_steps=300, steps_per_epoch=300, verbose=0)
        assert run.history["mean_return"][0] == run.history["mean_length"][0]
        dk.evaluate_agent(run.model, Masked, num_episodes=5, num_envs=2)


def test_equal_shares_of_episodes_in_each_environment():
    """The episodes of the first environment have one step, those of the second two, and those of the third three."""
    lengths = iter([1, 2, 3])

    def make():
        return dk.envs.Catch(max_episode_steps=next(lengths))

    evaluation = dk.evaluate_agent(DQN.build((10, 10, 1)), make, num_episodes=7, num_envs=3)
    assert sorted(evaluation.lengths) == [1, 1, 1, 2, 2, 3, 3]
    assert repr(evaluation) == "<AgentEvaluation: mean return 0.000 ± 0.000 over 7 episodes of 1.9 steps>"


def test_observations_that_are_categories_become_one_hot():
    agent = dk.DQN([dk.Regressor(4)], learning_starts=10)
    run = dk.learn(agent, "FrozenLake-v1", num_steps=40, verbose=0)
    kernel, bias = run.model.network.get_weights()
    assert kernel.shape == (16, 4)
    np.testing.assert_allclose(run.model.scores([3]), kernel[[3]] + bias, atol=1e-6)
    embedded = dk.learn(
        dk.DQN([keras.layers.Embedding(16, 2), dk.Regressor(4)]), "FrozenLake-v1", num_steps=4, verbose=0
    )
    assert embedded.model.count_params() == 2 * (32 + 12) + 1


def program(folder, *kill):
    """Train in another process, which kills itself before an update of the weights."""
    command = [sys.executable, "-m", "tests.execution.crashing_agent", str(folder), *map(str, kill)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("num_kills", [3, pytest.param(20, marks=pytest.mark.thorough)])
def test_killed_processes_end_with_the_weights_and_the_replay_of_an_undisturbed_one(num_kills, tmp_path):
    assert program(tmp_path / "a").returncode == 0
    random = np.random.default_rng(num_kills)
    for _ in range(num_kills):
        killed = program(tmp_path / "b", random.integers(1, 150))
        assert killed.returncode in (-signal.SIGKILL, 0), killed.stderr[-2000:]
    assert program(tmp_path / "b").returncode == 0
    assert_same_training(tmp_path / "a", tmp_path / "b")


class LateEpisode(gymnasium.Env):
    """The first episode takes 25 steps, and further ones 5 steps, whose rewards increase."""

    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self):
        self.num_steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.num_steps += 1
        ends = self.num_steps >= 25 and self.num_steps % 5 == 0
        return np.zeros(3, np.float32), float(self.num_steps), ends, False, {}


def test_an_epoch_without_episodes_is_not_the_best(tmp_path):
    arguments = {"monitor": "mean_return", "mode": "max"}
    stopping = keras.callbacks.EarlyStopping(**arguments, patience=2, restore_best_weights=True)
    plateau = keras.callbacks.ReduceLROnPlateau(**arguments, patience=2)
    path = tmp_path / "{mean_return:.0f}.keras"
    best = keras.callbacks.ModelCheckpoint(path, **arguments, save_best_only=True)
    agent = dk.Reinforce([dk.Classifier(2)])
    callbacks = [stopping, plateau, best]
    run = dk.learn(agent, LateEpisode, num_steps=100, steps_per_epoch=20, callbacks=callbacks, verbose=0)
    returns = run.history["mean_return"]
    assert math.isnan(returns[0])
    assert len(returns) == 5
    assert stopping.best == plateau.best == best.best == max(returns[1:])
    np.testing.assert_allclose(run.history["learning_rate"], 0.001)
    assert not (tmp_path / "nan.keras").exists()
    assert (tmp_path / f"{returns[-1]:.0f}.keras").exists()
