r"""CartPole: REINFORCE learns to balance a pole, and a baseline makes its gradient less noisy.

REINFORCE (Williams 1992) makes the actions of good episodes more probable. The gradient of the expected return is
estimated from complete episodes: each step weights the gradient of the log-probability of its action with the return
G, the sum of the discounted rewards from this step on. The estimate has a high variance. A baseline b that does not
depend on the action may be subtracted from the return: the expected gradient remains the same, and the variance
changes.

    $$ \nabla_\theta J(\theta) = E \Big[ \sum_t (G_t - b(s_t)) \nabla_\theta \log \pi_\theta(a_t | s_t) \Big] $$

The recipe trains the same policy without a baseline, with the mean of the returns of each update, and with a baseline
that is a network of the observation. A policy is trained until the mean return of 100 consecutive episodes is 475, of
at most 500. At the end, the variance of the gradient with each baseline is measured on the same episodes.

    deepkit run cartpole
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import keras
import numpy as np
from keras import ops
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Deviation, Recipe, Result, Settings, main
from deepkit.visualize.figures import BLUE, GRAY, ORANGE, PngFigure
from recipes import papers
from recipes.basics.bands import finish
from recipes.reinforcement.policy_gradients import gradient_variances, play, policy_gradient

PAPER = papers.WILLIAMS_1992
ENV, SOLVED_RETURN, WINDOW = "CartPole-v1", 475.0, 100
BASELINES = {"no baseline": GRAY, "mean return": ORANGE, "learned baseline": BLUE}  # and their colors
# Without a baseline, 0.01 is unstable; chosen from 0.003, 0.005 and 0.01 on seeds that are not recorded.
LEARNING_RATES = {"no baseline": 0.005, "mean return": 0.01, "learned baseline": 0.01}
CLAIMS = (
    *(
        Claim(
            metric=f"solved, {baseline}",
            value=1.0,
            unit="runs",
            where="Gymnasium, reward threshold of CartPole-v1",
            setting="a mean return of 475 is called solved; any algorithm",
            note="the paper has no such experiment",
        )
        for baseline in BASELINES
    ),
    *(
        Claim(
            metric=f"gradient variance, {baseline}",
            value="any baseline leaves the expected gradient unchanged",
            where="Williams 1992, theorem 1",
            setting="theory; the paper does not state how much variance a baseline saves",
            lower_is_better=True,
        )
        for baseline in BASELINES
        if baseline != "no baseline"
    ),
)
DEVIATIONS = (
    "The paper has no experiment with this task; CartPole-v1 is the pole-balancing problem in its common form, an "
    "episode of which ends after 500 steps.",
    "Each step is weighted with the discounted return from this step on, in place of the total reward of the episode: "
    "an action does not change earlier rewards.",
    "Adam in place of plain gradient steps, with a smaller learning rate without a baseline. An update averages over "
    "the steps of several episodes.",
    "The returns of an update, less the learned baseline, are normalized to a mean of 0 and a standard deviation of 1, "
    'except without a baseline; the variant "mean return" is this normalization alone.',
    "The learned baseline also estimates the rest of an episode that was truncated after 500 steps; without it, the "
    "rest counts as 0.",
    Deviation("16 episodes are played at the same time.", {"num_envs": 16}),
)
METRICS = {
    **{
        f"solved, {baseline}": "1 if the mean return of 100 consecutive episodes reached 475, else 0"
        for baseline in BASELINES
    },
    "episodes, no baseline": "number of episodes until then, of the whole training if it was not reached; likewise for "
    "each baseline",
    "steps, no baseline": "number of steps in the environment until then",
    "mean return, no baseline": "mean return of 100 new episodes of the final policy, which takes its most probable "
    "action; 500 is the largest",
    **{
        f"gradient variance, {baseline}": "variance of the gradient of one episode with this baseline over that "
        "without a baseline, summed over the weights of the final policy of the learned baseline, whose values are "
        "corrected by their mean error as in the training"
        for baseline in BASELINES
        if baseline != "no baseline"
    },
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Three baselines; one repeat trains the policy with each of them."""

    QUICK = {"seeds": 1, "epochs": 2, "steps_per_epoch": 320, "num_episodes": 4}

    seeds: int = 5
    """Number of repeats, each with its own initial weights and episodes."""
    epochs: int = 300
    """Largest number of epochs of each training, which ends when the policy has solved the task."""
    steps_per_epoch: int = 1_600
    """Steps in an epoch, after which the training may end."""
    num_envs: int = 16
    """Number of episodes that are played at the same time."""
    units: int = 32
    """Hidden units of the policy and of the learned baseline."""
    discount: float = 0.99
    """Factor of the reward of each further step."""
    episodes_per_update: int = 4
    """Number of episodes for each update."""
    learning_rate: float | None = None
    """Learning rate of Adam; depends on the baseline by default."""
    num_episodes: int = 100
    """Number of episodes of the evaluation, and of those for the variance of the gradient."""
    devices: int | str = "cpu"
    """Devices to train on; the networks are too small for a GPU."""


def agent(config: Config, baseline: str) -> dk.Reinforce:
    """Return the agent with a baseline: a policy with one hidden layer."""
    body = dk.MLP([config.units])
    return dk.Reinforce(
        [body, dk.Classifier(2)],
        baseline=[body, dk.Regressor(1)] if baseline == "learned baseline" else None,
        discount=config.discount,
        episodes_per_update=config.episodes_per_update,
        normalize=baseline != "no baseline",
    )


def definition(config: Config) -> dk.Reinforce:
    """Return the agent with a learned baseline."""
    return agent(config, "learned baseline")


class Solved(keras.callbacks.Callback):
    """Stops the training when the mean return of 100 consecutive episodes is 475."""

    def __init__(self) -> None:
        super().__init__()
        self._epochs: list[Mapping[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Stop if the task is solved."""
        self._epochs.append(dict(logs or {}))
        if recent_return(self._epochs) >= SOLVED_RETURN:
            self.model.stop_training = True


def recent_return(epochs: Sequence[Mapping[str, float]]) -> float:
    """Return the mean return of the last 100 episodes, and of the others in their first epoch; NaN if there are fewer.

    Args:
        epochs: `mean_return` and `num_episodes` of each epoch.
    """
    total = num_episodes = 0.0
    for logs in reversed(epochs):
        if logs["num_episodes"]:
            total += logs["num_episodes"] * logs["mean_return"]
            num_episodes += logs["num_episodes"]
        if num_episodes >= WINDOW:
            return total / num_episodes
    return math.nan


def train(config: Config) -> Result:
    """Train with each baseline, and measure the variance of the gradient with each of them."""
    runs = {baseline: train_one(config, baseline) for baseline in BASELINES}
    measured: dict[str, float] = {}
    curves = {}
    for baseline, run in runs.items():
        epochs = [dict(zip(run.history, values, strict=True)) for values in zip(*run.history.values(), strict=True)]
        recent = [recent_return(epochs[: i + 1]) for i in range(len(epochs))]
        measured[f"solved, {baseline}"] = float(recent[-1] >= SOLVED_RETURN)
        measured[f"episodes, {baseline}"] = float(sum(run.history["num_episodes"]))
        measured[f"steps, {baseline}"] = run.history["num_steps"][-1]
        evaluation = dk.evaluate_agent(
            run.model, ENV, num_episodes=config.num_episodes, num_envs=config.num_episodes, seed=config.seed
        )
        measured[f"mean return, {baseline}"] = evaluation.mean
        curves[f"return, {baseline}"] = Curve(run.history["num_steps"], recent)
    model = runs["learned baseline"].model
    variances = gradient_variances(model, play(model, ENV, config.num_episodes, config.seed))
    for baseline, variance in variances.items():
        if baseline != "no baseline":
            measured[f"gradient variance, {baseline}"] = variance / variances["no baseline"]
    return Result(
        measured=measured,
        data=f"{ENV} of Gymnasium {gymnasium.__version__}",
        curves=curves,
        model=model,
        seconds=sum(run.seconds for run in runs.values()),
    )


def train_one(config: Config, baseline: str) -> dk.Run:
    """Train with a baseline, in its own folder of the run directory, until the task is solved."""
    run = dk.learn(
        agent(config, baseline),
        ENV,
        num_steps=config.epochs * config.steps_per_epoch,
        num_envs=config.num_envs,
        steps_per_epoch=config.steps_per_epoch,
        learning_rate=config.learning_rate or LEARNING_RATES[baseline],
        callbacks=[Solved()],
        run_dir=config.run_dir and config.run_dir / baseline.replace(" ", "_"),
        plan=config.plan(),
        verbose=0,
    )
    steps, episodes = run.history["num_steps"][-1], sum(run.history["num_episodes"])
    print(f"{baseline}: {episodes:,.0f} episodes, {steps:,.0f} steps, {run.seconds:.0f} s", flush=True)
    return run


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the returns over the steps for each baseline, one line per repeat, and the variances of the gradient."""
    figure = PngFigure(figsize=(10, 3.2), layout="constrained")
    *panels, bars = figure.subplots(1, len(BASELINES) + 1)
    longest = max(result.measured[f"steps, {baseline}"] for result in results for baseline in BASELINES) / 1000
    for axes, (baseline, color) in zip(panels, BASELINES.items(), strict=True):
        for result in results:
            curve = result.curves[f"return, {baseline}"]
            steps = np.array(curve.x) / 1000
            axes.plot(steps, curve.y, color=color, linewidth=1)
            if result.measured[f"solved, {baseline}"]:
                axes.plot(steps[-1], curve.y[-1], "o", color=color, markersize=4)
        axes.axhline(SOLVED_RETURN, color="black", linewidth=0.8, linestyle=":")
        finish(axes, title=baseline, xlabel="thousand steps", xlim=(0, 1.03 * longest), ylim=(0, 505))
    panels[0].set_ylabel("mean return of 100 episodes")
    _draw_variances(bars, results)
    caption = (
        "Mean return of the last 100 episodes over the steps, one line per repeat, up to the point at which it is 475; "
        "and the variance of the gradient with each baseline, over that without one"
    )
    return {caption: figure}


def _draw_variances(axes: Any, results: Sequence[Result]) -> None:
    """Draw the mean of the variances as bars, and those of each repeat as points."""
    for i, (baseline, color) in enumerate(BASELINES.items()):
        values = [result.measured.get(f"gradient variance, {baseline}", 1.0) for result in results]
        axes.bar(i, np.mean(values), color=color, alpha=0.5)
        axes.plot([i] * len(values), values, "o", color=color, markersize=4)
    axes.set_xticks(range(len(BASELINES)), [baseline.replace(" ", "\n") for baseline in BASELINES])
    finish(axes, title="gradient variance")


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the policy and the learned baseline of the first repeat over the angle and its velocity."""
    model = results[0].model
    angles, velocities = np.linspace(-12, 12, 61), np.linspace(-2, 2, 61)
    grid = np.zeros((61, 61, 4))  # cart position and velocity of 0
    grid[..., 2], grid[..., 3] = np.meshgrid(np.radians(angles), velocities)
    observations = grid.reshape(-1, 4)
    probabilities = np.asarray(ops.softmax(model.scores(observations)))[:, 1]
    panels = {
        "probability of a push to the right": probabilities,
        "learned baseline": model.future_returns(observations),
    }
    figure = PngFigure(figsize=(8, 3.2), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        image = axes.pcolormesh(angles, velocities, values.reshape(61, 61), cmap="viridis", rasterized=True)
        figure.colorbar(image, ax=axes)
        axes.set(title=title, xlabel="angle of the pole in degrees")
    figure.axes[0].set_ylabel("its velocity in rad/s")
    return {"Policy and learned baseline of the first repeat, for a cart that stands in the middle": figure}


RECIPE = Recipe(
    name="cartpole",
    paper=PAPER,
    related=(),
    config=Config,
    train=train,
    definition=definition,
    input_shape=(4,),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw=draw,
    draw_curves=draw_curves,
    annotated=(agent, gradient_variances, policy_gradient),
    exercises=(
        "Run `--episodes-per-update 1` and `--episodes-per-update 16`: how does the number of episodes change?",
        "Weight each step with the total reward of its episode in `make_episode`: how does the variance change?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
