"""Generated data: check the arguments of a kind and build `Data`, for `points`, `sequences` and `text_pairs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from deepkit.data.dataset import Data, RawData, build_data
from deepkit.data.nested_arrays import Arrays
from deepkit.data.pipeline_settings import PipelineSettings
from deepkit.data.sources import MemorySource
from deepkit.utils.errors import format_value, message

Number = TypeVar("Number", int, float)


def resolve_arguments(
    caller: str,
    kind: str,
    *,
    defaults: Mapping[str, Mapping[str, Number]],
    arguments: Mapping[str, object],
    check: Callable[[str, object], Number],
) -> dict[str, Number]:
    """Return the values of the arguments that a kind takes; raise if another one was passed.

    Args:
        caller: Name of the public function, for error messages.
        kind: Name of the kind.
        defaults: Default values of the arguments that each kind takes, by name of the kind.
        arguments: The values that the user passed, None for the default.
        check: Returns the checked value of an argument.
    """
    values: dict[str, Number] = {}
    for argument, value in arguments.items():
        if value is None and argument in defaults[kind]:
            values[argument] = defaults[kind][argument]
        elif value is not None and argument in defaults[kind]:
            values[argument] = check(argument, value)
        elif value is not None:
            kinds = ", ".join(repr(other) for other, names in defaults.items() if argument in names)
            problem = f"{caller}: {kind!r} takes no {argument}, received {argument}={format_value(value)}"
            raise ValueError(message(problem, hint=f"leave {argument} out; it is an argument of {kinds}"))
    return values


def generated_data(
    name: str, arguments: str, splits: Mapping[str, Arrays], settings: PipelineSettings, **raw: Any
) -> Data:
    """Return the data of generated arrays.

    Args:
        name: Name of the kind.
        arguments: The arguments that the arrays are a function of, as text.
        splits: x and y by split.
        settings: Batch size and seed of the pipelines.
        raw: Number and names of the classes.
    """
    return build_data(
        RawData(
            name=name,
            version=f"({arguments})",
            source="generated",
            origin="generated",
            sources={split: MemorySource(arrays) for split, arrays in splits.items()},
            rescale=False,
            **raw,
        ),
        settings,
    )
