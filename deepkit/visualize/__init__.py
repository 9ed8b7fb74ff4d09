"""Pictures of a model and of its training, as Matplotlib figures; on any Keras model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepkit.visualize import arrays
    from deepkit.visualize.attention_maps import attention
    from deepkit.visualize.attribution import grad_cam, saliency
    from deepkit.visualize.classification import confusion, misclassified
    from deepkit.visualize.diagrams.diagram import diagram
    from deepkit.visualize.figures import save
    from deepkit.visualize.layer_outputs import feature_maps, statistics
    from deepkit.visualize.training_curves import curves
    from deepkit.visualize.weights import filters

_HOMES = {
    "confusion": "classification",
    "misclassified": "classification",
    "curves": "training_curves",
    "diagram": "diagrams.diagram",
    "filters": "weights",
    "feature_maps": "layer_outputs",
    "statistics": "layer_outputs",
    "grad_cam": "attribution",
    "saliency": "attribution",
    "attention": "attention_maps",
    "save": "figures",
}

__all__ = [
    "curves", "confusion", "misclassified", "filters", "diagram", "save",
    "feature_maps", "grad_cam", "saliency", "attention", "statistics",
    "arrays",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name == "arrays":
        return importlib.import_module("deepkit.visualize.arrays")
    if name not in _HOMES:
        raise AttributeError(f"module 'deepkit.visualize' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"deepkit.visualize.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
