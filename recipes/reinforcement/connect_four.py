r"""Connect Four: AlphaGo's pipeline of a policy, self-play, a value network and tree search, on a small board.

AlphaGo (Silver et al. 2016) learned in three steps. A supervised policy predicts the moves of experts. REINFORCE
improves it in games against its earlier versions. A value network then predicts the outcome of games of the improved
policy:

    $$ v(s) \approx E[z_t \mid s_t = s, a_{t \ldots T} \sim p] $$

It needs positions of different games. Neighboring positions of one game differ by one move and share their outcome, so
that a network trained on whole games memorizes outcomes. Tree search combines the networks: the policy proposes moves,
and a new position is evaluated by the value network and by a rollout, mixed with weight 1/2.

Here, the experts are a player with three rules: it wins if it can, blocks if it must, and prefers the center.

    deepkit run connect_four
    deepkit run connect_four --num-simulations 200
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.models.network_copy import copy_network
from deepkit.recipe import Claim, Curve, Recipe, Result, Settings, main
from deepkit.utils.tracing import without_retracing_warnings
from recipes import papers
from recipes.reinforcement import connect_four_figures as figures
from recipes.reinforcement import connect_four_matches as matches
from recipes.reinforcement.recorded_games import Positions, record_branches, record_games

PAPER = papers.SILVER_2016
GAME = dk.envs.ConnectFour()
EXPERT = dk.search.RulePlayer()
CLAIMS = (
    Claim(
        metric="policy accuracy",
        value=57.0,
        unit="%",
        where="p. 485",
        setting="KGS games, 13 layers, all features",
        note="the accuracy of the best possible network is known here: `best possible accuracy`",
    ),
    Claim(
        metric="RL against SL",
        value="more than 80 %",
        unit="%",
        where="p. 485",
        setting="Go, RL policy against SL policy, without search",
    ),
    Claim(
        metric="value error, one position per game",
        value=0.234,
        where="p. 486",
        setting="Go, 30 million games of the RL policy, MSE on the test set",
        lower_is_better=True,
    ),
    Claim(
        metric="value error, whole games",
        value=0.37,
        where="p. 486",
        setting="Go, KGS games, MSE on the test set",
        lower_is_better=True,
    ),
    Claim(
        metric="search, SL prior against RL prior",
        value="the SL policy is better in the search",
        where="lecture notes, RL policy network",
        setting="Go",
    ),
)
DEVIATIONS = (
    "Connect Four in place of Go. A player with three rules, which draws among the moves that they leave, takes the "
    "place of human experts (p. 485) and that of the fast rollout policy, a linear softmax of patterns.",
    "Three convolutions of 32 filters and a dense layer on two planes of stones, in place of 13 convolutions of 192 "
    "filters on 48 planes (p. 485); the value network has its layers and a dense one of 64 units.",
    "Adam in place of gradient descent, and a small weight of the policy's entropy in REINFORCE.",
    "The games of the value networks begin with U moves of the SL policy and a random one, as in the paper; U is at "
    "most 21, and a position is drawn from all later ones. The whole games are those after U, too, so that both "
    "datasets have the same kind of positions. In the paper they are KGS games (p. 486).",
    "Every simulation adds a node, on one thread: no virtual loss, and no threshold of visits. 30 simulations for a "
    "move, and 2 as the weight of the exploration in place of 5, with which 30 simulations explore too long.",
    "The value alone is a search without rollouts, the policy alone plays without a search. In all matches of "
    "searches, a game begins with two random moves, and each beginning is played with both sides.",
)
METRICS = {
    "policy accuracy": "share of the moves in 500 other games of the expert that the supervised policy predicts",
    "best possible accuracy": "share of the moves that a policy predicts which knows the rules of the expert: the mean "
    "probability of its most probable move",
    "RL against SL": "score of the policy after REINFORCE against the supervised one in 400 games, in percent; a draw "
    "counts half",
    "value error, one position per game": "mean squared error of the value network that is trained on one position per "
    "game, on one position of each of 4,000 other games",
    "training error, one position per game": "the same on its training data",
    "value error, whole games": "mean squared error, on the same test positions, of the network trained on as many "
    "positions of fewer games",
    "training error, whole games": "the same on its training data",
    "search, value against policy alone": "score in 400 games of the search with the value network and without "
    "rollouts against the policy without a search, in percent",
    "search, mixed against value": "score in 400 games of the search with value network and rollouts against the one "
    "without rollouts, in percent",
    "search, mixed against rollouts": "score in 400 games of the search with value network and rollouts against the "
    "one without value network, in percent",
    "search, SL prior against RL prior": "score in 400 games of the search with the supervised policy against the one "
    "with the policy after REINFORCE, in percent",
    "tic-tac-toe, lost games": "games that a search with 800 random rollouts loses at tic-tac-toe, of all games "
    "against all sequences of replies, on both sides",
    "games per second": "games of Connect Four between random players, 10,000 at the same time",
    "simulations per second": "simulations of the mixed search, 200 games at the same time",
}

BODY = (dk.ConvStack(32, num_convs=3, norm=None, pool=None),)
MAX_BRANCH = 22  # numbers of moves before the random one: 0 to 21


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """A supervised policy, its improvement by REINFORCE, two value networks, and matches of tree searches."""

    QUICK = {
        "seeds": 1, "epochs": 1, "value_epochs": 1, "num_expert_games": 60, "num_rounds": 1, "steps_per_round": 512,
        "num_value_games": 100, "num_simulations": 2, "num_matches": 4,
    }  # fmt: skip

    seeds: int = 1
    """Number of repeats."""
    epochs: int = 3
    """Epochs of the supervised policy."""
    value_epochs: int = 8
    """Epochs of each value network."""
    num_expert_games: int = 4_000
    """Games of the expert for training; a quarter as many for validation and test together."""
    num_rounds: int = 16
    """Rounds of REINFORCE; after each one, the policy joins the pool of opponents."""
    steps_per_round: int = 16_384
    """Moves of the policy in a round."""
    learning_rate: float = 0.001
    """Learning rate of REINFORCE."""
    num_value_games: int = 40_000
    """Games for the training of the value networks, about; a tenth as many for the test."""
    num_simulations: int = 30
    """Simulations of a search for each move."""
    num_matches: int = 400
    """Games of each match."""
    devices: int | str = "cpu"
    """Devices to train on; these networks are too small for a GPU."""


def policy_network() -> dk.Sequential:
    """Return a network with a logit for each column."""
    return dk.Sequential([*BODY, dk.Classifier(GAME.num_actions)], name="policy")


def value_network() -> dk.Sequential:
    """Return a network with the expected outcome for the side to move."""
    return dk.Sequential([*BODY, dk.MLP([64]), dk.Regressor(1, activation="tanh")], name="value")


def train(config: Config) -> Result:
    """Train the supervised policy, improve it, train the value networks, and play the matches."""
    start = time.perf_counter()
    rng = np.random.default_rng(config.seed)
    supervised, measured = train_supervised(config, rng)
    improved, curve = improve(config, supervised)
    measured["RL against SL"] = curve.y[-1]
    value, errors, value_curves = train_values(config, supervised, improved, rng)
    searches = matches.make_searches(supervised, improved, value, EXPERT, config.num_simulations)
    measured |= errors | matches.compare_searches(GAME, searches, config.num_matches, config.seed)
    search = dk.search.PUCT(num_simulations=40 if config.quick else 800)
    measured["tic-tac-toe, lost games"] = matches.count_lost_games(dk.envs.TicTacToe(), search)
    measured |= matches.measure_speed(GAME, searches["mixed"], num_games=200 if config.quick else 10_000)
    return Result(
        measured=measured,
        data="games of generated players",
        curves={"score against SL": curve, **value_curves},
        model=improved,
        seconds=time.perf_counter() - start,
    )


def train_supervised(config: Config, rng: np.random.Generator) -> tuple[keras.Model, dict[str, float]]:
    """Train a policy on the moves of the expert."""
    num_other = config.num_expert_games // 8
    training, validation, test = (
        record_games(GAME, num_games, EXPERT, rng) for num_games in (config.num_expert_games, num_other, num_other)
    )
    examples = training.mirrored()
    data = dk.data.from_arrays(
        examples.observations,
        examples.actions,
        validation=(validation.observations, validation.actions),
        test=(test.observations, test.actions),
        batch_size=128,
        seed=config.seed,
        name="moves",
    )
    run = config.fit(policy_network(), data, run_dir=folder(config, "supervised"), verbose=0)
    accuracy = run.model.evaluate(data.test, verbose=0, return_dict=True)["accuracy"]
    print(f"supervised policy: accuracy {accuracy:.3f}, {run.seconds:.0f} s", flush=True)
    return run.model, {"policy accuracy": 100 * accuracy, "best possible accuracy": 100 * best_accuracy(test)}


def best_accuracy(positions: Positions) -> float:
    """Return the mean probability of the most probable move of the expert."""
    stones = positions.observations[..., 0] - positions.observations[..., 1]
    state = {**GAME.start(len(stones)), "board": stones.astype(np.int8)}  # the side to move is the first side
    return float(EXPERT.probabilities(GAME, state).max(1).mean())


def improve(config: Config, supervised: keras.Model) -> tuple[keras.Model, Curve]:
    """Improve a policy by REINFORCE in games against its earlier versions."""
    agent = dk.Reinforce(
        [*BODY, dk.Classifier(GAME.num_actions)], discount=1.0, episodes_per_update=64, entropy_weight=0.015
    )
    model = agent.build(GAME.observation_shape)
    model.policy.set_weights(supervised.get_weights())
    opponents, scores = [supervised], [50.0]
    for number in range(config.num_rounds):
        env = dk.envs.against(GAME, opponents, num_envs=64)
        plan = config.plan().replace(seed=1_000 * config.seed + number, reason="each round has its own games")
        run = dk.learn(
            model,
            env,
            num_steps=config.steps_per_round,
            steps_per_epoch=config.steps_per_round,
            learning_rate=config.learning_rate,
            run_dir=folder(config, f"round_{number + 1}"),
            plan=plan,
            verbose=0,
        )
        model = run.model
        opponents.append(copy_network(model.policy))
        match = dk.play(opponents[-1], supervised, GAME, num_games=config.num_matches, seed=config.seed)
        scores.append(100 * match.score)
        print(f"round {number + 1}: score against the supervised policy {scores[-1]:.1f} %", flush=True)
    steps = [config.steps_per_round * number for number in range(len(scores))]
    return opponents[-1], Curve(steps, scores)


def train_values(
    config: Config, supervised: keras.Model, improved: keras.Model, rng: np.random.Generator
) -> tuple[keras.Model, dict[str, float], dict[str, Curve]]:
    """Train a value network on one position of each game, and one on as many positions of whole games."""
    players = (supervised, dk.search.random_player, improved)
    num_other = config.num_value_games // 10
    games, validation, test = (
        record_branches(GAME, num_games, players, MAX_BRANCH, rng)
        for num_games in (config.num_value_games, num_other, num_other)
    )
    one, validation, test = (positions.one_of_each_game(rng) for positions in (games, validation, test))
    datasets = {"one position per game": one, "whole games": games.first_games(len(one), rng)}
    measured, curves, models = {}, {}, {}
    for name, positions in datasets.items():
        run = config.fit(
            value_network(),
            dk.data.from_arrays(
                positions.observations,
                positions.outcomes[:, None],
                validation=(validation.observations, validation.outcomes[:, None]),
                batch_size=128,
                seed=config.seed,
                name=name,
            ),
            epochs=config.value_epochs,
            run_dir=folder(config, f"value_{name.replace(' ', '_')}"),
            verbose=0,
        )
        models[name] = run.model
        measured[f"value error, {name}"] = squared_error(run.model, test)
        measured[f"training error, {name}"] = squared_error(run.model, positions)
        for split, key in (("training", "loss"), ("validation", "val_loss")):
            curves[f"{split} error, {name}"] = Curve(range(1, run.epochs + 1), run.history[key])
        print(f"value network, {name}: test error {measured[f'value error, {name}']:.3f}", flush=True)
    return models["one position per game"], measured, curves


@without_retracing_warnings()
def squared_error(model: keras.Model, positions: Positions) -> float:
    """Return the mean squared error of a value network."""
    values = model.predict(positions.observations, batch_size=1_000, verbose=0)[:, 0]
    return float(np.mean((values - positions.outcomes) ** 2))


def folder(config: Config, name: str) -> Path | None:
    """Return the folder of one training; None without a run directory."""
    return config.run_dir and config.run_dir / name


def draw(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the improvement of the policy with the errors of the value networks, and the matches."""
    return {
        "Score of the policy against the supervised one, and errors of two value networks with as many positions": (
            figures.draw_training(results)
        ),
        "Scores of the searches": figures.draw_matches(results),
    }


RECIPE = Recipe(
    name="connect_four",
    paper=PAPER,
    related=(papers.WILLIAMS_1992,),
    config=Config,
    train=train,
    definition=lambda config: policy_network(),
    input_shape=GAME.observation_shape,
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw,
    annotated=(policy_network, value_network, improve, record_branches, matches.make_searches),
    exercises=(
        "Run `deepkit run connect_four --num-simulations 10`, and then with 200: which match depends most on it?",
        "Replace the rollouts of the expert by random moves: which searches become weaker, and which faster?",
        "Let `opponents` be the last version only, in place of all of them: does the policy still improve?",
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
