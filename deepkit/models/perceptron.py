"""The perceptron: a threshold unit that learns from its mistakes by Rosenblatt's rule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.layers.threshold import Threshold
from deepkit.utils.errors import format_value, make_error, message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_flag, check_number

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Nested, Tensor

_CALLBACKS = 3  # position of `callbacks` among the arguments of `fit` after x and y


@keras.saving.register_keras_serializable(package="deepkit")
class PerceptronModel(keras.Model):
    """A model that ends in a dense layer with one output and a threshold; `dk.Perceptron().build` returns it.

    `fit` visits the examples of a batch in their order. If the prediction is wrong, the weights of the dense layer
    change by learning_rate * (y - prediction) * x, where x is the input of the dense layer, and 1 for the bias; they do
    not change otherwise. The batch size therefore has no effect on the weights. Layers before the dense layer do not
    learn.

    `fit` reports `updates`, the number of updates in the epoch, and `accuracy`, the fraction of the examples whose
    prediction was right when they were visited. The non-trainable weight `num_updates` counts the updates since the
    beginning, also after saving and loading. The order of the examples is that of the data: pass `shuffle=False` for a
    fixed order.

    Reference:
        Rosenblatt 1958, "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain";
        Novikoff 1962, "On Convergence Proofs on Perceptrons".

    Args:
        args: Inputs and outputs, as of `keras.Model`. The output is that of a `deepkit.layers.Threshold` after a
            `keras.layers.Dense(1)`.
        learning_rate: Factor of the updates. If the weights begin at 0, it scales them and changes no prediction.
        stop_when_converged: Whether `fit` ends after an epoch without an update, after which no other would follow.
        kwargs: Further arguments of `keras.Model`.

    Input shape:
        The shape of the inputs.

    Output shape:
        `(batch, 1)`: 0 or 1.

    Raises:
        ValueError: `learning_rate` is not positive, the model ends in other layers, or another layer has trainable
            weights.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = (
        ...     np.array([[0, 0], [0, 1], [1, 0], [1, 1]]),
        ...     np.array([0, 0, 0, 1]),
        ... )  # AND
        >>> model = dk.Perceptron(stop_when_converged=True).build((2,))
        >>> model.compile()
        >>> history = model.fit(x, y, shuffle=False, epochs=100, verbose=0).history
        >>> history["updates"][-1], model.predict(x, verbose=0)[:, 0].tolist()
        (0.0, [0.0, 0.0, 0.0, 1.0])
        >>> (model.decision_function(x) >= 0).tolist()
        [False, False, False, True]
    """

    def __init__(
        self, *args: object, learning_rate: float = 1.0, stop_when_converged: bool = False, **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)
        hint = "use dk.Perceptron(learning_rate=1.0)"
        self.learning_rate = check_number(learning_rate, "PerceptronModel: learning_rate", above=0, hint=hint)
        hint = "use dk.Perceptron(stop_when_converged=True)"
        self.stop_when_converged = check_flag(stop_when_converged, "PerceptronModel: stop_when_converged", hint=hint)
        self.unit, score = _find_unit(self)
        self._submodels = _Submodels(self, score)
        self.num_updates = self.add_weight(
            name="num_updates", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self.updates_tracker = keras.metrics.Sum(name="updates")
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")

    def compile(self, optimizer: None = None, loss: None = None, **kwargs: Any) -> None:
        """Configure the training; the only arguments are `metrics` and those that concern the execution.

        Args:
            optimizer: Not supported; a perceptron learns by its own rule.
            loss: Not supported; there is no loss.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: `optimizer` or `loss` is passed, or the model is distributed over several devices.
        """
        for name, value in (("optimizer", optimizer), ("loss", loss)):
            if value is not None:
                problem = f"{name}: a perceptron learns by its own rule, received {format_value(value)}"
                hint = f"leave {name} out; dk.Perceptron(learning_rate=1.0) sets the learning rate"
                raise ValueError(message(problem, hint=hint))
        if self.distribute_strategy.num_replicas_in_sync > 1:
            problem = "a perceptron learns from one example after the other, which several devices cannot share"
            raise ValueError(message(problem, hint='use one device: dk.plan(devices="CPU:0")'))
        super().compile(optimizer=None, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does, by the perceptron rule.

        Raises:
            ValueError: A label is neither 0 nor 1, or the weights become NaN or infinite.
        """
        callbacks = [_CheckWeights(), *([_StopWhenConverged()] if self.stop_when_converged else [])]
        if len(args) > _CALLBACKS:
            args = (
                *args[:_CALLBACKS],
                keras.tree.flatten([callbacks, args[_CALLBACKS] or []]),
                *args[_CALLBACKS + 1 :],
            )
        else:
            kwargs["callbacks"] = keras.tree.flatten([callbacks, kwargs.get("callbacks") or []])
        validation_data = kwargs.get("validation_data")
        if isinstance(validation_data, tuple) and len(validation_data) > 1:
            _checked_labels(validation_data[1])
        with _label_errors():
            return super().fit(x, _checked_labels(y), *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as `keras.Model.evaluate` does.

        Raises:
            ValueError: A label is neither 0 nor 1.
        """
        with _label_errors():
            return super().evaluate(x, _checked_labels(y), *args, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train with one batch as `keras.Model.train_on_batch` does.

        Raises:
            ValueError: A label is neither 0 nor 1.
        """
        return super().train_on_batch(x, _checked_labels(y), *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate one batch as `keras.Model.test_on_batch` does.

        Raises:
            ValueError: A label is neither 0 nor 1.
        """
        return super().test_on_batch(x, _checked_labels(y), *args, **kwargs)

    def train_step(self, data: Nested) -> dict[str, Tensor]:
        """Visit the examples of a batch in their order, and update the weights after each mistake."""
        x, labels = _examples(data)
        features = ops.cast(self._submodels.features(x, training=True), self.unit.kernel.dtype)
        labels = _as_column(labels, self.unit.kernel.dtype)
        kernel, bias, mistakes = _learn(features, labels, self.unit.kernel, self.unit.bias, self.learning_rate)
        self.unit.kernel.assign(kernel)
        self.unit.bias.assign(bias)
        self.num_updates.assign_add(ops.cast(ops.sum(mistakes), "int64"))
        self.updates_tracker.update_state(mistakes)
        self.accuracy_tracker.update_state(1 - mistakes)
        predictions = ops.where(mistakes > 0, 1 - labels, labels)[:, None]
        return _without_loss(self.compute_metrics(x, labels[:, None], predictions))

    def test_step(self, data: Nested) -> dict[str, Tensor]:
        """Compare predictions with labels; the weights do not change."""
        x, labels = _examples(data)
        predictions = ops.cast(self(x, training=False), "float32")
        labels = _as_column(labels, "float32")
        self.accuracy_tracker.update_state(ops.equal(predictions[:, 0], labels))
        results = _without_loss(self.compute_metrics(x, labels[:, None], predictions))
        del results["updates"]
        return results

    def decision_function(self, x: ArrayLike) -> np.ndarray:
        """Return w x + b of each example; the prediction is 1 if it is at least 0.

        Divided by the norm of w, it is the signed distance from the separating hyperplane in the space of the features.

        Args:
            x: Examples `(batch, ...)`, or a dataset of batches.

        Returns:
            Scores `(batch,)`.
        """
        scores: Any = self._submodels.scores.predict(x, verbose=0)
        return np.asarray(scores)[:, 0]

    def get_config(self) -> dict[str, Any]:
        """Return the layers and the arguments."""
        return {
            **super().get_config(),
            "learning_rate": self.learning_rate,
            "stop_when_converged": self.stop_when_converged,
        }


class _Submodels:
    """The models of the features and of the scores; an object that Keras does not track, as their layers are known."""

    def __init__(self, model: keras.Model, score: keras.KerasTensor) -> None:
        unit: Any = score._keras_history.operation  # type: ignore[attr-defined]
        self.features = keras.Model(model.input, unit.input)
        self.scores = keras.Model(model.input, score)


class _StopWhenConverged(keras.callbacks.Callback):
    """Stops the training after an epoch without an update."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None and logs["updates"] == 0:
            self.model.stop_training = True


class _CheckWeights(keras.callbacks.Callback):
    """Raises an error if the weights are NaN or infinite: after an input that is, or for labels under XLA."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if all(np.isfinite(weight).all() for weight in self.model.unit.get_weights()):
            return
        problem = f"PerceptronModel.fit: the weights are NaN or infinite after epoch {epoch + 1}"
        hint = (
            "look for NaN and very large values in the inputs, and for labels other than 0 and 1; build the model again"
        )
        raise ValueError(message(problem, hint=hint))


def _find_unit(model: keras.Model) -> tuple[keras.layers.Dense, keras.KerasTensor]:
    """Return the dense layer at the end of a model, and its symbolic output."""
    threshold = model.outputs[0]._keras_history.operation
    score: Any = threshold.input if isinstance(threshold, Threshold) else model.outputs[0]
    unit = score._keras_history.operation
    is_unit = isinstance(unit, keras.layers.Dense) and unit.units == 1 and unit.bias is not None
    if not isinstance(threshold, Threshold) or not is_unit or len(score.shape) != 2:
        problem = f"PerceptronModel: expected a Dense(1) and a Threshold at the end, received {threshold.name!r}"
        raise ValueError(message(problem, hint="use dk.Perceptron() as the last element of a definition"))
    others = [
        weight.path for weight in model.trainable_weights if weight is not unit.kernel and weight is not unit.bias
    ]
    if others:
        problem = f"PerceptronModel: the perceptron rule does not train the layers before the unit, such as {others[0]}"
        hint = (
            "set trainable=False in these layers for fixed features, or use dk.Classifier(1) instead of dk.Perceptron"
        )
        raise ValueError(message(problem, hint=hint))
    return unit, score


def _learn(
    features: Tensor, labels: Tensor, kernel: Tensor, bias: Tensor, learning_rate: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights after the examples `(batch, n)`, and 1 for each example that was a mistake, `(batch,)`.

    Each iteration predicts all examples and jumps to the first mistake among those that were not visited, so the number
    of iterations is that of the updates, not that of the examples.
    """
    count = ops.shape(features)[0]
    positions = ops.arange(count, dtype="int32")

    def is_unfinished(start: Tensor, *weights: Tensor) -> Tensor:
        return start < count

    def visit_next_mistake(start: Tensor, w: Tensor, b: Tensor, mistakes: Tensor) -> tuple[Tensor, ...]:
        predictions = ops.cast(ops.matmul(features, w)[:, 0] + b[0] >= 0, features.dtype)
        candidates = ops.logical_and(ops.not_equal(predictions, labels), positions >= start)
        first = ops.min(ops.where(candidates, positions, count))  # `count` if there is none
        is_mistake = ops.cast(ops.equal(positions, first), features.dtype)
        error = is_mistake * (labels - predictions)
        w = w + learning_rate * ops.matmul(ops.transpose(features), error[:, None])
        return first + 1, w, b + learning_rate * ops.sum(error), mistakes + is_mistake

    state = (ops.zeros((), "int32"), ops.convert_to_tensor(kernel), ops.convert_to_tensor(bias), ops.zeros_like(labels))
    _, kernel, bias, mistakes = ops.while_loop(is_unfinished, visit_next_mistake, state)
    return kernel, bias, mistakes


def _examples(data: Nested) -> tuple[Any, Tensor]:
    """Return the inputs and the labels of a batch."""
    x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        problem = "sample_weight: the perceptron rule has no weights of examples"
        raise ValueError(message(problem, hint="leave sample_weight and class_weight out"))
    if labels is None:
        raise ValueError(message("y: a perceptron needs labels 0 and 1, received inputs only", hint="pass (x, y)"))
    return x, labels


def _as_column(labels: Tensor, dtype: str) -> Tensor:
    """Return labels as a vector; labels other than 0 and 1 raise an error when the graph runs."""
    if len(labels.shape) > 1 and labels.shape[-1] not in (1, None):
        problem = f"y: expected labels of shape (batch,) or (batch, 1), received {tuple(labels.shape)}"
        raise ValueError(message(problem, hint="use y.argmax(axis=-1) for one-hot labels of two classes"))
    values = ops.reshape(ops.cast(labels, dtype), (-1,))
    is_valid = tf.reduce_all(tf.equal(values, 0) | tf.equal(values, 1))
    with tf.control_dependencies([tf.debugging.Assert(is_valid, [_labels_message("other numbers")])]):
        return tf.where(is_valid, values, float("nan"))  # XLA compiles no assertions


@contextlib.contextmanager
def _label_errors() -> Iterator[None]:
    """Raise a `ValueError` for the assertion of labels in a graph."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        text = _labels_message("other numbers")
        if text not in str(error):
            raise
        raise make_error(ValueError, text, hint="use (y + 1) // 2 for the labels -1 and 1") from None


def _checked_labels(y: Any) -> Any:
    """Return labels after a check of their values, if they are an array, a column of a table or a list."""
    if isinstance(y, list) or (hasattr(y, "__array__") and not isinstance(y, keras.KerasTensor)):
        y = np.asarray(y)
        _check_labels(y)
    return y


def _check_labels(labels: np.ndarray) -> None:
    """Raise a `ValueError` if a label of an array is neither 0 nor 1."""
    values = np.unique(labels)
    if labels.dtype.kind in "biuf" and np.isin(values, (0, 1)).all():
        return
    raise make_error(ValueError, _labels_message(format_value(values[:5].tolist())), hint=_labels_hint(values))


def _labels_message(received: str) -> str:
    return f"y: a perceptron expects the labels 0 and 1, received {received}"


def _labels_hint(values: np.ndarray) -> str:
    if values.tolist() == [-1, 1]:
        return "use (y + 1) // 2"
    if len(values) == 2:
        return "use np.unique(y, return_inverse=True)[1], which numbers the classes from 0"
    return f"use dk.Classifier({len(values)}) for {len(values)} classes, or the labels y == c for one class c"


def _without_loss(results: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return metrics without Keras's loss, which a perceptron does not have."""
    return {name: value for name, value in results.items() if name != "loss"}
