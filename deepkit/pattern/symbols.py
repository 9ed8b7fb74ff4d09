"""The layers of a pattern, its parts (atoms, groups, repeats), and errors that point into its text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deepkit.definition.errors import DefinitionError

MAX_LINE_WIDTH = 72  # characters of a long line that an error shows
INTEGER, DECIMAL = "[0-9]+", r"([0-9]*\.[0-9]+|[0-9]+)"


@dataclass(frozen=True)
class Kind:
    """The syntax of one kind of layer.

    Args:
        size: Description of its size for error messages; empty if it has no size.
        size_regex: Regular expression of the size.
        example: A correct example.
        has_window: Whether it slides a window over an image, and therefore has a stride and a padding.
    """

    size: str = ""
    size_regex: str = ""
    example: str = ""
    has_window: bool = False


_POOL = Kind("K or KxK", f"{INTEGER}(x{INTEGER})?", "POOL2", has_window=True)

ACTIVATIONS = (
    "RELU", "RELU6", "LEAKYRELU", "ELU", "SELU", "GELU", "SILU", "SWISH", "MISH", "SIGMOID", "TANH", "SOFTPLUS",
    "SOFTSIGN",
)  # fmt: skip

KINDS: dict[str, Kind] = {
    "INPUT": Kind("ROWSxCOLUMNSxCHANNELS", f"{INTEGER}(x{INTEGER})*", "INPUT32x32x3"),
    "CONV": Kind("FILTERS or KxKxFILTERS", f"{INTEGER}(x{INTEGER}x{INTEGER})?", "CONV3x3x64", has_window=True),
    **dict.fromkeys(("POOL", "MAXPOOL", "AVGPOOL", "L2POOL"), _POOL),
    "GAP": Kind(),
    "BN": Kind(),
    "LRN": Kind(),
    "DROPOUT": Kind("a rate in [0, 1)", DECIMAL, "DROPOUT0.5"),
    "FLATTEN": Kind(),
    "FC": Kind("UNITS", INTEGER, "FC256"),
    "SOFTMAX": Kind("CLASSES", INTEGER, "SOFTMAX10"),
    **dict.fromkeys(ACTIVATIONS, Kind()),
    "LEAKYRELU": Kind("a slope", DECIMAL, "LEAKYRELU0.1"),
}


@dataclass(frozen=True)
class Atom:
    """One layer in the text of a pattern.

    Args:
        kind: Kind of the layer: `"CONV"`.
        text: Its whole text: `"CONV3x3x64/2"`.
        position: Index of its first character in the pattern.
        size: The numbers of its size; empty if it has none.
        strides: The stride, or None.
        padding: `"same"`, `"valid"`, or None.
    """

    kind: str
    text: str
    position: int
    size: tuple[float, ...] = ()
    strides: int | None = None
    padding: str | None = None


@dataclass(frozen=True)
class Item:
    """An atom or a group, with its repeat and its `?`.

    Args:
        body: The atom, or the items of the group.
        position: Index of its first character in the pattern.
        repeats: Number of repeats, the letter of an argument, or None if it is not repeated.
        repeats_position: Index of the number or letter.
        optional_position: Index of the `?`, or None.
    """

    body: Atom | tuple[Item, ...]
    position: int
    repeats: int | str | None = None
    repeats_position: int = 0
    optional_position: int | None = None

    def walk(self) -> Iterator[Item]:
        """Yield this item and all items in it, in the order of the text."""
        yield self
        if not isinstance(self.body, Atom):
            for item in self.body:
                yield from item.walk()

    def atoms(self) -> Iterator[Atom]:
        """Yield the atoms in it, in the order of the text."""
        for item in self.walk():
            if isinstance(item.body, Atom):
                yield item.body


@dataclass(frozen=True)
class Source:
    """The text of a pattern, for errors that point into it."""

    text: str

    def error(self, position: int, problem: str, hint: str = "") -> DefinitionError:
        """Return (not raise) an error that shows the line of a position with a caret below it."""
        position = min(position, len(self.text.rstrip()))
        line_start = self.text.rfind("\n", 0, position) + 1
        line, column = self.text[line_start:].split("\n")[0].rstrip(), position - line_start
        location = f"column {column + 1}"
        if "\n" in self.text.strip():
            location = f"line {self.text.count(chr(10), 0, line_start) + 1}, {location}"
        return DefinitionError(f"from_pattern: {location}: {problem}\n{_with_caret(line, column)}", hint=hint)


def _with_caret(line: str, column: int) -> str:
    """Return a line, or the part of a long line around the column, with a caret below; both are indented."""
    line = "".join(character if character.isprintable() else " " for character in line)
    left = max(0, min(column - MAX_LINE_WIDTH // 2, len(line) - MAX_LINE_WIDTH))
    excerpt = line[left : left + MAX_LINE_WIDTH]
    if left:
        excerpt = f"...{excerpt[3:]}"
    if left + MAX_LINE_WIDTH < len(line):
        excerpt = f"{excerpt[:-3]}..."
    indent = " " * 8
    return f"{indent}{excerpt}\n{indent}{' ' * (column - left)}^"
