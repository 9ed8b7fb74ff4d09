"""Multi-head attention over another sequence, with a correct symbolic shape of its attention scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor


@keras.saving.register_keras_serializable(package="deepkit")
class MultiHeadCrossAttention(keras.layers.MultiHeadAttention):
    """A `keras.layers.MultiHeadAttention` that infers the shape of its attention scores correctly.

    On symbolic tensors Keras infers the shape `(batch, heads, queries, queries)`, even if the value has another number
    of steps than the query, so that no layer that depends on this shape can follow. Nothing else differs: the
    arguments are those of `keras.layers.MultiHeadAttention`.

    Call arguments:
        query: Tensor of shape `(batch, queries, features)`.
        value: Tensor of shape `(batch, steps, features)`, of any width.
        return_attention_scores: Whether to return `(output, scores)` instead of the output.

    Input shape:
        Query `(batch, queries, features)` and value `(batch, steps, features)`.

    Output shape:
        The shape of the query; the scores have the shape `(batch, heads, queries, steps)`.

    Examples:
        >>> import keras
        >>> from deepkit.layers import MultiHeadCrossAttention
        >>> layer = MultiHeadCrossAttention(2, key_dim=8)
        >>> query, value = keras.Input((5, 16)), keras.Input((49, 32))
        >>> layer(query, value, return_attention_scores=True)[1].shape
        (None, 2, 5, 49)
    """

    def compute_output_spec(
        self,
        query: KerasTensor,
        value: KerasTensor,
        *args: object,
        return_attention_scores: bool = False,
        **kwargs: object,
    ) -> KerasTensor | tuple[KerasTensor, KerasTensor]:
        """Return the symbolic output, with the attention scores if requested."""
        output = super().compute_output_spec(query, value, *args, **kwargs)
        if not return_attention_scores:
            return output
        shape = (query.shape[0], self.num_heads, query.shape[1], value.shape[1])
        return output, keras.KerasTensor(shape, dtype=self.compute_dtype)
