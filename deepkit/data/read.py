"""Reading a prepared TFDS folder: into memory where it fits, else as a stream."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from deepkit.data import memory
from deepkit.data.dataset import Found, held_out
from deepkit.data.errors import DataError
from deepkit.data.sources import MemorySource, Source, StreamSource

_CHUNK = 1024  # examples decoded into one block
_SAMPLE = 64  # examples looked at to tell how much memory all will take
_SHARE = 0.4  # of the free memory; putting the blocks together takes twice the space for a moment
_ZERO_ONE = ("binarized_mnist",)  # images stored as 0 and 1, which are [0, 1] already
_HIDDEN = ("glue",)  # sets whose test labels are kept back and stored as -1
_BUFFER = 2**30  # bytes a shuffle buffer may take


def find(folder: pathlib.Path, validation: Any, image_size: tuple[int, int] | None) -> Found:
    """Read a prepared data set.

    Args:
        folder: the TFDS folder of one version, e.g. `.../mnist/3.0.1`.
        validation: examples or a fraction to take from the end of the training split; None for the data set's
            own validation split or else a tenth.
        image_size: (height, width) to resize images to; None leaves them.

    Returns:
        What was found; its origin is the folder, in words.

    Raises:
        DataError: if files are missing or damaged.
        ValueError: if `validation` does not fit, or `image_size` is missing or makes no sense.

    """
    reader = _open(folder, image_size)
    parts = _parts(reader, validation)
    with _damage(folder):
        sources, note = _sources(reader, parts)
    label = _label_feature(reader)
    num_classes = getattr(label, "num_classes", None)
    names = tuple(label.names) if num_classes and label.names else ()
    name = "/".join(reader.builder.info.full_name.split("/")[:-1])
    scales = reader.x(reader.scales)
    return Found(
        name,
        str(reader.builder.version),
        "prepared",
        f"prepared copy in {folder}{note}",
        sources,
        scales,
        num_classes,
        names,
    )


def resized(images: Any, size: tuple[int, int]) -> Any:
    """Resize images (..., height, width, channels), smoothing as they shrink; the right size is left alone.

    Args:
        images: of any integer or float type, which they keep.
        size: (height, width).

    """
    if tuple(images.shape[-3:-1]) == size:
        return images
    scaled = tf.image.resize(images, size, antialias=True)
    return tf.cast(scaled if images.dtype.is_floating else tf.round(scaled), images.dtype)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep TFDS from logging warnings about what deepkit says in its own words."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@dataclasses.dataclass(frozen=True)
class _Reader:
    """A prepared data set and how its examples are read.

    Args:
        builder: of TFDS.
        keys: the features that make (x, y), or the one that is x; None where examples are dicts of features.
        features: TFDS's features in the structure of an example.
        scales: in the structure of an example: what brings an image to [0, 1], None for what is no image.
        image_size: (height, width) that images are brought to, or None.

    """

    builder: Any
    keys: Any
    features: Any
    scales: Any
    image_size: tuple[int, int] | None

    @property
    def supervised(self) -> bool:
        """Whether examples are (x, y)."""
        return isinstance(self.keys, tuple)

    def x(self, structure: Any) -> Any:
        """Return the part of a structure that belongs to x."""
        return structure[0] if self.supervised else structure

    def examples(self, split: str) -> Any:
        """Return single examples of a split, always in the same order."""
        dataset = _dataset(self.builder, split, self.keys)
        if self.image_size is None:
            return dataset
        return dataset.map(functools.partial(self._resize, self.image_size), num_parallel_calls=tf.data.AUTOTUNE)

    def _resize(self, size: tuple[int, int], *element: Any) -> Any:
        whole = element if self.supervised else element[0]
        return tf.nest.map_structure(
            lambda leaf, scale: leaf if scale is None else resized(leaf, size), whole, self.scales
        )


def _open(folder: pathlib.Path, image_size: tuple[int, int] | None) -> _Reader:
    import tensorflow_datasets as tfds

    with _damage(folder, Exception), quiet():  # a damaged description fails in as many ways as there are
        builder = tfds.builder_from_directory(folder)
        _check_files(builder, folder)
        keys = builder.info.supervised_keys or _known(builder.info.features, tfds)
        features = _select(keys, builder.info.features) if keys else dict(builder.info.features.items())
        spec = _dataset(builder, next(iter(builder.info.splits)), keys).element_spec
    scales = _scales(features, spec, tfds)
    if builder.name in _ZERO_ONE:
        scales = tf.nest.map_structure(lambda scale: scale and 1.0, scales)
    reader = _Reader(builder, keys, features, scales, image_size)
    if image_size is not None and all(scale is None for scale in tf.nest.flatten(scales)):
        raise ValueError(f"image_size={image_size} is for images, and {builder.info.full_name} has none: its features "
                         f"are {', '.join(builder.info.features)}")  # fmt: skip
    return reader


def _dataset(builder: Any, split: str, keys: Any) -> Any:
    import tensorflow_datasets as tfds

    config = tfds.ReadConfig(try_autocache=False, skip_prefetch=True)
    own = bool(builder.info.supervised_keys)
    dataset = builder.as_dataset(split=split, as_supervised=own, shuffle_files=False, read_config=config)
    return dataset if own or not keys else dataset.map(lambda example: _select(keys, example))


def _known(features: Any, tfds: Any) -> Any:
    """Return the names of the one text and the one class, where examples have just these, and perhaps a number.

    Or the name of the only feature, where that is an image.
    """
    if len(features) == 1:
        name, feature = next(iter(features.items()))
        return name if isinstance(feature, tfds.features.Image) else None
    texts = [key for key, feature in features.items() if isinstance(feature, tfds.features.Text)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    rest = set(features) - {*texts, *labels, "idx"}
    return (texts[0], labels[0]) if len(texts) == len(labels) == 1 and not rest else None


def _select(keys: Any, features: Any) -> Any:
    """Arrange features as `supervised_keys` says."""
    if isinstance(keys, tuple | list):
        return tuple(_select(key, features) for key in keys)
    if isinstance(keys, dict):
        return {name: _select(key, features) for name, key in keys.items()}
    return features[keys]


def _scales(features: Any, spec: Any, tfds: Any) -> Any:
    if isinstance(features, tuple):
        return tuple(_scales(feature, leaf, tfds) for feature, leaf in zip(features, spec, strict=True))
    if isinstance(features, dict | tfds.features.FeaturesDict):
        return {name: _scales(features[name], spec[name], tfds) for name in spec}
    if isinstance(features, tfds.features.Image):
        return {tf.uint8: 1 / 255, tf.uint16: 1 / 65535}.get(spec.dtype, 1.0)
    return tf.nest.map_structure(lambda leaf: None, spec)


def _check_files(builder: Any, folder: pathlib.Path) -> None:
    for info in builder.info.splits.values():
        for name in info.filenames:
            if not (folder / name).is_file() or not (folder / name).stat().st_size:
                raise DataError(f"{name} is missing or empty")


def _parts(reader: _Reader, validation: Any) -> dict[str, str]:
    """Say which TFDS slice each part is."""
    splits = reader.builder.info.splits
    if "train" not in splits:
        raise ValueError(f"{reader.builder.info.full_name} has no train split, only {', '.join(splits)}")
    total = splits["train"].num_examples
    if validation is None and "validation" in splits:
        parts = {"train": "train", "validation": "validation"}
    else:
        kept = total - held_out(0.1 if validation is None and total >= 10 else validation or 0, total)
        parts = {"train": f"train[:{kept}]"} | ({"validation": f"train[{kept}:]"} if kept < total else {})
    hidden = reader.supervised and reader.builder.name in _HIDDEN
    return parts | ({"test": "test"} if "test" in splits and not hidden else {})


def _sources(reader: _Reader, parts: dict[str, str]) -> tuple[dict[str, Source], str]:
    """Read all parts, or make streams of them where they do not fit; and the words for that."""
    counts = {part: reader.builder.info.splits[split].num_examples for part, split in parts.items()}
    datasets = {part: _sized(reader, reader.examples(split)) for part, split in parts.items()}
    sample = list(datasets["train"].take(_SAMPLE))
    each = max(1, memory.size(sample) // len(sample))
    needed, free = each * sum(counts.values()), memory.available()
    if needed <= _SHARE * free:
        return {part: MemorySource(_whole(dataset, counts[part])) for part, dataset in datasets.items()}, ""
    buffer = max(1000, _BUFFER // each)
    streams: dict[str, Source] = {
        part: StreamSource(dataset, counts[part], min(buffer, counts[part])) for part, dataset in datasets.items()
    }
    note = (
        f", read anew in each epoch: it would take {memory.words(needed)} of memory, and {memory.words(free)} are free"
    )
    return streams, note


def _sized(reader: _Reader, dataset: Any) -> Any:
    """Give images whose size TFDS does not know the size that the first ones have."""
    flat = tf.nest.flatten(reader.scales)
    specs = tf.nest.flatten(dataset.element_spec)
    unknown = [i for i, scale in enumerate(flat) if scale is not None and None in tuple(specs[i].shape)]
    if not unknown:
        return dataset
    sample = [tf.nest.flatten(element) for element in dataset.take(_SAMPLE)]
    shapes = {i: _common_shape([tuple(leaves[i].shape) for leaves in sample], reader) for i in unknown}

    def fix(*element: Any) -> Any:
        whole = element if len(element) > 1 else element[0]
        leaves = [_sized_leaf(leaf, shapes.get(i)) for i, leaf in enumerate(tf.nest.flatten(whole))]
        return tf.nest.pack_sequence_as(whole, leaves)

    return dataset.map(fix)


def _sized_leaf(leaf: Any, shape: tuple[int, ...] | None) -> Any:
    if shape is None:
        return leaf
    same = tf.debugging.assert_equal(tf.shape(leaf), shape, message=_DIFFER)
    with tf.control_dependencies([same]):
        return tf.ensure_shape(tf.identity(leaf), shape)


_DIFFER = "images differ in size"


def _common_shape(shapes: list[tuple[int, ...]], reader: _Reader) -> tuple[int, ...]:
    if len(set(shapes)) > 1:
        examples = " and ".join(f"{height}x{width}" for height, width, *_ in sorted(set(shapes))[:2])
        raise ValueError(f"{reader.builder.info.full_name}: {_DIFFER} ({examples}, for instance); give image_size=, "
                         "e.g. image_size=224, to bring them to one")  # fmt: skip
    return shapes[0]


def _whole(dataset: Any, expected: int) -> Any:
    """Decode all of a dataset into one structure of tensors."""
    ragged = any(not spec.shape.is_fully_defined() for spec in tf.nest.flatten(dataset.element_spec))
    chunks = dataset.ragged_batch(_CHUNK) if ragged else dataset.batch(_CHUNK)
    with tf.device("CPU:0"):
        whole = tf.nest.map_structure(lambda *leaf: tf.concat(leaf, 0), *chunks)
    found = int(tf.nest.flatten(whole)[0].shape[0])
    if found != expected:
        raise DataError(f"{expected:,} examples were expected and {found:,} found")
    return whole


def _label_feature(reader: _Reader) -> Any:
    return reader.features[1] if reader.supervised else None


@contextlib.contextmanager
def _damage(folder: pathlib.Path, kinds: type[BaseException] = tf.errors.OpError) -> Iterator[None]:
    """Say of what goes wrong while reading that the folder is damaged, and how to mend it."""
    try:
        yield
    except (kinds, DataError) as error:
        if _DIFFER in str(error):
            raise ValueError(
                f"{folder}: {_DIFFER}; give image_size=, e.g. image_size=224, to bring them to one"
            ) from error
        raise damaged(
            folder, str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        ) from error


def damaged(folder: pathlib.Path, why: str) -> DataError:
    """Make the error for a folder that is there but cannot be used."""
    return DataError(
        f"the prepared data in {folder} is damaged or incomplete: {why}. Nothing was changed. "
        "Move that folder away and load again to prepare it afresh, or name a whole copy with data_dir= "
        "or TFDS_DATA_DIR"
    )
