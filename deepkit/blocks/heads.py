"""Heads: the last block of a network, which also determines its loss and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common, gaussian
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.layer_arguments import LayerArguments
from deepkit.definition.objective import Head, Objective
from deepkit.layers import MeanAndStddev
from deepkit.losses import GaussianNegativeLogLikelihood, MetricOfMean, MulticlassHinge

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor

_POOLS = ("flatten", "avg", "max", None)
_ACTIVATIONS = (None, "softmax", "sigmoid")
_DISTRIBUTIONS = (None, "gaussian")
_LOSSES = ("crossentropy", "hinge")
_HEAD_ARGUMENTS = ("units", "activation", "dtype")


class Classifier(Block):
    """A dense layer with one output per class, in float32 even if the rest computes in 16 bits.

    With `loss="hinge"` it is a support vector machine on the features before it: `dk.fit` trains with
    `dk.losses.MulticlassHinge`, or with Keras's `Hinge` for one class. The outputs are then scores, from which no
    probabilities follow; `run.predict` returns labels and scores.

    Args:
        num_classes: Number of classes; 1 for a binary classifier.
        pool: How an image or sequence becomes a vector: `"flatten"`, `"avg"` or `"max"` over all unmasked positions, or
            None to classify each position.
        activation: None for logits, `"softmax"` for the probability of each class, `"sigmoid"` for classes that
            do not exclude each other (multi-label).
        loss: `"crossentropy"`, or `"hinge"`, which requires scores (no activation) and class indices as labels.
        dropout: Fraction of features dropped before the layer in training.
        dense: Further arguments of `keras.layers.Dense`.

    Input shape:
        `(batch, features)`, or more axes.

    Output shape:
        `(batch, num_classes)`; the last axis replaced when `pool=None`.

    Raises:
        DefinitionError: An argument is out of range, or the input must be flattened and has an unknown size or a mask.

    Examples:
        >>> import deepkit as dk
        >>> dk.Classifier(10, pool="avg").build((7, 7, 64)).output_shape
        (None, 10)
    """

    num_classes: int = fields.integer()
    _: KW_ONLY
    pool: str | None = fields.choice(_POOLS, default="flatten")
    activation: str | None = fields.choice(_ACTIVATIONS, default=None)
    loss: str = fields.choice(_LOSSES, default="crossentropy", hint='use loss="hinge", or pass loss= to dk.fit')
    dropout: float = fields.fraction(default=0.0)
    dense: fields.KerasArguments = fields.keras_arguments(layers.Dense, excluding=_HEAD_ARGUMENTS)

    def check(self) -> None:
        """Refuse a softmax over one class, and a hinge loss of probabilities."""
        if self.num_classes == 1 and self.activation == "softmax":
            raise DefinitionError(
                "Classifier: a softmax over one class is always 1", hint='use activation="sigmoid", or None for logits'
            )
        if self.loss == "hinge" and self.activation is not None:
            raise DefinitionError(
                f'Classifier: loss="hinge" compares scores of any sign, and activation={self.activation!r} returns '
                "probabilities",
                hint="leave out activation or loss",
            )

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the pooling, the dropout and the dense layer."""
        x = _add_pool_and_dropout(x, self.pool, self.dropout, builder)
        return _add_dense(x, self.num_classes, self.activation, self.dense, builder)

    def objective(self, output_shape: Any, label_shape: Any) -> Objective:
        """Return the loss and accuracy: binary, for one-hot labels, or for class indices."""
        if self.loss == "hinge":
            return self._hinge_objective()
        from_logits = self.activation is None
        num_classes = self.num_classes
        loss: keras.losses.Loss
        metric: keras.metrics.Metric
        if num_classes == 1 or self.activation == "sigmoid":
            threshold = 0.0 if from_logits else 0.5
            loss = keras.losses.BinaryCrossentropy(from_logits=from_logits)
            metric = keras.metrics.BinaryAccuracy(name="accuracy", threshold=threshold)
            head = Head("binary" if num_classes == 1 else "multilabel", num_classes, from_logits)
            return Objective(loss, (metric,), head)
        if len(label_shape) == len(output_shape) and label_shape[-1] == num_classes:
            loss = keras.losses.CategoricalCrossentropy(from_logits=from_logits)
            metric = keras.metrics.CategoricalAccuracy(name="accuracy")
            return Objective(loss, (metric,), Head("multiclass", num_classes, from_logits, one_hot=True))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        return Objective(loss, (metric,), Head("multiclass", num_classes, from_logits))

    def _hinge_objective(self) -> Objective:
        """Return the hinge loss, and the accuracy of the class with the largest score."""
        metric: keras.metrics.Metric
        if self.num_classes == 1:
            metric = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
            return Objective(keras.losses.Hinge(), (metric,), Head("binary", 1, from_logits=True, scores=True))
        metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        head = Head("multiclass", self.num_classes, from_logits=True, scores=True)
        return Objective(MulticlassHinge(), (metric,), head)


class Regressor(Block):
    """A dense layer with one output per predicted number, in float32 even if the rest computes in 16 bits.

    With `distribution="gaussian"` the head predicts a Gaussian for each number: its mean and its standard deviation, on
    a last axis of the output. `dk.fit` then trains with the negative log-likelihood, and the metrics compare the mean
    with the label. The output is one tensor, as Keras computes a loss from one output and its labels:

        prediction = model.predict(x)  # (batch, units, 2)
        # prediction[..., 0] and prediction[..., 1]
        mean, stddev = dk.mean_and_stddev(prediction)

    The standard deviation is 1e-6 + exp(log_variance / 2) and begins at 1, so standardize the labels. A saved model
    with this head loads after `import deepkit`.

    Reference:
        Nix & Weigend 1994, "Estimating the Mean and Variance of the Target Probability Distribution", for
        `distribution="gaussian"`.

    Args:
        units: Number of predicted numbers.
        pool: How an image or sequence becomes a vector: `"flatten"`, `"avg"` or `"max"` over all unmasked positions, or
            None to predict at each position.
        activation: None for any number; `"softplus"` or `"relu"` for non-negative numbers, `"sigmoid"` or
            `"tanh"` for a range. It must be None for a Gaussian.
        distribution: `"gaussian"` for a mean and a standard deviation of each number; None for the number alone.
        dropout: Fraction of features dropped before the layer in training.
        dense: Further arguments of `keras.layers.Dense`. For a Gaussian, of the layers of the mean and of the
            log-variance; initializers are those of the mean.

    Input shape:
        `(batch, features)`, or more axes.

    Output shape:
        `(batch, units)`; the last axis replaced when `pool=None`. With `distribution="gaussian"`, `(batch, units, 2)`.

    Raises:
        DefinitionError: An argument is out of range, `activation` is combined with a distribution, or the input must be
            flattened and has an unknown size or a mask.

    Examples:
        >>> import deepkit as dk
        >>> dk.Sequential([dk.MLP([64]), dk.Regressor()]).build((13,)).output_shape
        (None, 1)
        >>> dk.Sequential(
        ...     [dk.MLP([64]), dk.Regressor(3, distribution="gaussian")]
        ... ).build((13,)).output_shape
        (None, 3, 2)
    """

    units: int = fields.integer(default=1)
    _: KW_ONLY
    pool: str | None = fields.choice(_POOLS, default="flatten")
    activation: fields.ActivationName = fields.activation(default=None, allow_layers=False)
    distribution: str | None = fields.choice(
        _DISTRIBUTIONS, default=None, hint='use distribution="gaussian" for a mean and a standard deviation'
    )
    dropout: float = fields.fraction(default=0.0)
    dense: fields.KerasArguments = fields.keras_arguments(layers.Dense, excluding=_HEAD_ARGUMENTS)

    def check(self) -> None:
        """Refuse an activation together with a distribution."""
        if self.activation is not None and self.distribution is not None:
            raise DefinitionError(
                f"Regressor: activation={self.activation!r} cannot be combined with "
                f"distribution={self.distribution!r}, whose mean may be any number",
                hint="leave out activation or distribution",
            )

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the pooling, the dropout and the dense layer, or the layers of the Gaussian."""
        x = _add_pool_and_dropout(x, self.pool, self.dropout, builder)
        if self.distribution is None:
            return _add_dense(x, self.units, self.activation, self.dense, builder)
        moments = gaussian.add_moments(
            x, self.units, self.dense, builder, kernel_initializer="zeros", bias_initializer="zeros"
        )
        return builder.add_layer(moments, "mean_and_stddev", MeanAndStddev, dtype=common.float32_if_mixed())

    def objective(self, output_shape: Sequence[int | None], label_shape: Sequence[int | None]) -> Objective:
        """Return the mean squared error or the negative log-likelihood, and the mean absolute error as metric."""
        metric = keras.metrics.MeanAbsoluteError(name="mae")
        head = Head("regression", self.units, distribution=self.distribution)
        if self.distribution is None:
            return Objective(keras.losses.MeanSquaredError(), (metric,), head)
        return Objective(GaussianNegativeLogLikelihood(), (MetricOfMean(metric),), head)


def _add_pool_and_dropout(x: KerasTensor, pool: str | None, dropout: float, builder: Builder) -> Any:
    if pool == "flatten":
        x = common.flatten(x, builder)
    elif pool is not None and len(x.shape) > 2:
        x = common.add_global_pool(x, pool, builder)
    return builder.add_layer(x, "dropout", layers.Dropout, dropout) if dropout else x


def _add_dense(x: KerasTensor, units: int, activation: str | None, arguments: LayerArguments, builder: Builder) -> Any:
    kwargs: dict[str, Any] = {"activation": None}
    if activation is not None:
        kwargs["activation"] = common.activation_argument(activation)
    kwargs |= {"dtype": common.float32_if_mixed()} | arguments.new()
    return builder.add_layer(x, "dense", layers.Dense, units, **kwargs)
