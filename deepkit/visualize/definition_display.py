"""The display of a definition in a notebook: the diagram of its model, and its code."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields as dataclass_fields
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from deepkit.blocks.gan import GAN
from deepkit.definition.block import Block
from deepkit.definition.keras_layer import LayerInstance
from deepkit.definition.preprocessing import nested_layers
from deepkit.definition.sequential import Sequential
from deepkit.definition.symbolic_inputs import find_input_spec, make_inputs
from deepkit.utils import html_fragments as fragments
from deepkit.visualize.diagrams.svg_diagrams import svg_diagrams

if TYPE_CHECKING:
    from deepkit.definition.inputs import InputSpec, InputSpecs
    from deepkit.utils.types import Shape

_EXAMPLE_SHAPES: tuple[Shape, ...] = ((16,), (32, 32, 3), (16, 8), (224, 224, 3), (784,), (16, 16, 16, 1))
_MAX_BYTES = 120_000  # of all diagrams of a definition
_MAX_OPEN_LINES = 30
_MAX_CODE = 20_000  # characters


class _NoDiagramError(Exception):
    """The diagram of a definition cannot be drawn; the message is the reason."""


def render_definition(definition: Block) -> str:
    """Return the diagram and the code of a definition as HTML."""
    text = repr(definition)
    if len(text) > _MAX_CODE:
        text = f"{text[:_MAX_CODE]}\n..."
    code = fragments.code(text)
    if text.count("\n") >= _MAX_OPEN_LINES:
        code = fragments.details("Code", code)
    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(_draw, definition, keras.config.dtype_policy()).result() + code
    except _NoDiagramError as error:
        return code + fragments.note(str(error))


def _draw(definition: Block, policy: keras.DTypePolicy) -> str:
    """Return the diagrams of a definition; runs in a thread without any state of Keras.

    The scope creates no weights, so that large models are drawn quickly. Keras stores the uninitialized weights, the
    counters of names and the seeds of a thread by thread: those of the notebook do not change.
    """
    with _same_random_state(), warnings.catch_warnings(), keras.StatelessScope(initialize_variables=False):
        warnings.simplefilter("ignore")  # `build` shows them
        keras.config.set_dtype_policy(policy)
        with _same_calls(definition):
            networks, note = _networks(definition)
            return "".join(_diagrams(networks)) + (fragments.note(note) if note else "")


def _networks(definition: Block) -> tuple[list[keras.Model], str]:
    """Return the networks of a definition, and a remark about their shapes."""
    _check_built(definition)
    shape = _generated_shape(definition) if isinstance(definition, GAN) else None
    if shape is not None or definition.input_spec() is not None:
        try:
            return _build(definition, shape), ""
        except Exception as error:  # `build` raises it
            raise _NoDiagramError(f"There is no diagram: {_first_line(error)}") from error
    for shape in _EXAMPLE_SHAPES:
        try:
            networks = _build(definition, shape)
        except Exception:  # the definition does not fit this shape
            continue
        return networks, f"Drawn for an example input of shape {shape}, because the definition fixes no input shape."
    build = "dk.visualize.diagram(definition.build(input_shape))"
    raise _NoDiagramError(f"There is no diagram, because the definition fixes no input shape; {build} draws it.")


def _check_built(definition: Block) -> None:
    """Raise if a layer of the user would get its weights from a display."""
    for layer in _layer_instances(definition):
        pending = [inner.name for inner in (layer, *nested_layers(layer)) if not inner.built]
        if pending and not isinstance(layer, keras.layers.Lambda):
            raise _NoDiagramError(f"There is no diagram: the layer {pending[0]!r} is not built yet.")


def _build(definition: Block, shape: Shape | None) -> list[keras.Model]:
    """Return the model of a definition; its networks if it is a model with its own training step."""
    if type(definition).build is Block.build:
        spec: InputSpec | InputSpecs = find_input_spec(definition, shape)
        x = make_inputs(definition, spec)
        return [definition.build_from(x, x, adapter=lambda inputs, use: None)]
    model = definition.build(shape)
    parts = [layer for layer in model.layers if isinstance(layer, keras.Model) and getattr(layer, "inputs", None)]
    return [model] if getattr(model, "inputs", None) and not parts else parts


def _generated_shape(definition: GAN) -> Shape:
    """Return the shape of one example that the generator returns."""
    generator = Sequential(list(definition.generator)).build((definition.latent_dim,))
    shape: Shape = tuple(generator.output_shape[1:])
    return shape


def _diagrams(networks: Sequence[keras.Model]) -> list[str]:
    """Return the diagram of each network, with fewer open blocks if they would be too large."""
    if not networks:
        raise _NoDiagramError("There is no diagram: the model has no network with a graph of layers.")
    contents = svg_diagrams(networks, _MAX_BYTES)
    if contents is None:
        raise _NoDiagramError(
            "There is no diagram: it would be too large for a notebook; dk.visualize.diagram draws it."
        )
    pairs = zip(networks, contents, strict=True)
    return [fragments.image(content, "image/svg+xml", f"Diagram of {network.name}") for network, content in pairs]


def _layer_instances(value: Any) -> Iterator[keras.layers.Layer]:
    """Yield the layers of the user in a definition, which every build uses as they are."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, LayerInstance):
            yield item.layer
        elif isinstance(item, Block):
            stack.extend(getattr(item, field.name) for field in dataclass_fields(item))
        elif isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)


@contextmanager
def _same_calls(definition: Block) -> Iterator[None]:
    """Remove the calls of the user's layers that a display adds, which would hold its graph in memory."""
    nodes = {id(layer): layer._inbound_nodes for layer in _layer_instances(definition)}
    num_nodes = {key: len(calls) for key, calls in nodes.items()}
    try:
        yield
    finally:
        for key, calls in nodes.items():
            del calls[num_nodes[key] :]


@contextmanager
def _same_random_state() -> Iterator[None]:
    """Restore the random state of Python, from which Keras draws the seeds of layers, and of NumPy."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
