"""Greedy layer-wise pretraining: a deep encoder learns without labels, one layer after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from deepkit.blocks.autoencoder import Autoencoder
from deepkit.data import Data, Pipeline, from_arrays
from deepkit.definition.sequential import Sequential
from deepkit.definition.keras_config import parameters
from deepkit.execution.plan import Plan, current
from deepkit.execution.plan import plan as make_plan
from deepkit.layers import TiedConv, TiedDense
from deepkit.training.fit import Run, fit
from deepkit.utils.console import echo

_CHUNK = 1024  # examples whose codes are computed at a time


def pretrain(
    units: Sequence[Any],
    data: Any,
    *,
    corruption: Any = None,
    activation: Any = "sigmoid",
    tied: bool = False,
    epochs: int = 15,
    run_dir: str | os.PathLike[str] | None = None,
    **fitting: Any,
) -> list[keras.layers.Layer]:
    """Train the layers of an encoder one after the other, each as a `dk.Autoencoder` of what lies below it.

    A new layer sees the codes of the trained layers below, which are computed once, without noise; the corruption
    goes to the input of the layer that is being trained alone. Its output gives back values from 0 to 1 by a
    sigmoid and cross-entropy, other values by a linear output and squared error. Source: Vincent et al. 2010,
    "Stacked Denoising Autoencoders", section 3.5; without corruption Bengio et al. 2007, "Greedy Layer-Wise
    Training of Deep Networks".

    The trained layers are used as they are in a definition, so fine-tuning goes on with them, and changes them:
    `dk.fit(dk.Sequential([*stack, dk.Classifier(10)]), labelled)`.

    Args:
        units: The layers from the bottom up: a number for a dense layer of so many units, or a block or Keras layer
            that has a mirror image, such as `dk.ConvStack(32, norm=None)`. Where a dense layer comes first, images
            are flattened. A layer that has weights begins with them, and is trained like the rest.
        data: What `dk.fit` takes, from which the inputs are used: a `dk.data` data set, whose training part is taken
            in its own order without augmentation, a `tf.data.Dataset`, of which one pass is taken, or arrays. The
            codes of all examples are kept in memory.
        corruption: What the training input of each layer goes through: `dk.MaskingNoise(0.25)`.
        activation: Of the dense layers that `units` gives by number.
        tied: Whether the decoders have the transposed kernels of the layers; see `dk.Autoencoder`.
        epochs: How often each layer goes through the data.
        run_dir: Folder with a run for each layer (`layer1`, `layer2`, ...); the same call goes on where it stopped.
        fitting: Further arguments of `dk.fit`, the same for each layer: `plan`, `batch_size`, `optimizer`, `verbose`.
            The seed of the plan counts up from layer to layer.

    Returns:
        The trained layers of the encoder in order, decoders and noise left out. A tied layer comes back as the
        Keras layer that it ties.

    Raises:
        TypeError: `units` is no list, or the data is of no kind that is known.
        DefinitionError: A layer has no mirror image, or an argument makes no sense.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = np.random.default_rng(0).random((64, 8)), np.arange(64) % 2
        >>> stack = dk.pretrain([6, 4], x, corruption=dk.MaskingNoise(0.25), epochs=2, verbose=0)
        >>> [layer.units for layer in stack]
        [6, 4]
        >>> run = dk.fit(dk.Sequential([*stack, dk.Classifier(2)]), (x, y), verbose=0)
        >>> run.model.count_params()
        92
    """
    _check(units, fitting)
    plan = fitting.pop("plan", None) or current() or make_plan()
    codes = _inputs(data)
    fitting.setdefault("batch_size", getattr(getattr(data, "train", data), "batch_size", None))
    stack: list[keras.layers.Layer] = []
    for number, unit in enumerate(units, start=1):
        encoder = _encoder(unit, number, activation, codes)
        output = "sigmoid" if codes.min() >= 0 and codes.max() <= 1 else None
        net = Autoencoder(encoder, corruption=corruption, tied_weights=tied, activation=output)
        folder = None if run_dir is None else Path(run_dir) / f"layer{number}"
        own = _drawing_apart(plan, number)
        run = fit(net, codes, epochs=epochs, run_dir=folder, plan=own, **fitting)
        with own:
            stack += _trained(run.model)
            after = _codes(run.model, codes)
        if fitting.get("verbose", "auto"):
            echo(_progress(run, number, len(units), codes, after))
        codes = after
    return stack


def _check(units: Any, fitting: dict[str, Any]) -> None:
    if not isinstance(units, list | tuple) or not units:
        hint = f"[{units!r}]" if isinstance(units, int) else "[1000, 1000]"
        raise TypeError(f"pretrain: units must be a list of layers or widths, received {units!r}\n  hint: {hint}")
    if "metrics" in fitting or "loss" in fitting or "validation_data" in fitting:
        name = next(name for name in ("loss", "metrics", "validation_data") if name in fitting)
        raise TypeError(f"pretrain: {name} follows from each layer's own autoencoder\n  hint: dk.fit for one of them")


def _inputs(data: Any) -> np.ndarray:
    """Return the inputs of the training data as one array, images from 0 to 1."""
    if isinstance(data, Data):
        data = data.train
    if isinstance(data, tf.data.Dataset) and not isinstance(data, Pipeline):
        data = _joined(data)
    if not isinstance(data, Pipeline):
        data = from_arrays(data[0] if isinstance(data, tuple | list) else data).train
    x = data.arrays()[0]
    if not isinstance(x, np.ndarray):
        raise TypeError(
            f"pretrain: expected one input, received a {type(x).__name__} of them\n  hint: one of its arrays"
        )
    return x


def _joined(dataset: tf.data.Dataset) -> Any:
    """Return the inputs of all batches as one array, or as a structure of arrays."""
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError("pretrain: the dataset has no end\n  hint: dataset.take(steps)")
    batches = [batch[0] if isinstance(batch, tuple) else batch for batch in dataset.as_numpy_iterator()]
    if not batches:
        raise ValueError("pretrain: the dataset is empty\n  hint: a dataset with batches")
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)


def _encoder(unit: Any, number: int, activation: Any, codes: np.ndarray) -> list[Any]:
    """Return what a layer is trained with, under a name of its own."""
    if not isinstance(unit, int) or isinstance(unit, bool):
        return [Sequential([unit], name=f"part{number}")]
    dense = layers.Dense(unit, activation=activation, name=f"dense{number}")
    return [layers.Flatten(), dense] if codes.ndim > 2 else [dense]


def _drawing_apart(plan: Plan, number: int) -> Plan:
    """Return the plan with a seed of this layer's own: two layers of one shape would begin with the same weights."""
    return plan if plan.seed is None else plan.replace(reason="each layer draws apart", seed=plan.seed + number - 1)


def _trained(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the encoder's layers anew, with the trained weights and without the autoencoder around them."""
    code = keras.Model(model.input, model.get_layer("code").output)
    noise = [layer for layer in code.layers if layer.name.startswith("corruption.")]
    encoder = keras.Model(noise[-1].output if noise else model.input, code.output)
    return [_copy(layer) for layer in encoder.layers[1:-1]]  # without the input and the layer named code


def _copy(layer: keras.layers.Layer) -> keras.layers.Layer:
    cls, config, weights = type(layer), layer.get_config(), layer.get_weights()
    # what has weights keeps its name in a definition; what has none is made anew, and named by its place there
    config["name"] = layer.name.removeprefix("encoder.") if weights else None
    if isinstance(layer, TiedConv):
        cls, weights = type(layer.layer), layer.layer.get_weights()
        config = layer.layer.get_config() | {"name": config["name"]}
    elif isinstance(layer, TiedDense):
        cls = layers.Dense
        config = {key: value for key, value in config.items() if key in parameters(cls)}
        weights = weights[: 2 if layer.use_bias else 1]
    copied = cls.from_config(config)
    if weights:
        copied.build(layer.get_build_config()["input_shape"])
        copied.set_weights(weights)
    return copied


def _codes(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return the codes of all examples, computed without noise."""
    encoder = keras.Model(model.input, model.get_layer("code").output)
    found = [np.asarray(encoder(x[i : i + _CHUNK]), "float32") for i in range(0, len(x), _CHUNK)]
    return np.concatenate(found)


def _progress(run: Run, number: int, of: int, before: np.ndarray, after: np.ndarray) -> str:
    sizes = ["x".join(map(str, codes.shape[1:])) for codes in (before, after)]
    losses = run.history["loss"]
    return f"layer {number} of {of}: {sizes[0]} -> {sizes[1]}, reconstruction loss {losses[0]:.4g} -> {losses[-1]:.4g}"
