"""Visualize a model and its training as Matplotlib figures; works with any Keras model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepkit.visualize import arrays
    from deepkit.visualize.activation_figures import feature_maps, statistics
    from deepkit.visualize.attention_maps import attention
    from deepkit.visualize.attribution_figures import grad_cam, saliency
    from deepkit.visualize.class_templates import templates
    from deepkit.visualize.classification import confusion, misclassified
    from deepkit.visualize.decision_boundary_figure import decision_boundary
    from deepkit.visualize.diagrams.diagram import diagram
    from deepkit.visualize.energy_figure import energy
    from deepkit.visualize.figures import save
    from deepkit.visualize.filter_images import filters
    from deepkit.visualize.glimpse_figure import glimpses
    from deepkit.visualize.gradient_over_lag_figure import gradient_over_lag
    from deepkit.visualize.hidden_space_figure import hidden_space
    from deepkit.visualize.interval_coverage import calibration
    from deepkit.visualize.layer_probes import linear_probes
    from deepkit.visualize.loss_landscape_figure import loss_landscape
    from deepkit.visualize.training_curves import curves
    from deepkit.visualize.weight_path import WeightPath

_MODULES = {
    "confusion": "classification",
    "misclassified": "classification",
    "calibration": "interval_coverage",
    "curves": "training_curves",
    "diagram": "diagrams.diagram",
    "filters": "filter_images",
    "feature_maps": "activation_figures",
    "statistics": "activation_figures",
    "grad_cam": "attribution_figures",
    "saliency": "attribution_figures",
    "attention": "attention_maps",
    "gradient_over_lag": "gradient_over_lag_figure",
    "glimpses": "glimpse_figure",
    "energy": "energy_figure",
    "decision_boundary": "decision_boundary_figure",
    "templates": "class_templates",
    "hidden_space": "hidden_space_figure",
    "linear_probes": "layer_probes",
    "loss_landscape": "loss_landscape_figure",
    "WeightPath": "weight_path",
    "save": "figures",
}

__all__ = [
    "curves", "confusion", "misclassified", "calibration", "filters", "diagram", "save",
    "feature_maps", "grad_cam", "saliency", "attention", "glimpses", "statistics", "gradient_over_lag", "energy",
    "decision_boundary", "templates", "hidden_space", "linear_probes", "loss_landscape", "WeightPath",
    "arrays",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name == "arrays":
        return importlib.import_module("deepkit.visualize.arrays")
    if name not in _MODULES:
        raise AttributeError(f"module 'deepkit.visualize' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"deepkit.visualize.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
