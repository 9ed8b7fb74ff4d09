"""`export`: from a model to a file that serves, in place only once it has been run and gives what the model gives."""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from deepkit.export import checks as exportable
from deepkit.export.formats import Format, brief, layer_of, numpy, run_litert
from deepkit.export.parity import Difference, ShapesDiffer, difference
from deepkit.export.quiet import quiet
from deepkit.export.sample import Sample, sampled
from deepkit.training.errors import ExportError
from deepkit.utils import files

__all__ = ["ExportError", "Exported", "default_path", "export"]


@dataclass(frozen=True)
class Exported:
    """What was exported, and how near it is to the model.

    Args:
        path: The file, or the folder of a SavedModel.
        format: `"saved_model"`, `"onnx"` or `"litert"`.
        size: In bytes.
        difference: The largest absolute difference between its outputs and the model's on the sample.
        relative: The same in parts of the largest output.
        tolerance: What was allowed, in parts of the largest output.
        sample_shapes: Shape of the sample, batch axis first, for each input.
    """

    path: Path
    format: str
    size: int
    difference: float
    relative: float
    tolerance: float
    sample_shapes: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.sample_shapes)
        return (
            f"{self.path}: {self.format}, {_size_text(self.size)}; differs from the model by at most "
            f"{self.difference:.1e} ({self.relative:.1e} of the largest output, allowed {self.tolerance:.1e}) "
            f"on a batch of {shapes}"
        )


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    format: str = "saved_model",
    sample: Any = None,
    tolerance: float | None = None,
) -> Exported:
    """Export a model for inference, run the result, and keep it only if it computes what the model computes.

    Keras writes it. It is then read back and run, on the processor, without Keras: a SavedModel by TensorFlow, ONNX by
    ONNX Runtime, LiteRT by its interpreter. Only when its outputs are those of `model(sample, training=False)` does it
    take its place at `path`; whatever was there before stays until then.

    Args:
        model: A Keras model that has been built.
        path: Where to: a folder for `"saved_model"`, a file ending in `.onnx` or `.tflite` for the others. An
            earlier export is replaced; a folder with anything else in it is not.
        format: `"saved_model"`, `"onnx"` (needs `pip install "deepkit-keras[onnx]"`) or `"litert"`.
        sample: A batch to compare on, in the structure of the model's inputs. Left out, one is drawn under a fixed
            seed: floats normal, integers 0 or 1, texts of the words that the model knows, 8, 32 or 128 for an unknown
            size. A model of your own class needs one: it says nothing of its inputs.
        tolerance: The largest difference to allow, in parts of the largest output. Left out: 1e-4 for float32 (1e-5
            for a SavedModel, which runs the same kernels), more for a model with half precision.

    Returns:
        Where it is, its size, and how far it is from the model.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: `format`, `path`, `sample` or `tolerance` makes no sense.
        ExportError: The format cannot hold the model, something of another kind is at `path`, or what was exported
            computes something else; the message says what and where. What was at `path` is still there.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Sequential([dk.MLP([8]), dk.Classifier(3)]).build((4,))
        >>> exported = dk.export(model, "iris")
        >>> exported.path.name, exported.sample_shapes, exported.relative <= exported.tolerance
        ('iris', ((3, 4),), True)
    """
    form = exportable.the_format(format)
    exportable.check_model(model, form)
    exportable.check_tolerance(tolerance)
    place = exportable.place(path, form)
    allowed = form.tolerance[exportable.precision(model)] if tolerance is None else float(tolerance)
    with tf.device("CPU:0"):  # where all three formats are run; a GPU may multiply with fewer bits
        batch = sampled(model, sample)
        with _aside(place) as aside:
            with quiet():
                found = _written(model, aside, form, batch, allowed)
            size = _settle(aside)
    return Exported(place, form.name, size, found.absolute, found.relative, allowed, batch.shapes)


def default_path(name: str | os.PathLike[str], format: str) -> Path:
    """Return where an export of that name goes: the name itself for a SavedModel, with its ending for a file.

    Args:
        name: Such as `"runs/first/model"`.
        format: One that `export` takes.

    Examples:
        >>> from deepkit.export.exporter import default_path
        >>> default_path("lenet", "onnx").name
        'lenet.onnx'
    """
    return Path(f"{os.fspath(name)}{exportable.the_format(format).suffix}")


@contextlib.contextmanager
def _aside(place: Path) -> Iterator[Path]:
    """Give a path in a folder of its own beside `place`, and put what is there in place when all went well."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".exporting-") as folder:
        aside = Path(folder) / place.name
        yield aside
        if not place.is_dir():
            os.replace(aside, place)
            return
        # A folder is not replaced in one step. The old one goes with the temporary folder, or is found in it should the
        # process be killed between the two.
        old = Path(folder) / ".replaced"
        os.replace(place, old)
        try:
            os.replace(aside, place)
        except BaseException:
            os.replace(old, place)
            raise


def _settle(aside: Path) -> int:
    """Wait until every byte is on the disk, and return how many there are."""
    every = [aside] if aside.is_file() else [file for file in aside.rglob("*") if file.is_file()]
    for file in every:
        files.fsync(file)
    return sum(file.stat().st_size for file in every)


def _written(model: keras.Model, aside: Path, form: Format, batch: Sample, allowed: float) -> Difference:
    """Write and run a model, and return how far the two are apart; again where a converter changed a shape."""
    for _ in range(form.attempts - 1):
        _write(model, aside, form, batch)
        try:
            return _check(model, aside, form, batch, allowed)
        except ExportError as error:
            if not isinstance(error.__cause__, ShapesDiffer):
                raise
    _write(model, aside, form, batch)
    return _check(model, aside, form, batch, allowed)


def _write(model: keras.Model, aside: Path, form: Format, batch: Sample) -> None:
    outputs = batch.ports.outputs
    parts = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, list | tuple) else ()
    if any(keras.tree.is_nested(part) for part in parts):
        raise ExportError(
            "the outputs are nested; an export has one, a list or a dict of them",
            "keras.Model(model.input, keras.tree.flatten(model.output))",
        )
    try:
        form.write(model, aside, batch.ports)
    except (ExportError, OSError):
        raise
    except Exception as error:  # converters raise what they like
        raise _unable(f"{form.name} cannot hold this model", error, model, form) from error


def _check(model: keras.Model, aside: Path, form: Format, batch: Sample, allowed: float) -> Difference:
    """Run what was written and return how far it is from the model; raise where that is too far."""
    try:
        found = difference(batch.outputs, form.runner(aside, batch.ports)(batch.inputs))
    except Exception as error:  # runtimes raise what they like
        raise _unable(f"what was written for {form.name} cannot be run", error, model, form) from error
    if found.excess > allowed:
        raise _apart(found, model, aside, form, batch, allowed)
    return found


def _apart(
    found: Difference, model: keras.Model, aside: Path, form: Format, batch: Sample, allowed: float
) -> ExportError:
    """Return an error that says how far an export is from its model and, where it can be told, why."""
    where = f" (in output {found.output + 1} of {len(batch.outputs)})" if len(batch.outputs) > 1 else ""
    problem = (
        f"the {form.name} export does not compute what the model computes: they differ by {found.absolute:.2g}, "
        f"{found.relative:.2g} of the largest output, where {allowed:.2g} is allowed; "
        f"the model gives {found.expected:.6g}, the export {found.received:.6g}{where}"
    )
    again = numpy(model(keras.tree.pack_sequence_as(batch.ports.inputs, batch.inputs), training=False))
    if difference(batch.outputs, again).excess > allowed:
        return ExportError(
            f"{problem}. The model itself gives something else at each call",
            "layers that are not random when training=False",
        )
    if form.name == "litert":
        plain = difference(batch.outputs, run_litert(aside, batch.ports, accelerated=False)(batch.inputs))
        if plain.excess <= allowed:
            return ExportError(
                f"{problem}. Without XNNPACK, which LiteRT runs it with by default, they differ by "
                f"{plain.absolute:.2g}: the file is right, XNNPACK is not",
                'another kernel_size, strides or padding, or format="onnx"',
            )
    other = "onnx" if form.name == "saved_model" else "saved_model"
    return ExportError(problem, f'format="{other}", or a larger tolerance if the difference does not matter')


def _unable(what: str, error: Exception, model: keras.Model, form: Format) -> ExportError:
    """Return an error with the reason in a line, and the layer that the text of `error` speaks of, if any."""
    nodes = re.findall(r"[\w.\-]+(?:/[\w.\-]+)+", str(error))
    layer = next((name for name in (layer_of(node, model) for node in nodes) if name), "")
    because = f", because of its layer {layer!r}" if layer else ""
    hint = "model.save(path), a file for Keras" if form.name == "saved_model" else 'format="saved_model"'
    return ExportError(f"{what}{because}: {brief(error)}", hint)


def _size_text(size: int) -> str:
    power = min(3, int(math.log10(max(size, 1)) // 3))
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB')[power]}"
