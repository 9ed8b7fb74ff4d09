"""Read single examples of a prepared tensorflow_datasets (TFDS) dataset as x or (x, y)."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from deepkit.data.images import resize_images

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Scales
    from deepkit.data.tfds_types import Builder, FeatureKeys
    from deepkit.utils.types import Dataset, Nested, Tensor

_BINARY_IMAGES = ("binarized_mnist",)  # datasets that store images as 0 and 1, which need no scaling


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Suppress TFDS's warnings about conditions that deepkit reports itself."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@dataclasses.dataclass(frozen=True)
class TFDSReader:
    """A reader of a prepared dataset.

    Args:
        builder: Builder of TFDS.
        keys: Names of the features of (x, y), or of the feature that is x; None if an example is a dictionary
            of all features.
        features: Features in the structure of an example.
        scales: In the structure of an example: the factor that scales an image to [0, 1], or None for a tensor that
            is not an image.
        image_size: (height, width) to resize images to, or None.
    """

    builder: Builder
    keys: FeatureKeys | None
    features: object
    scales: Scales
    image_size: tuple[int, int] | None

    @property
    def is_supervised(self) -> bool:
        """Whether examples are (x, y)."""
        return isinstance(self.keys, tuple)

    @property
    def has_images(self) -> bool:
        """Whether any feature is an image."""
        return any(scale is not None for scale in tf.nest.flatten(self.scales))

    @property
    def input_scales(self) -> Scales:
        """The scales of x."""
        return self.scales[0] if isinstance(self.scales, tuple) and self.is_supervised else self.scales

    @property
    def label_feature(self) -> object:
        """The feature of the labels, or None."""
        return self.features[1] if isinstance(self.features, tuple) and self.is_supervised else None

    def examples(self, split: str) -> Dataset:
        """Return the single examples of a split, always in the same order."""
        dataset = _read_split(self.builder, split, self.keys)
        if self.image_size is None:
            return dataset
        return dataset.map(lambda *element: self._resize(as_element(element)), num_parallel_calls=tf.data.AUTOTUNE)

    @tf.autograph.experimental.do_not_convert
    def decode(self, record: Tensor) -> Nested:
        """Return an example from its record in a file, as `examples` yields it."""
        features: Any = self.builder.info.features
        example = features.deserialize_example(record)
        return self._resize(_select(self.keys, example) if self.keys else example)

    @property
    def has_records(self) -> bool:
        """Whether the files are TFRecord files, whose records can be read in any order."""
        return getattr(self.builder.info.file_format, "value", "") == "tfrecord"

    def _resize(self, element: Nested) -> Nested:
        """Resize the images of an example."""
        size = self.image_size
        if size is None:
            return element
        return tf.nest.map_structure(
            lambda leaf, scale: leaf if scale is None else resize_images(leaf, size), element, self.scales
        )


def as_element(arguments: tuple[Nested, ...]) -> Nested:
    """Return an example that `Dataset.map` passes as one argument, or as x and y."""
    return arguments if len(arguments) > 1 else arguments[0]


def make_reader(builder: Builder, image_size: tuple[int, int] | None) -> TFDSReader:
    """Return a reader of a builder whose dataset is prepared."""
    keys = builder.info.supervised_keys or _infer_keys(builder.info.features)
    features = _select(keys, builder.info.features) if keys else dict(builder.info.features.items())
    spec = _read_split(builder, next(iter(builder.info.splits)), keys).element_spec
    scales = _scales(features, spec)
    if builder.name in _BINARY_IMAGES:
        scales = tf.nest.map_structure(lambda scale: None if scale is None else 1.0, scales)
    return TFDSReader(builder, keys, features, scales, image_size)


def _read_split(builder: Builder, split: str, keys: FeatureKeys | None) -> Dataset:
    import tensorflow_datasets as tfds

    config = tfds.ReadConfig(try_autocache=False, skip_prefetch=True)
    is_supervised = bool(builder.info.supervised_keys)
    dataset = builder.as_dataset(split=split, as_supervised=is_supervised, shuffle_files=False, read_config=config)
    if is_supervised or not keys:
        return dataset
    return dataset.map(lambda example: _select(keys, example))


def _infer_keys(features: Mapping[str, object]) -> FeatureKeys | None:
    """Return the keys of a dataset without `supervised_keys`, or None.

    (text, label) if an example has exactly one text, one class label and perhaps a number "idx"; the name of the
    feature if an image is the only one.
    """
    import tensorflow_datasets as tfds

    if len(features) == 1:
        name, feature = next(iter(features.items()))
        return name if isinstance(feature, tfds.features.Image) else None
    texts = [name for name, feature in features.items() if isinstance(feature, tfds.features.Text)]
    labels = [name for name, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    others = set(features) - {*texts, *labels, "idx"}
    if len(texts) == len(labels) == 1 and not others:
        return texts[0], labels[0]
    return None


def _select(keys: FeatureKeys, features: Mapping[str, Any]) -> Any:
    """Arrange features in the structure of `supervised_keys`."""
    if isinstance(keys, tuple | list):
        return tuple(_select(key, features) for key in keys)
    if isinstance(keys, dict):
        return {name: _select(key, features) for name, key in keys.items()}
    return features[keys]  # type: ignore[index]


def _scales(features: Any, spec: Any) -> Scales:
    """Return the scales of features whose tensors have the specs `spec`."""
    import tensorflow_datasets as tfds

    if isinstance(features, tuple):
        return tuple(_scales(feature, leaf) for feature, leaf in zip(features, spec, strict=True))
    if isinstance(features, dict | tfds.features.FeaturesDict):
        return {name: _scales(features[name], spec[name]) for name in spec}
    if isinstance(features, tfds.features.Image):
        return {tf.uint8: 1 / 255, tf.uint16: 1 / 65535}.get(spec.dtype, 1.0)
    return tf.nest.map_structure(lambda leaf: None, spec)
