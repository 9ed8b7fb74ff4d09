r"""Memory: gradients vanish over long lags, and gated cells learn the adding problem long before a tanh RNN.

A recurrent network is trained by backpropagation through time: the gradient passes through every step between an input
and the loss, and each step multiplies it by a matrix. The lecture notes conclude that the contributions of distant
steps vanish (Bengio et al. 1994), and that the gates of an LSTM keep them (Hochreiter & Schmidhuber 1997).

    $$ \frac{\partial E_T}{\partial s_k} = \frac{\partial E_T}{\partial s_T} \prod_{j=k+1}^{T} \frac{\partial s_j}
    {\partial s_{j-1}}, \qquad c_t = f_t \circ c_{t-1} + i_t \circ \tilde{c}_t $$

The recipe compares Keras's cells with the equations of the notes, measures the gradient over the lag, and trains four
cells with 32 units on the adding problem, whose label is the sum of two marked numbers among 100: a tanh RNN, an IRNN
(ReLUs with recurrent weights that begin as the identity), a GRU and an LSTM. Predicting the mean has an error of 1/6.

Before the training, the gradient of the gated cells vanishes even faster than that of the tanh RNN: their gates are
half open, and the recurrent weights of the tanh RNN are orthogonal. The training opens the gates, and the gradient with
respect to the first step becomes as large as that with respect to the last one. The tanh RNN can learn the task too,
but needs several thousand steps before its error falls below 1/6. In a second task, an LSTM whose forget gates begin
nearly open recalls a symbol after 1,000 steps.

    deepkit run memory
    deepkit run memory --length 400 --epochs 30
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import deepkit as dk
from deepkit.recipe import Claim, Curve, Deviation, Recipe, Result, Settings, main
from deepkit.utils.tracing import without_retracing_warnings
from recipes import papers
from recipes.sequence import memory_figures as figures
from recipes.sequence.cells import EQUATIONS

PAPER = papers.HOCHREITER_1997
CELLS = ("tanh RNN", "IRNN", "GRU", "LSTM")
CLAIMS = (
    Claim(
        metric="gradient ratio, tanh RNN",
        value='"contributions from far away steps become zero"',
        where="lecture notes, the vanishing gradient problem",
        setting="any recurrent network with tanh, no experiment",
        when={"length": 100},
    ),
    Claim(
        metric="test MSE, tanh RNN",
        value="does not learn long-range dependencies",
        where="lecture notes, the vanishing gradient problem",
        setting="any recurrent network with tanh, no experiment",
        when={"length": 100},
        lower_is_better=True,
        note="within this number of steps; 0.1667 is the error of predicting the mean",
    ),
    Claim(
        metric="recall accuracy",
        value="learns over more than 1,000 steps",
        unit="%",
        where="lecture notes, why LSTM can combat the vanishing gradient",
        setting="LSTM, no experiment",
        when={"lag": 1000},
    ),
)
DEVIATIONS = (
    "The notes state the vanishing gradient and the memory of the LSTM without an experiment. The tasks are those of "
    "the paper (sections 5.4 and 5.2), with numbers in [0, 1], one marker in each half and no other markers, as in "
    "Le et al. 2015.",
    "LSTMs with forget gates and GRUs, trained by backpropagation through the whole sequence with Adam; the paper "
    "(section 3) has no forget gates, and truncates the gradient.",
    "Keras's cells have biases, the equations of the notes have none; its GRU applies the reset gate after the "
    "multiplication, and its tanh RNN begins with orthogonal recurrent weights.",
    "The learning rates were chosen by the validation error of one seed: from 0.001, 0.003 and 0.01 for the tanh RNN, "
    "and from 0.001 and 0.01 for the IRNN; 0.01, the first one tried for GRU and LSTM, was good enough.",
    "128,000 training sequences: in 2,000 steps of 64, each is used once; the longer training of the tanh RNN uses "
    "each three times.",
    Deviation(
        "The LSTM that recalls a symbol begins with biases of log(1,000) in the forget gates and of -log(1,000) in the "
        "input gates, after the chrono initialization (Tallec & Ollivier 2018), which draws a time between 1 and 1,000 "
        "for each unit; its symbols begin as one-hot vectors times 8, and the blank as zeros. Its size (16 or 32) "
        "and its learning rate were chosen by the validation accuracy of three seeds: with 16 units, two symbols often "
        "stay alike.",
        {"lag": 1000},
    ),
)
METRICS = {
    "difference, tanh RNN": "largest absolute difference between the last state of Keras's layer and that of the "
    "equations in NumPy; likewise for GRU and LSTM",
    "gradient ratio, tanh RNN": "norm of the gradient of the output with respect to the first step over that with "
    "respect to the last one, before the training; likewise for each cell",
    "trained gradient ratio, tanh RNN": "the same after the training",
    "test MSE, tanh RNN": "mean squared error on 10,000 test sequences of the adding problem after 2,000 steps of 64; "
    "0.1667 for predicting the mean; the test data is read once, at the end; likewise for each cell",
    "test MSE after longer training, tanh RNN": "the same after 6,000 steps",
    "recall accuracy": "share of the test sequences whose first token, one of eight symbols, an LSTM with 32 units "
    "recalls after 1,000 steps, in percent; 12.5 is chance",
}

UNITS, NUM_CLASSES, SYMBOL_SIZE = 32, 8, 8.0
NUM_EXAMPLES = {"adding": (128_000, 2_000, 10_000), "copying": (8_000, 500, 2_000)}  # training, validation and test
LONGER = 3  # times as many epochs
LEARNING_RATES = {"tanh RNN": 0.001, "IRNN": 0.001, "GRU": 0.01, "LSTM": 0.01}
RECALL_LEARNING_RATE = dk.OneCycle(0.01)
IDENTITY = {  # of the IRNN (Le et al. 2015)
    "activation": "relu",
    "recurrent_initializer": "identity",
    "kernel_initializer": keras.initializers.RandomNormal(stddev=0.001),
}


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Networks with four cells on the adding problem, and an LSTM that recalls a symbol."""

    QUICK = {"seeds": 1, "epochs": 2, "steps": 20, "length": 10, "lag": 10}

    seeds: int = 3
    """Number of repeats, each with its own sequences and initial weights."""
    epochs: int = 10
    """Epochs of training for each network; three times as many for the longer training of the tanh RNN."""
    steps: int = 200
    """Steps in an epoch of the adding problem; 15 % as many for the recall."""
    length: int = 100
    """Number of steps of a sequence of the adding problem."""
    lag: int = 1000
    """Number of steps between a symbol and its recall."""
    batch_size: int = 64
    """Sequences per step of the adding problem; a quarter as many for the recall."""
    devices: int | str = "cpu"
    """Devices to train on; these networks are too small for a GPU."""


def load_data(config: Config, kind: str, **arguments: int) -> dk.data.Data:
    """Return the sequences of a task, the test data shortened to `NUM_EXAMPLES`."""
    limit = config.max_examples or max(NUM_EXAMPLES[kind])
    num_training, num_validation, num_test = (min(limit, count) for count in NUM_EXAMPLES[kind])
    data = dk.data.sequences(
        kind, num_training + num_validation, seed=config.seed, validation=num_validation, **arguments
    )
    return dataclasses.replace(data, test=data.test.head(num_test))


def adding_network(cell: str) -> dk.Sequential:
    """Return a network that reads numbers and markers, and predicts a number from its last state."""
    recurrent = {
        "tanh RNN": dk.Recurrent("simple", UNITS),
        "IRNN": dk.Recurrent("simple", UNITS, rnn=IDENTITY),
        "GRU": dk.Recurrent("gru", UNITS),
        "LSTM": dk.Recurrent("lstm", UNITS),
    }
    return dk.Sequential([recurrent[cell], dk.Regressor(1)], name=cell.lower().replace(" ", "_"))


def recall_network(lag: int) -> dk.Sequential:
    """Return an LSTM that classifies by its last state, and whose memory lasts for about `lag` steps at the beginning.

    A forget gate f keeps the memory for 1 / (1 - f) = 1 + exp(bias) steps. The input gates begin nearly closed, so that
    the blank steps do not fill the memory. The vectors of the symbols begin large and distinct, that of a blank as 0.
    """
    keep = np.full(UNITS, np.log(lag))
    biases = np.concatenate([-keep, keep, np.zeros(2 * UNITS)])  # of the gates i and f, the candidate, and o
    rnn = {"bias_initializer": keras.initializers.Constant(biases.tolist()), "unit_forget_bias": False}
    vectors = SYMBOL_SIZE * np.eye(NUM_CLASSES + 2)
    vectors[NUM_CLASSES] = 0  # the blank
    initializer = keras.initializers.Constant(vectors.tolist())
    embedding = layers.Embedding(NUM_CLASSES + 2, NUM_CLASSES + 2, embeddings_initializer=initializer)
    return dk.Sequential([embedding, dk.Recurrent("lstm", UNITS, rnn=rnn), dk.Classifier(NUM_CLASSES)])


def definition(config: Config) -> dk.Sequential:
    """Return the LSTM of the adding problem."""
    return adding_network("LSTM")


def train(config: Config) -> Result:
    """Compare the cells with their equations, measure gradients, and train on both tasks."""
    data = load_data(config, "adding", batch_size=config.batch_size, length=config.length)
    sample = data.validation.arrays(config.batch_size)[0]
    keras.utils.set_random_seed(config.seed)
    measured = {f"difference, {cell}": difference(cell, sample) for cell in EQUATIONS}
    initial = {cell: lag_gradients(adding_network(cell).build(sample.shape[1:]), sample) for cell in CELLS}
    runs = {cell: train_one(config, cell, adding_network(cell), data) for cell in CELLS}
    trained = {cell: lag_gradients(run.model, sample) for cell, run in runs.items()}
    runs["tanh RNN, longer"] = train_one(config, "tanh RNN, longer", adding_network("tanh RNN"), data, longer=LONGER)
    recall_data = load_data(config, "copying", batch_size=max(1, config.batch_size // 4), lag=config.lag, num_symbols=1)
    recall = train_one(config, "recall", recall_network(config.lag), recall_data)
    for name, norms in (("gradient ratio", initial), ("trained gradient ratio", trained)):
        measured |= {f"{name}, {cell}": values[-1] / values[0] for cell, values in norms.items()}
    measured |= {f"test MSE, {cell}": evaluate(runs[cell], data, "loss") for cell in CELLS}
    measured["test MSE after longer training, tanh RNN"] = evaluate(runs["tanh RNN, longer"], data, "loss")
    measured["recall accuracy"] = 100 * evaluate(recall, recall_data, "accuracy")
    curves = {f"gradient, {cell}": Curve(range(len(values)), values) for cell, values in initial.items()}
    curves |= {f"trained gradient, {cell}": Curve(range(len(values)), values) for cell, values in trained.items()}
    curves |= {f"MSE, {name}": history(run, "val_loss", config.steps) for name, run in runs.items()}
    curves["recall"] = history(recall, "val_accuracy", recall_steps(config))
    return Result(
        measured=measured,
        data=data.summary(),
        curves=curves,
        model=runs["LSTM"].model,
        seconds=sum(run.seconds for run in (*runs.values(), recall)),
    )


def difference(cell: str, x: np.ndarray) -> float:
    """Return the largest difference between the last state of Keras's layer and that of the equations."""
    layer = adding_network(cell).build(x.shape[1:]).layers[1]
    weights = [np.random.default_rng(0).normal(0, 0.15, weight.shape) for weight in layer.get_weights()]
    layer.set_weights(weights)
    return float(np.abs(np.asarray(layer(x)) - EQUATIONS[cell](x.astype("float64"), layer.get_weights())).max())


def lag_gradients(model: keras.Model, x: np.ndarray) -> list[float]:
    """Return the norm of the gradient of the output with respect to each step, by its distance from the last one."""
    return list(map(float, dk.visualize.arrays.gradient_over_lag(model, x)))


def train_one(config: Config, name: str, net: dk.Sequential, data: dk.data.Data, longer: int = 1) -> dk.Run:
    """Train one network in its own folder of the run directory."""
    is_recall = name == "recall"
    run = config.fit(
        net,
        data,
        run_dir=config.run_dir and config.run_dir / name.lower().replace(", ", "_").replace(" ", "_"),
        epochs=longer * config.epochs,
        steps_per_epoch=recall_steps(config) if is_recall else config.steps,
        optimizer=keras.optimizers.Adam(clipnorm=1.0),
        learning_rate=RECALL_LEARNING_RATE if is_recall else LEARNING_RATES[name.partition(",")[0]],
        verbose=0,
    )
    print(f"{name}: validation loss {run.history['val_loss'][-1]:.4g}, {run.seconds:.0f} s", flush=True)
    return run


def recall_steps(config: Config) -> int:
    """Return the number of steps in an epoch of the network that recalls a symbol."""
    return max(1, config.steps * 15 // 100)


@without_retracing_warnings()
def evaluate(run: dk.Run, data: dk.data.Data, metric: str) -> float:
    """Return the loss or a metric of the test sequences."""
    return float(run.model.evaluate(data.test.rebatch(500), verbose=0, return_dict=True)[metric])


def history(run: dk.Run, name: str, steps: int) -> Curve:
    """Return the values of a loss or a metric after each epoch, over the steps of the training."""
    values = run.history[name]
    return Curve([steps * epoch for epoch in range(1, len(values) + 1)], values)


def draw_curves(config: Config, results: Sequence[Result]) -> Mapping[str, Figure]:
    """Draw the gradient over the lag before and after training, and the errors over the steps."""
    return {
        "Norm of the gradient of the output with respect to a step, over the distance of that step from the last one": (
            figures.draw_gradients(results)
        ),
        "Validation error of the adding problem, and accuracy of the recall, over the steps": figures.draw_errors(
            results
        ),
    }


RECIPE = Recipe(
    name="memory",
    paper=PAPER,
    related=(papers.BENGIO_1994, papers.LE_2015, papers.TALLEC_2018),
    config=Config,
    train=train,
    definition=definition,
    input_shape=lambda config: (config.length, 2),
    metrics=METRICS,
    claims=CLAIMS,
    deviations=DEVIATIONS,
    draw_curves=draw_curves,
    annotated=(adding_network, recall_network, *EQUATIONS.values()),
    exercises=(
        "Run `deepkit run memory --length 400 --epochs 30`: which cells still learn, and after how many steps?",
        "Replace the biases of `recall_network` by Keras's: up to which `--lag` does the LSTM still recall the symbol?",
        'Give the tanh RNN `recurrent_initializer="glorot_uniform"`, and compare its gradient over the lag.',
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(RECIPE))
