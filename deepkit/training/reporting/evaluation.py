"""The evaluation of a trained model for its report: predictions and labels of a bounded number of examples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from deepkit.data import Pipeline
from deepkit.definition.objective import Head
from deepkit.training.output_heads import named_outputs
from deepkit.training.predictions import ClassPrediction, readable_predictions
from deepkit.visualize.model_inputs import iterate_batches, with_string_tensors

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset
    from deepkit.visualize.model_inputs import Batch

MAX_EXAMPLES = 10_000
"""The largest number of examples that a report evaluates."""

NUM_EXAMPLES = 16
"""Number of examples with the largest errors that a report shows."""

_MAX_VALUES = 2**24  # predicted numbers of one output
_SEED = 0  # of the choice of the examples
_MIN_PROBABILITY = 1e-30


@dataclass(frozen=True)
class Example:
    """An example with a large error.

    Args:
        inputs: The input of the model, without the batch axis.
        label: The label, as `OutputEvaluation.labels` contains it.
        prediction: The prediction, as `OutputEvaluation.predictions` contains it.
        error: The loss of a classifier, the absolute error of a regression.
    """

    inputs: Any
    label: np.ndarray
    prediction: np.ndarray
    error: float


@dataclass(frozen=True)
class OutputEvaluation:
    """Labels and predictions of one output.

    Args:
        head: The task of the output.
        labels: Class indices `(examples,)`, zeros and ones `(examples, units)` of a multi-label head, or numbers
            `(examples, units)`. The positions of sequences and images count as examples; masked positions are left
            out.
        predictions: Probabilities `(examples, classes)`, or numbers `(examples, units)`.
        stddev: The predicted standard deviations `(examples, units)` of a Gaussian head, else None.
        worst: The examples with the largest errors, the largest first: of a classifier only misclassified ones. Empty
            if there is a prediction for each position.
        has_positions: Whether there is a prediction for each position of an example.
    """

    head: Head
    labels: np.ndarray
    predictions: np.ndarray
    stddev: np.ndarray | None = None
    worst: tuple[Example, ...] = ()
    has_positions: bool = False


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of all outputs on the same examples.

    Args:
        outputs: The evaluation of each output by name, `""` for a single output.
        num_examples: Number of examples that were evaluated.
        total: Number of examples of the data; None if it is unknown.
        is_random: Whether the examples were chosen at random; else they are the first ones.
    """

    outputs: dict[str, OutputEvaluation]
    num_examples: int
    total: int | None
    is_random: bool = False
    is_complete: bool = True

    def describe(self, split: str) -> str:
        """Return a sentence about the number of examples."""
        if self.is_complete:
            return f"Evaluated on all {self.num_examples:,} examples of the {split} data."
        total = "" if self.total is None else f" of {self.total:,}"
        kind = "randomly chosen" if self.is_random else "the first"
        if self.is_random:
            return f"Evaluated on {self.num_examples:,}{total} examples of the {split} data, {kind} to limit the time."
        return f"Evaluated on {kind} {self.num_examples:,}{total} examples of the {split} data, to limit the time."


@dataclass
class _Collector:
    """Labels, predictions and worst examples of one output, batch after batch."""

    head: Head
    labels: list[np.ndarray] = field(default_factory=list)
    predictions: list[np.ndarray] = field(default_factory=list)
    stddev: list[np.ndarray] = field(default_factory=list)
    worst: list[Example] = field(default_factory=list)
    has_positions: bool = False
    scale: np.ndarray | None = None
    num_values: int = 0

    def add(self, x: Batch, labels: Any, outputs: Any) -> None:
        """Add a batch; raise a ValueError if the labels do not fit the outputs."""
        mask = getattr(outputs, "_keras_mask", None)
        prediction = readable_predictions(np.asarray(outputs), [""], {"": self.head}, ())
        stddev = None
        if isinstance(prediction, ClassPrediction):
            values = prediction.probabilities
        elif isinstance(prediction, tuple):
            values, stddev = prediction
        else:
            values = prediction
        targets = _targets(np.asarray(labels), values, self.head)
        self.num_values += values.size
        if values.ndim > 2:
            self.has_positions = True
            unmasked = slice(None) if mask is None else np.asarray(mask).astype(bool).reshape(-1)
            values = values.reshape(-1, values.shape[-1])[unmasked]
            targets = (
                targets.reshape(-1, values.shape[-1])[unmasked] if self._has_units else targets.reshape(-1)[unmasked]
            )
            stddev = None if stddev is None else stddev.reshape(-1, values.shape[-1])[unmasked]
        else:
            self._add_worst(x, targets, values)
        self.labels.append(targets)
        self.predictions.append(values)
        if stddev is not None:
            self.stddev.append(stddev)

    def result(self) -> OutputEvaluation:
        """Return the evaluation of the output."""
        return OutputEvaluation(
            self.head,
            np.concatenate(self.labels),
            np.concatenate(self.predictions),
            np.concatenate(self.stddev) if self.stddev else None,
            tuple(self.worst),
            self.has_positions,
        )

    @property
    def _has_units(self) -> bool:
        return self.head.task in ("regression", "multilabel")

    def _add_worst(self, x: Batch, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Keep the examples of a batch whose errors are among the largest."""
        errors = self._errors(labels, predictions)
        for index in np.argsort(-errors, kind="stable")[:NUM_EXAMPLES]:
            error = float(errors[index])
            is_full = len(self.worst) == NUM_EXAMPLES
            if not math.isfinite(error) or (is_full and error <= self.worst[-1].error):
                break
            inputs = keras.tree.map_structure(lambda array, i=int(index): np.array(np.asarray(array)[i]), x)
            self.worst.append(Example(inputs, labels[index], predictions[index], error))
            self.worst = sorted(self.worst, key=lambda example: -example.error)[:NUM_EXAMPLES]

    def _errors(self, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return the error of each example; -infinity for a correct class."""
        if self.head.task == "regression":
            if self.scale is None:  # several outputs may have different units
                deviation = labels.std(0)
                self.scale = np.where(deviation > 0, deviation, 1.0) if labels.shape[1] > 1 else np.ones(1)
            return (np.abs(labels - predictions) / self.scale).mean(1)
        if self.head.task == "multilabel":
            correct = np.where(labels > 0.5, predictions, 1 - predictions)
            loss = -np.log(np.maximum(correct, _MIN_PROBABILITY)).mean(1)
            return np.where(((predictions > 0.5) == (labels > 0.5)).all(1), -np.inf, loss)
        loss = -np.log(np.maximum(predictions[np.arange(len(labels)), labels], _MIN_PROBABILITY))
        return np.where(predictions.argmax(1) == labels, -np.inf, loss)


def evaluate_outputs(model: keras.Model, data: Dataset, heads: Mapping[str, Head]) -> Evaluation:
    """Evaluate a model on at most `MAX_EXAMPLES` examples.

    Args:
        model: A trained model that predicts the labels of its inputs.
        data: Batches (x, y) or (x, y, sample_weight).
        heads: The head of each output by name, `""` for a single output; other outputs are not evaluated.

    Raises:
        ValueError: The data is infinite or has no batch, or the labels do not fit.
    """
    total = data.num_examples if isinstance(data, Pipeline) else None
    is_random = total is not None and total > MAX_EXAMPLES
    if isinstance(data, Pipeline) and is_random:
        data = data.in_random_order(_SEED)
    collectors = {name: _Collector(head) for name, head in heads.items()}
    num_examples, is_complete = 0, True
    for x, y in iterate_batches(data, "report"):
        if num_examples >= MAX_EXAMPLES or max(c.num_values for c in collectors.values()) >= _MAX_VALUES:
            is_complete = False
            break
        outputs = _predict(model, x, has_positions=_has_positions(model, heads))
        for name, collector in collectors.items():
            collector.add(x, _select(model, y, name), _select(model, outputs, name))
        num_examples += len(keras.tree.flatten(x)[0])
    if not num_examples:
        raise ValueError("report: the data has no batch")
    results = {name: collector.result() for name, collector in collectors.items()}
    return Evaluation(results, num_examples, total, is_random, is_complete)


def first_examples(data: Dataset, count: int) -> Any:
    """Return the inputs of the first examples, `(count, ...)`, in their structure."""
    batches: list[Any] = []
    num_examples = 0
    for batch in data:
        x = batch[0] if isinstance(batch, tuple) else batch
        batches.append(x)
        num_examples += len(keras.tree.flatten(x)[0])
        if num_examples >= count:
            break
    return keras.tree.map_structure(lambda *leaves: np.concatenate([np.asarray(a) for a in leaves])[:count], *batches)


def _predict(model: keras.Model, x: Batch, has_positions: bool) -> Any:
    """Return the outputs of a batch, with their masks if there is one for each position."""
    inputs = with_string_tensors(x)
    return model(inputs, training=False) if has_positions else model.predict_on_batch(inputs)


def _has_positions(model: keras.Model, heads: Mapping[str, Head]) -> bool:
    shapes = {name: tuple(tensor.shape) for name, tensor in named_outputs(model).items()}
    return any(len(shapes.get(name, ())) - (head.distribution is not None) > 2 for name, head in heads.items())


def _select(model: keras.Model, value: Any, name: str) -> Any:
    """Return the outputs or the labels of one output."""
    if isinstance(value, Mapping):
        return value[name] if name in value else next(iter(value.values()))
    if isinstance(value, list | tuple):
        names = list(named_outputs(model))
        return value[names.index(name)] if len(value) > 1 else value[0]
    return value


def _targets(labels: np.ndarray, values: np.ndarray, head: Head) -> np.ndarray:
    """Return labels in the shape of the predictions, or class indices without the axis of the classes."""
    if head.task in ("regression", "multilabel"):
        return labels.reshape(values.shape).astype("float64")
    if head.one_hot:
        return labels.argmax(-1)
    numbers = labels.reshape(values.shape[:-1])
    indices = numbers.astype("int64")
    if (indices != numbers).any() or indices.min(initial=0) < 0 or indices.max(initial=0) >= values.shape[-1]:
        raise ValueError(f"report: expected class indices in [0, {values.shape[-1]})")
    return indices
