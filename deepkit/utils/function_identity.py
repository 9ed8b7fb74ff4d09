"""Text that identifies functions, classes and plain values across processes, for fingerprints."""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import json
import pathlib
import sys
import types
from collections.abc import Iterator, Mapping

import numpy as np

from deepkit.utils.object_config import complete_config

_PLAIN_TYPES = (bool, int, float, complex, str, bytes, type(None), range, slice)
_LIBRARIES = {"keras", "tensorflow", "numpy", "deepkit", *sys.stdlib_module_names}
_INSTALLED = ("site-packages", "dist-packages")
_NOT_CODE = {
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__abstractmethods__",
    "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__orig_bases__", "__parameters__", "_abc_impl",
}  # fmt: skip
_MAX_LENGTH = 200  # characters of a text; a longer one is replaced by its beginning and its hash
_SHOWN_LENGTH = 60


@dataclasses.dataclass(frozen=True)
class Identity:
    """A text that identifies a value, and the parts of the value that it does not identify.

    Args:
        text: The text, one line.
        unidentified: Names and types of the parts of which only the type is part of the text.
    """

    text: str
    unidentified: tuple[str, ...] = ()


def function_identity(function: object) -> str:
    """Return a string that depends on the name and the code of a function, and is the same in every process.

    The values that the function reads count too: defaults, its closure, and the global variables of the user's code.
    Numbers, strings, arrays and containers of them count by value, functions and classes by their code, other objects
    by their class only, because their `repr` contains a memory address.

    Args:
        function: A callable, or None.

    Returns:
        A string of one line.

    Examples:
        >>> function_identity(None)
        'None'
        >>> one_digit, two_digits = (
        ...     functools.partial(round, ndigits=1),
        ...     functools.partial(round, ndigits=2),
        ... )
        >>> function_identity(one_digit) == function_identity(two_digits)
        False
    """
    return identify(function).text


def identify(value: object, name: str = "") -> Identity:
    """Return the identity of a function, a class, an object with plain attributes, or a plain value.

    Args:
        value: The value.
        name: Name of the value, for `Identity.unidentified`.
    """
    reader = _Reader()
    text = reader.read(value, name)
    return Identity(text, tuple(dict.fromkeys(reader.unidentified)))


def is_plain(value: object) -> bool:
    """Return whether a value is a number, a string, an array, or a container of them."""
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(is_plain, value))
    if isinstance(value, Mapping):
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    return isinstance(value, (*_PLAIN_TYPES, np.generic, np.ndarray, enum.Enum, pathlib.PurePath))


def is_library(value: object) -> bool:
    """Return whether a function or class belongs to Keras, TensorFlow, NumPy, Python or deepkit.

    Its module and name identify it, because a run stores the versions of these packages separately.
    """
    return str(getattr(value, "__module__", None) or "builtins").partition(".")[0] in _LIBRARIES


def shorten(text: str) -> str:
    """Return a text, or the beginning and the hash of a long one."""
    return text if len(text) <= _MAX_LENGTH else f"{text[:_SHOWN_LENGTH]}... {_hash(text)}"


class _Reader:
    """Converts values to text, and collects the parts that cannot be converted."""

    def __init__(self) -> None:
        self.unidentified: list[str] = []
        self._active: set[int] = set()  # functions, classes and objects that are being read, which may be recursive
        self._texts: dict[int, tuple[object, str]] = {}  # of functions and classes that were read, by id

    def read(self, value: object, name: str = "") -> str:
        """Return the text of any value."""
        text = self._plain(value, name)
        if text is not None:
            return shorten(text)
        if id(value) in self._active:
            return str(getattr(value, "__qualname__", type(value).__qualname__))
        if id(value) in self._texts:
            return self._texts[id(value)][1]
        self._active.add(id(value))
        try:
            text = shorten(self._compound(value, name))
        finally:
            self._active.discard(id(value))
        if isinstance(value, types.FunctionType | type):
            self._texts[id(value)] = (value, text)  # the reference to the value keeps its id from being reused
        return text

    def _plain(self, value: object, name: str) -> str | None:
        if isinstance(value, types.CodeType):
            return self._code(value)
        if isinstance(value, enum.Enum):
            return f"{type(value).__qualname__}.{value.name}"
        if isinstance(value, _PLAIN_TYPES):
            return repr(value)
        if isinstance(value, np.generic):
            return repr(value.item())
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if isinstance(value, pathlib.PurePath):
            return repr(str(value))
        return None

    def _compound(self, value: object, name: str) -> str:
        if isinstance(value, frozenset | set):  # the order of a set differs between processes
            return f"{{{', '.join(sorted(self.read(item, name) for item in value))}}}"
        if isinstance(value, tuple | list):
            return f"[{', '.join(self.read(item, f'{name}[{i}]') for i, item in enumerate(value))}]"
        if isinstance(value, Mapping):
            items = [f"{key}: {self.read(value[key], f'{name}[{key!r}]')}" for key in sorted(value, key=str)]
            return f"{{{', '.join(items)}}}"
        if isinstance(value, functools.partial):
            arguments = f"{self.read(value.args, name)}, {self.read(value.keywords, name)}"
            return f"partial({self.read(value.func, name)}, {arguments})"
        if isinstance(value, types.MethodType):
            return f"{self.read(value.__func__, name)} of {self.read(value.__self__, name)}"
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return value.__name__
        for attribute in ("python_function", "__wrapped__"):  # of tf.function, of functools.cache
            wrapped = getattr(value, attribute, None)
            if isinstance(wrapped, types.FunctionType):
                return f"{type(value).__qualname__}({self.read(wrapped, name)})"
        if callable(value) and hasattr(value, "__qualname__"):  # a function that is not written in Python
            return f"{getattr(value, '__module__', '')}.{value.__qualname__}"
        return self._object(value, name)

    def _function(self, function: types.FunctionType) -> str:
        code = function.__code__
        parts = [f"{function.__module__}.{function.__qualname__}"]
        parts += [] if is_library(function) else [self._code(code)]
        cells = zip(code.co_freevars, function.__closure__ or (), strict=False)
        closure = [self.read(cell.cell_contents, name) for name, cell in cells if _is_filled(cell)]
        values = [f"closure=[{', '.join(closure)}]"] if closure else []
        if is_library(function):
            return " ".join([*parts, *values])
        if function.__defaults__:
            values.append(f"defaults={self.read(function.__defaults__, 'defaults')}")
        if function.__kwdefaults__:
            values.append(f"keyword_defaults={self.read(function.__kwdefaults__, 'defaults')}")
        if not _is_installed(code.co_filename):
            read = {name: function.__globals__[name] for name in _global_names(code) if name in function.__globals__}
            texts = [
                f"{name}={self.read(value, name)}"
                for name, value in sorted(read.items())
                if not isinstance(value, types.ModuleType)
            ]
            values += [f"globals=[{', '.join(texts)}]"] if texts else []
        return " ".join([*parts, *values])

    def _code(self, code: types.CodeType) -> str:
        return _hash(repr((code.co_code, [self.read(constant) for constant in code.co_consts], code.co_names)))

    def _class(self, cls: type) -> str:
        """Return the name of a class and a hash of its functions and attributes, also of inherited ones."""
        name = f"{cls.__module__}.{cls.__qualname__}"
        if is_library(cls):
            return name
        texts = []
        for base in cls.__mro__:
            if not is_library(base):
                members = {key: member for key, member in vars(base).items() if key not in _NOT_CODE}
                texts += [f"{key}={self._member(member)}" for key, member in sorted(members.items())]
        return f"{name} {_hash(repr(texts))}"

    def _member(self, member: object) -> str:
        if isinstance(member, staticmethod | classmethod):
            member = member.__func__
        if isinstance(member, property):
            member = [member.fget, member.fset]
        if isinstance(member, functools.cached_property):
            member = member.func
        number = len(self.unidentified)
        text = self.read(member)
        if not isinstance(member, types.FunctionType):
            del self.unidentified[number:]  # a descriptor: the object itself holds its arguments
        return text

    def _array(self, value: np.ndarray, name: str) -> str:
        if value.dtype.hasobject:
            return self.read(value.tolist(), name)
        if value.size <= 4:
            return f"array({value.tolist()}, {value.dtype})"
        digest = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=8).hexdigest()
        return f"array of shape {value.shape} and dtype {value.dtype} {digest}"

    def _object(self, value: object, name: str) -> str:
        cls = type(value)
        if _is_constant_tensor(value):
            try:
                return self._array(np.asarray(value), name)
            except (TypeError, ValueError, NotImplementedError):  # a symbolic tensor
                return self._unidentified(cls.__qualname__, cls, name)
        class_text = self.read(cls)
        if _has_variables(value):  # it may have been trained
            return self._unidentified(class_text, cls, name)
        config = config_text(value)
        if config is not None:
            return f"{class_text} {config}"
        if not is_library(cls):
            return f"{class_text} {self._attributes(value, name)}"
        text = repr(value)
        if " at 0x" in text:
            return self._unidentified(class_text, cls, name)
        return f"{class_text} {text}"

    def _attributes(self, value: object, name: str) -> str:
        attributes = dict(getattr(value, "__dict__", {}))
        for base in type(value).__mro__:
            slots = vars(base).get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, slot):
                    attributes[slot] = getattr(value, slot)
        prefix = f"{name}." if name else ""
        texts = [f"{key}={self.read(attributes[key], f'{prefix}{key}')}" for key in sorted(attributes)]
        return f"({', '.join(texts)})"

    def _unidentified(self, class_text: str, cls: type, name: str) -> str:
        self.unidentified.append(f"{name} ({cls.__name__})" if name else cls.__name__)
        return class_text


def config_text(value: object) -> str | None:
    """Return the config of a Keras object as text without its name, or None if it has no complete config.

    The config of a class with arguments is complete if the class that defines `get_config` defines `__init__` too, or
    inherits it.
    """
    get_config = getattr(value, "get_config", None)
    if not inspect.ismethod(get_config) or not has_complete_config(type(value)):
        return None
    try:
        config = complete_config(value)
        return json.dumps({key: config[key] for key in sorted(config) if key != "name"}, default=_config_value)
    except (TypeError, ValueError, NotImplementedError):  # a class with an incomplete get_config
        return None


def has_complete_config(cls: type) -> bool:
    """Return whether the config of a Keras class holds its arguments: no subclass adds arguments without a config."""
    for base in cls.__mro__:
        if "get_config" in vars(base):
            return True
        if "__init__" in vars(base):
            return base.__module__.startswith("keras.src.optimizers.")  # AdamW has the arguments of Adam
    return False


def _config_value(value: object) -> str:
    identity = identify(value)
    if identity.unidentified:
        raise TypeError(f"{type(value).__name__} has no text")
    return identity.text


def _is_constant_tensor(value: object) -> bool:
    """Return whether a value is an array of another library, such as an eager tensor; a variable may change."""
    return hasattr(value, "__array__") and not hasattr(value, "assign") and hasattr(value, "dtype")


def _has_variables(value: object) -> bool:
    """Return whether a value is a layer, a model or another object with variables."""
    items = [item for name in ("weights", "variables") for item in _as_list(getattr(value, name, None))]
    return any(hasattr(item, "assign") for item in items)


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # a function that refers to a name that was never assigned
        return False
    return True


def _is_installed(filename: str) -> bool:
    """Return whether a file belongs to an installed package, whose global variables are not read."""
    return any(part in _INSTALLED for part in pathlib.PurePath(filename).parts)


def _global_names(code: types.CodeType) -> Iterator[str]:
    """Yield the names of global variables that a function reads, also in the functions that it defines."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
