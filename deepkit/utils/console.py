"""How deepkit speaks to a person: one place, so that it can be silenced or captured in one place."""

from __future__ import annotations

import functools

from rich.console import Console


@functools.cache
def console() -> Console:
    """Return the console that all of deepkit prints to (standard output, resolved at each print)."""
    return Console(soft_wrap=True, highlight=False)


def echo(message: str) -> None:
    """Print one line for a person; square brackets are printed as they are."""
    console().print(message, markup=False)
