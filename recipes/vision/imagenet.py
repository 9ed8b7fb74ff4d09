"""Networks trained on ImageNet: Keras's weights in deepkit's definitions, and what images must go through before.

`pretrained("vgg16")` is the network that `keras.applications.VGG16` is, built from the definition in this package,
with the same weights. Without its top it is a base for another task:

    base = imagenet.pretrained("vgg16", include_top=False)
    base.trainable = False
    data = dk.data.load("oxford_iiit_pet", image_size=224, map=imagenet.preprocessing("vgg16"))
    dk.fit(dk.Sequential([base, dk.Classifier(37, pool="avg")]), data, epochs=5)

The weights are those of keras.applications, found in or brought to Keras's own cache.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras

import deepkit as dk
from recipes.vision import densenet, resnet_in_keras, vgg

Shapes = list[tuple[str, list[tuple[int, ...]]]]  # of the weights of each layer that has some
MEAN = (123.68, 116.779, 103.939)  # of red, green and blue over the training images
SHAPE = (224, 224, 3)  # of the images that every network here was trained on


@dataclass(frozen=True)
class Network:
    """A network that keras.applications has too.

    Args:
        definition: Returns the definition for `include_top=` and `num_classes=`, with the layers that Keras's has in
            the same order: the same weights give the same output.
        application: The function of `keras.applications` that makes Keras's.
        module: The module of `keras.applications` that has its `preprocess_input`.
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
    input_shape: tuple[int | None, ...] = SHAPE,
    num_classes: int = 1000,
) -> keras.Model:
    """Build a network with the weights of keras.applications in it.

    Args:
        name: A key of `NETWORKS`.
        weights: `"imagenet"`, which Keras downloads into its cache where it is not there yet, or the path of a
            file of weights (`.h5`, `.weights.h5`, `.keras`) that the network of keras.applications was saved to.
        include_top: Whether to end in probabilities of the classes; False for a base that ends in feature maps.
        input_shape: Rows, columns and channels of an image; `None` for any number of rows and columns.
        num_classes: Number of classes of the top.

    Returns:
        A plain `keras.Model`, which takes images that went through `preprocessing(name)`.

    Raises:
        ValueError: There is no such network or file, the weights cannot be had, or they do not fit.
    """
    network = _network(name)
    trained = str(weights) == "imagenet"
    if not trained and not (isinstance(weights, str | Path) and Path(weights).is_file()):
        raise ValueError(f'there is no file {weights}\n  hint: weights="imagenet", or the path of a file of weights')
    definition = network.definition(include_top=include_top, num_classes=num_classes)
    usual = network.definition(include_top=include_top, num_classes=1000 if trained else num_classes)
    needed = _shapes(definition, input_shape)
    same = (definition, tuple(input_shape)) == (usual, SHAPE)
    misfit = "" if same else _difference(needed, _shapes(usual, SHAPE))
    if trained and misfit:
        raise ValueError(
            f"{name} was trained on {_words(SHAPE)} and 1,000 classes: {misfit}\n  hint: {_mend(input_shape)}"
        )
    if not trained:
        _check_file(Path(weights), name, needed)
    shape = input_shape if misfit else SHAPE if include_top else None
    donor = _donor(name, weights, include_top=include_top, input_shape=shape, num_classes=num_classes)
    model = definition.build(input_shape)
    copy_weights(donor, model)
    return model


def preprocessing(name: str) -> Callable[[Any], Any]:
    """Return what makes of images with values from 0 to 255, in RGB, what a pretrained network takes.

    It is `preprocess_input` of the network's module in `keras.applications`, and fits `dk.data.load(..., map=...)`.

    Raises:
        ValueError: There is no such network.
    """
    return getattr(keras.applications, _network(name).module).preprocess_input


def subtract_mean(images: Any) -> Any:
    """Subtract the mean colour of ImageNet's images from images in RGB with values from 0 to 255.

    It is all that the papers of AlexNet (section 2, there pixel by pixel) and VGG (section 2.1) do before training.
    """
    return keras.ops.cast(images, "float32") - keras.ops.array(MEAN, "float32")


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights of one model into another whose layers with weights are the same in the same order.

    Raises:
        ValueError: They are not; nothing was copied then.
    """
    found, wanted = _with_weights(source), _with_weights(target)
    misfit = _difference(_shapes_of(target), _shapes_of(source))
    if misfit:
        raise ValueError(f"the weights of {source.name} do not fit {target.name}: {misfit}")
    for theirs, ours in zip(found, wanted, strict=True):
        ours.set_weights(theirs.get_weights())


def _network(name: str) -> Network:
    if name in NETWORKS:
        return NETWORKS[name]
    if str(name) in ("resnet18", "resnet34"):
        raise ValueError(
            f"Keras has no weights of {name}\n  hint: 'resnet50', or recipes.vision.resnet.{name}() to train it"
        )
    close = difflib.get_close_matches(str(name), NETWORKS, n=1)
    there = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(NETWORKS)}"
    raise ValueError(f"no pretrained network is called {name!r}; {there}")


def _donor(name: str, weights: str | Path, **arguments: Any) -> keras.Model:
    """Return Keras's own network with the weights in it.

    Raises:
        ValueError: The weights cannot be had, or are another network's.
    """
    make = getattr(keras.applications, NETWORKS[name].application)
    try:
        return make(weights=str(weights), **arguments)
    except Exception as error:  # a download raises a plain Exception, and a damaged file many kinds
        if str(weights) == "imagenet":
            raise ValueError(_not_had(name, error)) from error
        raise _misfit(weights, name, _short(error)) from error


def _check_file(path: Path, name: str, needed: Shapes) -> None:
    """Raise where a file in Keras's older format, which lists its layers in order, is of another network.

    Keras itself counts the layers only; of files in its newer format it says by itself which layer does not fit.
    """
    try:
        found = _listed_in(path)
    except OSError as error:
        raise _misfit(path, name, f"it is cut short or damaged ({_short(error)})") from error
    misfit = "" if found is None else _difference(needed, found)
    if misfit:
        raise _misfit(path, name, misfit)


def _listed_in(path: Path) -> Shapes | None:
    """Return the weights that a file in the older format lists; None for one in another format."""
    if not h5py.is_hdf5(path):
        return None
    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        if "layer_names" not in group.attrs:
            return None
        layers = [(layer, group[layer]) for layer in _texts(group, "layer_names")]
        found = [(layer, [tuple(part[key].shape) for key in _texts(part, "weight_names")]) for layer, part in layers]
    return [(layer, shapes) for layer, shapes in found if shapes]


def _texts(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names, which old files hold as bytes."""
    return [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs.get(attribute, ())]


def _misfit(path: str | Path, name: str, problem: str) -> ValueError:
    return ValueError(
        f"{path} does not hold the weights of {name} as asked for: {problem}\n"
        "  hint: include_top=, num_classes= and input_shape= as the file has them, or the network that it is of"
    )


def _not_had(name: str, error: Exception) -> str:
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    address = re.search(r"https?://[^\s:]+", str(error))
    file = address[0].rsplit("/", 1)[-1] if address else "the file of weights"
    return (
        f"the weights of {name} are not in {cache} and cannot be downloaded: {_short(error)}\n"
        f"  hint: again with a network, {file} put into {cache}, or weights= with the path of such a file"
    )


def _short(error: Exception) -> str:
    text = " ".join(str(error).split(" Target variable: ")[0].split())  # what follows are the weights themselves
    return text[:400] or type(error).__name__


def _mend(input_shape: tuple[int | None, ...]) -> str:
    if input_shape[-1] != SHAPE[-1]:
        return "images of three channels"
    return "include_top=False, and a dk.Classifier of your own behind it"


def _shapes(definition: dk.Block, input_shape: tuple[int | None, ...]) -> Shapes:
    """Return the shapes of the weights that a definition would have, without making one."""
    with keras.StatelessScope(initialize_variables=False):
        return _shapes_of(definition.build(input_shape))


def _shapes_of(model: keras.Model) -> Shapes:
    return [(layer.name, [tuple(weight.shape) for weight in layer.weights]) for layer in _with_weights(model)]


def _with_weights(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if layer.weights]


def _difference(ours: Shapes, theirs: Shapes) -> str:
    """Say where two networks first differ in the shapes of their weights; nothing where they do not."""
    for (name, needed), (other, given) in zip(ours, theirs, strict=False):
        if needed != given:
            behind = "" if name == other else f" of {other}"
            return f"{name} has weights of {_listed(needed)} here, and {_listed(given)}{behind} there"
    if len(ours) == len(theirs):
        return ""
    longer, place = (ours, "here") if len(ours) > len(theirs) else (theirs, "there")
    extra = longer[min(len(ours), len(theirs))][0]
    return f"{len(ours)} layers with weights here, and {len(theirs)} there: {extra} is {place} only"


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(_words(shape) for shape in shapes)


def _words(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)
