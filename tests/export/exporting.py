"""Run exports as their users do: without deepkit."""

import warnings

import keras
import pytest
import tensorflow as tf

from deepkit.export.formats import FORMATS

SUFFIX = {name: form.suffix for name, form in FORMATS.items()}
needs_onnx = pytest.mark.skipif(
    bool(FORMATS["onnx"].missing_modules()), reason='needs pip install "deepkit-keras[onnx]"'
)
each_format = pytest.mark.parametrize("format", ["saved_model", pytest.param("onnx", marks=needs_onnx), "litert"])


def run(format, path, x):
    """Return the outputs of an export for a batch, or for a dict of batches."""
    return {"saved_model": _saved_model, "onnx": _onnx, "litert": _litert}[format](path, x)


def _saved_model(path, x):
    loaded = tf.saved_model.load(path)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, loaded.serve(keras.tree.map_structure(tf.constant, x)))


def _onnx(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    feeds = x if isinstance(x, dict) else {session.get_inputs()[0].name: x}
    outputs = dict(zip(names, session.run(None, feeds), strict=True))
    return outputs if isinstance(x, dict) else outputs[names[0]]


def _litert(path, x):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        signature = tf.lite.Interpreter(model_path=str(path)).get_signature_runner()
    feeds = x if isinstance(x, dict) else {next(iter(signature.get_input_details())): x}
    outputs = signature(**feeds)
    return outputs if isinstance(x, dict) else outputs["output_0"]
