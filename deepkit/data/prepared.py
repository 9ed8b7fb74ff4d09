"""Read a prepared TFDS folder: into memory if it fits, otherwise again in each epoch."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import tensorflow as tf

from deepkit.data import memory
from deepkit.data.dataset import RawData
from deepkit.data.errors import DataError, damage_error, summarize_error
from deepkit.data.images import DIFFERENT_SIZES, IMAGE_SIZE_HINT, SAMPLE_SIZE, make_size_fixer
from deepkit.data.sources import MemorySource, Source, StreamSource
from deepkit.data.splits import num_validation_examples
from deepkit.data.tfds_metadata import check_metadata
from deepkit.data.tfds_reader import TFDSReader, as_element, make_reader, quiet_tfds
from deepkit.data.tfds_source import make_source
from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.data.tfds_types import Builder
    from deepkit.utils.types import Dataset, Nested

_CHUNK_SIZE = 1024  # examples that are decoded into one block
_HIDDEN_TEST_LABELS = ("glue",)  # datasets that withhold the labels of their test split and store -1
_BUFFER_BYTES = 2**30  # largest shuffle buffer


def read_prepared(
    folder: pathlib.Path, validation: object, image_size: tuple[int, int] | None, num_examples: int | None = None
) -> RawData:
    """Read a prepared dataset.

    Args:
        folder: TFDS folder of one version, e.g. `.../mnist/3.0.1`.
        validation: Number or fraction of examples to take from the end of the training split; None for the
            validation split of the dataset, or a tenth if it has none.
        image_size: (height, width) to resize images to; None keeps their size.
        num_examples: Largest number of examples of each split to read; None for all.

    Returns:
        The dataset; its origin names the folder.

    Raises:
        DataError: Files are missing or damaged, or name a class that is not a feature of TFDS.
        ValueError: `validation` does not fit, or `image_size` is missing or the dataset has no images.
    """
    reader = _open_reader(folder, image_size)
    slices = _slices(reader, validation)
    if num_examples is not None:
        slices = {split: _first(tfds_slice, num_examples, reader) for split, tfds_slice in slices.items()}
    with _report_damage(folder):
        sources, note = _read_sources(reader, slices)
    label = reader.label_feature
    num_classes = getattr(label, "num_classes", None)
    return RawData(
        name=reader.builder.info.full_name.rpartition("/")[0],
        version=str(reader.builder.version),
        source="prepared",
        origin=f"prepared copy in {folder}{note}",
        sources=sources,
        scales=reader.input_scales,
        num_classes=num_classes,
        class_names=tuple(getattr(label, "names", None) or ()) if num_classes else (),
    )


@contextlib.contextmanager
def _report_damage(folder: pathlib.Path, errors: type[BaseException] = tf.errors.OpError) -> Iterator[None]:
    """Convert errors of reading to a DataError that names the folder, or to a ValueError about image sizes."""
    try:
        yield
    except (errors, DataError) as error:
        if DIFFERENT_SIZES in str(error):
            raise ValueError(message(f"{folder}: {DIFFERENT_SIZES}", hint=IMAGE_SIZE_HINT)) from error
        raise damage_error(folder, summarize_error(error)) from error


def _open_reader(folder: pathlib.Path, image_size: tuple[int, int] | None) -> TFDSReader:
    import tensorflow_datasets as tfds

    check_metadata(folder)
    with _report_damage(folder, Exception), quiet_tfds():  # TFDS raises many kinds of errors for damaged files
        builder = tfds.builder_from_directory(folder)
        _check_files(builder, folder)
        reader = make_reader(builder, image_size)
    if image_size is not None and not reader.has_images:
        info = reader.builder.info
        problem = f"image_size={image_size} needs images, and {info.full_name} has none: its features are "
        raise ValueError(message(problem + ", ".join(info.features), hint="remove image_size="))
    return reader


def _check_files(builder: Builder, folder: pathlib.Path) -> None:
    for split in builder.info.splits.values():
        for name in split.filenames:
            if not (folder / name).is_file() or not (folder / name).stat().st_size:
                raise DataError(f"{name} is missing or empty")


def _slices(reader: TFDSReader, validation: object) -> dict[str, str]:
    """Return the TFDS slice of each split."""
    info = reader.builder.info
    if "train" not in info.splits:
        raise ValueError(f"{info.full_name} has no train split, only {', '.join(info.splits)}")
    if validation is None and "validation" in info.splits:
        slices = {"train": "train", "validation": "validation"}
    else:
        slices = _training_slices(info.splits["train"].num_examples, validation)
    has_test_labels = not (reader.is_supervised and reader.builder.name in _HIDDEN_TEST_LABELS)
    if "test" in info.splits and has_test_labels:
        slices["test"] = "test"
    return slices


def _first(tfds_slice: str, num_examples: int, reader: TFDSReader) -> str:
    """Return the slice of the first examples of a slice such as `"train[55000:]"`."""
    num_available = reader.builder.info.splits[tfds_slice].num_examples
    name, _, limits = tfds_slice.partition("[")
    start = int(limits.partition(":")[0] or 0)
    return f"{name}[{start}:{start + min(num_examples, num_available)}]"


def _training_slices(num_examples: int, validation: object) -> dict[str, str]:
    """Return the slices of the train split that serve for training and for validation."""
    if validation is None:
        validation = 0.1 if num_examples >= 10 else 0
    num_training = num_examples - num_validation_examples(validation, num_examples)
    if num_training == num_examples:
        return {"train": f"train[:{num_training}]"}
    return {"train": f"train[:{num_training}]", "validation": f"train[{num_training}:]"}


def _read_sources(reader: TFDSReader, slices: Mapping[str, str]) -> tuple[dict[str, Source], str]:
    """Read all splits into memory; if they do not fit, return sources on the disk and a note with the reason."""
    info = reader.builder.info
    counts = {split: info.splits[tfds_slice].num_examples for split, tfds_slice in slices.items()}
    datasets = {split: reader.examples(tfds_slice) for split, tfds_slice in slices.items()}
    fix_sizes = make_size_fixer(datasets["train"], reader.scales, info.full_name)
    if fix_sizes is not None:
        datasets = {
            split: dataset.map(lambda *example: fix_sizes(as_element(example))) for split, dataset in datasets.items()
        }
    sample = list(datasets["train"].take(SAMPLE_SIZE))
    example_bytes = max(1, memory.size_in_bytes(sample) // len(sample))
    required = example_bytes * sum(counts.values())
    if memory.fits_in_memory(required):
        return {split: MemorySource(_decode(dataset, counts[split])) for split, dataset in datasets.items()}, ""
    note = f", read again in each epoch: it needs {memory.format_bytes(required)} of memory"
    if reader.has_records:
        return {split: make_source(reader, tfds_slice, fix_sizes) for split, tfds_slice in slices.items()}, note
    buffer_size = max(1000, _BUFFER_BYTES // example_bytes)
    streams: dict[str, Source] = {
        split: StreamSource(counts[split], dataset, min(buffer_size, counts[split]))
        for split, dataset in datasets.items()
    }
    return streams, f"{note}; dk.data.write_records makes files that are shuffled uniformly"


def _decode(dataset: Dataset, num_examples: int) -> Nested:
    """Decode a whole dataset into one structure of tensors."""
    is_ragged = any(not spec.shape.is_fully_defined() for spec in tf.nest.flatten(dataset.element_spec))
    chunks = dataset.ragged_batch(_CHUNK_SIZE) if is_ragged else dataset.batch(_CHUNK_SIZE)
    with tf.device("CPU:0"):
        element = tf.nest.map_structure(lambda *leaves: tf.concat(leaves, 0), *chunks)
    received = int(tf.nest.flatten(element)[0].shape[0])
    if received != num_examples:
        raise DataError(f"expected {num_examples:,} examples, read {received:,}")
    return element
