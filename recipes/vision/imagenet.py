"""Networks pretrained on ImageNet: Keras's weights in deepkit's definitions, and the preprocessing of their images.

`pretrained("vgg16")` has the layers and the weights of `keras.applications.VGG16`, built from the definition in this
package. Without its top it is a base for another task:

    base = imagenet.pretrained("vgg16", include_top=False)
    base.trainable = False
    data = dk.data.load("oxford_iiit_pet", image_size=224, map=imagenet.preprocessing("vgg16"))
    dk.fit(dk.Sequential([base, dk.Classifier(37, pool="avg")]), data, epochs=5)

keras.applications downloads the weights into Keras's own cache.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import keras

import deepkit as dk
from deepkit.utils.errors import did_you_mean_or_list, format_value, message
from recipes.vision import densenet, resnet_in_keras, vgg

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor

WeightShapes = list[tuple[str, list[tuple[int, ...]]]]  # name and shapes of the weights of each layer with weights
MEAN = (123.68, 116.779, 103.939)  # of red, green and blue over the training images
INPUT_SHAPE = (224, 224, 3)  # of the images on which all these networks were trained


@dataclass(frozen=True)
class Network:
    """A network that keras.applications has too.

    Args:
        definition: Function of `include_top=` and `num_classes=` that returns the definition. Its layers are those of
            Keras in the same order: the same weights give the same output.
        application: Name of the function of `keras.applications` that builds Keras's network.
        module: Name of the module of `keras.applications` that has its `preprocess_input`.
    """

    definition: Callable[..., dk.Block]
    application: str
    module: str


NETWORKS = {
    "vgg16": Network(partial(vgg.in_keras, 16), "VGG16", "vgg16"),
    "vgg19": Network(partial(vgg.in_keras, 19), "VGG19", "vgg19"),
    "resnet50": Network(partial(resnet_in_keras.version1, 50), "ResNet50", "resnet"),
    "resnet101": Network(partial(resnet_in_keras.version1, 101), "ResNet101", "resnet"),
    "resnet152": Network(partial(resnet_in_keras.version1, 152), "ResNet152", "resnet"),
    "resnet50v2": Network(partial(resnet_in_keras.version2, 50), "ResNet50V2", "resnet_v2"),
    "resnet101v2": Network(partial(resnet_in_keras.version2, 101), "ResNet101V2", "resnet_v2"),
    "resnet152v2": Network(partial(resnet_in_keras.version2, 152), "ResNet152V2", "resnet_v2"),
    "densenet121": Network(partial(densenet.in_keras, 121), "DenseNet121", "densenet"),
    "densenet169": Network(partial(densenet.in_keras, 169), "DenseNet169", "densenet"),
    "densenet201": Network(partial(densenet.in_keras, 201), "DenseNet201", "densenet"),
}


def pretrained(
    name: str,
    *,
    weights: str | Path = "imagenet",
    include_top: bool = True,
    input_shape: Shape = INPUT_SHAPE,
    num_classes: int = 1000,
) -> keras.Model:
    """Build a network with the weights of keras.applications.

    Args:
        name: A key of `NETWORKS`.
        weights: `"imagenet"`, which Keras downloads into its cache if it is not there yet, or the path of a file of
            weights (`.h5`, `.weights.h5`, `.keras`) to which the network of keras.applications was saved.
        include_top: Whether to end in probabilities of the classes; False for a base that ends in feature maps.
        input_shape: Shape of an image: `(height, width, channels)`; height and width may be None.
        num_classes: Number of classes of the top.

    Returns:
        A plain `keras.Model` for images that went through `preprocessing(name)`.

    Raises:
        ValueError: The network or the file does not exist, the weights are not available, or they do not fit.
    """
    network = _network(name)
    from_imagenet = str(weights) == "imagenet"
    if not from_imagenet and not (isinstance(weights, str | Path) and Path(weights).is_file()):
        hint = 'use weights="imagenet", or the path of a file of weights'
        raise ValueError(message(f"there is no file {format_value(weights)}", hint=hint))
    definition = network.definition(include_top=include_top, num_classes=num_classes)
    trained = network.definition(include_top=include_top, num_classes=1000 if from_imagenet else num_classes)
    shapes = _definition_shapes(definition, input_shape)
    difference = ""
    if (definition, tuple(input_shape)) != (trained, INPUT_SHAPE):
        difference = _difference(shapes, _definition_shapes(trained, INPUT_SHAPE))
    if from_imagenet and difference:
        problem = f"{name} was trained on {_format_shape(INPUT_SHAPE)} and 1,000 classes: {difference}"
        raise ValueError(message(problem, hint=_hint(input_shape)))
    if not from_imagenet:
        _check_file(Path(weights), name, shapes)
    keras_shape: Shape | None = INPUT_SHAPE if include_top else None
    if difference:
        keras_shape = input_shape
    source = _keras_network(name, weights, include_top=include_top, input_shape=keras_shape, classes=num_classes)
    model = definition.build(input_shape)
    copy_weights(source, model)
    return model


def preprocessing(name: str) -> Callable[[Tensor], Tensor]:
    """Return the preprocessing of a pretrained network, for RGB images with values from 0 to 255.

    It is `preprocess_input` of the network's module in `keras.applications`; pass it to `dk.data.load(..., map=...)`.

    Raises:
        ValueError: The network does not exist.
    """
    return getattr(keras.applications, _network(name).module).preprocess_input


def subtract_mean(images: Tensor) -> Tensor:
    """Subtract the mean color of ImageNet's images from RGB images with values from 0 to 255.

    This is the only preprocessing in the papers of AlexNet (section 2, there pixel by pixel) and VGG (section 2.1).
    """
    return keras.ops.cast(images, "float32") - keras.ops.array(MEAN, "float32")


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights of one model into another that has the same layers with weights in the same order.

    Raises:
        ValueError: The layers differ; nothing is copied then.
    """
    difference = _difference(_model_shapes(target), _model_shapes(source))
    if difference:
        raise ValueError(f"the weights of {source.name} do not fit {target.name}: {difference}")
    for source_layer, target_layer in zip(_layers_with_weights(source), _layers_with_weights(target), strict=True):
        target_layer.set_weights(source_layer.get_weights())


def _network(name: str) -> Network:
    if name in NETWORKS:
        return NETWORKS[name]
    if str(name) in ("resnet18", "resnet34"):
        hint = f"use 'resnet50', or train recipes.vision.resnet.{name}()"
        raise ValueError(message(f"Keras has no weights of {name}", hint=hint))
    choices = did_you_mean_or_list(name, NETWORKS, listing="the networks are")
    raise ValueError(f"there is no pretrained network {format_value(name)}{choices}")


def _keras_network(name: str, weights: str | Path, **arguments: Any) -> keras.Model:
    """Return Keras's own network with the weights.

    Raises:
        ValueError: The weights are not available, or they are those of another network.
    """
    build_network = getattr(keras.applications, NETWORKS[name].application)
    try:
        return build_network(weights=str(weights), **arguments)
    except Exception as error:  # a failed download raises a plain Exception, and a damaged file many classes
        if str(weights) == "imagenet" and not isinstance(error, TypeError):  # of an argument, not of a download
            raise _download_error(name, error) from error
        raise _file_error(weights, name, _shorten(error)) from error


def _check_file(path: Path, name: str, shapes: WeightShapes) -> None:
    """Raise if a file in Keras's older format, which lists its layers in order, is that of another network.

    For such a file Keras compares only the number of layers; for its newer formats it names the layer that differs.
    """
    try:
        file_shapes = _file_shapes(path)
    except OSError as error:
        raise _file_error(path, name, f"it is truncated or damaged ({_shorten(error)})") from error
    difference = "" if file_shapes is None else _difference(shapes, file_shapes)
    if difference:
        raise _file_error(path, name, difference)


def _file_shapes(path: Path) -> WeightShapes | None:
    """Return the weights that a file in the older format lists, or None for another format."""
    if not h5py.is_hdf5(path):
        return None
    shapes: WeightShapes = []
    with h5py.File(path) as file:
        root = file.get("model_weights", file)
        if "layer_names" not in root.attrs:
            return None
        for layer in _names(root, "layer_names"):
            layer_shapes = [tuple(root[layer][weight].shape) for weight in _names(root[layer], "weight_names")]
            if layer_shapes:
                shapes.append((layer, layer_shapes))
    return shapes


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names, which old files store as bytes."""
    return [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs.get(attribute, ())]


def _file_error(path: str | Path, name: str, problem: str) -> ValueError:
    hint = "use the include_top=, num_classes= and input_shape= of the file, or the network that it was saved from"
    return ValueError(message(f"{path} does not contain the weights of {name}: {problem}", hint=hint))


def _download_error(name: str, error: Exception) -> ValueError:
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    address = re.search(r"https?://[^\s:]+", str(error))
    file = address[0].rsplit("/", 1)[-1] if address else "the file of weights"
    problem = f"the weights of {name} are not in {cache} and cannot be downloaded: {_shorten(error)}"
    hint = f"connect to a network, put {file} into {cache}, or use weights= with the path of such a file"
    return ValueError(message(problem, hint=hint))


def _shorten(error: Exception) -> str:
    text = " ".join(str(error).split(" Target variable: ")[0].split())  # Keras appends the weights themselves
    return text[:400] or type(error).__name__


def _hint(input_shape: Shape) -> str:
    if input_shape[-1] != INPUT_SHAPE[-1]:
        return "use images with three channels"
    return "use include_top=False, and add a dk.Classifier"


def _definition_shapes(definition: dk.Block, input_shape: Shape) -> WeightShapes:
    """Return the shapes of a definition's weights without creating weights."""
    with keras.StatelessScope(initialize_variables=False):
        return _model_shapes(definition.build(input_shape))


def _model_shapes(model: keras.Model) -> WeightShapes:
    return [(layer.name, [tuple(weight.shape) for weight in layer.weights]) for layer in _layers_with_weights(model)]


def _layers_with_weights(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if layer.weights]


def _difference(expected: WeightShapes, received: WeightShapes) -> str:
    """Describe the first difference between the weights of two networks; return an empty string if there is none."""
    for (name, expected_shapes), (other_name, received_shapes) in zip(expected, received, strict=False):
        if expected_shapes != received_shapes:
            owner = "" if name == other_name else f" of {other_name}"
            received_text = f"{_format_shapes(received_shapes)}{owner}"
            return f"expected {_format_shapes(expected_shapes)} for {name}, received {received_text}"
    if len(expected) == len(received):
        return ""
    count = f"expected {len(expected)} layers with weights, received {len(received)}"
    if len(expected) > len(received):
        return f"{count}: there is nothing for {expected[len(received)][0]}"
    return f"{count}: there is no layer for {received[len(expected)][0]}"


def _format_shapes(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(_format_shape(shape) for shape in shapes)


def _format_shape(shape: Shape) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)
