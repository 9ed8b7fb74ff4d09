"""The path of a value in plain data, such as `layers[3].body`, for error messages."""

from __future__ import annotations

from collections.abc import Iterable

from deepkit.utils.errors import format_value

_MAX_KEY = 60  # characters of a key
_MAX_PATH = 200


def join_path(path: str, key: str) -> str:
    """Return the path of an item of the mapping at `path`."""
    return f"{path}.{key}" if path and key else path or key


def key_text(key: object) -> str:
    """Return a key as it appears in a path: shortened if it is long or not a printable string."""
    return key if isinstance(key, str) and key.isprintable() and len(key) <= _MAX_KEY else format_value(key)


def path_of(keys: Iterable[object]) -> str:
    """Return the path of a value from the keys and the positions that lead to it, shortened if it is long."""
    path = ""
    for key in keys:
        path = f"{path}[{key}]" if type(key) is int else join_path(path, key_text(key))
    return path if len(path) <= _MAX_PATH else f"{path[:_MAX_PATH]}..."
