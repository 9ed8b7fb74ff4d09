"""Captioning model: an encoder of images, and a decoder that generates captions and attends to the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.layers.token_ids import TokenIds
from deepkit.losses.gradient_estimators import score_function
from deepkit.models.alignment import ImageAttentionMap, mean_over_heads
from deepkit.models.autoregressive import AutoregressiveModel
from deepkit.models.decoding import check_search_arguments
from deepkit.models.tokens import is_single_text, labels_of, validate_texts, weighted_mean, weights_of
from deepkit.utils.errors import message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset, Nested, Tensor

_SMALLEST_WEIGHT = 1e-12  # of a drawn position, below which its logarithm is constant


@keras.saving.register_keras_serializable(package="deepkit")
class ImageCaptioner(AutoregressiveModel):
    """An encoder of images and a decoder of captions; `dk.Captioner(...).build` returns it.

    `fit` takes pairs of images and captions. The loss is the cross-entropy of each token given the true tokens before
    it (teacher forcing), plus the doubly stochastic penalty. `fit` also reports `accuracy`, the fraction of tokens that
    are the most probable ones, and `perplexity`, the exponential of the mean cross-entropy over all tokens. Called on
    a pair, the model returns the logits of all tokens and ends of all captions, concatenated.

    Hard attention draws a position for each token in training, and is trained by the score function; the baseline is
    the log-probability of the token given the mean of all positions. The terms of hard attention do not change the
    value of the reported loss. At inference, hard attention reads the position with the largest weight.

    Args:
        target_text: Layer from captions to ids.
        encoder: Functional model from images to a dictionary of the inputs of the decoder: `"memory"`, a feature map
            `(batch, height, width, channels)`, and the initial states of a recurrent decoder.
        decoder: Functional model from a dictionary of `"ids"` and the outputs of the encoder to a dictionary of
            `"hidden"` `(batch, time, units)`, `"weights"` `(batch, [heads,] time, height, width)` and, for hard
            attention, `"selected"`, one-hot in the shape of the weights, and `"mean_hidden"`, the `"hidden"` of soft
            attention.
        classifier: Dense layer that returns the logits.
        doubly_stochastic: Factor of the penalty.
        entropy_weight: Factor of the entropy of the weights of hard attention, which is maximized.
        kwargs: Further arguments of `keras.Model`.

    Call arguments:
        inputs: A pair of images and captions, texts or ids.
        training: Whether dropout is active, and hard attention draws.

    Input shape:
        A pair of `(batch, height, width, channels)` and `(batch,)`, strings.

    Output shape:
        `(tokens, vocabulary)`.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> net = dk.Captioner(
        ...     [dk.ConvStack(8)],
        ...     text=dk.Text(6, vocabulary=("a", "red", "dog")),
        ...     embedding_dim=4,
        ...     decoder=dk.Recurrent("gru", 8),
        ... )
        >>> model = net.build((16, 16, 3))
        >>> images = np.zeros((2, 16, 16, 3), "float32")
        >>> len(model.caption(images, max_length=5))
        2
        >>> [attention, _] = model.attention_maps(images, ["a dog", ""])
        >>> attention.weights.shape, attention.target
        ((3, 8, 8), ['a', 'dog', ''])
    """

    component_names = ("target_text", "encoder", "decoder", "classifier")

    def __init__(
        self,
        target_text: TokenIds,
        encoder: keras.Model,
        decoder: keras.Model,
        classifier: keras.layers.Dense,
        *,
        doubly_stochastic: float = 0.0,
        entropy_weight: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_text, decoder, classifier, **kwargs)
        self.encoder = encoder
        self.doubly_stochastic, self.entropy_weight = doubly_stochastic, entropy_weight
        self.built = True  # the components are built

    @property
    def is_hard(self) -> bool:
        """Whether the attention reads one position for each token."""
        return "selected" in self.decoder.output

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """Return the logits of every token, given the tokens before it, and add the losses of the attention."""
        if not isinstance(inputs, list | tuple) or len(inputs) != 2:
            problem = f"{self.name}: expected a pair of images and captions, received one input"
            raise ValueError(message(problem, hint="call model.caption(images), or model((images, captions))"))
        target = self._target_ids(inputs[1])
        mask = self.label_mask(target)
        outputs = self._teacher_forced(inputs[0], target, training=training)
        logits = self.classifier(tf.boolean_mask(outputs["hidden"], mask))
        if self.doubly_stochastic:
            penalties = _doubly_stochastic_penalty(outputs["weights"], mask)
            weights = self._batch.sample_weight
            ones = ops.ones_like(penalties)
            weights = ones if weights is None else ops.reshape(ops.cast(weights, ones.dtype), (-1,))
            self.add_loss(self.doubly_stochastic * weighted_mean(penalties, weights))
        if self.is_hard and training:
            masked = {name: tf.boolean_mask(outputs[name], mask) for name in ("weights", "selected", "mean_hidden")}
            labels, weights = labels_of(target, mask), weights_of(self._batch.sample_weight, mask)
            self.add_loss(self._hard_attention_loss(masked, logits, labels, weights))
        return logits

    def encode(self, source: Tensor, *, training: bool = False) -> dict[str, Tensor]:
        """Return the feature map and the initial states.

        Args:
            source: Images.
            training: Whether dropout is active.
        """
        return dict(self.encoder(source, training=training))

    def source_signature(self) -> tf.TensorSpec:
        """Return the shape and dtype of the images."""
        return tf.TensorSpec(self.encoder.input_shape, self.encoder.inputs[0].dtype)

    def export_signature(self) -> list[Any]:
        """Return the signature of an exported model: a pair of images and strings."""
        return [(self.source_signature(), tf.TensorSpec((None,), "string"))]

    def adapt(self, dataset: Dataset) -> list[str]:
        """Learn the vocabulary if there is none.

        Args:
            dataset: Batches of pairs of images and captions.

        Returns:
            A message for each vocabulary that was learned.

        Raises:
            ValueError: The batches are not pairs, or there is no word in the captions.
        """
        captions = self._mapped(dataset, lambda *batch: self._split_pair(batch)[1])
        return self._adapt_text(self.target_text, captions, "captions")

    def caption(
        self,
        images: ArrayLike,
        *,
        num_beams: int = 4,
        length_penalty: float = 0.6,
        max_length: int = 50,
        batch_size: int = 64,
        return_attention: bool = False,
    ) -> Any:
        """Return the best caption of each image, found by beam search.

        Args:
            images: Images `(images, height, width, channels)`, in the scale of the training, or one image
                `(height, width, channels)`.
            num_beams: Number of open sequences; 1 is greedy search. See `deepkit.models.beam_search`.
            length_penalty: Preference for longer captions, the alpha of Wu et al. 2016, equation 14; 0 for none.
            max_length: Maximum number of tokens of a caption.
            batch_size: Number of images in a batch.
            return_attention: Whether to return the `ImageAttentionMap` of each caption too.

        Returns:
            A string for one image, a list of strings for several; with `return_attention`, a tuple of the caption and
            its `ImageAttentionMap`, or of the list and a list of maps.

        Raises:
            ValueError: An argument is out of range, the images have another shape, are uint8 or contain NaN, or the
                model has no vocabulary yet.
        """
        check_search_arguments(num_beams, length_penalty, max_length, batch_size, owner="caption")
        self._vocabulary(self.target_text)
        array, is_single = self._check_images(images)
        search: dict[str, Any] = {"num_beams": num_beams, "length_penalty": length_penalty, "max_length": max_length}
        captions: list[str] = []
        for i in range(0, len(array), batch_size):
            captions += self._generate(tf.constant(array[i : i + batch_size]), **search)
        if return_attention:
            maps = self.attention_maps(array, captions, batch_size=batch_size)
            return (captions[0], maps[0]) if is_single else (captions, maps)
        return captions[0] if is_single else captions

    def attention_maps(self, images: ArrayLike, captions: str | Sequence[str], *, batch_size: int = 64) -> Any:
        """Return the attention weights of the decoder for pairs of images and captions.

        Args:
            images: Images, as in `caption`.
            captions: A caption for each image: a text for one image, a list of texts for several.
            batch_size: Number of pairs in a batch.

        Returns:
            An `ImageAttentionMap` for one image, a list of them for several; `dk.visualize.attention` draws a map with
            `image=` and `grid=`. Of a Transformer, the weights are the mean over the heads of the last layer.

        Raises:
            ValueError: The numbers of images and captions differ, or the model has no attention.
            TypeError: `captions` is not a text for one image, or a list of texts for several.
        """
        if not self.has_attention:
            problem = f"{self.name} has no attention"
            raise ValueError(message(problem, hint='build it from dk.Captioner(..., attention="additive")'))
        vocabulary = np.array(self._vocabulary(self.target_text))
        maps = []
        for image, target in self._pair_batches(images, captions, batch_size):
            weights = mean_over_heads(ops.convert_to_numpy(self._compiled_score(image, target)[1]), rank=4)
            for row, ids in zip(weights, ops.convert_to_numpy(target), strict=True):
                length = np.count_nonzero(ids)
                maps.append(ImageAttentionMap(row[: length + 1], [*vocabulary[ids[:length]].tolist(), ""]))
        return maps[0] if is_single_text(captions) else maps

    def log_likelihood(self, images: ArrayLike, captions: str | Sequence[str], *, batch_size: int = 64) -> Any:
        """Return log p(caption | image) of each pair, including the end of the caption.

        Args:
            images: Images, as in `caption`.
            captions: A caption for each image: a text for one image, a list of texts for several.
            batch_size: Number of pairs in a batch.

        Returns:
            Nats: a float for one image, an array `(pairs,)` for several.

        Raises:
            ValueError: The numbers of images and captions differ, or there is no vocabulary yet.
            TypeError: `captions` is not a text for one image, or a list of texts for several.
        """
        self._vocabulary(self.target_text)
        log_p = [np.zeros(0, "float32")]
        for image, target in self._pair_batches(images, captions, batch_size):
            log_p.append(ops.convert_to_numpy(self._compiled_score(image, target)[0]).sum(axis=1))
        values = np.concatenate(log_p)
        return float(values[0]) if is_single_text(captions) else values

    def layer_graph(self) -> keras.Model:
        """Return a Functional model of the components, from images and ids to logits, for `visualize.diagram`."""
        image = keras.Input(self.encoder.input_shape[1:], dtype=self.encoder.inputs[0].dtype, name="image")
        target = keras.Input((None,), dtype="int32", name="target")
        outputs = self.decoder({"ids": target, **self.encode(image)})
        return keras.Model([image, target], self.classifier(outputs["hidden"]), name=self.name)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        arguments = {"doubly_stochastic": self.doubly_stochastic, "entropy_weight": self.entropy_weight}
        return {**super().get_config(), **arguments}

    def _hard_attention_loss(
        self, outputs: Mapping[str, Tensor], logits: Tensor, labels: Tensor, sample_weights: Tensor
    ) -> Tensor:
        """Return a loss of value 0 with the gradients of the score function and the entropy.

        Args:
            outputs: Outputs of the decoder for each token: `"weights"` and `"selected"` `(tokens, height, width)`, and
                `"mean_hidden"` `(tokens, units)`.
            logits: Logits of each token, `(tokens, vocabulary)`.
            labels: Ids of the tokens, `(tokens,)`.
            sample_weights: The weight of each token in the loss, `(tokens,)`.
        """
        weights = ops.maximum(ops.cast(outputs["weights"], "float32"), _SMALLEST_WEIGHT)
        selected = ops.cast(outputs["selected"], "float32")
        axes = tuple(range(1, len(weights.shape)))
        reward, baseline = (
            -keras.losses.sparse_categorical_crossentropy(labels, ops.cast(scores, "float32"), from_logits=True)
            for scores in (logits, self.classifier(outputs["mean_hidden"]))
        )
        log_weights = ops.log(weights)
        log_p = ops.sum(selected * log_weights, axes)
        entropy = -ops.sum(weights * log_weights, axes)
        is_drawn = ops.cast(ops.equal(ops.max(selected, axes), 1), "float32")  # not the mean of all positions
        surrogate = is_drawn * score_function(log_p, reward, baseline=baseline)
        loss = -weighted_mean(surrogate + self.entropy_weight * entropy, sample_weights)
        return loss - ops.stop_gradient(loss)

    def _convert_batch(self, data: Nested) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor | None]:
        """Return a batch: images and ids as inputs, ids as labels, and the weights."""
        images, captions = self._split_pair(data if isinstance(data, tuple) else (data,))
        target = self._target_ids(captions)
        return (images, target), target, keras.utils.unpack_x_y_sample_weight(data)[2]

    def _split_pair(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        if y is None or not hasattr(x, "dtype") or not hasattr(y, "dtype"):
            received = "only images" if y is None else type(x).__name__
            problem = f"{self.name}: expected pairs of images and captions, received {received}"
            raise ValueError(message(problem, hint="pass (images, captions), an array of images and one of strings"))
        return x, y

    def _pair_batches(
        self, images: ArrayLike, captions: str | Sequence[str], batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of images and ids of captions."""
        batch_size = check_integer(batch_size, f"{self.name}: batch_size", hint="use batch_size=64")
        array, is_single = self._check_images(images)
        texts = validate_texts(captions, "captions")
        if is_single != is_single_text(captions):
            expected = "a text for one image" if is_single else f"a list of texts for {len(array)} images"
            received = "one text" if is_single_text(captions) else f"a {type(captions).__name__}"
            problem = f"captions: expected {expected}, received {received}"
            raise TypeError(message(problem, hint="pass an image and its caption, or images and a list of captions"))
        if len(array) != len(texts):
            problem = f"expected a caption for each image, received {len(array)} and {len(texts)}"
            raise ValueError(message(problem, hint="pass images and captions of the same length"))
        for i in range(0, len(array), batch_size):
            captions_of_batch = tf.constant(texts[i : i + batch_size])
            yield tf.constant(array[i : i + batch_size]), self._target_ids(captions_of_batch)

    def _check_images(self, images: ArrayLike) -> tuple[np.ndarray, bool]:
        """Return images as an array in the dtype of the encoder, and whether it was one image without a batch axis."""
        array = np.asarray(images)
        expected = self.encoder.input_shape[1:]
        is_single = array.ndim == len(expected)
        if is_single:
            array = array[None]
        fits = array.ndim == len(expected) + 1 and all(
            size in (None, length) for size, length in zip(expected, array.shape[1:], strict=True)
        )
        if not fits:
            problem = f"{self.name}: expected images of shape {(None, *expected)}, received {np.shape(images)}"
            hint = "resize or convert the images to the shape of the training images"
            if is_single:
                hint = f"pass an image of shape {expected}, or images[..., None] for gray images"
            raise ValueError(message(problem, hint=hint))
        dtype = keras.backend.standardize_dtype(self.encoder.inputs[0].dtype)
        if array.dtype == np.uint8 and "float" in dtype:
            problem = f"{self.name}: expected images in the scale of the training, {dtype}, received uint8"
            raise ValueError(message(problem, hint='pass images.astype("float32") / 255 if it trained on such images'))
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            received = "NaN or infinity" if array.dtype.kind in "fc" else f"the dtype {array.dtype}"
            problem = f"{self.name}: expected images of finite numbers, received {received}"
            raise ValueError(message(problem, hint="remove these images, or replace the values that are not finite"))
        return array.astype(dtype), is_single


def _doubly_stochastic_penalty(weights: Tensor, mask: Tensor) -> Tensor:
    """Return the doubly stochastic penalty: for each position (1 - sum of its weights over the tokens)^2, summed.

    Xu et al. 2015, equation 14, for each example `(batch,)`.

    Args:
        weights: Attention weights `(batch, [heads,] time, height, width)`.
        mask: The mask of the tokens, `(batch, time)`.
    """
    weights = ops.cast(weights, "float32")
    if len(weights.shape) == 5:
        weights = ops.mean(weights, axis=1)
    sums = ops.einsum("bt,bthw->bhw", ops.cast(mask, "float32"), weights)
    return ops.sum(ops.square(1.0 - sums), axis=(1, 2))
