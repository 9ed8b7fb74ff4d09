"""Merges of masked and unmasked tensors."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
from keras import ops

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class MaskedMerge(keras.layers.Wrapper):
    """A Keras merging layer whose output keeps the mask if only some of the inputs have one.

    The output of Keras's layer has no mask in this case, or, of a concatenation, a mask without masked steps. Here a
    step is masked if every input that has a mask masks it, and inputs without a mask do not count. If all inputs have
    a mask, this is Keras's rule. `dk.Merge` and the other blocks use this layer if needed.

    Args:
        layer: The merging layer, which neither joins nor removes steps: `keras.layers.Add()`,
            `keras.layers.Concatenate()`.
        kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: List of tensors, each with a mask or without one.

    Input shape:
        List of shapes `(batch, steps, ...)`.

    Output shape:
        The output shape of the merging layer.

    Examples:
        >>> import deepkit as dk
        >>> import keras
        >>> from keras import layers
        >>> words = layers.Embedding(100, 8, mask_zero=True)(
        ...     keras.Input((None,), dtype="int32")
        ... )
        >>> segments = layers.Embedding(2, 8)(keras.Input((None,), dtype="int32"))
        >>> layers.LSTM(4)(dk.layers.MaskedMerge(layers.Add())([words, segments])).shape
        (None, 4)
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: object) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Merge; the `call` of the layer, unlike a call of the layer, sets no mask on the output."""
        return self.layer.call(inputs)

    def compute_mask(self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None) -> Tensor | None:
        """Return the union of the unmasked steps of all inputs with a mask."""
        masks = [step_mask for step_mask in mask or () if step_mask is not None]
        return functools.reduce(ops.logical_or, masks) if masks else None

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """Return the output shape."""
        return self.layer.compute_output_shape(input_shape)
