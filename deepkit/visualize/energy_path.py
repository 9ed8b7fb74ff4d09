"""The energies of the states that a model passes through."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from deepkit.utils.errors import format_value, make_error
from deepkit.visualize.model_inputs import accepts_run


@accepts_run
def energy_path(model: keras.Model, states: Any) -> np.ndarray:
    """Return the energy of each state after each step.

    Args:
        model: A model with a method `energy`, such as that of `dk.Hopfield`.
            A `Run` stands for its model.
        states: States `(steps, batch, ...)`, such as `model.recall_path(x)`.

    Returns:
        Energies `(steps, batch)`.

    Raises:
        TypeError: `model` is not a Keras model with a method `energy`.
        ValueError: There is no step or no state, or the energies do not have the shape `(batch,)`.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Hopfield(4).build()
        >>> model.store([[1, 1, -1, -1]])
        >>> path = model.recall_path([[-1, 1, -1, -1]], seed=0)
        >>> dk.visualize.arrays.energy(model, path).tolist()
        [[-0.0], [-6.0], [-6.0]]
    """
    if not isinstance(model, keras.Model) or not callable(getattr(model, "energy", None)):
        raise make_error(
            TypeError,
            f"energy: expected a keras.Model with a method energy, received {type(model).__name__}",
            hint="use model = dk.Hopfield(units).build()",
        )
    values = np.asarray(states)
    if values.ndim < 3 or not values.shape[0] or not values.shape[1]:
        raise make_error(
            ValueError,
            f"energy: expected states (steps, batch, ...), received {format_value(values)}",
            hint="use states = model.recall_path(x)",
        )
    energies = np.stack([np.asarray(model.energy(batch)) for batch in values])
    if energies.shape != values.shape[:2]:
        raise make_error(
            ValueError,
            f"energy: expected an energy for each of {values.shape[1]} states, received {format_value(energies[0])}",
            hint="return an array (batch,) from model.energy",
        )
    return energies
