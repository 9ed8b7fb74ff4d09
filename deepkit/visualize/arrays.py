"""The numbers behind the pictures: what a function of `deepkit.visualize` draws, one of the same name here returns.

Both take the same model and the same data; what only concerns the drawing, such as the names of classes, is left out.
"""

from __future__ import annotations

from deepkit.visualize.activations import LayerStatistics, feature_maps, statistics
from deepkit.visualize.class_gradients import grad_cam, saliency
from deepkit.visualize.classification import Misclassified
from deepkit.visualize.classification import confusion_matrix as confusion
from deepkit.visualize.classification import worst as misclassified
from deepkit.visualize.weights import filter_images as filters

__all__ = [
    "filters", "feature_maps", "grad_cam", "saliency", "confusion", "misclassified", "statistics",
    "LayerStatistics", "Misclassified",
]  # fmt: skip
