"""`export`: write a model for inference, run the exported file, and keep it only if its outputs equal the model's."""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from deepkit.export import checks
from deepkit.export.errors import ExportError
from deepkit.export.formats import Format, find_layer, load_litert, summarize_error, to_arrays
from deepkit.export.parity import Difference, ShapeMismatch, compare_outputs
from deepkit.export.quiet import quiet
from deepkit.export.sample import Sample, make_sample
from deepkit.utils import files
from deepkit.utils.display import Displayable

if TYPE_CHECKING:
    from deepkit.utils.types import Nested, PathLike

__all__ = ["ExportError", "ExportResult", "default_path", "export"]


@dataclass(frozen=True)
class ExportResult(Displayable):
    """An exported file, and its difference from the model.

    Args:
        path: The file, or the folder of a SavedModel.
        format: `"saved_model"`, `"onnx"` or `"litert"`.
        size: Size in bytes.
        absolute_difference: Largest absolute difference between its outputs and the model's on the sample.
        relative_difference: The same, relative to the largest output.
        tolerance: The largest relative difference that was allowed.
        sample_shapes: Shape of the sample, batch axis first, for each input.

    Examples:
        >>> import pathlib
        >>> from deepkit.export.exporter import ExportResult
        >>> result = ExportResult(
        ...     pathlib.Path("iris.onnx"), "onnx", 1240, 2e-7, 1e-7, 1e-4, ((3, 4),)
        ... )
        >>> print(result)  # as `dk.export` returns it
        iris.onnx: onnx, 1.24 kB; differs from the model by at most 2.0e-07
        (1.0e-07 of the largest output, tolerance 1.0e-04) on a batch of 3x4
    """

    path: Path
    format: str
    size: int
    absolute_difference: float
    relative_difference: float
    tolerance: float
    sample_shapes: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.sample_shapes)
        return (
            f"{self.path}: {self.format}, {format_size(self.size)}; differs from the model by at most "
            f"{self.absolute_difference:.1e} ({self.relative_difference:.1e} of the largest output, "
            f"tolerance {self.tolerance:.1e}) on a batch of {shapes}"
        )

    def __repr__(self) -> str:
        return f"<ExportResult {self}>"


def export(
    model: keras.Model,
    path: PathLike,
    *,
    format: str = "saved_model",
    sample: Nested | None = None,
    tolerance: float | None = None,
) -> ExportResult:
    """Export a model for inference, run the exported file, and keep it only if its outputs equal those of the model.

    Keras writes the file. Then `export` loads it and runs it on the CPU, without Keras: a SavedModel with TensorFlow,
    ONNX with ONNX Runtime, LiteRT with its interpreter. It is moved to `path` only if its outputs equal those of
    `model(sample, training=False)`; otherwise an earlier export at `path` stays unchanged.

    Args:
        model: A Keras model that has been built.
        path: A folder for `"saved_model"`, a file that ends in `.onnx` or `.tflite` for the others. An earlier export
            is replaced; a folder that contains anything else is not.
        format: `"saved_model"`, `"onnx"` (needs `pip install "deepkit-keras[onnx]"`) or `"litert"`.
        sample: A batch to compare on, in the structure of the model's inputs: arrays, pandas objects, or a dataset, of
            which the first batch is used. By default a random batch with a fixed seed: normal floats, integers 0 or
            1, texts of words in the model's vocabulary; unknown sizes are 8, 32 or 128. A subclassed model needs a
            sample, because its inputs are unknown.
        tolerance: The largest difference to allow, relative to the largest output. Default: 1e-4 for float32 (1e-5
            for a SavedModel, which runs the same kernels), more for a model with half precision.

    Returns:
        The path, the size, and the difference from the model.

    Raises:
        TypeError: `model` is not a Keras model.
        ValueError: `format`, `path`, `sample` or `tolerance` is invalid.
        ExportError: The format does not support the model, `path` exists and is not an export of this format, or the
            outputs differ. The file at `path` is unchanged.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Sequential([dk.MLP([8]), dk.Classifier(3)]).build((4,))
        >>> exported = dk.export(model, "iris")
        >>> (
        ...     exported.path.name,
        ...     exported.sample_shapes,
        ...     exported.relative_difference <= exported.tolerance,
        ... )
        ('iris', ((3, 4),), True)
    """
    form = checks.get_format(format)
    checks.check_model(model, form)
    if tolerance is None:
        tolerance = form.tolerances[checks.coarsest_dtype(model)]
    else:
        tolerance = checks.check_tolerance(tolerance)
    target = checks.check_path(path, form)
    with tf.device("CPU:0"):  # exports run on the CPU; a GPU may multiply with fewer bits
        batch = make_sample(model, sample)
        with _temporary_path(target) as temporary:
            with quiet():
                difference = _write_and_verify(model, temporary, form, batch, tolerance)
            size = _fsync(temporary)
    return ExportResult(
        target, form.name, size, difference.absolute, difference.relative, float(tolerance), batch.shapes
    )


def default_path(name: PathLike, format: str) -> Path:
    """Return the path of an export with this name: the name for a SavedModel, with the suffix of the format for a file.

    Args:
        name: A path without a suffix, such as `"runs/first/model"`.
        format: A format of `export`.

    Examples:
        >>> from deepkit.export.exporter import default_path
        >>> default_path("lenet", "onnx").name
        'lenet.onnx'
    """
    return Path(f"{os.fspath(name)}{checks.get_format(format).suffix}")


@contextlib.contextmanager
def _temporary_path(target: Path) -> Iterator[Path]:
    """Yield a path in a temporary folder beside `target`, and move it to `target` if the body raises no error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".exporting-") as folder:
        temporary = Path(folder) / target.name
        yield temporary
        if not target.is_dir():
            os.replace(temporary, target)
            return
        # A folder cannot be replaced in one step. The old one is deleted with the temporary folder; if the process is
        # killed between the two steps, it is still there.
        old = Path(folder) / ".replaced"
        os.replace(target, old)
        try:
            os.replace(temporary, target)
        except BaseException:
            os.replace(old, target)
            raise


def _fsync(path: Path) -> int:
    """Block until a file or a folder is on the disk, and return its size in bytes."""
    paths = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    for file in paths:
        files.fsync(file)
    return sum(file.stat().st_size for file in paths)


def _write_and_verify(model: keras.Model, path: Path, form: Format, sample: Sample, tolerance: float) -> Difference:
    """Write and run a model, and return the difference; try again if the converter changed the shape of an output."""
    for _ in range(form.max_attempts - 1):
        _write(model, path, form, sample)
        try:
            return _verify(model, path, form, sample, tolerance)
        except ExportError as error:
            if not isinstance(error.__cause__, ShapeMismatch):
                raise
    _write(model, path, form, sample)
    return _verify(model, path, form, sample, tolerance)


def _write(model: keras.Model, path: Path, form: Format, sample: Sample) -> None:
    if _is_nested(sample.signature.outputs):
        raise ExportError(
            "the outputs of the model are nested; an exported model has one output, a list or a dict of outputs",
            hint="export keras.Model(model.input, keras.tree.flatten(model.output))",
        )
    try:
        form.write(model, path, sample.signature)
    except (ExportError, OSError):
        raise
    except Exception as error:  # converters raise any exception
        raise _conversion_error(f"the model cannot be exported to {form.name}", error, model, form) from error


def _is_nested(outputs: object) -> bool:
    """Return whether outputs hold lists or dicts of outputs."""
    if isinstance(outputs, dict):
        return any(keras.tree.is_nested(output) for output in outputs.values())
    if isinstance(outputs, list | tuple):
        return any(keras.tree.is_nested(output) for output in outputs)
    return False


def _verify(model: keras.Model, path: Path, form: Format, sample: Sample, tolerance: float) -> Difference:
    """Run the exported file and return its difference from the model; raise if it is above the tolerance."""
    try:
        difference = compare_outputs(sample.outputs, form.load(path, sample.signature)(sample.inputs))
    except Exception as error:  # runtimes raise any exception
        raise _conversion_error(f"the {form.name} export cannot be run", error, model, form) from error
    if difference.scaled > tolerance:
        raise _parity_error(difference, model, path, form, sample, tolerance)
    return difference


def _parity_error(
    difference: Difference, model: keras.Model, path: Path, form: Format, sample: Sample, tolerance: float
) -> ExportError:
    """Return the error for outputs that differ, with the reason if it can be found."""
    output = f" in output {difference.output + 1} of {len(sample.outputs)}" if len(sample.outputs) > 1 else ""
    problem = (
        f"the outputs of the {form.name} export differ from the model's by {difference.absolute:.2g}, which is "
        f"{difference.relative:.2g} of the largest output (tolerance {tolerance:.2g}): "
        f"the model returns {difference.expected:.6g}, the export {difference.received:.6g}{output}"
    )
    inputs = keras.tree.pack_sequence_as(sample.signature.inputs, sample.inputs)
    second_outputs = to_arrays(model(inputs, training=False))
    if compare_outputs(sample.outputs, second_outputs).scaled > tolerance:
        return ExportError(
            f"{problem}. The model itself returns different outputs at each call",
            hint="use layers that are not random if training=False",
        )
    if form.name == "litert":
        runner = load_litert(path, sample.signature, use_default_delegate=False)
        without_delegate = compare_outputs(sample.outputs, runner(sample.inputs))
        if without_delegate.scaled <= tolerance:
            return ExportError(
                f"{problem}. Without XNNPACK, which LiteRT uses by default, they differ by "
                f"{without_delegate.absolute:.2g}: the file is correct, XNNPACK is not",
                hint='use another kernel_size, strides or padding, or format="onnx"',
            )
    other = "onnx" if form.name == "saved_model" else "saved_model"
    return ExportError(problem, hint=f'use format="{other}", or a larger tolerance if the difference does not matter')


def _conversion_error(problem: str, error: Exception, model: keras.Model, form: Format) -> ExportError:
    """Return an error with the reason in one line, and the layer that the message of `error` names, if any."""
    nodes = re.findall(r"[\w.\-]+(?:/[\w.\-]+)+", str(error))
    layers = [find_layer(node, model) for node in nodes]
    layer = next(filter(None, layers), "")
    because = f" because of its layer {layer!r}" if layer else ""
    hint = 'use format="saved_model"'
    if form.name == "saved_model":
        hint = "save the model for Keras with model.save(path)"
    return ExportError(f"{problem}{because}: {summarize_error(error)}", hint=hint)


def format_size(size: int) -> str:
    """Return a number of bytes with three significant digits and its unit."""
    power = min(3, int(math.log10(max(size, 1)) // 3))
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB')[power]}"
