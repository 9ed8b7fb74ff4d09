"""Pictures of a model and of its training, as Matplotlib figures; on any Keras model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepkit.visualize import arrays
    from deepkit.visualize.attention_maps import attention
    from deepkit.visualize.classification import confusion, mistakes
    from deepkit.visualize.evidence import grad_cam, saliency
    from deepkit.visualize.figures import save
    from deepkit.visualize.layer_outputs import feature_maps, statistics
    from deepkit.visualize.structure import diagram
    from deepkit.visualize.training import curves
    from deepkit.visualize.weights import filters

_HOMES = {
    "confusion": "classification",
    "mistakes": "classification",
    "curves": "training",
    "diagram": "structure",
    "filters": "weights",
    "feature_maps": "layer_outputs",
    "statistics": "layer_outputs",
    "grad_cam": "evidence",
    "saliency": "evidence",
    "attention": "attention_maps",
    "save": "figures",
}

__all__ = [
    "curves", "confusion", "mistakes", "filters", "diagram", "save",
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
