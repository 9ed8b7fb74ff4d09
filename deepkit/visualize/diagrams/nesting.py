"""The calls of a model as parts within parts: what is one box, what is a block around boxes, what is drawn once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deepkit.visualize.diagrams import labels as _labels
from deepkit.visualize.diagrams.boxes import Link, Part, Row, rows_of
from deepkit.visualize.diagrams.graph import Use

_ROWS = 6  # a block that is a plain run of so many layers is one box that lists them
_CLOSED = 8  # so many, if it is closed: two of convolution, normalisation and activation behind a merge and a dropout
_LIGHT = (_labels.NORMALISATION, _labels.ACTIVATION)  # listed in the box of the layer before


@dataclass
class Nest:
    """Reads calls as nested parts; `root` is the result.

    Args:
        name: Of the whole.
        uses: As `_graph.read` returns them.
    """

    name: str
    uses: Sequence[Use]
    links: set[Link] = field(init=False)
    outside: set[int] = field(init=False)  # calls whose output the model returns
    alias: dict[int, int] = field(
        init=False, default_factory=dict
    )  # calls in a copy, to those in the copy that is drawn
    root: Part = field(init=False)

    def __post_init__(self) -> None:
        self.links = {(source, i) for i, use in enumerate(self.uses) for source in use.sources}
        self.outside = {i for i, use in enumerate(self.uses) if use.exits}
        self.root = self._group(self.name, tuple(range(len(self.uses))), 0, top=True)

    def place(self, use: int) -> int:
        """Return the call that is drawn for this one."""
        while use in self.alias:
            use = self.alias[use]
        return use

    def _group(self, prefix: str, members: tuple[int, ...], level: int, top: bool = False) -> Part:
        name = prefix.rstrip("_")
        parts = [self._part(*clump) for clump in self._clumps(members, level)]
        parts = self._fold(self._runs(parts))
        if not top and len(parts) == 1 and parts[0].times == 1:
            [only] = parts
            return replace(only, name=_dotted(prefix, only.name).rstrip("_"), joined=not only.parts)
        if not top and self._is_run(parts):
            return self._described(Part(name, members, rows_of(parts), joined=True))
        return self._described(Part(name, members, parts=tuple(parts), listing=self._listing(parts)))

    def _part(self, name: str, members: tuple[int, ...], level: int) -> Part:
        use = self.uses[members[0]]
        if len(members) > 1 or len(use.path) > level:
            return self._group(name, members, level)
        text, kind, plain = _labels.label(use.layer), _labels.category(use.layer), _labels.repeats(name, use.layer)
        if _labels.is_numbered_input(use.layer):
            name, text = "input", text.removeprefix("Input ")
        row = Row(name, text, kind, _params([use.layer]), plain)
        return self._described(Part("", members, (row,)))

    def _described(self, part: Part) -> Part:
        members = set(part.uses)
        leaving = {a for a, b in self.links if a in members and b not in members}
        ends = [u for u in part.uses if u in self.outside | leaving]
        shapes = dict.fromkeys(_labels.size_text(s) for u in ends for s in self.uses[u].shapes)
        texts = [*shapes][:2] + ["…"] * (len(shapes) > 2)
        again = all(self.uses[u].again for u in part.uses)
        params = _params(self.uses[u].layer for u in part.uses)
        output = len(self.outside) > 1 and bool(self.outside & members)
        return replace(part, shape=", ".join(texts), params=params, again=again, output=output)

    # --- blocks ---

    def _clumps(self, members: Iterable[int], level: int) -> list[tuple[str, tuple[int, ...], int]]:
        """Sort calls by the block they lie in; blocks that would feed each other in a circle are taken apart."""
        clumps = self._sorted("", members, level)
        while True:
            split = self._circular(clumps) | self._empty(clumps)
            if not split:
                return clumps
            clumps = [
                inner
                for i, (name, uses, depth) in enumerate(clumps)
                for inner in (self._sorted(name, uses, depth) if i in split else [(name, uses, depth)])
            ]

    def _sorted(self, prefix: str, members: Iterable[int], level: int) -> list[tuple[str, tuple[int, ...], int]]:
        blocks: dict[Any, list[int]] = defaultdict(list)
        for use in members:
            blocks[self.uses[use].path[level]].append(use)
        named = {step: step[0] if prefix.rstrip("_") == step[0] else _dotted(prefix, step[0]) for step in blocks}
        return [(named[step], tuple(uses), level + 1) for step, uses in blocks.items()]

    def _circular(self, clumps: list[tuple[str, tuple[int, ...], int]]) -> set[int]:
        owner = {use: i for i, (_, uses, _) in enumerate(clumps) for use in uses}
        links = {(owner[a], owner[b]) for a, b in self.links if a in owner and b in owner and owner[a] != owner[b]}
        while True:
            starts, ends = {a for a, _ in links}, {b for _, b in links}
            inner = {(a, b) for a, b in links if a in ends and b in starts}
            if inner == links:
                return {i for link in links for i in link if len(clumps[i][1]) > 1}
            links = inner

    def _empty(self, clumps: list[tuple[str, tuple[int, ...], int]]) -> set[int]:
        """Return the blocks of single layers none of which feeds another: they only look like blocks."""
        flat = [i for i, (_, uses, depth) in enumerate(clumps) if uses[1:] and self._layers_at(uses, depth)]
        fed = {i: {source for use in clumps[i][1] for source in self.uses[use].sources} for i in flat}
        return {i for i in flat if not fed[i] & set(clumps[i][1])}

    def _layers_at(self, uses: Iterable[int], level: int) -> bool:
        return all(len(self.uses[use].path) == level + 1 for use in uses)

    # --- what stands in a row ---

    def _chains(self, parts: Sequence[Part]) -> list[list[Part]]:
        """Return the parts in rows, each part of a row fed by the one before it alone and feeding it alone."""
        owner = {use: i for i, part in enumerate(parts) for use in part.uses}
        feeds, fed = defaultdict(set), defaultdict(set)
        for a, b in self.links:
            source, target = owner.get(a, -1), owner.get(b, -1)
            if source != target:
                feeds[source].add(target)
                fed[target].add(source)
        for use in self.outside & set(owner):
            feeds[owner[use]].add(-1)
        after = {i: min(to) for i, to in feeds.items() if i >= 0 and len(to) == 1 and fed[min(to)] == {i}}
        chains, following = [], set(after.values())
        for i in range(len(parts)):
            if i in following:
                continue
            chain = [i]
            while after.get(chain[-1], -1) >= 0:
                chain.append(after[chain[-1]])
            chains.append([parts[j] for j in chain])
        return chains

    def _is_run(self, parts: Sequence[Part]) -> bool:
        """Whether parts are so few layers one after the other that they can be listed."""
        plain = all(not part.parts and part.times == 1 and not part.joined for part in parts)
        return plain and len(rows_of(parts)) <= _ROWS and len(self._chains(parts)) == 1

    def _listing(self, parts: Sequence[Part]) -> tuple[Row, ...]:
        """Return the layers of a block that is to be closed, where a list of them tells what they do."""
        few = all(not part.parts for part in parts) and len(rows_of(parts)) <= _CLOSED
        return rows_of(parts) if few and self._is_path(parts) else ()

    def _is_path(self, parts: Sequence[Part]) -> bool:
        """Whether parts follow each other, and what comes from outside, such as a skip, comes to one of them only."""
        owner = {use: i for i, part in enumerate(parts) for use in part.uses}
        inner = {(owner[a], owner[b]) for a, b in self.links if a in owner and b in owner and owner[a] != owner[b]}
        entries = {(a, owner[b]) for a, b in self.links if b in owner and a not in owner}
        last = {owner[a] for a, b in self.links if a in owner and b not in owner}
        last |= {owner[use] for use in self.outside & set(owner)}
        once = len({net for net, _ in entries}) == len(entries)
        return once and inner == {(i, i + 1) for i in range(len(parts) - 1)} and last <= {len(parts) - 1}

    def _runs(self, parts: Sequence[Part]) -> list[Part]:
        """List a normalisation or an activation in the box of the layer before it."""
        done: list[Part] = []
        for chain in self._chains(parts):
            done.append(chain[0])
            for part in chain[1:]:
                before = done[-1]
                light = not part.parts and not part.joined and all(row.kind in _LIGHT for row in part.rows)
                head = not before.parts and not before.joined and before.rows[0].kind != _labels.INPUT
                if light and head and before.shape == part.shape:
                    done[-1] = self._described(Part("", before.uses + part.uses, before.rows + part.rows))
                else:
                    done.append(part)
        return done

    def _fold(self, parts: Sequence[Part]) -> list[Part]:
        """Draw equal parts in a row as one."""
        done: list[Part] = []
        for chain in self._chains(parts):
            start = 0
            while start < len(chain):
                end = start + 1
                while end < len(chain) and self._sign(chain[end]) == self._sign(chain[start]):
                    end += 1
                done.append(self._folded(chain[start:end]))
                start = end
        return done

    def _folded(self, copies: Sequence[Part]) -> Part:
        first, last = copies[0], copies[-1]
        if len(copies) == 1:
            return first
        owner = {use: i for i, part in enumerate(copies) for use in part.uses}
        self.links = {(a, b) for a, b in self.links if owner.get(a, -1) == owner.get(b, -1) or not {a, b} <= {*owner}}
        for part in copies[1:]:
            self.alias |= dict(zip(part.uses, first.uses, strict=True))
        self.links = {(self.place(a), self.place(b)) for a, b in self.links}
        self.outside = {self.place(use) for use in self.outside}
        rows = tuple(replace(a, name=_span(a.name, b.name)) for a, b in zip(first.rows, last.rows, strict=True))
        params = _params(self.uses[u].layer for part in copies for u in part.uses)
        again = first.again or params == first.params
        return replace(
            first, name=_span(first.name, last.name), rows=first.rows if first.joined else rows,
            times=len(copies), params=params, again=again,
        )  # fmt: skip

    def _sign(self, part: Part) -> Any:
        """Return what two parts have in common that are drawn as one: layers, shapes, and how they are linked."""
        at = {use: i for i, use in enumerate(part.uses)}
        inner = frozenset((at.get(a, -1), at.get(b, -1)) for a, b in self.links if a in at or b in at)
        exits = frozenset(at[use] for use in self.outside & set(at))
        ends = frozenset(a for a, b in inner if b == -1) | exits
        sources = len({a for a, b in self.links if b in at and a not in at})
        entries = frozenset(b for a, b in inner if a == -1)
        return _look(part), frozenset(link for link in inner if -1 not in link), ends, entries, sources


def _look(part: Part) -> Any:
    rows = tuple((row.text, row.kind, row.params) for row in part.rows)
    each = part.params if part.times == 1 else part.params // part.times
    return rows, part.shape, each, part.times, part.again, tuple(_look(inner) for inner in part.parts)


def _params(layers: Iterable[Any]) -> int:
    counted = {id(layer): layer.count_params() for layer in layers if hasattr(layer, "count_params")}
    return sum(counted.values())


def _dotted(block: str, name: str) -> str:
    """Return the name of a part of a block as its layers have it: a block's own end is an underscore or nothing."""
    joint = "." if block and name and not block.endswith("_") else ""
    return f"{block}{joint}{name}"


def _span(first: str, last: str) -> str:
    """Return `residual2-4` for the first and last of a row."""
    if first == last:
        return first
    a, b = re.fullmatch(r"(.*?)(\d*)", first), re.fullmatch(r"(.*?)(\d*)", last)
    same = a and b and a[1] == b[1] and a[2] and b[2]
    return f"{first}–{b[2]}" if same and b else f"{first} … {last}"
