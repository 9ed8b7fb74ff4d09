"""Errors of a classifier: the confusion matrix and the misclassified images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from matplotlib.figure import Figure

from deepkit.definition.outputs import hinge_loss_name, output_activation, outputs_logits
from deepkit.layers import Threshold
from deepkit.utils.errors import message
from deepkit.visualize.figures import displayable_image, hide_axis_lines, subplots
from deepkit.visualize.interval_coverage import gaussian_outputs
from deepkit.visualize.model_inputs import accepts_run, check_built, iterate_batches, predict_batch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deepkit.visualize.model_inputs import Batch

_MAX_ANNOTATED = 25  # the counts in a confusion matrix of more classes are not legible
_MIN_PROBABILITY = 1e-30


@dataclass(frozen=True)
class MisclassifiedExample:
    """An example whose predicted class is not its label, as `dk.visualize.arrays.misclassified` returns it.

    Args:
        image: The image (rows, columns, channels).
        label: The true class.
        prediction: The predicted class.
        confidence: The predicted probability of the predicted class; None if the model predicts scores.
        loss: The cross-entropy: minus the logarithm of the predicted probability of the true class. For scores, the
            difference between the scores of the predicted and of the true class.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(2).build((8, 8, 1))
        >>> model.set_weights([np.zeros((64, 2)), np.array([2.0, 0.0])])
        >>> data = np.zeros((2, 8, 8, 1), "float32"), np.array([1, 0])
        >>> example = dk.visualize.arrays.misclassified(model, data)[0]
        >>> example.label, example.prediction, round(example.loss, 2)
        (1, 0, 2.13)
    """

    image: np.ndarray
    label: int
    prediction: int
    confidence: float | None
    loss: float


@accepts_run
def confusion(model: keras.Model, data: object, *, class_names: Sequence[str] = ()) -> Figure:
    """Draw the confusion matrix of a classifier.

    Args:
        model: A classifier with logits or probabilities as its output, for one class per example or per position.
            Whether the outputs are logits follows from the last layer, else from the loss, else from their values.
            A `Run` stands for its model.
        data: Batches (x, y) with integer or one-hot labels, or a pair (x, y) of arrays. x is the input of
            the model: an array, a mapping of arrays, or texts. With `class_names`, the labels may be these names.
        class_names: Names in the order of the classes, such as `run.class_names`. By default their numbers.

    Returns:
        A figure with true labels as rows and predicted labels as columns. The diagonal has no color, so that the
        errors stand out. `dk.visualize.arrays.confusion` returns the counts.

    Raises:
        TypeError: The data is a dataset with several splits.
        ValueError: The labels are not classes of this model, the data is empty, or the model has several outputs.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(3).build((4,))
        >>> figure = dk.visualize.confusion(model, (np.zeros((5, 4)), np.arange(5) % 3))
    """
    return draw_confusion(confusion_matrix(model, data, class_names), class_names)


def draw_confusion(counts: np.ndarray, class_names: Sequence[str] = ()) -> Figure:
    """Draw a confusion matrix with a row for each true class and a column for each predicted class."""
    num_classes = len(counts)
    names = list(class_names) or [str(i) for i in range(num_classes)]
    side = min(9.0, 2.2 + 0.42 * num_classes)
    figure, axes = subplots(1, 1, side + 0.8, side)
    ax = axes[0, 0]
    errors = np.where(np.eye(num_classes, dtype=bool), 0, counts)
    ax.imshow(errors, cmap="Oranges", vmin=0, vmax=max(1, errors.max()))
    title = f"{errors.sum():,} of {counts.sum():,} misclassified"
    ax.set(xlabel="Predicted label", ylabel="True label", title=title)
    if num_classes <= _MAX_ANNOTATED:
        ax.set_xticks(range(num_classes), names, rotation=0 if max(map(len, names)) < 3 else 60, parse_math=False)
        ax.set_yticks(range(num_classes), names, parse_math=False)
        _annotate_counts(ax, counts, errors.max())
    return figure


@accepts_run
def confusion_matrix(model: keras.Model, data: object, class_names: Sequence[str] = ()) -> np.ndarray:
    """Count the examples of a classifier by true class and predicted class.

    Args:
        model: A classifier, as for `deepkit.visualize.confusion`.
            A `Run` stands for its model.
        data: Batches (x, y), or a pair (x, y) of arrays.
        class_names: Names in the order of the classes, for labels that are these names.

    Returns:
        Integers of shape (classes, classes): a row for each true class, a column for each predicted class.

    Raises:
        TypeError: The data is a dataset with several splits.
        ValueError: The labels are not classes of this model, the data is empty, or the model has several outputs.

    Examples:
        >>> import keras, numpy as np, deepkit as dk
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
        >>> x = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], "float32")
        >>> dk.visualize.arrays.confusion(model, (x, np.array([0, 1, 1])))
        array([[1, 0],
               [1, 1]])
    """
    predictions = [(labels, outputs) for _, labels, outputs in _predict(model, data, "confusion", class_names)]
    num_classes = predictions[0][1].shape[-1]
    counts = np.zeros((num_classes, num_classes), int)
    for labels, outputs in predictions:
        np.add.at(counts, (labels.reshape(-1), outputs.argmax(-1).reshape(-1)), 1)
    return counts


@accepts_run
def misclassified(model: keras.Model, data: object, *, count: int = 16, class_names: Sequence[str] = ()) -> Figure:
    """Draw the misclassified images with the largest loss.

    Args:
        model: A classifier of images with logits or probabilities as its output.
            A `Run` stands for its model.
        data: Batches (images, labels), or a pair of arrays. With `class_names`, the labels may be these names.
        count: Largest number of images to draw.
        class_names: Names in the order of the classes, such as `run.class_names`. By default their numbers.

    Returns:
        A figure with the true label, the predicted label and the confidence of each image, the largest loss first.
        `dk.visualize.arrays.misclassified` returns the examples.

    Raises:
        TypeError: The data is a dataset with several splits.
        ValueError: The inputs are not images, or the labels are not classes of this model.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(3).build((8, 8, 1))
        >>> figure = dk.visualize.misclassified(
        ...     model, (np.zeros((5, 8, 8, 1)), np.arange(5) % 3), count=4
        ... )
    """
    examples = misclassified_examples(model, data, count, class_names)
    columns = min(8, max(1, len(examples)))
    figure, axes = subplots(max(1, -(-len(examples) // columns)), columns, 1.35, 1.95)
    for ax in axes.flat:
        hide_axis_lines(ax)
    if not examples:
        axes[0, 0].set_title("no misclassified images", fontsize=9)
    for ax, example in zip(axes.flat, examples, strict=False):
        ax.imshow(displayable_image(example.image), cmap="gray_r")
        label, prediction = (_class_name(index, class_names) for index in (example.label, example.prediction))
        detail = f"score +{example.loss:.3g}" if example.confidence is None else f"confidence: {example.confidence:.0%}"
        ax.set_title(f"true: {label}\npredicted: {prediction}\n{detail}", fontsize=7)
    return figure


@accepts_run
def misclassified_examples(
    model: keras.Model, data: object, count: int = 16, class_names: Sequence[str] = ()
) -> list[MisclassifiedExample]:
    """Return the misclassified images with the largest loss, the largest first.

    Args:
        model: A classifier of images with one class per image.
            A `Run` stands for its model.
        data: Batches (images, labels), or a pair of arrays; images have the shape (batch, rows, columns, channels).
        count: Largest number of examples to return.
        class_names: Names in the order of the classes, for labels that are these names.

    Returns:
        A list of `MisclassifiedExample`; empty if there are no errors.

    Raises:
        TypeError: The data is a dataset with several splits.
        ValueError: The inputs are not images, or the labels are not classes of this model.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(3).build((8, 8, 1))
        >>> model.set_weights([np.zeros((64, 3)), np.array([2.0, 0.0, 0.0])])
        >>> data = np.zeros((2, 8, 8, 1), "float32"), np.array([0, 1])
        >>> [example] = dk.visualize.arrays.misclassified(model, data)
        >>> example.label, example.prediction, round(example.confidence, 2)
        (1, 0, 0.79)
    """
    examples: list[MisclassifiedExample] = []
    are_scores = _outputs_scores(model)
    for x, labels, outputs in _predict(model, data, "misclassified", class_names):
        images = _find_images(x)
        if labels.ndim != 1:
            problem = f"misclassified: expected one class per image, {model.name} predicts {labels[0].size}"
            raise ValueError(message(problem, hint="use confusion, which counts the classes of all positions"))
        predictions = outputs.argmax(-1)
        for i in np.flatnonzero(predictions != labels):
            label, prediction = int(labels[i]), int(predictions[i])
            confidence: float | None = float(outputs[i, prediction])
            loss = -math.log(max(float(outputs[i, label]), _MIN_PROBABILITY))
            if are_scores:
                confidence, loss = None, float(outputs[i, prediction] - outputs[i, label])
            examples.append(MisclassifiedExample(images[i], label, prediction, confidence, loss))
        examples = sorted(examples, key=lambda example: -example.loss)[:count]
    return examples


def _annotate_counts(ax: Axes, counts: np.ndarray, largest_error: int) -> None:
    """Write each count that is not 0 into its cell."""
    for (row, column), count in np.ndenumerate(counts):
        if not count:
            continue
        if row == column:
            color = "#868e96"
        elif count > 0.6 * largest_error:
            color = "white"
        else:
            color = "black"
        ax.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=8)


def _class_name(index: int, class_names: Sequence[str]) -> str:
    return class_names[index] if len(class_names) else str(index)


def _find_images(x: Batch) -> np.ndarray:
    """Return the only input of a batch with the axes (batch, rows, columns, channels)."""
    arrays = [np.asarray(array) for array in keras.tree.flatten(x)]
    images = [array for array in arrays if array.ndim == 4 and array.dtype.kind not in "SUO"]
    if len(images) == 1:
        return images[0]
    shapes = ", ".join(str(array.shape) for array in arrays)
    kind = "texts" if any(array.dtype.kind in "SUO" for array in arrays) else "inputs"
    problem = f"misclassified: expected images (batch, rows, columns, channels), received {kind} of shape {shapes}"
    raise ValueError(message(problem, hint="use confusion or dk.visualize.arrays.confusion for other inputs"))


def _predict(
    model: keras.Model, data: object, caller: str, class_names: Sequence[str]
) -> Iterator[tuple[Batch, np.ndarray, np.ndarray]]:
    """Yield inputs, class numbers and probabilities or scores of each batch, which have the classes as last axis."""
    check_built(model, caller)
    if gaussian_outputs(model):
        problem = f"{caller}: expected a classifier, {model.name} predicts a mean and a standard deviation"
        raise ValueError(message(problem, hint="use dk.visualize.calibration"))
    batches = _raw_predictions(model, data, caller)
    are_scores = _outputs_scores(model)
    is_logits = False if are_scores else outputs_logits(model)
    if is_logits is None:  # decide on all outputs: a single batch of logits may look like probabilities
        batches = list(batches)
        is_logits = not all(_may_be_probabilities(outputs) for _, _, outputs in batches)
    is_empty = True
    for x, y, outputs in batches:
        is_empty = False
        values = _two_scores(outputs) if are_scores else class_probabilities(outputs, is_logits)
        labels = _numbers_of_names(np.asarray(_single(y, caller, "label")), class_names, caller)
        yield x, class_numbers(labels, values, caller), values
    if is_empty:
        raise ValueError(f"{caller}: expected at least one batch, received none")


def _raw_predictions(model: keras.Model, data: object, caller: str) -> Iterable[tuple[Batch, Batch, np.ndarray]]:
    """Yield inputs, labels and outputs of each batch."""
    for x, y in iterate_batches(data, caller):
        output = _single(predict_batch(model, x), caller, "output")
        yield x, y, np.asarray(output, "float32")


def class_numbers(labels: np.ndarray, outputs: np.ndarray, caller: str) -> np.ndarray:
    """Return a class number for each row of probabilities."""
    num_classes = outputs.shape[-1]
    problem = f"{caller}: expected one class in [0, {num_classes}) per example, received labels of shape {labels.shape}"
    hint = "use the data that the model was trained with"
    if labels.dtype.kind in "SUO":
        text_hint = "pass the names in the order of the classes: class_names=run.class_names"
        raise ValueError(message(f"{problem}, which are texts", hint=text_hint))
    if labels.shape == outputs.shape and outputs.ndim >= 2 and np.isin(labels, (0, 1)).all():
        if (labels.sum(-1) != 1).any():
            multi_label = f"{problem} with several classes per example, or none"
            raise ValueError(message(multi_label, hint="use the labels of one class at a time"))
        labels = labels.argmax(-1)
    if labels.shape == (*outputs.shape[:-1], 1):
        labels = labels[..., 0]
    numbers = labels.astype(int)
    has_shape = numbers.shape == outputs.shape[:-1] and outputs.ndim >= 2
    if not has_shape or (numbers != labels).any() or numbers.min() < 0 or numbers.max() >= num_classes:
        raise ValueError(message(f"{problem} for outputs of shape {outputs.shape}", hint=hint))
    return numbers


def _numbers_of_names(labels: np.ndarray, class_names: Sequence[str], caller: str) -> np.ndarray:
    """Return text labels as indices of the class names; other labels, or those without names, unchanged."""
    if labels.dtype.kind not in "SUO" or not len(class_names):
        return labels
    indices = {name: index for index, name in enumerate(class_names)}
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in labels.reshape(-1)]
    unknown = next((name for name in names if name not in indices), None)
    if unknown is not None:
        problem = f"{caller}: expected one of the class names as label, received {unknown!r}"
        raise ValueError(message(problem, hint="pass class_names=run.class_names"))
    return np.array([indices[name] for name in names]).reshape(labels.shape)


def _single(value: Any, caller: str, kind: str) -> Any:
    """Return the only array of a structure of labels or outputs."""
    if isinstance(value, list) and kind == "label":  # a list of numbers is a single array
        return value
    arrays = keras.tree.flatten(value) if isinstance(value, dict | list | tuple) else [value]
    if len(arrays) != 1:
        names = f": {', '.join(map(str, value))}" if isinstance(value, dict) else ""
        problem = f"{caller}: expected one {kind} per example, received {len(arrays)}{names}"
        raise ValueError(message(problem, hint=f"use a model and labels with one {kind}"))
    return arrays[0]


def _may_be_probabilities(outputs: np.ndarray) -> bool:
    if outputs.min() < 0 or outputs.max() > 1 + 1e-2:
        return False
    return outputs.shape[-1] == 1 or np.allclose(outputs.sum(-1), 1, atol=1e-2)


def _outputs_scores(model: keras.Model) -> bool:
    """Return whether the outputs are neither probabilities nor their logits: of a hinge loss, or of a threshold."""
    if hinge_loss_name(getattr(model, "loss", None)) is not None:
        return True
    outputs = keras.tree.flatten(getattr(model, "outputs", None) or [])
    return len(outputs) == 1 and isinstance(output_activation(outputs[0])[0], Threshold)


def _two_scores(outputs: np.ndarray) -> np.ndarray:
    """Return a score for each class; minus a single score is that of the class 0."""
    return np.concatenate([-outputs, outputs], axis=-1) if outputs.shape[-1] == 1 else outputs


def class_probabilities(outputs: np.ndarray, is_logits: bool) -> np.ndarray:
    """Return a probability for each class; a single output becomes two classes."""
    if outputs.shape[-1] == 1:
        positive = 0.5 + 0.5 * np.tanh(outputs / 2) if is_logits else outputs  # the sigmoid, without overflow
        return np.concatenate([1 - positive, positive], axis=-1)
    if not is_logits:
        return outputs
    exponentials = np.exp(outputs - outputs.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)
