"""Finding a learning rate: a short training in which it rises, and the loss at each rate."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from deepkit.data import Pipeline
from deepkit.execution.plan import Plan, current
from deepkit.execution.plan import plan as make_plan
from deepkit.training import state
from deepkit.training.fit import resolve_verbose
from deepkit.training.training_data import TrainingData, make_training_data, training_target
from deepkit.training.trial import Trial, reported_loss
from deepkit.utils.console import echo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 0.03  # of the smoothing: its standard deviation, as a share of all steps
_WINDOW = 5  # steps whose median loss must explode, as one bad batch is no explosion
_EXPLODED = 3.0  # times the least loss, or the fall to it, that the loss has risen above it
_CHANCE = 2.0  # standard deviations of the losses around the smoothed one that it must fall by
_LENT = ("train_function", "steps_per_execution", "stop_training", "history")


@dataclass(frozen=True, eq=False)
class LearningRateTest:
    """The loss at each learning rate of a range test.

    Args:
        rates: Learning rate of each step, rising.
        losses: Loss of each step on its batch, before the weights were changed with this rate.
        smoothed: The losses without the differences between batches: means over neighbouring steps, weighted with
            a Gaussian whose standard deviation is 3 % of the steps.
        suggestion: The rate at which the smoothed loss falls most steeply over the logarithm of the rate, before its
            least value; None where it falls by no more than twice the standard deviation of the losses
            around it, which may be chance.
        stopped: Why there are fewer steps than were asked for, or an empty string.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    stopped: str

    def plot(self) -> Figure:
        """Return a figure of the loss over the learning rate, with the suggestion marked."""
        from deepkit.visualize.figures import BLUE, ORANGE, subplots

        figure, axes = subplots(1, 1, 5.6, 3.6)
        ax = axes[0, 0]
        ax.plot(self.rates, self.losses, color="#adb5bd", linewidth=0.8, label="each step")
        ax.plot(self.rates, self.smoothed, color=BLUE, linewidth=1.8, label="smoothed")
        if self.suggestion is not None:
            height = np.interp(math.log(self.suggestion), np.log(self.rates), self.smoothed)
            ax.plot([self.suggestion], [height], "o", color=ORANGE, label=f"steepest: {self.suggestion:.2g}")
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
        return figure

    def __str__(self) -> str:
        found = "the loss does not fall" if self.suggestion is None else f"steepest at {self.suggestion:.2g}"
        end = f"; {self.stopped}" if self.stopped else ""
        return f"{len(self.rates)} rates from {self.rates[0]:.2g} to {self.rates[-1]:.2g}: {found}{end}"

    def __repr__(self) -> str:
        return f"<LearningRateTest {self}>"


def find_learning_rate(
    net: Any,
    data: Any,
    *,
    smallest: float = 1e-6,
    largest: float = 10.0,
    steps: int = 100,
    plan: Plan | None = None,
    batch_size: int | None = None,
    optimizer: Any = None,
    loss: Any = None,
    loss_weights: Any = None,
    verbose: int | str = "auto",
) -> LearningRateTest:
    """Train a few steps while the learning rate rises from far too small to far too large, and note the loss.

    The learning rate range test (Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3),
    with a rate that rises by the same factor at each step. It stops where the loss explodes. A definition is built
    and compiled for it as `dk.fit` does; a compiled model is trained as it is, and afterwards put back to the last
    bit, with its optimiser, its metrics and what it draws random numbers from.

    Args:
        net: A definition, or a compiled `keras.Model`, also one with its own training step; where it has several
            optimisers, all of them get the rate.
        data: A `dk.data` data set, a `tf.data.Dataset`, or a pair of arrays (x, y); only what is for training is
            looked at, as often as the steps need it.
        smallest: The first learning rate.
        largest: The last one.
        steps: How many.
        plan: Devices, precision, seed and so on; left out, the plan in force, else `dk.plan()`.
        batch_size: Examples in a batch; left out, that of the data, and 128 for arrays.
        optimizer: A Keras optimiser or its name; Adam if left out. Its own learning rate plays no part.
        loss: A Keras loss or its name; what the definition's head asks for if left out.
        loss_weights: How much the loss of each output counts, by the name of the output; 1 for those left out.
        verbose: 1 for a progress bar, 2 for lines, 0 for silence; `"auto"` for a bar on a screen and lines in a file.

    Returns:
        Rates, losses and a suggestion, which is where to start looking: a constant rate may be as large, the peak of
        a cycle a few times larger. `.plot()` draws them.

    Raises:
        TypeError: `net` or `data` is of no kind that is known.
        ValueError: The rates do not rise, an argument makes no sense, or there is no finite loss.
        DefinitionError: The definition does not fit the data.
        TokenIdError: An embedding has no row for a token id in the data.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = np.random.default_rng(0).random((64, 4)), np.arange(64) % 2
        >>> found = dk.find_learning_rate(dk.Sequential([dk.MLP([8]), dk.Classifier(2)]), (x, y), steps=20, verbose=0)
        >>> round(float(found.rates[0]), 6), found.rates.shape == found.losses.shape
        (1e-06, True)
        >>> figure = found.plot()
    """
    _check(smallest, largest, steps, plan)
    verbose = resolve_verbose(verbose)
    once = {"steps_per_execution": 1, "measure": False, "undecided": ()}
    plan = (plan or current() or make_plan()).replace(reason="a learning rate lasts one step", **once)
    feed = make_training_data(data, None, batch_size, plan).with_target(training_target(net))
    rates = np.geomspace(smallest, largest, steps)
    if verbose:
        echo(f"learning rates from {smallest:g} to {largest:g} in {steps} steps")
    compiled = {"optimizer": optimizer, "loss": loss, "metrics": None, "loss_weights": loss_weights}
    trial = Trial(net, feed, plan, compiled, feed.single_epoch())
    with _lent(trial.model) as set_rate:
        rise = _Rise(rates, set_rate)
        trial.train(_endless(feed), steps, rise, verbose=1 if verbose == 1 else 0)
    found = _result(rates, rise)
    if verbose:
        echo(str(found))
    return found


def steepest(rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray) -> float | None:
    """Return the rate at which the smoothed loss falls most, before its least value; the rates rise by equal factors.

    None where it falls by no more than chance may make: twice the standard deviation of the losses around it.
    """
    lowest = int(np.argmin(smoothed))
    fall, chance = smoothed[0] - smoothed[lowest], np.std((losses - smoothed)[: lowest + 1])
    if lowest == 0 or fall <= _CHANCE * chance:
        return None
    return float(rates[int(np.argmin(np.gradient(smoothed)[:lowest]))])


def smooth(losses: np.ndarray, steps: int) -> np.ndarray:
    """Return means of neighbouring losses, weighted with a Gaussian; `steps` is how many were asked for."""
    places = np.arange(len(losses))
    deviation = max(1.0, _WIDTH * steps)
    weights = np.exp(-0.5 * np.square((places[:, None] - places) / deviation))
    return weights @ losses / weights.sum(axis=1)


class _Rise(keras.callbacks.Callback):
    """Sets the learning rate of each step, notes its loss, and ends the training when that explodes."""

    def __init__(self, rates: np.ndarray, set_rate: Any) -> None:
        super().__init__()
        self.rates, self.losses, self.stopped = rates, [], ""  # type: np.ndarray, list[float], str
        self._set_rate, self._least = set_rate, math.inf

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate; forget the losses before, whose mean Keras would report."""
        self._set_rate(self.rates[batch])
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the loss."""
        loss = reported_loss(logs or {})
        if not math.isfinite(loss):
            self._stop(f"the loss is {loss} at {self.rates[batch]:.2g}")
            return
        self.losses.append(loss)
        recent = float(np.median(self.losses[-_WINDOW:]))
        if len(self.losses) >= _WINDOW:
            self._least = min(self._least, recent)
            if recent > self._least + _EXPLODED * max(abs(self._least), self.losses[0] - self._least):
                self._stop(f"the loss explodes at {self.rates[batch]:.2g}")

    def _stop(self, why: str) -> None:
        self.stopped = why
        self.model.stop_training = True


class _Held(keras.optimizers.schedules.LearningRateSchedule):
    """In place of a schedule, whatever the step: the rate of a variable."""

    def __init__(self, rate: keras.Variable) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, step: Any) -> Any:
        """Return the rate."""
        return keras.ops.convert_to_tensor(self.rate)

    def get_config(self) -> dict[str, Any]:
        """Return nothing: it is never saved."""
        return {}


@contextlib.contextmanager
def _lent(model: keras.Model) -> Iterator[Any]:
    """Borrow what a training changes besides variables; yield a function that sets the learning rate of a step."""
    kept = {name: vars(model)[name] for name in _LENT if name in vars(model)}
    metrics = len(model.metrics_variables)
    model.train_function, model.steps_per_execution = None, 1
    settable, schedules = [], []
    held = keras.Variable(0.0, trainable=False, dtype="float32", name="held_rate")
    for optimizer in state.optimizers(model):
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        own = inner._learning_rate  # Keras hands out its value only, and a schedule must be put back itself
        if isinstance(own, keras.Variable):
            settable.append(own)
        else:
            schedules.append((inner, own))
            inner.learning_rate = _Held(held)

    def set_rate(rate: float) -> None:
        for variable in (held, *settable):
            variable.assign(rate)

    try:
        yield set_rate
    finally:
        if len(model.metrics_variables) > metrics:  # made by the first step, so that nothing was kept of them
            model.reset_metrics()
        for inner, own in schedules:
            inner.learning_rate = own
        for name in _LENT:
            if name in kept:
                setattr(model, name, kept[name])
            elif name in vars(model):
                delattr(model, name)


def _endless(feed: TrainingData) -> Any:
    return feed.train.epochs() if isinstance(feed.train, Pipeline) else feed.train.repeat()


def _result(rates: np.ndarray, rise: _Rise) -> LearningRateTest:
    done = len(rise.losses)
    if not done:
        raise ValueError(
            f"find_learning_rate: {rise.stopped or 'there was no step'}, the smallest rate\n"
            "  hint: a smaller one, or look for NaN in the data"
        )
    losses = np.array(rise.losses)
    smoothed = smooth(losses, len(rates))
    return LearningRateTest(rates[:done], losses, smoothed, steepest(rates[:done], losses, smoothed), rise.stopped)


def _check(smallest: Any, largest: Any, steps: Any, plan: Any) -> None:
    if not 0 < smallest < largest < math.inf:
        raise ValueError(
            f"find_learning_rate: expected 0 < smallest < largest, received {smallest!r} and {largest!r}\n"
            "  hint: smallest=1e-6, largest=10.0"
        )
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 2 * _WINDOW:
        raise ValueError(f"steps={steps!r}: expected a whole number from {2 * _WINDOW}\n  hint: steps=100")
    if plan is not None and not isinstance(plan, Plan):
        raise TypeError(f"plan: expected a Plan, received {type(plan).__name__}\n  hint: plan=dk.plan(...)")
