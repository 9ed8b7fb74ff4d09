"""Exports are kept only if their outputs are the model's, and every error names the reason."""

import math
import os
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.export import formats
from deepkit.export.errors import ExportError
from deepkit.export.exporter import ExportResult, default_path, export
from deepkit.export.formats import FORMATS
from deepkit.export.quiet import quiet
from deepkit.export.sample import random_batch
from tests.conformance.cases import CASES
from tests.export.exporting import SUFFIX, each_format, needs_onnx, run

# The cases that a format does not support, and a part of the error message. All other cases must export.
UNSUPPORTED = {
    ("date_features", "onnx"): "the outputs of the onnx export differ from the model's",  # remainders below 0, and NaN
    ("conv_block_preactivation", "litert"): "Without XNNPACK, which LiteRT uses by default, they differ by",
    ("recurrent_stack", "litert"): "TensorListReserve, which LiteRT does not support",
    ("recurrent_plain_loop", "litert"): "TensorListReserve, which LiteRT does not support",
    ("bilstm", "litert"): "TensorListReserve, which LiteRT does not support",
    ("parallel_steps", "litert"): "TensorListReserve, which LiteRT does not support",
    ("text", "onnx"): "which ONNX does not support",
    ("text", "litert"): "which LiteRT does not support",
    ("text_punctuation", "onnx"): "which ONNX does not support",
    ("text_punctuation", "litert"): "which LiteRT does not support",
}
FAST = ("conv_block_layers", "conv_block_preactivation", "mlp_norm", "rbf")  # the whole table is slow


def dense(units: int = 2) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(units)])


def export_error(*args, **kwargs) -> str:
    with pytest.raises((ExportError, ValueError, TypeError)) as error:
        export(*args, **kwargs)
    return str(error.value)


def check_case(case, format, shape, folder):
    model = case.definition().build(shape)
    path = folder / f"{case.name}{SUFFIX[format]}"
    reason = UNSUPPORTED.get((case.name, format))
    if reason:
        assert reason in export_error(model, path, format=format)
        assert list(folder.iterdir()) == []
        return
    exported = export(model, path, format=format)
    assert exported.absolute_difference <= 1e-4
    is_functional = hasattr(model, "inputs")
    spec = model.input if is_functional else keras.InputSpec(shape=model.input_shape, dtype=model.input_dtype)
    x = random_batch([spec], 9, seed=5)[0]  # another batch, of another size if sizes are unknown
    np.testing.assert_allclose(run(format, path, x), model(x), rtol=1e-4, atol=1e-5)


@each_format
@pytest.mark.parametrize("case", [case for case in CASES if case.name in FAST], ids=lambda case: case.name)
def test_cases(case, format, tmp_path):
    check_case(case, format, case.shape, tmp_path)


def cases_and_shapes():
    """Return every case with unknown sizes, or with known ones if it needs them; thorough tests have both."""
    for case in CASES:
        if case.unknown is not None:
            yield pytest.param(case, case.unknown, id=f"{case.name}-unknown", marks=pytest.mark.slow)
        mark = pytest.mark.slow if case.unknown is None else pytest.mark.thorough
        yield pytest.param(case, case.shape, id=f"{case.name}-known", marks=mark)


@each_format
@pytest.mark.parametrize(("case", "shape"), list(cases_and_shapes()))
def test_every_case(case, shape, format, tmp_path):
    check_case(case, format, shape, tmp_path)


def test_every_unsupported_case_exists():
    assert {name for name, _ in UNSUPPORTED} <= {case.name for case in CASES}


# ---- inputs and outputs


@each_format
def test_inputs_and_outputs_keep_their_names(format, tmp_path):
    left, right = keras.Input((4,), name="left"), keras.Input((None,), dtype="int32", name="right")
    embedded = layers.GlobalAveragePooling1D(name="pool.average")(layers.Embedding(2, 3)(right))
    both = layers.Concatenate()([left, embedded])
    outputs = {"zeta": layers.Dense(2, name="z.out")(both), "alpha": layers.Dense(2)(both)}
    model = keras.Model({"right": right, "left": left}, outputs)
    exported = export(model, tmp_path / f"m{SUFFIX[format]}", format=format)
    assert exported.sample_shapes == ((3, 4), (3, 8))
    x = {"left": np.ones((2, 4), "float32"), "right": np.array([[0, 1, 1], [1, 1, 1]], "int32")}
    outputs = run(format, exported.path, x)
    for key, expected in model(x).items():
        np.testing.assert_allclose(outputs[key], expected, rtol=1e-5, atol=1e-6)


def test_a_text_model_is_exported_with_its_vocabulary(tmp_path):
    text = dk.Text(9, vocabulary=("ein", "Hund", "läuft"), standardize=None)
    model = dk.Sequential([text, layers.Embedding(9, 3, mask_zero=True), dk.BiLSTM(2), dk.Classifier(1)]).build()
    x = np.array(["ein Hund läuft", "", "Hund Hund fliegt"])
    exported = export(model, tmp_path / "m", sample=x)
    assert exported.sample_shapes == ((3,),)
    np.testing.assert_allclose(run("saved_model", tmp_path / "m", tf.constant(x)), model(tf.constant(x)), atol=1e-6)
    assert export(model, tmp_path / "m").sample_shapes == ((3,),)  # random words of its vocabulary


@each_format
def test_lists_keep_their_order(format, tmp_path):
    first, second = keras.Input((4,), name="b.first"), keras.Input((4,), name="a.second")
    difference = layers.Subtract()([first, second])
    outputs = [layers.Rescaling(i + 1.0)(difference) for i in range(12)]  # output_10 sorts before output_2
    model = keras.Model([first, second], outputs)
    exported = export(model, tmp_path / f"m{SUFFIX[format]}", format=format)
    assert exported.sample_shapes == ((3, 4), (3, 4))
    assert exported.relative_difference < 1e-5


@each_format
def test_a_subclassed_model_is_exported_with_a_sample(format, tmp_path):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs["x"])

    model, x = Subclassed(), {"x": np.ones((5, 4), "float64")}
    model(x)
    exported = export(model, tmp_path / f"m{SUFFIX[format]}", format=format, sample=x)
    assert exported.sample_shapes == ((5, 4),)


@each_format
def test_random_layers_are_inactive(format, tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.RandomFlip(), layers.GaussianNoise(1.0), layers.Dropout(0.5)]
    )
    export(model, tmp_path / f"m{SUFFIX[format]}", format=format)
    x = np.arange(64, dtype="float32").reshape((1, 8, 8, 1))
    np.testing.assert_array_equal(run(format, tmp_path / f"m{SUFFIX[format]}", x), x)


@needs_onnx
def test_an_onnx_file_contains_constants_that_are_not_weights(tmp_path):
    model = keras.Sequential([keras.Input((2,)), layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])])
    export(model, tmp_path / "m.onnx", format="onnx")
    outputs = run("onnx", tmp_path / "m.onnx", np.array([[3.0, 5.0]], "float32"))
    np.testing.assert_allclose(outputs, [[1.0, 1.0]], rtol=1e-6)


def test_half_precision_has_a_larger_tolerance_or_raises(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    float16 = dk.Sequential([dk.MLP([4])], name="net").build((4,))
    keras.config.set_dtype_policy("mixed_bfloat16")
    bfloat16 = dk.Sequential([dk.MLP([4])], name="net").build((4,))
    assert export(float16, tmp_path / "m").tolerance == 5e-3
    assert export(bfloat16, tmp_path / "m").tolerance == 4e-2
    hint = (
        '\n  hint: export a copy in float32: with dk.plan(precision="float32"): copy = definition.build(input_shape); '
        "copy.set_weights(model.get_weights())"
    )
    assert export_error(float16, tmp_path / "m.tflite", format="litert") == (
        f"the layer 'mlp.dense' computes in float16, which litert does not support{hint}"
    )
    if not FORMATS["onnx"].missing_modules():
        assert export(float16, tmp_path / "m.onnx", format="onnx").tolerance == 2e-2
        assert export_error(bfloat16, tmp_path / "b.onnx", format="onnx") == (
            f"the layer 'mlp.dense' computes in bfloat16, which onnx does not support{hint}"
        )


def test_the_random_batch_grows_until_the_model_accepts_it(tmp_path):
    model = keras.Sequential([keras.Input((None, 2)), layers.Conv1D(1, 20), layers.GlobalMaxPooling1D()])
    assert export(model, tmp_path / "m").sample_shapes == ((3, 32, 2),)


def test_a_random_batch_is_reproducible():
    specs = [keras.InputSpec(shape=(None, None, 2), dtype="float32"), keras.InputSpec(shape=(2, 50), dtype="int32")]
    (a, b), (c, d) = random_batch(specs, 8), random_batch(specs, 8)
    assert a.shape == (3, 8, 2)
    assert a.dtype == "float32"
    assert set(b.ravel()) == {0, 1}
    assert b.shape == (2, 50)
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)


# ---- parity


def add_noise(monkeypatch, amount=0.5):
    """Add `amount` to the first output of every SavedModel that is run."""

    def load(path, signature):
        run = formats.load_saved_model(path, signature)

        def noisy(inputs):
            first, *others = run(inputs)
            return [first + np.float32(amount), *others]

        return noisy

    monkeypatch.setitem(FORMATS, "saved_model", replace(FORMATS["saved_model"], load=load))


def test_different_outputs_raise_and_the_old_export_stays(tmp_path, monkeypatch):
    old = dense()
    export(old, tmp_path / "m")
    add_noise(monkeypatch)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, kernel_initializer="zeros")])
    assert export_error(model, tmp_path / "m") == (
        "the outputs of the saved_model export differ from the model's by 0.5, which is inf of the largest output "
        "(tolerance 1e-05): the model returns 0, the export 0.5\n"
        '  hint: use format="onnx", or a larger tolerance if the difference does not matter'
    )
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    x = np.ones((1, 4), "float32")
    np.testing.assert_array_equal(run("saved_model", tmp_path / "m", x), old(x))


def test_the_error_names_the_output_that_differs(tmp_path, monkeypatch):
    add_noise(monkeypatch)
    x = keras.Input((4,))
    model = keras.Model(x, [layers.Dense(1, kernel_initializer="zeros")(x)] * 2)
    assert "the export 0.5 in output 1 of 2\n" in export_error(model, tmp_path / "m")


def test_a_conversion_with_wrong_shapes_is_tried_again(tmp_path, monkeypatch):
    form, extra_axes = FORMATS["saved_model"], iter([(1, 1), (1, 1), ()])

    def load(path, signature):
        run, axes = form.load(path, signature), next(extra_axes)
        return lambda inputs: [output.reshape(axes + output.shape) for output in run(inputs)]

    monkeypatch.setitem(FORMATS, "saved_model", replace(form, load=load, max_attempts=3))
    assert export(dense(), tmp_path / "m").relative_difference < 1e-5
    extra_axes = iter([(1,), (1,), (1,)])
    assert "the model's outputs have the shapes 3x2, the exported outputs 1x3x2" in export_error(
        dense(), tmp_path / "n"
    )
    assert not (tmp_path / "n").exists()


def test_the_tolerance_argument(tmp_path, monkeypatch):
    add_noise(monkeypatch)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, bias_initializer="ones", kernel_initializer="zeros")])
    assert "(tolerance 0.4)" in export_error(model, tmp_path / "m", tolerance=0.4)
    exported = export(model, tmp_path / "m", tolerance=0.6)
    assert (exported.absolute_difference, exported.relative_difference, exported.tolerance) == (0.5, 0.5, 0.6)


def test_a_model_that_is_random_at_inference(tmp_path):
    class Sampling(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed = keras.random.SeedGenerator(1)

        def call(self, inputs):
            return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.seed)

    message = export_error(keras.Sequential([keras.Input((4,)), Sampling()]), tmp_path / "m")
    assert message.startswith("the outputs of the saved_model export differ from the model's by ")
    assert message.endswith(
        ". The model itself returns different outputs at each call\n"
        "  hint: use layers that are not random if training=False"
    )
    assert list(tmp_path.iterdir()) == []


# ---- models that a format does not support


class Cholesky(layers.Layer):
    def call(self, inputs):
        return keras.ops.cholesky(inputs + 9 * keras.ops.eye(2))


def test_operations_that_litert_does_not_support(tmp_path):
    model = dk.Sequential([layers.SimpleRNN(2, name="memory")], name="net").build((2, 2))
    assert export_error(model, tmp_path / "m.tflite", format="litert") == (
        "the layer 'memory' uses TensorListReserve, which LiteRT does not support\n"
        "  hint: set unroll=True in the recurrent layer, and use a fixed number of time steps"
    )
    unrolled = dk.Sequential([layers.SimpleRNN(2, unroll=True)]).build((2, 2))
    assert export(unrolled, tmp_path / "m.tflite", format="litert").absolute_difference < 1e-6


@needs_onnx
def test_operations_that_onnx_does_not_support(tmp_path):
    model = keras.Sequential([keras.Input((2, 2)), Cholesky(name="factor_1")])
    assert export_error(model, tmp_path / "m.onnx", format="onnx") == (
        "the layer 'factor_1' uses Cholesky, which ONNX does not support\n"
        '  hint: use format="saved_model", or a layer of other operations'
    )
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_calls_python(tmp_path):
    def double(x):
        return tf.ensure_shape(tf.py_function(lambda a: a * 2, [x], tf.float32), (None, 4))

    model = keras.Sequential([keras.Input((4,)), layers.Lambda(double, output_shape=(4,), name="twice")])
    assert export_error(model, tmp_path / "m") == (
        "the layer 'twice' uses EagerPyFunc, which a SavedModel does not support\n"
        "  hint: use keras.ops or TensorFlow operations instead"
    )


def test_nested_outputs(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, {"a": x, "b": [layers.Dense(1)(x), layers.Dense(2)(x)]})
    assert export_error(model, tmp_path / "m") == (
        "the outputs of the model are nested; an exported model has one output, a list or a dict of outputs\n"
        "  hint: export keras.Model(model.input, keras.tree.flatten(model.output))"
    )


def test_other_errors_of_converters_and_runtimes(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("\x1b[1mnode sequential/dense_7_1/MatMul is odd\x1b[0m\nand more")

    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, name="dense_7")])
    form = FORMATS["saved_model"]
    monkeypatch.setitem(FORMATS, "saved_model", replace(form, write=fail))
    assert export_error(model, tmp_path / "m") == (
        "the model cannot be exported to saved_model because of its layer 'dense_7': "
        "node sequential/dense_7_1/MatMul is odd\n"
        "  hint: save the model for Keras with model.save(path)"
    )
    monkeypatch.setitem(FORMATS, "saved_model", replace(form, load=fail))
    assert export_error(model, tmp_path / "m").startswith(
        "the saved_model export cannot be run because of its layer 'dense_7': node"
    )


# ---- arguments


def test_values_that_are_not_a_built_model(tmp_path):
    definition = dk.Sequential([dk.Classifier(2)])
    assert export_error(definition, tmp_path / "m") == (
        "export: model must be a keras.Model, received Sequential, a definition, which has no weights\n"
        "  hint: use definition.build(input_shape), or dk.fit(definition, data).model"
    )
    run = dk.Run(dense(), {}, dk.plan(), None, None, "exact", 0.0, 1)
    assert export_error(run, tmp_path / "m") == (
        "export: model must be a keras.Model, received Run, which holds a model\n  hint: use dk.export(run.model, ...)"
    )
    assert export_error("model.keras", tmp_path / "m") == (
        "export: model must be a keras.Model, received str\n"
        "  hint: pass the model that definition.build(input_shape) returns"
    )
    assert export_error(keras.Sequential([layers.Dense(2)], name="net"), tmp_path / "m") == (
        "the model 'net' is not built: it has no weights to export\n"
        "  hint: call the model on a batch, or train it, before you export it"
    )


@pytest.mark.parametrize(
    ("format", "hint"),
    [
        ("onx", '"onnx"'),
        ("TFLite", '"litert"'),
        ("tf_saved_model", '"saved_model"'),
        ("pickle", '"saved_model" or "onnx" or "litert"'),
    ],
)
def test_unknown_formats(format, hint, tmp_path):
    assert export_error(dense(), tmp_path / "m", format=format) == (
        f'format must be "saved_model" or "onnx" or "litert", received {format!r}\n  hint: use format={hint}'
    )


@pytest.mark.parametrize(
    ("format", "path", "expected", "hint"),
    [
        ("saved_model", "m.onnx", "be a folder", "path='m', or format=\"onnx\""),
        ("saved_model", "m.keras", "be a folder", "path='m'"),
        ("litert", "m", "end in .tflite", "path='m.tflite'"),
        ("litert", "m.litert", "end in .tflite", "path='m.tflite'"),
        ("litert", "v1.2", "end in .tflite", "path='v1.2.tflite'"),
        ("litert", "m.onnx", "end in .tflite", "path='m.tflite', or format=\"onnx\""),
    ],
)
def test_wrong_suffixes(format, path, expected, hint):
    assert export_error(dense(), path, format=format) == (
        f'path must {expected} if format="{format}", received {path!r}\n  hint: use {hint}'
    )


def test_other_files_are_not_overwritten(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert export_error(dense(), tmp_path / "file") == (
        f"{tmp_path}/file is a file, but a SavedModel is a folder\n  hint: use another path"
    )
    assert export_error(dense(), tmp_path) == (
        f"{tmp_path} contains other files than those of a SavedModel (file), which would be lost\n"
        f"  hint: use path='{tmp_path}/saved_model'"
    )
    (tmp_path / "folder.tflite").mkdir()
    assert export_error(dense(), tmp_path / "folder.tflite", format="litert") == (
        f"{tmp_path}/folder.tflite is a folder, but an export to litert is a file\n  hint: use another path"
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_missing_extra(monkeypatch, tmp_path):
    find_spec = formats.importlib.util.find_spec
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if "onnx" in name else find_spec(name))
    assert export_error(dense(), tmp_path / "m.onnx", format="onnx") == (
        'format="onnx" needs onnx and onnxruntime and tf2onnx\n  hint: run pip install "deepkit-keras[onnx]"'
    )


def test_samples_that_do_not_fit(tmp_path):
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    subclassed = Subclassed()
    subclassed(np.ones((1, 2)))
    assert export_error(subclassed, tmp_path / "m") == (
        "Subclassed is a subclassed model, whose inputs are unknown\n  hint: pass sample=x, a batch of its inputs"
    )
    model = keras.Sequential([keras.Input((4, None), name="x"), layers.ReLU()])
    assert export_error(model, tmp_path / "m", sample=np.ones((3, 3))) == (
        "sample of the input 'x' must have the shape (batch, 4, any), received (3, 3)\n"
        "  hint: pass a few examples, such as x[:4]"
    )
    assert export_error(model, tmp_path / "m", sample={"x": np.ones((1, 4, 3))}) == (
        "sample must hold a batch for each input, in the structure x, received {'x': 'ndarray'}\n"
        "  hint: pass a batch as you pass it to model(...)"
    )
    narrow = keras.Sequential([keras.Input((None, 1)), layers.Conv1D(1, 200)])
    assert re.fullmatch(
        r"the model cannot be run on a random batch of shape 3x128x1: .+\n"
        r"  hint: pass sample=x, a batch of real data",
        export_error(narrow, tmp_path / "m"),
    )


@pytest.mark.parametrize(("tolerance", "received"), [(-1, "-1"), (math.nan, "nan"), ("small", "'small'")])
def test_invalid_tolerances(tmp_path, tolerance, received):
    assert export_error(dense(), tmp_path / "m", tolerance=tolerance) == (
        f"tolerance must be a number from 0, received {received}\n  hint: use tolerance=1e-4"
    )


# ---- files


@each_format
def test_an_export_replaces_an_earlier_one_silently(format, tmp_path, capfd):
    path = tmp_path / "new" / f"m{SUFFIX[format]}"
    export(dense(3), path, format=format)
    model = dense(2)
    exported = export(model, path, format=format)
    assert run(format, path, np.ones((1, 4), "float32")).shape == (1, 2)
    assert os.listdir(path.parent) == [path.name]
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    assert exported.size == sum(file.stat().st_size for file in files)
    assert capfd.readouterr() == ("", "")


def test_the_old_folder_is_restored_if_the_new_one_cannot_be_moved(tmp_path, monkeypatch):
    export(dense(3), tmp_path / "m")
    os_replace = os.replace

    def failing(source, target):
        if Path(source).name == "m" and Path(source).parent != tmp_path:
            raise OSError("disk full")
        os_replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="disk full"):
        export(dense(2), tmp_path / "m")
    assert run("saved_model", tmp_path / "m", np.ones((1, 4), "float32")).shape == (1, 3)
    assert os.listdir(tmp_path) == ["m"]


def test_the_result_prints_as_one_line():
    exported = ExportResult(Path("runs/net.onnx"), "onnx", 1_234_567, 4.77e-7, 2.1e-7, 1e-4, ((3, 28, 28, 1), (3, 2)))
    assert str(exported) == (
        "runs/net.onnx: onnx, 1.23 MB; differs from the model by at most 4.8e-07 (2.1e-07 of the largest output, "
        "tolerance 1.0e-04) on a batch of 3x28x28x1, 3x2"
    )
    assert "12 bytes" in str(replace(exported, size=12))


def test_default_paths():
    assert default_path("runs/net", "saved_model") == Path("runs/net")
    assert default_path("net.v2", "onnx") == Path("net.v2.onnx")
    assert default_path(Path("net"), "litert") == Path("net.tflite")
    with pytest.raises(ValueError, match="format must be"):
        default_path("net", "zip")


# ---- progress messages


def test_progress_is_dropped_and_other_messages_are_printed(capfd):
    with quiet():
        os.write(2, b"I0000 00:00:1 reader.cc:83] Reading SavedModel\nINFO: Created delegate\ncannot allocate\n")
    assert capfd.readouterr().err == "cannot allocate\n"


def test_messages_before_an_error_become_its_note(capfd):
    def fail():
        os.write(2, b"loc(callsite): error: op is odd\nINFO: progress\n")
        raise RuntimeError("failed")

    with pytest.raises(RuntimeError) as error_info, quiet():
        fail()
    assert error_info.value.__notes__ == ["loc(callsite): error: op is odd\n"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["frame", "data", "dataset"])
def test_a_sample_may_be_a_frame_or_a_dataset(kind, tmp_path):
    x, y = np.random.default_rng(0).random((20, 4)).astype("float32"), np.arange(20) % 2
    samples = {
        "frame": pd.DataFrame(x, columns=list("abcd")),
        "data": dk.data.from_arrays(x, y),
        "dataset": tf.data.Dataset.from_tensor_slices((x, y)).batch(5),
    }
    model = dk.Sequential([dk.MLP([3]), dk.Classifier(2)]).build((4,))
    sizes = {"frame": 20, "data": 20, "dataset": 5}
    assert export(model, tmp_path / "m", sample=samples[kind]).sample_shapes == ((sizes[kind], 4),)
