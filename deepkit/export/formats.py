"""The export formats: how Keras writes each one, and how each one runs without Keras."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from deepkit.export.errors import ExportError

Spec: TypeAlias = keras.KerasTensor | keras.InputSpec
Specs: TypeAlias = Spec | Sequence["Specs"] | Mapping[str, "Specs"]
"""An input or an output, or lists and dicts of them."""

Arrays: TypeAlias = Sequence[np.ndarray]
Runner: TypeAlias = Callable[[Arrays], list[np.ndarray]]
"""A function from the inputs to the outputs, both in flat order."""


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model.

    Args:
        inputs: The inputs in their structure: Keras tensors or `keras.InputSpec`s.
        outputs: The outputs in their structure; the leaves may be of any type.
    """

    inputs: Specs
    outputs: object

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs in flat order."""
        return [spec.name for spec in keras.tree.flatten(self.inputs)]

    def input_signature(self) -> list[object]:
        """Return the `input_signature` for Keras: one positional argument, any batch size."""
        return [keras.tree.map_structure(_with_any_batch_size, self.inputs)]


@dataclass(frozen=True)
class Format:
    """An export format.

    Args:
        name: Value of the argument `format`.
        suffix: Suffix of its files; empty if an export is a folder.
        write: Writes a model to a path.
        load: Loads an export from a path, and returns a function from inputs to outputs.
        unsupported_dtypes: Compute dtypes that it has no operations for.
        tolerances: The largest difference that counts as rounding, by the coarsest compute dtype of the model.
        modules: Modules that must be installed.
        max_attempts: How often to convert a model if the converted outputs have wrong shapes.
    """

    name: str
    suffix: str
    write: Callable[[keras.Model, Path, Signature], None]
    load: Callable[[Path, Signature], Runner]
    unsupported_dtypes: tuple[str, ...]
    tolerances: dict[str, float]
    modules: tuple[str, ...] = ()
    max_attempts: int = 1

    def missing_modules(self) -> list[str]:
        """Return the modules that are not installed."""
        return [name for name in self.modules if importlib.util.find_spec(name) is None]


def _with_any_batch_size(spec: Spec) -> keras.InputSpec:
    return keras.InputSpec(shape=(None, *spec.shape[1:]), dtype=spec.dtype, name=spec.name)


def write_saved_model(model: keras.Model, path: Path, signature: Signature) -> None:
    """Write a SavedModel.

    `model.export` would leave `training` open, so that random layers augment (Keras 3.15). Therefore this function
    adds the endpoint itself, as Keras does for LiteRT.

    Raises:
        ExportError: The model calls Python functions, which a SavedModel cannot contain.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    serve = functools.partial(model.__call__, training=False)
    archive.add_endpoint("serve", serve, input_signature=signature.input_signature())
    archive.write_out(path, verbose=False)
    graph = tf.saved_model.load(path).signatures["serving_default"].graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    python = [(node.op, node.name) for node in nodes if node.op in ("PyFunc", "PyFuncStateless", "EagerPyFunc")]
    if python:
        raise unsupported("a SavedModel", python[:1], model, "use keras.ops or TensorFlow operations instead")


def load_saved_model(path: Path, signature: Signature) -> Runner:
    """Return a function that runs the endpoint `serve` with TensorFlow."""
    loaded = tf.saved_model.load(path)  # `run` must keep a reference: `serve` alone does not keep its variables

    def run(inputs: Arrays) -> list[np.ndarray]:
        tensors = [tf.constant(array) for array in inputs]
        return to_arrays(loaded.serve(keras.tree.pack_sequence_as(signature.inputs, tensors)))

    return run


def write_onnx(model: keras.Model, path: Path, signature: Signature) -> None:
    """Write an ONNX file.

    Raises:
        ExportError: The file holds an operation that ONNX does not have; tf2onnx writes such files without an error.
    """
    import onnx

    from deepkit.export import onnx_workarounds

    constants = onnx_workarounds.write(model, path, signature.input_signature())
    proto = onnx.load(path)
    nodes = proto.graph.node
    unknown = [(node.op_type, node.name) for node in nodes if not node.domain and not onnx.defs.has(node.op_type)]
    if unknown:
        raise unsupported("ONNX", unknown, model, _USE_SAVED_MODEL)
    onnx_workarounds.remove_constant_inputs(proto.graph, signature.input_names, constants)
    onnx.save(proto, path)


def load_onnx(path: Path, signature: Signature) -> Runner:
    """Return a function that runs the file with ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal errors only, which are raised too
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda inputs: session.run(None, _by_name(names, signature, inputs))


def write_litert(model: keras.Model, path: Path, signature: Signature) -> None:
    """Write a LiteRT file of LiteRT's built-in operations only, so that every LiteRT interpreter runs it.

    Raises:
        ExportError: The model needs an operation that only TensorFlow has.
    """
    builtins = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    input_signature = signature.input_signature()
    try:
        model.export(path, format="litert", verbose=False, input_signature=input_signature, target_spec=builtins)
    except Exception as error:
        operations = [op for op in _OPERATION.findall(str(error)) if op[0] not in ("StatefulPartitionedCall", "While")]
        if not operations:
            raise
        has_loop = any(name.startswith("TensorList") for name, _ in operations)
        hint = _UNROLL if has_loop else _USE_SAVED_MODEL
        raise unsupported("LiteRT", operations, model, hint) from error


_OPERATION = re.compile(r'fused\["(\w+):", "([^"@]+)@')  # (operation, node) in an error message of the converter
_UNROLL = "set unroll=True in the recurrent layer, and use a fixed number of time steps"
_USE_SAVED_MODEL = 'use format="saved_model", or a layer of other operations'


def load_litert(path: Path, signature: Signature, *, use_default_delegate: bool = True) -> Runner:
    """Return a function that runs the file with TensorFlow's LiteRT interpreter.

    Args:
        path: The file.
        signature: The inputs and outputs of the model.
        use_default_delegate: Whether to accelerate with XNNPACK, as LiteRT does by default.
    """
    resolver = tf.lite.experimental.OpResolverType
    resolver_type = resolver.AUTO if use_default_delegate else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_path=str(path), experimental_op_resolver_type=resolver_type)
    serve = interpreter.get_signature_runner()  # keeps the interpreter; accepts any batch size

    def run(inputs: Arrays) -> list[np.ndarray]:
        outputs = serve(**_by_name(list(serve.get_input_details()), signature, inputs))
        if isinstance(signature.outputs, dict):
            return [outputs[key] for key in sorted(signature.outputs)]
        return [outputs[f"output_{i}"] for i in range(len(outputs))]

    return run


def to_arrays(structure: object) -> list[np.ndarray]:
    """Return the leaves of a structure as arrays."""
    return [keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(structure)]


def unsupported(format_name: str, operations: Sequence[tuple[str, str]], model: keras.Model, hint: str) -> ExportError:
    """Return the error for operations that a format does not have.

    Args:
        format_name: The format in a sentence, such as `"a SavedModel"`.
        operations: Name of each operation and of its node in the graph.
        model: The model; the message names the layer of the first operation.
        hint: How to solve the problem.
    """
    names = list(dict.fromkeys(name for name, _ in operations))
    layer = find_layer(operations[0][1], model)
    owner = f"the layer {layer!r}" if layer else "the model"
    if any(getattr(item, "quantization_mode", None) for item in all_layers(model)):
        hint = 'export the model before model.quantize(), or use format="saved_model"'
    return ExportError(f"{owner} uses {', '.join(names)}, which {format_name} does not support", hint=hint)


def find_layer(node: str, model: keras.Model) -> str:
    """Return the name of the innermost layer in the name of a graph node, or an empty string if there is none.

    The name of a node consists of names of layers between slashes, with `_1` appended if the graph was traced before.
    """
    *scopes, _ = node.split("/")  # the last one is the operation
    layer_names = {layer.name for layer in all_layers(model)}
    is_retraced = model.name not in scopes
    for scope in reversed(scopes):
        for name in reversed(_candidate_names(scope, is_retraced)):
            if name in layer_names:
                return name
    return ""


def _candidate_names(scope: str, is_retraced: bool) -> list[str]:
    """Return the names that a layer with this scope may have, the more likely one last."""
    without_number = re.sub(r"_\d+$", "", scope)
    return [scope, without_number] if is_retraced else [without_number, scope]


def all_layers(model: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yield every layer of a model, including the layers of nested models."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from all_layers(layer)


def summarize_error(error: Exception, max_length: int = 300) -> str:
    """Return an error message in one line: the last line of a trace through a `tf.function`, else the first line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip() or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines[0].startswith("in user code") else lines[0]
    return line if len(line) <= max_length else line[: max_length - 3] + "..."


def _by_name(names: Sequence[str], signature: Signature, inputs: Arrays) -> dict[str, np.ndarray]:
    """Return the inputs of an export by name."""
    arrays = dict(zip(signature.input_names, inputs, strict=True))
    if not arrays.keys() >= set(names):
        raise ValueError(f"the export has the inputs {', '.join(names)}, the model {', '.join(arrays)}")
    return {name: arrays[name] for name in names}


# Measured on networks of up to 120 layers, relative to the largest output: float32 differs by 1e-6 with other kernels
# and by exactly 0 with TensorFlow's own. float16 is rounded at 5e-4 and bfloat16 at 4e-3, in every layer.
_OTHER_KERNELS = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
_SAME_KERNELS = {"float32": 1e-5, "float16": 5e-3, "bfloat16": 4e-2}

FORMATS = {
    format.name: format
    for format in (
        Format("saved_model", "", write_saved_model, load_saved_model, (), _SAME_KERNELS),
        Format(
            "onnx",
            ".onnx",
            write_onnx,
            load_onnx,
            ("bfloat16",),
            _OTHER_KERNELS,
            ("onnx", "onnxruntime", "tf2onnx"),
            max_attempts=6,  # tf2onnx iterates over sets, and in some orders it drops a squeeze after a pooling layer
        ),
        Format("litert", ".tflite", write_litert, load_litert, ("float16", "bfloat16"), _OTHER_KERNELS),
    )
}
