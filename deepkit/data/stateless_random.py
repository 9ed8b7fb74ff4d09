"""Stateless random numbers: each is a hash of the seed, the epoch and the index of the example.

A stateful generator cannot repeat the numbers of example 17 in epoch 3. A hash of (seed, epoch, index) can, in
any order and in any batch, as exact resume and batch-independent augmentation require. TensorFlow's stateless
generators take one seed per call instead of one per example, so this module computes the hash in integer
arithmetic over the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

_STEP = 0x9E3779B9  # 2**32 / golden ratio: consecutive counters land far apart before they are hashed


def hash_bits(bits: Tensor) -> Tensor:
    """Hash uint32 values with a bijection in which each input bit flips each output bit half the time.

    The multipliers and shifts are those of `lowbias32` (Chris Wellons, "Prospecting for hash functions", 2018).

    Args:
        bits: uint32 tensor of any shape.

    Returns:
        A uint32 tensor of the same shape.

    Examples:
        >>> int(hash_bits(tf.constant(1, tf.uint32))) == int(
        ...     hash_bits(tf.constant(1, tf.uint32))
        ... )
        True
    """
    bits = _xor_shift(bits, 16) * tf.constant(0x7FEB352D, tf.uint32)
    bits = _xor_shift(bits, 15) * tf.constant(0x846CA68B, tf.uint32)
    return _xor_shift(bits, 16)


def example_keys(seed: int | Tensor, epoch: int | Tensor, indices: Sequence[int] | Tensor) -> Tensor:
    """Return one key for each example of a batch.

    Args:
        seed: Integer or scalar integer tensor.
        epoch: Integer or scalar integer tensor, from 0.
        indices: Integers (batch,), the positions of the examples in the dataset.

    Returns:
        uint32 keys (batch,). A key depends on its (seed, epoch, index) only, not on its position in the batch.

    Examples:
        >>> example_keys(0, 3, [17, 4]).shape
        TensorShape([2])
    """
    keys = _hash_in(tf.constant(0, tf.uint32), seed)
    return _hash_in(_hash_in(keys, epoch), indices)


def fold_in(keys: Tensor, number: int) -> Tensor:
    """Derive independent keys, so that each augmentation of a chain draws its own numbers.

    Args:
        keys: uint32 keys (batch,).
        number: Number of the stream, from 0.

    Returns:
        uint32 keys (batch,).

    Examples:
        >>> keys = example_keys(0, 0, [1, 2])
        >>> bool(tf.reduce_any(fold_in(keys, 0) == fold_in(keys, 1)))
        False
    """
    return hash_bits(tf.bitwise.bitwise_xor(keys, tf.constant(_hashed_counters(1, number + 1)[0], tf.uint32)))


def uniform(keys: Tensor, num_values: int) -> Tensor:
    """Draw numbers uniform in [-1, 1).

    Args:
        keys: uint32 keys (batch,).
        num_values: Number of values to draw for each key.

    Returns:
        float32 (batch, num_values); 24 random bits each.

    Examples:
        >>> uniform(example_keys(0, 0, [1, 2]), 5).shape
        TensorShape([2, 5])
    """
    bits = tf.bitwise.right_shift(_random_bits(keys, num_values), tf.constant(8, tf.uint32))
    return tf.cast(tf.bitcast(bits, tf.int32), tf.float32) * (2.0 / (1 << 24)) - 1.0


def uniform_pairs(keys: Tensor, num_pairs: int) -> Tensor:
    """Draw pairs of numbers uniform in (-1, 1) with half the bits, two from each hash, for fields of noise.

    Args:
        keys: uint32 keys (batch,).
        num_pairs: Number of pairs to draw for each key.

    Returns:
        float32 (batch, num_pairs, 2); 16 random bits each, never exactly 0.

    Examples:
        >>> uniform_pairs(example_keys(0, 0, [1, 2]), 5).shape
        TensorShape([2, 5, 2])
    """
    halves = tf.cast(tf.bitcast(_random_bits(keys, num_pairs), tf.uint16), tf.float32)
    return halves * (2.0 / 65536) + (1.0 / 65536 - 1.0)


def _random_bits(keys: Tensor, num_values: int) -> Tensor:
    """Return uint32 values (batch, num_values)."""
    counters = tf.constant(_hashed_counters(num_values, 0), tf.uint32)
    return hash_bits(tf.bitwise.bitwise_xor(keys[:, None], counters[None, :]))


def _hashed_counters(count: int, stream: int) -> np.ndarray:
    """Return hashed counters (count,): with plain counters, similar keys would share some of their numbers."""
    counters = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(stream << 24)
    bits = ((counters * np.uint64(_STEP)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B)
    return bits ^ (bits >> np.uint32(16))


def _hash_in(keys: Tensor, value: int | Sequence[int] | Tensor) -> Tensor:
    """Combine keys with an integer or a tensor of integers."""
    integers = tf.convert_to_tensor(value) if tf.is_tensor(value) else np.asarray(value)
    return hash_bits(tf.bitwise.bitwise_xor(keys, tf.cast(integers, tf.uint32)) + tf.constant(_STEP, tf.uint32))


def _xor_shift(bits: Tensor, num_bits: int) -> Tensor:
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(num_bits, tf.uint32)))
