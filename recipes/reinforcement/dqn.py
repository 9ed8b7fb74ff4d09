r"""Deep Q-network: a network learns from pixels what each action is worth, on Catch and on Atari games.

Q-learning estimates the value of an action: the sum of the discounted rewards that follow it, if the best actions
follow. A deep Q-network computes the values of all actions from the image, and its targets are the reward plus the
largest value in the next image. Mnih et al. (2015) made this stable with two ideas. A replay memory holds past
transitions, from which each batch is drawn at random, so that its examples are not alike. A target network, an older
copy of the network, computes the values of the next images, so that the targets do not move with each update.

    $$ L(\theta) = E \Big[ \Big( r + \gamma \max_{a'} Q(s', a'; \theta^-) - Q(s, a; \theta) \Big)^2 \Big] $$

`catch` trains a small network without the replay memory, without the target network and without both, too: the
ablations of Extended Data Table 3 in small. `pong` (the network of the 2013 paper) takes about an hour, and `breakout`
(that of 2015, at its length) several days; both need `ale-py`.

    deepkit run dqn
    deepkit run dqn --env pong
    deepkit run dqn --env breakout
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from gymnasium.vector import VectorEnv
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models import DeepQNetwork
from deepkit.recipe import Claim, Curve, Deviation, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import BLUE, GRAY, GREEN, ORANGE
from recipes import papers
from recipes.reinforcement.dqn_figures import draw_episode, draw_learning
from recipes.reinforcement.dqn_networks import nature, nips, small

PAPER = papers.MNIH_2015
AGENTS = {"DQN": BLUE, "no target network": GREEN, "no replay": ORANGE, "neither": GRAY}  # and their colors
CATCH, PONG, BREAKOUT = {"env": "catch"}, {"env": "pong"}, {"env": "breakout"}
CLAIMS = (
    Claim(
        metric="mean return, DQN",
        value=401.2,
        where="Mnih et al. 2015, Extended Data Table 2",
        setting="Breakout, 50 million frames",
        when=BREAKOUT,
        note="± 26.9; a human tester 31.8, random play 1.7",
    ),
    *(
        Claim(
            metric=f"mean return, {name}",
            value="worse than with both",
            where="Mnih et al. 2015, Extended Data Table 3",
            setting="five Atari games, 10 million frames",
            when=CATCH,
        )
        for name in AGENTS
        if name != "DQN"
    ),
)
DEVIATIONS = (
    Deviation("Catch in place of Atari games: images of 10 x 10 pixels, and episodes of nine steps.", CATCH),
    Deviation("A network with 32,835 weights in place of 1,686,180.", CATCH),
    Deviation(
        "Adam in place of RMSProp, with a learning rate that was chosen on another seed.",
        {"optimizer": "adam"},
    ),
    Deviation(
        "The loss is a mean over the batch: an epsilon of RMSProp of 0.01 / 32^2 has the effect of 0.01 with a sum.",
        {"optimizer": "rmsprop"},
    ),
    Deviation("Four games are played at the same time, and a batch follows after every four steps.", CATCH),
    Deviation(
        "Without a replay memory, a batch is drawn from the latest four steps; without a target network, the network "
        "itself computes the targets.",
        CATCH,
    ),
    Deviation(
        "The best action is always taken in the evaluation, in place of a random one in 5 % of the steps.", CATCH
    ),
    Deviation(
        "One million steps, four million frames, with an update for every eight steps, a replay of 100,000 transitions "
        "and eight emulators, in place of ten million frames, one million transitions and one emulator (Mnih et al. "
        "2013). The target network is that of 2015.",
        PONG,
    ),
    Deviation("Eight emulators at the same time.", BREAKOUT),
)
METRICS = {
    **{
        f"mean return, {name}": "mean sum of the rewards of an episode after the training: of 500 episodes of Catch, 1 "
        "for a caught ball and -1 for a missed one; or the score of 30 games of Atari"
        for name in AGENTS
    },
    "predicted value, DQN": "value of the best action, mean over the batches of the last epoch; the true values on "
    "Catch are between -1 and 1; likewise for each ablation",
    "parameters": "trainable weights of the network, without its copy",
}

# Settings of each environment. Those of Breakout are those of the paper, except for the number of emulators.
DEFAULTS: dict[str, dict[str, Any]] = {
    "catch": {
        "seeds": 3,
        "epochs": 15,
        "steps_per_epoch": 2_000,
        "num_envs": 4,
        "optimizer": "adam",
        "learning_rate": 5e-4,
        "update_every": 4,
        "replay_size": 20_000,
        "learning_starts": 1_000,
        "target_update_every": 500,
        "exploration_steps": 10_000,
        "num_episodes": 500,
    },
    "pong": {
        "seeds": 1,
        "epochs": 100,
        "steps_per_epoch": 10_000,
        "num_envs": 8,
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "update_every": 8,
        "replay_size": 100_000,
        "learning_starts": 10_000,
        "target_update_every": 1_000,
        "exploration_steps": 200_000,
        "num_episodes": 30,
    },
    "breakout": {
        "seeds": 1,
        "epochs": 1_000,
        "steps_per_epoch": 50_000,
        "num_envs": 8,
        "optimizer": "rmsprop",
        "learning_rate": 2.5e-4,
        "update_every": 4,
        "replay_size": 1_000_000,
        "learning_starts": 50_000,
        "target_update_every": 10_000,
        "exploration_steps": 1_000_000,
        "num_episodes": 30,
    },
}
BATCH_SIZE = 32
EVALUATION_EPSILON, EVALUATION_STEPS = 0.05, 4_500  # of Atari games: at most five minutes at 60 frames per second
SHOWN_STEPS = 9


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A deep Q-network, and on Catch its ablations; one repeat trains all of them."""

    QUICK = {
        "seeds": 1,
        "epochs": 2,
        "steps_per_epoch": 200,
        "learning_starts": 100,
        "replay_size": 200,
        "num_episodes": 20,
    }

    env: Literal["catch", "pong", "breakout"] = "catch"
    """Environment; the Atari games need ale-py."""
    seeds: int | None = None
    """Number of repeats, each with its own initial weights and episodes; 3 for Catch and 1 for Atari by default."""
    epochs: int | None = None
    """Epochs of training; depends on the environment by default."""
    steps_per_epoch: int | None = None
    """Steps in an epoch; depends on the environment by default."""
    num_envs: int | None = None
    """Number of games that are played at the same time; depends on the environment by default."""
    optimizer: Literal["adam", "rmsprop"] | None = None
    """Optimizer; depends on the environment by default."""
    learning_rate: float | None = None
    """Learning rate; depends on the environment by default."""
    update_every: int | None = None
    """Steps for each update; depends on the environment by default."""
    replay_size: int | None = None
    """Transitions in the replay memory; depends on the environment by default."""
    learning_starts: int | None = None
    """Steps before the first update; depends on the environment by default."""
    target_update_every: int | None = None
    """Updates between two copies to the target network; depends on the environment by default."""
    exploration_steps: int | None = None
    """Steps over which random actions become rarer, from all to one in ten; depends on the environment by default."""
    num_episodes: int | None = None
    """Episodes of the evaluation; depends on the environment by default."""

    def resolve_defaults(self) -> Mapping[str, Any]:
        """Return the settings of the environment."""
        return DEFAULTS[self.env]


# Network, number of actions and shape of an observation of each environment.
NETWORKS: dict[str, tuple[Any, int, tuple[int, ...]]] = {
    "catch": (small, 3, (10, 10, 1)),
    "pong": (nips, 6, (84, 84, 4)),
    "breakout": (nature, 4, (84, 84, 4)),
}


def agent(config: Config, name: str = "DQN") -> dk.DQN:
    """Return the agent of a config, or one of its ablations."""
    network, num_actions, _ = NETWORKS[config.env]
    return dk.DQN(
        network(num_actions),
        clip_rewards=True,
        replay_size=config.update_every if name in ("no replay", "neither") else config.replay_size,
        batch_size=BATCH_SIZE,
        learning_starts=config.learning_starts,
        update_every=config.update_every,
        target_update_every=1 if name in ("no target network", "neither") else config.target_update_every,
        exploration_steps=config.exploration_steps,
    )


def make_env(config: Config, num_envs: int, *, training: bool = False) -> VectorEnv:
    """Return the environment; in the training, a lost life ends an episode of an Atari game, as in the paper."""
    if config.env == "catch":
        return dk.envs.make("Catch", num_envs=num_envs)
    arguments = {"end_on_life_loss": True} if training else {"max_episode_steps": EVALUATION_STEPS}
    return dk.envs.make(config.env.title(), num_envs=num_envs, **arguments)


def optimizer(config: Config) -> keras.optimizers.Optimizer:
    """Return Adam, or RMSProp with the settings of the paper."""
    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate)
    return keras.optimizers.RMSprop(config.learning_rate, rho=0.95, epsilon=0.01 / BATCH_SIZE**2, centered=True)


def train(config: Config) -> Result:
    """Train the agent, and its ablations on Catch."""
    names = tuple(AGENTS) if config.env == "catch" else ("DQN",)
    runs = {name: train_one(config, name) for name in names}
    measured = {f"mean return, {name}": evaluate(config, run.model) for name, run in runs.items()}
    measured |= {f"predicted value, {name}": run.history["mean_value"][-1] for name, run in runs.items()}
    measured["parameters"] = parameters(runs["DQN"].model)
    curves = {}
    for name, run in runs.items():
        returns = run.history.get("val_mean_return", run.history["mean_return"])
        curves[f"return, {name}"] = Curve(run.history["num_steps"], returns)
        curves[f"value, {name}"] = Curve(run.history["num_steps"], run.history["mean_value"])
    return Result(
        measured=measured,
        data="Catch, 10 x 10 pixels" if config.env == "catch" else f"{config.env.title()}, Atari 2600",
        curves=curves,
        model=runs["DQN"].model,
        seconds=sum(run.seconds for run in runs.values()),
    )


def train_one(config: Config, name: str) -> dk.Run:
    """Train one agent in its own folder of the run directory; on Catch, evaluate it after each epoch."""
    evaluation: dict[str, Any] = {}
    if config.env == "catch":
        evaluation = {"validation_episodes": 100, "validation_env": make_env(config, 100), "verbose": 0}
    num_steps = config.epochs * config.steps_per_epoch
    with closing(make_env(config, config.num_envs, training=True)) as env:
        run = dk.learn(
            agent(config, name),
            env,
            num_steps=num_steps,
            num_envs=config.num_envs,
            steps_per_epoch=config.steps_per_epoch,
            optimizer=optimizer(config),
            run_dir=config.run_dir and config.run_dir / name.replace(" ", "_"),
            plan=config.plan(),
            **evaluation,
        )
    print(f"{name}: {num_steps:,} steps, {run.seconds:.0f} s", flush=True)
    return run


def evaluate(config: Config, model: DeepQNetwork) -> float:
    """Return the mean return of new episodes: of Catch without exploration, of Atari with that of the paper."""
    num_envs, explore = min(config.num_episodes, 100), False
    if config.env != "catch":
        num_envs, explore = min(config.num_episodes, config.num_envs), True
        model = DeepQNetwork(model.network, model.target_network, final_epsilon=EVALUATION_EPSILON)
    with closing(make_env(config, num_envs)) as env:
        evaluation = dk.evaluate_agent(
            model,
            env,
            num_episodes=config.num_episodes,
            num_envs=num_envs,
            explore=explore,
            seed=config.seed,
        )
    return evaluation.mean


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw returns and predicted values over the steps."""
    caption = "Return and predicted values over the steps: mean and range of the repeats"
    return {caption: draw_learning(results, AGENTS, is_bounded=config.env == "catch")}


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw an episode as the network of the first repeat sees it, with the value of each action."""
    frames, values, names = record(config, results[0].model)
    return {"Images of an episode, and the value of each action in them": draw_episode(frames, values, names)}


def record(config: Config, model: DeepQNetwork) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """Return the latest image and the values of the actions in each step, and the names of the actions.

    Of Catch, these are the steps of an episode; of an Atari game, some steps after the first 100.
    """
    env: Any = make_env(config, 1)
    first = 0 if config.env == "catch" else 100
    observations, _ = env.reset(seed=config.seed)
    frames, values = [], []
    for step in range(first + SHOWN_STEPS):
        if step >= first:
            frames.append(np.array(observations[0, ..., -1]))
            values.append(model.scores(observations)[0])
        observations, *_ = env.step(model.act(observations))
    names = ["left", "stay", "right"]
    if config.env != "catch":
        names = [name.lower() for name in env.action_meanings()]
    env.close()
    return frames, np.array(values), names


RECIPE = Recipe(
    name="dqn",
    paper=PAPER,
    related=(papers.MNIH_2013, papers.MNIH_2014),
    config=Config,
    train=train,
    definition=agent,
    input_shape=lambda config: NETWORKS[config.env][2],
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(small, nature, agent),
    exercises=(
        "Run `--target-update-every 50` and `--target-update-every 5000`: how do return and predicted values change?",
        "Run `--replay-size 200`: how small can the replay memory be?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
