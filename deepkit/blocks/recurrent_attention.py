"""The recurrent attention model as a definition."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.blocks.heads import Classifier
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.inputs import is_shape
from deepkit.definition.objective import Objective
from deepkit.layers import Glimpse
from deepkit.models.recurrent_attention import RecurrentAttentionModel
from deepkit.utils.errors import format_value

if TYPE_CHECKING:
    from deepkit.definition.preprocessing import Adapter
    from deepkit.utils.types import Shape, Tensors

_POLICIES = ("learned", "random")
_MAX_GLIMPSES = 1_000  # each one adds a step to the graph


class RecurrentAttention(Block):
    """A classifier of images that receives a few small patches, and learns their locations (hard attention).

    The glimpse network encodes a patch and its location. The core, a recurrent layer, collects the glimpses in its
    state. From the state, the location network chooses the next location, and a linear layer predicts the class after
    the last glimpse. The number of operations depends on the size of the glimpses, not of the image.

    `build` returns a `deepkit.models.RecurrentAttentionModel`, whose loss combines the cross-entropy with the gradient
    estimator of the locations (REINFORCE). The definition cannot be part of another definition: it is trained as a
    whole.

    Reference:
        Mnih et al. 2014, "Recurrent Models of Visual Attention", sections 3 and 4.

    Args:
        num_classes: Number of classes.
        num_glimpses: Number of glimpses at each image; the first one is at the center.
        glimpse_size: Height and width of a patch in pixels.
        num_scales: Number of patches in a glimpse, each of a window twice as wide as the one before it. See
            `deepkit.layers.Glimpse`.
        units: Width of the core and of the glimpse features; the layers before them have half of it.
        stddev: Standard deviation of a drawn location in training; the image is 2 wide.
        policy: `"learned"`, or `"random"` for uniformly random locations, as a comparison.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, num_classes)`, logits.

    Raises:
        DefinitionError: An argument is out of range, the input is not an image, or the glimpse is larger than it.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.RecurrentAttention(10, num_glimpses=6).build((28, 28, 1))
        >>> model.count_params()  # of the paper: 209,420, and a baseline of 257
        209677
    """

    num_classes: int = fields.integer(minimum=2)
    _: KW_ONLY
    num_glimpses: int = fields.integer(default=6, maximum=_MAX_GLIMPSES)
    glimpse_size: int = fields.integer(default=8)
    num_scales: int = fields.integer(default=1, maximum=16)
    units: int = fields.integer(default=256, minimum=2)
    stddev: float = fields.number(default=0.1)
    policy: str = fields.choice(_POLICIES, default="learned")

    def check(self) -> None:
        """Refuse a standard deviation that is not positive."""
        if self.stddev <= 0:
            raise DefinitionError(
                f"RecurrentAttention: stddev must be a number above 0, received {self.stddev}",
                hint="use dk.RecurrentAttention(10, stddev=0.1)",
            )

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: a model that learns from its own reward is not a layer."""
        raise builder.error(
            "a RecurrentAttention is trained as a whole and cannot be part of another model",
            hint="use model = definition.build(input_shape), and prepare the images before it, as dk.data.load does",
        )

    def build_from(self, inputs: Tensors, x: Tensors, *, adapter: Adapter | None = None) -> RecurrentAttentionModel:
        """Return a Keras model with new weights, from a symbolic input and the images that follow from it.

        Args:
            inputs: The input of the model.
            x: The images: the input, or the output of layers that preprocess it.
            adapter: Not used; there is no preprocessing layer in the definition.

        Raises:
            DefinitionError: There are several inputs, `x` is not an image, or the glimpse is larger than it.
        """
        if not isinstance(inputs, keras.KerasTensor) or not isinstance(x, keras.KerasTensor):
            problem = f"RecurrentAttention expects one input, received {format_value(inputs)}"
            raise DefinitionError(problem, code=self, hint="pass the images alone")
        shape = self._check_input_shape(tuple(x.shape[1:]))
        has_locator = self.policy == "learned" and self.num_glimpses > 1
        classifier = layers.Dense(self.num_classes, dtype=common.float32_if_mixed(), name="classifier")
        return RecurrentAttentionModel(
            self._build_step(shape),
            self._build_locator() if has_locator else None,
            classifier,
            preprocessor=None if x is inputs else keras.Model(inputs, x, name="preprocessor"),
            num_glimpses=self.num_glimpses,
            stddev=self.stddev,
            name=self.name or self.default_name,
        )

    def objective(self, output_shape: Any, label_shape: Any) -> Objective:
        """Return the loss and accuracy of a classifier with logits."""
        return Classifier(self.num_classes).objective(output_shape, label_shape)

    def _check_input_shape(self, shape: object) -> Shape:
        if not is_shape(shape) or len(shape) != 3 or shape[-1] is None:
            raise DefinitionError(
                "RecurrentAttention.build needs the shape of an image, (height, width, channels), received "
                f"{format_value(shape)}",
                code=self,
                hint="use .build((28, 28, 1)), where height and width may be None; pass gray images as x[..., None]",
            )
        sizes = [int(size) for size in shape[:2] if size is not None]
        if sizes and self.glimpse_size > min(sizes):
            raise DefinitionError(
                f"glimpse_size={self.glimpse_size} is larger than the image, received images of "
                f"{shape[0]} by {shape[1]} pixels",
                path="step.glimpse",
                code=self,
                hint=f"use a glimpse_size of at most {min(sizes)}; num_scales adds larger windows",
            )
        return tuple(None if size is None else int(size) for size in shape)

    def _build_step(self, shape: Shape) -> keras.Model:
        """Return a model from images, locations and states to the next states: glimpse network and core."""
        image, location = keras.Input(shape, name="image"), keras.Input((2,), name="location")
        state = keras.Input((self.units,), name="state")
        patches = Glimpse(self.glimpse_size, self.num_scales, name="glimpse")([image, location])
        what = layers.Flatten(name="flatten")(patches)
        encoded = []
        for name, x in (("what", what), ("where", location)):
            hidden = layers.Dense(self.units // 2, activation="relu", name=f"{name}1")(x)
            encoded.append(layers.Dense(self.units, name=f"{name}2")(hidden))
        features = layers.ReLU(name="features")(layers.Add(name="what_and_where")(encoded))
        new = layers.Dense(self.units, name="from_features")(features)
        old = layers.Dense(self.units, name="from_state")(state)
        next_state = layers.ReLU(name="next_state")(layers.Add(name="core")([new, old]))
        return keras.Model([image, location, state], next_state, name="step")

    def _build_locator(self) -> keras.Model:
        """Return a model from states to the mean of the next location and the expected reward."""
        state = keras.Input((self.units,), name="state")
        dtype = common.float32_if_mixed()
        # States are not negative, so a step of Adam moves a sum over all units by units * learning_rate: without the
        # factor, the noise of the estimator drives the locations into the corners before they receive a signal.
        scaled = layers.Rescaling(self.units**-0.5, dtype=dtype, name="scaled_state")(state)
        initializer = keras.initializers.RandomNormal(stddev=1.0)  # first locations that differ, over half of the image
        location = layers.Dense(2, activation="tanh", kernel_initializer=initializer, dtype=dtype, name="location")(
            scaled
        )
        baseline = layers.Dense(1, dtype=dtype, name="baseline")(scaled)
        return keras.Model(state, {"location": location, "baseline": baseline}, name="locator")
