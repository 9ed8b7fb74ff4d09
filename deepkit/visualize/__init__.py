"""Pictures of a model and of its training, as Matplotlib figures; on any Keras model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepkit.visualize.classification import confusion, mistakes
    from deepkit.visualize.figures import save
    from deepkit.visualize.structure import diagram
    from deepkit.visualize.training import curves
    from deepkit.visualize.weights import filters

_HOMES = {
    "confusion": "classification",
    "mistakes": "classification",
    "curves": "training",
    "diagram": "structure",
    "filters": "weights",
    "save": "figures",
}

__all__ = ["curves", "confusion", "mistakes", "filters", "diagram", "save"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepkit.visualize' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"deepkit.visualize.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
