"""A mapping as a value: what blocks keep their named parts in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deepkit import code


class Named(Mapping[str, Any]):
    """Named parts in their order, as a value: frozen, hashable, and printed as a dict.

    Two are equal when their names, their parts and their order are: the order is that of a concatenation.

    Args:
        items: The parts by name.
        texts: The code that makes each part, by name.
    """

    def __init__(self, items: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        self._items, self._texts = dict(items), dict(texts)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and list(self._items.items()) == list(other._items.items())

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return code.mapping({code.quoted(name): text for name, text in self._texts.items()})
