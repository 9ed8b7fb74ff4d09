"""The perceptron as a definition."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.objective import Head, Objective
from deepkit.layers import Threshold
from deepkit.models.perceptron import PerceptronModel

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Tensors


class Perceptron(Block):
    """A threshold unit that learns by the perceptron rule: alone, or the last element of a `dk.Sequential`.

    The prediction is 1 if w x + b >= 0, else 0. For each example in turn, w changes by learning_rate * (y - prediction)
    * x and b by learning_rate * (y - prediction): only after a mistake. Weights begin at 0. Append a 1 to every input.
    If a hyperplane through the origin separates these vectors with the margin gamma, and R is their largest norm, there
    are at most (R / gamma)^2 updates; if no hyperplane separates them, the rule never stops.

    `build` returns a `deepkit.models.PerceptronModel`, which needs neither an optimizer nor a loss. Labels are 0 and 1.
    Elements before the unit, such as `dk.layers.QuadraticFeatures()`, must not have trainable weights.

    Reference:
        Rosenblatt 1958, "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain";
        Novikoff 1962, "On Convergence Proofs on Perceptrons".

    Args:
        learning_rate: Factor of the updates; as the weights begin at 0, it changes no prediction.
        stop_when_converged: Whether the training ends after an epoch without an update.

    Input shape:
        `(batch, features)`; more axes are flattened.

    Output shape:
        `(batch, 1)`: 0 or 1.

    Raises:
        DefinitionError: An argument is out of range, an element before the unit has trainable weights, or the input
            must be flattened and has an unknown size or a mask.

    Examples:
        >>> import deepkit as dk
        >>> data = dk.data.points("clouds", 200, margin=0.5)
        >>> run = dk.fit(
        ...     dk.Perceptron(stop_when_converged=True), data, epochs=100, verbose=0
        ... )
        >>> (
        ...     int(run.model.num_updates) <= data.separator.max_updates,
        ...     run.history["updates"][-1],
        ... )
        (True, 0.0)
    """

    _: KW_ONLY
    learning_rate: float = fields.number(default=1.0)
    stop_when_converged: bool = fields.flag(default=False)

    def check(self) -> None:
        """Refuse a learning rate that is not positive."""
        if self.learning_rate <= 0:
            raise DefinitionError(
                f"Perceptron: learning_rate must be a number above 0, received {self.learning_rate}",
                hint="use dk.Perceptron(learning_rate=1.0)",
            )

    def add(self, x: KerasTensor, builder: Builder) -> Any:
        """Add the dense layer and the threshold."""
        flat = common.flatten(x, builder)
        dtype = common.float32_if_mixed()
        score = builder.add_layer(flat, "dense", layers.Dense, 1, kernel_initializer="zeros", dtype=dtype)
        return builder.add_layer(score, "threshold", Threshold, dtype=dtype)

    def make_model(self, inputs: Tensors, outputs: Tensors, name: str) -> keras.Model:
        """Return a model with the perceptron rule as its training step."""
        try:
            return PerceptronModel(
                inputs=inputs,
                outputs=outputs,
                name=name,
                learning_rate=self.learning_rate,
                stop_when_converged=self.stop_when_converged,
            )
        except ValueError as error:
            problem, _, hint = str(error).partition("\n  hint: ")
            raise DefinitionError(problem.removeprefix("PerceptronModel: "), code=self, hint=hint) from error

    def objective(self, output_shape: Any, label_shape: Any) -> Objective:
        """Return the task, without a loss and metrics: the model has its own training step."""
        return Objective(None, (), Head("binary", 1, scores=True))
