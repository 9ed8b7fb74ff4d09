"""The error of definitions, and functions for its message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras

from deepkit.utils.errors import StructuredError, format_value

if TYPE_CHECKING:
    from deepkit.utils.types import Tensors

MAX_LINE = 500
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class DefinitionError(StructuredError, ValueError):
    """A definition that cannot become a model.

    Args:
        problem: The received value and the expected one.
        path: Dotted name of the block concerned, such as `"stage2.residual1.conv_block2"`; empty at the top.
        code: The block, or the code that makes it.
        hint: How to fix it, as an imperative.

    Examples:
        >>> import deepkit as dk
        >>> dk.ConvBlock(8, kernel_size=5, conv={"padding": "valid"}).build((3, 3, 1))
        Traceback (most recent call last):
            ...
        deepkit.definition.errors.DefinitionError: padding="valid" with kernel_size=5 needs an input of at least 5x5...
          in    dk.ConvBlock(8, kernel_size=5, conv={"padding": "valid"})
          hint: use padding="same", a smaller kernel, ...
    """


class MissingArgumentError(DefinitionError, TypeError):
    """A block without a required argument; also a `TypeError`, as Python raises for a function."""


@contextmanager
def error_path(name: str) -> Iterator[None]:
    """Prepend `name` to the path of every `DefinitionError` that is raised in the `with` body."""
    try:
        yield
    except DefinitionError as error:
        path = f"{name}.{error.path}" if error.path else name
        raise DefinitionError(error.problem, path=path, code=error.code, hint=error.hint) from error


def shape_text(x: Tensors) -> str:
    """Return the shape of one or several tensors without the batch axis: `28x28x1`, with `?` for an unknown size."""
    leaves = keras.tree.flatten(x)
    texts = ["x".join("?" if n is None else str(n) for n in leaf.shape[1:]) or "()" for leaf in leaves]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def check_name(name: object, argument: str) -> None:
    """Raise a `DefinitionError` unless `name` consists of characters that a layer's name may have."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return
    text = name[:40] if isinstance(name, str) else ""
    suggestion = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_") or "block"
    raise DefinitionError(
        f"{argument} must consist of letters, digits, '_' or '-', received {format_value(name)}",
        hint=f"use {suggestion!r}",
    )


def check_default_name(name: object, definition: object) -> None:
    """Raise a `DefinitionError` unless the `default_name` of a definition is a name in snake case."""
    if isinstance(name, str) and name.isidentifier() and name == name.lower():
        return
    text = name[:40] if isinstance(name, str) else ""
    suggestion = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)).strip("_").lower()
    suggestion = suggestion if suggestion.isidentifier() else "block"
    raise DefinitionError(
        f"{type(definition).__name__}.default_name must be a name in snake case, received {format_value(name)}",
        code=definition,
        hint=f"use {suggestion!r}",
    )


def first_line(error: Exception) -> str:
    """Return the first paragraph of a Keras error message as one line of at most 500 characters."""
    text = str(error).strip()
    text = re.sub(r"^Exception encountered when calling \S+\.\s*", "", text)
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    line = " ".join((text or type(error).__name__).split("\n\n")[0].split())
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 3]}..."
