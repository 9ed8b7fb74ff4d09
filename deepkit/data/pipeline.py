"""`Pipeline`: batches as a plain `tf.data.Dataset`, each epoch a pure function of (seed, epoch)."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import tensorflow as tf

from deepkit.data.augmentation import Augmentation, check_augmentations
from deepkit.data.epoch_batches import EpochBatches
from deepkit.data.image_source import ImageSource
from deepkit.data.images import image_scales
from deepkit.data.pipeline_settings import PipelineSettings, check_batch_size, check_seed
from deepkit.data.resident_batches import ResidentBatches
from deepkit.data.sources import MemorySource, Source
from deepkit.data.targets import check_target
from deepkit.data.wrapped_dataset import WrappedDataset
from deepkit.utils.errors import message
from deepkit.utils.function_identity import function_identity
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepkit.data.image_decoding import ImageDecoder
    from deepkit.data.nested_arrays import Scales
    from deepkit.data.replica_rows import ReplicaRows
    from deepkit.data.table_schema import TableSchema
    from deepkit.utils.types import ClassNames, Dataset, Nested, Tensor

_READ_BATCH = 1024  # examples that `arrays` reads at once


class Pipeline(WrappedDataset):
    """Batches of a dataset: a `tf.data.Dataset`, which `fit`, `evaluate` and `predict` accept.

    Each iteration is one epoch. A training pipeline yields epochs 0, 1, 2, ... on successive iterations; the order
    and the augmentations of an epoch depend on (seed, epoch) only. Reading the first batch counts as an iteration,
    and Keras's `fit` does so under a `tf.distribute` strategy; `epochs` does not count iterations. Validation and
    test pipelines yield the same batches in each iteration. `deepkit.data.load` and `from_arrays` make pipelines.

    Args:
        source: Source of the examples.
        settings: Batch size, order, augmentation and the other settings.

    Raises:
        ValueError: `drop_remainder` with a batch size above the number of examples, which leaves no batch.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> data = dk.data.from_arrays(np.arange(10.0)[:, None], batch_size=4)
        >>> [batch.shape[0] for batch in data.train]
        [4, 4, 2]
    """

    def __init__(self, source: Source, settings: PipelineSettings) -> None:
        if settings.drop_remainder and settings.batch_size > source.num_examples:
            problem = (
                f"drop_remainder=True with batch_size={settings.batch_size} leaves no batch of "
                f"{source.num_examples:,} examples"
            )
            raise ValueError(message(problem, hint=f"use a batch_size of at most {source.num_examples}"))
        self._source, self._settings = source, settings
        self._batches = EpochBatches(source, settings)
        super().__init__(self._batches.next_epoch(self.steps))

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return self._source.num_examples

    @property
    def batch_size(self) -> int:
        """Number of examples in a batch; the last batch of an epoch may have fewer."""
        return self._settings.batch_size

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        full, rest = divmod(self.num_examples, self.batch_size)
        return full + bool(rest and not self._settings.drop_remainder)

    @property
    def seed(self) -> int:
        """Seed of the order and of the augmentations."""
        return self._settings.seed

    @property
    def is_shuffled(self) -> bool:
        """Whether each epoch has a new order, as in a training pipeline."""
        return self._settings.shuffle

    @property
    def is_reproducible(self) -> bool:
        """Whether an epoch is a pure function of (seed, epoch), so that training can resume exactly.

        True for all pipelines that deepkit makes; deepkit cannot detect a `map` that draws random numbers.
        """
        return True

    @property
    def columns(self) -> TableSchema | None:
        """The columns of a table and their kinds; None for other data."""
        return self._settings.columns

    @property
    def class_names(self) -> ClassNames:
        """Names of the classes by label, by name of the output if there are several; empty if unknown."""
        return self._settings.class_names

    @property
    def file_paths(self) -> tuple[str, ...]:
        """The paths of the image files, in the order of `in_order()`, `arrays()` and `labels_in_memory`.

        Empty for data that is not read from a folder of images.
        """
        return () if self.decoder is None else tuple(file.path for file in self.decoder.files)

    @property
    def decoder(self) -> ImageDecoder | None:
        """The decoder of the image files; None for data that is not read from a folder of images."""
        return self._source.decoder if isinstance(self._source, ImageSource) else None

    @property
    def labels_in_memory(self) -> Any:
        """The labels of all examples in the order of the files; None without labels, or if they are read from disk."""
        return self._source.labels

    @functools.cached_property
    def fingerprint(self) -> str:
        """Short hash of everything that determines the batches: data, order, batch size, map, augmentations.

        The name of the data is a part of it only if the contents are not compared, so that a folder may be renamed.
        """
        settings = self._settings
        content_hash = self._source.content_hash()
        values: tuple[object, ...] = (
            content_hash or settings.identity,
            self.num_examples,
            self._source.kind,
            settings.batch_size,
            settings.seed,
            settings.shuffle,
            settings.drop_remainder,
            settings.augmentations,
            settings.scales if settings.rescale else None,
            function_identity(settings.map),
            self.element_spec,
        )
        if settings.target != "labels":
            values = (*values, settings.target)
        if settings.target_scales is not None:
            values = (*values, settings.target_scales)
        return hashlib.blake2b(repr(values).encode(), digest_size=8).hexdigest()

    @property
    def settings(self) -> PipelineSettings:
        """The settings of the pipeline."""
        return self._settings

    def stored_batches(self, batch_size: int) -> Dataset:
        """Return all examples in the order of the files as they are stored: not scaled, mapped or augmented.

        Args:
            batch_size: Number of examples in a batch.
        """
        batches = self._source.batches(None, batch_size, False)
        fetched = batches.map(lambda *batch: self._source.fetch(*batch)[1], num_parallel_calls=tf.data.AUTOTUNE)
        return fetched.prefetch(1)

    def epochs(self, start: int = 0, *, replica_rows: ReplicaRows | None = None) -> Dataset:
        """Return an infinite dataset of the epochs from `start` on; each iteration begins again with `start`.

        Args:
            start: First epoch, from 0.
            replica_rows: The rows of each batch to read, if several devices share it: one element for each device of
                this process. Other examples are neither decoded nor augmented. None for whole batches.

        Returns:
            A `tf.data.Dataset`; every `steps` batches are an epoch, which ends with its own last batch.

        Raises:
            ValueError: `start` is not an integer of at least 0.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> train = dk.data.from_arrays(np.arange(10.0)[:, None], batch_size=4).train
            >>> [batch.shape[0] for batch in train.epochs(start=5).take(4)]
            [4, 4, 2, 4]
        """
        start = check_integer(start, "Pipeline.epochs: start", minimum=0)
        return self._batches.all_epochs(start, replica_rows)

    def resident_batches(self, functions: Sequence[Callable[..., Nested]] = ()) -> ResidentBatches | None:
        """Return the batches of the epochs as a function of epoch and step, for a loop inside a graph.

        Args:
            functions: Functions of a batch to apply, first to last.

        Returns:
            The batches, or None if the examples are not dense tensors in memory, or a `map` function reads them.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> train = dk.data.from_arrays(np.arange(10.0)[:, None], batch_size=4).train
            >>> train.resident_batches().steps
            3
        """
        return ResidentBatches(self._batches, functions) if ResidentBatches.supports(self._batches) else None

    @overload
    def rebatch(
        self, batch_size: int | None = None, drop_remainder: bool | None = None, name: str | None = None
    ) -> Pipeline: ...

    @overload
    def rebatch(
        self, batch_size: Tensor | Sequence[int], drop_remainder: bool | None = None, name: str | None = None
    ) -> Dataset: ...

    def rebatch(
        self,
        batch_size: int | Tensor | Sequence[int] | None = None,
        drop_remainder: bool | None = None,
        name: str | None = None,
    ) -> Pipeline | Dataset:
        """Return a pipeline with the same examples in the same order and another batch size.

        Args:
            batch_size: Number of examples in a batch; None keeps it. A tensor or a list calls
                `tf.data.Dataset.rebatch`, as `tf.distribute` does to split batches.
            drop_remainder: Whether to drop a smaller last batch; None keeps the setting.
            name: Argument of `tf.data.Dataset.rebatch`.

        Raises:
            ValueError: The batch size is not a positive integer, or no batch would be left.

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
        return self._with_settings(**changes)

    def reseed(self, seed: int) -> Pipeline:
        """Return a pipeline with another seed of the order and the augmentations, which starts at epoch 0.

        Args:
            seed: An integer of at least 0.

        Raises:
            ValueError: The seed is not an integer of at least 0.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> dk.data.from_arrays(np.arange(10.0)[:, None]).train.reseed(7).seed
            7
        """
        return self._with_settings(seed=check_seed(seed))

    def augment(self, *augmentations: Augmentation) -> Pipeline:
        """Return a pipeline with further augmentations after the present ones.

        Args:
            augmentations: Augmentations of x, in order, keyed by (seed, epoch, index).

        Raises:
            TypeError: An argument is not an augmentation.
            ValueError: x is not a batch of images (batch, height, width, channels).

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> data = dk.data.from_arrays(np.zeros((10, 8, 8, 1)))
            >>> data.train.augment(dk.data.Shift(1), dk.data.Flip()).steps
            1
        """
        return self._with_settings(augmentations=self._settings.augmentations + check_augmentations(augmentations))

    def with_target(self, target: str) -> Pipeline:
        """Return a pipeline with another target of training.

        Args:
            target: "labels" for the labels of the data, "inputs" for x itself as the pipeline yields it (the task
                of an autoencoder), or "none" for batches of x alone.

        Raises:
            ValueError: The target is not one of these.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> train = dk.data.from_arrays(
            ...     np.zeros((10, 4), "float32"), np.arange(10)
            ... ).train
            >>> [spec.shape.as_list() for spec in train.with_target("inputs").element_spec]
            [[None, 4], [None, 4]]
        """
        return self._with_settings(target=check_target(target))

    def with_target_scales(self, scales: Scales) -> Pipeline:
        """Return a pipeline whose training targets are the images of x multiplied by factors.

        Args:
            scales: In the structure of x: a factor, or None for a tensor that stays as it is.
        """
        return self._with_settings(target_scales=scales)

    def with_source(self, element: Any) -> Pipeline:
        """Return a pipeline of other examples with the settings of this one, in order and not augmented.

        Args:
            element: Arrays (x, y, sample_weight), (x, y), (x,) or x, as `from_arrays` validates them.
        """
        scales = image_scales(element) if self._settings.rescale else self._settings.scales
        settings = dataclasses.replace(
            self._settings, shuffle=False, augmentations=(), drop_remainder=False, identity=(), scales=scales
        )
        return Pipeline(MemorySource(element), settings)

    def in_order(self) -> Pipeline:
        """Return a pipeline of all examples in the order of the files, not augmented.

        Examples:
            >>> import deepkit as dk
            >>> train = dk.data.from_arrays([[1.0], [2.0], [3.0]], batch_size=3).train
            >>> [batch.numpy()[:, 0].tolist() for batch in train.in_order()]
            [[1.0, 2.0, 3.0]]
        """
        return self._with_settings(shuffle=False, augmentations=(), drop_remainder=False)

    def in_random_order(self, seed: int = 0) -> Pipeline:
        """Return a pipeline of all examples in a random order, not augmented.

        Args:
            seed: Seed of the order, an integer of at least 0.

        Raises:
            ValueError: The seed is not an integer of at least 0.

        Examples:
            >>> import deepkit as dk
            >>> test = dk.data.from_arrays(
            ...     [[1.0], [2.0], [3.0]], batch_size=3
            ... ).train.in_random_order(seed=1)
            >>> [sorted(batch.numpy()[:, 0].tolist()) for batch in test]
            [[1.0, 2.0, 3.0]]
        """
        return self._with_settings(shuffle=True, seed=check_seed(seed), augmentations=(), drop_remainder=False)

    @property
    def rescales_images(self) -> bool:
        """Whether the pipeline scales images to [0, 1]."""
        settings = self._settings
        has_images = any(scale is not None for scale in tf.nest.flatten(settings.scales))
        return settings.rescale and not settings.map and has_images

    @property
    def map_function(self) -> Callable[[Any], Any] | None:
        """The `map` function of the pipeline, or None."""
        return self._settings.map

    def unscaled_arrays(self) -> Any:
        """Return the stored arrays of x if the pipeline yields their values unchanged, else None.

        Augmented images count as unchanged: they keep their scale. One image of the largest values represents
        the images of a folder, which may be too large for the memory.
        """
        return None if self._settings.map or self._settings.rescale else self._source.stored_inputs()

    def with_labels(self, labels: Nested) -> Pipeline:
        """Return a pipeline with other labels of the same examples.

        Args:
            labels: The labels of all examples in the order of the files, in the structure of `labels_in_memory`.

        Raises:
            ValueError: The pipeline has no labels in memory.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> train = dk.data.from_arrays(np.zeros((4, 2)), [1, 2, 2, 1]).train
            >>> train.with_labels(train.labels_in_memory - 1).arrays()[1].tolist()
            [0, 1, 1, 0]
        """
        if self._source.labels is None:
            problem = "Pipeline.with_labels: the pipeline has no labels in memory"
            raise ValueError(message(problem, hint="use pipeline.map, which returns a tf.data.Dataset"))
        return Pipeline(self._source.with_labels(labels), self._settings)

    def head(self, num_examples: int) -> Pipeline:
        """Return a pipeline of the first examples in the order of the files.

        Args:
            num_examples: Largest number of examples (`take` counts batches).

        Raises:
            ValueError: `num_examples` is not a positive integer.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> dk.data.from_arrays(np.arange(10.0)[:, None], batch_size=4).train.head(
            ...     6
            ... ).steps
            2
        """
        num_examples = check_integer(num_examples, "Pipeline.head: num_examples")
        return Pipeline(self._source.head(num_examples), self._settings)

    def arrays(self, num_examples: int | None = None) -> tuple[np.ndarray, ...]:
        """Return the examples as arrays in the order of the files: scaled and mapped, but not augmented.

        Args:
            num_examples: Largest number of examples, the first ones; None for all.

        Returns:
            (x, y), (x,) if there are no labels, or (x, y, sample_weight); each an array or a structure of arrays. A
            text is bytes in UTF-8. `run.predict` accepts it; Keras's `model.predict` accepts the pipeline, or strings:
            `np.array([text.decode() for text in texts], object)`.

        Raises:
            ValueError: `num_examples` is not a positive integer.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> x, y = dk.data.from_arrays(
            ...     np.arange(10.0)[:, None], np.arange(10)
            ... ).train.arrays(3)
            >>> y.tolist()
            [0, 1, 2]
        """
        count = self.num_examples
        if num_examples is not None:
            count = min(count, check_integer(num_examples, "Pipeline.arrays: num_examples"))
        settings = dataclasses.replace(
            self._settings, shuffle=False, drop_remainder=False, augmentations=(), batch_size=min(count, _READ_BATCH)
        )
        num_batches = -(-count // settings.batch_size)
        return _join(Pipeline(self._source, settings).take(num_batches), count)

    def show(self, num_examples: int = 16, *, class_names: Sequence[str] | Mapping[str, Sequence[str]] = ()) -> Figure:
        """Draw the first examples of the first epoch with their labels, as `fit` reads them: shuffled and augmented.

        Args:
            num_examples: Largest number of examples.
            class_names: Names in the order of the classes; by name of the output if there are several.

        Returns:
            A figure: images in a grid, other inputs as a table with a row for each example.

        Raises:
            ValueError: `num_examples` is not a positive integer.

        Examples:
            >>> import deepkit as dk
            >>> import numpy as np
            >>> train = dk.data.from_arrays(
            ...     np.zeros((20, 8, 8, 1)), np.arange(20) % 2
            ... ).train
            >>> len(train.show(4, class_names=["cat", "dog"]).axes)
            4
        """
        from deepkit.visualize.example_figures import examples_figure  # imports Matplotlib

        count = min(self.num_examples, check_integer(num_examples, "show: num_examples"))
        first = self._with_settings(batch_size=count, drop_remainder=False).epochs().take(1)
        x, *labels = _join(first, count)
        y = labels[0] if labels else None
        if self.columns is not None:
            x = self.columns.readable(x)
            if len(self.columns.target) == 1 and not isinstance(y, Mapping | None):
                y = {self.columns.target[0]: y}
        return examples_figure(x, y, class_names)

    def __reduce__(self) -> tuple[Any, ...]:
        return Pipeline, (self._source, self._settings)

    def __repr__(self) -> str:
        name = " ".join(filter(None, self._settings.identity)) or "examples"
        return f"<Pipeline {name}: {self.num_examples:,} examples in {self.steps:,} batches of {self.batch_size}>"

    def _with_settings(self, **changes: object) -> Pipeline:
        return Pipeline(self._source, dataclasses.replace(self._settings, **changes))  # type: ignore[arg-type]


def _join(batches: Dataset, count: int) -> tuple[Any, ...]:
    """Return the first examples of batches as arrays: (x,), (x, y) or (x, y, sample_weight)."""
    joined = tf.nest.map_structure(lambda *leaves: tf.concat(leaves, 0)[:count], *batches)
    arrays = tf.nest.map_structure(_as_array, joined)
    return arrays if isinstance(arrays, tuple) else (arrays,)


def _as_array(tensor: Any) -> Tensor:
    return tensor if isinstance(tensor, tf.RaggedTensor) else tensor.numpy()
