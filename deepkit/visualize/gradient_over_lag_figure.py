"""The gradient of the last output with respect to each step of a sequence, over the lag, as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import numpy as np

from deepkit.visualize.figures import subplots
from deepkit.visualize.lag_gradients import lag_gradients
from deepkit.visualize.model_inputs import accepts_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepkit.visualize.model_inputs import Batch


@accepts_run
def gradient_over_lag(model: keras.Model | Mapping[str, keras.Model], x: Batch) -> Figure:
    """Draw how strongly the last output of a recurrent model depends on each step before it.

    A curve that falls by orders of magnitude is a vanishing gradient: training cannot relate the output to early steps
    (Bengio, Simard & Frasconi, "Learning Long-Term Dependencies with Gradient Descent is Difficult", 1994, section
    III). A curve that rises is an exploding gradient.

    Args:
        model: A built model with a recurrent layer, or several by name.
            A `Run` stands for its model.
        x: A batch of sequences, as the model takes it: numbers, token ids or strings. Masked steps do not count.

    Returns:
        A figure with a curve for each model: the norm of the gradient with respect to a step of the sequence that
        enters the first recurrent layer, averaged over the examples, over the distance of the step from the last one.
        `dk.visualize.arrays.gradient_over_lag` returns the numbers of one model, and describes them.

    Raises:
        TypeError: `model` is not a Keras model.
        ValueError: The model has no recurrent layer or several outputs, is not built, its output does not depend on
            the recurrent layer, or the batch does not fit.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> models = {
        ...     cell: dk.Recurrent(cell, 8).build((50, 2))
        ...     for cell in ("simple", "lstm")
        ... }
        >>> figure = dk.visualize.gradient_over_lag(models, np.ones((4, 50, 2)))
        >>> len(figure.axes[0].lines)
        2
    """
    models = model if isinstance(model, Mapping) else {"": model}
    figure, axes = subplots(1, 1, 6.0, 3.4)
    ax = axes[0, 0]
    for name, each in models.items():
        norms = lag_gradients(each, x)
        ax.plot(np.arange(len(norms)), norms, label=name)
    ax.set(yscale="log", xlabel="Lag in steps", ylabel="Norm of the gradient")
    ax.grid(alpha=0.25)
    if isinstance(model, Mapping):
        ax.legend(fontsize=8, frameon=False)
    return figure
