"""The numbers of the figures: each function returns the numbers that its namesake in `deepkit.visualize` draws.

Both functions take the same model and the same data. Arguments that only concern the drawing, such as class names,
are missing here.
"""

from __future__ import annotations

from deepkit.visualize.activations import LayerStatistics, feature_maps, statistics
from deepkit.visualize.attribution import grad_cam, saliency
from deepkit.visualize.class_templates import template_images as templates
from deepkit.visualize.classification import MisclassifiedExample
from deepkit.visualize.classification import confusion_matrix as confusion
from deepkit.visualize.classification import misclassified_examples as misclassified
from deepkit.visualize.decision_regions import DecisionRegions
from deepkit.visualize.decision_regions import decision_regions as decision_boundary
from deepkit.visualize.energy_path import energy_path as energy
from deepkit.visualize.filter_images import filter_images as filters
from deepkit.visualize.interval_coverage import IntervalCoverage
from deepkit.visualize.interval_coverage import interval_coverage as calibration
from deepkit.visualize.lag_gradients import lag_gradients as gradient_over_lag
from deepkit.visualize.layer_spaces import LayerSpace
from deepkit.visualize.layer_spaces import layer_spaces as hidden_space
from deepkit.visualize.loss_plane import LossPlane
from deepkit.visualize.loss_plane import loss_plane as loss_landscape

__all__ = [
    "filters", "feature_maps", "grad_cam", "saliency", "confusion", "misclassified", "calibration", "statistics",
    "gradient_over_lag", "energy", "decision_boundary", "templates", "hidden_space", "loss_landscape",
    "DecisionRegions", "LayerSpace", "LossPlane",
    "IntervalCoverage", "LayerStatistics", "MisclassifiedExample",
]  # fmt: skip
