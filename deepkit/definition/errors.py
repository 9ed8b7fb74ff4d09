"""What is wrong with a definition, where, and what to try instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from deepkit.utils.errors import StructuredError

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class DefinitionError(StructuredError, ValueError):
    """A definition that cannot become a model.

    Args:
        problem: What was received and what was expected.
        path: Dotted name of the block concerned, such as `"stage2.residual1.conv_block2"`; empty at the top.
        code: The block, or the code that makes it.
        hint: What to do instead.
    """


@contextmanager
def inside(role: str) -> Iterator[None]:
    """Say of an error in a part that is built by itself that it lies there."""
    try:
        yield
    except DefinitionError as error:
        path = ".".join(part for part in (role, error.path) if part)
        raise DefinitionError(error.problem, path=path, code=error.code, hint=error.hint) from error


def shape_text(x: Any) -> str:
    """Return shapes without the batch axis, as people write them: `28x28x1`; `?` for an unknown size."""
    leaves = keras.tree.flatten(x)
    texts = ["x".join("?" if n is None else str(n) for n in leaf.shape[1:]) or "()" for leaf in leaves]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def check_name(name: str | None, owner: str) -> None:
    """Raise unless `name` may be part of a layer's name."""
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        better = re.sub(r"[^A-Za-z0-9_-]+", "_", str(name)).strip("_") or "block"
        raise DefinitionError(
            f"{owner}: name must be letters, digits, '_' or '-', received {name!r}", hint=f"name={better!r}"
        )


def first_line(error: Exception) -> str:
    """Return what an error of Keras says, in one line."""
    text = str(error).strip()
    text = re.sub(r"^Exception encountered when calling \S+\.\s*", "", text)
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return " ".join((text or type(error).__name__).split("\n\n")[0].split())
