"""Greedy layer-wise pretraining: a deep encoder learns without labels, one layer after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from deepkit.blocks.autoencoder import Autoencoder
from deepkit.data import Data, Pipeline, from_arrays
from deepkit.data.batch_iterables import as_dataset, is_batch_iterable
from deepkit.data.source_errors import original_errors
from deepkit.definition.keras_config import parameters
from deepkit.definition.sequential import Sequential
from deepkit.execution.plan import Plan, resolve_plan
from deepkit.layers import TiedConv, TiedDense
from deepkit.training.fit import fit
from deepkit.training.fit_arguments import unpack_arrays
from deepkit.training.input_rules import rescale_uint8_images
from deepkit.utils.console import echo
from deepkit.utils.errors import format_value, message
from deepkit.utils.tracing import without_retracing_warnings
from deepkit.utils.validation import is_integer

if TYPE_CHECKING:
    from deepkit.definition.fields import BodyLike
    from deepkit.training.fit_arguments import DataLike
    from deepkit.training.trained_run import Run
    from deepkit.utils.types import Nested, PathLike

_CODE_BATCH = 1024  # examples whose codes are computed at a time
_FIXED_ARGUMENTS = ("loss", "metrics", "validation_data")
_LABEL_ARGUMENTS = ("y", "sample_weight", "class_weight")


@without_retracing_warnings()
@original_errors()
def pretrain(
    units: Sequence[int | BodyLike],
    x: DataLike,
    *,
    corruption: BodyLike | None = None,
    activation: str | Callable[..., Any] | None = "sigmoid",
    tied_weights: bool = False,
    epochs: int = 15,
    run_dir: PathLike | None = None,
    **fit_args: Any,
) -> list[keras.layers.Layer]:
    """Train the layers of an encoder one after the other, each as a `dk.Autoencoder` of the codes of the layer below.

    The codes of the trained layers are computed once, without noise; the corruption applies only to the input of the
    layer in training. Its output reconstructs values from 0 to 1 with a sigmoid and cross-entropy, other values with
    a linear output and squared error. Source: Vincent et al. 2010, "Stacked Denoising Autoencoders", section 3.5;
    without corruption Bengio et al. 2007, "Greedy Layer-Wise Training of Deep Networks".

    A definition uses the trained layers themselves, so fine-tuning continues with their weights, and changes them:
    `dk.fit(dk.Sequential([*stack, dk.Classifier(10)]), labeled)`.

    Args:
        units: The layers from the bottom up: the number of units of a dense layer, or a block or Keras layer that can
            be inverted, such as `dk.ConvStack(32, norm=None)`. If a dense layer comes first, images are flattened. A
            layer with weights starts from them, and is trained like the others.
        x: An array of inputs, or data as for `dk.fit`, of which only the inputs are used: a tuple of arrays (x, y), the
            training split of a `dk.data` dataset in its own order and without augmentation, or one epoch of a
            `tf.data.Dataset`. The codes of all examples are stored in memory.
        corruption: Noise on the training input of each layer, such as `dk.MaskingNoise(0.25)`.
        activation: Activation of the dense layers that `units` gives by number.
        tied_weights: Whether the decoders use the transposed kernels of the layers; see `dk.Autoencoder`.
        epochs: Number of epochs for each layer.
        run_dir: Directory that receives a run for each layer (`layer1`, `layer2`, ...); the same call resumes.
        **fit_args: Further arguments of `dk.fit`, the same for each layer: `plan`, `batch_size`, `optimizer`,
            `verbose`. The seed of the plan increases by 1 from layer to layer.

    Returns:
        The trained layers of the encoder in order, without decoders and noise. A tied layer is returned as the Keras
        layer whose weights it ties.

    Raises:
        TypeError: `units` is not a list, x has an unsupported type, or an argument applies to labels.
        DefinitionError: A layer cannot be inverted, or an argument is invalid.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = np.random.default_rng(0).random((64, 8)), np.arange(64) % 2
        >>> stack = dk.pretrain(
        ...     [6, 4], x, corruption=dk.MaskingNoise(0.25), epochs=2, verbose=0
        ... )
        >>> [layer.units for layer in stack]
        [6, 4]
        >>> run = dk.fit(dk.Sequential([*stack, dk.Classifier(2)]), (x, y), verbose=0)
        >>> run.model.count_params()
        92
    """
    _check_units(units)
    _check_fit_args(fit_args)
    plan = resolve_plan(fit_args.pop("plan", None))
    codes = _inputs(x)
    fit_args.setdefault("batch_size", getattr(getattr(x, "train", x), "batch_size", None))
    stack: list[keras.layers.Layer] = []
    for number, unit in enumerate(units, start=1):
        encoder = _encoder(unit, number, activation, codes)
        output_activation = "sigmoid" if codes.min() >= 0 and codes.max() <= 1 else None
        net = Autoencoder(encoder, corruption=corruption, tied_weights=tied_weights, activation=output_activation)
        layer_dir = None if run_dir is None else Path(run_dir) / f"layer{number}"
        layer_plan = _with_layer_seed(plan, number)
        run = fit(net, codes, epochs=epochs, run_dir=layer_dir, plan=layer_plan, **fit_args)
        with layer_plan:
            stack += _trained_layers(run.model)
            next_codes = _compute_codes(run.model, codes)
        if fit_args.get("verbose", "auto"):
            echo(_progress(run, number, len(units), codes, next_codes))
        codes = next_codes
    return stack


def _check_units(units: object) -> None:
    if not isinstance(units, list | tuple) or not units:
        raise TypeError(
            message(
                f"pretrain: units must be a list of layers or widths, received {format_value(units)}",
                hint=f"use [{units}]" if is_integer(units) else "use [1000, 1000]",
            )
        )


def _check_fit_args(fit_args: dict[str, Any]) -> None:
    for name in _LABEL_ARGUMENTS:
        if name in fit_args:
            problem = f"pretrain: {name} was passed, and pretraining learns from inputs without labels"
            raise TypeError(message(problem, hint=f"leave {name} out; pass it to dk.fit for the fine-tuning"))
    for name in _FIXED_ARGUMENTS:
        if name in fit_args:
            raise TypeError(
                message(
                    f"pretrain: {name} is determined by the autoencoder of each layer",
                    hint=f"leave {name} out, or use dk.fit for a single autoencoder",
                )
            )


def _inputs(data: DataLike) -> np.ndarray:
    """Return the inputs of the training data as one array, images from 0 to 1."""
    batches: Any = data.train if isinstance(data, Data) else data
    if is_batch_iterable(batches):
        batches = as_dataset(batches, "x", reads_once=True)
    if isinstance(batches, Pipeline):
        x = batches.arrays()[0]
    else:
        is_dataset = isinstance(batches, tf.data.Dataset)
        arrays: Any = _concatenated_inputs(batches) if is_dataset else unpack_arrays(batches).x
        x = from_arrays(arrays).train.arrays()[0]
    if not isinstance(x, np.ndarray):
        raise TypeError(
            message(
                f"pretrain: expected one input, received a {type(x).__name__} of inputs",
                hint="pass one of its arrays",
            )
        )
    return rescale_uint8_images(x)


def _concatenated_inputs(dataset: Any) -> Nested:
    """Return the inputs of all batches as one array, or as a structure of arrays."""
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(message("pretrain: the dataset is infinite", hint="use dataset.take(steps)"))
    inputs = [batch[0] if isinstance(batch, tuple) else batch for batch in dataset.as_numpy_iterator()]
    if not inputs:
        raise ValueError(message("pretrain: the dataset is empty", hint="pass a dataset with batches"))
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *inputs)


def _encoder(
    unit: int | BodyLike, number: int, activation: str | Callable[..., Any] | None, codes: np.ndarray
) -> list[BodyLike]:
    """Return the elements of the encoder of one layer, with a unique name."""
    if not is_integer(unit):
        return [Sequential([cast("BodyLike", unit)], name=f"part{number}")]
    dense = layers.Dense(unit, activation=activation, name=f"dense{number}")
    return [layers.Flatten(), dense] if codes.ndim > 2 else [dense]


def _with_layer_seed(plan: Plan, number: int) -> Plan:
    """Return the plan with the seed of a layer: layers of equal shape must not start from equal weights."""
    if plan.seed is None:
        return plan
    return plan.replace(reason="each layer has its own seed", seed=plan.seed + number - 1)


def _trained_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return copies of the encoder's layers with the trained weights, without the autoencoder around them."""
    with_noise = keras.Model(model.input, model.get_layer("code").output)
    noise = [layer for layer in with_noise.layers if layer.name.startswith("corruption.")]
    encoder = keras.Model(noise[-1].output if noise else model.input, with_noise.output)
    return [_copy(layer) for layer in encoder.layers[1:-1]]  # without the input and the layer named code


def _copy(layer: keras.layers.Layer) -> keras.layers.Layer:
    cls, config, weights = type(layer), layer.get_config(), layer.get_weights()
    # a definition uses a layer with weights as it is, under its name; it copies and names the others itself
    config["name"] = layer.name.removeprefix("encoder.") if weights else None
    if isinstance(layer, TiedConv):
        cls, weights = type(layer.layer), layer.layer.get_weights()
        config = layer.layer.get_config() | {"name": config["name"]}
    elif isinstance(layer, TiedDense):
        cls = layers.Dense
        config = {key: value for key, value in config.items() if key in parameters(cls)}
        weights = weights[: 2 if layer.use_bias else 1]
    copy = cls.from_config(config)
    if weights:
        copy.build(layer.get_build_config()["input_shape"])
        copy.set_weights(weights)
    return copy


def _compute_codes(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return the codes of all examples, without noise."""
    encoder = keras.Model(model.input, model.get_layer("code").output)
    codes = [np.asarray(encoder(x[i : i + _CODE_BATCH]), "float32") for i in range(0, len(x), _CODE_BATCH)]
    return np.concatenate(codes)


def _progress(run: Run, number: int, total: int, inputs: np.ndarray, codes: np.ndarray) -> str:
    sizes = ["x".join(map(str, array.shape[1:])) for array in (inputs, codes)]
    losses = run.history["loss"]
    return (
        f"layer {number} of {total}: {sizes[0]} -> {sizes[1]}, reconstruction loss {losses[0]:.4g} -> {losses[-1]:.4g}"
    )
