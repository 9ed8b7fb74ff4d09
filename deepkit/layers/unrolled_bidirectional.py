"""Both directions of an unrolled recurrent layer, with the mask on the right steps."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="deepkit")
class UnrolledBidirectional(keras.layers.Bidirectional):
    """A `keras.layers.Bidirectional` of unrolled layers that return sequences, with a mask.

    Keras sets the outputs of masked steps to zero, and does so in the backward layer of an unrolled pair with the
    mask of the forward order, so that steps that count become zeros. Here the layers hold their last output in
    masked steps, and the merged outputs of those steps are set to zero. `dk.Recurrent` takes this layer where it is
    needed.

    Args:
        layer: The forward layer.
        kwargs: Further arguments of `keras.layers.Bidirectional`.

    Input shape:
        `(batch, steps, features)`, with a known number of steps.

    Output shape:
        That of `keras.layers.Bidirectional`.

    Examples:
        >>> import deepkit as dk
        >>> import keras
        >>> layer = dk.layers.UnrolledBidirectional(keras.layers.GRU(4, return_sequences=True, unroll=True))
        >>> layer(keras.Input((6, 3))).shape
        (None, 6, 8)
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.forward_layer.zero_output_for_mask = self.backward_layer.zero_output_for_mask = False

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        """Run both directions, and set the outputs of masked steps to zero."""
        found = super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        if mask is None or not self.return_sequences:
            return found
        outputs = list(found) if isinstance(found, list | tuple) else [found]
        kept = ops.expand_dims(ops.cast(mask, "bool"), 2)
        for i in range(2 if self.merge_mode is None else 1):
            outputs[i] = ops.where(kept, outputs[i], ops.zeros_like(outputs[i]))
        return tuple(outputs) if isinstance(found, list | tuple) else outputs[0]
