"""A rule of thumb: the number of training examples that a network with a number of weights requires."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import check_number

if TYPE_CHECKING:
    import keras

    from deepkit.definition.block import Block
    from deepkit.utils.types import Shape


class RequiredExamples(int):
    """A number of training examples, which prints the rule that it follows from.

    Args:
        num_weights: Number of trainable weights.
        accuracy: Expected accuracy on the test data.
    """

    num_weights: int
    accuracy: float

    def __new__(cls, num_weights: int, accuracy: float) -> RequiredExamples:
        """Compute |W| / (1 - a), rounded up, with the decimal digits of the accuracy."""
        number = super().__new__(cls, math.ceil(num_weights / (1 - Fraction(str(accuracy)))))
        number.num_weights, number.accuracy = num_weights, accuracy
        return number

    def __getnewargs__(self) -> tuple[int, float]:  # type: ignore[override]
        return self.num_weights, self.accuracy

    def __repr__(self) -> str:
        return f"{int(self):,} training examples: |W| / (1 - a) = {self.num_weights:,} / (1 - {self.accuracy:.12g})"


def required_examples(
    model: keras.Model | Block, accuracy: float = 0.9, *, input_shape: Shape | None = None
) -> RequiredExamples:
    """Return the number of training examples that a rule of thumb requires for a network.

    A network with |W| weights that fits its training data can expect the accuracy a on test data from

        N >= |W| / (1 - a)

    training examples: ten times the number of weights for an accuracy of 0.9, five times for 0.8. The rule
    simplifies a bound for networks of threshold units. Regularized networks often need far fewer examples, so read the
    number as an order of magnitude.

    Reference:
        Baum & Haussler 1989, "What Size Net Gives Valid Generalization?"

    Args:
        model: A Keras model that is built, or a definition.
        accuracy: Expected accuracy on the test data, above 0 and below 1.
        input_shape: Shape of one example, without the batch axis, for a definition that does not fix it.

    Returns:
        The number as an integer, which prints the rule; its attributes are `num_weights`, the number of trainable
        weights, and `accuracy`.

    Raises:
        TypeError: `model` is neither a Keras model nor a definition.
        ValueError: The accuracy is out of range, or the model has no trainable weights.
        DefinitionError: The definition does not fit `input_shape`.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential([dk.MLP([30]), dk.Classifier(10)])
        >>> dk.teaching.required_examples(net, 0.9, input_shape=(784,))
        238,600 training examples: |W| / (1 - a) = 23,860 / (1 - 0.9)
    """
    hint = "use a fraction such as 0.9; for an accuracy of 1 the rule requires infinitely many examples"
    accuracy = check_number(accuracy, "required_examples: accuracy", above=0, below=1, hint=hint)
    model = _build(model, input_shape)
    num_weights = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    if not num_weights:
        problem = f"required_examples: the model {model.name!r} has no trainable weights"
        raise make_error(ValueError, problem, hint="build the model first, and do not freeze its layers")
    return RequiredExamples(num_weights, accuracy)


def _build(model: keras.Model | Block, input_shape: Shape | None) -> keras.Model:
    """Return a Keras model; build a definition."""
    import keras

    from deepkit.definition.block import Block

    if isinstance(model, Block):
        return model.build(input_shape)
    if not isinstance(model, keras.Model):
        problem = f"required_examples: expected a Keras model or a definition, received {format_value(model)}"
        raise make_error(TypeError, problem, hint="pass run.model, or a definition and its input_shape")
    if input_shape is not None:
        problem = "required_examples: input_shape belongs to a definition, received a Keras model"
        raise make_error(ValueError, problem, hint="leave input_shape out, and build the model first")
    return model
