"""Readable predictions: the outputs of a model, converted by the head of each output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import keras
import numpy as np

from deepkit.definition.objective import Head
from deepkit.layers.mean_and_stddev import GaussianPrediction, mean_and_stddev
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.utils.types import ClassNames

_MAX_ROWS = 10  # examples, and positions of an example, that `repr` shows
_THRESHOLD = 0.5


class ClassPrediction(NamedTuple):
    """The predictions of a classifier: `labels, probabilities = run.predict(x)`.

    NumPy functions receive the probabilities: `np.argmax(run.predict(x), -1)` returns class indices.

    Attributes:
        labels: Array `(batch,)` of the predicted class names, or of class indices if there are no names. For a
            multi-label classifier a list for each example, of the classes with a probability above 0.5. A classifier
            of each step has labels `(batch, time)`; if steps are masked, a `numpy.ma.MaskedArray`, of which `tolist()`
            returns None for them, and lists with None for a multi-label classifier.
        probabilities: Array `(batch, num_classes)`, the probability of each class, also for a classifier with one
            output.

    Examples:
        >>> import numpy as np
        >>> from deepkit.training.predictions import ClassPrediction
        >>> ClassPrediction(
        ...     np.array(["dog", "cat"]), np.array([[0.25, 0.75], [0.9, 0.1]])
        ... )
        <ClassPrediction of 2 examples>
           0  dog 75.0 %
           1  cat 90.0 %
    """

    labels: Any
    probabilities: np.ndarray

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.probabilities, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return _describe_examples("ClassPrediction", len(self.labels), self._describe_example)

    def _describe_example(self, index: int) -> str:
        """Return the labels and the confidence of an example."""
        label, probabilities = self.labels[index], self.probabilities[index]
        if probabilities.ndim > 1:  # a class of each step
            return _list_labels(label)
        if isinstance(label, list):
            confidences = probabilities[probabilities > _THRESHOLD]
            pairs = zip(label, confidences, strict=True)
            return ", ".join(f"{name} {100 * confidence:.1f} %" for name, confidence in pairs) or "none"
        return f"{label} {100 * probabilities.max():.1f} %"


class FilePrediction(ClassPrediction):
    """The predictions of a classifier of image files: the same named pair, with the paths of the files.

    Attributes:
        file_paths: The path of the file of each example.
    """

    file_paths: Sequence[str] = ()

    def _describe_example(self, index: int) -> str:
        text = super()._describe_example(index)
        return f"{text}  {self.file_paths[index]}" if self.file_paths else text


class ScorePrediction(NamedTuple):
    """The predictions of a classifier without probabilities: `labels, scores = run.predict(x)`.

    The scores of a hinge loss and the outputs of a perceptron order the classes, but a softmax or a sigmoid of them is
    not a probability. NumPy functions receive the scores: `np.argmax(run.predict(x), -1)` returns class indices.

    Attributes:
        labels: Array `(batch,)` of the predicted class names, or of class indices if there are no names: the class with
            the largest score. For a multi-label classifier a list for each example, of the classes with scores above 0.
            Masked steps have no label, as in `ClassPrediction`.
        scores: Array `(batch, num_classes)`, as the model returns it. For a classifier with one output, minus the
            output for the class 0 and the output for the class 1.

    Examples:
        >>> import numpy as np
        >>> from deepkit.training.predictions import ScorePrediction
        >>> ScorePrediction(
        ...     np.array(["dog", "cat"]), np.array([[-1.0, 2.5], [0.25, -3.0]])
        ... )
        <ScorePrediction of 2 examples>
           0  dog 2.5
           1  cat 0.25
    """

    labels: Any
    scores: np.ndarray

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.scores, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return _describe_examples("ScorePrediction", len(self.labels), self._describe_example)

    def _describe_example(self, index: int) -> str:
        """Return the labels and the scores of an example."""
        label, scores = self.labels[index], self.scores[index]
        if scores.ndim > 1:  # a class of each step
            return _list_labels(label)
        if isinstance(label, list):
            pairs = zip(label, scores[scores > 0], strict=True)
            return ", ".join(f"{name} {score:.4g}" for name, score in pairs) or "none"
        return f"{label} {scores.max():.4g}"


def _describe_examples(title: str, count: int, describe: Callable[[int], str]) -> str:
    """Return the first predictions as text, one in each line."""
    lines = [f"<{title} of {count:,} example{'' if count == 1 else 's'}>"]
    lines += [f"{i:>4}  {describe(i)}" for i in range(min(count, _MAX_ROWS))]
    if count > _MAX_ROWS:
        lines.append(f"      ... and {count - _MAX_ROWS:,} more")
    return "\n".join(lines)


def _list_labels(labels: Any) -> str:
    """Return the labels of the first unmasked steps of an example as text."""
    values = [label for label in labels if label is not None and label is not np.ma.masked]
    return ", ".join(str(label) for label in values[:_MAX_ROWS]) + (", ..." if len(values) > _MAX_ROWS else "")


Prediction: TypeAlias = ClassPrediction | ScorePrediction | GaussianPrediction | np.ndarray
Predictions: TypeAlias = Prediction | dict[str, Prediction] | list[Prediction]


def readable_predictions(
    outputs: Any,
    names: Sequence[str],
    heads: Mapping[str, Head],
    classes: ClassNames,
    file_paths: Sequence[str] = (),
    *,
    masks: Mapping[str, np.ndarray] | None = None,
) -> Any:
    """Return the outputs of a model as class names with probabilities or scores, numbers, or Gaussians.

    Args:
        outputs: The outputs, as `model.predict` returns them: an array, or a mapping or a list of arrays.
        names: The names of the outputs of a list, in order.
        heads: The head of each output by name, `""` for a single output.
        classes: Names of the classes, by name of the output if there are several; empty if unknown.
        file_paths: The image file of each example; empty for other data.
        masks: The mask `(batch, time)` of each output that has one, by name, True for the steps that count.
    """

    def convert(name: str, output: Any) -> Any:
        class_names = classes.get(name, ()) if isinstance(classes, Mapping) else classes
        prediction = _convert(output, heads.get(name), class_names)
        if masks is not None and name in masks:
            prediction = _with_mask(prediction, np.asarray(masks[name], bool))
        return _with_file_paths(prediction, file_paths) if file_paths else prediction

    if isinstance(outputs, Mapping):
        return {name: convert(name, output) for name, output in outputs.items()}
    if isinstance(outputs, list | tuple):
        return [convert(name, output) for name, output in zip(names, outputs, strict=True)]
    return convert("", outputs)


def _convert(outputs: Any, head: Head | None, class_names: Sequence[str]) -> Prediction:
    """Return the prediction of one output; the outputs themselves if there is no head, or one that predicts numbers."""
    array = np.asarray(outputs)
    if head is not None and head.distribution == "gaussian":
        return mean_and_stddev(array)
    if head is None or head.task == "regression":
        return array
    if head.scores:
        return _convert_scores(array, head, class_names)
    probabilities = _probabilities(array, head) if head.from_logits else array
    _check_no_nan(probabilities, "probabilities")
    if head.task == "binary":
        probabilities = np.concatenate([1 - probabilities, probabilities], -1)
    names = _all_names(class_names, probabilities.shape[-1])
    if head.task == "multilabel":
        return ClassPrediction(_positive_classes(probabilities, names, _THRESHOLD), probabilities)
    return ClassPrediction(np.array(names)[probabilities.argmax(-1)], probabilities)


def _convert_scores(scores: np.ndarray, head: Head, class_names: Sequence[str]) -> ScorePrediction:
    """Return the classes with the largest scores; a single score is that of the class 1."""
    _check_no_nan(scores, "scores")
    if head.task == "binary":
        scores = np.concatenate([-scores, scores], -1)
    names = _all_names(class_names, scores.shape[-1])
    if head.task == "multilabel":
        return ScorePrediction(_positive_classes(scores, names, 0.0), scores)
    return ScorePrediction(np.array(names)[scores.argmax(-1)], scores)


def _with_mask(prediction: Prediction, mask: np.ndarray) -> Prediction:
    """Return the prediction of a classifier of each step with masked labels; others are returned unchanged."""
    if not isinstance(prediction, ClassPrediction | ScorePrediction):
        return prediction
    if isinstance(prediction.labels, list):  # of a multi-label classifier
        rows = zip(prediction.labels, mask, strict=True)
        return prediction._replace(labels=[_masked_list(labels, is_step) for labels, is_step in rows])
    is_step = np.broadcast_to(
        mask.reshape(mask.shape + (1,) * (prediction.labels.ndim - mask.ndim)), prediction.labels.shape
    )
    return prediction._replace(labels=np.ma.MaskedArray(prediction.labels, ~is_step))


def _masked_list(labels: list[Any], is_step: np.ndarray) -> list[Any]:
    return [label if is_counted else None for label, is_counted in zip(labels, is_step, strict=True)]


def _with_file_paths(prediction: Prediction, file_paths: Sequence[str]) -> Prediction:
    """Return the prediction of a classifier with the paths of the files; others are returned unchanged."""
    if not isinstance(prediction, ClassPrediction):
        return prediction
    result = FilePrediction(*prediction)
    result.file_paths = file_paths
    return result


def _check_no_nan(values: np.ndarray, noun: str) -> None:
    """Raise if a probability or a score is NaN, which has no label."""
    if not np.isnan(np.sum(values)):
        return
    examples = np.flatnonzero(np.isnan(values).reshape(len(values), -1).any(1))
    problem = (
        f"predict: the {noun} of {len(examples):,} of {len(values):,} examples are NaN (first at index {examples[0]})"
    )
    raise make_error(ValueError, problem, hint="fill the missing values of x, or remove these examples")


def _all_names(class_names: Sequence[str], num_classes: int) -> list[Any]:
    """Return the name of each class; its index if the names are unknown."""
    if not class_names:
        return list(range(num_classes))
    return [*class_names, *(f"class {index}" for index in range(len(class_names), num_classes))]


def _positive_classes(values: np.ndarray, names: list[Any], threshold: float) -> list[Any]:
    if values.ndim > 1:
        return [_positive_classes(row, names, threshold) for row in values]
    return [names[index] for index in np.flatnonzero(values > threshold)]


def _probabilities(logits: np.ndarray, head: Head) -> np.ndarray:
    function = keras.ops.softmax if head.task == "multiclass" else keras.ops.sigmoid
    return np.asarray(keras.ops.convert_to_numpy(function(logits.astype("float32"))))
