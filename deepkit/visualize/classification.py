"""Pictures of what a classifier gets wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from deepkit.definition.outputs import outputs_logits
from deepkit.visualize.figures import panels, plain
from deepkit.visualize.model_inputs import batches, check_built, shown, tensors

_MANY = 25  # beyond so many classes the numbers in a confusion matrix cannot be read


@dataclass(frozen=True)
class Misclassified:
    """An example that was named wrongly.

    Args:
        image: (rows, columns, channels).
        label: The right class.
        guess: The class that was named.
        confidence: The probability given to it.
        surprise: Minus the logarithm of the probability given to the right class.
    """

    image: np.ndarray
    label: int
    guess: int
    confidence: float
    surprise: float


def confusion(model: keras.Model, data: Any, *, class_names: Sequence[str] = ()) -> Figure:
    """Draw how often each class was taken for each other.

    Args:
        model: A classifier with logits or probabilities as its output: one class an example, or one a position. Its
            last layer says which, else its loss, else all its outputs together.
        data: Batches (x, y) with class numbers or one-hot rows, or a pair (x, y) of arrays; x as the model takes it,
            also several arrays by name, or texts.
        class_names: In order of the classes; their numbers if left out.

    Returns:
        Rows are the right classes, columns the named ones. The diagonal is left out of the colours, so that
        mistakes can be seen. `dk.visualize.arrays.confusion` returns the counts.

    Raises:
        TypeError: The data is a set of several parts.
        ValueError: The labels are no classes of this model, there is no batch, or the model has several outputs.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(3).build((4,))
        >>> figure = dk.visualize.confusion(model, (np.zeros((5, 4)), np.arange(5) % 3))
    """
    counts = confusion_matrix(model, data)
    classes = len(counts)
    names = list(class_names) or [str(i) for i in range(classes)]
    side = min(9.0, 2.2 + 0.42 * classes)
    figure, axes = panels(1, 1, side + 0.8, side)
    ax = axes[0, 0]
    wrong = np.where(np.eye(classes, dtype=bool), 0, counts)
    ax.imshow(wrong, cmap="Oranges", vmin=0, vmax=max(1, wrong.max()))
    total, right = counts.sum(), np.trace(counts)
    ax.set(xlabel="named", ylabel="right", title=f"{total - right:,} of {total:,} wrong")
    if classes <= _MANY:
        ax.set_xticks(range(classes), names, rotation=0 if max(map(len, names)) < 3 else 60)
        ax.set_yticks(range(classes), names)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                dark = row != column and count > 0.6 * wrong.max()
                colour = "white" if dark else ("#868e96" if row == column else "black")
                ax.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=8)
    return figure


def confusion_matrix(model: keras.Model, data: Any) -> np.ndarray:
    """Count how often each class (row) was named as each class (column)."""
    found = [(labels, outputs) for _, labels, outputs in _classified(model, data, "confusion")]
    classes = found[0][1].shape[-1]
    counts = np.zeros((classes, classes), int)
    for labels, outputs in found:
        np.add.at(counts, (labels.reshape(-1), outputs.argmax(-1).reshape(-1)), 1)
    return counts


def misclassified(model: keras.Model, data: Any, *, count: int = 16, class_names: Sequence[str] = ()) -> Figure:
    """Draw the images that a classifier is most wrong about.

    Args:
        model: A classifier of images with logits or probabilities as its output.
        data: Batches (images, labels), or a pair of arrays.
        count: How many to draw, at most.
        class_names: In order of the classes; their numbers if left out.

    Returns:
        The worst first: those whose right class was given the least probability. `dk.visualize.arrays.misclassified`
        returns them as values.

    Raises:
        TypeError: The data is a set of several parts.
        ValueError: The inputs are no images, or the labels no classes of this model.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(3).build((8, 8, 1))
        >>> figure = dk.visualize.misclassified(model, (np.zeros((5, 8, 8, 1)), np.arange(5) % 3), count=4)
    """
    found = worst(model, data, count)
    columns = min(8, max(1, len(found)))
    figure, axes = panels(max(1, -(-len(found) // columns)), columns, 1.35, 1.65)
    for ax in axes.flat:
        plain(ax)
    if not found:
        axes[0, 0].set_title("no mistakes", fontsize=9)
    for ax, item in zip(axes.flat, found, strict=False):
        ax.imshow(shown(item.image), cmap="gray_r")
        right, named = (class_names[i] if len(class_names) else str(i) for i in (item.label, item.guess))
        ax.set_title(f"{right}, named {named}\n{item.confidence:.0%} sure", fontsize=8)
    return figure


def worst(model: keras.Model, data: Any, count: int = 16) -> list[Misclassified]:
    """Return the examples whose right class was given the least probability, among those named wrongly."""
    found: list[Misclassified] = []
    for x, labels, outputs in _classified(model, data, "misclassified"):
        images = _images(x)
        if labels.ndim != 1:
            raise ValueError(
                f"misclassified: {model.name} names {labels[0].size} classes an image, and a mistake is one\n  hint: confusion"
            )
        guesses = outputs.argmax(-1)
        for i in np.flatnonzero(guesses != labels):
            surprise = -np.log(max(float(outputs[i, labels[i]]), 1e-30))
            sure = float(outputs[i, guesses[i]])
            found.append(Misclassified(images[i], int(labels[i]), int(guesses[i]), sure, surprise))
        found = sorted(found, key=lambda item: -item.surprise)[:count]
    return found


def _images(x: Any) -> np.ndarray:
    """Return the images among the inputs of a batch: the only input with rows, columns and channels."""
    arrays = [np.asarray(part) for part in keras.tree.flatten(x)]
    images = [array for array in arrays if array.ndim == 4 and array.dtype.kind not in "SUO"]
    if len(images) == 1:
        return images[0]
    shapes = ", ".join(str(array.shape) for array in arrays)
    kind = "texts of shape" if any(array.dtype.kind in "SUO" for array in arrays) else "inputs of shape"
    raise ValueError(
        f"misclassified: expected images (batch, rows, columns, channels), received {kind} {shapes}\n"
        "  hint: confusion, or dk.visualize.arrays.confusion, for what is no image"
    )


def _classified(model: keras.Model, data: Any, who: str) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """Yield inputs, class numbers and probabilities, a batch at a time; the last axis of the latter are the classes."""
    check_built(model, who)
    found: Iterable[tuple[Any, Any, np.ndarray]] = (
        (x, y, np.asarray(_only(model.predict_on_batch(tensors(x)), who, "output"), "float32"))
        for x, y in batches(data, who)
    )
    logits = outputs_logits(model)
    if logits is None:  # then all outputs must be seen: one batch of logits may look like probabilities
        found = list(found)
        logits = not all(_may_be_probabilities(outputs) for _, _, outputs in found)
    empty = True
    for x, y, outputs in found:
        empty = False
        outputs = _probabilities(outputs, logits)
        yield x, _class_numbers(np.asarray(_only(y, who, "label")), outputs, who), outputs
    if empty:
        raise ValueError(f"{who}: the data has no batch")


def _class_numbers(labels: np.ndarray, outputs: np.ndarray, who: str) -> np.ndarray:
    """Return a class number for each row of probabilities."""
    given, classes = labels.shape, outputs.shape[-1]
    problem = f"{who}: expected one class in [0, {classes}) an example, received labels of shape {given}"
    hint = "\n  hint: the data the model was trained with"
    if labels.dtype.kind in "SUO":
        raise ValueError(f"{problem}, which are texts{hint}")
    if labels.shape == outputs.shape and outputs.ndim >= 2 and np.isin(labels, (0, 1)).all():
        if (labels.sum(-1) != 1).any():
            raise ValueError(f"{problem} with several classes an example, or none\n  hint: one class of them at a time")
        labels = labels.argmax(-1)
    if labels.shape == (*outputs.shape[:-1], 1):
        labels = labels[..., 0]
    numbers = labels.astype(int)
    fits = numbers.shape == outputs.shape[:-1] and outputs.ndim >= 2
    if not fits or (numbers != labels).any() or numbers.min() < 0 or numbers.max() >= classes:
        raise ValueError(f"{problem} for outputs of shape {outputs.shape}{hint}")
    return numbers


def _only(value: Any, who: str, what: str) -> Any:
    """Return the only part of a structure."""
    parts = keras.tree.flatten(value) if isinstance(value, dict | list | tuple) else [value]
    if isinstance(value, list) and what == "label":  # numbers, not tensors
        return value
    if len(parts) != 1:
        names = f": {', '.join(map(str, value))}" if isinstance(value, dict) else ""
        raise ValueError(f"{who}: expected one {what} an example, received {len(parts)}{names}\n  hint: one at a time")
    return parts[0]


def _may_be_probabilities(outputs: np.ndarray) -> bool:
    if outputs.min() < 0 or outputs.max() > 1 + 1e-2:
        return False
    return outputs.shape[-1] == 1 or np.allclose(outputs.sum(-1), 1, atol=1e-2)


def _probabilities(outputs: np.ndarray, logits: bool) -> np.ndarray:
    """Return a probability for each class, also of a model that says yes or no."""
    if outputs.shape[-1] == 1:
        yes = 1 / (1 + np.exp(-outputs)) if logits else outputs
        return np.concatenate([1 - yes, yes], axis=-1)
    if not logits:
        return outputs
    shifted = np.exp(outputs - outputs.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)
