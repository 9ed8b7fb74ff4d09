"""The formats a model can be exported to: how each is written, by Keras, and how it is run again without Keras."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepkit.training.errors import ExportError

Arrays = Sequence[np.ndarray]
Runner = Callable[[Arrays], list[np.ndarray]]


@dataclass(frozen=True)
class Ports:
    """What goes into a model and what comes out.

    Args:
        inputs: The structure of the inputs: Keras tensors or `keras.InputSpec`s.
        outputs: The structure of the outputs, of whatever leaves.
    """

    inputs: Any
    outputs: Any

    @property
    def names(self) -> list[str]:
        """Names of the inputs in flat order."""
        return [spec.name for spec in keras.tree.flatten(self.inputs)]

    def signature(self) -> list[Any]:
        """Return what Keras is told of the inputs: one positional argument, any batch size."""
        return [keras.tree.map_structure(_any_batch, self.inputs)]


@dataclass(frozen=True)
class Format:
    """A format that models are exported to.

    Args:
        name: What users call it.
        suffix: How its files end; empty where it is a folder.
        write: Writes a model to a path.
        runner: Reads a path and returns a function of flat inputs to flat outputs.
        lacks: Compute dtypes that it has no operations for.
        tolerance: The largest difference that is taken for rounding, by the model's coarsest compute dtype.
        modules: What has to be importable.
        attempts: How often a conversion is tried whose outputs have other shapes than the model's.
    """

    name: str
    suffix: str
    write: Callable[[keras.Model, Path, Ports], None]
    runner: Callable[[Path, Ports], Runner]
    lacks: tuple[str, ...]
    tolerance: dict[str, float]
    modules: tuple[str, ...] = ()
    attempts: int = 1

    def missing(self) -> list[str]:
        """Return the modules that are not installed."""
        return [name for name in self.modules if importlib.util.find_spec(name) is None]


def _any_batch(spec: Any) -> keras.InputSpec:
    return keras.InputSpec(shape=(None, *spec.shape[1:]), dtype=spec.dtype, name=spec.name)


def write_saved_model(model: keras.Model, path: Path, ports: Ports) -> None:
    """Write a folder that TensorFlow serves.

    `model.export` would write what layers do when nobody says whether this is training, and random augmentation
    then augments (keras 3.15); so the endpoint is made here, as Keras makes that of LiteRT.

    Raises:
        ExportError: The model calls back into Python, which the folder would not have.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", functools.partial(model.__call__, training=False), input_signature=ports.signature())
    archive.write_out(path, verbose=False)
    graph = tf.saved_model.load(path).signatures["serving_default"].graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    python = [(node.op, node.name) for node in nodes if node.op in ("PyFunc", "PyFuncStateless", "EagerPyFunc")]
    if python:
        raise unsupported("a SavedModel", python[:1], model, "keras.ops or TensorFlow operations in its place")


def run_saved_model(path: Path, ports: Ports) -> Runner:
    """Run the endpoint `serve` with TensorFlow."""
    loaded = tf.saved_model.load(path)  # kept by the function below: `serve` alone does not keep its variables

    def run(inputs: Arrays) -> list[np.ndarray]:
        return numpy(loaded.serve(keras.tree.pack_sequence_as(ports.inputs, [tf.constant(x) for x in inputs])))

    return run


def write_onnx(model: keras.Model, path: Path, ports: Ports) -> None:
    """Write an ONNX file.

    Raises:
        ExportError: It holds an operation that ONNX does not know; tf2onnx writes such files without complaint.
    """
    import onnx

    from deepkit.export import onnx_workarounds as onnx_gaps

    constants = onnx_gaps.write(model, path, ports.signature())
    written = onnx.load(path)
    nodes = written.graph.node
    unknown = [(node.op_type, node.name) for node in nodes if not node.domain and not onnx.defs.has(node.op_type)]
    if unknown:
        raise unsupported("ONNX", unknown, model, 'format="saved_model", or a layer of other operations')
    onnx_gaps.close_inputs(written.graph, ports.names, constants)
    onnx.save(written, path)


def run_onnx(path: Path, ports: Ports) -> Runner:
    """Run with ONNX Runtime on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is fatal is raised
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    there = [port.name for port in session.get_inputs()]
    return lambda inputs: session.run(None, _named(there, ports, inputs))


def write_litert(model: keras.Model, path: Path, ports: Ports) -> None:
    """Write a LiteRT file of LiteRT's own operations only, so that every LiteRT runs it.

    Raises:
        ExportError: An operation is TensorFlow's alone.
    """
    own = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    try:
        model.export(path, format="litert", verbose=False, input_signature=ports.signature(), target_spec=own)
    except Exception as error:
        found = [op for op in _IN_CONVERTER.findall(str(error)) if op[0] not in ("StatefulPartitionedCall", "While")]
        if not found:
            raise
        loops = any(name.startswith("TensorList") for name, _ in found)
        hint = "unroll=True in the recurrent layer, and a known number of steps" if loops else _ELSEWHERE
        raise unsupported("LiteRT", found, model, hint) from error


_IN_CONVERTER = re.compile(r'fused\["(\w+):", "([^"@]+)@')
_ELSEWHERE = 'format="saved_model", or a layer of other operations'


def run_litert(path: Path, ports: Ports, *, accelerated: bool = True) -> Runner:
    """Run with TensorFlow's own LiteRT interpreter; not `accelerated`, without its default delegate, XNNPACK."""
    resolver = tf.lite.experimental.OpResolverType
    kind = resolver.AUTO if accelerated else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_path=str(path), experimental_op_resolver_type=kind)
    signature = interpreter.get_signature_runner()  # kept with the interpreter; takes any batch size

    def run(inputs: Arrays) -> list[np.ndarray]:
        found = signature(**_named(list(signature.get_input_details()), ports, inputs))
        if isinstance(ports.outputs, dict):
            return [found[key] for key in sorted(ports.outputs)]
        return [found[f"output_{i}"] for i in range(len(found))]

    return run


def numpy(structure: Any) -> list[np.ndarray]:
    """Return the leaves as arrays."""
    return [keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(structure)]


def unsupported(where: str, found: Sequence[tuple[str, str]], model: keras.Model, hint: str) -> ExportError:
    """Return an error that names the operations that a format lacks and the layer of the first."""
    names = list(dict.fromkeys(op for op, _ in found))
    layer = layer_of(found[0][1], model)
    owner = f"the layer {layer!r}" if layer else "the model"
    return ExportError(f"{owner} uses {', '.join(names)}, which {where} does not have", hint)


def layer_of(node: str, model: keras.Model) -> str:
    """Return the innermost layer of a model that the name of a node in its graph speaks of; empty for none.

    Names of nodes are those of layers between slashes, with `_1` added where the graph was traced before.
    """
    *parts, _ = node.split("/")  # the last is the operation
    names = {layer.name for layer in layers(model)}
    again = model.name not in parts
    found = [name for part in parts for name in _readings(part, again) if name in names]
    return found[-1] if found else ""


def layers(model: Any) -> Iterator[keras.layers.Layer]:
    """Yield every layer of a model, those of models within it too."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from layers(layer)


def brief(error: Exception, most: int = 300) -> str:
    """Return what an error says on one line: of a trace through traced code its last line, else its first."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip() or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines[0].startswith("in user code") else lines[0]
    return line if len(line) <= most else line[: most - 3] + "..."


def _readings(part: str, again: bool) -> list[str]:
    bare = re.sub(r"_\d+$", "", part)
    return [part, bare] if again else [bare, part]  # the last that is a layer counts


def _named(there: Sequence[str], ports: Ports, inputs: Arrays) -> dict[str, np.ndarray]:
    given = dict(zip(ports.names, inputs, strict=True))
    if not given.keys() >= set(there):
        raise ValueError(f"it takes {', '.join(there)}, the model {', '.join(given)}")
    return {name: given[name] for name in there}


# Measured on networks of up to 120 layers, in parts of the largest output: float32 gives 1e-6 with other kernels and
# exactly 0 with TensorFlow's own. float16 rounds at 5e-4 and bfloat16 at 4e-3, at every layer.
_OTHER_KERNELS = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
_SAME_KERNELS = {"float32": 1e-5, "float16": 5e-3, "bfloat16": 4e-2}

FORMATS = {
    format.name: format
    for format in (
        Format("saved_model", "", write_saved_model, run_saved_model, (), _SAME_KERNELS),
        Format(
            "onnx",
            ".onnx",
            write_onnx,
            run_onnx,
            ("bfloat16",),
            _OTHER_KERNELS,
            ("onnx", "onnxruntime", "tf2onnx"),
            attempts=6,  # tf2onnx walks through sets, and in some orders it loses a squeeze behind a pooling
        ),
        Format("litert", ".tflite", write_litert, run_litert, ("float16", "bfloat16"), _OTHER_KERNELS),
    )
}
