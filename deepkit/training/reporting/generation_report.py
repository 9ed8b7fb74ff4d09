"""The outputs of models without labels: reconstructions of an autoencoder, samples of a GAN or VAE, translations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from deepkit.training.reporting import report_html as elements
from deepkit.training.reporting.evaluation import first_examples
from deepkit.training.reporting.example_cards import MAX_CHARACTERS, image_card, is_image
from deepkit.visualize.model_inputs import with_string_tensors

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset

_NUM_EXAMPLES = 12
_NUM_TEXTS = 8
_MAX_LENGTH = 60  # tokens of a translation
_MAX_NUMBERS = 8


def is_generative(model: keras.Model, target: str) -> bool:
    """Return whether a model is evaluated by its reconstructions, samples or translations, not by labels."""
    return target != "labels" or any(hasattr(model, name) for name in ("translate", "sample", "reconstruct"))


def generation_section(model: keras.Model, data: Dataset, split: str) -> str:
    """Return the outputs of a model for the first examples of some data, or generated examples.

    Args:
        model: The trained model.
        data: Batches of inputs, or tuples that begin with them.
        split: Name of the data: "validation".
    """
    with _same_variables(model):
        if hasattr(model, "translate"):
            return _translations(model, data, split)
        parts = []
        if not hasattr(model, "generator"):
            parts.append(_reconstructions(model, data, split))
        if hasattr(model, "sample"):
            parts.append(_samples(model))
        return "".join(parts)


def _translations(model: Any, data: Dataset, split: str) -> str:
    """Return source, target and output of pairs of texts."""
    pairs: list[tuple[str, str]] = []
    for batch in data:
        sources, targets = (np.asarray(item).reshape(-1) for item in batch[:2])
        pairs += [(_decode(source), _decode(target)) for source, target in zip(sources, targets, strict=True)]
        if len(pairs) >= _NUM_TEXTS:
            break
    pairs = pairs[:_NUM_TEXTS]
    outputs = model.translate([source for source, _ in pairs], num_beams=1, max_length=_MAX_LENGTH)
    contents = []
    for (source, target), output in zip(pairs, outputs, strict=True):
        rows = [("target", _short(target)), ("output", _short(output) or "(empty)")]
        contents.append(elements.quotation(_short(source) or "(empty)") + elements.pairs(rows))
    text = f"The first {len(pairs)} pairs of the {split} data; the output is found by greedy search."
    return elements.paragraph(text) + elements.cards(contents, "texts")


def _reconstructions(model: keras.Model, data: Dataset, split: str) -> str:
    inputs = first_examples(data, _NUM_EXAMPLES)
    if isinstance(inputs, dict | list | tuple):
        if len(keras.tree.flatten(inputs)) != 1:
            return elements.note("There are no reconstructions of several inputs.")
        inputs = keras.tree.flatten(inputs)[0]
    outputs = np.asarray(model.predict_on_batch(with_string_tensors(inputs)))
    if outputs.shape != inputs.shape:
        return elements.note("The output of the model does not have the shape of its input.")
    text = f"The first {len(inputs)} examples of the {split} data, and their reconstructions."
    heading = elements.heading("Reconstructions") + elements.paragraph(text)
    if is_image(_as_image(inputs[0])):
        contents = [
            _image_pair(_as_image(x), _as_image(y), i) for i, (x, y) in enumerate(zip(inputs, outputs, strict=True))
        ]
        return heading + elements.cards(contents)
    return heading + _number_table(inputs.reshape(len(inputs), -1), outputs.reshape(len(inputs), -1))


def _image_pair(image: np.ndarray, reconstruction: np.ndarray, index: int) -> str:
    return (
        f"{image_card(image, f'Input {index + 1}')}{image_card(reconstruction, f'Reconstruction {index + 1}')}"
        "above: input<br>below: reconstruction"
    )


def _number_table(inputs: np.ndarray, outputs: np.ndarray) -> str:
    shown = min(_MAX_NUMBERS, inputs.shape[1])
    rows = []
    for i, (x, y) in enumerate(zip(inputs, outputs, strict=True)):
        rows.append((f"input {i + 1}", *(f"{value:.3g}" for value in x[:shown])))
        rows.append((f"reconstruction {i + 1}", *(f"{value:.3g}" for value in y[:shown])))
    header = ("Example", *(f"x[{i}]" for i in range(shown)))
    more = elements.note(f"The first {shown} of {inputs.shape[1]} values.") if shown < inputs.shape[1] else ""
    return elements.table(header, rows) + more


def _samples(model: Any) -> str:
    samples = np.asarray(model.sample(_NUM_EXAMPLES, seed=0))
    heading = elements.heading("Generated examples")
    if is_image(_as_image(samples[0])):
        contents = [image_card(_as_image(image), f"Generated example {i + 1}") for i, image in enumerate(samples)]
        return heading + elements.cards(contents)
    values = samples.reshape(len(samples), -1)[:, :_MAX_NUMBERS]
    rows = [(f"example {i + 1}", *(f"{value:.3g}" for value in row)) for i, row in enumerate(values)]
    return heading + elements.table(("Example", *(f"x[{i}]" for i in range(values.shape[1]))), rows)


def _as_image(array: np.ndarray) -> np.ndarray:
    """Return a vector whose length is a square as a square image; other arrays unchanged."""
    array = np.asarray(array)
    side = int(np.sqrt(array.size))
    return array.reshape(side, side) if array.ndim == 1 and side >= 8 and side * side == array.size else array


@contextmanager
def _same_variables(model: keras.Model) -> Iterator[None]:
    """Restore the seeds and counters of a model, which its own methods may change."""
    variables = [v for v in model.variables if "int" in keras.backend.standardize_dtype(v.dtype)]
    values = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _decode(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _short(text: str) -> str:
    return elements.shorten(text, MAX_CHARACTERS)
