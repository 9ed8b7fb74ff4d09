"""The batch on which an export is compared with its model: passed by the user, or random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from deepkit.data import Data
from deepkit.data.frames import as_arrays
from deepkit.export.errors import ExportError
from deepkit.export.formats import Signature, Spec, Specs, summarize_error, to_arrays
from deepkit.training.adaptation import text_layers
from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike

BATCH_SIZE = 3  # neither 1 nor a common size, so that confused axes cause an error
UNKNOWN_SIZES = (8, 32, 128)  # tried for axes of unknown size, in this order


@dataclass(frozen=True)
class Sample:
    """A batch and the outputs of the model for it.

    Args:
        inputs: The batch, in flat order.
        outputs: The outputs, in flat order.
        signature: The structures of the inputs and the outputs.
    """

    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    signature: Signature

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each input, batch axis first."""
        return tuple(array.shape for array in self.inputs)


def make_sample(model: keras.Model, batch: object = None) -> Sample:
    """Call the model on a batch, or on a random one if `batch` is None.

    Raises:
        ValueError: The batch does not fit the model's inputs.
        ExportError: The inputs of the model are unknown, or it cannot be called on a random batch.
    """
    batch = None if batch is None else _as_inputs(batch)
    inputs = _input_specs(model, batch)
    specs = keras.tree.flatten(inputs)
    if batch is not None:
        return _call(model, inputs, _check_batch(batch, inputs, specs))
    return _random_sample(model, inputs, specs)


def _as_inputs(sample: Any) -> object:
    """Return the inputs of a sample as arrays; of data or a dataset, those of the first batch."""
    batches = sample.train if isinstance(sample, Data) else sample
    if isinstance(batches, tf.data.Dataset):
        for batch in batches.take(1):
            return keras.tree.map_structure(np.asarray, batch[0] if isinstance(batch, tuple) else batch)
        raise ValueError(message("sample: the dataset has no batch", hint="pass a few examples, such as x[:4]"))
    return as_arrays(sample, "sample")


def random_batch(
    specs: Sequence[Spec], unknown_size: int, *, seed: int = 0, words: Sequence[str] = ("a",)
) -> list[np.ndarray]:
    """Return a random batch: normal floats, and integers and booleans of 0 and 1, which every embedding has.

    Args:
        specs: Shape, with the batch axis, and dtype of each input.
        unknown_size: Size of axes of unknown size; a text has fewer words than that.
        seed: Seed of the random generator.
        words: Words of the texts.
    """
    rng = np.random.default_rng(seed)
    batch = []
    for spec in specs:
        batch_size, *sizes = spec.shape
        shape = (batch_size or BATCH_SIZE, *(unknown_size if size is None else size for size in sizes))
        if spec.dtype == "string":
            texts = [" ".join(rng.choice(words, rng.integers(unknown_size))) for _ in range(math.prod(shape))]
            batch.append(_cast(np.reshape(texts, shape), "string"))
        elif keras.backend.is_float_dtype(spec.dtype):
            batch.append(_cast(rng.normal(size=shape), spec.dtype))
        else:
            batch.append(_cast(rng.integers(0, 2, size=shape), spec.dtype))
    return batch


def _input_specs(model: keras.Model, batch: object) -> Specs:
    """Return the inputs of the model in their structure; those of a subclassed model follow from the batch.

    A subclassed model with a property `input_shape`, such as that of `dk.Hopfield`, needs no batch.
    """
    try:
        return model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    except (AttributeError, ValueError):  # a subclassed model
        pass
    if batch is None and isinstance(getattr(model, "input_shape", None), tuple):
        return keras.InputSpec(shape=model.input_shape, dtype=model.input_dtype, name="input_0")
    if batch is None:
        raise ExportError(
            f"{type(model).__name__} is a subclassed model, whose inputs are unknown",
            hint="pass sample=x, a batch of its inputs",
        )
    numbers = iter(range(len(keras.tree.flatten(batch))))

    def spec(value: ArrayLike) -> keras.InputSpec:
        array = np.asarray(value)
        dtype = keras.backend.standardize_dtype(array.dtype)
        if keras.backend.is_float_dtype(dtype):
            dtype = model.input_dtype
        return keras.InputSpec(shape=(None, *array.shape[1:]), dtype=dtype, name=f"input_{next(numbers)}")

    return keras.tree.map_structure(spec, batch)


def _check_batch(batch: object, inputs: Specs, specs: Sequence[Spec]) -> list[np.ndarray]:
    """Return a batch in flat order and in the dtypes of the inputs; raise if it does not fit them."""
    try:
        keras.tree.assert_same_structure(inputs, batch)
    except (ValueError, TypeError) as error:
        expected = keras.tree.map_structure(lambda spec: spec.name, inputs)
        received = keras.tree.map_structure(lambda value: type(value).__name__, batch)
        problem = f"sample must hold a batch for each input, in the structure {expected}, received {received}"
        raise ValueError(message(problem, hint="pass a batch as you pass it to model(...)")) from error
    arrays = [np.asarray(value) for value in keras.tree.flatten(batch)]
    for spec, array in zip(specs, arrays, strict=True):
        if array.ndim == 0 or not len(array) or not _fits(array.shape[1:], spec.shape[1:]):
            shape = ", ".join(["batch", *("any" if size is None else str(size) for size in spec.shape[1:])])
            problem = f"sample of the input {spec.name!r} must have the shape ({shape}), received {array.shape}"
            raise ValueError(message(problem, hint="pass a few examples, such as x[:4]"))
    return [_cast(array, spec.dtype) for spec, array in zip(specs, arrays, strict=True)]


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    if len(shape) != len(expected):
        return False
    return all(size in (None, received) for size, received in zip(expected, shape, strict=True))


def _random_sample(model: keras.Model, inputs: Specs, specs: Sequence[Spec]) -> Sample:
    """Call the model on a random batch of the smallest size that it accepts."""
    has_unknown_size = any(size is None for spec in specs for size in spec.shape[1:])
    batch: list[np.ndarray] = []
    problem = ""
    words = _vocabulary(model)
    for size in UNKNOWN_SIZES if has_unknown_size else UNKNOWN_SIZES[:1]:
        batch = random_batch(specs, size, words=words)
        try:
            sample = _call(model, inputs, batch)
        except Exception as error:  # layers raise any exception for a size that they do not accept
            problem = summarize_error(error)
            continue
        if all(output.size and np.all(np.isfinite(output.astype("float64"))) for output in sample.outputs):
            return sample
        problem = "its outputs are empty or not finite"
    shapes = ", ".join("x".join(map(str, array.shape)) for array in batch)
    raise ExportError(
        f"the model cannot be run on a random batch of shape {shapes}: {problem}",
        hint="pass sample=x, a batch of real data",
    )


def _vocabulary(model: keras.Model) -> list[str]:
    """Return words in the vocabularies of the model, and one unknown word."""
    vocabularies = [layer.get_vocabulary(include_special_tokens=False) for layer in text_layers(model)]
    words = [str(word) for vocabulary in vocabularies for word in vocabulary[:1000]]
    return [*words, "unheard-of"]


def _call(model: keras.Model, inputs: Specs, batch: list[np.ndarray]) -> Sample:
    outputs = model(keras.tree.pack_sequence_as(inputs, batch), training=False)
    return Sample(batch, to_arrays(outputs), Signature(inputs, outputs))


def _cast(array: np.ndarray, dtype: str) -> np.ndarray:
    import ml_dtypes  # a dependency of TensorFlow

    if dtype == "string":
        return tf.convert_to_tensor(array.tolist(), tf.string).numpy()
    return array.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
