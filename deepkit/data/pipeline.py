"""`Pipeline`: batches as a plain `tf.data.Dataset`, each epoch a pure function of (seed, epoch)."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from deepkit.data import augment, random
from deepkit.data.callables import identify
from deepkit.data.settings import Settings, aim, check_batch_size, check_seed, check_target
from deepkit.data.sources import Source


class Pipeline(tf.data.Dataset):
    """Batches of a data set, for `fit`, `evaluate`, `predict` and everything else that takes a `tf.data.Dataset`.

    Each iteration is one epoch. A training pipeline gives epoch 0, then 1, 2, ... on successive iterations, each
    with an order and augmentations that depend on (seed, epoch) alone; a look at the first batch counts as an
    iteration, and under a `tf.distribute` strategy Keras's `fit` takes one. `epochs` has no such memory. Validation
    and test pipelines give the same batches each time. Made by `deepkit.data.load` and `from_arrays`.

    Args:
        source: where the examples come from.
        settings: what is done with them.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> data = dk.data.from_arrays(np.arange(10.0)[:, None], batch_size=4)
        >>> [batch.shape[0] for batch in data.train]
        [4, 4, 2]

    """

    def __init__(self, source: Source, settings: Settings) -> None:
        if settings.drop_remainder and settings.batch_size > source.num_examples:
            raise ValueError(
                f"drop_remainder=True with batch_size={settings.batch_size} leaves no batch: there are only "
                f"{source.num_examples:,} examples; choose a batch size of at most {source.num_examples}"
            )
        self._source, self._settings = source, settings
        self._dataset = self._plain()
        super().__init__(self._dataset._variant_tensor)

    def _inputs(self) -> list[Any]:
        return [self._dataset]

    @property
    def element_spec(self) -> Any:
        """The structure, shapes and dtypes of the batches."""
        return self._dataset.element_spec

    @property
    def num_examples(self) -> int:
        """How many examples there are."""
        return self._source.num_examples

    @property
    def batch_size(self) -> int:
        """Examples in a batch (the last one of an epoch may have fewer)."""
        return self._settings.batch_size

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(self.num_examples, self.batch_size)
        return full + bool(rest and not self._settings.drop_remainder)

    @property
    def seed(self) -> int:
        """The seed of the order and the augmentations."""
        return self._settings.seed

    @property
    def shuffled(self) -> bool:
        """Whether this is a training pipeline, with a new order in each epoch."""
        return self._settings.shuffled

    @property
    def exact(self) -> bool:
        """Whether epoch e is a pure function of (seed, e), so that training can resume exactly.

        True for all pipelines deepkit makes; a `map` that draws random numbers is beyond what it can see.
        """
        return True

    @functools.cached_property
    def fingerprint(self) -> str:
        """A short hash of what decides the batches: the data, its order, the batch size, map, augmentations."""
        settings = self._settings
        parts = (settings.identity, self.num_examples, self._source.kind, self._source.digest(), settings.batch_size,
                 settings.seed, settings.shuffled, settings.drop_remainder, settings.augmentations,
                 settings.scales, identify(settings.map), self.element_spec)  # fmt: skip
        whole = parts if settings.target == "labels" else (*parts, settings.target)
        return hashlib.blake2b(repr(whole).encode(), digest_size=8).hexdigest()

    def epochs(self, start: int = 0) -> Any:
        """Return the epochs from `start` on, back to back without end; nothing is remembered between iterations.

        Args:
            start: the first epoch, from 0.

        Returns:
            An endless `tf.data.Dataset`; every `steps` batches are an epoch, which ends with its own last batch.

        Raises:
            ValueError: if `start` is negative.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> train = dk.data.from_arrays(np.arange(10.0)[:, None], batch_size=4).train
            >>> [batch.shape[0] for batch in train.epochs(start=5).take(4)]
            [4, 4, 2, 4]

        """
        if start < 0:
            raise ValueError(f"epochs: start must be 0 or more, received {start}")
        endless = self._batches(tf.data.Dataset.counter(start, dtype=tf.int64))
        return _known(endless, tf.data.INFINITE_CARDINALITY)

    def rebatch(self, batch_size: Any = None, drop_remainder: bool | None = None, name: str | None = None) -> Any:
        """Return the pipeline with other batches: the same examples in the same order, cut anew.

        Args:
            batch_size: examples in a batch; None keeps it. A tensor or a list means `tf.data.Dataset.rebatch`,
                which `tf.distribute` calls to split batches.
            drop_remainder: whether a smaller last batch is left out; None keeps it as it is.
            name: for `tf.data.Dataset.rebatch`.

        Returns:
            A new `Pipeline`.

        Raises:
            ValueError: if the batch size is not a whole number above 0, or no batch would be left.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> train = dk.data.from_arrays(np.arange(10.0)[:, None], batch_size=4).train
            >>> train.rebatch(5).steps
            2

        """
        if batch_size is not None and not isinstance(batch_size, int | np.integer | float):
            return super().rebatch(batch_size, bool(drop_remainder), name)
        changes: dict[str, Any] = {}
        if batch_size is not None:
            changes["batch_size"] = check_batch_size(batch_size)
        if drop_remainder is not None:
            changes["drop_remainder"] = drop_remainder
        return self._changed(**changes)

    def reseed(self, seed: int) -> Pipeline:
        """Return the pipeline with another seed of order and augmentations, from epoch 0.

        Args:
            seed: a whole number, 0 or more.

        Returns:
            A new `Pipeline`.

        Raises:
            ValueError: if the seed is negative or no whole number.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> dk.data.from_arrays(np.arange(10.0)[:, None]).train.reseed(7).seed
            7

        """
        return self._changed(seed=check_seed(seed))

    def augment(self, *augmentations: augment.Augmentation) -> Pipeline:
        """Return the pipeline with more augmentations, after those it has.

        Args:
            augmentations: what is done to x, in order, keyed by (seed, epoch, index).

        Returns:
            A new `Pipeline`.

        Raises:
            TypeError: if one is no augmentation.
            ValueError: if x is no batch of images (batch, height, width, channels).

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> data = dk.data.from_arrays(np.zeros((10, 8, 8, 1)))
            >>> data.train.augment(dk.data.Shift(1), dk.data.Flip()).steps
            1

        """
        return self._changed(augmentations=self._settings.augmentations + augment.check(augmentations))

    def towards(self, target: str) -> Pipeline:
        """Return the pipeline with something else to learn than the labels.

        Args:
            target: "labels" as the data has them, "inputs" for x itself as it comes out of the pipeline (an
                autoencoder's task), or "none" for x alone.

        Returns:
            A new `Pipeline`.

        Raises:
            ValueError: if the target is none of these.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> train = dk.data.from_arrays(np.zeros((10, 4), "float32"), np.arange(10)).train
            >>> [part.shape.as_list() for part in train.towards("inputs").element_spec]
            [[None, 4], [None, 4]]

        """
        return self._changed(target=check_target(target))

    def head(self, count: int) -> Pipeline:
        """Return a pipeline of the first examples alone, in the order of the files.

        Args:
            count: at most this many; `take` counts batches.

        Raises:
            ValueError: if `count` is below 1.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> dk.data.from_arrays(np.arange(10.0)[:, None], batch_size=4).train.head(6).steps
            2

        """
        if count < 1:
            raise ValueError(f"head: count must be at least 1, received {count}")
        return Pipeline(self._source.head(count), self._settings)

    def arrays(self, limit: int | None = None) -> tuple[np.ndarray, ...]:
        """Return the examples as arrays, in the order of the files and not augmented, but scaled and mapped.

        Args:
            limit: at most this many, the first ones; None for all.

        Returns:
            (x, y), or (x,) where there are no labels; each an array or a structure of arrays.

        Raises:
            ValueError: if `limit` is below 1.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> x, y = dk.data.from_arrays(np.arange(10.0)[:, None], np.arange(10)).train.arrays(3)
            >>> y.tolist()
            [0, 1, 2]

        """
        count = self.num_examples if limit is None else min(limit, self.num_examples)
        if count < 1:
            raise ValueError(f"arrays: limit must be at least 1, received {limit}")
        settings = dataclasses.replace(
            self._settings, shuffled=False, drop_remainder=False, augmentations=(), batch_size=min(count, 1024)
        )
        batches = list(Pipeline(self._source, settings).take(-(-count // settings.batch_size)))
        joined = tf.nest.map_structure(lambda *leaf: tf.concat(leaf, 0)[:count], *batches)
        found = tf.nest.map_structure(lambda leaf: leaf if _ragged(leaf) else leaf.numpy(), joined)
        return found if isinstance(found, tuple) else (found,)

    def __repr__(self) -> str:
        name = " ".join(filter(None, self._settings.identity)) or "examples"
        return f"<Pipeline {name}: {self.num_examples:,} examples in {self.steps:,} batches of {self.batch_size}>"

    def _changed(self, **changes: Any) -> Pipeline:
        return Pipeline(self._source, dataclasses.replace(self._settings, **changes))

    def _plain(self) -> Any:
        once = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64))
        epoch = once.map(_epoch_counter()) if self.shuffled else once
        return _known(self._batches(epoch), self.steps)

    def _batches(self, epochs: Any) -> Any:
        """From a dataset of epoch numbers to the batches of those epochs."""
        # The cheap part is one after the other across epochs, the costly part runs in parallel across them.
        planned = epochs.flat_map(self._planned)
        return planned.map(self._prepared, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    @tf.autograph.experimental.do_not_convert
    def _planned(self, epoch: Any) -> Any:
        settings = self._settings
        order = (settings.seed, epoch) if settings.shuffled else None
        batches = self._source.batches(order, settings.batch_size, settings.drop_remainder)
        return batches.map(tf.autograph.experimental.do_not_convert(lambda *batch: (epoch, batch)))

    @tf.autograph.experimental.do_not_convert
    def _prepared(self, epoch: Any, batch: Any) -> Any:
        settings = self._settings
        index, element = self._source.fetch(*batch)
        x, *rest = element if isinstance(element, tuple) else (element,)
        x = _floats(x, settings.scales)
        if settings.augmentations:
            _check_images(x)
            x = augment.apply(settings.augmentations, x, random.keys(settings.seed, epoch, index))
        # tf.function: the user's own code may have `if` and `for` over tensors, as in any tf.data map
        x = tf.function(settings.map)(x) if settings.map else _scaled(x, settings.scales)
        return aim(settings.target, (x, *rest) if isinstance(element, tuple) else x)


def _floats(x: Any, scales: Any) -> Any:
    """Cast the images of x to float32, in the scale they have."""
    if scales is None:
        return x
    return tf.nest.map_structure(lambda leaf, scale: leaf if scale is None else tf.cast(leaf, tf.float32), x, scales)


def _scaled(x: Any, scales: Any) -> Any:
    """Bring the images of x to [0, 1]."""
    if scales is None:
        return x
    return tf.nest.map_structure(lambda leaf, scale: leaf if scale is None else leaf * scale, x, scales)


def _check_images(x: Any) -> None:
    if not tf.is_tensor(x) or x.dtype != tf.float32 or x.shape.rank != 4 or None in x.shape[1:]:
        found = tf.nest.map_structure(lambda leaf: f"{leaf.dtype.name} {tuple(leaf.shape)}", x)
        raise ValueError(
            "augment: augmentations need images, float32 (batch, height, width, channels) of one size, "
            f"received {found}; leave augment out, or add the missing axis with x[..., None]"
        )


def _ragged(leaf: Any) -> bool:
    return isinstance(leaf, tf.RaggedTensor)


def _known(dataset: Any, batches: Any) -> Any:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.apply(tf.data.experimental.assert_cardinality(batches)).with_options(options)


def _epoch_counter() -> Callable[[Any], Any]:
    """Make a function that returns 0, 1, 2, ... on successive calls from inside a dataset.

    The number lives in a bare resource: a `tf.Variable` made inside a strategy's scope would be mirrored over
    its devices, and a dataset cannot read that.
    """
    with tf.init_scope(), tf.device("CPU:0"):
        handle = tf.raw_ops.VarHandleOp(dtype=tf.int64, shape=[], shared_name=f"deepkit_epoch_{uuid.uuid4().hex}")
        tf.raw_ops.AssignVariableOp(resource=handle, value=tf.constant(0, tf.int64))

    @tf.autograph.experimental.do_not_convert
    def advance(_: Any) -> Any:
        tf.raw_ops.AssignAddVariableOp(resource=handle, value=tf.constant(1, tf.int64))
        return tf.ensure_shape(tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.int64), ()) - 1

    return advance
