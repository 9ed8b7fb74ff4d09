"""A mapping as a value: what blocks keep their named parts in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deepkit.definition import source as code


class FrozenDict(Mapping[str, Any]):
    """Named parts in their order, as a value: frozen, hashable, and printed as a dict.

    Two are equal when their names, their parts and their order are: the order is that of a concatenation.

    Args:
        items: The parts by name.
        show: Returns the code that makes a part.
    """

    def __init__(self, items: Mapping[str, Any], show: Callable[[Any], str] = repr) -> None:
        self._items, self._show = dict(items), show

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
        return code.mapping({code.quoted(name): self._show(part) for name, part in self._items.items()})
