"""The report of a run: one self-contained HTML page with the results, the figures and the settings."""

from __future__ import annotations

import base64
import html
import io
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from deepkit.execution.plan import Measurement
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.state import TrainingState
from deepkit.training.training_data import TrainingData
from deepkit.utils import files, machine
from deepkit.utils.history import format_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepkit.training.run_dir import RunDir
    from deepkit.utils.types import Dataset, History

_STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #212529; background: #fff; max-width: 62rem; margin: 3rem auto;
       padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; color: #3b5bdb }
.lead { color: #495057; margin-top: 0 }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.4rem 0 }
.number { background: #f1f3f5; border-radius: .6rem; padding: .7rem 1.1rem; min-width: 7rem }
.number b { display: block; font-size: 1.5rem } .number span { color: #495057; font-size: .85rem }
table { border-collapse: collapse; font-size: .92rem } td, th { text-align: left; padding: .3rem 1rem .3rem 0;
       border-bottom: 1px solid #e9ecef; vertical-align: top }
img { max-width: 100%; height: auto } pre { background: #f8f9fa; padding: 1rem; border-radius: .6rem; overflow-x: auto;
       font-size: .82rem; line-height: 1.4 }
@media (prefers-color-scheme: dark) { body { background: #16181d; color: #dee2e6 } pre, .number { background: #22252b }
  .lead, .number span { color: #adb5bd } td, th { border-color: #343a40 }
  img { background: #fff; border-radius: .4rem } }
"""


def write(
    compiled: CompiledModel, data: TrainingData, final_state: TrainingState, run_dir: RunDir, resume: str
) -> None:
    """Write `report.html` and the figures of a finished run, each atomically.

    Raises:
        OSError: A file could not be written; the run itself is already saved.
    """
    from deepkit.visualize.figures import png_bytes

    images = {}
    for name, caption, figure in _figures(compiled.model, data, final_state.history):
        images[caption] = png_bytes(figure)
        run_dir.write(f"figures/{name}.png", images[caption])
    with files.atomic_path(run_dir.report) as path:
        path.write_text(_page(compiled, data, final_state, resume, images), encoding="utf-8")


def _figures(model: keras.Model, data: TrainingData, history: History) -> Iterator[tuple[str, str, Figure]]:
    """Yield file name, caption and figure of each figure that this model and its data allow."""
    from deepkit import visualize
    from deepkit.visualize.interval_coverage import gaussian_outputs

    validation = data.validation
    gaussians = gaussian_outputs(model)
    class_names = data.class_names if isinstance(data.class_names, tuple) else ()  # no figure has several outputs
    figures: list[tuple[str, str, Callable[[], Figure]]] = []
    figures.append(("curves", "Learning curves", lambda: visualize.curves(history)))
    if validation is not None and not gaussians:
        figures.append(
            (
                "confusion",
                "Confusion matrix of the validation split",
                lambda: visualize.confusion(model, validation, class_names=class_names),
            )
        )
        figures.append(
            (
                "misclassified",
                "Misclassified examples of the validation split with the largest loss",
                lambda: visualize.misclassified(model, validation, class_names=class_names),
            )
        )
    figures.append(("filters", "Filters of the first layer", lambda: visualize.filters(model)))
    for name, caption, draw in figures:
        try:
            yield name, caption, draw()
        except (ValueError, TypeError, IndexError, AttributeError):
            continue  # a model without such weights, or data without classes, has no such figure
    if validation is not None:
        yield from _calibration_figures(model, validation, gaussians)


def _calibration_figures(
    model: keras.Model, validation: Dataset, outputs: Sequence[str]
) -> Iterator[tuple[str, str, Figure]]:
    """Yield a figure for each Gaussian output, with its coverage as text in the caption."""
    from deepkit.visualize.interval_coverage import draw_coverage, interval_coverage

    for output in outputs:
        try:
            coverage = interval_coverage(model, validation, output=output or None)
        except (ValueError, TypeError):
            continue  # an infinite dataset
        name, of_output = (f"calibration_{output}", f" of {output}") if output else ("calibration", "")
        caption = f"Calibration{of_output} on the validation split: {coverage.summary()}"
        yield name, caption, draw_coverage(coverage)


def _page(
    compiled: CompiledModel, data: TrainingData, final_state: TrainingState, resume: str, images: Mapping[str, bytes]
) -> str:
    model = compiled.model
    seconds = sum(final_state.seconds)
    lead = f"{model.count_params():,} parameters; {final_state.epoch} epochs in {seconds:.1f} s of training"
    body = [
        f"<h1>{_escape(model.name)}</h1><p class='lead'>{_escape(lead)}</p>",
        _final_values(final_state.history),
        *(_image(caption, content) for caption, content in images.items()),
        "<h2>Settings</h2>",
        _table(_settings(compiled, data, resume)),
        "<h2>Plan</h2>",
        _table(
            [(field, f"{choice}: {reason}" if reason else choice) for field, choice, reason in compiled.plan.rows()]
        ),
        _measurement_table(compiled.plan.measurements),
        f"<h2>Definition</h2><pre>{_escape(compiled.definition)}</pre>",
        f"<h2>Layers</h2><pre>{_escape(_summary(model))}</pre>",
    ]
    page = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<meta name='viewport' content='width=device-width'><title>{_escape(model.name)}</title>",
        f"<style>{_STYLE}</style></head><body>",
        *body,
        "</body></html>\n",
    ]
    return "".join(page)


def _final_values(history: History) -> str:
    cards = [
        f"<div class='number'><b>{format_metric(values[-1])}</b><span>{_escape(_label(name))}</span></div>"
        for name, values in history.items()
        if values
    ]
    return f"<div class='numbers'>{''.join(cards)}</div>"


def _label(name: str) -> str:
    split = "validation" if name.startswith("val_") else "training"
    return f"{split} {name.removeprefix('val_').replace('_', ' ')}"


def _image(caption: str, content: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return f"<h2>{_escape(caption)}</h2><img alt='{_escape(caption)}' src='{source}'>"


def _settings(compiled: CompiledModel, data: TrainingData, resume: str) -> list[tuple[str, str]]:
    hardware = machine.hardware()
    command = _command(sys.orig_argv)
    return [
        *([("command", command)] if command else []),
        ("data", data.description),
        ("optimizer", compiled.optimizer),
        ("loss", compiled.loss),
        ("metrics", ", ".join(compiled.metrics) or "none"),
        ("resume", resume),
        ("machine", f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory']}, GPU {hardware['gpu']}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in machine.versions().items())),
    ]


def _command(arguments: Sequence[str]) -> str | None:
    """Return the command that repeats this run, without the directory of its program; None in a Python prompt."""
    program, *rest = arguments[1:] or [""]
    if program in ("", "-", "-c", "-i"):
        return None
    if program.startswith("-"):
        return shlex.join(["python", program, *rest])
    name = Path(program).name
    return shlex.join([*(["python"] if name.endswith(".py") else []), name, *rest])


def _measurement_table(measurements: Sequence[Measurement]) -> str:
    """Return the table of the measurements of `dk.autotune`, or an empty string."""
    if not measurements:
        return ""
    rows = [_row("th", Measurement.columns), *(_row("td", measurement.cells()) for measurement in measurements)]
    return f"<h2>Measurements</h2><table>{''.join(rows)}</table>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{_escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{_escape(name)}</th><td>{_escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _summary(model: keras.Model) -> str:
    text = io.StringIO()
    model.summary(print_fn=lambda line, line_break=False: text.write(line + "\n"))
    return text.getvalue()


def _escape(text: str) -> str:
    return html.escape(str(text))
