"""What can be exported where: the checks that need no export to be made."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

import keras

from deepkit.definition.block import Block
from deepkit.export.formats import FORMATS, Format, layers
from deepkit.training.errors import ExportError

_ALSO_CALLED = {"tflite": "litert", "tf_saved_model": "saved_model", "savedmodel": "saved_model", "tf": "saved_model"}
_OF_A_SAVED_MODEL = {"saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra"}
_HALVES = ("bfloat16", "float16")  # coarsest first


def the_format(name: str) -> Format:
    """Return the format of a name.

    Raises:
        ValueError: There is none; the message says which was meant, or all.
    """
    if name in FORMATS:
        return FORMATS[name]
    near = difflib.get_close_matches(str(name).lower(), [*FORMATS, *_ALSO_CALLED], n=1, cutoff=0.5)
    meant = [_ALSO_CALLED.get(n, n) for n in near] or list(FORMATS)
    raise ValueError(f"format={name!r}: expected {_either(FORMATS)}\n  hint: format={_either(meant)}")


def _either(names: Any) -> str:
    return " or ".join(f'"{name}"' for name in names)


def check_model(model: Any, form: Format) -> None:
    """Raise unless this is a Keras model with weights that the format can hold, and what writes it is installed."""
    if not isinstance(model, keras.Model):
        raise TypeError(_no_model(model))
    if not model.built:
        raise ExportError(
            f"the model {model.name!r} has not been built: it has no weights to export",
            "model(x) or model.fit(x, y) first",
        )
    missing = form.missing()
    if missing:
        raise ExportError(
            f'format="{form.name}" needs {" and ".join(missing)}', f'pip install "deepkit-keras[{form.name}]"'
        )
    for layer in layers(model):
        if layer.compute_dtype in form.lacks and not isinstance(layer, keras.layers.InputLayer):
            raise ExportError(
                f"the layer {layer.name!r} computes in {layer.compute_dtype}, which {form.name} cannot run",
                'a twin in float32: with dk.plan(precision="float32"): twin = definition.build(input_shape); '
                "twin.set_weights(model.get_weights())",
            )


def _no_model(given: Any) -> str:
    expected = f"export: expected a keras.Model, received {type(given).__name__}"
    if isinstance(given, Block):
        return (
            f"{expected}, a definition, which holds no weights\n"
            "  hint: model = definition.build(input_shape), or dk.fit(definition, data).model"
        )
    if isinstance(getattr(given, "model", None), keras.Model):
        return f"{expected}, which has one\n  hint: dk.export(run.model, ...)"
    return f"{expected}\n  hint: what definition.build(input_shape) returns"


def check_tolerance(tolerance: Any) -> None:
    """Raise unless this is a number from 0, or None."""
    if tolerance is None:
        return
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float):
        raise TypeError(f"tolerance: expected a number, received {type(tolerance).__name__}\n  hint: tolerance=1e-4")
    if not tolerance >= 0:
        raise ValueError(f"tolerance={tolerance}: expected a number from 0\n  hint: tolerance=1e-4")


def precision(model: keras.Model) -> str:
    """Return the coarsest dtype that a layer computes in."""
    used = {layer.compute_dtype for layer in (model, *layers(model))}
    return next((half for half in _HALVES if half in used), "float32")


def place(path: str | os.PathLike[str], form: Format) -> Path:
    """Return where to write.

    Raises:
        ValueError: The ending is that of another format.
        ExportError: Something that is no export of this format is there.
    """
    there = Path(path).expanduser()
    _check_ending(there, form)
    if form.suffix and there.is_dir():
        raise ExportError(f"{there} is a folder, an export to {form.name} is a file", "another path")
    if not form.suffix and there.exists():
        _check_replaceable(there)
    return there


def _check_ending(there: Path, form: Format) -> None:
    if there.suffix == form.suffix:
        return
    others = {other.suffix: other.name for other in FORMATS.values() if other.suffix}
    known = there.suffix in (*others, ".keras", ".h5", ".litert")
    hint = str(there.with_suffix(form.suffix) if known else Path(f"{there}{form.suffix}"))
    instead = f', or format="{others[there.suffix]}"' if there.suffix in others else ""
    if form.suffix:
        raise ValueError(f'path={str(there)!r}: format="{form.name}" ends in {form.suffix}\n  hint: {hint!r}{instead}')
    if known:
        raise ValueError(f"path={str(there)!r}: a SavedModel is a folder\n  hint: {hint!r}{instead}")


def _check_replaceable(there: Path) -> None:
    if not there.is_dir():
        raise ExportError(f"{there} is a file, a SavedModel is a folder", "another path")
    others = sorted({entry.name for entry in there.iterdir()} - _OF_A_SAVED_MODEL)
    if others:
        listed = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise ExportError(
            f"{there} holds more than a SavedModel ({listed}), which would be lost", f"{str(there / 'saved_model')!r}"
        )
