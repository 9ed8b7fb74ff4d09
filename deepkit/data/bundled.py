"""Datasets that come with scikit-learn: real, small, and available offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from deepkit.data.dataset import RawData
from deepkit.data.images import image_scales, resize_images
from deepkit.data.sources import MemorySource
from deepkit.data.splits import split_validation
from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Arrays

NAMES = ("digits", "iris", "wine", "breast_cancer")
_NUM_TEST_EXAMPLES = {"digits": 297}  # the digits of the last writers in the file; for a table, a fifth


def read_bundled(name: str, validation: object, image_size: tuple[int, int] | None) -> RawData:
    """Read a bundled dataset.

    Args:
        name: One of `NAMES`.
        validation: Number or fraction of examples for validation; None for a tenth.
        image_size: (height, width) to resize images to; None keeps their size.

    Returns:
        The dataset, split into train, validation and test.

    Raises:
        ValueError: `image_size` is set for a dataset without images, or `validation` does not fit.
    """
    import sklearn
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    labels = bunch.target.astype("int32")
    if name == "digits":
        x = _as_images(bunch.images, image_size)
    elif image_size is not None:
        problem = f"image_size={image_size} needs images, and {name} is a table with {bunch.data.shape[1]} columns"
        raise ValueError(message(problem, hint="remove image_size="))
    else:
        order = np.random.RandomState(0).permutation(len(labels))  # the files are sorted by class
        x, labels = bunch.data[order].astype("float32"), labels[order]
    num_training = len(labels) - _NUM_TEST_EXAMPLES.get(name, len(labels) // 5)
    training: Arrays = (x[:num_training], labels[:num_training])
    splits = split_validation(training, 0.1 if validation is None else validation)
    splits["test"] = (x[num_training:], labels[num_training:])
    class_names = tuple(str(label) for label in bunch.target_names)
    return RawData(
        name=name,
        version="",
        source="bundled",
        origin=f"bundled with scikit-learn {sklearn.__version__}",
        sources={split: MemorySource(arrays) for split, arrays in splits.items()},
        scales=image_scales((x,)),
        num_classes=len(class_names),
        class_names=class_names,
    )


def _as_images(images: np.ndarray, image_size: tuple[int, int] | None) -> np.ndarray:
    """Convert images from 0..16 to uint8 (n, height, width, 1) from 0 to 255, as other datasets store them."""
    scaled = np.rint(images * (255 / 16)).astype("uint8")[..., None]
    if image_size is None:
        return scaled
    return np.asarray(resize_images(tf.constant(scaled), image_size))
