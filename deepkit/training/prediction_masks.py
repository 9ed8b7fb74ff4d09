"""Predictions with masks: which steps of a sequence are padding, for outputs that classify each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from deepkit.definition.objective import Head
from deepkit.training.output_heads import named_outputs

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested, Tensor


class MaskedPredictor(keras.Model):
    """A model that returns the outputs of another one and their masks, so that the data is read once.

    Args:
        model: A Functional model.
        names: Names of the outputs whose masks are returned, as `named_outputs` has them.
    """

    def __init__(self, model: keras.Model, names: tuple[str, ...]) -> None:
        super().__init__(autocast=False)
        self.model = model
        self.run_eagerly, self.jit_compile = model.run_eagerly, model.jit_compile
        self._names = names
        self._positions = {name: position for position, name in enumerate(named_outputs(model))}
        self.built = True

    def call(self, inputs: Nested) -> dict[str, Any]:
        """Return the outputs, and the masks by name."""
        outputs = self.model(inputs, training=False)
        masks = {name: getattr(self._select(outputs, name), "_keras_mask", None) for name in self._names}
        return {"outputs": outputs, "masks": {name: mask for name, mask in masks.items() if mask is not None}}

    def predict_arrays(self, batches: Dataset, verbose: int | str) -> tuple[Any, dict[str, np.ndarray]]:
        """Return the outputs and the masks of all batches; sequences are padded to the longest one.

        Args:
            batches: Batches of inputs.
            verbose: As for `keras.Model.predict`.
        """
        results = self.predict(batches, verbose=verbose)
        masks = {name: _padded(mask) for name, mask in results["masks"].items()}
        return keras.tree.map_structure(_padded, results["outputs"]), masks

    def _select(self, outputs: Any, name: str) -> Tensor:
        """Return one output by its name, or by its position in a list."""
        if isinstance(outputs, Mapping):
            return outputs[name]
        return outputs[self._positions[name]] if isinstance(outputs, list | tuple) else outputs


def masked_predictor(model: keras.Model, heads: Mapping[str, Head]) -> MaskedPredictor | None:
    """Return a model that predicts the masks too, or None if no output classifies each step of a masked sequence.

    Args:
        model: The trained model.
        heads: The head of each output by name, `""` for a single output.
    """
    names = tuple(
        name
        for name, tensor in named_outputs(model).items()
        if name in heads
        and heads[name].task != "regression"
        and len(tensor.shape) > 2
        and getattr(tensor, "_keras_mask", None) is not None
    )
    if not names:
        return None
    with model.distribute_strategy.scope():
        return MaskedPredictor(model, names)


def _padded(value: np.ndarray | tf.RaggedTensor) -> np.ndarray:
    """Return an array; Keras returns a ragged tensor if the batches have different lengths."""
    return np.asarray(value.to_tensor() if isinstance(value, tf.RaggedTensor) else value)
