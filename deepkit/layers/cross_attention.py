"""Multi-head attention over another sequence whose weights can be worked with."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="deepkit")
class MultiHeadCrossAttention(keras.layers.MultiHeadAttention):
    """A `keras.layers.MultiHeadAttention` that knows the shape of its weights over another sequence.

    Keras says that the weights are `(batch, heads, queries, queries)` before it computes them, also where the memory
    has another number of places; no layer can then follow that looks at their shape. Nothing else differs: the
    arguments are those of `keras.layers.MultiHeadAttention`.

    Call arguments:
        query: The queries.
        value: The memory.
        return_attention_scores: Whether the weights come out too.

    Input shape:
        Query `(batch, queries, features)` and memory `(batch, places, features)`, of any widths.

    Output shape:
        That of the query; the weights `(batch, heads, queries, places)`.

    Examples:
        >>> import keras
        >>> from deepkit.layers import MultiHeadCrossAttention
        >>> layer = MultiHeadCrossAttention(2, key_dim=8)
        >>> asked, seen = keras.Input((5, 16)), keras.Input((49, 32))
        >>> layer(asked, seen, return_attention_scores=True)[1].shape
        (None, 2, 5, 49)
    """

    def compute_output_spec(
        self, query: Any, value: Any, *args: Any, return_attention_scores: bool = False, **kwargs: Any
    ) -> Any:
        """Return the shapes of the output and of the weights."""
        output = super().compute_output_spec(query, value, *args, **kwargs)
        if not return_attention_scores:
            return output
        shape = (query.shape[0], self.num_heads, query.shape[1], value.shape[1])
        return output, keras.KerasTensor(shape, dtype=self.compute_dtype)
