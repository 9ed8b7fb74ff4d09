"""Error messages: the received and the expected value, the path in the model, the code, and a hint.

Every error of deepkit has this layout:

    padding="valid" with kernel_size=5 needs an input of at least 5x5, received 3x3x128
      at    stage2.residual1.conv_block2
      in    dk.ConvBlock(128, kernel_size=5, conv={"padding": "valid"})
      hint: use padding="same", a smaller kernel, or one fewer pooling step before it
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

MAX_CODE_LINES = 8
MAX_VALUE_LENGTH = 100


def message(problem: str, *, path: str = "", code: object = "", hint: str = "") -> str:
    """Return the text of an error.

    Args:
        problem: The received value and the expected one.
        path: Dotted name of the block, layer or key concerned.
        code: The code that makes the block, or the block, whose `repr` is that code.
        hint: How to fix it, as an imperative: `"use padding='same'"`.
    """
    lines = [problem]
    if path:
        lines.append(f"  at    {path}")
    try:
        text = code if isinstance(code, str) else repr(code)
    except Exception:  # the message must not hide the problem
        text = f"<{type(code).__name__}>"
    if text:
        lines.append(f"  in    {_shorten_code(text)}")
    if hint:
        lines.append(f"  hint: {hint}")
    return "\n".join(lines)


class StructuredError(Exception):
    """An error with the parts of its message as attributes.

    Args:
        problem: The received value and the expected one.
        path: Dotted name of the block, layer or key concerned; empty at the top.
        code: The code that makes the block, or the block; `repr` is called when the message is read.
        hint: How to fix it, as an imperative.
    """

    def __init__(self, problem: str, *, path: str = "", code: object = "", hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.path, self.code, self.hint = problem, path, code, hint

    def __str__(self) -> str:
        return message(self.problem, path=self.path, code=self.code, hint=self.hint)

    def __reduce__(self) -> tuple[object, ...]:
        code = self.code if isinstance(self.code, str) else ""  # a block may not be picklable
        return _restore, (type(self), self.problem, self.path, code, self.hint)


def _restore(cls: type[StructuredError], problem: str, path: str, code: str, hint: str) -> StructuredError:
    """Return an unpickled error; subclasses may take other arguments than these."""
    error = cls.__new__(cls, problem)
    StructuredError.__init__(error, problem, path=path, code=code, hint=hint)
    return error


def make_error(kind: type[Exception], problem: str, *, hint: str = "") -> Exception:
    """Return an error of any kind with the common layout."""
    if issubclass(kind, StructuredError):
        return kind(problem, hint=hint)
    return kind(message(problem, hint=hint))


def format_value(value: object, limit: int = MAX_VALUE_LENGTH) -> str:
    """Return a short `repr` of a value; an array or a tensor is described by shape and dtype, never printed.

    >>> import numpy as np
    >>> format_value({"x": np.zeros((60_000, 28, 28))})
    "{'x': <ndarray of shape (60000, 28, 28) and dtype float64>}"
    """
    try:
        text = _SHORT.repr(value)
    except Exception:  # an object whose attributes or `repr` raise
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


class _ShortRepr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 6
        self.maxstring = self.maxlong = self.maxother = MAX_VALUE_LENGTH

    def repr1(self, x: object, level: int) -> str:
        try:
            shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
        except Exception:  # a property of a foreign class raises
            return super().repr1(x, level)
        if isinstance(x, type) or shape is None:
            return super().repr1(x, level)
        type_name, dtype_name = type(x).__name__, getattr(dtype, "name", dtype)
        if shape == () and dtype is not None:
            return repr(x.item()) if hasattr(x, "item") else f"<{type_name} scalar of dtype {dtype_name}>"
        if getattr(shape, "rank", 0) is None:
            return f"<{type_name} of unknown shape and dtype {dtype_name}>"
        and_dtype = "" if dtype is None else f" and dtype {dtype_name}"
        return f"<{type_name} of shape {tuple(shape)}{and_dtype}>"

    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:  # Python limits the number of digits
            return f"<int of {x.bit_length():,} bits>"


_SHORT = _ShortRepr()


def did_you_mean(name: object, choices: Iterable[object]) -> str:
    """Return `"; did you mean 'x'?"` for the choice closest to a string, or an empty string if none is close."""
    if not isinstance(name, str):
        return ""
    names = sorted({choice for choice in choices if isinstance(choice, str)})
    close = difflib.get_close_matches(name[:MAX_VALUE_LENGTH], names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def did_you_mean_or_list(name: object, choices: Iterable[object], listing: str = "it takes") -> str:
    """Return `"; did you mean 'x'?"` for the closest choice, or a list of all choices, introduced by `listing`."""
    names = [choice for choice in choices if isinstance(choice, str)]
    return did_you_mean(name, names) or f"; {listing} {', '.join(names) or 'nothing'}"


def _shorten_code(text: str) -> str:
    lines = text.split("\n")
    if len(lines) > MAX_CODE_LINES:
        lines = [*lines[: MAX_CODE_LINES - 1], "..."]
    return "\n        ".join(lines)
