"""The scaled hyperbolic tangent of the 1990s networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.layers.axes import as_float

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

AMPLITUDE, SLOPE = 1.7159, 2 / 3


@keras.saving.register_keras_serializable(package="deepkit")
def scaled_tanh(x: Tensor) -> Tensor:
    """Return 1.7159 tanh(2x/3), which passes through (1, 1) and (-1, -1), its points of largest curvature.

    Reference:
        LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", appendix A.

    Args:
        x: Tensor of any shape.

    Returns:
        A tensor of the same shape, in (-1.7159, 1.7159).

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import scaled_tanh
        >>> np.round(np.asarray(scaled_tanh(np.array([-1.0, 0.0, 1.0]))), 3)
        array([-1.,  0.,  1.])
    """
    return AMPLITUDE * ops.tanh(SLOPE * as_float(x, keras.config.floatx()))
