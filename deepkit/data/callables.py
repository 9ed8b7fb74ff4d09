"""Telling one function from another across processes."""

from __future__ import annotations

import functools
import hashlib
import types
from typing import Any

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def identify(function: Any) -> str:
    """Describe a function so that the description changes with its name or code, not from run to run.

    Of the values that it closes over only plain ones (numbers, text, tuples of them) count: others print
    with an address that is new in each process.

    Args:
        function: anything callable, or None.

    Returns:
        One line of text.

    Examples:
        >>> identify(None)
        'None'
        >>> identify(lambda x: x + 1) == identify(lambda x: x + 2)
        False

    """
    if isinstance(function, functools.partial):
        return f"partial({identify(function.func)}, {_values(function.args)}, {_values(function.keywords)})"
    if not callable(function):
        return repr(function)
    kind = function if hasattr(function, "__qualname__") else type(function)
    name = f"{getattr(function, '__module__', '')}.{kind.__qualname__}"
    if not isinstance(function, types.FunctionType):
        return name
    held = tuple(cell.cell_contents for cell in function.__closure__ or ())
    return f"{name} {_code(function.__code__)} {_values((held, function.__defaults__, function.__kwdefaults__))}"


def _code(code: types.CodeType) -> str:
    text = repr((code.co_code, _values(code.co_consts), code.co_names))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _values(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, frozenset | set):  # printed in another order in each process
        return f"{{{', '.join(sorted(map(_values, value)))}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_values, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_values(value[key])}' for key in sorted(value, key=str))}}}"
    if isinstance(value, _PLAIN):
        return repr(value)
    return identify(value) if callable(value) else type(value).__qualname__
