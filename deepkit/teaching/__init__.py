"""Code to learn from: automatic differentiation, gradient estimators, dynamic programming, and rules of thumb.

`tape` is written to be read and imports neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from deepkit.teaching import tape
from deepkit.teaching.required_examples import required_examples

if TYPE_CHECKING:
    from deepkit.losses.gradient_estimators import pathwise, score_function
    from deepkit.losses.moving_baseline import MovingBaseline
    from deepkit.teaching.dynamic_programming import evaluate_policy, value_iteration
    from deepkit.training.diagnose import diagnose

_MODULES = {
    "score_function": "deepkit.losses.gradient_estimators",
    "pathwise": "deepkit.losses.gradient_estimators",
    "MovingBaseline": "deepkit.losses.moving_baseline",
    "diagnose": "deepkit.training.diagnose",
    "evaluate_policy": "deepkit.teaching.dynamic_programming",
    "value_iteration": "deepkit.teaching.dynamic_programming",
}

__all__ = [
    "tape", "score_function", "pathwise", "MovingBaseline", "value_iteration", "evaluate_policy",
    "diagnose", "required_examples",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'deepkit.teaching' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
