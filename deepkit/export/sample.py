"""A batch to try an export on, given or drawn, and what the model makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepkit.export.formats import Ports, brief, numpy
from deepkit.training.errors import ExportError
from deepkit.training.text_vocabulary import text_layers

BATCH = 3  # neither one nor a common size, so that a mixed-up axis shows
SIZES = (8, 32, 128)  # for axes of unknown size: the first that the model can take


@dataclass(frozen=True)
class Sample:
    """A batch and what the model makes of it.

    Args:
        inputs: The batch, flat.
        outputs: What the model gives for it, flat.
        ports: The structures of both.
    """

    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    ports: Ports

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each input, batch axis first."""
        return tuple(x.shape for x in self.inputs)


def sampled(model: keras.Model, given: Any = None) -> Sample:
    """Run the model on a batch: the given one, else one that is drawn.

    Raises:
        ValueError: The given batch does not fit the model's inputs.
        ExportError: No batch can be drawn.
    """
    inputs = _inputs(model, given)
    specs = keras.tree.flatten(inputs)
    if given is not None:
        return _run(model, inputs, _fitting(given, inputs, specs))
    return _drawn(model, inputs, specs)


def draw(specs: Sequence[Any], size: int, *, seed: int = 0, words: Sequence[str] = ("a",)) -> list[np.ndarray]:
    """Return a batch drawn for inputs: floats normal, integers and booleans 0 or 1, which any embedding has.

    Args:
        specs: What has a `shape`, with the batch axis, and a `dtype`.
        size: For axes of unknown size; a text has fewer words than that.
        seed: Of the draw.
        words: What texts are made of.
    """
    numbers = np.random.default_rng(seed)
    batch = []
    for spec in specs:
        first, *rest = spec.shape
        shape = (first or BATCH, *(size if n is None else n for n in rest))
        if spec.dtype == "string":
            texts = [" ".join(numbers.choice(words, numbers.integers(size))) for _ in range(math.prod(shape))]
            batch.append(_cast(np.reshape(texts, shape), "string"))
            continue
        floating = keras.backend.is_float_dtype(spec.dtype)
        drawn = numbers.normal(size=shape) if floating else numbers.integers(0, 2, size=shape)
        batch.append(_cast(drawn, spec.dtype))
    return batch


def _inputs(model: keras.Model, given: Any) -> Any:
    """Return the structure of the inputs: the model's own, else that of the given batch."""
    try:
        return model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    except (AttributeError, ValueError):  # a class of its own
        pass
    if given is None:
        raise ExportError(
            f"{type(model).__name__} is a class of its own, which does not say what goes into it", "sample=x, a batch"
        )
    numbers = iter(range(len(keras.tree.flatten(given))))

    def spec(x: Any) -> keras.InputSpec:
        x = np.asarray(x)
        kind = keras.backend.standardize_dtype(x.dtype)
        kind = model.input_dtype if keras.backend.is_float_dtype(kind) else kind
        return keras.InputSpec(shape=(None, *x.shape[1:]), dtype=kind, name=f"input_{next(numbers)}")

    return keras.tree.map_structure(spec, given)


def _fitting(given: Any, inputs: Any, specs: list[Any]) -> list[np.ndarray]:
    """Return the given batch, flat and in the dtypes of the inputs; raise where it does not fit."""
    try:
        keras.tree.assert_same_structure(inputs, given)
    except (ValueError, TypeError) as error:
        wanted = keras.tree.map_structure(lambda spec: spec.name, inputs)
        received = keras.tree.map_structure(lambda x: type(x).__name__, given)
        raise ValueError(
            f"sample: expected a batch for each input, as in {wanted}, received {received}\n"
            "  hint: the structure that model(...) takes"
        ) from error
    batch = [np.asarray(x) for x in keras.tree.flatten(given)]
    for spec, x in zip(specs, batch, strict=True):
        shape = tuple(spec.shape[1:])
        fits = x.ndim == len(shape) + 1 and all(n in (None, m) for n, m in zip(shape, x.shape[1:], strict=True))
        if not fits or not len(x):
            expected = ", ".join(["batch", *("any" if n is None else str(n) for n in shape)])
            raise ValueError(
                f"sample: the input {spec.name!r} takes the shape ({expected}), received {x.shape}\n"
                "  hint: a few examples, such as x[:4]"
            )
    return [_cast(x, spec.dtype) for spec, x in zip(specs, batch, strict=True)]


def _drawn(model: keras.Model, inputs: Any, specs: list[Any]) -> Sample:
    """Draw a batch of the smallest size that the model can take."""
    unknown = any(n is None for spec in specs for n in spec.shape[1:])
    batch: list[np.ndarray] = []
    problem = ""
    words = _words(model)
    for size in SIZES if unknown else SIZES[:1]:
        batch = draw(specs, size, words=words)
        try:
            sample = _run(model, inputs, batch)
        except Exception as error:  # whatever a layer raises for a size it cannot take
            problem = brief(error)
            continue
        if all(y.size and np.all(np.isfinite(y.astype("float64"))) for y in sample.outputs):
            return sample
        problem = "its outputs are empty or not finite"
    shapes = ", ".join("x".join(map(str, x.shape)) for x in batch)
    raise ExportError(f"the model does not take a drawn batch of {shapes}: {problem}", "sample=x, a batch of real data")


def _words(model: keras.Model) -> list[str]:
    """Return words that the model knows, and one that it does not."""
    vocabularies = [layer.get_vocabulary(include_special_tokens=False) for layer in text_layers(model)]
    known = [word for vocabulary in vocabularies for word in vocabulary[:1000]]
    return [*map(str, known), "unheard-of"]


def _run(model: keras.Model, inputs: Any, batch: list[np.ndarray]) -> Sample:
    outputs = model(keras.tree.pack_sequence_as(inputs, batch), training=False)
    return Sample(batch, numpy(outputs), Ports(inputs, outputs))


def _cast(x: np.ndarray, dtype: str) -> np.ndarray:
    import ml_dtypes  # comes with TensorFlow

    if dtype == "string":
        return tf.convert_to_tensor(x.tolist(), tf.string).numpy()
    return x.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
