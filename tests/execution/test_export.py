"""Exports are kept only when they compute what the model computes, and every refusal says why."""

import math
import os
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.export import formats as artefacts
from deepkit.export.exporter import Exported, default_path, export
from deepkit.export.formats import FORMATS
from deepkit.export.quiet import quiet
from deepkit.export.sample import draw
from deepkit.training.errors import ExportError
from tests.conformance.cases import CASES
from tests.execution.exporting import SUFFIX, each_format, needs_onnx, run

# What a format cannot hold, of the table of cases, and the reason it gives. Everything else must export.
REFUSED = {
    ("conv_block_preactivation", "litert"): "Without XNNPACK, which LiteRT runs it with by default, they differ by",
    ("recurrent_stack", "litert"): "TensorListReserve, which LiteRT does not have",
    ("recurrent_plain_loop", "litert"): "TensorListReserve, which LiteRT does not have",
    ("bilstm", "litert"): "TensorListReserve, which LiteRT does not have",
    ("text", "onnx"): "which ONNX does not have",
    ("text", "litert"): "which LiteRT does not have",
    ("text_punctuation", "onnx"): "which ONNX does not have",
    ("text_punctuation", "litert"): "which LiteRT does not have",
    ("gan", "saved_model"): "does not say what goes into it",  # its generator and its discriminator do
    ("gan", "onnx"): "does not say what goes into it",
    ("gan", "litert"): "does not say what goes into it",
}
FAST = ("conv_block_layers", "conv_block_preactivation", "mlp_norm", "rbf")  # the whole table is slow


def dense(units: int = 2) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(units)])


def refused(*arguments, **keywords) -> str:
    with pytest.raises((ExportError, ValueError, TypeError)) as caught:
        export(*arguments, **keywords)
    return str(caught.value)


def exports_or_refuses(case, format, shape, folder):
    model = case.definition().build(shape)
    path = folder / f"{case.name}{SUFFIX[format]}"
    reason = REFUSED.get((case.name, format))
    if reason:
        assert reason in refused(model, path, format=format)
        assert list(folder.iterdir()) == []
        return
    exported = export(model, path, format=format)
    assert exported.difference <= 1e-4
    x = draw([model.input], 9, seed=5)[0]  # another batch, of another size where sizes are unknown
    np.testing.assert_allclose(run(format, path, x), model(x), rtol=1e-4, atol=1e-5)


@each_format
@pytest.mark.parametrize("case", [case for case in CASES if case.name in FAST], ids=lambda case: case.name)
def test_cases(case, format, tmp_path):
    exports_or_refuses(case, format, case.shape, tmp_path)


@pytest.mark.slow
@each_format
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case(case, known, format, tmp_path):
    if not known and case.unknown is None:
        pytest.skip("needs known sizes")
    exports_or_refuses(case, format, case.shape if known else case.unknown, tmp_path)


def test_every_reason_is_of_a_case():
    assert {name for name, _ in REFUSED} <= {case.name for case in CASES}


# ---- what goes in and comes out


@each_format
def test_several_inputs_and_outputs_by_name(format, tmp_path):
    left, right = keras.Input((4,), name="left"), keras.Input((None,), dtype="int32", name="right")
    embedded = layers.GlobalAveragePooling1D(name="pool.average")(layers.Embedding(2, 3)(right))
    both = layers.Concatenate()([left, embedded])
    outputs = {"zeta": layers.Dense(2, name="z.out")(both), "alpha": layers.Dense(2)(both)}
    model = keras.Model({"right": right, "left": left}, outputs)
    exported = export(model, tmp_path / f"m{SUFFIX[format]}", format=format)
    assert exported.sample_shapes == ((3, 4), (3, 8))
    x = {"left": np.ones((2, 4), "float32"), "right": np.array([[0, 1, 1], [1, 1, 1]], "int32")}
    found = run(format, exported.path, x)
    for key, expected in model(x).items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-5, atol=1e-6)


def test_a_model_of_strings_is_served_with_its_vocabulary(tmp_path):
    text = dk.Text(9, vocabulary=("ein", "Hund", "läuft"), standardize=None)
    model = dk.Sequential([text, layers.Embedding(9, 3, mask_zero=True), dk.BiLSTM(2), dk.Classifier(1)]).build()
    x = np.array(["ein Hund läuft", "", "Hund Hund fliegt"])
    exported = export(model, tmp_path / "m", sample=x)
    assert exported.sample_shapes == ((3,),)
    np.testing.assert_allclose(run("saved_model", tmp_path / "m", tf.constant(x)), model(tf.constant(x)), atol=1e-6)
    assert export(model, tmp_path / "m").sample_shapes == ((3,),)  # of its own words


@each_format
def test_lists_keep_their_order(format, tmp_path):
    first, second = keras.Input((4,), name="b.first"), keras.Input((4,), name="a.second")
    apart = layers.Subtract()([first, second])
    outputs = [layers.Rescaling(i + 1.0)(apart) for i in range(12)]  # output_10 sorts before output_2
    model = keras.Model([first, second], outputs)
    exported = export(model, tmp_path / f"m{SUFFIX[format]}", format=format)
    assert exported.sample_shapes == ((3, 4), (3, 4))
    assert exported.relative < 1e-5


@each_format
def test_a_class_of_its_own_is_exported_with_a_sample(format, tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs["x"])

    model, x = Own(), {"x": np.ones((5, 4), "float64")}
    model(x)
    exported = export(model, tmp_path / f"m{SUFFIX[format]}", format=format, sample=x)
    assert exported.sample_shapes == ((5, 4),)


@each_format
def test_random_layers_do_nothing(format, tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.RandomFlip(), layers.GaussianNoise(1.0), layers.Dropout(0.5)]
    )
    export(model, tmp_path / f"m{SUFFIX[format]}", format=format)
    x = np.arange(64, dtype="float32").reshape((1, 8, 8, 1))
    np.testing.assert_array_equal(run(format, tmp_path / f"m{SUFFIX[format]}", x), x)


@needs_onnx
def test_constants_outside_the_weights_are_in_an_onnx_file(tmp_path):
    model = keras.Sequential([keras.Input((2,)), layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])])
    export(model, tmp_path / "m.onnx", format="onnx")
    found = run("onnx", tmp_path / "m.onnx", np.array([[3.0, 5.0]], "float32"))
    np.testing.assert_allclose(found, [[1.0, 1.0]], rtol=1e-6)


def test_half_precision_is_allowed_more_and_named_where_it_cannot_run(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = dk.Sequential([dk.MLP([4])], name="net").build((4,))
    keras.config.set_dtype_policy("mixed_bfloat16")
    brain = dk.Sequential([dk.MLP([4])], name="net").build((4,))
    assert export(model, tmp_path / "m").tolerance == 5e-3
    assert export(brain, tmp_path / "m").tolerance == 4e-2
    twin = (
        '\n  hint: a twin in float32: with dk.plan(precision="float32"): twin = definition.build(input_shape); '
        "twin.set_weights(model.get_weights())"
    )
    assert refused(model, tmp_path / "m.tflite", format="litert") == (
        f"the layer 'mlp.dense' computes in float16, which litert cannot run{twin}"
    )
    if not FORMATS["onnx"].missing():
        assert export(model, tmp_path / "m.onnx", format="onnx").tolerance == 2e-2
        assert refused(brain, tmp_path / "b.onnx", format="onnx") == (
            f"the layer 'mlp.dense' computes in bfloat16, which onnx cannot run{twin}"
        )


def test_the_drawn_batch_grows_until_the_model_takes_it(tmp_path):
    model = keras.Sequential([keras.Input((None, 2)), layers.Conv1D(1, 20), layers.GlobalMaxPooling1D()])
    assert export(model, tmp_path / "m").sample_shapes == ((3, 32, 2),)


def test_a_drawn_batch_is_the_same_each_time():
    specs = [keras.InputSpec(shape=(None, None, 2), dtype="float32"), keras.InputSpec(shape=(2, 50), dtype="int32")]
    (a, b), (c, d) = draw(specs, 8), draw(specs, 8)
    assert a.shape == (3, 8, 2)
    assert a.dtype == "float32"
    assert set(b.ravel()) == {0, 1}
    assert b.shape == (2, 50)
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)


# ---- parity


def noisy(monkeypatch, amount=0.5):
    """Let a SavedModel be run with `amount` added to its first output."""

    def runner(path, ports):
        run = artefacts.run_saved_model(path, ports)
        return lambda inputs: [run(inputs)[0] + np.float32(amount)]

    monkeypatch.setitem(FORMATS, "saved_model", replace(FORMATS["saved_model"], runner=runner))


def test_another_result_is_refused_and_the_old_export_kept(tmp_path, monkeypatch):
    old = dense()
    export(old, tmp_path / "m")
    noisy(monkeypatch)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, kernel_initializer="zeros")])
    text = refused(model, tmp_path / "m")
    assert text == (
        "the saved_model export does not compute what the model computes: they differ by 0.5, inf of the largest "
        "output, where 1e-05 is allowed; the model gives 0, the export 0.5\n"
        '  hint: format="onnx", or a larger tolerance if the difference does not matter'
    )
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    x = np.ones((1, 4), "float32")
    np.testing.assert_array_equal(run("saved_model", tmp_path / "m", x), old(x))


def test_a_converter_that_changes_a_shape_now_and_then_is_asked_again(tmp_path, monkeypatch):
    form, shapes = FORMATS["saved_model"], iter([(1, 1), (1, 1), ()])

    def runner(path, ports):
        function, more = form.runner(path, ports), next(shapes)
        return lambda inputs: [y.reshape(more + y.shape) for y in function(inputs)]

    monkeypatch.setitem(FORMATS, "saved_model", replace(form, runner=runner, attempts=3))
    assert export(dense(), tmp_path / "m").relative < 1e-5
    shapes = iter([(1,), (1,), (1,)])
    assert "those exported 1x3x2" in refused(dense(), tmp_path / "n")
    assert not (tmp_path / "n").exists()


def test_a_given_tolerance_counts(tmp_path, monkeypatch):
    noisy(monkeypatch)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, bias_initializer="ones", kernel_initializer="zeros")])
    assert "where 0.4 is allowed" in refused(model, tmp_path / "m", tolerance=0.4)
    exported = export(model, tmp_path / "m", tolerance=0.6)
    assert (exported.difference, exported.relative, exported.tolerance) == (0.5, 0.5, 0.6)


def test_a_model_that_is_random_when_not_training(tmp_path):
    class Sampling(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed = keras.random.SeedGenerator(1)

        def call(self, inputs):
            return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.seed)

    text = refused(keras.Sequential([keras.Input((4,)), Sampling()]), tmp_path / "m")
    assert text.startswith("the saved_model export does not compute what the model computes: they differ by ")
    assert text.endswith(
        ". The model itself gives something else at each call\n  hint: layers that are not random when training=False"
    )
    assert list(tmp_path.iterdir()) == []


# ---- what a format cannot hold


class Cholesky(layers.Layer):
    def call(self, inputs):
        return keras.ops.cholesky(inputs + 9 * keras.ops.eye(2))


def test_operations_that_litert_lacks(tmp_path):
    model = dk.Sequential([layers.SimpleRNN(2, name="memory")], name="net").build((2, 2))
    assert refused(model, tmp_path / "m.tflite", format="litert") == (
        "the layer 'memory' uses TensorListReserve, which LiteRT does not have\n"
        "  hint: unroll=True in the recurrent layer, and a known number of steps"
    )
    unrolled = dk.Sequential([layers.SimpleRNN(2, unroll=True)]).build((2, 2))
    assert export(unrolled, tmp_path / "m.tflite", format="litert").difference < 1e-6


@needs_onnx
def test_operations_that_onnx_lacks(tmp_path):
    model = keras.Sequential([keras.Input((2, 2)), Cholesky(name="factor_1")])
    assert refused(model, tmp_path / "m.onnx", format="onnx") == (
        "the layer 'factor_1' uses Cholesky, which ONNX does not have\n"
        '  hint: format="saved_model", or a layer of other operations'
    )
    assert list(tmp_path.iterdir()) == []


def test_python_inside_a_model(tmp_path):
    def double(x):
        return tf.ensure_shape(tf.py_function(lambda a: a * 2, [x], tf.float32), (None, 4))

    model = keras.Sequential([keras.Input((4,)), layers.Lambda(double, output_shape=(4,), name="twice")])
    assert refused(model, tmp_path / "m") == (
        "the layer 'twice' uses EagerPyFunc, which a SavedModel does not have\n"
        "  hint: keras.ops or TensorFlow operations in its place"
    )


def test_nested_outputs(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, {"a": x, "b": [layers.Dense(1)(x), layers.Dense(2)(x)]})
    assert refused(model, tmp_path / "m") == (
        "the outputs are nested; an export has one, a list or a dict of them\n"
        "  hint: keras.Model(model.input, keras.tree.flatten(model.output))"
    )


def test_what_else_a_converter_or_a_runtime_says(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("\x1b[1mnode sequential/dense_7_1/MatMul is odd\x1b[0m\nand more")

    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, name="dense_7")])
    form = FORMATS["saved_model"]
    monkeypatch.setitem(FORMATS, "saved_model", replace(form, write=fail))
    assert refused(model, tmp_path / "m") == (
        "saved_model cannot hold this model, because of its layer 'dense_7': node sequential/dense_7_1/MatMul is odd\n"
        "  hint: model.save(path), a file for Keras"
    )
    monkeypatch.setitem(FORMATS, "saved_model", replace(form, runner=fail))
    assert refused(model, tmp_path / "m").startswith(
        "what was written for saved_model cannot be run, because of its layer 'dense_7': node"
    )


# ---- what is given


def test_no_model(tmp_path):
    definition = dk.Sequential([dk.Classifier(2)])
    assert refused(definition, tmp_path / "m") == (
        "export: expected a keras.Model, received Sequential, a definition, which holds no weights\n"
        "  hint: model = definition.build(input_shape), or dk.fit(definition, data).model"
    )
    run = dk.Run(dense(), {}, dk.plan(), None, None, "exact", 0.0, 1)
    assert refused(run, tmp_path / "m") == (
        "export: expected a keras.Model, received Run, which has one\n  hint: dk.export(run.model, ...)"
    )
    assert refused("model.keras", tmp_path / "m") == (
        "export: expected a keras.Model, received str\n  hint: what definition.build(input_shape) returns"
    )
    assert refused(keras.Sequential([layers.Dense(2)], name="net"), tmp_path / "m") == (
        "the model 'net' has not been built: it has no weights to export\n  hint: model(x) or model.fit(x, y) first"
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
    assert refused(dense(), tmp_path / "m", format=format) == (
        f'format={format!r}: expected "saved_model" or "onnx" or "litert"\n  hint: format={hint}'
    )


@pytest.mark.parametrize(
    ("format", "path", "text"),
    [
        ("saved_model", "m.onnx", "a SavedModel is a folder\n  hint: 'm', or format=\"onnx\""),
        ("saved_model", "m.keras", "a SavedModel is a folder\n  hint: 'm'"),
        ("litert", "m", "format=\"litert\" ends in .tflite\n  hint: 'm.tflite'"),
        ("litert", "m.litert", "format=\"litert\" ends in .tflite\n  hint: 'm.tflite'"),
        ("litert", "v1.2", "format=\"litert\" ends in .tflite\n  hint: 'v1.2.tflite'"),
        ("litert", "m.onnx", 'format="litert" ends in .tflite\n  hint: \'m.tflite\', or format="onnx"'),
    ],
)
def test_endings(format, path, text):
    assert refused(dense(), path, format=format) == f"path={path!r}: {text}"


def test_what_is_there_is_not_lost(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert refused(dense(), tmp_path / "file") == (
        f"{tmp_path}/file is a file, a SavedModel is a folder\n  hint: another path"
    )
    assert refused(dense(), tmp_path) == (
        f"{tmp_path} holds more than a SavedModel (file), which would be lost\n  hint: '{tmp_path}/saved_model'"
    )
    (tmp_path / "folder.tflite").mkdir()
    assert refused(dense(), tmp_path / "folder.tflite", format="litert") == (
        f"{tmp_path}/folder.tflite is a folder, an export to litert is a file\n  hint: another path"
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_missing_extra(monkeypatch, tmp_path):
    found = artefacts.importlib.util.find_spec
    monkeypatch.setattr(artefacts.importlib.util, "find_spec", lambda name: None if "onnx" in name else found(name))
    assert refused(dense(), tmp_path / "m.onnx", format="onnx") == (
        'format="onnx" needs onnx and onnxruntime and tf2onnx\n  hint: pip install "deepkit-keras[onnx]"'
    )


def test_samples_that_do_not_fit(tmp_path):
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    own = Own()
    own(np.ones((1, 2)))
    assert refused(own, tmp_path / "m") == (
        "Own is a class of its own, which does not say what goes into it\n  hint: sample=x, a batch"
    )
    model = keras.Sequential([keras.Input((4, None), name="x"), layers.ReLU()])
    assert refused(model, tmp_path / "m", sample=np.ones((3, 3))) == (
        "sample: the input 'x' takes the shape (batch, 4, any), received (3, 3)\n  hint: a few examples, such as x[:4]"
    )
    assert refused(model, tmp_path / "m", sample={"x": np.ones((1, 4, 3))}) == (
        "sample: expected a batch for each input, as in x, received {'x': 'ndarray'}\n"
        "  hint: the structure that model(...) takes"
    )
    narrow = keras.Sequential([keras.Input((None, 1)), layers.Conv1D(1, 200)])
    assert re.fullmatch(
        r"the model does not take a drawn batch of 3x128x1: .+\n  hint: sample=x, a batch of real data",
        refused(narrow, tmp_path / "m"),
    )


def test_tolerances_that_are_none(tmp_path):
    assert refused(dense(), tmp_path / "m", tolerance=-1) == (
        "tolerance=-1: expected a number from 0\n  hint: tolerance=1e-4"
    )
    assert refused(dense(), tmp_path / "m", tolerance=math.nan).startswith("tolerance=nan: expected")
    assert refused(dense(), tmp_path / "m", tolerance="small") == (
        "tolerance: expected a number, received str\n  hint: tolerance=1e-4"
    )


# ---- files


@each_format
def test_an_export_replaces_the_one_before_silently(format, tmp_path, capfd):
    path = tmp_path / "new" / f"m{SUFFIX[format]}"
    export(dense(3), path, format=format)
    model = dense(2)
    exported = export(model, path, format=format)
    assert run(format, path, np.ones((1, 4), "float32")).shape == (1, 2)
    assert os.listdir(path.parent) == [path.name]
    every = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    assert exported.size == sum(file.stat().st_size for file in every)
    assert capfd.readouterr() == ("", "")


def test_the_old_folder_comes_back_when_the_new_one_cannot_be_moved(tmp_path, monkeypatch):
    export(dense(3), tmp_path / "m")
    real = os.replace

    def failing(source, target):
        if Path(source).name == "m" and Path(source).parent != tmp_path:
            raise OSError("disk full")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="disk full"):
        export(dense(2), tmp_path / "m")
    assert run("saved_model", tmp_path / "m", np.ones((1, 4), "float32")).shape == (1, 3)
    assert os.listdir(tmp_path) == ["m"]


def test_exported_is_one_line():
    exported = Exported(Path("runs/net.onnx"), "onnx", 1_234_567, 4.77e-7, 2.1e-7, 1e-4, ((3, 28, 28, 1), (3, 2)))
    assert str(exported) == (
        "runs/net.onnx: onnx, 1.23 MB; differs from the model by at most 4.8e-07 (2.1e-07 of the largest output, "
        "allowed 1.0e-04) on a batch of 3x28x28x1, 3x2"
    )
    assert "12 bytes" in str(replace(exported, size=12))


def test_default_paths():
    assert default_path("runs/net", "saved_model") == Path("runs/net")
    assert default_path("net.v2", "onnx") == Path("net.v2.onnx")
    assert default_path(Path("net"), "litert") == Path("net.tflite")
    with pytest.raises(ValueError, match="expected"):
        default_path("net", "zip")


# ---- silence


def test_progress_is_dropped_and_the_rest_is_printed(capfd):
    with quiet():
        os.write(2, b"I0000 00:00:1 reader.cc:83] Reading SavedModel\nINFO: Created delegate\ncannot allocate\n")
    assert capfd.readouterr().err == "cannot allocate\n"


def test_what_was_said_before_an_error_is_a_note_of_it(capfd):
    def fail():
        os.write(2, b"loc(callsite): error: op is odd\nINFO: progress\n")
        raise RuntimeError("failed")

    with pytest.raises(RuntimeError) as caught, quiet():
        fail()
    assert caught.value.__notes__ == ["loc(callsite): error: op is odd\n"]
    assert capfd.readouterr().err == ""
