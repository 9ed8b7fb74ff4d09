"""Data sets that come with scikit-learn: real, small, and there without a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from deepkit.data.dataset import Found
from deepkit.data.read import resized
from deepkit.data.sources import MemorySource
from deepkit.data.user_arrays import scales, split

NAMES = ("digits", "iris", "wine", "breast_cancer")
_TESTED = {"digits": 297}  # the last writers of the file; the tabular sets give a fifth


def find(name: str, validation: Any, image_size: tuple[int, int] | None) -> Found:
    """Read one of the bundled data sets.

    Args:
        name: one of `NAMES`.
        validation: examples or a fraction for validation; None for a tenth.
        image_size: (height, width) to resize images to; None leaves them.

    Returns:
        What was found, split into train, validation and test.

    Raises:
        ValueError: if `image_size` is given for a data set without images, or `validation` does not fit.

    """
    import sklearn
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    labels = bunch.target.astype("int32")
    if name == "digits":
        x = _images(bunch.images, image_size)
    elif image_size is not None:
        raise ValueError(f"image_size is for images, and {name} is a table of {bunch.data.shape[1]} numbers a row")
    else:
        order = np.random.RandomState(0).permutation(len(labels))  # the files are sorted by class
        x, labels = bunch.data[order].astype("float32"), labels[order]
    kept = len(labels) - _TESTED.get(name, len(labels) // 5)
    parts = split((x[:kept], labels[:kept]), 0.1 if validation is None else validation)
    parts["test"] = (x[kept:], labels[kept:])
    names = tuple(str(label) for label in bunch.target_names)
    sources = {part: MemorySource(arrays) for part, arrays in parts.items()}
    version = f"scikit-learn {sklearn.__version__}"
    return Found(name, "", "bundled", f"bundled with {version}", sources, scales((x,)), len(names), names)


def _images(images: np.ndarray, image_size: tuple[int, int] | None) -> np.ndarray:
    """From 0..16 to uint8 (n, height, width, 1) from 0 to 255, as other image sets are."""
    scaled = np.rint(images * (255 / 16)).astype("uint8")[..., None]
    return scaled if image_size is None else resized(tf.constant(scaled), image_size).numpy()
