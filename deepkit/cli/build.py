"""The `deepkit build` command: build the model of a YAML file; print, draw, save or export it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from deepkit.utils.console import echo
from deepkit.utils.errors import message
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    import keras

    from deepkit.definition.block import Block


EXPORT_FORMATS = ("saved_model", "onnx", "litert")


@dataclass(frozen=True)
class Options:
    """Build the model of a YAML file; print, draw, save or export it."""

    file: Annotated[Path, tyro.conf.Positional]
    """Definition of the model, as `dk.dump` writes it."""
    input_shape: tuple[int | None, ...] | None = None
    """Shape of one example without the batch axis, such as 28 28 1; needed if the definition has no input shape."""
    summary: bool = False
    """Print the definition, the layers and the number of parameters."""
    diagram: Path | None = None
    """Draw a diagram of the model to this file: .svg, .png or .pdf; an existing file is replaced."""
    depth: int | None = None
    """Number of nested levels of blocks that the diagram shows; by default as many as are readable."""
    save: Path | None = None
    """Save the untrained model to this .keras file; an existing file is replaced."""
    export: Annotated[str | None, tyro.conf.arg(metavar="{saved_model,onnx,litert}")] = None
    """Export the untrained model in this format, and verify the outputs of the exported file."""
    output: Path | None = None
    """Path of the export; by default the name of the YAML file with the suffix of the format."""
    seed: int = 0
    """Seed of the initial weights."""


def run(options: Options) -> int:
    """Run `deepkit build` and return the exit code."""
    import keras

    from deepkit.definition.errors import DefinitionError
    from deepkit.execution.random_state import temporary_seed
    from deepkit.serialization.serialize import load

    _check_options(options)
    definition = load(options.file)
    if options.input_shape is None and definition.input_spec() is None:
        raise DefinitionError(
            "the definition has no input shape",
            code=definition,
            hint="pass --input-shape, the shape of one example without the batch axis, such as 28 28 1",
        )
    check_size(definition, options.input_shape)
    keras.utils.clear_session(free_memory=False)
    with temporary_seed(options.seed):
        model = definition.build(options.input_shape)
    if options.summary:
        summarize(definition, model)
    else:
        echo(f"{model.name}: {model.count_params():,} parameters in {len(model.layers)} layers")
    _write(model, options)
    return 0


def _check_options(options: Options) -> None:
    """Raise if an option is invalid, before the model is built."""
    if options.export is not None:
        check_choice(options.export, "--export", EXPORT_FORMATS, hint="use --export onnx")
    if options.save is not None and options.save.suffix != ".keras":
        problem = f"--save must be a file that ends in .keras, received {options.save}"
        raise ValueError(message(problem, hint=f"use --save {options.save.with_suffix('.keras')}"))
    if options.diagram is not None:
        check_diagram_path(options.diagram)
    if options.output is not None and options.export is None:
        problem = "--output is the path of an export, but --export is missing"
        raise ValueError(message(problem, hint="add --export saved_model, onnx or litert"))


def check_size(definition: Block, input_shape: tuple[int | None, ...] | None) -> None:
    """Raise if a definition cannot be built, or if its weights need more than half of the free memory.

    The definition is built without allocating weights, so that an oversized model in a file cannot exhaust the memory.

    Raises:
        DefinitionError: The definition cannot be built.
        ValueError: The weights are too large.
    """
    import keras

    from deepkit.data import memory

    with keras.StatelessScope(initialize_variables=False):
        size = sum(4 * math.prod(weight.shape) for weight in definition.build(input_shape).weights)
    free = memory.available_bytes()
    if size > free // 2:
        problem = (
            f"the model has {memory.format_bytes(size)} of weights, "
            f"but only {memory.format_bytes(free)} of memory are free"
        )
        raise ValueError(message(problem, hint="use narrower layers, or pooling before the first dense layer"))


def summarize(definition: Block, model: keras.Model) -> None:
    """Print a definition, the layers of its model and the number of parameters."""
    echo(f"{definition!r}\n")
    model.summary(print_fn=lambda line, **_: echo(line))
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    echo(f"{model.count_params():,} parameters, {trainable:,} of them trainable")


def check_diagram_path(path: Path) -> None:
    """Raise a ValueError if the suffix of a path is not that of a diagram, before the model is built."""
    from deepkit.visualize.figures import file_format

    file_format(path)


def draw_diagram(model: keras.Model, path: Path, *, depth: int | None = None) -> None:
    """Draw a diagram of a model to a file, and print its path."""
    from deepkit import visualize

    suffix = _replaced_suffix(path)
    visualize.diagram(model, path, depth=depth)
    echo(f"diagram: {path}{suffix}")


def _replaced_suffix(path: Path) -> str:
    """Return the remark that a file replaces an earlier one, or an empty text."""
    return " (replaced)" if path.exists() else ""


def _write(model: keras.Model, options: Options) -> None:
    if options.diagram is not None:
        draw_diagram(model, options.diagram, depth=options.depth)
    if options.save is not None:
        from deepkit.utils import files

        suffix = _replaced_suffix(options.save)
        options.save.parent.mkdir(parents=True, exist_ok=True)
        with files.atomic_path(options.save) as path:
            model.save(path)
        echo(f"saved: {options.save}{suffix}")
    if options.export is not None:
        from deepkit.export.exporter import default_path, export

        path = options.output or default_path(options.file.with_suffix(""), options.export)
        echo(f"exported: {export(model, path, format=options.export)}")
