"""The console: all of deepkit's output to the user, so that it can be silenced or captured in one place."""

from __future__ import annotations

import functools

from rich.console import Console


@functools.cache
def console() -> Console:
    """Return the console for all output; it writes to the current standard output at each print, also in Jupyter."""
    return Console(soft_wrap=True, highlight=False, force_jupyter=False)


def echo(message: str) -> None:
    """Print a message; square brackets are printed, not interpreted as markup."""
    console().print(message, markup=False)
