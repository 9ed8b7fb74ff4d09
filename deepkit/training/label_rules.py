"""The labels that each output of a definition expects: their kind, range and shape."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import keras

from deepkit.blocks.heads import Classifier, Regressor
from deepkit.blocks.perceptron import Perceptron
from deepkit.blocks.repeat import Repeat
from deepkit.definition.functional import Functional
from deepkit.definition.objective import Head, Objective
from deepkit.definition.sequential import Sequential, Shared
from deepkit.losses import GaussianNegativeLogLikelihood, MulticlassHinge, SmoothedCrossentropy

if TYPE_CHECKING:
    from deepkit.utils.types import Shape

LabelKind: TypeAlias = Literal["class_indices", "class_probabilities", "probabilities", "numbers"]
HeadBlock: TypeAlias = Classifier | Regressor

_KINDS_OF_TASKS: dict[str, LabelKind] = {
    "binary": "probabilities",
    "multilabel": "probabilities",
    "multiclass": "class_indices",
    "regression": "numbers",
}
_KINDS_OF_LOSSES: dict[LabelKind, tuple[str, ...]] = {
    "class_indices": (
        "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy",
        "CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy",
    ),
    "class_probabilities": (
        "CategoricalCrossentropy", "categorical_crossentropy",
        "CategoricalFocalCrossentropy", "categorical_focal_crossentropy",
    ),
    "probabilities": (
        "BinaryCrossentropy", "binary_crossentropy", "BinaryFocalCrossentropy", "binary_focal_crossentropy",
        "CategoricalHinge", "categorical_hinge",
    ),
    "numbers": (
        "CosineSimilarity", "cosine_similarity", "Dice", "dice", "Hinge", "hinge", "Huber", "huber",
        "KLDivergence", "kl_divergence", "LogCosh", "log_cosh", "MeanAbsoluteError", "mean_absolute_error",
        "MeanAbsolutePercentageError", "mean_absolute_percentage_error", "MeanSquaredError", "mean_squared_error",
        "MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "Poisson", "poisson",
        "SquaredHinge", "squared_hinge", "Tversky", "tversky",
    ),
}  # fmt: skip
_STOCK_LOSSES: dict[object, LabelKind] = {
    getattr(keras.losses, name): kind
    for kind, names in _KINDS_OF_LOSSES.items()
    for name in names
    if hasattr(keras.losses, name)
} | {
    SmoothedCrossentropy: "class_indices",
    MulticlassHinge: "class_indices",
    GaussianNegativeLogLikelihood: "numbers",
}


@dataclass(frozen=True)
class LabelRule:
    """The labels that one output of a model expects.

    Args:
        kind: `"class_indices"`, integers from 0; `"class_probabilities"`, one row of probabilities per example,
            which sum to 1; `"probabilities"`, numbers from 0 to 1; `"numbers"`, finite numbers.
        output_shape: Shape of the output, with the batch axis; for a Gaussian, of its mean.
        source: The head or the loss that expects these labels, for messages.
        head: The head as a block, for hints; None if it is not a `dk.Classifier` or `dk.Regressor`.
        ignored_class: Class index outside the range that the loss ignores, or None.
        allows_column: Whether class indices may have a last axis of size 1.
        allows_zero_rows: Whether a row of zeros may stand for an example without a class.
        allows_fractions: Whether `"probabilities"` may be other numbers than 0 and 1.
    """

    kind: LabelKind
    output_shape: Shape
    source: str
    head: HeadBlock | None = None
    ignored_class: int | None = None
    allows_column: bool = True
    allows_zero_rows: bool = False
    allows_fractions: bool = True

    @property
    def num_outputs(self) -> int:
        """Size of the last axis of the output: the number of classes of a classifier."""
        return self.output_shape[-1] or 0

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The accepted shapes of the labels, with the batch axis."""
        *positions, units = self.output_shape
        if self.kind == "class_indices":
            return (tuple(positions), (*positions, 1)) if self.allows_column else (tuple(positions),)
        if not positions:  # an output of shape (batch,)
            return ((units,), (units, 1))
        return (self.output_shape, tuple(positions)) if units == 1 else (self.output_shape,)

    @property
    def labels(self) -> str:
        """The expected labels as text, without the head or the loss."""
        n = self.num_outputs
        return {
            "class_indices": f"class indices from 0 to {n - 1}",
            "class_probabilities": f"rows of {n} probabilities that sum to 1",
            "probabilities": "labels from 0 to 1" if self.allows_fractions else "labels 0 or 1",
            "numbers": "finite numbers",
        }[self.kind]

    def describe(self) -> str:
        """Return the expected labels, and the head or the loss that expects them, as text."""
        return f"{self.labels} for {self.source}"


def make_rules(net: object, outputs: object, loss: object, objective: Objective | None) -> dict[str, LabelRule]:
    """Return the rule of each output by name, `""` for a single output; an output with a custom loss has no rule.

    Args:
        net: The definition.
        outputs: The symbolic outputs of its model.
        loss: The loss that was passed by the user, or None.
        objective: The objective of the definition's head, or None.
    """
    tensors = outputs if isinstance(outputs, Mapping) else {"": outputs}
    rules = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, keras.KerasTensor) or len(tensor.shape) == 0:
            continue
        block = head_block(net, name)
        if loss is not None:
            rule = _loss_rule(_select(loss, name), tuple(tensor.shape), block)
        else:
            rule = _head_rule(objective, name, tuple(tensor.shape), block)
            last = _last_block(net, name)
            if rule is not None and isinstance(last, Perceptron):
                rule = dataclasses.replace(rule, source=repr(last))
        if rule is not None:
            rules[name] = rule
    return rules


def head_rule(head: Head, output_shape: Shape, source: str) -> LabelRule:
    """Return the rule of a head.

    Args:
        head: The head.
        output_shape: Shape of the output, with the batch axis.
        source: The name of the model for messages.
    """
    shape = output_shape if head.distribution is None else output_shape[:-1]
    kind: LabelKind = "class_probabilities" if head.one_hot else _KINDS_OF_TASKS[head.task]
    return LabelRule(kind, shape, source, allows_fractions=not head.scores)


def label_kind(loss: object) -> LabelKind | None:
    """Return the kind of the labels of a stock loss or a loss of deepkit; None for any other loss."""
    with contextlib.suppress(ValueError, TypeError):
        loss = keras.losses.get(loss)
    function = getattr(loss, "fn", None) if type(loss).__name__ == "LossFunctionWrapper" else None
    try:
        return _STOCK_LOSSES.get(type(loss)) or _STOCK_LOSSES.get(function or loss)
    except TypeError:  # not hashable
        return None


def head_block(net: object, output: str = "") -> HeadBlock | None:
    """Return the `dk.Classifier` or `dk.Regressor` that ends a definition, or one of its outputs; None without one."""
    block = _last_block(net, output)
    return block if isinstance(block, Classifier | Regressor) else None


def _last_block(net: object, output: str) -> object:
    """Return the block without a body that ends a definition, or one of its outputs."""
    while True:
        body: Any = None
        if isinstance(net, Functional):
            node = net.outputs if isinstance(net.outputs, str) else output
            body = net.nodes[node][1] if node in net.nodes else None
        elif isinstance(net, Sequential):
            body = net.layers
        elif isinstance(net, Shared | Repeat):
            body = net.body
        if not body:
            return net
        net = body[-1]


def _head_rule(objective: Objective | None, name: str, shape: Shape, block: HeadBlock | None) -> LabelRule | None:
    """Return the rule of a head, or the rule of its loss if the task of the head is unknown."""
    if objective is None:
        return None
    head = _select(objective.head, name) if isinstance(objective.head, Mapping) else objective.head
    if not isinstance(head, Head):
        return _loss_rule(_select(objective.loss, name), shape, block)
    kind = _KINDS_OF_TASKS[head.task]
    if head.distribution is not None:
        shape = shape[:-1]  # without the axis of the mean and the standard deviation
    if head.one_hot:
        kind = "class_probabilities"
    source = repr(block) if block else f"the {head.task} head"
    return LabelRule(kind, shape, source, block, allows_fractions=not head.scores)


def _loss_rule(loss: object, shape: Shape, block: HeadBlock | None) -> LabelRule | None:
    """Return the rule of a stock loss."""
    kind = label_kind(loss)
    if kind is None or (kind.startswith("class") and shape[-1] is None):
        return None
    loss = keras.losses.get(loss)
    if isinstance(loss, GaussianNegativeLogLikelihood):
        if len(shape) < 3 or shape[-1] != 2:
            return None  # the loss raises an error about the output
        shape = shape[:-1]
    name = getattr(loss, "__name__", type(loss).__name__)
    is_binary_hinge = _is_hinge(loss) and _is_binary(block)
    if is_binary_hinge:
        kind = "probabilities"  # Keras accepts -1 and 1 too, but the metrics of the head do not
    ignored = getattr(loss, "ignore_class", None)
    return LabelRule(
        kind,
        shape,
        f"{name} with {block!r}" if block else f"{name} with an output of shape {shape_text(shape)}",
        block,
        ignored_class=ignored if isinstance(ignored, int) else None,
        allows_column="generalized" not in name.lower(),  # Keras would broadcast labels of shape (batch, 1)
        allows_zero_rows=True,
        allows_fractions=not is_binary_hinge,
    )


def _is_hinge(loss: object) -> bool:
    return getattr(loss, "fn", loss) in (keras.losses.hinge, keras.losses.squared_hinge)


def _is_binary(block: HeadBlock | None) -> bool:
    """Return whether each output of a head is a separate class, with labels 0 and 1."""
    return isinstance(block, Classifier) and (block.num_classes == 1 or block.activation == "sigmoid")


def _select(value: Any, name: str) -> Any:
    """Return the entry of an output, or the value if it is not a mapping."""
    return value.get(name) if isinstance(value, Mapping) else value


def shape_text(shape: Shape) -> str:
    """Return a shape with the batch axis as text: `(batch, 3)`."""
    sizes = ["batch", *(str(size) for size in shape[1:])]
    return f"({', '.join(sizes)})" if len(sizes) > 1 else "(batch,)"
