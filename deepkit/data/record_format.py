"""The contents of a record: an example as a `tf.train.Example`, with the bytes of each tensor as a feature.

`tf.train.Example` has neither small integers nor bool, so a tensor of numbers is stored as its little-endian bytes. A
string tensor is a list of strings. A ragged tensor has a further feature with the row lengths of each inner axis.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.utils.types import Nested, Tensor

_PARTS = ("x", "y", "sample_weight")
_READ_AS = {"uint32": "int32", "uint64": "int64"}  # tf.io.decode_raw lacks these dtypes
_STORED_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32",
    "float64", "complex64", "complex128", "string",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class RecordField:
    """A tensor of every example.

    Args:
        name: Name of the feature: "x", "y", "x/area".
        dtype: Name of the dtype.
        shape: Shape in one example; of a ragged tensor, the shape of its inner values.
        ragged_rank: Number of axes of one example whose size varies; 0 for a dense tensor.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    ragged_rank: int = 0

    @property
    def title(self) -> str:
        """Dtype and shape as text, for messages."""
        sizes = [*["any"] * self.ragged_rank, *map(str, self.shape)]
        return f"{self.dtype} ({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"

    @property
    def features(self) -> dict[str, Any]:
        """The features of the tensor for `tf.io.parse_example`."""
        values: Any = tf.io.FixedLenFeature([], tf.string)
        if self.dtype == "string":
            values = (
                tf.io.RaggedFeature(tf.string) if self.ragged_rank else tf.io.FixedLenFeature(self.shape, tf.string)
            )
        lengths = {
            self._lengths_name(axis): tf.io.FixedLenFeature([], tf.string) for axis in range(2, self.ragged_rank + 1)
        }
        return {self.name: values, **lengths}

    def split(self, batch: Any) -> Iterator[dict[str, list[bytes]]]:
        """Yield the features of each example of a batch, each a list of bytes."""
        values, row_splits = batch, []
        if isinstance(batch, tf.RaggedTensor):
            values, row_splits = batch.flat_values, [np.asarray(splits) for splits in batch.nested_row_splits]
        array = np.ascontiguousarray(values)
        for index in range(int(batch.shape[0] or tf.shape(batch)[0]) if not row_splits else len(row_splits[0]) - 1):
            start, stop = index, index + 1
            features = {}
            for axis, splits in enumerate(row_splits, start=1):
                if axis > 1:
                    features[self._lengths_name(axis)] = [np.diff(splits[start : stop + 1]).astype("<i8").tobytes()]
                start, stop = int(splits[start]), int(splits[stop])
            part = array[start:stop]
            yield {
                self.name: [_as_bytes(text) for text in part.flat] if self.dtype == "string" else [part.tobytes()],
                **features,
            }

    def join(self, features: Mapping[str, Any]) -> Any:
        """Return the tensor of a batch from the features that `tf.io.parse_example` returned."""
        values = features[self.name]
        if not self.ragged_rank:
            return values if self.dtype == "string" else tf.reshape(self._decode(values), (-1, *self.shape))
        lengths = [self._row_lengths(features[self._lengths_name(axis)]) for axis in range(2, self.ragged_rank + 1)]
        size = max(1, int(np.prod(self.shape)))
        if self.dtype == "string":
            flat, num_values = values.values, values.row_lengths()
        else:
            flat = self._decode(tf.strings.reduce_join(values)[None])[0]
            num_values = _num_bytes(values) // tf.as_dtype(self.dtype).size
        first = num_values // size
        if self.ragged_rank > 1:
            first = _num_bytes(features[self._lengths_name(2)]) // 8
        flat = tf.reshape(flat, (-1, *self.shape))
        return tf.RaggedTensor.from_nested_row_lengths(flat, [first, *lengths], validate=False)

    def _lengths_name(self, axis: int) -> str:
        return f"{self.name}/row_lengths_{axis}"

    def _row_lengths(self, values: Tensor) -> Tensor:
        return tf.io.decode_raw(tf.strings.reduce_join(values)[None], tf.int64)[0]

    def _decode(self, values: Tensor) -> Tensor:
        """Return strings of bytes of equal length (batch,) as numbers (batch, numbers)."""
        decoded = tf.io.decode_raw(values, _READ_AS.get(self.dtype, self.dtype))
        return tf.bitcast(decoded, self.dtype) if self.dtype in _READ_AS else decoded


@dataclasses.dataclass(frozen=True)
class RecordFormat:
    """The structure of the examples.

    Args:
        structure: A `RecordField` in place of each tensor of an example x, (x,), (x, y) or (x, y, sample_weight).
    """

    structure: Any

    @classmethod
    def of(cls, batch: Nested, name: str) -> RecordFormat:
        """Return the format of the examples of a batch.

        Args:
            batch: The batch.
            name: Name of the data for error messages.

        Raises:
            TypeError: A tensor has a dtype that records cannot store.
            ValueError: The tensors have no common batch axis.
        """
        if isinstance(batch, tuple) and not 1 <= len(batch) <= len(_PARTS):
            problem = f"{name}: expected batches x, (x, y) or (x, y, sample_weight), received {len(batch)} elements"
            raise make_error(ValueError, problem, hint="pass several inputs as a mapping by name")
        names = iter(_names(batch))
        structure = tf.nest.map_structure(lambda leaf: _make_field(next(names), leaf, name), batch)
        lengths = {_batch_size(leaf) for leaf in tf.nest.flatten(batch)}
        if len(lengths) > 1:
            shapes = ", ".join(str(tuple(leaf.shape)) for leaf in tf.nest.flatten(batch))
            problem = f"{name}: expected batches with a common first axis, received the shapes {shapes}"
            raise make_error(ValueError, problem, hint="use dataset.batch(256)")
        return cls(structure)

    @property
    def fields(self) -> list[RecordField]:
        """The tensors of an example."""
        fields: list[RecordField] = tf.nest.flatten(self.structure)
        return fields

    @property
    def inputs(self) -> Any:
        """The fields of x, in the structure of x."""
        return self.structure[0] if isinstance(self.structure, tuple) else self.structure

    def encode(self, batch: Nested) -> Iterator[bytes]:
        """Yield the record of each example of a batch, whose tensors have the dtypes and shapes of the fields."""
        leaves = tf.nest.flatten(batch)
        parts = [field.split(leaf) for field, leaf in zip(self.fields, leaves, strict=True)]
        for features_of_fields in zip(*parts, strict=True):
            example = tf.train.Example()
            for features in features_of_fields:
                for name, values in features.items():
                    example.features.feature[name].bytes_list.value.extend(values)
            yield example.SerializeToString(deterministic=True)

    @tf.autograph.experimental.do_not_convert
    def parse(self, records: Tensor) -> Any:
        """Return a batch from its records, strings (batch,)."""
        features = {name: feature for field in self.fields for name, feature in field.features.items()}
        parsed = tf.io.parse_example(records, features)
        return tf.nest.map_structure(lambda field: field.join(parsed), self.structure)

    def check(self, batch: Nested, name: str) -> None:
        """Raise a ValueError unless a batch has this format.

        Args:
            batch: The batch.
            name: Name of the data for the message.
        """
        other = RecordFormat.of(batch, name)
        if other.to_json() == self.to_json():
            return
        pairs = [f"{field.name}: {field.title}" for field in self.fields if field not in other.fields]
        received = [f"{field.name}: {field.title}" for field in other.fields if field not in self.fields]
        problem = f"{name}: expected {'; '.join(pairs) or 'other parts'} as in the first batch, received "
        hint = "use one dtype and shape for all examples: pad or crop them, or use dataset.ragged_batch"
        raise make_error(ValueError, problem + ("; ".join(received) or "another structure"), hint=hint)

    def to_json(self) -> Any:
        """Return the structure as JSON values."""
        return _to_json(self.structure)

    @classmethod
    def from_json(cls, content: Any) -> RecordFormat:
        """Return the format whose JSON values `to_json` returned."""
        return cls(_from_json(content))


def _make_field(name: str, leaf: Any, source: str) -> RecordField:
    dtype = (
        "string"
        if leaf.dtype == object or np.dtype(_numpy_dtype(leaf.dtype)).kind in "SUO"
        else tf.as_dtype(leaf.dtype).name
    )
    if dtype not in _STORED_DTYPES or isinstance(leaf, tf.SparseTensor):
        kind = "sparse tensor" if isinstance(leaf, tf.SparseTensor) else dtype
        hint = "convert it to a dense tensor of one of the dtypes " + ", ".join(_STORED_DTYPES)
        raise make_error(TypeError, f"{source}: {name} is a {kind}, which records cannot store", hint=hint)
    if len(leaf.shape) == 0:
        raise make_error(
            ValueError, f"{source}: {name} has no batch axis, its shape is ()", hint="use dataset.batch(256)"
        )
    if isinstance(leaf, tf.RaggedTensor):
        return RecordField(name, dtype, tuple(map(int, leaf.flat_values.shape[1:])), leaf.ragged_rank)
    return RecordField(name, dtype, tuple(map(int, leaf.shape[1:])))


def _numpy_dtype(dtype: Any) -> Any:
    return dtype.as_numpy_dtype if isinstance(dtype, tf.DType) else dtype


def _batch_size(leaf: Any) -> int:
    return int(leaf.nrows()) if isinstance(leaf, tf.RaggedTensor) else int(leaf.shape[0])


def _num_bytes(texts: Tensor) -> Any:
    return tf.cast(tf.strings.length(texts), tf.int64)


def _as_bytes(text: Any) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


def _names(element: Nested) -> list[str]:
    parts = element if isinstance(element, tuple) else (element,)
    return [name for title, part in zip(_PARTS, parts, strict=False) for name in _part_names(part, title)]


def _part_names(part: Any, title: str) -> list[str]:
    """Return the names of the tensors of a part, in flat order: mappings are sorted by key."""
    if isinstance(part, Mapping):
        return [name for key in sorted(part) for name in _part_names(part[key], f"{title}/{key}")]
    if isinstance(part, Sequence) and not isinstance(part, str | bytes):
        return [name for index, item in enumerate(part) for name in _part_names(item, f"{title}/{index}")]
    return [title]


def _to_json(structure: Any) -> Any:
    if isinstance(structure, RecordField):
        return {"tensor": dataclasses.asdict(structure)}
    if isinstance(structure, Mapping):
        return {"mapping": {key: _to_json(item) for key, item in structure.items()}}
    return {"tuple": [_to_json(item) for item in structure]}


def _from_json(content: Any) -> Any:
    ((kind, value),) = content.items()
    if kind == "tensor":
        return RecordField(**{**value, "shape": tuple(value["shape"])})
    if kind == "mapping":
        return {key: _from_json(item) for key, item in value.items()}
    return tuple(_from_json(item) for item in value)
