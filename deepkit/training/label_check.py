"""Check labels against the head or the loss of a definition: arrays once before the first step, other data per batch.

Keras checks neither range nor shape: it broadcasts labels of another width, a GPU returns NaN for a class index out of
range, and XLA uses the last class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from deepkit.blocks.heads import Regressor
from deepkit.data import Pipeline
from deepkit.definition.objective import check_objective
from deepkit.models.perceptron import PerceptronModel
from deepkit.models.recurrent_attention import RecurrentAttentionModel
from deepkit.training import label_hints
from deepkit.training.errors import LabelError
from deepkit.training.label_hints import InvalidLabel, number_text
from deepkit.training.label_rules import LabelRule, head_block, make_rules, shape_text
from deepkit.training.label_values import has_shape, is_compatible, summarize_invalid, valid_labels
from deepkit.training.training_data import TrainingData
from deepkit.training.user_data import training_target

if TYPE_CHECKING:
    from pathlib import Path

    from deepkit.definition.objective import Objective
    from deepkit.utils.types import Dataset, Nested, Shape, Tensor

TensorSpec: TypeAlias = Any  # a `tf.TensorSpec`; TensorFlow has no types

_MARK = "labels do not fit"
_MAX_DISTINCT = 10_000
_NUMBER = r"(?:-?[\d.]+(?:e[+-]?\d+)?|-?nan|-?inf)"
_INVALID_VALUE = re.compile(
    rf"\[{_MARK}\] \[value\] \[(?P<key>[^]]*)\] \[(?P<index>\d+)\] \[(?P<value>{_NUMBER})\] \[(?P<low>{_NUMBER})\] "
    rf"\[(?P<high>{_NUMBER})\] \[(?P<zero>[01])\]"
)
_INVALID_SHAPE = re.compile(rf"\[{_MARK}\] \[shape\] \[(?P<key>[^]]*)\] \[(?P<shape>[\d ]*)\]")


@dataclass(frozen=True)
class LabelCheck:
    """The check of the labels of one output.

    Args:
        rule: The labels that the output expects.
        output: Name of the output; empty if there is only one.
        source: The argument that contains the labels: `"data"` or `"validation_data"`.
        input_shape: Shape of the only input, with the batch axis, or None.
    """

    rule: LabelRule
    output: str
    source: str
    input_shape: Shape | None = None

    @property
    def path(self) -> str:
        """The argument and the output."""
        return f"{self.source}[{self.output!r}]" if self.output else self.source

    @property
    def key(self) -> str:
        """A text that identifies the check in an error message of TensorFlow."""
        return f"{self.source} {self.output}"

    def error(self, received: str, hint: str) -> LabelError:
        """Return an error that names the expected labels."""
        return LabelError(f"labels: expected {self.rule.describe()}, received {received}", path=self.path, hint=hint)

    def check_spec(self, spec: TensorSpec) -> None:
        """Raise if the dtype or the static shape of the labels does not fit."""
        if not isinstance(spec, tf.TensorSpec):
            kind = "ragged" if isinstance(spec, tf.RaggedTensorSpec) else "sparse"
            convert = "y.to_tensor()" if kind == "ragged" else "tf.sparse.to_dense(y)"
            raise self.error(f"{kind} labels", f"use {convert} in dataset.map")
        if spec.dtype == tf.string or not (spec.dtype.is_integer or spec.dtype.is_floating or spec.dtype.is_bool):
            received = "text" if spec.dtype == tf.string else f"labels of dtype {spec.dtype.name}"
            raise self.error(received, label_hints.dtype_hint(self.rule))
        if spec.shape.rank is None:
            raise self.error("labels of unknown shape", "use tf.ensure_shape in dataset.map")
        shape = tuple(spec.shape)
        has_width = len(shape) == len(self.rule.output_shape) > 1
        if self.rule.kind == "class_indices" and has_width and shape[-1] is None:
            n = self.rule.num_outputs
            raise LabelError(
                f"labels: expected a known last axis, received a dataset with labels of shape {shape_text(shape)}",
                path=self.path,
                hint=f"use tf.ensure_shape in dataset.map: a last axis of 1 for class indices, of {n} for one-hot rows",
            )
        if not any(is_compatible(shape, expected) for expected in self.rule.shapes):
            raise self.shape_error(shape)
        self._check_steps_of_texts(shape)

    def _check_steps_of_texts(self, shape: Shape) -> None:
        """Raise if texts have as many steps as the longest one of their batch, and labels a fixed number of steps."""
        output_shape, is_text = self.rule.output_shape, self.input_shape is not None and len(self.input_shape) == 1
        if is_text and len(output_shape) == 3 and output_shape[1] is None and len(shape) > 1 and shape[1] is not None:
            problem = (
                f"labels: expected a label for each step of the texts, which are as long as the longest one of a "
                f"batch, received {shape[1]} labels for each text"
            )
            raise LabelError(problem, path=self.path, hint=f"use dk.Text(..., output_sequence_length={shape[1]})")

    def shape_error(self, shape: Shape) -> LabelError:
        """Return an error for labels of another shape."""
        rule = self.rule
        expected = " or ".join(shape_text(accepted) for accepted in rule.shapes)
        hint = label_hints.shape_hint(rule, shape, self.input_shape, self.source != "data")
        received = f"shape {shape_text(shape)}" if shape else "one label without a batch axis"
        problem = f"labels: expected {rule.labels} of shape {expected} for {rule.source}, received {received}"
        return LabelError(problem, path=self.path, hint=hint)

    def check_array(self, labels: Any) -> None:
        """Raise if a value of an array of labels does not fit."""
        with tf.device("CPU:0"):
            labels = tf.convert_to_tensor(labels)
            if bool(tf.reduce_all(valid_labels(self.rule, labels))):
                return
            index, value, low, high, has_zero = np.array(summarize_invalid(self.rule, labels), float).tolist()
        values = np.unique(np.asarray(labels))
        distinct = tuple(float(number) for number in values) if len(values) <= _MAX_DISTINCT else None
        raise self.value_error(InvalidLabel(value, int(index), low, high, bool(has_zero), distinct))

    def value_error(self, label: InvalidLabel) -> LabelError:
        """Return an error for a value that does not fit."""
        received = number_text(label.value)
        if self.rule.kind == "class_probabilities" and label.low >= 0:
            received = f"a row with the sum {received}"
        position = f"(at index {label.index} of a batch)" if label.is_batch else f"(first at index {label.index})"
        return self.error(f"{received} {position}", label_hints.value_hint(self.rule, label))

    def needs_shape_check(self, spec: TensorSpec) -> bool:
        """Return whether the static shape of the labels leaves open whether they fit."""
        shape = tuple(spec.shape)
        return not any(
            len(shape) == len(expected)
            and all(size is not None or other is None for size, other in zip(shape[1:], expected[1:], strict=True))
            for expected in self.rule.shapes
        )

    def needs_value_check(self, spec: TensorSpec) -> bool:
        """Return whether the labels can have values that do not fit."""
        return self.rule.kind != "numbers" or spec.dtype.is_floating

    def add_assertions(self, labels: Tensor) -> None:
        """Add the assertions to the graph that prepares a batch."""
        if self.needs_shape_check(labels):
            size = tf.shape(labels, out_type=tf.int64)
            tf.debugging.Assert(has_shape(size, self.rule.shapes), [_MARK, "shape", self.key, size], summarize=16)
        if self.needs_value_check(labels):
            is_valid = tf.reduce_all(valid_labels(self.rule, labels))
            tf.cond(is_valid, lambda: True, lambda: self._assert_invalid(labels))

    def _assert_invalid(self, labels: Tensor) -> Tensor:
        index, value, low, high, has_zero = summarize_invalid(self.rule, labels)
        numbers = [index, value, low, high, tf.cast(has_zero, tf.int64)]
        with tf.control_dependencies([tf.debugging.Assert(False, [_MARK, "value", self.key, *numbers])]):
            return tf.constant(True)


class LabelChecks(NamedTuple):
    """The checks of labels that each batch needs."""

    train: tuple[LabelCheck, ...] = ()
    validation: tuple[LabelCheck, ...] = ()


NO_LABEL_CHECKS = LabelChecks()


def require_labels(net: Any, model: keras.Model, data: TrainingData, loss: object) -> None:
    """Raise if the data has no labels, or labels of unknown rank, and the head or the loss needs them.

    Args:
        net: The definition.
        model: The model built from it.
        data: The training data.
        loss: The loss that was passed by the user, or None.
    """
    if training_target(net) != "labels":
        return
    for spec in keras.tree.flatten(data.label_spec):
        if isinstance(spec, tf.TensorSpec) and spec.shape.rank is None:
            raise LabelError(
                "labels: expected a known rank, received a dataset with labels of unknown shape",
                path="data",
                hint="use dataset.map(lambda x, y: (x, tf.ensure_shape(y, [None]))) for one label per example",
            )
    needs_labels = _has_keras_training_step(model) or isinstance(model, PerceptronModel | RecurrentAttentionModel)
    if data.label_spec is not None or not needs_labels:
        return
    outputs = getattr(model, "output", None)
    shapes = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), outputs)
    objective = None
    if outputs is not None and hasattr(net, "objective"):
        objective = check_objective(net.objective(shapes, shapes), net)
    if loss is None and objective is None:
        return
    rules = make_rules(net, outputs, loss, objective)
    expected = ", ".join(rule.describe() for rule in rules.values()) or "labels"
    if len(rules) == 1 and head_block(net) is not None and loss is None:
        expected = f"labels for {head_block(net)!r}"
    if isinstance(model, RecurrentAttentionModel) and loss is None:
        expected = f"labels for {net!r}"
    raise LabelError(
        f"labels: expected {expected}, received inputs only",
        path="data",
        hint="pass (x, y), or a dataset of (x, y)",
    )


def check_labels(
    net: object, model: keras.Model, data: TrainingData, loss: object, objective: Objective | None
) -> LabelChecks:
    """Check shapes and dtypes of the labels, and the values of arrays; return the checks that each batch needs.

    Args:
        net: The definition.
        model: The model built from it.
        data: The training data.
        loss: The loss that was passed by the user, or None.
        objective: The objective of the definition's head, or None.

    Raises:
        LabelError: The labels do not fit the head or the loss.
    """
    if training_target(net) != "labels" or data.label_spec is None:
        return LabelChecks()
    rules = make_rules(net, getattr(model, "output", None), loss, objective)
    train = check_split(rules, data.train, "data")
    _check_num_classes(rules, data)
    if data.validation is None:
        return LabelChecks(train)
    _check_same_kind(rules, data)
    return LabelChecks(train, check_split(rules, data.validation, "validation_data"))


def check_batch(checks: Sequence[LabelCheck], batch: Sequence[Nested]) -> None:
    """Add the assertions about the labels to the graph that prepares a batch."""
    for check in checks:
        check.add_assertions(_leaf(batch[1], check.output))


def explain_error(error: Exception, checks: LabelChecks, epoch: int, checkpoint: Path | None) -> LabelError | None:
    """Return a `LabelError` for a TensorFlow error about labels; None for any other error."""
    text = str(error)
    by_key = {check.key: check for check in (*checks.train, *checks.validation)}
    match = _INVALID_VALUE.search(text)
    if match:
        low, high, value = float(match["low"]), float(match["high"]), float(match["value"])
        label = InvalidLabel(value, int(match["index"]), low, high, match["zero"] == "1", is_batch=True)
        return by_key[match["key"]].value_error(label).during_training(epoch, checkpoint)
    match = _INVALID_SHAPE.search(text)
    if match:
        shape = tuple(int(size) for size in match["shape"].split())
        return by_key[match["key"]].shape_error(shape).during_training(epoch, checkpoint)
    return None


def check_split(rules: Mapping[str, LabelRule], batches: Dataset, source: str) -> tuple[LabelCheck, ...]:
    """Check the specs of the labels of a split, and the values of arrays; return the checks that each batch needs.

    Args:
        rules: The labels that each output expects, by name, `""` for a single output.
        batches: Batches (x, y) or (x, y, sample_weight).
        source: The argument that contains the labels, for messages.
    """
    specs = batches.element_spec
    arrays = batches.labels_in_memory if isinstance(batches, Pipeline) else None
    input_shape = _input_shape(specs[0])
    remaining = []
    for output, rule in rules.items():
        check = LabelCheck(rule, output, source, input_shape)
        spec = _leaf(specs[1], output)
        if spec is None:
            raise check.error(_names(specs[1]), "name the labels like the outputs")
        check.check_spec(spec)
        if arrays is not None:
            check.check_array(_leaf(arrays, output))
        elif check.needs_shape_check(spec) or check.needs_value_check(spec):
            remaining.append(check)
    return tuple(remaining)


def _check_num_classes(rules: Mapping[str, LabelRule], data: TrainingData) -> None:
    """Raise if the dataset has more classes than the head, fewer names, or classes for a head that predicts numbers."""
    rule = rules.get("")
    if rule is not None and rule.kind == "numbers" and isinstance(rule.head, Regressor) and data.class_names:
        raise LabelError(
            f"labels: {rule.source} predicts numbers, received the classes {', '.join(map(repr, data.class_names))}",
            path="data",
            hint=f"use dk.Classifier({len(data.class_names)}), or task='regression' in dk.data.from_table",
        )
    if rule is None or data.num_classes is None or rule.kind not in ("class_indices", "probabilities"):
        return
    is_binary = rule.kind == "probabilities" and rule.num_outputs == 1
    num_classes = 2 if is_binary else rule.num_outputs
    lacks_names = rule.kind == "class_indices" and 0 < len(data.class_names) < num_classes
    if lacks_names or (data.num_classes > num_classes and (is_binary or rule.kind == "class_indices")):
        raise LabelError(
            f"labels: {rule.source} has {num_classes} classes, received data with {data.num_classes} classes",
            path="data",
            hint=f"use {label_hints.with_classes(rule, data.num_classes)}",
        )


def _check_same_kind(rules: Mapping[str, LabelRule], data: TrainingData) -> None:
    """Raise if validation labels are missing, or of another kind than the training labels: text, names or rank."""
    if data.validation is None:
        return
    specs = data.validation.element_spec
    if not isinstance(specs, tuple) or len(specs) < 2:
        raise LabelError(
            "labels: expected labels like those of the training data, received inputs only",
            path="validation_data",
            hint="pass validation_data=(x, y)",
        )
    for name, (train, validation) in _pairs(data.label_spec, specs[1]):
        path = f"validation_data[{name!r}]" if name else "validation_data"
        is_text = [spec.dtype == tf.string for spec in (train, validation)]
        if is_text[0] != is_text[1]:
            kinds = ["text" if text else "numbers" for text in is_text]
            raise LabelError(
                f"labels: expected {kinds[0]} like the training labels, received {kinds[1]}",
                path=path,
                hint="use labels of the same kind",
            )
        ranks = [spec.shape.rank for spec in (train, validation)]
        if name not in rules and None not in ranks and ranks[0] != ranks[1]:
            expected, received = (shape_text(tuple(spec.shape)) for spec in (train, validation))
            raise LabelError(
                f"labels: expected shape {expected} like the training labels, received {received}",
                path=path,
                hint="use labels of the same shape",
            )


def _pairs(train: Any, validation: Any) -> Iterator[tuple[str, tuple[TensorSpec, TensorSpec]]]:
    """Yield the specs of training and validation labels by name; raise if their names differ."""
    if not isinstance(train, Mapping) and not isinstance(validation, Mapping):
        leaves = keras.tree.flatten(train), keras.tree.flatten(validation)
        if len(leaves[0]) == len(leaves[1]):
            yield from (("", pair) for pair in zip(*leaves, strict=True))
            return
    elif isinstance(train, Mapping) and isinstance(validation, Mapping) and set(train) == set(validation):
        yield from ((name, (train[name], validation[name])) for name in train)
        return
    expected, received = (_names(labels) for labels in (train, validation))
    raise LabelError(
        f"labels: expected {expected} like the training labels, received {received}",
        path="validation_data",
        hint="use labels of the same structure",
    )


def _names(labels: object) -> str:
    if isinstance(labels, Mapping):
        return f"labels with the names {', '.join(map(str, labels))}"
    return f"{len(keras.tree.flatten(labels))} arrays of labels"


def _has_keras_training_step(model: keras.Model) -> bool:
    """Return whether a model has Keras's training step and loss, which need labels."""
    return all(getattr(type(model), name) is getattr(keras.Model, name) for name in ("train_step", "compute_loss"))


def _leaf(labels: Any, output: str) -> Any:
    """Return the labels of an output; None if there are none by its name."""
    if isinstance(labels, Mapping):
        return labels.get(output)
    return None if output or isinstance(labels, tuple | list) else labels


def _input_shape(inputs: object) -> Shape | None:
    if isinstance(inputs, tf.TensorSpec) and inputs.shape.rank is not None:
        return tuple(inputs.shape)
    return None
