"""A recursive descent parser: from the text of a pattern to atoms and groups.

seq  = item {("-" | "->" | ",") item}
item = atom ["*" (INT | LETTER)] ["?"]
atom = KIND [size] ["/" INT] [padding] | "(" seq ")" | "[" seq "]"
"""

from __future__ import annotations

import difflib
import re

from deepkit.definition.errors import DefinitionError
from deepkit.pattern.symbols import DECIMAL, INTEGER, KINDS, Atom, Item, Source
from deepkit.utils.errors import format_value

MAX_DEPTH = 30  # of nested brackets
MAX_DIGITS = 9  # of a number

_KIND = re.compile(r"L2POOL|RELU6(?![0-9])|[A-Z]+")
_SIZE = re.compile(r"[0-9.][0-9.xX×]*")
_INTEGER = re.compile(INTEGER)
_LETTER = re.compile(r"[A-Z](?![A-Za-z0-9])")
_WORD = re.compile(r"\w+")
_CLOSING = {"(": ")", "[": "]"}
_DASHES = tuple("–—−→⟶")  # printed instead of a hyphen or an arrow
_SYNONYMS = {
    "CONVOLUTION": "CONV",
    "DENSE": "FC",
    "LINEAR": "FC",
    "NORM": "BN or LRN",
    "BATCHNORM": "BN",
    "AVERAGEPOOL": "AVGPOOL",
    "GLOBALAVGPOOL": "GAP",
    "GLOBALAVERAGEPOOL": "GAP",
    "DROP": "DROPOUT",
    "LOGISTIC": "SIGMOID",
}


def parse(source: Source) -> tuple[Item, ...]:
    """Return the items of a pattern.

    Raises:
        DefinitionError: The text is not a pattern; the error points at the column.
    """
    if not source.text.strip():
        raise DefinitionError(
            "from_pattern: the pattern is empty", hint='write layers, such as "CONV32-RELU-POOL-SOFTMAX10"'
        )
    parser = _Parser(source)
    items = parser.sequence(0)
    parser.end()
    return items


class _Parser:
    """Reads the text from left to right; one method for each rule of the grammar."""

    def __init__(self, source: Source) -> None:
        self.source, self.text, self.position = source, source.text, 0

    def sequence(self, depth: int) -> tuple[Item, ...]:
        items = [self.item(depth)]
        while self.accept("-") or self.accept(","):
            if self.text[self.position - 1] == "-" and self.text.startswith(">", self.position):
                self.position += 1
            items.append(self.item(depth))
        return tuple(items)

    def item(self, depth: int) -> Item:
        self.skip_spaces()
        position = self.position
        body = self.group(depth) if self.peek() in _CLOSING else self.atom()
        repeats, repeats_position = self.repeats() if self.accept("*") else (None, 0)
        optional_position = self.position - 1 if self.accept("?") else None
        return Item(body, position, repeats, repeats_position, optional_position)

    def group(self, depth: int) -> tuple[Item, ...]:
        start, opening = self.position, self.text[self.position]
        closing = _CLOSING[opening]
        if depth == MAX_DEPTH:
            raise self.source.error(start, f"brackets are more than {MAX_DEPTH} deep", "use fewer brackets")
        self.position += 1
        items = self.sequence(depth + 1)
        if not self.peek():
            raise self.source.error(start, f"{opening!r} is never closed", f"add {closing!r} after its last layer")
        if not self.accept(closing):
            if self.peek() in _CLOSING.values():
                problem = f"{self.peek()!r} closes the {opening!r} of column {self.column(start)}"
                raise self.source.error(self.position, problem, f"use {closing!r}")
            raise self.unexpected()
        return items

    def end(self) -> None:
        if self.peek() in _CLOSING.values():
            raise self.source.error(self.position, f"{self.peek()!r} has no opening bracket", "remove it")
        if self.peek():
            raise self.unexpected()

    def repeats(self) -> tuple[int | str, int]:
        self.skip_spaces()
        position = self.position
        if letter := self.match(_LETTER):
            return letter, position
        if digits := self.match(_INTEGER):
            return self.positive_integer(digits, position, "a repeat"), position
        problem = f"expected a number or one capital letter after '*', received {self.received()}"
        raise self.source.error(position, problem, "use *2 or *N")

    def atom(self) -> Atom:
        position, kind = self.position, self.kind()
        size = self.size(kind)
        strides = padding = None
        if self.accept("/"):
            strides = self.strides(kind)
        if self.peek() in ("s", "v"):
            padding = self.padding(kind)
        text = "".join(self.text[position : self.position].split())
        return Atom(kind, text, position, size, strides, padding)

    def kind(self) -> str:
        position, kind = self.position, self.match(_KIND)
        if kind in KINDS:
            return kind
        self.position = position
        if not self.peek().isalpha():
            hint = "write a layer such as CONV64 or POOL"
            if self.peek() in _DASHES:
                hint = "use '-', the hyphen"
            raise self.source.error(position, f"expected a layer or a bracket, received {self.received()}", hint)
        word = self.match(re.compile(r"\w[A-Za-z_]*"))
        if word.upper() in KINDS:
            raise self.source.error(position, f"{word!r}: layers are written in capitals", f"use {word.upper()}")
        close = difflib.get_close_matches(word.upper(), KINDS, n=1)
        suggestion = _SYNONYMS.get(word.upper(), close[0] if close else "")
        if suggestion:
            problem = f"unknown layer {word!r}; did you mean {suggestion}?"
            raise self.source.error(position, problem, f"use {suggestion}")
        raise self.source.error(position, f"unknown layer {format_value(word)}", f"use one of {', '.join(KINDS)}")

    def size(self, kind: str) -> tuple[float, ...]:
        self.skip_spaces()
        position, text, syntax = self.position, self.match(_SIZE), KINDS[kind]
        if not text:
            return ()
        if not syntax.size:
            raise self.source.error(position, f"{kind} takes no size, received {text!r}", f"use {kind}")
        if kind == "CONV" and re.fullmatch(f"{INTEGER}x{INTEGER}", text):
            raise self.kernel_without_filters(text, position)
        if not re.fullmatch(syntax.size_regex, text):
            raise self.wrong_size(kind, text, position)
        if syntax.size_regex != DECIMAL:
            numbers = text.split("x")
            return tuple(self.positive_integer(digits, position, f"a size of {kind}") for digits in numbers)
        if float(text) >= (1 if kind == "DROPOUT" else 10**MAX_DIGITS):
            raise self.wrong_size(kind, text, position)
        return (float(text),)

    def wrong_size(self, kind: str, text: str, position: int) -> DefinitionError:
        syntax = KINDS[kind]
        return self.source.error(position, f"{kind} takes {syntax.size}, received {text!r}", f"use {syntax.example}")

    def kernel_without_filters(self, text: str, position: int) -> DefinitionError:
        hint = f"use CONV{text}x64"
        rows, columns = text.split("x")
        if rows == columns:
            hint += f", or CONV64 with kernel_size={rows}"
        return self.source.error(position, f"{text!r} is a kernel without the number of filters", hint)

    def strides(self, kind: str) -> int:
        self.skip_spaces()
        position = self.position
        if not KINDS[kind].has_window:
            raise self.source.error(position - 1, f"{kind} takes no stride", f"use {kind} without a stride")
        digits = self.match(_INTEGER)
        if not digits:
            problem = f"expected a stride after '/', received {self.received()}"
            raise self.source.error(position, problem, f"use {KINDS[kind].example}/2")
        return self.positive_integer(digits, position, "a stride")

    def padding(self, kind: str) -> str:
        position, letter = self.position, self.text[self.position]
        word = self.match(_WORD)
        if len(word) > 1:
            problem = f"expected '-', ',' or the end, received {word!r}"
            raise self.source.error(position, problem, "write '-' between two layers")
        if not KINDS[kind].has_window:
            problem = f"{kind} takes no padding, received {letter!r}"
            raise self.source.error(position, problem, f"use {kind} without padding")
        return "same" if letter == "s" else "valid"

    def positive_integer(self, digits: str, position: int, name: str) -> int:
        if len(digits) > MAX_DIGITS:
            problem = f"{name} must have at most {MAX_DIGITS} digits, received {len(digits)}"
            raise self.source.error(position, problem, "use a smaller number")
        if int(digits) == 0:
            raise self.source.error(position, f"{name} must be at least 1, received {digits}", "use 1 or more")
        return int(digits)

    def unexpected(self) -> DefinitionError:
        """Return the error for a character that cannot follow an item."""
        character, previous = self.peek(), self.text[: self.position].rstrip()[-1:]
        hint = "write '-' between two layers"
        if character == "*" and previous == "?":
            hint = "write '*' before '?'"
        elif character == "*":
            hint = "use brackets: (CONV*2)*3"
        elif character == "?":
            hint = "use one '?'"
        elif character in _DASHES:
            hint = "use '-', the hyphen"
        elif character == "/":
            hint = "write the stride before the padding: CONV64/2s"
        problem = f"expected '-', ',' or the end, received {self.received()}"
        return self.source.error(self.position, problem, hint)

    def skip_spaces(self) -> None:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def peek(self) -> str:
        """Return the next character that is not a space; an empty string at the end."""
        self.skip_spaces()
        return self.text[self.position : self.position + 1]

    def accept(self, character: str) -> bool:
        """Skip `character` if it comes next, and return whether it does."""
        is_next = self.peek() == character
        self.position += is_next
        return is_next

    def match(self, regex: re.Pattern[str]) -> str:
        """Skip and return the text that matches here; an empty string if nothing does."""
        match = regex.match(self.text, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match.group()

    def received(self) -> str:
        """Return the next word or character for an error message."""
        if not self.peek():
            return "the end"
        word = _WORD.match(self.text, self.position)
        return repr(word.group() if word else self.peek())

    def column(self, position: int) -> int:
        return position - self.text.rfind("\n", 0, position)
