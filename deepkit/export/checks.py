"""Checks of the arguments of `export` that do not need the export itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from deepkit.definition.block import Block
from deepkit.export.errors import ExportError
from deepkit.export.formats import FORMATS, Format, all_layers
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_number

if TYPE_CHECKING:
    from deepkit.utils.types import PathLike

_SYNONYMS = {"tflite": "litert", "tf_saved_model": "saved_model", "savedmodel": "saved_model", "tf": "saved_model"}
_SAVED_MODEL_FILES = {"saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra"}
_HALF_PRECISION = ("bfloat16", "float16")  # the coarser one first


def get_format(name: str) -> Format:
    """Return the format with a name.

    Raises:
        ValueError: There is no such format; the message suggests the closest one.
    """
    if name in FORMATS:
        return FORMATS[name]
    close = difflib.get_close_matches(str(name).lower(), [*FORMATS, *_SYNONYMS], n=1, cutoff=0.5)
    suggestions = [_SYNONYMS.get(match, match) for match in close] or list(FORMATS)
    problem = f"format must be {_alternatives(FORMATS)}, received {format_value(name)}"
    raise ValueError(message(problem, hint=f"use format={_alternatives(suggestions)}"))


def _alternatives(names: Iterable[str]) -> str:
    return " or ".join(f'"{name}"' for name in names)


def check_model(model: object, form: Format) -> None:
    """Raise unless `model` is a built Keras model that the format supports, and its packages are installed."""
    if not isinstance(model, keras.Model):
        raise TypeError(_not_a_model(model))
    if not model.built:
        raise ExportError(
            f"the model {model.name!r} is not built: it has no weights to export",
            hint="call the model on a batch, or train it, before you export it",
        )
    missing = form.missing_modules()
    if missing:
        raise ExportError(
            f'format="{form.name}" needs {" and ".join(missing)}', hint=f'run pip install "deepkit-keras[{form.name}]"'
        )
    for layer in all_layers(model):
        if layer.compute_dtype in form.unsupported_dtypes and not isinstance(layer, keras.layers.InputLayer):
            raise ExportError(
                f"the layer {layer.name!r} computes in {layer.compute_dtype}, which {form.name} does not support",
                hint='export a copy in float32: with dk.plan(precision="float32"): copy = definition.build(input_shape)'
                "; copy.set_weights(model.get_weights())",
            )


def _not_a_model(value: object) -> str:
    """Return the error message for a value that is not a Keras model."""
    problem = f"export: model must be a keras.Model, received {type(value).__name__}"
    if isinstance(value, Block):
        hint = "use definition.build(input_shape), or dk.fit(definition, data).model"
        return message(f"{problem}, a definition, which has no weights", hint=hint)
    if isinstance(getattr(value, "model", None), keras.Model):
        return message(f"{problem}, which holds a model", hint="use dk.export(run.model, ...)")
    return message(problem, hint="pass the model that definition.build(input_shape) returns")


def check_tolerance(tolerance: object) -> float:
    """Return a tolerance; raise unless it is a number from 0."""
    return check_number(tolerance, "tolerance", minimum=0, hint="use tolerance=1e-4")


def coarsest_dtype(model: keras.Model) -> str:
    """Return the coarsest dtype that a layer computes in."""
    used = {layer.compute_dtype for layer in (model, *all_layers(model))}
    return next((dtype for dtype in _HALF_PRECISION if dtype in used), "float32")


def check_path(path: PathLike, form: Format) -> Path:
    """Return the path to export to.

    Raises:
        ValueError: The suffix is not that of the format.
        ExportError: The path exists, and is not an export of this format.
    """
    target = Path(path).expanduser()
    _check_suffix(target, form)
    if form.suffix and target.is_dir():
        raise ExportError(f"{target} is a folder, but an export to {form.name} is a file", hint="use another path")
    if not form.suffix and target.exists():
        _check_replaceable(target)
    return target


def _check_suffix(target: Path, form: Format) -> None:
    if target.suffix == form.suffix:
        return
    others = {other.suffix: other.name for other in FORMATS.values() if other.suffix}
    is_model_suffix = target.suffix in (*others, ".keras", ".h5", ".litert")
    suggestion = target.with_suffix(form.suffix) if is_model_suffix else Path(f"{target}{form.suffix}")
    hint = f"use path={str(suggestion)!r}"
    if target.suffix in others:
        hint += f', or format="{others[target.suffix]}"'
    if form.suffix:
        problem = f'path must end in {form.suffix} if format="{form.name}", received {str(target)!r}'
        raise ValueError(message(problem, hint=hint))
    if is_model_suffix:
        problem = f'path must be a folder if format="{form.name}", received {str(target)!r}'
        raise ValueError(message(problem, hint=hint))


def _check_replaceable(target: Path) -> None:
    if not target.is_dir():
        raise ExportError(f"{target} is a file, but a SavedModel is a folder", hint="use another path")
    others = sorted({entry.name for entry in target.iterdir()} - _SAVED_MODEL_FILES)
    if others:
        names = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise ExportError(
            f"{target} contains other files than those of a SavedModel ({names}), which would be lost",
            hint=f"use path={str(target / 'saved_model')!r}",
        )
