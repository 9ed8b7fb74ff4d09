"""The words of a pattern: the kinds of layers, what may follow each, and errors that point into the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deepkit.definition.errors import DefinitionError

WIDTH = 72  # of the part of a long line that an error shows
INT, DECIMAL = "[0-9]+", r"([0-9]*\.[0-9]+|[0-9]+)"


@dataclass(frozen=True)
class Kind:
    """What may follow the name of a kind.

    Args:
        size: Its size in words; empty where it takes none.
        form: The size as a regular expression.
        example: One that is right.
        window: Whether it slides over an image, and so has a stride and a padding.
    """

    size: str = ""
    form: str = ""
    example: str = ""
    window: bool = False


_POOL = Kind("K or KxK", f"{INT}(x{INT})?", "POOL2", window=True)

ACTIVATIONS = (
    "RELU", "RELU6", "LEAKYRELU", "ELU", "SELU", "GELU", "SILU", "SWISH", "MISH", "SIGMOID", "TANH", "SOFTPLUS",
    "SOFTSIGN",
)  # fmt: skip

KINDS: dict[str, Kind] = {
    "INPUT": Kind("ROWSxCOLUMNSxCHANNELS", f"{INT}(x{INT})*", "INPUT32x32x3"),
    "CONV": Kind("FILTERS or KxKxFILTERS", f"{INT}(x{INT}x{INT})?", "CONV3x3x64", window=True),
    **dict.fromkeys(("POOL", "MAXPOOL", "AVGPOOL", "L2POOL"), _POOL),
    "GAP": Kind(),
    "BN": Kind(),
    "LRN": Kind(),
    "DROPOUT": Kind("a rate in [0, 1)", DECIMAL, "DROPOUT0.5"),
    "FLATTEN": Kind(),
    "FC": Kind("UNITS", INT, "FC256"),
    "SOFTMAX": Kind("CLASSES", INT, "SOFTMAX10"),
    **dict.fromkeys(ACTIVATIONS, Kind()),
    "LEAKYRELU": Kind("a slope", DECIMAL, "LEAKYRELU0.1"),
}


@dataclass(frozen=True)
class Atom:
    """One layer as it is written.

    Args:
        kind: Its kind: `"CONV"`.
        text: All of it: `"CONV3x3x64/2"`.
        at: Where it begins in the pattern.
        size: The numbers of its size; empty where it has none.
        strides: The stride, where one is written.
        padding: `"same"` or `"valid"`, where it is written.
    """

    kind: str
    text: str
    at: int
    size: tuple[float, ...] = ()
    strides: int | None = None
    padding: str | None = None


@dataclass(frozen=True)
class Item:
    """An atom or a group, how often it comes, and whether it may be left out.

    Args:
        body: The atom, or what is in the brackets.
        at: Where it begins in the pattern.
        times: A number, a letter, or None where it is not repeated.
        times_at: Where that stands.
        asked_at: Where the `?` stands, None without.
    """

    body: Atom | tuple[Item, ...]
    at: int
    times: int | str | None = None
    times_at: int = 0
    asked_at: int | None = None

    def nested(self) -> Iterator[Item]:
        """Return this item and those in it, in the order of the text."""
        yield self
        if not isinstance(self.body, Atom):
            for item in self.body:
                yield from item.nested()

    def atoms(self) -> Iterator[Atom]:
        """Return the atoms in it, in the order of the text."""
        for item in self.nested():
            if isinstance(item.body, Atom):
                yield item.body


@dataclass(frozen=True)
class Source:
    """The text of a pattern, for errors that point into it."""

    text: str

    def error(self, at: int, problem: str, hint: str = "") -> DefinitionError:
        """Return (not raise) an error that shows the line with a caret under position `at`."""
        at = min(at, len(self.text.rstrip()))
        start = self.text.rfind("\n", 0, at) + 1
        line, column = self.text[start:].split("\n")[0].rstrip(), at - start
        where = f"column {column + 1}"
        if "\n" in self.text.strip():
            where = f"line {self.text.count(chr(10), 0, start) + 1}, {where}"
        return DefinitionError(f"from_pattern: {where}: {problem}", code=_pointed(line, column), hint=hint)


def _pointed(line: str, column: int) -> str:
    """Return the line, or the part of it around the column, with a caret below."""
    line = "".join(sign if sign.isprintable() else " " for sign in line)
    left = max(0, min(column - WIDTH // 2, len(line) - WIDTH))
    shown = line[left : left + WIDTH]
    shown = "..." + shown[3:] if left else shown
    shown = shown[:-3] + "..." if left + WIDTH < len(line) else shown
    return f"{shown}\n{' ' * (column - left)}^"
