"""Checks of the values of every batch: finite inputs, and sample weights of at least 0.

A finite loss can hide NaN in the inputs: ReLU turns NaN into 0 on a CPU. Arrays are checked once, in memory; batches
of other data are checked in the data pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data import Pipeline
from deepkit.training.input_rules import check_finite_array
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested, Tensor

_MARK = "values do not fit"
_NUMBER = r"-?(?:[\d.]+(?:e[+-]?\d+)?|nan|inf)"
_INVALID_VALUE = re.compile(
    rf"\[{_MARK}\] \[(?P<title>[^]]*)\] \[(?P<source>[^]]*)\] \[(?P<index>\d+)\] \[(?P<value>{_NUMBER})\]"
)
_WEIGHTS = "sample_weight"


@dataclass(frozen=True)
class ValueCheck:
    """The check of the values of a dataset.

    Args:
        source: The argument that contains the data: `"data"`, `"validation_data"` or `"x"`.
        finite_inputs: The names of the inputs that must be finite; `""` for a single input.
    """

    source: str
    finite_inputs: Sequence[str] = ()

    def check(self, batches: Dataset) -> Dataset:
        """Return batches with assertions about their values; arrays of a pipeline are checked at once.

        Raises:
            ValueError: An array of a pipeline contains NaN or infinity.
        """
        if isinstance(batches, Pipeline):
            for name, array in self._inputs(batches.unscaled_arrays()):
                if isinstance(array, np.ndarray):
                    check_finite_array(array, name or "x", self.source)
            return batches
        specs = batches.element_spec
        has_weights = isinstance(specs, tuple) and len(specs) > 2
        if not has_weights and not self._inputs(specs[0] if isinstance(specs, tuple) else specs):
            return batches
        return batches.map(self._check_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    @tf.autograph.experimental.do_not_convert
    def _check_batch(self, *batch: Nested) -> object:
        for name, x in self._inputs(batch[0]):
            if isinstance(x, tf.Tensor) and x.dtype.is_floating:
                self._assert_valid(name or "x", x, tf.math.is_finite(x))
        for weights in tf.nest.flatten(batch[2]) if len(batch) > 2 else ():
            if isinstance(weights, tf.Tensor) and weights.dtype.is_floating:
                self._assert_valid(_WEIGHTS, weights, tf.math.is_finite(weights) & (weights >= 0))
            elif isinstance(weights, tf.Tensor) and weights.dtype.is_integer:
                self._assert_valid(_WEIGHTS, weights, weights >= 0)
        return batch if len(batch) > 1 else batch[0]

    def _inputs(self, x: Any) -> list[tuple[str, Any]]:
        """Return name and value of each input that must be finite."""
        if isinstance(x, Mapping):
            is_single = tuple(self.finite_inputs) == ("",) and len(x) == 1
            return list(x.items()) if is_single else [(name, x[name]) for name in self.finite_inputs if name in x]
        return [("", x)] if tuple(self.finite_inputs) == ("",) else []

    def _assert_valid(self, title: str, values: Tensor, is_valid: Tensor) -> None:
        def raise_invalid() -> Tensor:
            position = tf.where(tf.logical_not(is_valid))[0]
            value = tf.cast(tf.gather_nd(values, position), tf.float64)
            assertion = tf.debugging.Assert(False, [_MARK, title, self.source, position[0], value])
            with tf.control_dependencies([assertion]):
                return tf.constant(True)

        tf.cond(tf.reduce_all(is_valid), lambda: tf.constant(True), raise_invalid)


def explain_error(error: Exception, restored_state: str = "") -> Exception | None:
    """Return a `ValueError` for a TensorFlow error about values; None for any other error.

    Args:
        error: The error.
        restored_state: A clause that names the state to which a model was restored.
    """
    match = _INVALID_VALUE.search(str(error))
    if match is None:
        return None
    is_weight = match["title"] == _WEIGHTS
    expected = "weights of at least 0 as" if is_weight else "finite numbers in"
    hint = (
        "use 0 for an example that must not count" if is_weight else "fill the missing values or remove these examples"
    )
    problem = (
        f"{match['source']}: expected {expected} {match['title']}, received {float(match['value']):g} (at index "
        f"{match['index']} of a batch)"
    )
    return make_error(ValueError, problem + (f"; {restored_state}" if restored_state else ""), hint=hint)
