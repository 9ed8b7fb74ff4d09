"""The `deepkit build` command: from a definition in a file to a model, its summary, its picture and its exports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from deepkit.utils.console import echo

if TYPE_CHECKING:
    import keras

    from deepkit.definition.block import Block


@dataclass(frozen=True)
class Options:
    """Build the model that a YAML file defines; show, draw, save or export it."""

    file: Annotated[Path, tyro.conf.Positional]
    """The definition, as `dk.dump` writes it."""
    input_shape: tuple[int | None, ...] | None = None
    """Shape of one example without the batch axis, such as 28 28 1, where the definition does not fix it."""
    summary: bool = False
    """Print the definition, the layers and the parameters."""
    diagram: Path | None = None
    """Draw the model into this file: .svg, .png or .pdf."""
    depth: int | None = None
    """How many levels of blocks the diagram opens; by default as many as stay readable."""
    save: Path | None = None
    """Save the model, untrained, into this .keras file."""
    export: Literal["saved_model", "onnx", "litert"] | None = None
    """Export the model, untrained, and compare what was written with the model."""
    output: Path | None = None
    """Where the export goes; by default the file's name with the format's ending."""
    seed: int = 0
    """Seed of the initial weights."""


def run(options: Options) -> int:
    """Do what the options ask for and return the exit code."""
    import keras

    from deepkit.definition.errors import DefinitionError
    from deepkit.serialization.serialize import load

    _check(options)
    definition = load(options.file)
    if options.input_shape is None and definition.input_spec() is None:
        raise DefinitionError(
            "nothing in the definition fixes the shape of its input",
            code=definition,
            hint="--input-shape 28 28 1, the shape of one example without the batch axis",
        )
    check_size(definition, options.input_shape)
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(options.seed)
    model = definition.build(options.input_shape)
    if options.summary:
        summarise(definition, model)
    else:
        echo(f"{model.name}: {model.count_params():,} parameters in {len(model.layers)} layers")
    _write(model, options)
    return 0


def _check(options: Options) -> None:
    """Raise where options make no sense, before anything is built."""
    if options.save is not None and options.save.suffix != ".keras":
        raise ValueError(f"--save: expected a file that ends in .keras, received {options.save}")
    if options.diagram is not None:
        from deepkit.visualize.figures import file_format

        file_format(options.diagram)
    if options.output is not None and options.export is None:
        raise ValueError("--output is where an export goes\n  hint: --export saved_model, onnx or litert with it")


def check_size(definition: Block, input_shape: tuple[int | None, ...] | None) -> None:
    """Raise where a definition cannot be built, or its weights need more than half of the free memory.

    It is built once without making a weight, so a file with a slip in it does no harm.

    Raises:
        DefinitionError: It cannot be built.
        ValueError: It is too large.
    """
    import keras

    from deepkit.data import memory

    with keras.StatelessScope(initialize_variables=False):
        needed = sum(4 * math.prod(weight.shape) for weight in definition.build(input_shape).weights)
    if needed > memory.available_bytes() // 2:
        free = memory.format_bytes(memory.available_bytes())
        raise ValueError(
            f"the model has {memory.format_bytes(needed)} of weights, and {free} of memory are free\n"
            "  hint: narrower layers, or a pooling before the first dense layer"
        )


def summarise(definition: Block, model: keras.Model) -> None:
    """Print a definition, the layers of its model and the parameters."""
    echo(f"{definition!r}\n")
    model.summary(print_fn=lambda line, **_: echo(line))
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    echo(f"{model.count_params():,} parameters, {trainable:,} of them trainable")


def _write(model: keras.Model, options: Options) -> None:
    if options.diagram is not None:
        from deepkit import visualize

        visualize.diagram(model, options.diagram, depth=options.depth)
        echo(f"diagram: {options.diagram}")
    if options.save is not None:
        from deepkit.utils import files

        options.save.parent.mkdir(parents=True, exist_ok=True)
        with files.atomic_path(options.save) as path:
            model.save(path)
        echo(f"saved: {options.save}")
    if options.export is not None:
        from deepkit.export.exporter import default_path, export

        path = options.output or default_path(options.file.with_suffix(""), options.export)
        echo(f"exported: {export(model, path, format=options.export)}")
