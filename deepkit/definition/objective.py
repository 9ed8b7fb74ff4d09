"""The loss and metrics that the head of a definition determines, and the labels that it expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import keras

from deepkit.definition.errors import DefinitionError

Losses: TypeAlias = keras.losses.Loss | Mapping[str, keras.losses.Loss]
Metrics: TypeAlias = Sequence[keras.metrics.Metric] | Mapping[str, Sequence[keras.metrics.Metric]]
Task: TypeAlias = Literal["binary", "multiclass", "multilabel", "regression"]


@dataclass(frozen=True)
class Head:
    """The task of a head, from which the range and shape of the labels and the thresholds of metrics follow.

    Args:
        task: `"binary"`, one output and labels 0 or 1; `"multiclass"`, one class per example; `"multilabel"`, 0 or 1
            for each output; `"regression"`, one number for each output.
        units: Number of outputs.
        from_logits: Whether the outputs are logits rather than probabilities.
        one_hot: Whether the labels of a multiclass task are rows of `units` probabilities rather than class indices.
        distribution: `"gaussian"` if the output has a last axis for the mean and the standard deviation of each number;
            metrics then apply to the mean. None for outputs that are the predictions themselves.
        scores: Whether the outputs of a classifier are scores, which are neither probabilities nor their logits: those
            of a hinge loss, or the 0 and 1 of a threshold unit. The largest score is the predicted class, a single
            score above 0 the class 1.
    """

    task: Task
    units: int
    from_logits: bool = False
    one_hot: bool = False
    distribution: str | None = None
    scores: bool = False


Heads: TypeAlias = Head | Mapping[str, Head]


@dataclass(frozen=True)
class Objective:
    """The loss and metrics of a training; the method `objective` of a block returns them.

    Args:
        loss: A Keras loss; a mapping of losses by output name if there are several outputs; None for a model with its
            own training step, which has no loss.
        metrics: Keras metrics; a mapping of sequences of metrics by output name if there are several outputs.
        head: The task of the head, a mapping by output name if there are several outputs, or None if it is unknown.

    Examples:
        >>> import keras, deepkit as dk
        >>> from deepkit.definition.objective import Objective
        >>> class Median(dk.Block):
        ...     def add(self, x, builder):
        ...         return builder.add_layer(x, "dense", keras.layers.Dense, 1)
        ...
        ...     def objective(self, output_shape, label_shape):
        ...         return Objective(
        ...             keras.losses.MeanAbsoluteError(),
        ...             [keras.metrics.RootMeanSquaredError()],
        ...         )
        >>> Median().objective(
        ...     (None, 1), (None, 1)
        ... ).loss.name  # `dk.fit` compiles with it
        'mean_absolute_error'
        >>> dk.Classifier(3).objective((None, 3), (None,)).head.units
        3
    """

    loss: Losses | None
    metrics: Metrics = ()
    head: Heads | None = None


def check_objective(value: object, block: object) -> Objective | None:
    """Return the result of the method `objective` of a block.

    Raises:
        DefinitionError: The result is neither an `Objective` nor None.
    """
    if value is None or isinstance(value, Objective):
        return value
    raise DefinitionError(
        f"{type(block).__name__}.objective must return an Objective or None, received {type(value).__name__}",
        code=block,
        hint="return deepkit.definition.objective.Objective(loss, metrics)",
    )
