"""The differences between the config of a stored run and that of a new call, as short lines."""

from __future__ import annotations

import json
from collections.abc import Mapping

_NOT_COMPARED = ("versions", "requested_plan", "varying", "loading")  # not part of the identity of a run
_WITHOUT_EFFECT = ("plan.steps_per_execution",)  # on the results: the steps are the same
_UNPREFIXED = ("arguments", "code")  # sections whose keys need no prefix: callbacks[0].patience
_MAX_LENGTH = 100
_CONTEXT_LENGTH = 40  # characters shown on either side of the first difference
_SEEDS = ("plan.seed", "data.seed")
_ARCHITECTURE = "architecture"
_DESCRIPTION = "data.description"
_CONTENTS = ("data.fingerprint", "data.validation")


def config_differences(stored: Mapping[str, object], new: Mapping[str, object]) -> dict[str, str]:
    """Return a line for each field that differs, by the name of the field.

    Code is not compared if Python or a package has another version than at the start of the run: the hash of a
    function changes with the version of Python.

    Args:
        stored: The config of the stored run; entries of its `varying` are not compared.
        new: The config of the new call.
    """
    ignored = {*_NOT_COMPARED, *(() if stored.get("versions") == new.get("versions") else ("code",))}
    before, after = _flatten(stored, ignored), _flatten(new, ignored)
    varying = stored.get("varying", [])
    for name in (*_WITHOUT_EFFECT, *(varying if isinstance(varying, list) else ())):
        before.pop(name, None)
        after.pop(name, None)
    names = [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]
    return {name: _describe(name, before.get(name), after.get(name)) for name in _causes(names, before, after)}


def _flatten(config: Mapping[str, object], ignored: set[str]) -> dict[str, str]:
    """Return the values of a nested config as text, by their path."""
    values: dict[str, str] = {}
    for section, content in config.items():
        if section not in ignored:
            _add_values("" if section in _UNPREFIXED else section, content, values)
    return values


def _add_values(path: str, value: object, values: dict[str, str]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _add_values(f"{path}.{key}" if path else str(key), item, values)
    else:
        text = value if isinstance(value, str) else json.dumps(value)
        values[path] = f"{values[path]}; {text}" if path in values else text  # a description, and the hash of the code


def _causes(names: list[str], before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the fields without those that differ only because another one does."""
    if all(name in names for name in _SEEDS) and all(
        values.get(_SEEDS[0]) == values.get(_SEEDS[1]) for values in (before, after)
    ):
        names = [name for name in names if name != "data.seed"]  # arrays are shuffled with the seed of the plan
    if "callbacks" in names:  # other callbacks have other arguments
        names = [name for name in names if not name.startswith("callbacks[")]
    if not any(name in names for name in _CONTENTS):  # the same data under another name
        names = [name for name in names if name != _DESCRIPTION]
    if len(names) > 1:  # another definition, other data or another layer has another architecture
        names = [name for name in names if name != _ARCHITECTURE]
    return names


def _describe(name: str, stored: str | None, new: str | None) -> str:
    stored, new = stored or "nothing", new or "nothing"
    length = min(len(stored), len(new))
    position = next((i for i in range(length) if stored[i] != new[i]), length)
    return f"    {name}: stored {_excerpt(stored, position)}, now {_excerpt(new, position)}"


def _excerpt(text: str, position: int) -> str:
    """Return the part of a long text around a position."""
    if len(text) <= _MAX_LENGTH:
        return text
    begin, end = max(0, position - _CONTEXT_LENGTH), position + _CONTEXT_LENGTH
    return ("..." if begin else "") + text[begin:end] + ("..." if end < len(text) else "")
