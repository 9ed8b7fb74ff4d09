r"""Arithmetic: an encoder and a decoder learn to add numbers of up to three digits, from the characters alone.

The encoder reads the characters of "123+456", and the decoder generates those of "579". The decoder knows the source
only by the final states of the encoder. Sutskever et al. 2014 translate in this way, and report that the translations
are better if the encoder reads the source backward: the beginnings of both texts are then close to each other, and
gradients between them pass through few steps. Two networks that differ only in the direction of the source are trained
here on the same sums, and their answers to sums that neither has seen are compared.

    $$ p(y \mid x) = \prod_t p\left(y_t \mid v, y_1, \dots, y_{t-1}\right), \quad v = \text{LSTM}(x_T, \dots, x_1) $$

The network of the paper has 384 million weights. The recipe builds it without allocating them, and counts.

    deepkit run arithmetic
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Recipe, Result, Settings, main, parameters
from deepkit.visualize.figures import BLUE, ORANGE
from recipes import papers
from recipes.sequence.generated_pairs import accuracy_curves, draw_accuracy, exact_match, texts_of

PAPER = papers.SUTSKEVER_2014
CLAIMS = (
    Claim(
        metric="exact match, reversed",
        value=99.0,
        unit="%",
        where="keras.io, number addition",
        setting="sums of up to three digits, reversed sources, an LSTM of 128 units, 50,000 pairs, 100 epochs",
        when={"num_digits": 3},
        note="the tutorial counts correct characters, those of the padding included; an exact match is stricter",
    ),
    Claim(
        metric="gain",
        value="30.59 in place of 26.17 BLEU",
        where="table 1",
        setting="WMT'14 English to French",
        note="here the difference of the exact matches; only the sign is comparable",
    ),
    Claim(
        metric="weights of the paper",
        value=384e6,
        where="section 3.4",
        setting="two LSTMs of four layers with 1,000 cells, 160,000 and 80,000 words",
        note="without biases, which Keras's layers have",
    ),
    Claim(
        metric="recurrent weights of the paper",
        value=64e6,
        where="section 3.4",
        setting="two LSTMs of four layers with 1,000 cells",
        note="without biases",
    ),
)
DEVIATIONS = (
    "Sums of numbers in place of English to French news, and characters in place of words (section 3.1).",
    "One layer of 128 units with embeddings of 16 features, in place of four layers of 1,000 units with 1,000 features "
    "(section 3.4): the size of the tutorial. The network of the paper is built and counted, not trained.",
    "Adam with one cycle of the learning rate, in place of gradient descent at 0.7 whose rate is halved after the "
    "fifth epoch, with clipped gradients (section 3.4).",
    "Greedy search in place of beam search (section 3.2), because a sum has one answer.",
    "All pairs of numbers below 1,000 are equally probable; in the tutorial, all lengths of numbers are. The decoder "
    "of the tutorial receives the state of the encoder at each step, and not the character before.",
)
METRICS = {
    "exact match, reversed": "share of 10,000 test sums whose generated answer is correct in every digit, in percent, "
    "with a reversed source; the test data is read once, at the end",
    "exact match, forward": "the same for the network that reads the source forward",
    "gain": "the difference of the two",
    "parameters": "trainable weights of each of the two networks",
    "weights of the paper": "weights of the network of the paper without biases",
    "weights of the paper, with biases": "the same with the biases of Keras's layers",
    "recurrent weights of the paper": "those of its LSTMs, without biases",
}

# usual values; batches of 128 had more exact matches than 256 on validation pairs, with a reversed source
UNITS, EMBEDDING_DIM = 128, 16
NUM_TEST = 10_000
COLORS = {"reversed": BLUE, "forward": ORANGE}  # of the networks, by the direction of the source
CHARACTERS = 13  # ten digits, the plus sign, padding and unknown characters


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Two networks: one reads the sums backward, the other forward."""

    QUICK = {"seeds": 1, "epochs": 1, "num_pairs": 1_000, "batch_size": 100}

    seeds: int = 3
    """Number of repeats, each with its own pairs and initial weights."""
    epochs: int = 14
    """Epochs of training for each network."""
    num_pairs: int = 50_000
    """Pairs for training, a tenth of them for validation."""
    num_digits: int = 3
    """Largest number of digits of a summand."""
    learning_rate: float = 0.01
    """Peak learning rate of Adam, which follows one cycle."""
    batch_size: int = 128
    """Pairs per step."""


def load_data(config: Config) -> dk.data.Data:
    """Return sums of two numbers; no pair of summands occurs twice, not even with its numbers swapped."""
    return dk.data.text_pairs(
        "additions",
        config.num_pairs,
        num_digits=config.num_digits,
        validation=0.1,
        batch_size=config.batch_size,
        seed=config.seed,
    )


def adder(direction: str) -> dk.Seq2Seq:
    """Return the network for a direction of the source."""
    return dk.Seq2Seq(
        dk.Text(CHARACTERS, split="character", standardize=None),
        embedding_dim=EMBEDDING_DIM,
        encoder=dk.Recurrent("lstm", UNITS),
        decoder=dk.Recurrent("lstm", UNITS),
        attention=None,
        reverse_source=direction == "reversed",
        name=f"adder_{direction}",
    )


def definition(config: Config) -> dk.Seq2Seq:
    """Return the network that reads the source backward."""
    return adder("reversed")


def network_of_the_paper() -> dk.Seq2Seq:
    """Return the network of Sutskever et al. 2014, section 3.4."""
    lstm = dk.Recurrent("lstm", 1_000, num_layers=4)
    return dk.Seq2Seq(
        dk.Text(160_000),
        target=dk.Text(80_000),
        embedding_dim=1_000,
        encoder=lstm,
        decoder=lstm,
        attention=None,
        reverse_source=True,
    )


def count_weights(net: dk.Block) -> dict[str, float]:
    """Count the weights of a network without allocating them: its variables have shapes, but no values."""
    with keras.StatelessScope(initialize_variables=False):
        weights = net.build().trainable_weights
    matrices = [weight for weight in weights if len(weight.shape) > 1]  # biases have one axis
    recurrent = [weight for weight in matrices if "lstm_cell" in weight.path]
    return {
        "weights of the paper": float(sum(math.prod(weight.shape) for weight in matrices)),
        "weights of the paper, with biases": float(sum(math.prod(weight.shape) for weight in weights)),
        "recurrent weights of the paper": float(sum(math.prod(weight.shape) for weight in recurrent)),
    }


def train(config: Config) -> Result:
    """Train both networks on the same pairs, and compare their answers."""
    data = load_data(config)
    runs = {direction: train_one(config, direction, data) for direction in COLORS}
    matches = {name: exact_match(run.model, data.test, NUM_TEST) for name, run in runs.items()}
    model = runs["reversed"].model
    print_answers(model, data)
    return Result(
        measured={
            **{f"exact match, {name}": match for name, match in matches.items()},
            "gain": matches["reversed"] - matches["forward"],
            "parameters": parameters(model),
            **count_weights(network_of_the_paper()),
        },
        data=data.summary(),
        model=model,
        curves=accuracy_curves(runs),
        seconds=sum(run.seconds for run in runs.values()),
    )


def train_one(config: Config, direction: str, data: dk.data.Data) -> dk.Run:
    """Train one network in its own folder of the run directory."""
    run_dir = config.run_dir and config.run_dir / direction
    return config.fit(adder(direction), data, run_dir=run_dir, learning_rate=dk.OneCycle(config.learning_rate))


def print_answers(model: keras.Model, data: dk.data.Data) -> None:
    """Print the answers to the first test sums."""
    sources, targets = texts_of(data.test, 3)
    for source, target, answer in zip(sources, targets, model.translate(sources, num_beams=1), strict=True):
        print(f"{source} = {answer} ({'correct' if answer == target else f'wrong: {target}'})")


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the validation accuracy of both networks over the epochs."""
    return draw_accuracy(results, COLORS)


RECIPE = Recipe(
    name="arithmetic",
    paper=PAPER,
    config=Config,
    train=train,
    definition=definition,
    input_shape=(),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(adder, network_of_the_paper, count_weights),
    exercises=(
        "Run `--num-digits 2 --num-pairs 2000 --batch-size 32 --epochs 30`: are 2,000 sums enough?",
        'Add `attention="additive"` to `adder`: does the direction of the source still matter?',
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
