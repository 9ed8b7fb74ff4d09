"""Attention maps: the attention weights of a decoder with the tokens of both texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The attention weights of one pair of texts: a row for each target token and one for the end.

    `model.attention_maps` and `model.translate(..., return_attention=True)` of a `dk.Seq2Seq` return it;
    `dk.visualize.attention` draws it.

    Args:
        weights: Array of shape (target tokens + 1, source tokens), each row with sum 1.
        source: The source tokens.
        target: The target tokens, and `""` for the end.

    Examples:
        >>> import deepkit as dk
        >>> text = dk.Text(6, vocabulary=("a", "dog", "runs"))
        >>> model = dk.Seq2Seq(
        ...     text,
        ...     embedding_dim=4,
        ...     encoder=dk.BiLSTM(4),
        ...     decoder=dk.Recurrent("lstm", 8),
        ...     attention="additive",
        ... ).build()
        >>> [attention] = model.attention_maps(["a dog runs"], ["runs"])
        >>> attention.weights.shape, attention.source, attention.target
        ((2, 3), ['a', 'dog', 'runs'], ['runs', ''])
    """

    weights: np.ndarray
    source: list[str]
    target: list[str]


@dataclass(frozen=True, eq=False)
class ImageAttentionMap:
    """The attention weights of one image and its caption: a map for each token of the caption and one for the end.

    `model.attention_maps` and `model.caption(..., return_attention=True)` of a `dk.Captioner` return it;
    `dk.visualize.attention(map.weights, image=image, target=map.target, grid=map.weights.shape[1:])` draws it.

    Args:
        weights: Array of shape (target tokens + 1, height, width), each map with sum 1.
        target: The tokens of the caption, and `""` for the end.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> model = dk.Captioner(
        ...     [dk.ConvStack(8)],
        ...     text=dk.Text(6, vocabulary=("a", "red", "dog")),
        ...     embedding_dim=4,
        ...     decoder=dk.Recurrent("gru", 8),
        ... ).build((16, 16, 3))
        >>> image = np.zeros((1, 16, 16, 3), "float32")
        >>> [attention] = model.attention_maps(image, ["a dog"])
        >>> attention.weights.shape, attention.target
        ((3, 8, 8), ['a', 'dog', ''])
    """

    weights: np.ndarray
    target: list[str]


def attention_map(
    weights: np.ndarray,
    source_ids: np.ndarray,
    target_ids: np.ndarray,
    *,
    source_vocabulary: np.ndarray,
    target_vocabulary: np.ndarray,
    is_reversed: bool,
) -> AttentionMap:
    """Return the attention map of one pair of a batch, without padding.

    Args:
        weights: Attention weights, `(target steps + 1, source steps)`.
        source_ids: Ids of the source, `(source steps,)`.
        target_ids: Ids of the target, `(target steps,)`.
        source_vocabulary: The word of each source id.
        target_vocabulary: The word of each target id.
        is_reversed: Whether the source ids are in reverse order; the map has the order of the text.
    """
    source_length, target_length = np.count_nonzero(source_ids), np.count_nonzero(target_ids)
    weights, source_ids = weights[: target_length + 1, :source_length], source_ids[:source_length]
    if is_reversed:
        weights, source_ids = weights[:, ::-1], source_ids[::-1]
    target = target_vocabulary[target_ids[:target_length]].tolist()
    return AttentionMap(weights, source_vocabulary[source_ids].tolist(), [*target, ""])


def mean_over_heads(weights: np.ndarray, *, rank: int = 3) -> np.ndarray:
    """Return attention weights `(batch, [heads,] steps, ...)` in float32, as the mean over the heads if there are any.

    Args:
        weights: The weights.
        rank: Number of axes of weights without heads.
    """
    weights = weights.astype("float32")
    return weights.mean(axis=1) if weights.ndim > rank else weights
