"""Conversions of the arrays of a user: dtype, scale and channel axis; data that `fit` refuses."""

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.definition.symbolic_inputs import find_input_spec, layers_by_input

RNG = np.random.default_rng(3)
LABELS = np.arange(40) % 2
IMAGES = RNG.integers(0, 256, (40, 6, 6, 3)).astype("uint8")
DENSE = [dk.MLP([4]), dk.Classifier(2)]
CONV = [dk.ConvStack(4, norm=None), dk.Classifier(2)]


def notes(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("x: ")]


@pytest.mark.parametrize(
    ("element", "shape", "dtype"),
    [
        (layers.IntegerLookup(vocabulary=[5, 7]), (1,), "int64"),
        (layers.Hashing(50), (1,), "int64"),
        (layers.StringLookup(vocabulary=["a"]), (1,), "string"),
        (layers.TextVectorization(vocabulary=["a"]), (1,), "string"),
        (layers.Embedding(9, 2), (None,), "int64"),
        (layers.CategoryEncoding(4, "one_hot"), (1,), "int64"),
        (layers.TimeDistributed(layers.Embedding(9, 2)), (3, 2), "int64"),
        ([layers.Reshape((4,)), layers.Dropout(0.1), layers.Embedding(9, 2)], (2, 2), "int64"),
        (dk.Parallel({"a": layers.Embedding(9, 2), "b": layers.Embedding(9, 3)}), (4,), "int64"),
        (dk.Shared([layers.Embedding(9, 2)]), (4,), "int64"),
        ([dk.Input((4,)), layers.Embedding(9, 2)], None, "int64"),
        ([dk.Input((4,), dtype="int32"), layers.Embedding(9, 2)], None, "int32"),
        (layers.Dense(3), (4,), "float32"),
        (dk.Residual([dk.ConvBlock(3), dk.ConvBlock(3)]), (4, 4, 3), "float32"),
    ],
)
def test_the_dtype_of_the_input_follows_the_first_layer(element, shape, dtype):
    assert dk.Sequential([element]).build(shape).input.dtype == dtype


def test_each_input_of_a_graph_has_the_dtype_of_its_own_first_layer():
    net = dk.Functional(
        inputs={"words": dk.Input((5,)), "price": dk.Input((2,))},
        nodes={
            "text": ("words", [layers.Embedding(9, 3), layers.Flatten()]),
            "answer": (["text", "price"], [dk.Merge("concat"), dk.Regressor(1)]),
        },
        outputs="answer",
    )
    model = net.build()
    assert {name: tensor.dtype for name, tensor in model.input.items()} == {"words": "int64", "price": "float32"}


def test_tracing_the_first_layer_creates_no_other_layer_and_draws_no_seed():
    import random

    net = dk.Sequential([dk.MLP([8], dropout=0.5), dk.Classifier(3)])
    random.seed(5)
    expected = random.random()
    random.seed(5)
    (first,) = layers_by_input(net, find_input_spec(net, (4,)))[""]
    assert first.cls is layers.Dense
    assert random.random() == expected


def test_ids_above_the_exact_range_of_float32_stay_distinct():
    ids = np.array([2**33 + k for k in range(4)] * 10)[:, None]
    net = dk.Sequential(
        [layers.IntegerLookup(vocabulary=ids[:4, 0].tolist()), layers.Embedding(5, 8), dk.Classifier(4)]
    )
    run = dk.fit(net, (ids, np.arange(40) % 4), epochs=40, learning_rate=0.1, verbose=0)
    assert run.history["accuracy"][-1] == 1


class OneHot(layers.Layer):
    """A layer of the user that needs integers."""

    def call(self, inputs):
        assert "int" in keras.backend.standardize_dtype(inputs.dtype)
        return keras.ops.one_hot(inputs, 7)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((*inputs.shape, 7))


def test_a_layer_of_the_user_receives_the_dtype_of_the_data():
    run = dk.fit(dk.Sequential([OneHot(), *DENSE]), (RNG.integers(0, 7, (40, 2)), LABELS), verbose=0)
    assert run.model.input.dtype == "int64"


@pytest.mark.parametrize("kind", ["arrays", "from_arrays", "augmented"])
def test_uint8_images_are_rescaled_in_the_model(kind, capsys):
    data = {
        "arrays": lambda: (IMAGES, LABELS),
        "from_arrays": lambda: dk.data.from_arrays(IMAGES, LABELS),
        "augmented": lambda: dk.data.from_arrays(IMAGES, LABELS, augment=[dk.data.Flip()]),
    }[kind]()
    run = dk.fit(dk.Sequential(CONV), data, verbose=2)
    assert notes(capsys) == ["x: a layer of the model rescales uint8 images to [0, 1]"]
    assert [layer.name for layer in run.model.layers[:2]] == ["input_layer", "input_rescaling"]
    inner = keras.Model(run.model.layers[1].output, run.model.output)
    scaled = inner.predict(IMAGES / np.float32(255), verbose=0)
    np.testing.assert_allclose(run.model.predict(IMAGES, verbose=0), scaled, atol=1e-5)


@pytest.mark.slow
def test_the_rescaling_gives_the_weights_of_a_training_on_scaled_images():
    raw = dk.fit(dk.Sequential(CONV), (IMAGES, LABELS), epochs=2, verbose=0)
    scaled = dk.fit(dk.Sequential(CONV), (IMAGES / np.float32(255), LABELS), epochs=2, verbose=0)
    for weight, expected in zip(raw.model.get_weights(), scaled.model.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-5)


@pytest.mark.slow
def test_a_saved_model_takes_raw_images(tmp_path):
    run = dk.fit(dk.Sequential(CONV), (IMAGES, LABELS), run_dir=tmp_path / "run", verbose=0)
    loaded = keras.saving.load_model(tmp_path / "run" / "model.keras")
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), run.model.predict(IMAGES, verbose=0))


@pytest.mark.parametrize(
    ("body", "images", "expected"),
    [
        ([layers.Rescaling(1 / 255), *CONV], IMAGES, []),
        (
            [layers.RandomFlip(), *CONV],
            IMAGES,
            ["x: uint8 values up to 255 are not rescaled before RandomFlip; put layers.Rescaling(1 / 255) after it"],
        ),
        ([layers.Flatten(), layers.Embedding(256, 2), *DENSE], IMAGES, []),
        (CONV, (IMAGES > 127).astype("uint8"), []),
        (CONV, IMAGES[..., [0, 1]], []),
        (CONV, IMAGES.astype("int32"), []),
        (
            [layers.Lambda(lambda x: x / 255), *CONV],
            IMAGES,
            ["x: uint8 values up to 255 are not rescaled before Lambda"],
        ),
        (DENSE, IMAGES[..., 0], ["x: uint8 values up to 255 are not rescaled, because x has no channel axis"]),
    ],
)
def test_other_arrays_stay_unchanged(body, images, expected, capsys):
    run = dk.fit(dk.Sequential(body), (images, LABELS), verbose=2)
    assert notes(capsys) == expected
    num_rescalings = sum(isinstance(layer, layers.Rescaling) for layer in run.model.layers)
    assert num_rescalings == isinstance(body[0], layers.Rescaling)
    x, _ = next(iter(dk.data.from_arrays(images, LABELS, shuffle=False, batch_size=40).train))
    np.testing.assert_array_equal(x, images)


def test_the_definition_may_have_a_rescaling_of_its_own():
    body = [dk.ConvBlock(2, norm=None), layers.Rescaling(2.0), dk.Classifier(2)]
    run = dk.fit(dk.Sequential(body), (IMAGES, LABELS), verbose=0)
    assert [layer.name for layer in run.model.layers if "rescaling" in layer.name] == ["input_rescaling", "rescaling"]


def test_a_compiled_model_receives_the_arrays_unchanged():
    seen = []

    class Record(layers.Layer):
        def call(self, inputs):
            tf.py_function(lambda x: seen.append(float(tf.reduce_max(x))), [inputs], [])
            return inputs

    model = keras.Sequential([keras.Input((6, 6, 3)), Record(), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    dk.fit(model, (IMAGES, LABELS), verbose=0)
    assert max(seen) == IMAGES.max()


def test_validation_arrays_are_mapped_like_the_training_data():
    x = RNG.random((40, 3)).astype("float32")
    net = dk.Sequential([dk.Classifier(2)])
    data = dk.data.from_arrays(x, LABELS, map=lambda batch: batch * 1000)
    run = dk.fit(net, data, validation_data=(x, LABELS), verbose=0)
    assert run.history["val_loss"][-1] == pytest.approx(run.model.evaluate(x * 1000, LABELS, verbose=0)[0], rel=1e-4)


@pytest.mark.parametrize("images_of", ["train", "validation"])
def test_splits_of_different_scales_raise(images_of):
    floats = (IMAGES / 255).astype("float32")
    train, other = (IMAGES, floats) if images_of == "train" else (floats, IMAGES)
    with pytest.raises(ValueError, match=r"validation x has the dtype .* values up to") as error:
        dk.data.from_arrays(train, LABELS, validation=(other, LABELS))
    assert "hint: pass images of one dtype and scale" in str(error.value)
    with pytest.raises(ValueError, match="validation_data x has the dtype"):
        dk.fit(dk.Sequential(CONV), (train, LABELS), validation_data=(other, LABELS), verbose=0)
    batches = tf.data.Dataset.from_tensor_slices((other, LABELS)).batch(8)
    with pytest.raises(ValueError, match="validation_data x has the dtype"):
        dk.fit(dk.Sequential(CONV), (train, LABELS), validation_data=batches, verbose=0)


def test_an_autoencoder_reconstructs_the_rescaled_images():
    net = dk.Autoencoder([layers.Flatten(), dk.MLP([16])], activation="sigmoid")
    run = dk.fit(net, (IMAGES,), epochs=3, verbose=0)
    outputs = run.model.predict(IMAGES, verbose=0)
    mse = float(np.mean((outputs - IMAGES / 255) ** 2))
    scaled = IMAGES / np.float32(255)
    assert run.model.evaluate(IMAGES, scaled, verbose=0, return_dict=True)["mse"] == pytest.approx(mse, rel=1e-4)
    assert mse < 0.2


def test_a_model_of_the_data_itself_refuses_uint8_images():
    vae = dk.VAE(dk.MLP([8]), latent_dim=2, decoder=dk.MLP([8]))
    with pytest.raises(ValueError, match="VAE does not rescale images, and received uint8") as error:
        dk.fit(vae, (IMAGES,), verbose=0)
    assert 'hint: pass x.astype("float32") / 255' in str(error.value)


def test_images_without_a_channel_axis_get_one_in_the_model(capsys):
    x = RNG.integers(0, 256, (40, 9, 7)).astype("uint8")
    run = dk.fit(dk.Sequential(CONV), (x, LABELS), verbose=2)
    assert notes(capsys)[0] == "x: the model adds a channel axis to images of shape (9, 7)"
    assert run.model.input_shape == (None, 9, 7)
    assert any(isinstance(layer, layers.Conv2D) for layer in run.model.layers)
    assert run.model.predict(x, verbose=0).shape == (40, 2)


def test_square_sequences_are_named_as_sequences(capsys):
    dk.fit(dk.Sequential(CONV), (RNG.random((40, 5, 5)), LABELS), verbose=2)
    assert notes(capsys) == [
        "x: examples of shape (5, 5) are read as sequences of 5 steps; pass x[..., None] if they are images"
    ]


def test_a_2d_layer_names_the_missing_channel_axis():
    with pytest.raises(
        dk.DefinitionError, match=r"Conv2D expects images \(rows, columns, channels\), received \(9, 7\)"
    ):
        dk.Sequential([layers.Conv2D(3, 3)]).build((9, 7))


def batches(x, y=LABELS):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)


@pytest.mark.parametrize(
    ("data", "problem", "hint"),
    [
        (lambda: tf.data.Dataset.from_tensor_slices((np.ones((40, 4)), LABELS)), "y has no batch axis", "batch"),
        (
            lambda: tf.data.Dataset.from_tensor_slices((np.ones((40, 4)), np.ones((40, 2)))),
            "no common batch axis",
            "batch",
        ),
        (lambda: batches(tf.sparse.from_dense(np.eye(40, 4))), "data: x is a SparseTensor", "to_dense"),
        (lambda: batches(tf.ragged.constant([[1, 2], [3]] * 20)), "data: x is a RaggedTensor", "to_tensor"),
        (lambda: (tf.ragged.constant([[1, 2], [3]] * 20), LABELS), "x is a RaggedTensor", "to_tensor"),
        (lambda: (scipy.sparse.csr_matrix(np.eye(40)), LABELS), "x is a sparse csr_matrix", "toarray"),
        (lambda: (np.array([["a"], [None]] * 20, object), LABELS), r"x\[1, 0\] is None, a missing value", "replace"),
        (
            lambda: (np.array([1.5, float("nan"), "b"] * 10, object), LABELS[:30]),
            r"x\[1\] is nan, a missing",
            "replace",
        ),
        (lambda: (np.array([{}] * 40, object), LABELS), r"Python objects: x\[0\] is {}", "astype"),
        (lambda: (np.zeros(40, "datetime64[s]"), LABELS), "dtype datetime64", "astype"),
        (lambda: (np.full((40, 1), 2**63, "uint64"), LABELS), "9223372036854775808, which does not fit", "hash"),
        (lambda: (np.array(["a", "b"] * 20), LABELS), "Dense, expects numbers, received strings in x", "dk.Text"),
    ],
)
def test_data_that_does_not_fit_a_definition_raises(data, problem, hint):
    with pytest.raises((TypeError, ValueError), match=problem) as error:
        dk.fit(dk.Sequential(DENSE), data(), verbose=0)
    assert "hint: " in str(error.value)
    assert hint in str(error.value).partition("hint: ")[2]


@pytest.mark.parametrize(
    ("first", "x", "problem"),
    [
        (layers.StringLookup(vocabulary=["a"]), np.arange(40), "the first layer, StringLookup, expects strings"),
        (layers.Embedding(9, 2), np.full((40, 1), 2.5), "Embedding expects integers, received 2.5 of dtype float32"),
        (layers.Hashing(9), np.full((40, 1), 1e9), "Hashing expects integers, received 1000000000 of dtype float32"),
        (
            [dk.Input((1,), dtype="int32"), layers.Embedding(9, 2)],
            np.full((40, 1), -(2**40)),
            "expected values of dtype int32",
        ),
    ],
)
def test_values_that_the_first_layer_cannot_take_raise(first, x, problem):
    with pytest.raises(ValueError, match=problem):
        dk.fit(dk.Sequential([first, *DENSE]), (x, LABELS), verbose=0)


def test_validation_examples_of_another_shape_raise():
    with pytest.raises(
        ValueError, match=r"validation_data: the examples have shape \(3,\), the training examples \(4,\)"
    ):
        dk.fit(
            dk.Sequential(DENSE), (np.ones((40, 4)), LABELS), validation_data=(np.ones((8, 3)), LABELS[:8]), verbose=0
        )


def test_a_validation_fraction_of_sorted_labels_raises():
    with pytest.raises(ValueError, match=r"validation=0.25 takes the last examples, and y is sorted: the label 3"):
        dk.data.from_arrays(np.ones((40, 2)), np.sort(np.arange(40) % 4), validation=0.25)
    assert dk.data.from_arrays(np.ones((40, 2)), np.arange(40) % 4, validation=0.25).validation.num_examples == 10


@pytest.mark.slow
def test_find_learning_rate_prints_the_rescaling(capsys):
    dk.find_learning_rate(dk.Sequential(CONV), (IMAGES, LABELS), steps=10, verbose=2)
    assert len(notes(capsys)) == 1


@pytest.mark.parametrize("axis", [1, 2, (1, 2)])
def test_a_normalization_is_adapted_along_its_axis(axis):
    x = (np.arange(5)[None, :, None] * 100 + RNG.normal(size=(40, 5, 3))).astype("float32")
    run = dk.fit(dk.Sequential([layers.Normalization(axis=axis), *DENSE]), (x, LABELS), verbose=0)
    expected = layers.Normalization(axis=axis)
    expected.adapt(x)
    np.testing.assert_allclose(run.model.layers[1].mean, expected.mean, rtol=1e-4, atol=1e-3)


def graph(shape):
    nodes = {"o": ("a", [dk.MLP([4]), dk.Classifier(2)])}
    return dk.Functional(inputs={"a": dk.Input(shape)}, nodes=nodes, outputs="o")


@pytest.mark.parametrize(
    ("net", "data", "problem"),
    [
        (graph((6, 6, 1)), ({"a": IMAGES[..., 0]}, LABELS), r"the examples have shape \(6, 6\), the definition fixes"),
        (
            graph((5,)),
            ({"a": np.ones((40, 4))}, LABELS),
            r"the examples have shape \(4,\), the definition fixes \(5,\)",
        ),
        (
            dk.Sequential(DENSE),
            ({"a": np.ones((40, 4))}, LABELS),
            "expected one array as x.* a mapping with the keys a",
        ),
        (graph((4,)), ({"b": np.ones((40, 4))}, LABELS), "the definition's inputs are a, the data has b"),
        (graph((4,)), (dict.fromkeys("ab", np.ones((40, 4))), LABELS), "inputs are a, the data has a, b"),
        (
            dk.VAE(dk.MLP([4]), latent_dim=2, decoder=dk.MLP([4])),
            (np.array([["a"]] * 9),),
            "VAE models, received strings",
        ),
        (
            dk.Sequential(DENSE),
            tf.data.Dataset.from_tensors((np.ones((8, 4)), LABELS[:8], np.ones((8, 3)))),
            r"expected sample weights of shape \(batch,\), received \(8, 3\)",
        ),
        (dk.Sequential(DENSE), tf.data.Dataset.from_tensors((np.ones((8, 4)),) * 4), "received 4 elements"),
    ],
)
def test_data_of_another_structure_raises(net, data, problem):
    with pytest.raises(ValueError, match=problem):
        dk.fit(net, data, verbose=0)


SCALED = (IMAGES / 255).astype("float32")


@pytest.mark.parametrize(
    ("train", "other"),
    [
        (SCALED, IMAGES.astype("int32")),
        (SCALED, IMAGES.astype("float32")),
        ((IMAGES > 127).astype("uint8"), IMAGES),
        (tf.data.Dataset.from_tensor_slices((SCALED, LABELS)).batch(8), IMAGES),
    ],
)
def test_validation_images_of_another_scale_raise(train, other):
    data = train if isinstance(train, tf.data.Dataset) else (train, LABELS)
    with pytest.raises(ValueError, match="validation_data x has the dtype"):
        dk.fit(dk.Sequential(DENSE), data, validation_data=(other, LABELS), verbose=0)


def test_images_of_one_scale_may_have_different_dtypes():
    validation = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)
    run = dk.fit(dk.Sequential(DENSE), (IMAGES.astype("float32"), LABELS), validation_data=validation, verbose=0)
    assert "val_loss" in run.history


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("source", ["data", "validation_data"])
def test_missing_values_in_arrays_raise(source, value):
    """An activation such as ReLU turns NaN into 0, and the loss remains finite."""
    x = RNG.random((40, 4)).astype("float32")
    invalid = x.copy()
    invalid[[7, 9], 2] = value
    net = dk.Sequential([layers.Dropout(0.1), layers.Dense(4, activation="relu"), dk.Classifier(2)])
    train, validation = (invalid, x) if source == "data" else (x, invalid)
    text = rf"{source}: expected finite numbers in x, received {value} \(first at index 7, in 2 of 40 examples\)"
    with pytest.raises(ValueError, match=text + r"\n  hint: fill the missing values"):
        dk.fit(net, train, LABELS, validation_data=(validation, LABELS), verbose=0)


class Fill(layers.Layer):
    def call(self, x):
        return keras.ops.where(keras.ops.isnan(x), 0.0, x)


def test_a_layer_of_the_user_may_fill_missing_values():
    x = np.where(RNG.random((40, 4)) < 0.1, np.nan, 1.0)
    run = dk.fit(dk.Sequential([Fill(), dk.MLP([4]), dk.Classifier(2)]), x, LABELS, verbose=0)
    assert np.isfinite(run.history["loss"][0])
