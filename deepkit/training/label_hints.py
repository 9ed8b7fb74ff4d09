"""Hints for labels that do not fit: the exact conversion, or the head that fits them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from deepkit.blocks.heads import Classifier, Regressor
from deepkit.training.label_rules import LabelRule, shape_text

if TYPE_CHECKING:
    from deepkit.utils.types import Shape

_MAX_CLASSES = 1000  # larger integers are probably identifiers, not class indices
_SIGN_HINT = "use (y + 1) // 2"
_NUMBER_HINT = "use np.unique(y, return_inverse=True)[1], which numbers the classes from 0"


@dataclasses.dataclass(frozen=True)
class InvalidLabel:
    """The first label that does not fit, and a summary of all labels that were checked together.

    Args:
        value: The label; the sum of a row of probabilities that does not sum to 1.
        index: Index of its example.
        low: The smallest of all labels.
        high: The largest of all labels.
        has_zero: Whether 0 is among them.
        distinct: The distinct labels; None if they are unknown, or too many.
        is_batch: Whether the labels are one batch of a dataset, rather than all labels.
    """

    value: float
    index: int
    low: float
    high: float
    has_zero: bool
    distinct: tuple[float, ...] | None = None
    is_batch: bool = False


def value_hint(rule: LabelRule, label: InvalidLabel) -> str:
    """Return a hint for labels outside the range of a rule."""
    if label.value != label.value:
        return "remove the examples whose label is NaN, or correct their labels"
    if rule.kind == "numbers":
        return "remove the examples whose label is infinite, or correct their labels"
    if label.low == -1 and label.high == 1 and not label.has_zero:
        return _SIGN_HINT
    if rule.kind == "class_indices":
        return _class_index_hint(rule, label)
    if rule.kind == "class_probabilities":
        return _row_hint(rule, label)
    return _probability_hint(rule, label)


def _class_index_hint(rule: LabelRule, label: InvalidLabel) -> str:
    n, low, high = rule.num_outputs, label.low, label.high
    if label.value % 1:
        if low >= 0 and high <= 1:
            return "use dk.Classifier(1) for the probability of one class, or round the labels"
        return "use whole numbers for classes, or dk.Regressor() for a continuous target"
    if low == 1 and high == n:
        return _one_based_hint(rule, label)
    if low == 1 and label.distinct is not None and len(label.distinct) == high:
        return f"use y - 1 and {with_classes(rule, int(high))}"
    if low == -1 and len(rule.output_shape) > 2:
        return (
            "use class 0 at padded steps: they do not count if they are masked, as with mask_zero=True in an Embedding"
        )
    if low == -1:
        head = "" if high + 2 <= n else f" and {with_classes(rule, int(high) + 2)}"
        return f"use y + 1{head} if -1 is a class, or remove the examples with the label -1"
    if low < 0 or high >= _MAX_CLASSES:
        return _NUMBER_HINT
    if label.distinct is not None and len(label.distinct) <= n:
        return f"{_NUMBER_HINT}, or {with_classes(rule, int(high) + 1)}"
    return f"use {with_classes(rule, int(high) + 1)}"


def _one_based_hint(rule: LabelRule, label: InvalidLabel) -> str:
    """Return a hint for labels that begin at 1; another batch of the same dataset may contain 0."""
    if label.is_batch:
        return f"use y - 1 if the classes are numbered from 1, else {with_classes(rule, int(label.high) + 1)}"
    return "use y - 1"


def _row_hint(rule: LabelRule, label: InvalidLabel) -> str:
    if label.low < 0:
        return "use probabilities of at least 0"
    if label.value == 0:
        return "remove the examples without a class, or add a class for them"
    if label.value % 1 == 0 and label.high == 1:
        head = "an output with a sigmoid and keras.losses.BinaryCrossentropy()"
        if isinstance(rule.head, Classifier):
            head = repr(dataclasses.replace(rule.head, activation="sigmoid"))
        return f"use {head} for several classes per example, or one class in each row"
    return "divide each row by its sum: y / y.sum(axis=-1, keepdims=True)"


def _probability_hint(rule: LabelRule, label: InvalidLabel) -> str:
    low, high, distinct = label.low, label.high, label.distinct
    is_whole = label.value % 1 == 0
    if rule.num_outputs > 1:
        return "use 0 or 1 for each output"
    if low == 1 and high == 2 and is_whole:
        return _one_based_hint(rule, label)
    if distinct is not None and len(distinct) == 2 and is_whole:
        return f"use y == {number_text(high)}"
    if low >= 0 and 2 <= high < _MAX_CLASSES and is_whole:
        return f"use {with_classes(rule, int(high) + 1)}, or 0 and 1 as labels"
    return "use 0 and 1 as labels, or dk.Regressor() for a continuous target"


def shape_hint(rule: LabelRule, shape: Shape, input_shape: Shape | None, is_validation: bool) -> str:
    """Return a hint for labels whose shape does not fit.

    Args:
        rule: The rule.
        shape: Shape of the labels.
        input_shape: Shape of the only input, or None.
        is_validation: Whether these are validation labels; the training labels fit the rule.
    """
    columns, n = shape[-1] if len(shape) > 1 else None, rule.num_outputs
    if is_validation:
        hint = _validation_shape_hint(rule, shape)
        if hint:
            return hint
    if not shape:
        return "use dataset.batch(32)"
    if _is_one_label_per_step(rule, shape, input_shape):
        head = "" if rule.head is None else f", and {dataclasses.replace(rule.head, pool=None)!r}"
        hint = f"set return_sequences=True in the recurrent block before the head{head} for one output per step"
        return hint + (f", or use {with_units(rule, columns)}" if rule.kind == "numbers" and columns else "")
    classifies_positions = rule.head is not None and rule.head.pool is None and len(rule.output_shape) > 2
    if rule.head is not None and classifies_positions and len(shape) < len(rule.output_shape):
        pooled = repr(dataclasses.replace(rule.head, pool="avg"))
        return f"use {pooled} for one output per example, or labels of shape {_shapes_text(rule)}"
    if rule.kind == "class_indices" and len(shape) == len(rule.output_shape) and columns == n:
        if isinstance(rule.head, Classifier) and rule.head.loss == "hinge":
            return "use y.argmax(axis=-1)"
        return "use y.argmax(axis=-1), or the loss keras.losses.CategoricalCrossentropy"
    if rule.kind == "class_probabilities" and (len(shape) < len(rule.output_shape) or columns == 1):
        return f"use keras.utils.to_categorical(y, {n}), or the loss keras.losses.SparseCategoricalCrossentropy"
    min_columns = 2 if rule.kind == "class_indices" else 1
    has_other_width = len(shape) == len(rule.output_shape) and (columns or 0) >= min_columns
    if isinstance(rule.head, Classifier) and columns and has_other_width:
        if rule.kind == "probabilities" and n == 1 and columns == 2:
            return f"use {with_classes(rule, 2)}, or the labels y[:, 1]"
        return f"use {with_classes(rule, columns)}, or labels of shape {_shapes_text(rule)}"
    if isinstance(rule.head, Classifier) and rule.kind == "probabilities" and len(shape) == 1:
        plain = repr(dataclasses.replace(rule.head, activation=None))
        return f"use {plain} for one class per example, or 0 or 1 for each of the {n} outputs"
    if isinstance(rule.head, Regressor) and len(shape) <= 2 and len(rule.output_shape) == 2:
        return f"use {with_units(rule, columns or 1)}, or labels of shape {_shapes_text(rule)}"
    return f"use labels of shape {_shapes_text(rule)}"


def _validation_shape_hint(rule: LabelRule, shape: Shape) -> str:
    """Return a hint for validation labels of another kind than the training labels; empty for any other difference."""
    n = rule.num_outputs
    is_row = len(shape) == len(rule.output_shape) and shape[-1] == n
    if rule.kind == "class_indices" and is_row:
        return "use y.argmax(axis=-1), as the training labels are class indices"
    if rule.kind == "class_probabilities" and len(shape) < len(rule.output_shape):
        return f"use keras.utils.to_categorical(y, {n}), as the training labels are rows of probabilities"
    return ""


def _is_one_label_per_step(rule: LabelRule, shape: Shape, input_shape: Shape | None) -> bool:
    """Return whether the labels have an axis for the steps of a sequence, and the output does not."""
    if input_shape is None or len(rule.output_shape) > 2 or len(shape) < 2:
        return False
    if len(input_shape) < 3:  # texts or token ids
        return rule.head is not None and rule.head.pool is None
    return shape[1] is not None and shape[1] > 1 and shape[1] == input_shape[1]


def dtype_hint(rule: LabelRule) -> str:
    """Return a hint for text labels, and other labels that are not numbers, which `fit` does not encode."""
    if rule.kind == "numbers":
        return 'convert the labels to numbers: y.astype("float32")'
    if rule.kind == "probabilities" and rule.num_outputs > 1:
        return "use a column of 0 and 1 for each class: sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)"
    return (
        "map the labels of the dataset to integers: lookup = keras.layers.StringLookup(vocabulary=class_names, "
        "num_oov_indices=0), then dataset.map(lambda x, y: (x, lookup(y)))"
    )


def with_classes(rule: LabelRule, num_classes: int) -> str:
    """Return the code of the head with another number of classes."""
    if isinstance(rule.head, Classifier):
        return repr(dataclasses.replace(rule.head, num_classes=num_classes))
    if rule.head is None and not rule.allows_fractions:  # a perceptron
        return f"dk.Classifier({num_classes})"
    return f"an output of {num_classes} classes"


def with_units(rule: LabelRule, units: int) -> str:
    """Return the code of the head with another number of outputs."""
    if isinstance(rule.head, Regressor):
        return repr(dataclasses.replace(rule.head, units=units))
    return f"an output of {units} units"


def number_text(value: float) -> str:
    """Return a number as short text, an integer without a decimal point."""
    return str(int(value)) if value % 1 == 0 else f"{value:.6g}"


def _shapes_text(rule: LabelRule) -> str:
    return " or ".join(shape_text(shape) for shape in rule.shapes)
