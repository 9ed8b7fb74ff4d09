"""`write_records`: write data once into a folder of record files."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from deepkit.data.batch_iterables import as_dataset, is_batch_iterable
from deepkit.data.dataset import Data
from deepkit.data.image_source import naming_damaged_files
from deepkit.data.memory import format_bytes
from deepkit.data.pipeline import Pipeline
from deepkit.data.pipeline_settings import PipelineSettings
from deepkit.data.record_format import RecordFormat
from deepkit.data.record_index import INDEX_FILE, SPLITS, RecordIndex, SplitIndex
from deepkit.data.source_errors import original_errors
from deepkit.data.sources import MemorySource
from deepkit.data.split_writer import SplitWriter, new_folder
from deepkit.data.table_schema import TableSchema
from deepkit.data.user_arrays import validate_arrays
from deepkit.utils import console as _console
from deepkit.utils import files
from deepkit.utils.errors import format_value, make_error
from deepkit.utils.validation import check_flag, check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, PathLike

_BATCH_BYTES = 2**24  # of the examples that are read and written at once
_SECONDS_BETWEEN_MESSAGES = 10.0
_HINT = "pass a Data, a Pipeline, arrays (x, y), or an iterable of batches (x, y)"


@dataclasses.dataclass(frozen=True)
class _Split:
    """The examples of a split.

    Args:
        batches: Batches of the examples as they are stored.
        num_examples: Number of examples; None if it is unknown.
        settings: The settings of the pipeline that yields them, or None.
        decoder: The decoder of image files, or None.
    """

    batches: Dataset
    num_examples: int | None
    settings: PipelineSettings | None = None
    decoder: Any = None


@original_errors()
def write_records(
    data: Any,
    folder: PathLike,
    *,
    columns: TableSchema | None = None,
    name: str | None = None,
    max_shard_bytes: int = 2**28,
    verbose: bool = True,
) -> Path:
    """Write data once into a folder of record files, from which `from_records` makes pipelines.

    The examples are read and written batch by batch, so that the data may be larger than the memory. They are stored
    as they are, uint8 images as pixels: neither scaled nor augmented, and without `map`. The folder appears under its
    name when it is complete. Writing that is interrupted leaves at most a folder `NAME.unfinished-...`.

    The folder has TFRecord files of `tf.train.Example`, which `tf.data.TFRecordDataset` reads too; for each split a
    file with the positions of the records and, if they are small, one with the labels; and `index.json`.

    Args:
        data: A `Data`, whose splits, class names and columns are stored; a `Pipeline`; arrays x, (x, y) or
            (x, y, sample_weight); or anything that yields batches of these: a `tf.data.Dataset`, a generator, a
            `keras.utils.PyDataset` or a PyTorch `DataLoader`. Or a mapping of "train", "validation" and "test" to
            such data.
        folder: Path of the new folder.
        columns: The columns of a table whose chunks are passed as mappings, as `columns.convert` returns them. None
            for those of a `Data` or a `Pipeline`.
        name: Name of the data; None for that of a `Data`, or else for the name of the folder.
        max_shard_bytes: Largest size of a TFRecord file.
        verbose: Whether to print the progress every ten seconds, and a line about the files.

    Returns:
        The path of the folder.

    Raises:
        DataError: The folder exists already.
        TypeError: The data has an unsupported type or dtype.
        ValueError: The batches differ in structure, dtype or shape, or there are no examples.

    Examples:
        >>> import pathlib, tempfile, numpy as np, deepkit as dk
        >>> folder = pathlib.Path(tempfile.mkdtemp(), "chunks")
        >>> def chunks():
        ...     for start in range(0, 1000, 100):
        ...         numbers = np.arange(start, start + 100)
        ...         yield numbers[:, None] / 1000, numbers % 3
        >>> path = dk.data.write_records(chunks(), folder, verbose=False)
        >>> dk.data.from_records(path, verbose=False).train.num_examples
        1000
    """
    path = files.expand_user(_check_path(folder))
    max_shard_bytes = check_integer(max_shard_bytes, "write_records: max_shard_bytes", hint="pass 2**28")
    check_flag(verbose, "verbose")
    if columns is not None and not isinstance(columns, TableSchema):
        problem = f"write_records: columns must be a TableSchema, received {format_value(columns)}"
        raise make_error(TypeError, problem, hint="pass dk.data.from_table(first_chunk, target=...).columns")
    with new_folder(path.absolute()) as temporary:
        splits = _splits(data)  # now: a generator is not read if the folder exists
        record_format, indices = _write_splits(temporary, splits, max_shard_bytes, verbose)
        settings = splits["train"].settings
        title = name or (data.name if isinstance(data, Data) else path.absolute().name)
        index = _index(data, settings, columns, record_format, indices, title)
        (temporary / INDEX_FILE).write_text(json.dumps(index.to_json(), indent=1), encoding="utf-8")
    if verbose:
        for text in (_describe(index, path), *_notes(settings, index)):
            _console.echo(text)
    return path


def _check_path(folder: object) -> str | os.PathLike[str]:
    if isinstance(folder, str | os.PathLike):
        return folder
    problem = f"write_records: folder must be the path of a new folder, received {format_value(folder)}"
    raise make_error(TypeError, problem, hint='pass folder="records/pets"')


def _splits(data: Any) -> dict[str, _Split]:
    """Return the splits of data."""
    if isinstance(data, Data):
        pipelines = {"train": data.train, "validation": data.validation, "test": data.test}
        return {split: _open(item, split) for split, item in pipelines.items() if item is not None}
    if isinstance(data, Mapping) and "train" in data and data.keys() <= set(SPLITS):
        return {split: _open(data[split], split) for split in SPLITS if data.get(split) is not None}
    return {"train": _open(data, "data")}


def _open(data: Any, name: str) -> _Split:
    """Return the examples of one split."""
    if isinstance(data, Pipeline):
        batches = data.stored_batches(_batch_size(data.in_order().element_spec))
        return _Split(batches, data.num_examples, data.settings, data.decoder)
    if isinstance(data, Data):
        raise make_error(TypeError, f"{name}: expected one split, received a Data", hint=f"pass data.train as {name!r}")
    if isinstance(data, tf.data.Dataset):
        return _Split(data, None)
    if is_batch_iterable(data):
        return _Split(as_dataset(data, name, reads_once=True), None)
    if data is None or isinstance(data, str | bytes | os.PathLike | int | float):
        problem = f"write_records: expected data, received {format_value(data)}"
        raise make_error(TypeError, problem, hint=_HINT)
    element = validate_arrays(*data) if isinstance(data, tuple) and len(data) <= 3 else validate_arrays(data)
    pipeline = Pipeline(MemorySource(element), PipelineSettings(rescale=False))
    return _Split(pipeline.stored_batches(_batch_size(pipeline.element_spec)), pipeline.num_examples)


def _batch_size(spec: Any) -> int:
    """Return the number of examples to read at once."""
    sizes = [leaf.shape[1:].num_elements() or 256 for leaf in tf.nest.flatten(spec)]
    return max(1, min(1024, _BATCH_BYTES // (8 * sum(sizes) or 1)))


def _write_splits(
    folder: Path, splits: Mapping[str, _Split], max_shard_bytes: int, verbose: bool
) -> tuple[RecordFormat, dict[str, SplitIndex]]:
    """Write the files of all splits; return the format of the examples and the index of each split."""
    record_format: RecordFormat | None = None
    indices = {}
    for split, source in splits.items():
        writer: SplitWriter | None = None
        progress = _Progress(split, source.num_examples, verbose)
        with naming_damaged_files(source.decoder):
            for batch in _iterate(source.batches, split):
                record_format = record_format or RecordFormat.of(batch, split)
                record_format.check(batch, split)
                writer = writer or SplitWriter(folder, split, record_format, max_shard_bytes)
                writer.write(batch)
                progress.update(writer.num_examples)
        if writer is None:
            raise make_error(ValueError, f"{split}: there are no examples", hint="pass at least one batch")
        indices[split] = writer.close()
    assert record_format is not None
    return record_format, indices


class _Progress:
    """Prints the number of examples every few seconds.

    Args:
        split: Name of the split.
        num_examples: Number of examples to write; None if it is unknown.
        verbose: Whether to print.
    """

    def __init__(self, split: str, num_examples: int | None, verbose: bool) -> None:
        self._split, self._total, self._verbose = split, num_examples, verbose
        self._printed = time.monotonic()

    def update(self, num_examples: int) -> None:
        """Print the number of examples that are written, if the last message is some seconds old."""
        if self._verbose and time.monotonic() - self._printed >= _SECONDS_BETWEEN_MESSAGES:
            of_total = "" if self._total is None else f" of {self._total:,}"
            _console.echo(f"writing {self._split}: {num_examples:,}{of_total} examples")
            self._printed = time.monotonic()


def _iterate(batches: Dataset, split: str) -> Iterator[Any]:
    """Return an iterator over finitely many batches."""
    if int(batches.cardinality()) == tf.data.INFINITE_CARDINALITY:
        problem = f"{split}: the dataset is infinite"
        raise make_error(ValueError, problem, hint="pass dataset.take(number of batches)")
    return iter(batches)


def _index(
    data: Any,
    settings: PipelineSettings | None,
    columns: TableSchema | None,
    record_format: RecordFormat,
    indices: Mapping[str, SplitIndex],
    name: str,
) -> RecordIndex:
    """Return the index of the folder."""
    is_dataset = isinstance(data, Data)
    settings = settings or PipelineSettings(scales=_scales(record_format), rescale=False)
    return RecordIndex(
        name=name,
        version=data.version if is_dataset else "",
        format=record_format,
        splits=indices,
        scales=settings.scales,
        rescale=settings.rescale,
        num_classes=data.num_classes if is_dataset else indices["train"].num_classes,
        class_names=settings.class_names,
        columns=settings.columns if columns is None else _with_missing(columns, record_format, indices["train"]),
    )


def _with_missing(columns: TableSchema, record_format: RecordFormat, index: SplitIndex) -> TableSchema:
    """Return the columns with the missing numbers of all chunks: the first ones may have none."""
    pairs = zip(record_format.fields, index.ranges, strict=False)
    names = {field.name for field, value_range in pairs if value_range.num_invalid}
    updated = (
        dataclasses.replace(column, has_missing=column.has_missing or f"x/{column.input_name}" in names)
        for column in columns.columns
    )
    return dataclasses.replace(columns, columns=tuple(updated))


def _scales(record_format: RecordFormat) -> Any:
    """Return, in the structure of x, the factor that scales uint8 images to [0, 1], or None."""
    return tf.nest.map_structure(
        lambda field: 1 / 255 if field.dtype == "uint8" and len(field.shape) >= 2 else None, record_format.inputs
    )


def _describe(index: RecordIndex, path: Path) -> str:
    counts = ", ".join(f"{item.num_examples:,} {split}" for split, item in index.splits.items())
    shards = [shard for item in index.splits.values() for shard in item.shards]
    size = format_bytes(sum(shard.num_bytes for shard in shards))
    return f"{index.name}: {counts}; {size} in {len(shards):,} file{'s' if len(shards) > 1 else ''} in {path}"


def _notes(settings: PipelineSettings | None, index: RecordIndex) -> list[str]:
    """Return messages about settings that are not stored, and about NaN."""
    notes = []
    arguments = {} if settings is None else {"augment=": settings.augmentations, "map=": settings.map}
    listed = " and ".join(name for name, value in arguments.items() if value)
    if listed:
        notes.append(f"not stored: {listed}; pass them to dk.data.from_records")
    fields = tf.nest.flatten(index.format.inputs)
    for split, item in index.splits.items():
        for field, value_range in zip(fields, item.ranges, strict=True):
            if value_range.num_invalid:
                notes.append(
                    f"{split}: {value_range.num_invalid:,} examples have NaN or infinity in {field.name}, the first at "
                    f"index {value_range.first_invalid:,}"
                )
    return notes
