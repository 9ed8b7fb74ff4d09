"""The energy over the steps of a recall, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from deepkit.visualize.energy_path import energy_path
from deepkit.visualize.figures import BLUE, subplots
from deepkit.visualize.model_inputs import accepts_run

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure


@accepts_run
def energy(model: keras.Model, states: Any) -> Figure:
    """Draw the energy of states over the steps of a recall.

    Every asynchronous update of a Hopfield network decreases the energy or keeps it; a synchronous one may increase it
    (Hopfield, "Neural Networks and Physical Systems with Emergent Collective Computational Abilities", 1982).

    Args:
        model: A model with a method `energy`, such as that of `dk.Hopfield`.
            A `Run` stands for its model.
        states: States `(steps, batch, ...)`, such as `model.recall_path(x)`.

    Returns:
        A figure with a line for each state of the batch. `dk.visualize.arrays.energy` returns the numbers.

    Raises:
        TypeError: `model` is not a Keras model with a method `energy`.
        ValueError: There is no step or no state, or the energies do not have the shape `(batch,)`.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> patterns = np.sign(np.random.default_rng(0).normal(size=(4, 50)))
        >>> model = dk.Hopfield(50).build()
        >>> model.store(patterns[:3])
        >>> figure = dk.visualize.energy(model, model.recall_path(patterns, seed=0))
        >>> len(figure.axes[0].lines)
        4
    """
    energies = energy_path(model, states)
    figure, axes = subplots(1, 1, 6.0, 3.4)
    ax = axes[0, 0]
    ax.plot(np.arange(len(energies)), energies, color=BLUE, marker="o", markersize=3, alpha=0.6)
    ax.set(xlabel="Step", ylabel="Energy")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(alpha=0.25)
    return figure
