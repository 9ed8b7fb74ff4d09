"""Text labels of a classifier: encode class names as class indices, in sorted order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from deepkit.blocks.heads import Classifier
from deepkit.data import Pipeline
from deepkit.data.frames import as_arrays
from deepkit.definition.functional import Functional
from deepkit.definition.objective import Head, check_objective
from deepkit.training.errors import LabelError
from deepkit.training.label_hints import with_classes
from deepkit.training.label_rules import LabelRule, head_block, label_kind
from deepkit.training.training_data import TrainingData
from deepkit.utils.console import echo
from deepkit.utils.errors import format_value

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset

_TAG_HINT = (
    "pass a row of labels, one for each token, in place of one string: y = keras.utils.pad_sequences([tags.split() for "
    "tags in y], padding='post', dtype=object, value=TAG), and dk.Text(..., output_sequence_length=y.shape[1]); "
    "dk.data.from_tagged_file reads such labels"
)
_MAX_NAMES = 10  # names that a message lists


def encode_text_labels(net: Any, data: TrainingData, loss: object, verbose: int | str) -> TrainingData:
    """Return data whose text labels are class indices, with the class names in sorted order.

    Only arrays of the labels of a classifier are encoded: by its head, or by a loss of class indices.

    Args:
        net: The definition; data for a compiled model is returned unchanged.
        data: The training data.
        loss: The loss that was passed by the user, or None.
        verbose: 0 for silence; else the class names are printed.

    Raises:
        LabelError: The number of class names is not the number of classes, or a validation label has another name.
    """
    labels = data.train.labels_in_memory if isinstance(data.train, Pipeline) else None
    if isinstance(net, keras.Model) or not any(_is_text(leaf) for leaf in keras.tree.flatten(labels)):
        return data
    outputs: Mapping[str, Any] = labels if isinstance(labels, dict) else {"": labels}
    names: dict[str, tuple[str, ...]] = {}
    for output, leaf in outputs.items():
        loss_of_output = loss.get(output) if isinstance(loss, Mapping) else loss
        if _is_text(leaf) and _is_classified(net, output, leaf, loss_of_output):
            names[output] = tuple(str(name) for name in np.unique(_as_strings(leaf)))
            _check_num_names(net, output, leaf, names[output])
            if verbose:
                echo(f"labels{f' of {output}' if output else ''}: {_describe(names[output])}")
    if not names:
        return data
    validation = data.validation
    if validation is not None:
        validation = _encode(validation, names, "validation_data")
    return dataclasses.replace(
        data,
        train=_encode(data.train, names, "data"),
        validation=validation,
        class_names=names.get("", names),
        num_classes=None,
    )


def encode_names(labels: Any, names: tuple[str, ...], path: str) -> Any:
    """Return text labels as indices of class names, and other labels unchanged.

    Args:
        labels: An array, a list or another sequence of labels; None is returned.
        names: The class names; empty if unknown.
        path: The argument that contains the labels, for the error.

    Raises:
        LabelError: A label is not a class name, or the class names are unknown.
    """
    labels = as_arrays(labels, path)
    array = labels if labels is None or hasattr(labels, "dtype") else np.asarray(labels)
    if isinstance(array, np.ndarray) and array.dtype == object and all(isinstance(item, str) for item in array.flat):
        array = array.astype("U")
    if not _is_text(array):
        return labels
    if not names:
        problem = f"labels: expected numbers, because the run has no class names, received {format_value(array)}"
        raise LabelError(problem, path=path, hint="pass class indices")
    return _indices(array, names, path)


def _encode(batches: Dataset, names: Mapping[str, tuple[str, ...]], source: str) -> Dataset:
    """Return the batches with class indices; the check of the labels refuses data that is not in memory."""
    labels = batches.labels_in_memory if isinstance(batches, Pipeline) else None
    if labels is None or not isinstance(batches, Pipeline):
        return batches
    if isinstance(labels, dict):
        encoded: Any = dict(labels)
        for name in names.keys() & labels.keys():
            encoded[name] = _indices(labels[name], names[name], f"{source}[{name!r}]")
    else:
        encoded = _indices(labels, names[""], source) if "" in names else labels
    return batches.with_labels(encoded)


def _indices(labels: Any, names: tuple[str, ...], path: str) -> Any:
    """Return the index of each name."""
    if not _is_text(labels):
        raise LabelError(
            f"labels: expected text like the training labels, received {format_value(labels)}",
            path=path,
            hint="use the class names as labels in both",
        )
    strings, order = _as_strings(labels), np.argsort(names)
    positions = np.minimum(np.searchsorted(names, strings, sorter=order), len(names) - 1)
    indices = order[positions]
    unknown = np.array(names)[indices] != strings
    if unknown.any():
        example = int(np.flatnonzero(unknown.reshape(len(strings), -1).any(1))[0])
        raise LabelError(
            f"labels: expected the class names of the training labels, {_join_names(names)}, received "
            f"{format_value(str(strings[unknown][0]))} (first at index {example})",
            path=path,
            hint="remove the examples of other classes, or add such examples to the training data",
        )
    return indices.astype("int32")


def _check_num_names(net: Any, output: str, labels: Any, names: tuple[str, ...]) -> None:
    """Raise if the number of names is not the number of classes of the head."""
    head = _head(net, output, labels)
    if head is None:
        return
    num_classes = 2 if head.task == "binary" else head.units
    if len(names) == num_classes:
        return
    block = head_block(net, output)
    hint = "use {}, or integer labels if the data lacks a class"
    if "" in names and labels.ndim > 1:
        hint = "use a class name in place of '' at padded steps: they do not count if they are masked"
    tags = [tag for name in names for tag in name.split()]
    if labels.ndim == 1 and isinstance(block, Classifier) and block.pool is None and len(tags) > len(names):
        hint = _TAG_HINT.replace("TAG", repr(min(tags)))
    rule = LabelRule("class_indices", (None, head.units), "", block)
    raise LabelError(
        f"labels: expected {num_classes} class names for {block or f'the {head.task} head'!s}, received {len(names)}: "
        f"{_join_names(names)}",
        path=f"data[{output!r}]" if output else "data",
        hint=hint.format(with_classes(rule, max(2, len(names)))),
    )


def _is_classified(net: Any, output: str, labels: Any, loss: object) -> bool:
    """Return whether an output predicts one class per label."""
    head = _head(net, output, labels)
    if head is not None:
        return head.task in ("binary", "multiclass")
    return loss is not None and label_kind(loss) == "class_indices"


def _head(net: Any, output: str, labels: Any) -> Head | None:
    """Return the task of the head of an output; the sizes of the output are not known yet."""
    if not hasattr(net, "objective"):
        return None
    label_shape = (None, *labels.shape[1:])
    output_shape = (*label_shape, None)
    if not output:
        objective = check_objective(net.objective(output_shape, label_shape), net)
        return objective.head if objective is not None and isinstance(objective.head, Head) else None
    if not isinstance(net, Functional) or isinstance(net.outputs, str):
        return None
    objective = net.objective(dict.fromkeys(net.outputs, output_shape), dict.fromkeys(net.outputs, label_shape))
    head = objective.head.get(output) if objective is not None and isinstance(objective.head, Mapping) else None
    return head if isinstance(head, Head) else None


def _is_text(labels: Any) -> bool:
    dtype = getattr(labels, "dtype", None)
    return dtype == tf.string or (isinstance(dtype, np.dtype) and dtype.kind in "SU")


def _as_strings(labels: Any) -> np.ndarray:
    """Return text labels as an array of strings."""
    array = np.asarray(labels)
    if array.dtype.kind == "O":  # a tensor of strings
        array = array.astype("S")
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array


def _describe(names: tuple[str, ...]) -> str:
    return f"{len(names)} class names, encoded in sorted order as 0 to {len(names) - 1}: {_join_names(names)}"


def _join_names(names: tuple[str, ...]) -> str:
    text = ", ".join(repr(name) for name in names[:_MAX_NAMES])
    return f"{text}, ..." if len(names) > _MAX_NAMES else text
