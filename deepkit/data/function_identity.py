"""Text that identifies a function across processes, for fingerprints."""

from __future__ import annotations

import functools
import hashlib
import types

_PLAIN_TYPES = (bool, int, float, complex, str, bytes, type(None))


def function_identity(function: object) -> str:
    """Return a string that depends on the name and the code of a function, and is the same in every process.

    Values in the function's closure and defaults count if they are plain: numbers, strings, and containers of
    them. Other objects count by their class only, because their `repr` contains a memory address.

    Args:
        function: A callable, or None.

    Returns:
        A string of one line.

    Examples:
        >>> function_identity(None)
        'None'
        >>> function_identity(lambda x: x + 1) == function_identity(lambda x: x + 2)
        False
    """
    if isinstance(function, functools.partial):
        arguments = f"{_value_text(function.args)}, {_value_text(function.keywords)}"
        return f"partial({function_identity(function.func)}, {arguments})"
    if not callable(function):
        return repr(function)
    named = function if hasattr(function, "__qualname__") else type(function)
    name = f"{getattr(function, '__module__', '')}.{named.__qualname__}"
    if not isinstance(function, types.FunctionType):
        return name
    closure = tuple(cell.cell_contents for cell in function.__closure__ or ())
    values = (closure, function.__defaults__, function.__kwdefaults__)
    return f"{name} {_code_hash(function.__code__)} {_value_text(values)}"


def _code_hash(code: types.CodeType) -> str:
    text = repr((code.co_code, _value_text(code.co_consts), code.co_names))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _value_text(value: object) -> str:
    if isinstance(value, types.CodeType):
        return _code_hash(value)
    if isinstance(value, frozenset | set):  # the order of a set differs between processes
        return f"{{{', '.join(sorted(map(_value_text, value)))}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value_text, value))}]"
    if isinstance(value, dict):
        items = [f"{key}: {_value_text(value[key])}" for key in sorted(value, key=str)]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, _PLAIN_TYPES):
        return repr(value)
    return function_identity(value) if callable(value) else type(value).__qualname__
