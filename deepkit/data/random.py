"""Random numbers without state: each is a hash of what it is for.

A generator that advances cannot be asked again for the numbers of example 17 in epoch 3. A hash of
(seed, epoch, index) can, in any order and in any batch, which is what exact resume and augmentation that
does not depend on the batch need. TensorFlow's stateless generators take one seed per call, not one per
example, so the hash is written out here in integer arithmetic over the whole batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

_STEP = 0x9E3779B9  # 2**32 / golden ratio: consecutive counters land far apart before they are mixed


def mix(bits: Any) -> Any:
    """Scramble uint32 values: a bijection in which each input bit flips each output bit half the time.

    The multipliers and shifts are those of `lowbias32` (Chris Wellons, "Prospecting for hash functions", 2018).

    Args:
        bits: uint32 tensor of any shape.

    Returns:
        A uint32 tensor of the same shape.

    Examples:
        >>> int(mix(tf.constant(1, tf.uint32))) == int(mix(tf.constant(1, tf.uint32)))
        True

    """
    bits = _fold(bits, 16) * tf.constant(0x7FEB352D, tf.uint32)
    bits = _fold(bits, 15) * tf.constant(0x846CA68B, tf.uint32)
    return _fold(bits, 16)


def keys(seed: Any, epoch: Any, index: Any) -> Any:
    """Make one key for each example of an epoch.

    Args:
        seed: integer or scalar integer tensor.
        epoch: integer or scalar integer tensor, from 0.
        index: integers (batch,), the places of the examples in the data set.

    Returns:
        uint32 keys (batch,), the same for the same (seed, epoch, index) wherever it stands in the batch.

    Examples:
        >>> keys(0, 3, [17, 4]).shape
        TensorShape([2])

    """
    key = _absorb(tf.constant(0, tf.uint32), seed)
    return _absorb(_absorb(key, epoch), index)


def fork(key: Any, number: int) -> Any:
    """Derive an independent stream of keys, as one augmentation of a chain needs apart from the next.

    Args:
        key: uint32 keys (batch,).
        number: which stream, from 0.

    Returns:
        uint32 keys (batch,).

    Examples:
        >>> key = keys(0, 0, [1, 2])
        >>> bool(tf.reduce_any(fork(key, 0) == fork(key, 1)))
        False

    """
    return mix(tf.bitwise.bitwise_xor(key, tf.constant(_constants(1, number + 1)[0], tf.uint32)))


def uniform(key: Any, count: int) -> Any:
    """Draw numbers uniform in [-1, 1).

    Args:
        key: uint32 keys (batch,).
        count: how many numbers each key gives.

    Returns:
        float32 (batch, count); 24 random bits each.

    Examples:
        >>> uniform(keys(0, 0, [1, 2]), 5).shape
        TensorShape([2, 5])

    """
    bits = tf.bitwise.right_shift(_draw(key, count), tf.constant(8, tf.uint32))
    return tf.cast(tf.bitcast(bits, tf.int32), tf.float32) * (2.0 / (1 << 24)) - 1.0


def uniform_pairs(key: Any, count: int) -> Any:
    """Draw pairs of coarser numbers uniform in (-1, 1), two from each hash, for fields of noise.

    Args:
        key: uint32 keys (batch,).
        count: how many pairs each key gives.

    Returns:
        float32 (batch, count, 2); 16 random bits each, never exactly 0.

    Examples:
        >>> uniform_pairs(keys(0, 0, [1, 2]), 5).shape
        TensorShape([2, 5, 2])

    """
    halves = tf.cast(tf.bitcast(_draw(key, count), tf.uint16), tf.float32)
    return halves * (2.0 / 65536) + (1.0 / 65536 - 1.0)


def _draw(key: Any, count: int) -> Any:
    constants = tf.constant(_constants(count, 0), tf.uint32)
    return mix(tf.bitwise.bitwise_xor(key[:, None], constants[None, :]))


def _constants(count: int, stream: int) -> np.ndarray:
    """Scrambled counters (count,): with plain ones two nearby keys would share a part of their numbers."""
    counters = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(stream << 24)
    bits = ((counters * np.uint64(_STEP)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B)
    return bits ^ (bits >> np.uint32(16))


def _absorb(key: Any, value: Any) -> Any:
    value = tf.cast(tf.convert_to_tensor(value) if tf.is_tensor(value) else np.asarray(value), tf.uint32)
    return mix(tf.bitwise.bitwise_xor(key, value) + tf.constant(_STEP, tf.uint32))


def _fold(bits: Any, places: int) -> Any:
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(places, tf.uint32)))
