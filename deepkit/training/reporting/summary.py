"""The summary at the top of the report, the learning curves, and the metrics of the stored weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepkit.training.compiled_model import CompiledModel
from deepkit.training.output_heads import named_outputs
from deepkit.training.reporting import report_html as elements
from deepkit.training.reporting.report_figures import ReportFigures
from deepkit.training.state import TrainingState
from deepkit.training.training_data import TrainingData
from deepkit.utils.durations import format_duration
from deepkit.utils.metric_names import MetricName, metric_name
from deepkit.visualize.training_curves import metric_curve

if TYPE_CHECKING:
    from deepkit.definition.objective import Head
    from deepkit.utils.types import History

_MAX_CARDS = 4  # metrics
_MAX_CURVES = 6
_TASKS = {
    "translate": "Encoder-decoder model for pairs of texts",
    "caption": "Captioning model",
    "generate": "Language model",
    "reconstruct": "Variational autoencoder",
    "generator": "Generative adversarial network",
}


def lead_sentence(compiled: CompiledModel, data: TrainingData, final_state: TrainingState) -> str:
    """Return a sentence about the task, the number of epochs and the data."""
    epochs = f"{final_state.epoch} epoch{'' if final_state.epoch == 1 else 's'}"
    name = (data.summary or data.description).partition(":")[0]
    return f"{_task(compiled)}, trained for {epochs} on {name}."


def number_cards(compiled: CompiledModel, final_state: TrainingState, epoch: int | None) -> str:
    """Return the most important numbers: metrics of the stored weights, epochs, training time and parameters.

    Args:
        compiled: The trained model.
        final_state: The state after the last epoch.
        epoch: The epoch whose weights are stored, or None.
    """
    outputs = list(named_outputs(compiled.model))
    values = _values_of_epoch(final_state.history, epoch)
    names = {key: metric_name(key, outputs) for key in values}
    has_validation = any(name.is_validation for name in names.values())
    cards: list[tuple[str, str]] = []
    for key in sorted(values, key=lambda key: "loss" in key):
        if names[key].is_validation != has_validation or isinstance(values[key], list):
            continue
        if len(cards) < _MAX_CARDS:
            split = "validation" if has_validation else "training"
            cards.append((f"{split} {names[key].text}", names[key].format(values[key])))
    cards.append(("epochs", f"{final_state.epoch:,}"))
    cards.append(("training time", format_duration(sum(final_state.seconds))))
    cards.append(("parameters", f"{compiled.model.count_params():,}"))
    return elements.numbers(cards)


def curves_section(
    compiled: CompiledModel, final_state: TrainingState, epoch: int | None, figures: ReportFigures
) -> str:
    """Return the learning curves, and the metrics of the epoch whose weights are stored."""
    history = final_state.history
    outputs = list(named_outputs(compiled.model))
    keys = [key for key, values in history.items() if values and not key.startswith("val_")]
    if not keys:
        return elements.note("There is no finished epoch.")
    keys.sort(key=lambda key: key != "loss")
    drawn = [_curve(key, history, outputs, compiled, epoch, figures) for key in keys[:_MAX_CURVES]]
    parts = [elements.panels(drawn)]
    if len(keys) > _MAX_CURVES:
        parts.append(elements.note(f"{len(keys) - _MAX_CURVES} further metrics are in the table only."))
    parts.append(_epoch_text(final_state, epoch))
    parts.append(_metric_table(keys, history, outputs, epoch))
    return "".join(parts)


def _task(compiled: CompiledModel) -> str:
    for attribute, text in _TASKS.items():
        if hasattr(compiled.model, attribute):
            return text
    if compiled.prediction.target == "inputs":
        return "Autoencoder"
    heads = compiled.prediction.heads
    if len(heads) == 1 and "" in heads:
        text = _head_text(heads[""])
        return text[:1].upper() + text[1:]
    if heads:
        return "Model with several outputs: " + ", ".join(
            f"{name} ({_head_text(head)})" for name, head in heads.items()
        )
    return "Model"


def _head_text(head: Head) -> str:
    if head.task == "multiclass":
        return f"classifier of {head.units} classes"
    if head.task == "binary":
        return "binary classifier"
    if head.task == "multilabel":
        return f"multi-label classifier of {head.units} labels"
    numbers = "one number" if head.units == 1 else f"{head.units} numbers"
    return f"regression of {numbers}{' with uncertainty' if head.distribution else ''}"


def _values_of_epoch(history: History, epoch: int | None) -> dict[str, Any]:
    """Return the metrics of an epoch; of the last one if it is None."""
    values = {}
    for key, column in history.items():
        if column:
            index = len(column) - 1 if epoch is None else min(epoch, len(column)) - 1
            values[key] = column[index]
    return values


def _curve(
    key: str,
    history: History,
    outputs: Sequence[str],
    compiled: CompiledModel,
    epoch: int | None,
    figures: ReportFigures,
) -> str:
    name = metric_name(key, outputs)
    title = _loss_title(compiled.loss) if key == "loss" else name.title
    validation = history.get(f"val_{key}")
    figure = metric_curve(history[key], validation, title, scale=100.0 if name.is_fraction else 1.0, stored_epoch=epoch)
    alternative = (
        f"Learning curve: {name.text} over {len(history[key])} epochs. {_trend(name, history[key], 'Training')}"
    )
    if validation:
        alternative += f" {_trend(name, validation, 'Validation')}"
    file = "curves" if key == "loss" else f"curves_{key}"
    return figures.add(file, figure, alternative)


def _loss_title(loss: str) -> str:
    """Return name and unit of a loss from its code.

    >>> (
    ...     _loss_title("MeanSquaredError()"),
    ...     _loss_title("SparseCategoricalCrossentropy(from_logits=True)"),
    ... )
    ('Loss: mean squared error', 'Loss: cross-entropy (nats)')
    """
    match = re.fullmatch(r"(?:\w+\.)*(\w+)\(.*\)", loss, re.DOTALL)
    if match is None:
        return "Loss"
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", match[1]).lower()
    if words.endswith("crossentropy"):
        return "Loss: cross-entropy (nats)"
    if words.endswith("likelihood"):
        return "Loss: negative log-likelihood (nats)"
    return f"Loss: {words}"


def _trend(name: MetricName, values: Sequence[Any], split: str) -> str:
    if np.ndim(values[0]):
        return f"{split}: {len(values[0])} values in each epoch."
    return f"{split}: from {name.format(values[0])} to {name.format(values[-1])}."


def _epoch_text(final_state: TrainingState, epoch: int | None) -> str:
    last = final_state.epoch
    if epoch is None:
        return elements.note(
            f"The stored weights are not those of a single epoch: a callback changed them after epoch {last}. The "
            "table shows the metrics of the last epoch."
        )
    reason = "the last one" if epoch == last else f"the best of {last} for EarlyStopping"
    return elements.paragraph(f"The stored weights are those of epoch {epoch}, {reason}. Its metrics are:")


def _metric_table(keys: Sequence[str], history: History, outputs: Sequence[str], epoch: int | None) -> str:
    values = _values_of_epoch(history, epoch)
    has_validation = any(key.startswith("val_") for key in values)
    rows = []
    for key in keys:
        name = metric_name(key, outputs)
        row = [name.text, name.format(values[key])]
        if has_validation:
            row.append(name.format(values[f"val_{key}"]) if f"val_{key}" in values else "")
        rows.append(row)
    header = ("Metric", "Training", "Validation")[: 3 if has_validation else 2]
    note = elements.note(
        "Keras averages the training metrics over the epoch, while the weights change, and computes the validation "
        "metrics after it."
    )
    return elements.table(header, rows) + (note if has_validation else "")


def describe_shape(structure: Any) -> str:
    """Return the shapes of a structure of tensors without the batch axis."""
    if isinstance(structure, Mapping):
        return "; ".join(f"{name} {describe_shape(item)}" for name, item in structure.items())
    if isinstance(structure, list | tuple) and not hasattr(structure, "shape"):
        return "; ".join(describe_shape(item) for item in structure)
    shape = tuple(structure.shape)[1:]
    if not shape:
        return "one value"
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"({sizes}{',' if len(shape) == 1 else ''})"
