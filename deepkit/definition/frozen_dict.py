"""An immutable, hashable mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deepkit.definition import source


class FrozenDict(Mapping[str, Any]):
    """An ordered, immutable, hashable mapping, printed as a dictionary.

    Two mappings are equal if their names, values and order are equal: branches are concatenated in this order.

    Args:
        items: The values by name.
        to_source: Function that returns the source code of a value.
    """

    def __init__(self, items: Mapping[str, Any], to_source: Callable[[Any], str] = repr) -> None:
        self._items = {str(name): value for name, value in items.items()}
        self._to_source = to_source

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenDict) and list(self._items.items()) == list(other._items.items())

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return source.mapping({source.quoted(name): self._to_source(value) for name, value in self._items.items()})
