"""Types that annotations share: aliases, and Protocols for the objects of TensorFlow, which has no types.

Import this module under `if TYPE_CHECKING:`; importing it at run time imports Keras.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, Union

import gymnasium
import keras
from numpy.typing import ArrayLike as ArrayLike

Shape: TypeAlias = tuple[int | None, ...]
"""A shape; None is an unknown size."""

PathLike: TypeAlias = str | os.PathLike[str]

KerasTensor: TypeAlias = keras.KerasTensor
"""A symbolic tensor, as `keras.Input` returns it."""

Tensors: TypeAlias = KerasTensor | Sequence[KerasTensor] | Mapping[str, KerasTensor]
"""One symbolic tensor, or several by position or by name."""

ActivationLike: TypeAlias = str | Callable[..., Any] | None
InitializerLike: TypeAlias = str | keras.initializers.Initializer | Callable[..., Any]
RegularizerLike: TypeAlias = str | keras.regularizers.Regularizer | None
ConstraintLike: TypeAlias = str | keras.constraints.Constraint | None
LossLike: TypeAlias = str | keras.losses.Loss | Callable[..., Any]
MetricLike: TypeAlias = str | keras.metrics.Metric | Callable[..., Any]
OptimizerLike: TypeAlias = str | keras.optimizers.Optimizer

History: TypeAlias = dict[str, list[float | Any]]
"""Loss and metrics by name: for each epoch a float, or a list of floats for a metric with several values."""

ClassNames: TypeAlias = tuple[str, ...] | Mapping[str, tuple[str, ...]]
"""Names of classes by label, by name of the output if there are several; empty if unknown."""

EnvLike: TypeAlias = (
    str | gymnasium.Env | gymnasium.vector.VectorEnv | Callable[..., gymnasium.Env | gymnasium.vector.VectorEnv]
)
"""The name of an environment, an environment, a vector environment, or a function or class that makes one."""

Nested: TypeAlias = Union["Tensor", Sequence["Nested"], Mapping[str, "Nested"]]
"""A tensor, or lists and dictionaries of them, such as a batch."""


class Tensor(Protocol):
    """A tensor or an array, as functions of `keras.ops` take and return it."""

    @property
    def shape(self) -> Any:
        """The sizes of the axes."""

    @property
    def dtype(self) -> Any:
        """The data type of the values."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __len__(self) -> int: ...
    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __rtruediv__(self, other: Any, /) -> Any: ...
    def __pow__(self, other: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...
    def __le__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...
    def __ge__(self, other: Any, /) -> Any: ...


class Dataset(Protocol):
    """A `tf.data.Dataset`."""

    @property
    def element_spec(self) -> Any:
        """The specs of an element, in its structure."""

    def __iter__(self) -> Iterator[Any]: ...
    def as_numpy_iterator(self) -> Iterator[Any]:
        """Return an iterator over the elements as NumPy arrays."""

    def apply(self, transformation_func: Callable[[Any], Any]) -> Dataset:
        """Apply a function to the dataset."""

    def batch(self, batch_size: int, drop_remainder: bool = ..., **kwargs: object) -> Dataset:
        """Combine consecutive elements into batches."""

    def cache(self) -> Dataset:
        """Cache the elements in memory."""

    def cardinality(self) -> Any:
        """Return the number of elements; negative if it is unknown or infinite."""

    def enumerate(self, start: int = ...) -> Dataset:
        """Number the elements."""

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """Keep the elements for which `predicate` is True."""

    def flat_map(self, map_func: Callable[..., Any]) -> Dataset:
        """Apply `map_func`, which returns a dataset, to each element, and concatenate the results."""

    def map(self, map_func: Callable[..., Any], **kwargs: object) -> Dataset:
        """Apply `map_func` to each element."""

    def prefetch(self, buffer_size: int) -> Dataset:
        """Prepare elements in advance."""

    def ragged_batch(self, batch_size: int, drop_remainder: bool = ...) -> Dataset:
        """Combine consecutive elements of different shapes into ragged batches."""

    def repeat(self, count: int | None = ...) -> Dataset:
        """Repeat the dataset; without end if `count` is None."""

    def shuffle(self, buffer_size: int, **kwargs: object) -> Dataset:
        """Shuffle the elements."""

    def skip(self, count: int) -> Dataset:
        """Skip the first elements."""

    def take(self, count: int) -> Dataset:
        """Keep only the first elements."""

    def unbatch(self) -> Dataset:
        """Split batches into elements."""

    def with_options(self, options: object) -> Dataset:
        """Set `tf.data.Options`."""
