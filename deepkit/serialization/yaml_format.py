"""The YAML of definitions: plain data only, numbers as in YAML 1.2, and errors with line and column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from deepkit.definition.errors import DefinitionError
from deepkit.serialization.limits import MAX_DIGITS, MAX_INTEGER, LimitCounter
from deepkit.utils.errors import format_value, message

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is a hundred times as fast as Python
_TAG = "tag:yaml.org,2002:"
# the core schema of YAML 1.2; PyYAML implements 1.1, in which 1e-4 is a string, `no` is False and 3:30 is 210
_PATTERNS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}
_TAG_DIRECTIVE = re.compile(r"(?:\A\ufeff?|[\n\r\x85\u2028\u2029])%TAG")  # libyaml compares each one with all others
_EXACT = {kind: re.compile(rf"(?:{pattern})\Z") for kind, (pattern, _) in _PATTERNS.items()}


class YamlError(ValueError):
    """The text is not plain YAML; the message contains the line and the column.

    Args:
        problem: The received text and the expected one, with the location.
        hint: How to fix it, as an imperative.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(message(problem, hint=hint))
        self.problem, self.hint = problem, hint


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's class attribute

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _kind, (_, _first_characters) in _PATTERNS.items():
    _Dumper.add_implicit_resolver(_TAG + _kind, _EXACT[_kind], list(_first_characters))


def parse(text: str) -> Any:
    """Return the plain data that a YAML text describes.

    The limits of `limits.py` are checked while the text is parsed, so that the rest of an oversized text is not read.

    Raises:
        YamlError: The text is not YAML, has aliases, tags or a duplicate key, or exceeds a limit.
    """
    if _TAG_DIRECTIVE.search(text):
        raise YamlError("%TAG directives are not allowed", "remove them")
    try:
        return _Composer(text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error(str(error.problem or error.context), mark) from error
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from error


def to_yaml(data: Any) -> str:
    """Return plain data as YAML, with short lists and mappings on one line and keys in their order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)


class _Composer:
    """Composes plain data from the events of a YAML parser, one event at a time."""

    def __init__(self, text: str) -> None:
        self.events: Iterator[Any] = yaml.parse(text, Loader=_PARSER)
        self.counter = LimitCounter()

    def document(self) -> Any:
        """Return the only document of the text; None if there is none."""
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        data = self.value(next(self.events))
        next(self.events)  # the end of the document
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _error("expected one document, received several", event.start_mark, "remove the lines `---`")
        return data

    def value(self, event: Any) -> Any:
        """Return the value that starts with an event."""
        if isinstance(event, yaml.AliasEvent):
            problem = f"*{event.anchor}: anchors and aliases are not allowed"
            raise _error(problem, event.start_mark, "repeat the value, or use a Repeat block")
        try:
            if isinstance(event, yaml.ScalarEvent):
                self.counter.add_text(event.value)
                return _scalar(event)
            self.counter.enter()
        except DefinitionError as error:
            raise _error(error.problem, event.start_mark, error.hint) from error
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        _check_tag(event, "map" if is_mapping else "seq")
        data = self._mapping() if is_mapping else self._sequence()
        self.counter.leave()
        return data

    def _sequence(self) -> list[Any]:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value(event))
        return items

    def _mapping(self) -> dict[Any, Any]:
        items: dict[Any, Any] = {}
        texts: set[str] = set()
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                raise _error("expected a string as key, received a list or a mapping", event.start_mark)
            key = self.value(event)
            if event.value in texts:
                raise _error(f"{format_value(event.value)} is a duplicate key", event.start_mark)
            texts.add(event.value)
            items[key] = self.value(next(self.events))
        return items


def _scalar(event: Any) -> Any:
    """Return the string, number, boolean or None of a scalar."""
    text = event.value
    if event.tag not in (None, "!"):
        return _tagged(event)
    if event.implicit[0]:  # not in quotes
        for kind, (_, first_characters) in _PATTERNS.items():
            if text[:1] in first_characters and _EXACT[kind].match(text):
                return _CONSTRUCTORS[kind](text)
    return text


def _tagged(event: Any) -> Any:
    """Return the value of a scalar with a tag of the core schema, such as `!!int 3`."""
    kind = event.tag.removeprefix(_TAG)
    if kind == "str":
        return event.value
    _check_tag(event, *_PATTERNS)
    if not _EXACT[kind].match(event.value):
        raise _error(f"expected a value of the tag !!{kind}, received {format_value(event.value)}", event.start_mark)
    return _CONSTRUCTORS[kind](event.value)


def _check_tag(event: Any, *kinds: str) -> None:
    """Raise if an event has a tag that is not one of the core schema."""
    if event.tag not in (None, "!", *(_TAG + kind for kind in kinds)):
        tag = event.tag.replace(_TAG, "!!")
        raise _error(f"the tag {format_value(tag)} is not allowed", event.start_mark, "remove the tag")


def _integer(text: str) -> int:
    num_digits = len(text.lstrip("+-"))
    if num_digits > MAX_DIGITS:  # the time of `int` is quadratic in the number of digits
        problem = f"expected a number of at most {MAX_INTEGER:,}, received one of {num_digits:,} digits"
        raise DefinitionError(problem, hint="use a smaller number")
    return int(text)


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_CONSTRUCTORS: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": _float,
    "null": lambda text: None,
}


def _error(problem: str, mark: Any, hint: str = "") -> YamlError:
    location = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return YamlError(location + problem, hint)
