"""The text of a pattern, read into atoms and groups from left to right.

seq  = item {("-" | "->" | ",") item}
item = atom ["*" (INT | LETTER)] ["?"]
atom = KIND [size] ["/" INT] [padding] | "(" seq ")" | "[" seq "]"
"""

from __future__ import annotations

import difflib
import re

from deepkit.definition.errors import DefinitionError
from deepkit.pattern.symbols import DECIMAL, INT, KINDS, Atom, Item, Source

DEEPEST = 30  # brackets in brackets
DIGITS = 9  # in one number

_KIND = re.compile(r"L2POOL|RELU6(?![0-9])|[A-Z]+")
_SIZE = re.compile(r"[0-9.][0-9.xX×]*")
_CLOSING = {"(": ")", "[": "]"}
_DASHES = tuple("–—−→⟶")  # what a dash becomes in a printed page
_ALSO_CALLED = {
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
        DefinitionError: The text is not a pattern; the error shows where.
    """
    if not source.text.strip():
        raise DefinitionError("from_pattern: the pattern is empty", hint='"CONV32-RELU-POOL-SOFTMAX10"')
    parser = _Parser(source)
    items = parser.sequence(0)
    parser.end()
    return items


class _Parser:
    """Reads from left to right, one method for each rule of the grammar."""

    def __init__(self, source: Source) -> None:
        self.source, self.text, self.at = source, source.text, 0

    def sequence(self, depth: int) -> tuple[Item, ...]:
        items = [self.item(depth)]
        while self.take("-") or self.take(","):
            if self.text[self.at - 1] == "-" and self.text.startswith(">", self.at):
                self.at += 1
            items.append(self.item(depth))
        return tuple(items)

    def item(self, depth: int) -> Item:
        self.skip()
        at = self.at
        body = self.group(depth) if self.next() in _CLOSING else self.atom()
        times, times_at = self.times() if self.take("*") else (None, 0)
        asked_at = self.at - 1 if self.take("?") else None
        return Item(body, at, times, times_at, asked_at)

    def group(self, depth: int) -> tuple[Item, ...]:
        opened_at, opened = self.at, self.text[self.at]
        if depth == DEEPEST:
            raise self.source.error(opened_at, f"brackets more than {DEEPEST} deep", "fewer brackets")
        self.at += 1
        items = self.sequence(depth + 1)
        if not self.next():
            raise self.source.error(
                opened_at, f"{opened!r} is never closed", f"{_CLOSING[opened]!r} behind its last layer"
            )
        if not self.take(_CLOSING[opened]):
            if self.next() in _CLOSING.values():
                problem = f"{self.next()!r} closes the {opened!r} of column {self.column(opened_at)}"
                raise self.source.error(self.at, problem, f"{_CLOSING[opened]!r}")
            raise self.unexpected()
        return items

    def end(self) -> None:
        if self.next() in _CLOSING.values():
            raise self.source.error(self.at, f"{self.next()!r} closes nothing", "leaving it out")
        if self.next():
            raise self.unexpected()

    def times(self) -> tuple[int | str, int]:
        self.skip()
        at = self.at
        if letter := self.match(re.compile(r"[A-Z](?![A-Za-z0-9])")):
            return letter, at
        if digits := self.match(re.compile(INT)):
            return self.whole(digits, at, "a repeat"), at
        raise self.source.error(
            at, f"expected a number or one capital letter after '*', found {self.found()}", "*2 or *N"
        )

    def atom(self) -> Atom:
        at, kind = self.at, self.kind()
        size = self.size(kind)
        strides = padding = None
        if self.take("/"):
            strides = self.stride(kind)
        if self.next() in ("s", "v"):
            padding = self.padding(kind)
        return Atom(kind, "".join(self.text[at : self.at].split()), at, size, strides, padding)

    def kind(self) -> str:
        at, kind = self.at, self.match(_KIND)
        if kind in KINDS:
            return kind
        self.at = at
        if not self.next().isalpha():
            hint = "'-', the plain sign" if self.next() in _DASHES else "a layer such as CONV64 or POOL"
            raise self.source.error(at, f"expected a layer or a bracket, found {self.found()}", hint)
        word = self.match(re.compile(r"\w[A-Za-z_]*"))
        if word.upper() in KINDS:
            raise self.source.error(at, f"{word!r}: kinds of layers are written in capitals", word.upper())
        near = difflib.get_close_matches(word.upper(), KINDS, n=1)
        hint = _ALSO_CALLED.get(word.upper(), near[0] if near else "")
        asked = f"; did you mean {hint}?" if hint else ""
        raise self.source.error(at, f"unknown kind of layer {word!r}{asked}", hint or f"one of {', '.join(KINDS)}")

    def size(self, kind: str) -> tuple[float, ...]:
        self.skip()
        at, raw, rule = self.at, self.match(_SIZE), KINDS[kind]
        if not raw:
            return ()
        if not rule.size:
            raise self.source.error(at, f"{kind} takes no size, found {raw!r}", kind)
        if kind == "CONV" and re.fullmatch(f"{INT}x{INT}", raw):
            problem = f"{raw!r} is a kernel without its number of filters"
            rows, columns = raw.split("x")
            also = f", or CONV64 with kernel_size={rows}" if rows == columns else ""
            raise self.source.error(at, problem, f"CONV{raw}x64{also}")
        if not re.fullmatch(rule.form, raw):
            raise self.source.error(at, f"{kind} takes {rule.size}, found {raw!r}", rule.example)
        if rule.form != DECIMAL:
            return tuple(self.whole(digits, at, f"a size of {kind}") for digits in raw.split("x"))
        if float(raw) >= (1 if kind == "DROPOUT" else 10**DIGITS):
            raise self.source.error(at, f"{kind} takes {rule.size}, found {raw!r}", rule.example)
        return (float(raw),)

    def stride(self, kind: str) -> int:
        self.skip()
        at = self.at
        if not KINDS[kind].window:
            raise self.source.error(at - 1, f"{kind} takes no stride", f"{kind} without it")
        digits = self.match(re.compile(INT))
        if not digits:
            raise self.source.error(
                at, f"expected a stride after '/', found {self.found()}", f"{KINDS[kind].example}/2"
            )
        return self.whole(digits, at, "a stride")

    def padding(self, kind: str) -> str:
        at, letter = self.at, self.text[self.at]
        word = self.match(re.compile(r"\w+"))
        if len(word) > 1:
            raise self.source.error(at, f"expected '-', ',' or the end, found {word!r}", "'-' between two layers")
        if not KINDS[kind].window:
            raise self.source.error(at, f"{kind} takes no padding, found {letter!r}", f"{kind} without it")
        return "same" if letter == "s" else "valid"

    def whole(self, digits: str, at: int, what: str) -> int:
        """Return a positive whole number."""
        if len(digits) > DIGITS:
            problem = f"{what} has {len(digits)} digits, expected at most {DIGITS}"
            raise self.source.error(at, problem, "a smaller number")
        if int(digits) == 0:
            raise self.source.error(at, f"{what} must be at least 1, found {digits}", "1")
        return int(digits)

    def unexpected(self) -> DefinitionError:
        """Return the error for what may not follow an item."""
        found, before = self.next(), self.text[: self.at].rstrip()[-1:]
        hint = "'-' between two layers"
        if found == "*":
            hint = "'*' before '?'" if before == "?" else "brackets: (CONV*2)*3"
        elif found == "?":
            hint = "one '?'"
        elif found in _DASHES:
            hint = "'-', the plain sign"
        elif found == "/":
            hint = "the stride before the padding: CONV64/2s"
        return self.source.error(self.at, f"expected '-', ',' or the end, found {self.found()}", hint)

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def next(self) -> str:
        """Return the next character that is no space, empty at the end."""
        self.skip()
        return self.text[self.at : self.at + 1]

    def take(self, sign: str) -> bool:
        """Pass `sign` where it comes next."""
        found = self.next() == sign
        self.at += found
        return found

    def match(self, form: re.Pattern[str]) -> str:
        """Pass and return what has this form here; empty where nothing has."""
        found = form.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found.group() if found else ""

    def found(self) -> str:
        """Return what comes next, in words."""
        if not self.next():
            return "the end"
        word = re.compile(r"\w+").match(self.text, self.at)
        return repr(word.group() if word else self.next())

    def column(self, at: int) -> int:
        return at - self.text.rfind("\n", 0, at)
