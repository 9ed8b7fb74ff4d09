"""Encoding of the columns of a table inside the model."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.definition import fields, source
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.frozen_dict import FrozenDict
from deepkit.definition.functional import Functional
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.sequential import Sequential
from deepkit.layers import DateFeatures, ImputedNormalization
from deepkit.utils.errors import did_you_mean, format_value

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Tensors

INPUT_KINDS = ("numeric", "categorical", "boolean", "text", "date")
_INPUTS = {  # shape and dtype of the input of each kind
    "numeric": InputSpec((1,)),
    "boolean": InputSpec((1,)),
    "date": InputSpec((1,), "int64"),
    "categorical": InputSpec((1,), "string"),
    "text": InputSpec((), "string"),
}
_TEXT_OUTPUTS = ("multi_hot", "count", "tf_idf")
_EXAMPLE = 'use dk.TableEncoder(columns={"area": "numeric", "city": "categorical"})'
_DATA_HINT = (
    "train it with dk.fit on the data of dk.data.from_table, which has the kinds of the columns, or pass "
    'columns={"area": "numeric", "city": "categorical"}'
)


class _ColumnsField(fields.Field["Mapping[str, str] | None", "Mapping[str, str] | None"]):
    """The kinds of columns by name, in their order; None for those of the data."""

    def validate(self, value: object, name: str) -> FrozenDict | None:
        if value is None:
            return None
        if not isinstance(value, Mapping) or not value:
            problem = f"{name} must be a mapping of names to kinds, received {format_value(value)}"
            raise DefinitionError(problem, hint=_EXAMPLE)
        for column, kind in value.items():
            if not isinstance(column, str) or not column or "/" in column:
                problem = f"{name}: the name of a column must be a string without '/', received {format_value(column)}"
                raise DefinitionError(problem, hint=_EXAMPLE)
            if not isinstance(kind, str) or kind not in INPUT_KINDS:
                kinds = ", ".join(map(repr, INPUT_KINDS))
                problem = f"{name}[{column!r}] must be one of {kinds}, received {format_value(kind)}"
                hint = "leave the column out" if isinstance(kind, str) and kind == "ignore" else _EXAMPLE
                raise DefinitionError(problem + did_you_mean(kind, INPUT_KINDS), hint=hint)
        return FrozenDict({column: str(kind) for column, kind in value.items()}, source.quoted)

    def to_source(self, value: FrozenDict | None) -> str:
        return repr(value)

    def to_data(self, value: FrozenDict | None, writer: fields.DataWriter) -> object:
        return None if value is None else dict(value)

    def from_data(self, value: object, path: str, reader: fields.DataReader) -> object:
        return None if value is None else reader.named(value, path, reader.value)


class _NamesField(fields.Field["Sequence[str] | None", "tuple[str, ...] | None"]):
    """Names of columns; None for those of the data."""

    def validate(self, value: object, name: str) -> tuple[str, ...] | None:
        if value is None:
            return None
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            problem = f"{name} must be a list of names of columns, received {format_value(value)}"
            raise DefinitionError(problem, hint='use indicators=["age"]')
        return tuple(map(str, value))

    def to_source(self, value: tuple[str, ...] | None) -> str:
        return "None" if value is None else source.sequence([source.quoted(item) for item in value])


class TableEncoder(Block):
    """Encode the columns of a table as one vector of features, with Keras's preprocessing layers inside the model.

    The first element of a definition for the data of `dk.data.from_table`. `dk.fit` adapts it to the training rows, and
    the saved model takes the raw columns by name.

    - numeric, boolean: normalized; a missing value (NaN) is replaced by the mean. A column with missing values in the
      training data has a second feature, which is 1 for a missing value.
    - date: the years since 2000, and sine and cosine of the position within the year, the week and the day; normalized
      like numbers.
    - categorical: `StringLookup`, then one-hot, or an `Embedding` for more than `max_one_hot` values. A missing value
      (an empty string) has index 0, and a value that the training data lacks index 1.
    - text: `TextVectorization` with a feature for each of the most frequent words.

    Args:
        columns: The kind of each column by name: "numeric", "categorical", "boolean", "text" or "date". None for the
            kinds of the data: those of `dk.data.from_table`; of other data, floats and integers are numeric, strings
            categorical.
        max_one_hot: Largest number of indices of a categorical column that is one-hot encoded.
        embedding_dim: Width of the embedding of a categorical column with more indices.
        indicators: Names of the numeric, boolean and date columns with a feature for missing values; None for those
            with missing values in the training data.
        lookup: Further arguments of `keras.layers.StringLookup`: `{"max_tokens": 1000}`.
        text: Further arguments of `keras.layers.TextVectorization`; by default `{"max_tokens": 1000}`, and
            `output_mode` is `"multi_hot"`.

    Input shape:
        A mapping of columns by name: numbers, strings, and seconds since 1970 (int64) for dates, each `(batch,)` or
        `(batch, 1)`.

    Output shape:
        `(batch, features)`.

    Raises:
        DefinitionError: An argument is invalid, the kinds of the columns are unknown, or a column is absent.

    Examples:
        >>> import deepkit as dk
        >>> houses = {
        ...     "area": [50.0, None, 120.0, 75.0],
        ...     "city": ["Oslo", "Rome", "Oslo", "Rome"],
        ... }
        >>> houses["price"] = [210.5, 250.0, 400.5, 199.0]
        >>> data = dk.data.from_table(houses, target="price", verbose=False)
        >>> run = dk.fit(
        ...     dk.Sequential([dk.TableEncoder(), dk.Regressor(1)]), data, verbose=0
        ... )
        >>> run.model.get_layer(
        ...     "regressor.dense"
        ... ).input.shape  # area, its indicator, and 4 indices of city
        (None, 6)
        >>> run.model.predict(
        ...     data.columns.convert({"area": 70, "city": None}), verbose=0
        ... ).shape
        (1, 1)
    """

    columns: fields.Field[Mapping[str, str] | None, Mapping[str, str] | None] = _ColumnsField(default=None)
    _: KW_ONLY
    max_one_hot: int = fields.integer(default=64)
    embedding_dim: int = fields.integer(default=16)
    indicators: fields.Field[Sequence[str] | None, tuple[str, ...] | None] = _NamesField(default=None)
    lookup: fields.KerasArguments = fields.keras_arguments(
        layers.StringLookup, excluding=("mask_token", "vocabulary", "output_mode", "invert", "sparse", "idf_weights")
    )
    text: fields.KerasArguments = fields.keras_arguments(
        layers.TextVectorization,
        excluding=("vocabulary", "output_sequence_length", "ragged", "sparse", "idf_weights", "pad_to_max_tokens"),
    )

    def check(self) -> None:
        """Refuse indicators of columns that have none, and texts encoded as sequences."""
        for name in self.indicators or ():
            if self.columns is not None and self.columns.get(name) not in ("numeric", "boolean", "date"):
                received = f"the {self.columns[name]} column {name!r}" if name in self.columns else repr(name)
                problem = f"TableEncoder: indicators must be numeric, boolean or date columns, received {received}"
                raise DefinitionError(problem, hint="leave it out: a missing category has an index of its own")
        output_mode = self.text.get("output_mode", _TEXT_OUTPUTS[0])
        if output_mode not in _TEXT_OUTPUTS:
            problem = (
                f"TableEncoder(text=...): output_mode must be one of {', '.join(map(repr, _TEXT_OUTPUTS))}, received "
                f"{format_value(output_mode)}"
            )
            raise DefinitionError(problem, hint="use dk.Text in a dk.Functional for a sequence of token ids")

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: the columns."""
        return True

    @property
    def fills_missing_values(self) -> bool:
        """True: NaN is a missing value."""
        return True

    def input_spec(self) -> InputSpecs:
        """Return an input for each column."""
        specs = {name: _INPUTS[kind] for name, kind in self._kinds().items()}
        return InputSpecs(tuple((name, dataclasses.replace(spec, name=name)) for name, spec in specs.items()))

    def add(self, x: Tensors, builder: Builder) -> KerasTensor:
        """Add the layers of each column, and concatenate their features."""
        columns = self._columns(x, builder)
        names = _layer_names(columns)
        features = self._add_numbers(columns, names, builder)
        for name, kind in self._kinds().items():
            if kind == "categorical":
                features.append(self._add_categories(columns[name], names[name], builder))
            elif kind == "text":
                features.append(self._add_text(columns[name], names[name], builder))
        return _concatenate(features, "features", builder)

    def _kinds(self) -> Mapping[str, str]:
        if self.columns is None:
            raise DefinitionError("TableEncoder: the kinds of the columns are unknown", code=self, hint=_DATA_HINT)
        return self.columns

    def _columns(self, x: Tensors, builder: Builder) -> dict[str, KerasTensor]:
        """Return the input of each column by name; several tensors without names have those of their inputs."""
        if isinstance(x, Mapping):
            columns = dict(x)
        else:
            columns = {tensor.name: tensor for tensor in ([x] if isinstance(x, keras.KerasTensor) else list(x))}
        kinds = self._kinds()
        if set(columns) != set(kinds):
            received = f"a tensor {shape_text(x)}" if isinstance(x, keras.KerasTensor) else ", ".join(columns)
            raise builder.error(
                f"a TableEncoder takes its columns {', '.join(kinds)} by name, received {received}",
                hint="make it the first element of dk.Sequential, and pass x as a mapping of columns",
            )
        for name, kind in kinds.items():
            self._check_column(name, kind, columns[name], builder)
        return columns

    def _check_column(self, name: str, kind: str, column: KerasTensor, builder: Builder) -> None:
        spec = _INPUTS[kind]
        dtype = keras.backend.standardize_dtype(column.dtype)
        has_other_dtype = (dtype == "string") != (spec.dtype == "string") or (kind == "date" and dtype != "int64")
        if has_other_dtype or tuple(column.shape[1:]) != spec.shape:
            expected = spec.dtype or "float32"
            raise builder.error(
                f"the {kind} column {name!r} has the shape {spec.shape} and dtype {expected}, received "
                f"{tuple(column.shape[1:])} and {dtype}",
                hint=f'use dk.Input({spec.shape}, dtype="{expected}")',
            )

    def _add_numbers(
        self, columns: Mapping[str, KerasTensor], names: Mapping[str, str], builder: Builder
    ) -> list[KerasTensor]:
        """Add the layers of all numeric, boolean and date columns: one normalization."""
        numbers, indicators, size = [], [], 0
        for name, kind in self._kinds().items():
            if kind not in ("numeric", "boolean", "date"):
                continue
            column = columns[name]
            if kind == "date":
                column = builder.add_layer(column, f"{names[name]}.date", DateFeatures, dtype="float32")
            if name in (self.indicators or ()):
                indicators.append(size)
            numbers.append(column)
            size += column.shape[-1]
        if not numbers:
            return []
        joined = _concatenate(numbers, "numbers", builder)
        normalized = builder.add_layer(
            joined, "normalization", ImputedNormalization, indicators=indicators, dtype="float32"
        )
        return [normalized]

    def _add_categories(self, x: KerasTensor, name: str, builder: Builder) -> KerasTensor:
        """Add the layers of a categorical column; its encoding depends on the size of the vocabulary."""
        ids = builder.add_layer(x, f"{name}.ids", layers.StringLookup, mask_token="", **self.lookup.new())
        size = ids._keras_history.operation.vocabulary_size()
        if size <= self.max_one_hot:
            return builder.add_layer(
                ids, f"{name}.one_hot", layers.CategoryEncoding, size, output_mode="one_hot", dtype="float32"
            )
        embedded = builder.add_layer(ids, f"{name}.embedding", layers.Embedding, size, self.embedding_dim)
        return builder.add_layer(embedded, f"{name}.flatten", layers.Flatten)

    def _add_text(self, x: KerasTensor, name: str, builder: Builder) -> KerasTensor:
        arguments = {"max_tokens": 1000, "output_mode": _TEXT_OUTPUTS[0], **self.text.new()}
        return builder.add_layer(x, f"{name}.words", layers.TextVectorization, **arguments)


def _concatenate(tensors: list[KerasTensor], name: str, builder: Builder) -> KerasTensor:
    """Concatenate features in float32: half precision cannot hold numbers that are not normalized."""
    return tensors[0] if len(tensors) == 1 else builder.add_layer(tensors, name, layers.Concatenate, dtype="float32")


def _layer_names(columns: Mapping[str, object]) -> dict[str, str]:
    """Return a name for the layers of each column: letters, digits and underscores, and distinct."""
    names: dict[str, str] = {}
    for column in columns:
        base = name = re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_") or "column"
        number = 2
        while name in names.values() or name in ("numbers", "normalization", "features"):
            name, number = f"{base}_{number}", number + 1
        names[column] = name
    return names


def has_open_columns(net: object) -> bool:
    """Return whether a definition has a `TableEncoder` whose columns or indicators follow the data."""
    encoders = _encoders(net)
    return any(encoder.columns is None or encoder.indicators is None for encoder in encoders)


def complete_columns(net: Any, kinds: Mapping[str, str], with_missing_values: Sequence[str]) -> Any:
    """Return a definition whose `TableEncoder` has the columns of the data, and indicators for missing values.

    Args:
        net: The definition; one without a `TableEncoder` is returned as it is.
        kinds: The kind of each column by name.
        with_missing_values: The names of the columns with missing values.
    """
    if isinstance(net, TableEncoder):
        columns = kinds if net.columns is None else net.columns
        indicators = net.indicators
        if indicators is None:
            numbers = [name for name, kind in columns.items() if kind in ("numeric", "boolean", "date")]
            indicators = tuple(name for name in numbers if name in with_missing_values)
        return dataclasses.replace(net, columns=columns, indicators=indicators)
    if isinstance(net, Sequential) and _encoders(net):
        first = complete_columns(net.layers[0], kinds, with_missing_values)
        return dataclasses.replace(net, layers=[first, *net.layers[1:]])
    if isinstance(net, Functional) and _encoders(net):
        nodes = {}
        for name, (sources, body) in net.nodes.items():
            names = [sources] if isinstance(sources, str) else list(sources)
            of_node = {column: kind for column, kind in kinds.items() if column in names}
            first = [complete_columns(element, of_node, with_missing_values) for element in body[:1]]
            nodes[name] = (sources, [*first, *body[1:]])
        return dataclasses.replace(net, nodes=nodes)
    return net


def _encoders(net: object) -> list[TableEncoder]:
    """Return the encoders that read the inputs of a definition."""
    if isinstance(net, TableEncoder):
        return [net]
    if isinstance(net, Sequential):
        return _encoders(net.layers[0]) if net.layers else []
    if isinstance(net, Functional):
        return [encoder for _, body in net.nodes.values() for element in body[:1] for encoder in _encoders(element)]
    return []
