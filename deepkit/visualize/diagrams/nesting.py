"""Group the calls of a model into nested elements: boxes of layers, blocks, and equal elements that are drawn once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import keras

from deepkit.visualize.diagrams import layer_labels as _labels
from deepkit.visualize.diagrams.call_graph import LayerCall, Step
from deepkit.visualize.diagrams.elements import Element, LayerRow, Link, owner_of_calls, rows_of

_MAX_ROWS = 6  # layers of an unbranched block that is drawn as one box
# the same for a closed block: a merge, a dropout, and twice convolution, normalization, activation
_MAX_CLOSED_ROWS = 8
_ATTACHED = (_labels.NORMALIZATION, _labels.ACTIVATION)  # categories listed in the box of the preceding layer
_OUTSIDE = -1  # stands for all calls outside of an element


class _Group(NamedTuple):
    """Calls that lie in one block: its name, their positions, and the level at which their paths continue."""

    name: str
    calls: tuple[int, ...]
    level: int


@dataclass
class NestedGraph:
    """The calls of a model as nested elements, with `root` as the outermost one.

    Args:
        name: Name of the model.
        calls: The calls, as `trace_calls` returns them.
    """

    name: str
    calls: Sequence[LayerCall]
    links: set[Link] = field(init=False)
    outputs: set[int] = field(init=False)  # calls whose output is an output of the model
    drawn_calls: dict[int, int] = field(init=False, default_factory=dict)  # of calls in a copy that is not drawn
    root: Element = field(init=False)

    def __post_init__(self) -> None:
        self.links = {(source, i) for i, call in enumerate(self.calls) for source in call.sources}
        self.outputs = {i for i, call in enumerate(self.calls) if call.is_output}
        self.root = self._block(self.name, tuple(range(len(self.calls))), 0, is_root=True)

    def drawn_call(self, call: int) -> int:
        """Return the call that is drawn in place of a call."""
        while call in self.drawn_calls:
            call = self.drawn_calls[call]
        return call

    def _block(self, prefix: str, calls: tuple[int, ...], level: int, is_root: bool = False) -> Element:
        """Return a block, or a single box if the block is a short unbranched sequence of layers."""
        name = prefix.rstrip("_")
        elements = [self._element(group) for group in self._groups(calls, level)]
        elements = self._merge_copies(self._attach_layers(elements))
        if not is_root and len(elements) == 1 and elements[0].num_copies == 1:
            [only] = elements
            full_name = _join_names(prefix, only.name).rstrip("_")
            return replace(only, name=full_name, lists_block=not only.children)
        if not is_root and self._fits_one_box(elements):
            return self._described(Element(name, calls, rows_of(elements), lists_block=True))
        closed_rows = self._closed_rows(elements)
        return self._described(Element(name, calls, children=tuple(elements), closed_rows=closed_rows))

    def _element(self, group: _Group) -> Element:
        """Return a block for a group of calls, or a box for a single call."""
        name, calls, level = group
        call = self.calls[calls[0]]
        if len(calls) > 1 or len(call.path) > level:
            return self._block(name, calls, level)
        label, is_generic = _labels.label(call.layer), _labels.is_generic_name(name, call.layer)
        if _labels.is_unnamed_input(call.layer):
            name, label = "input", label.removeprefix("Input ")
        row = LayerRow(name, label, _labels.category(call.layer), _count_params([call.layer]), is_generic)
        return self._described(Element("", calls, (row,)))

    def _described(self, element: Element) -> Element:
        """Return an element with its output shape and its number of weights."""
        inside = set(element.calls)
        leaving = {source for source, target in self.links if source in inside and target not in inside}
        last_calls = [call for call in element.calls if call in self.outputs | leaving]
        shapes = dict.fromkeys(_labels.shape_text(shape) for call in last_calls for shape in self.calls[call].shapes)
        shown_shapes = [*shapes][:2] + ["…"] * (len(shapes) > 2)
        return replace(
            element,
            shape=", ".join(shown_shapes),
            num_params=_count_params(self.calls[call].layer for call in element.calls),
            reuses_weights=all(self.calls[call].reuses_weights for call in element.calls),
            is_output=len(self.outputs) > 1 and bool(self.outputs & inside),
        )

    # --- grouping by the names of blocks ---

    def _groups(self, calls: Iterable[int], level: int) -> list[_Group]:
        """Group calls by block; split the blocks that would form a cycle, and blocks without inner links."""
        groups = self._group_by_name("", calls, level)
        while True:
            split = self._cyclic_groups(groups) | self._unlinked_groups(groups)
            if not split:
                return groups
            next_groups = []
            for i, group in enumerate(groups):
                next_groups += self._group_by_name(*group) if i in split else [group]
            groups = next_groups

    def _group_by_name(self, prefix: str, calls: Iterable[int], level: int) -> list[_Group]:
        blocks: dict[Step, list[int]] = defaultdict(list)
        for call in calls:
            blocks[self.calls[call].path[level]].append(call)
        groups = []
        for step, members in blocks.items():
            name = step[0]
            if prefix.rstrip("_") != name:
                name = _join_names(prefix, name)
            groups.append(_Group(name, tuple(members), level + 1))
        return groups

    def _cyclic_groups(self, groups: list[_Group]) -> set[int]:
        """Return the groups of several calls that are on a cycle of groups, or between two cycles."""
        owner = owner_of_calls(groups)
        links = {
            (owner[source], owner[target])
            for source, target in self.links
            if source in owner and target in owner and owner[source] != owner[target]
        }
        while True:  # remove links from groups without sources and to groups without targets
            sources, targets = {source for source, _ in links}, {target for _, target in links}
            remaining = {(source, target) for source, target in links if source in targets and target in sources}
            if remaining == links:
                return {i for link in links for i in link if len(groups[i].calls) > 1}
            links = remaining

    def _unlinked_groups(self, groups: list[_Group]) -> set[int]:
        """Return the groups of layers that are not connected to each other: only their names look like a block."""
        unlinked = set()
        for i, (_, calls, level) in enumerate(groups):
            if len(calls) > 1 and all(len(self.calls[call].path) == level + 1 for call in calls):
                sources = {source for call in calls for source in self.calls[call].sources}
                if not sources & set(calls):
                    unlinked.add(i)
        return unlinked

    # --- chains of elements ---

    def _chains(self, elements: Sequence[Element]) -> list[list[Element]]:
        """Return chains of elements: each element's only source is the preceding one, which has no other target."""
        owner = owner_of_calls(elements)
        targets, sources = defaultdict(set), defaultdict(set)
        for source_call, target_call in self.links:
            source, target = owner.get(source_call, _OUTSIDE), owner.get(target_call, _OUTSIDE)
            if source != target:
                targets[source].add(target)
                sources[target].add(source)
        for call in self.outputs & set(owner):
            targets[owner[call]].add(_OUTSIDE)
        following = {}
        for source, all_targets in targets.items():
            target = min(all_targets)
            if source != _OUTSIDE and len(all_targets) == 1 and sources[target] == {source}:
                following[source] = target
        chains = []
        not_first = set(following.values())
        for i in range(len(elements)):
            if i in not_first:
                continue
            chain = [i]
            while following.get(chain[-1], _OUTSIDE) != _OUTSIDE:
                chain.append(following[chain[-1]])
            chains.append([elements[j] for j in chain])
        return chains

    def _fits_one_box(self, elements: Sequence[Element]) -> bool:
        """Return whether elements are a chain of few layers that one box can list."""
        for element in elements:
            if element.children or element.num_copies > 1 or element.lists_block:
                return False
        return len(rows_of(elements)) <= _MAX_ROWS and len(self._chains(elements)) == 1

    def _closed_rows(self, elements: Sequence[Element]) -> tuple[LayerRow, ...]:
        """Return the layers of a block for the box that replaces it when closed; empty if the layers are not a path."""
        has_blocks = any(element.children for element in elements)
        rows = rows_of(elements)
        return rows if not has_blocks and len(rows) <= _MAX_CLOSED_ROWS and self._is_path(elements) else ()

    def _is_path(self, elements: Sequence[Element]) -> bool:
        """Return whether elements follow each other and each input of the block, such as a skip, enters only one."""
        owner = owner_of_calls(elements)
        inner, incoming = set(), set()
        last_elements = {owner[call] for call in self.outputs & set(owner)}
        for source, target in self.links:
            if source in owner and target in owner:
                inner.add((owner[source], owner[target]))
            elif target in owner:
                incoming.add((source, owner[target]))
            elif source in owner:
                last_elements.add(owner[source])
        inner = {(source, target) for source, target in inner if source != target}
        enters_once = len({source for source, _ in incoming}) == len(incoming)
        path = {(i, i + 1) for i in range(len(elements) - 1)}
        return enters_once and inner == path and last_elements <= {len(elements) - 1}

    def _attach_layers(self, elements: Sequence[Element]) -> list[Element]:
        """List a normalization or an activation in the box of the layer before it."""
        result: list[Element] = []
        for chain in self._chains(elements):
            result.append(chain[0])
            for element in chain[1:]:
                previous = result[-1]
                if _is_attachable(element) and _accepts_rows(previous) and previous.shape == element.shape:
                    joined = Element("", previous.calls + element.calls, previous.rows + element.rows)
                    result[-1] = self._described(joined)
                else:
                    result.append(element)
        return result

    # --- equal elements ---

    def _merge_copies(self, elements: Sequence[Element]) -> list[Element]:
        """Replace consecutive equal elements by one."""
        result: list[Element] = []
        for chain in self._chains(elements):
            start = 0
            while start < len(chain):
                end = start + 1
                while end < len(chain) and self._signature(chain[end]) == self._signature(chain[start]):
                    end += 1
                result.append(self._merged(chain[start:end]))
                start = end
        return result

    def _merged(self, copies: Sequence[Element]) -> Element:
        first, last = copies[0], copies[-1]
        if len(copies) == 1:
            return first
        self._draw_first_copy(copies)
        rows = first.rows
        if not first.lists_block:
            names = [_name_range(a.name, b.name) for a, b in zip(first.rows, last.rows, strict=True)]
            rows = tuple(replace(row, name=name) for row, name in zip(first.rows, names, strict=True))
        num_params = _count_params(self.calls[call].layer for element in copies for call in element.calls)
        return replace(
            first,
            name=_name_range(first.name, last.name),
            rows=rows,
            num_copies=len(copies),
            num_params=num_params,
            reuses_weights=first.reuses_weights or num_params == first.num_params,
        )

    def _draw_first_copy(self, copies: Sequence[Element]) -> None:
        """Remove the links between copies and redirect all other links to the first copy."""
        owner = owner_of_calls(copies)
        links = set()
        for source, target in self.links:
            if owner.get(source, _OUTSIDE) == owner.get(target, _OUTSIDE) or not {source, target} <= set(owner):
                links.add((source, target))
        for element in copies[1:]:
            self.drawn_calls |= dict(zip(element.calls, copies[0].calls, strict=True))
        self.links = {(self.drawn_call(source), self.drawn_call(target)) for source, target in links}
        self.outputs = {self.drawn_call(call) for call in self.outputs}

    def _signature(self, element: Element) -> tuple[object, ...]:
        """Return a value that is equal for elements with equal layers, shapes and links, which are drawn as one."""
        position = {call: i for i, call in enumerate(element.calls)}
        inner, entries, ends, sources = set(), set(), set(), set()
        for source, target in self.links:
            if source in position and target in position:
                inner.add((position[source], position[target]))
            elif target in position:
                entries.add(position[target])
                sources.add(source)
            elif source in position:
                ends.add(position[source])
        ends |= {position[call] for call in self.outputs & set(position)}
        return _appearance(element), frozenset(inner), frozenset(ends), frozenset(entries), len(sources)


def _is_attachable(element: Element) -> bool:
    """Return whether an element is a box of normalizations and activations."""
    is_plain_box = not element.children and not element.lists_block
    return is_plain_box and all(row.category in _ATTACHED for row in element.rows)


def _accepts_rows(element: Element) -> bool:
    """Return whether an element is a box of layers to which a normalization or activation can be added."""
    is_plain_box = not element.children and not element.lists_block
    return is_plain_box and element.rows[0].category != _labels.INPUT


def _appearance(element: Element) -> tuple[object, ...]:
    """Return the visible properties of an element, without names."""
    rows = tuple((row.label, row.category, row.num_params) for row in element.rows)
    params_per_copy = element.num_params // element.num_copies
    children = tuple(_appearance(child) for child in element.children)
    return rows, element.shape, params_per_copy, element.num_copies, element.reuses_weights, children


def _count_params(layers: Iterable[keras.Operation]) -> int:
    """Return the number of weights of layers, each layer counted once."""
    counts = {id(layer): layer.count_params() for layer in layers if isinstance(layer, keras.layers.Layer)}
    return sum(counts.values())


def _join_names(block: str, name: str) -> str:
    """Return the name of a layer in a block; a block's name that ends in an underscore needs no dot."""
    separator = "." if block and name and not block.endswith("_") else ""
    return f"{block}{separator}{name}"


def _name_range(first: str, last: str) -> str:
    """Return `residual2–4` for the names of the first and the last copy."""
    if first == last:
        return first
    first_match, last_match = re.fullmatch(r"(.*?)(\d*)", first), re.fullmatch(r"(.*?)(\d*)", last)
    if first_match and last_match and first_match[1] == last_match[1] and first_match[2] and last_match[2]:
        return f"{first}–{last_match[2]}"
    return f"{first} … {last}"
