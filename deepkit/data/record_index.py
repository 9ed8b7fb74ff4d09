"""The index of a folder of record files: `index.json`, which is written last; a folder without it is incomplete."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.data.errors import DataError, summarize_error
from deepkit.data.record_format import RecordFormat
from deepkit.data.table_schema import TableSchema
from deepkit.utils.checksums import json_checksum
from deepkit.utils.errors import format_value

if TYPE_CHECKING:
    from deepkit.data.nested_arrays import Scales
    from deepkit.utils.types import ClassNames

INDEX_FILE = "index.json"
FORMAT = 1
SPLITS = ("train", "validation", "test")
ENTRY = np.dtype([("offset", "<u8"), ("num_bytes", "<u4"), ("crc32", "<u4")])
"""Position, size and CRC-32 of a record; a file of them has the records of all shards of a split, in order."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """A TFRecord file with consecutive examples of a split.

    Args:
        file: Name of the file.
        num_examples: Number of examples.
        num_bytes: Size of the file.
    """

    file: str
    num_examples: int
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class ValueRange:
    """The range of a tensor of x over all examples of a split.

    Args:
        minimum: Smallest finite value; None if there is none, and for strings.
        maximum: Largest finite value.
        num_invalid: Number of examples with NaN or infinity.
        first_invalid: Index of the first of them; -1 if there is none.
    """

    minimum: float | None = None
    maximum: float | None = None
    num_invalid: int = 0
    first_invalid: int = -1


@dataclasses.dataclass(frozen=True)
class SplitIndex:
    """The record files of a split.

    Args:
        num_examples: Number of examples.
        content_hash: Hash of all records.
        shards: The files.
        ranges: The range of each tensor of x, in flat order.
        has_labels: Whether a file holds the labels of all examples, which then fit into memory.
        num_classes: Number of classes of these labels; None if they are not classes.
    """

    num_examples: int
    content_hash: str
    shards: tuple[Shard, ...]
    ranges: tuple[ValueRange, ...]
    has_labels: bool
    num_classes: int | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> SplitIndex:
        """Return the index of a split from its JSON values."""
        shards = tuple(Shard(**shard) for shard in content["shards"])
        ranges = tuple(ValueRange(**value_range) for value_range in content["ranges"])
        return cls(**{**content, "shards": shards, "ranges": ranges})


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """The contents of a folder of record files.

    Args:
        name: Name of the dataset.
        version: Version of the dataset; empty if it has none.
        format: The structure of the examples.
        splits: The files of each split.
        scales: In the structure of x: the factor that scales an image to [0, 1], or None.
        rescale: Whether the pipelines scale images to [0, 1].
        num_classes: Number of classes of the labels; None if they are not classes.
        class_names: Names of the classes by label; empty if unknown.
        columns: The columns of a table; None for other data.
    """

    name: str
    version: str
    format: RecordFormat
    splits: Mapping[str, SplitIndex]
    scales: Scales = None
    rescale: bool = False
    num_classes: int | None = None
    class_names: ClassNames = ()
    columns: TableSchema | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the index as JSON values, with a checksum of them."""
        content = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "structure": self.format.to_json(),
            "splits": {split: dataclasses.asdict(index) for split, index in self.splits.items()},
            "scales": None if self.scales is None else tf.nest.flatten(self.scales),
            "rescale": self.rescale,
            "num_classes": self.num_classes,
            "class_names": self.class_names,
            "columns": None if self.columns is None else self.columns.to_json(),
        }
        return {**content, "checksum": json_checksum(content)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RecordIndex:
        """Return the index whose JSON values `to_json` returned."""
        record_format = RecordFormat.from_json(content["structure"])
        scales, names = content["scales"], content["class_names"]
        return cls(
            name=content["name"],
            version=content["version"],
            format=record_format,
            splits={split: SplitIndex.from_json(index) for split, index in content["splits"].items()},
            scales=None if scales is None else tf.nest.pack_sequence_as(record_format.inputs, scales),
            rescale=content["rescale"],
            num_classes=content["num_classes"],
            class_names={key: tuple(item) for key, item in names.items()} if isinstance(names, dict) else tuple(names),
            columns=None if content["columns"] is None else TableSchema.from_json(content["columns"]),
        )


def entries_file(split: str) -> str:
    """Return the name of the file with the positions of the records of a split."""
    return f"{split}.entries.npy"


def labels_file(split: str) -> str:
    """Return the name of the file with the labels of a split."""
    return f"{split}.labels.npz"


def read_index(folder: Path) -> RecordIndex:
    """Read the index of a folder, and compare the sizes of its files.

    Raises:
        DataError: There is no such folder or no index, or a file is missing, truncated or changed.
    """
    path = folder / INDEX_FILE
    if not path.is_file():
        raise _missing_error(folder)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        checksum = content.pop("checksum")
        version = content["format"]
        if version == FORMAT:
            index = RecordIndex.from_json(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise record_error(path, f"it is not an index of record files: {summarize_error(error)}") from error
    if version != FORMAT:
        problem = f"{path} has the format {format_value(version)}, expected {FORMAT}"
        raise DataError(problem, hint="write the records again, or install the version of deepkit that wrote them")
    if checksum != json_checksum(content):
        raise record_error(path, "its content does not have the checksum that was written")
    for split, split_index in index.splits.items():
        _check_files(folder, split, split_index)
    return index


def _missing_error(folder: Path) -> DataError:
    if not folder.is_dir():
        reason = "it is a file" if folder.exists() else "there is no such folder"
        return DataError(f"{folder} cannot be read: {reason}", hint="pass the folder that dk.data.write_records wrote")
    images = 'dk.data.from_folder("data/pets", image_size=224)'
    hint = f"pass a folder that dk.data.write_records wrote; use {images} for a folder of images"
    return DataError(
        f"{folder} has no {INDEX_FILE}: it has no record files, or writing them was interrupted", hint=hint
    )


def _check_files(folder: Path, split: str, index: SplitIndex) -> None:
    for shard in index.shards:
        path = folder / shard.file
        if not path.is_file():
            raise record_error(path, f"it is missing, expected a file of {shard.num_bytes:,} bytes")
        if path.stat().st_size != shard.num_bytes:
            raise record_error(path, f"it has {path.stat().st_size:,} bytes, expected {shard.num_bytes:,}")
    for name in (entries_file(split), *([labels_file(split)] if index.has_labels else [])):
        if not (folder / name).is_file():
            raise record_error(folder / name, "it is missing")


def record_error(path: Path, reason: str) -> DataError:
    """Return the error for a file of records that cannot be used."""
    hint = f"restore {path.parent} from a copy, or move it away and write the records again"
    return DataError(f"{path} is damaged: {reason}. Nothing was changed.", hint=hint)
