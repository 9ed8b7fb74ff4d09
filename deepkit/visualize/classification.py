"""Pictures of what a classifier gets wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from deepkit.visualize.figures import panels, plain

_MANY = 25  # beyond so many classes the numbers in a confusion matrix cannot be read


@dataclass(frozen=True)
class Mistake:
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
        model: A classifier with logits or probabilities as its output.
        data: Batches (x, y) with class numbers or one-hot rows, or a pair of arrays.
        class_names: In order of the classes; their numbers if left out.

    Returns:
        Rows are the right classes, columns the named ones. The diagonal is left out of the colours, so that
        mistakes can be seen.

    Raises:
        ValueError: The labels are no classes of this model.

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
    pairs = [(labels, outputs.argmax(-1)) for _, labels, outputs in _classified(model, data)]
    labels, guesses = (np.concatenate(part) for part in zip(*pairs, strict=True))
    classes = max(2, model.output_shape[-1])
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, guesses), 1)
    return counts


def mistakes(model: keras.Model, data: Any, *, count: int = 16, class_names: Sequence[str] = ()) -> Figure:
    """Draw the images that a classifier is most wrong about.

    Args:
        model: A classifier of images with logits or probabilities as its output.
        data: Batches (images, labels), or a pair of arrays.
        count: How many to draw, at most.
        class_names: In order of the classes; their numbers if left out.

    Returns:
        The worst first: those whose right class was given the least probability.

    Raises:
        ValueError: The inputs are no images, or the labels no classes of this model.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(3).build((8, 8, 1))
        >>> figure = dk.visualize.mistakes(model, (np.zeros((5, 8, 8, 1)), np.arange(5) % 3), count=4)
    """
    found = worst(model, data, count)
    columns = min(8, max(1, len(found)))
    figure, axes = panels(max(1, -(-len(found) // columns)), columns, 1.35, 1.65)
    for ax in axes.flat:
        plain(ax)
    if not found:
        axes[0, 0].set_title("no mistakes", fontsize=9)
    for ax, item in zip(axes.flat, found, strict=False):
        ax.imshow(_displayed(item.image), cmap="gray_r")
        right, named = (class_names[i] if len(class_names) else str(i) for i in (item.label, item.guess))
        ax.set_title(f"{right}, named {named}\n{item.confidence:.0%} sure", fontsize=8)
    return figure


def worst(model: keras.Model, data: Any, count: int) -> list[Mistake]:
    """Return the examples whose right class was given the least probability, among those named wrongly."""
    found: list[Mistake] = []
    for images, labels, outputs in _classified(model, data):
        if images.ndim != 4:
            raise ValueError(f"mistakes: expected images (batch, rows, columns, channels), received {images.shape}")
        guesses = outputs.argmax(-1)
        for i in np.flatnonzero(guesses != labels):
            surprise = -np.log(max(float(outputs[i, labels[i]]), 1e-30))
            sure = float(outputs[i, guesses[i]])
            found.append(Mistake(images[i], int(labels[i]), int(guesses[i]), sure, surprise))
        found = sorted(found, key=lambda item: -item.surprise)[:count]
    return found


def _classified(model: keras.Model, data: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield inputs, class numbers and probabilities, a batch at a time."""
    for x, y in _batches(data):
        outputs = _probabilities(np.asarray(model.predict_on_batch(x), "float32"))
        labels = np.asarray(y)
        if labels.ndim == 2 and labels.shape[1] == outputs.shape[1] and labels.shape[1] > 1:
            labels = labels.argmax(-1)
        labels = labels.reshape(-1).astype(int)
        if outputs.ndim != 2 or len(labels) != len(outputs) or labels.min() < 0 or labels.max() >= outputs.shape[1]:
            raise ValueError(
                f"expected one class in [0, {outputs.shape[-1]}) an example, received labels of shape "
                f"{np.shape(y)} for outputs of shape {outputs.shape}\n  try the data the model was trained with"
            )
        yield np.asarray(x), labels, outputs


def _batches(data: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(data, tuple) and len(data) == 2:
        x, y = data
        for start in range(0, len(x), 256):
            yield x[start : start + 256], y[start : start + 256]
        return
    for batch in data:
        yield batch[0], batch[1]


def _probabilities(outputs: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities; leave probabilities as they are."""
    if outputs.shape[-1] == 1:
        inside = outputs.min() >= 0 and outputs.max() <= 1
        yes = outputs if inside else 1 / (1 + np.exp(-outputs))
        return np.concatenate([1 - yes, yes], axis=-1)
    if outputs.min() >= 0 and np.allclose(outputs.sum(-1), 1, atol=1e-2):
        return outputs
    shifted = np.exp(outputs - outputs.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def _displayed(image: np.ndarray) -> np.ndarray:
    """Bring an image to what can be shown: one channel as grey, three as colours, in [0, 1]."""
    image = image[..., :3] if image.shape[-1] >= 3 else image[..., 0]
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else np.zeros_like(image)
