"""Bidirectional unrolled recurrent layers that mask the correct steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
from keras import ops

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class UnrolledBidirectional(keras.layers.Bidirectional):
    """A `keras.layers.Bidirectional` of unrolled layers that return sequences, with a correct mask.

    Keras sets the outputs of masked steps to zero. In the backward layer of an unrolled pair it uses the mask in
    forward order, so that unmasked steps become zeros. In this layer both directions repeat their last output in
    masked steps, and the merged outputs of those steps are set to zero. `dk.Recurrent` uses this layer if needed.

    Args:
        layer: The forward layer.
        kwargs: Further arguments of `keras.layers.Bidirectional`.

    Call arguments:
        sequences: Tensor of shape `(batch, steps, features)`.
        initial_state: List of initial states, forward before backward.
        mask: Boolean tensor of shape `(batch, steps)`.
        training: Whether dropout is active.

    Input shape:
        `(batch, steps, features)`, with a known number of steps.

    Output shape:
        The output shape of `keras.layers.Bidirectional`.

    Examples:
        >>> import deepkit as dk
        >>> import keras
        >>> layer = dk.layers.UnrolledBidirectional(
        ...     keras.layers.GRU(4, return_sequences=True, unroll=True)
        ... )
        >>> layer(keras.Input((6, 3))).shape
        (None, 6, 8)
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: object) -> None:
        super().__init__(layer, **kwargs)
        self.forward_layer.zero_output_for_mask = self.backward_layer.zero_output_for_mask = False

    def call(
        self,
        sequences: Tensor,
        initial_state: Sequence[Tensor] | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        """Run both directions, and set the outputs of masked steps to zero."""
        result = super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        if mask is None or not self.return_sequences:
            return result
        outputs = list(result) if isinstance(result, list | tuple) else [result]  # outputs before states
        unmasked = ops.expand_dims(ops.cast(mask, "bool"), 2)
        for i in range(2 if self.merge_mode is None else 1):
            outputs[i] = ops.where(unmasked, outputs[i], ops.zeros_like(outputs[i]))
        return tuple(outputs) if isinstance(result, list | tuple) else outputs[0]
