"""A training of an agent that can be killed in the middle of an epoch, in a separate process.

python -m tests.execution.crashing_agent RUN_DIR [KILL_AT_UPDATE]
"""

import os
import signal
import sys

import deepkit as dk
from deepkit.training.replay import ReplayMemory

AGENT = dk.DQN(
    [dk.ConvBlock(4), dk.MLP([16]), dk.Regressor(3)],
    learning_starts=100,
    target_update_every=30,
    exploration_steps=1000,
    replay_size=400,
)


def kill_at(update):
    """Kill this process before an update of the weights."""
    updates_left = update
    sample = ReplayMemory.sample

    def kill(memory, *args):
        nonlocal updates_left
        updates_left -= 1
        if updates_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample(memory, *args)

    ReplayMemory.sample = kill


if __name__ == "__main__":
    folder, *kill = sys.argv[1:]
    if kill:
        kill_at(int(kill[0]))
    plan = dk.plan(devices="CPU:0", seed=5)
    run = dk.learn(
        AGENT, "Catch", num_steps=2000, num_envs=2, steps_per_epoch=200, run_dir=folder, plan=plan, verbose=0
    )
    print(run.resume)
