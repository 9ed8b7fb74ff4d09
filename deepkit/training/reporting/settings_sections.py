"""The sections of the report about the model, the data, the settings of the training, and the plan."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from deepkit.data import Pipeline
from deepkit.execution.measurement import Measurement
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.gradient_accumulation import describe_updates
from deepkit.training.reporting import report_html as elements
from deepkit.training.reporting.report_figures import ReportFigures
from deepkit.training.reporting.summary import describe_shape
from deepkit.training.training_data import TrainingData
from deepkit.utils import machine
from deepkit.visualize.diagrams.svg_diagrams import svg_diagrams
from deepkit.visualize.filter_images import filters

if TYPE_CHECKING:
    from deepkit.execution.plan import Plan
    from deepkit.utils.types import Dataset

_MAX_DIAGRAM = 150_000  # bytes
_MAX_CODE = 20_000  # characters
_MAX_SUMMARY = 60_000
_MAX_NAMES = 20


def model_section(compiled: CompiledModel, figures: ReportFigures) -> str:
    """Return the diagram, the code, the layers and the first filters of a model."""
    model = compiled.model
    parts = [_diagram(model)]
    title = "Architecture" if compiled.precompiled else "Definition"
    parts += [elements.heading(title), elements.code(elements.shorten(compiled.definition, _MAX_CODE))]
    parts.append(elements.details("All layers", elements.code(elements.shorten(_summary(model), _MAX_SUMMARY))))
    try:
        drawn = filters(model)
    except (ValueError, TypeError, AttributeError):
        return "".join(parts)  # no layer has weights that are images
    caption = "Weights of the first layer as images; in one channel, red is positive and blue is negative."
    parts += [
        elements.heading("Filters of the first layer"),
        figures.add("filters", drawn, "Filters of the first layer", caption),
    ]
    return "".join(parts)


def data_section(compiled: CompiledModel, data: TrainingData) -> str:
    """Return number, shape and origin of the data."""
    rows = [("data", data.description), ("training data", _size(data.train, data.steps))]
    size = "none" if data.validation is None else _size(data.validation, None)
    rows += [("validation data", size), ("shape of an input", describe_shape(data.input_spec))]
    label_spec = data.label_spec
    if label_spec is not None and compiled.prediction.target == "labels":
        rows.append(("shape of a label", describe_shape(label_spec)))
    names = data.class_names
    for output, values in [("", names)] if isinstance(names, tuple) else names.items():
        if values:
            of_output = f" of {output}" if output else ""
            rows.append((f"classes{of_output}", _join(values)))
    parts = [elements.facts(rows)]
    if data.columns is not None:
        kinds = [(column.name, column.kind, "yes" if column.has_missing else "no") for column in data.columns.columns]
        table = elements.table(("Column", "Kind", "Missing values"), kinds, texts=3)
        parts.append(table if len(kinds) <= _MAX_NAMES else elements.details(f"{len(kinds)} columns", table))
    return "".join(parts)


def training_section(compiled: CompiledModel, data: TrainingData) -> str:
    """Return optimizer, loss, metrics and class weights of the training."""
    updates = describe_updates(compiled.plan, data)
    rows = [
        ("optimizer", compiled.optimizer),
        ("loss", "that of the model" if compiled.loss == "None" else compiled.loss),
        ("metrics", ", ".join(compiled.metrics) or "none"),
        ("batch size", _batch_size(data.train)),
        *([("updates", updates)] if updates else []),
        ("batches per epoch", "unknown" if data.steps is None else f"{data.steps:,}"),
    ]
    notes = "".join(elements.note(text) for text in (*data.notes, *compiled.notes))
    return elements.facts(rows) + notes


def plan_section(plan: Plan) -> str:
    """Return the choices of a plan with their reasons, and the measurements of `dk.autotune`."""
    parts = [elements.facts(plan.rows())]
    if plan.measurements:
        rows = [measurement.cells() for measurement in plan.measurements]
        parts += [elements.heading("Measurements"), elements.table(Measurement.columns, rows, texts=2)]
    return "".join(parts)


def reproduction_section(resume: str) -> str:
    """Return the command, the machine and the versions."""
    hardware = machine.hardware()
    run_command = command(sys.orig_argv)
    rows = [
        *([("command", run_command)] if run_command else []),
        ("resume", resume),
        ("machine", f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory']}, GPU {hardware['gpu']}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in machine.versions().items())),
    ]
    return elements.facts(rows)


def command(arguments: Sequence[str]) -> str | None:
    """Return the command that repeats this run, without the directory of its program; None in a Python prompt."""
    program, *rest = arguments[1:] or [""]
    if program in ("", "-", "-c", "-i"):
        return None
    if program.startswith("-"):
        return shlex.join(["python", program, *rest])
    name = Path(program).name
    return shlex.join([*(["python"] if name.endswith(".py") else []), name, *rest])


def _diagram(model: keras.Model) -> str:
    parameters = f"{len(model.layers)} layers, {model.count_params():,} parameters"
    try:
        contents = svg_diagrams([model], _MAX_DIAGRAM)
    except (ValueError, TypeError, AttributeError):
        return elements.note("There is no diagram: the model has no graph of layers.")
    if contents is None:
        return elements.note("There is no diagram: it would be too large; dk.visualize.diagram draws it.")
    image = elements.image(contents[0], f"Diagram of {model.name}: {parameters}", "image/svg+xml")
    return elements.scroll(image, f"Diagram of {model.name}", "diagram")


def _size(batches: Dataset, steps: int | None) -> str:
    """Return the number of examples, or of batches if that is unknown."""
    if isinstance(batches, Pipeline):
        return f"{batches.num_examples:,} examples"
    cardinality = int(batches.cardinality())
    count = steps if steps is not None else cardinality
    return f"{count:,} batches" if count >= 0 else "batches of unknown number"


def _batch_size(batches: Dataset) -> str:
    return f"{batches.batch_size:,}" if isinstance(batches, Pipeline) else "that of the dataset"


def _join(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return f"{shown}, … ({len(names):,} names)" if len(names) > _MAX_NAMES else shown


def _summary(model: keras.Model) -> str:
    text = io.StringIO()
    model.summary(print_fn=lambda line, line_break=False: text.write(line + "\n"), line_length=88)
    return text.getvalue()
