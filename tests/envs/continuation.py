"""Check that an environment continues bit for bit from a restored state; run as a script, in a new process."""

import hashlib
import sys

import gymnasium
import numpy as np
from gymnasium import wrappers

import deepkit as dk
import deepkit.envs  # registers the environments


def continuation(env, num_steps=60):
    """Step an environment that has started, and return a digest of everything that it returned.

    The actions come from a seeded generator; finished environments restart.
    """
    generator = np.random.default_rng(0)
    num_actions = env.single_action_space.n
    digest = hashlib.sha256()
    for _ in range(num_steps):
        actions = generator.integers(num_actions, size=env.num_envs)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        finished = terminated | truncated
        parts = [observations, rewards, finished]
        if finished.any():
            parts.append(env.reset(options={"reset_mask": finished})[0])
        parts += [value for _, value in sorted(infos.items()) if isinstance(value, np.ndarray)]
        for part in parts:
            digest.update(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


ENVIRONMENTS = {
    "catch": lambda: dk.envs.make("Catch", num_envs=3, num_balls=3, max_episode_steps=20),
    "cart_pole": lambda: dk.envs.make("CartPole-v1", num_envs=3, max_episode_steps=25),
    "frozen_lake": lambda: dk.envs.make("FrozenLake-v1", num_envs=2, map_name="4x4", is_slippery=True),
    "wrapped": lambda: dk.envs.make(wrapped, num_envs=2),
    "wrapped_catch": lambda: dk.envs.make(gymnasium.make("deepkit/Catch-v0", max_episode_steps=7)),
    "pong": lambda: dk.envs.make("ALE/Pong-v5", num_envs=2, repeat_action_probability=0.25, max_episode_steps=50),
    "qbert": lambda: dk.envs.make("Qbert", repeat_action_probability=0.25),
    "breakout": lambda: dk.envs.make("Breakout", end_on_life_loss=True, repeat_action_probability=0.25),
}


def wrapped():
    env = gymnasium.make("CartPole-v1", max_episode_steps=13)
    return wrappers.FrameStackObservation(wrappers.NormalizeObservation(wrappers.RecordEpisodeStatistics(env)), 3)


def main(folder):
    for name, make_env in ENVIRONMENTS.items():
        env = make_env()
        dk.envs.restore_state(env, dk.envs.EnvState.load(f"{folder}/{name}.npz"))
        print(name, continuation(env))


if __name__ == "__main__":
    main(sys.argv[1])
