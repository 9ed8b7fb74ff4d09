"""The report of a run: one self-contained HTML page with the results, the figures and the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepkit.training.baseline_errors import baseline_errors
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.diagnosis_display import history_fragment
from deepkit.training.output_heads import named_outputs
from deepkit.training.reporting import report_html as elements
from deepkit.training.reporting.classification_report import classification_section, multilabel_section
from deepkit.training.reporting.evaluation import OutputEvaluation, evaluate_outputs
from deepkit.training.reporting.generation_report import generation_section, is_generative
from deepkit.training.reporting.regression_report import regression_section
from deepkit.training.reporting.report_figures import ReportFigures
from deepkit.training.reporting.report_html import Section
from deepkit.training.reporting.settings_sections import (
    data_section,
    model_section,
    plan_section,
    reproduction_section,
    training_section,
)
from deepkit.training.reporting.stored_epoch import stored_epoch
from deepkit.training.reporting.summary import curves_section, lead_sentence, number_cards
from deepkit.training.reporting.worst_examples import worst_section
from deepkit.training.state import TrainingState
from deepkit.training.training_data import TrainingData
from deepkit.utils import files, machine

if TYPE_CHECKING:
    from deepkit.training.run_dir import RunDir

_SPLIT = "validation"


def write(
    compiled: CompiledModel, data: TrainingData, final_state: TrainingState, run_dir: RunDir, resume: str
) -> None:
    """Write `report.html` and the figures of a finished run, each atomically.

    Raises:
        OSError: A file could not be written; the run itself is already saved.
    """
    figures = ReportFigures()
    page = _page(compiled, data, final_state, resume, figures)
    for name, content in figures.contents.items():
        run_dir.write(f"figures/{name}.png", content)
    with files.atomic_path(run_dir.report) as path:
        path.write_text(page, encoding="utf-8")


def _page(
    compiled: CompiledModel, data: TrainingData, final_state: TrainingState, resume: str, figures: ReportFigures
) -> str:
    epoch = stored_epoch(compiled.model, final_state)
    curves = curves_section(compiled, final_state, epoch, figures)
    evaluation = _evaluation_section(compiled, data, figures)
    diagnosis = history_fragment(final_state.history, baseline_errors(data, compiled.prediction.heads))
    sections = [
        Section("Learning curves", curves),
        Section("Evaluation", evaluation),
        *([Section("Diagnosis", diagnosis)] if diagnosis else []),
        Section("Model", model_section(compiled, figures)),
        Section("Data", data_section(compiled, data)),
        Section("Training", training_section(compiled, data)),
        Section("Plan", plan_section(compiled.plan)),
        Section("Reproduction", reproduction_section(resume)),
    ]
    version = machine.versions()["deepkit"]
    return elements.page(
        compiled.model.name,
        lead_sentence(compiled, data, final_state),
        number_cards(compiled, final_state, epoch),
        sections,
        f"Written by deepkit {version} at the end of dk.fit.",
    )


def _evaluation_section(compiled: CompiledModel, data: TrainingData, figures: ReportFigures) -> str:
    """Return the evaluation on the validation data, or the reason why there is none."""
    model, prediction = compiled.model, compiled.prediction
    try:
        if is_generative(model, prediction.target):
            has_validation = data.validation is not None
            batches = data.validation if data.validation is not None else data.single_epoch()
            return generation_section(model, batches, _SPLIT if has_validation else "training")
        if data.validation is None:
            return elements.note(
                "This run has no validation data, so there is no evaluation: metrics of the training data would be too "
                "optimistic. Pass validation_split=0.2 or validation_data=(x, y) to dk.fit, and evaluate the finished "
                "model on test data with run.evaluate."
            )
        if not prediction.heads:
            return elements.note("There is no evaluation: the task of the outputs is unknown.")
        evaluation = evaluate_outputs(model, data.validation, prediction.heads)
    except Exception as error:  # of the user's data or model, which are trained and saved
        return elements.warning(f"The evaluation failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
    parts = [elements.paragraph(evaluation.describe(_SPLIT))]
    for name, output in evaluation.outputs.items():
        if name:
            parts.append(elements.heading(f"Output {name}"))
        parts.append(_output_section(output, _names(compiled, data, name, output), name, data, figures))
    return "".join(parts)


def _output_section(
    output: OutputEvaluation, names: Sequence[str], name: str, data: TrainingData, figures: ReportFigures
) -> str:
    if output.head.task == "regression":
        content = regression_section(output, names, figures, name, _SPLIT)
    elif output.head.task == "multilabel":
        content = multilabel_section(output, names)
    else:
        content = classification_section(output, names, figures, name)
    return content + worst_section(output, names, data.columns)


def _names(compiled: CompiledModel, data: TrainingData, name: str, output: OutputEvaluation) -> Sequence[str]:
    """Return the names of the classes of an output, or of the targets of a regression."""
    if output.head.task != "regression":
        classes = data.class_names
        return classes if isinstance(classes, tuple) else classes.get(name, ())
    num_targets = output.labels.shape[1]
    targets = () if data.columns is None else data.columns.target
    if len(targets) == num_targets and len(named_outputs(compiled.model)) == 1:
        return targets
    if num_targets == 1:
        return (name or "target",)
    return tuple(f"{name or 'target'} {i}" for i in range(num_targets))
