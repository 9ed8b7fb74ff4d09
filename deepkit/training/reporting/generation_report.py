"""The outputs of models without labels: reconstructions, samples, translations, captions and continued texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from deepkit.training.reporting import report_html as elements
from deepkit.training.reporting.evaluation import first_examples
from deepkit.training.reporting.example_cards import MAX_CHARACTERS, image_card, is_image
from deepkit.training.training_data import as_tuple
from deepkit.visualize.model_inputs import with_string_tensors

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset

_NUM_EXAMPLES = 12
_NUM_TEXTS = 8
_MAX_LENGTH = 60  # tokens of a text that a model writes
_MAX_NUMBERS = 8


def is_generative(model: keras.Model, target: str) -> bool:
    """Return whether a model is evaluated by its reconstructions, samples or texts, not by labels."""
    methods = ("translate", "caption", "generate", "sample", "reconstruct")
    return target != "labels" or any(hasattr(model, name) for name in methods)


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
        if hasattr(model, "caption"):
            return _captions(model, data, split)
        if hasattr(model, "generate"):
            return _continuations(model, data, split)
        parts = []
        if hasattr(model, "reconstruct") or not hasattr(model, "sample"):
            parts.append(_reconstructions(model, data, split))
        if hasattr(model, "sample"):
            parts.append(_samples(model))
        return "".join(parts)


def _translations(model: Any, data: Dataset, split: str) -> str:
    """Return source, target and output of pairs of texts."""
    sources, targets = (_decode_all(texts) for texts in _first_batches(data, 2))
    outputs = model.translate(sources, num_beams=1, max_length=_MAX_LENGTH)
    contents = []
    for source, target, output in zip(sources, targets, outputs, strict=True):
        contents.append(elements.quotation(_short(source) or "(empty)") + _target_and_output(target, output))
    text = f"The first {len(sources)} pairs of the {split} data; the output is found by greedy search."
    return elements.paragraph(text) + elements.cards(contents, "texts")


def _captions(model: Any, data: Dataset, split: str) -> str:
    """Return images with their captions and outputs."""
    images, captions = _first_batches(data, 2)
    outputs = model.caption(images, num_beams=1, max_length=_MAX_LENGTH)
    contents = []
    for i, (image, target, output) in enumerate(zip(images, _decode_all(captions), outputs, strict=True)):
        card = image_card(image, f"Image {i + 1}") if is_image(image) else ""
        contents.append(card + _target_and_output(target, output))
    text = f"The first {len(images)} images of the {split} data; the output is found by greedy search."
    return elements.paragraph(text) + elements.cards(contents, "texts")


def _continuations(model: Any, data: Dataset, split: str) -> str:
    """Return the beginnings of texts, and how they and the model continue."""
    texts = _decode_all(_first_batches(data, 1)[0])
    beginnings = [" ".join(text.split()[: max(1, len(text.split()) // 3)]) for text in texts]
    outputs = model.generate(beginnings, max_new_tokens=_MAX_LENGTH, seed=0)
    contents = []
    for beginning, text, output in zip(beginnings, texts, outputs, strict=True):
        contents.append(elements.quotation(_short(beginning) or "(empty)") + _target_and_output(text, output, "text"))
    lead = f"The first third of the first {len(texts)} texts of the {split} data, continued with temperature 1."
    return elements.paragraph(lead) + elements.cards(contents, "texts")


def _first_batches(data: Dataset, num_elements: int) -> list[np.ndarray]:
    """Return the first elements of batches as arrays of at most eight examples."""
    batches: list[list[np.ndarray]] = []
    for batch in data:
        batches.append([np.asarray(element) for element in as_tuple(batch)[:num_elements]])
        if sum(len(arrays[0]) for arrays in batches) >= _NUM_TEXTS:
            break
    return [np.concatenate(arrays)[:_NUM_TEXTS] for arrays in zip(*batches, strict=True)]


def _decode_all(texts: np.ndarray) -> list[str]:
    return [_decode(text) for text in texts.reshape(-1)]


def _target_and_output(target: str, output: str, name: str = "target") -> str:
    return elements.pairs([(name, _short(target)), ("output", _short(output) or "(empty)")])


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
