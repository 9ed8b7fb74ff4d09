"""The recurrent attention model: a network that classifies an image by a sequence of glimpses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.definition.outputs import logits_message, probability_loss_name
from deepkit.losses.gradient_estimators import score_function
from deepkit.models.glimpse_path import GlimpsePath, iterate_images, run_glimpses
from deepkit.utils.errors import message
from deepkit.utils.validation import check_flag, check_integer, check_number

if TYPE_CHECKING:
    from deepkit.layers.glimpse import Glimpse
    from deepkit.utils.types import ArrayLike, Dataset, LossLike, OptimizerLike, Tensor


_NETWORKS = ("step", "locator", "classifier", "preprocessor")


class _Episode:
    """The drawn locations of a batch in training, for its loss; an object that Keras does not track."""

    def __init__(self) -> None:
        self.log_probability: Tensor | None = None  # of each drawn location, (batch, num_glimpses - 1)
        self.baseline: Tensor | None = None  # the reward that the network expects before each draw


@keras.saving.register_keras_serializable(package="deepkit")
class RecurrentAttentionModel(keras.Model):
    """A classifier of images by a sequence of glimpses; `dk.RecurrentAttention(...).build` returns it.

    The first glimpse is at the center of the image. After each one, the location network returns the mean of a Gaussian
    with a fixed standard deviation, from which the next location is drawn in training. At inference the next location
    is the mean, so that predictions are deterministic. Locations outside of the image are moved to its edge.

    The classifier, the core and the glimpse network learn from the cross-entropy after the last glimpse. A location has
    no gradient; the location network learns by the score function (REINFORCE), with the reward 1 if the most probable
    class is the label and 0 otherwise, minus a baseline that the network predicts from its state before the draw. The
    baseline learns from its squared error. The gradients of these two terms reach only their own layers, and the terms
    do not change the value of `loss`, which is the cross-entropy in training and in evaluation.

    Without a location network, the locations are uniformly random in training. At inference all images are seen at the
    same random locations.

    Reference:
        Mnih et al. 2014, "Recurrent Models of Visual Attention", sections 3 and 4.

    Args:
        step: Model from images, locations and states to the next states. One of its layers is a
            `deepkit.layers.Glimpse`.
        locator: Model from states to `{"location": (batch, 2), "baseline": (batch, 1)}`; None for random locations.
        classifier: Layer from states to logits.
        preprocessor: Model from the inputs to the images; None if the inputs are the images.
        num_glimpses: Number of glimpses.
        stddev: Standard deviation of the location in training; the image is 2 wide.
        name: Name of the model.
        dtype: Dtype policy of the model, the global policy by default; the layers have their own.

    Call arguments:
        inputs: Images.
        training: Whether to draw the locations.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, num_classes)`, logits.

    Raises:
        ValueError: An argument is out of range.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> net = dk.RecurrentAttention(3, num_glimpses=4, glimpse_size=4, units=8)
        >>> model = net.build((12, 12, 1))
        >>> model.compile("adam", metrics=["accuracy"])
        >>> x, y = np.zeros((5, 12, 12, 1), "float32"), np.array([0, 1, 2, 0, 1])
        >>> sorted(model.fit(x, y, verbose=0).history)
        ['accuracy', 'loss']
        >>> path = model.glimpses(x)
        >>> path.locations.shape, path.patches.shape, path.logits.shape
        ((5, 4, 2), (5, 4, 4, 4, 1), (5, 4, 3))
    """

    def __init__(
        self,
        step: keras.Model,
        locator: keras.Model | None,
        classifier: keras.layers.Layer,
        *,
        preprocessor: keras.Model | None = None,
        num_glimpses: int = 6,
        stddev: float = 0.1,
        name: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        owner = type(self).__name__
        num_glimpses = check_integer(num_glimpses, f"{owner}: num_glimpses", hint="use num_glimpses=6")
        stddev = check_number(stddev, f"{owner}: stddev", above=0, hint="use stddev=0.1")
        first = (preprocessor or step).inputs[0]
        inputs = keras.Input(first.shape[1:], dtype=first.dtype, name="image")
        images = inputs if preprocessor is None else preprocessor(inputs)
        path = np.random.default_rng(0).uniform(-1, 1, (num_glimpses, 2)).astype("float32")

        def next_location(number: int, state: Tensor) -> Tensor:
            if locator is None:
                return ops.zeros_like(state[:, :2], dtype="float32") + path[number]
            return ops.clip(ops.cast(locator(state)["location"], "float32"), -1, 1)

        *_, (_, state) = run_glimpses(step, images, num_glimpses, next_location)
        super().__init__(inputs, classifier(state), name=name)
        if dtype is not None:  # not an argument of a functional model; it decides whether losses are scaled
            self.dtype_policy = dtype
        self.step, self.locator, self.classifier = step, locator, classifier
        self.preprocessor = preprocessor
        self.num_glimpses, self.stddev = num_glimpses, stddev
        self._path = path  # of random glimpses at inference
        self.location_seed = keras.random.SeedGenerator()
        self._episode = _Episode()

    @property
    def glimpse(self) -> Glimpse:
        """The layer that extracts the patches."""
        return self.step.get_layer("glimpse")

    def compile(self, optimizer: OptimizerLike = "rmsprop", loss: LossLike | None = None, **kwargs: object) -> None:
        """Configure the training, as `keras.Model.compile` does.

        Args:
            optimizer: A Keras optimizer or its name.
            loss: Loss of the logits, by default the cross-entropy of class indices; for one-hot labels pass
                `keras.losses.CategoricalCrossentropy(from_logits=True)`.
            kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: The model is on several devices, or the loss expects probabilities.
        """
        num_devices = self.distribute_strategy.num_replicas_in_sync
        if num_devices > 1:
            problem = (
                f"{self.name} over {num_devices} devices: each device holds a copy of the random state, so that all "
                "of them would draw the same deviations of the locations"
            )
            raise ValueError(message(problem, path=self.name, hint='use one device: dk.plan(devices="CPU:0")'))
        name = probability_loss_name(loss)
        if name:
            raise ValueError(logits_message(name, "loss", "the classifier is linear", "the default loss, or "))
        if loss is None:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments of a saved model."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs: Tensor, training: bool = False, mask: Tensor | None = None) -> Tensor:
        """Return the logits after the last glimpse; in training, at drawn locations."""
        if not training:
            return super().call(inputs, training=False)
        baselines, log_probabilities = [], []

        def next_location(number: int, state: Tensor) -> Tensor:
            if self.locator is None:
                return self._draw_uniform(ops.shape(state)[0], self.location_seed)
            predicted = self.locator(ops.stop_gradient(state), training=True)
            mean, baseline = (ops.cast(predicted[name], "float32") for name in ("location", "baseline"))
            drawn = self._draw_gaussian(mean, self.location_seed)
            distance = (drawn - mean) / self.stddev
            log_probabilities.append(-0.5 * ops.sum(ops.square(distance), axis=-1))  # plus a constant
            baselines.append(baseline[:, 0])
            return ops.clip(drawn, -1, 1)

        images = self._as_images(inputs)
        *_, (_, state) = run_glimpses(self.step, images, self.num_glimpses, next_location, training=True)
        if baselines:
            self._episode.log_probability = ops.stack(log_probabilities, axis=1)
            self._episode.baseline = ops.stack(baselines, axis=1)
        return self.classifier(state, training=True)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Return the cross-entropy; in training with the gradient of the location network and of the baseline."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        log_probability, baseline = self._episode.log_probability, self._episode.baseline
        self._episode.log_probability = self._episode.baseline = None
        if not training or log_probability is None:
            return loss
        is_correct = ops.equal(ops.argmax(y_pred, axis=-1), self._class_indices(y))
        reward = ops.repeat(ops.cast(is_correct, "float32")[:, None], self.num_glimpses - 1, axis=1)
        surrogate = score_function(log_probability, reward, baseline=baseline)
        terms = ops.sum(ops.square(reward - baseline) - surrogate, axis=1)
        if sample_weight is not None:
            terms = terms * ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        term = ops.cast(ops.mean(terms), loss.dtype)
        return loss + (term - ops.stop_gradient(term))

    def glimpses(
        self,
        x: ArrayLike | Dataset,
        *,
        draw: bool = False,
        seed: int | None = None,
        batch_size: int = 128,
    ) -> GlimpsePath:
        """Return the glimpses at images: locations, patches, and the logits after each glimpse.

        Args:
            x: Images `(examples, height, width, channels)`, or a dataset of batches of images, with or without labels.
            draw: Whether to draw the locations as in training: from the Gaussian, or uniformly without a location
                network. By default, the locations are those of `predict`.
            seed: Integer seed for reproducible draws; None for a random seed.
            batch_size: Number of images in a batch.

        Returns:
            A `GlimpsePath`, which `dk.visualize.glimpses` draws.

        Raises:
            ValueError: `batch_size` is not a positive integer, `seed` is not an integer of at least 0, there are no
                images, or the images have another shape than the model's, are uint8 or contain NaN.
            TypeError: `x` is neither an array nor a dataset.
        """
        batch_size = check_integer(batch_size, "glimpses: batch_size", hint="use batch_size=128")
        draw = check_flag(draw, "glimpses: draw", hint="use draw=True")
        if seed is not None:
            seed = check_integer(seed, "glimpses: seed", minimum=0, hint="use seed=0")
        generator = keras.random.SeedGenerator(seed) if draw else None
        batches = [self._look(self._check_images(images), generator) for images in iterate_images(x, batch_size)]
        if not batches:
            raise ValueError(message("glimpses: there are no images", path=self.name, hint="pass at least one image"))
        locations, patches, logits = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        return GlimpsePath(locations, patches, logits, self.glimpse.window_sizes)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        networks = {name: getattr(self, name) for name in _NETWORKS}
        return {
            **{name: network and keras.saving.serialize_keras_object(network) for name, network in networks.items()},
            "num_glimpses": self.num_glimpses,
            "stddev": self.stddev,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> RecurrentAttentionModel:
        """Create a model from its config."""
        networks = {
            name: config[name] and keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in _NETWORKS
        }
        return cls(**{**config, **networks})

    def layer_graph(self) -> keras.Model:
        """Return a Functional model of one glimpse with its three heads, as `visualize.diagram` draws it."""
        state = self.step(self.step.inputs)
        outputs = {"logits": self.classifier(state), "state": state}
        if self.locator is not None:
            outputs |= self.locator(state)
        return keras.Model(self.step.inputs, outputs, name=self.name)

    def _draw_gaussian(self, mean: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Return locations drawn around the mean, as constants."""
        noise = keras.random.normal(ops.shape(mean), dtype="float32", seed=seed)
        return ops.stop_gradient(mean + self.stddev * noise)

    def _draw_uniform(self, num_examples: Tensor | int, seed: keras.random.SeedGenerator) -> Tensor:
        return keras.random.uniform((num_examples, 2), -1, 1, dtype="float32", seed=seed)

    def _look(self, x: ArrayLike | Tensor, seed: keras.random.SeedGenerator | None) -> tuple[np.ndarray, ...]:
        """Return locations, patches and logits of a batch, at the means of the locations without a seed."""

        def next_location(number: int, state: Tensor) -> Tensor:
            if self.locator is None:
                num_examples = ops.shape(state)[0]
                if seed is None:
                    return ops.broadcast_to(self._path[number], (num_examples, 2))
                return self._draw_uniform(num_examples, seed)
            mean = ops.cast(self.locator(state)["location"], "float32")
            return ops.clip(mean if seed is None else self._draw_gaussian(mean, seed), -1, 1)

        images = self._as_images(x)
        steps = list(run_glimpses(self.step, images, self.num_glimpses, next_location))
        columns = (
            [location for location, _ in steps],
            [self.glimpse([images, location]) for location, _ in steps],
            [self.classifier(state) for _, state in steps],
        )
        locations, patches, logits = (ops.convert_to_numpy(ops.stack(column, axis=1)) for column in columns)
        return locations, patches, logits

    def _check_images(self, x: Any) -> np.ndarray:
        """Return a batch of images as an array of finite numbers in the shape and the scale of the model's input."""
        array = np.asarray(x)
        expected = tuple(self.input_shape)[1:]
        if array.shape[1:] == expected[:-1] and expected[-1] == 1:
            array = array[..., None]
        dtype = keras.backend.standardize_dtype(self.inputs[0].dtype)
        sizes = zip(expected, array.shape[1:], strict=False)
        problem = hint = ""
        if array.ndim != len(expected) + 1 or any(size not in (None, length) for size, length in sizes):
            problem = f"expected images of shape {(None, *expected)}, received {array.shape}"
            hint = "pass a batch of images, x[None] for one image"
        elif array.dtype == np.uint8 and "float" in dtype and self.preprocessor is None:
            problem = f"expected images in the scale of the training, {dtype}, received uint8"
            hint = 'pass images.astype("float32") / 255 if it trained on such images'
        elif array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            received = "NaN or infinity" if array.dtype.kind == "f" else f"the dtype {array.dtype}"
            problem = f"expected images of finite numbers, received {received}"
            hint = "remove these images, or replace the values that are not finite"
        if problem:
            raise ValueError(message(f"{self.name}: {problem}", path=self.name, hint=hint))
        return array

    def _as_images(self, inputs: ArrayLike | Tensor) -> Tensor:
        """Return the images of a batch; as Keras models do, accept a missing channel axis of size 1."""
        x: Tensor = ops.convert_to_tensor(inputs)
        expected = tuple(self.input_shape)
        if len(x.shape) == len(expected) - 1 and expected[-1] == 1:
            x = ops.expand_dims(x, -1)
        if len(x.shape) != len(expected):
            problem = f"{self.name}: expected images of the shape {expected[1:]}, received {tuple(x.shape[1:])}"
            raise ValueError(message(problem, path=self.name, hint="pass a batch of images, x[None] for one image"))
        return x if self.preprocessor is None else self.preprocessor(x)

    def _class_indices(self, y: Tensor) -> Tensor:
        """Return the labels as class indices `(batch,)`."""
        num_classes = self.output_shape[-1]
        if len(y.shape) == 2 and y.shape[-1] == num_classes:
            return ops.argmax(y, axis=-1)
        return ops.cast(ops.reshape(y, (-1,)), "int32")
