"""The gradient of the last output with respect to each step of a sequence, over the lag, as an array."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.utils.errors import message
from deepkit.visualize.batch_loss import restored_state
from deepkit.visualize.class_scores import GRADIENT_SCALE
from deepkit.visualize.model_inputs import accepts_run, check_batch, pack_inputs
from deepkit.visualize.nested_layers import NestedLayer, walk_layers

if TYPE_CHECKING:
    import tensorflow as tf

    from deepkit.utils.types import Nested, Tensor
    from deepkit.visualize.model_inputs import Batch

_CALLER = "gradient_over_lag"
_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)


@accepts_run
def lag_gradients(model: keras.Model, x: Batch) -> np.ndarray:
    """Return how strongly the last output of a recurrent model depends on each step before it.

    The lag of a step is its distance from the last step of the sequence. Masked steps do not count: the result is that
    of the sequences without padding.

    Reference:
        Bengio, Simard & Frasconi 1994, "Learning Long-Term Dependencies with Gradient Descent is Difficult", section
        III.

    Args:
        model: A built model with a recurrent layer: Keras's `SimpleRNN`, `GRU`, `LSTM`, `RNN` or `Bidirectional`.
            A `Run` stands for its model.
        x: A batch of sequences, as the model takes it: numbers, token ids or strings.

    Returns:
        Norms of shape `(steps,)`, by lag from 0: of the gradient of the output, summed over its units, with respect to
        a step of the sequence that enters the first recurrent layer, which is the output of the embedding for token
        ids. If the model returns sequences, it is the output at the last step. The norms are averaged over the
        examples that are long enough.

    Raises:
        TypeError: `model` is not a Keras model.
        ValueError: The model has no recurrent layer or several outputs, is not built, its output does not depend on
            the recurrent layer, or the batch does not fit.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Sequential([dk.Recurrent("simple", 8), dk.Regressor(1)]).build(
        ...     (50, 2)
        ... )
        >>> norms = dk.visualize.arrays.gradient_over_lag(model, np.ones((4, 50, 2)))
        >>> norms.shape, bool(norms[0] > norms[49])
        ((50,), True)
    """
    import tensorflow as tf

    check_batch(model, x, _CALLER)
    layers = [nested for nested in walk_layers(model) if isinstance(nested.layer, _RECURRENT)]
    with restored_state(model), tf.GradientTape(watch_accessed_variables=False) as tape:
        with _watched_sequence(layers, tape) as entered:
            output = model(pack_inputs(model, x), training=False)
        if entered.sequence is None:
            problem = f"{_CALLER}: {model.name} does not run a recurrent layer, so it has no steps to compare"
            raise ValueError(message(problem, hint="use a model with dk.Recurrent, or Keras's SimpleRNN, GRU or LSTM"))
        last = _last_output(model, output, entered.mask)
        scaled_sum = ops.sum(ops.cast(last, "float32")) * GRADIENT_SCALE
    gradient = tape.gradient(scaled_sum, entered.sequence)
    if gradient is None:
        problem = f"{_CALLER}: the output of {model.name} does not depend on the recurrent layer {entered.path!r}"
        raise ValueError(message(problem, hint="use a model whose last layers follow the recurrent one"))
    values = ops.convert_to_numpy(ops.cast(gradient, "float32")).astype("float64") / GRADIENT_SCALE
    norms = np.linalg.norm(values.reshape(*values.shape[:2], -1), axis=-1)  # (batch, steps)
    mask = np.ones(norms.shape, bool) if entered.mask is None else ops.convert_to_numpy(entered.mask).astype(bool)
    return _mean_by_lag(norms, mask)


@dataclass
class _Entered:
    """The sequence that entered the first recurrent layer, and its mask."""

    path: str = ""
    sequence: tf.Tensor | None = field(default=None)
    mask: tf.Tensor | None = None


@contextlib.contextmanager
def _watched_sequence(layers: Sequence[NestedLayer], tape: tf.GradientTape) -> Iterator[_Entered]:
    """Let a tape watch the sequence that enters the recurrent layer that is called first."""
    entered = _Entered()
    with contextlib.ExitStack() as stack:
        for nested in layers:
            stack.enter_context(_wrapped_call(nested, entered, tape))
        yield entered


@contextlib.contextmanager
def _wrapped_call(nested: NestedLayer, entered: _Entered, tape: tf.GradientTape) -> Iterator[None]:
    layer, original_call = nested.layer, nested.layer.call
    instance_call = vars(layer).get("call")

    def call(sequences: Any, *args: Any, **kwargs: Any) -> Nested:
        if entered.sequence is None:
            entered.path, entered.mask = nested.path, kwargs.get("mask")
            entered.sequence = sequences
            tape.watch(sequences)
        return original_call(sequences, *args, **kwargs)

    object.__setattr__(layer, "call", call)  # bypasses Keras, which tracks attributes set on a layer
    try:
        yield
    finally:
        if instance_call is None:
            object.__delattr__(layer, "call")
        else:
            object.__setattr__(layer, "call", instance_call)


def _last_output(model: keras.Model, output: Nested, mask: Tensor | None) -> Tensor:
    """Return the output (batch, units) of a model, that of the last unmasked step if it returns sequences."""
    tensors = keras.tree.flatten(output)
    if len(tensors) != 1:
        problem = f"{_CALLER}: expected a model with one output, {model.name} has {len(tensors)}"
        raise ValueError(message(problem, hint="use keras.Model(model.input, one of model.outputs)"))
    (tensor,) = tensors
    if len(tensor.shape) < 3:
        return tensor
    output_mask = getattr(tensor, "_keras_mask", None)
    if output_mask is None and mask is not None and mask.shape[1] == tensor.shape[1]:
        output_mask = mask
    if output_mask is None:
        return tensor[:, -1]
    last_steps = tensor.shape[1] - 1 - ops.argmax(ops.flip(ops.cast(output_mask, "int32"), axis=1), axis=1)
    selected = ops.one_hot(last_steps, tensor.shape[1], dtype=tensor.dtype)
    return ops.einsum("bt,bt...->b...", selected, tensor)


def _mean_by_lag(norms: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the mean over the examples of each number of unmasked steps before the last one."""
    length = int(mask.sum(axis=1).max())
    if length == 0:
        raise ValueError(
            message(f"{_CALLER}: every step of the batch is masked", hint="pass sequences that are not empty")
        )
    total, count = np.zeros(length), np.zeros(length)
    for values, is_step in zip(norms, mask, strict=True):
        by_lag = values[is_step][::-1]
        total[: len(by_lag)] += by_lag
        count[: len(by_lag)] += 1
    return total / count
