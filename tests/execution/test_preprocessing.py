"""Preprocessing layers: `build` refuses those that are not adapted, and `fit` adapts them as Keras does by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.definition.keras_layer import LayerInstance, LayerTemplate
from deepkit.training.compile import compile_definition
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.user_data import training_data_for

RNG = np.random.default_rng(11)
X = (RNG.normal(size=(90, 3)) * [1, 20, 300] + [5, -40, 1e4]).astype("float32")
Y = RNG.normal(size=90).astype("float32")
COLORS = np.array(["red", "blue", "red", "green", "red", "blue"] * 15)[:, None]


def compiled(net, x, y=Y, states=None, loss="mse", **plan):
    """Return the compiled model of `fit` before the first step, and the fitted states."""
    plan = dk.plan(**plan)
    batch_size = None if isinstance(x, tf.data.Dataset) else 32
    data = training_data_for(net, DataArguments(x, y, batch_size=batch_size), plan)
    data.fitted_states.update(states or {})
    with plan:
        result = compile_definition(net, data, plan, None, loss, None)
    return result, data.fitted_states


def load(path):
    return keras.models.load_model(path, compile=False)


def adapted(net, x, **kwargs):
    return compiled(net, x, **kwargs)[0].model


# ---- build


UNADAPTED = [
    (layers.Normalization(), "Normalization is not adapted: it has no mean and variance yet", "normalization"),
    (
        layers.Discretization(num_bins=3),
        "Discretization is not adapted: it has no bin boundaries yet",
        "discretization",
    ),
    (layers.IntegerLookup(), "IntegerLookup is not adapted: it has no vocabulary yet", "integer_lookup"),
    (layers.StringLookup(), "StringLookup is not adapted: it has no vocabulary yet", "string_lookup"),
    (layers.TextVectorization(5), "TextVectorization is not adapted", "text_vectorization"),
    (dk.Shared(layers.Normalization()), "Normalization is not adapted", "shared.normalization"),
    (dk.Parallel({"a": layers.Normalization(), "b": []}), "Normalization is not adapted", "parallel.a"),
    (keras.Sequential([layers.Normalization()], name="inner"), "Normalization is not adapted", "inner.normalization"),
    (layers.TimeDistributed(layers.Normalization()), "in the TimeDistributed", "time_distributed"),
    (layers.Pipeline([layers.Normalization()]), "Normalization in the Pipeline", "pipeline"),
]


@pytest.mark.parametrize(("element", "problem", "path"), UNADAPTED, ids=[path for *_, path in UNADAPTED])
def test_build_refuses_a_layer_that_is_not_adapted(element, problem, path):
    shape = (4, 2) if path == "time_distributed" else (1,)
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Sequential([element, layers.Flatten()]).build(shape)
    assert problem in str(caught.value)
    assert caught.value.path.startswith(path)
    assert "hint: call layer.adapt(data) first, or train the definition with dk.fit" in str(caught.value)


def test_build_accepts_layers_with_their_state_and_text():
    bins = layers.Discretization(num_bins=3)
    bins.adapt(X)
    net = dk.Sequential([layers.Normalization(mean=1.0, variance=4.0), bins, layers.Flatten()])
    for model in (net.build((3,)), net.build((3,))):  # each build has the state
        assert model.get_layer(bins.name) is bins
        np.testing.assert_array_equal(model(X), np.digitize((X - 1) / 2, bins.bin_boundaries))
    assert dk.Text(9).build().layers[1].get_vocabulary(include_special_tokens=False) == []


def test_an_adapted_layer_in_a_wrapper_or_a_sequential_is_an_instance():
    lookup = layers.StringLookup()
    lookup.adapt(["a", "b"])
    bins = layers.Discretization(num_bins=3)
    bins.adapt(X)
    for layer in (bins, layers.TimeDistributed(keras.Sequential([lookup])), keras.Sequential([lookup])):
        assert isinstance(dk.Sequential([layer]).layers[0], LayerInstance)
    changed = layers.StringLookup(vocabulary=["a"])
    changed.set_vocabulary(["b"])  # its config holds the first vocabulary
    assert isinstance(dk.Sequential([changed]).layers[0], LayerInstance)
    for fresh in (layers.Discretization([1.0, 2.0]), layers.Discretization(num_bins=3), layers.IntegerLookup()):
        assert isinstance(dk.Sequential([fresh]).layers[0], LayerTemplate)


# ---- fit adapts as Keras does


def test_normalization_equals_keras_on_batches_of_unequal_size():
    expected = layers.Normalization()
    expected.adapt(X)
    model = adapted(dk.Sequential([layers.Normalization(), dk.Regressor()]), X)  # batches of 32, 32 and 26
    np.testing.assert_allclose(model.layers[1](X), expected(X), atol=2e-5)
    scalar = layers.Normalization(axis=None)
    scalar.adapt(X)
    model = adapted(dk.Sequential([layers.Normalization(axis=None), dk.Regressor()]), X)
    np.testing.assert_allclose(model.layers[1](X), scalar(X), atol=1e-5)


@pytest.mark.parametrize("output_mode", ["int", "one_hot"])
def test_discretization_equals_keras(output_mode):
    expected = layers.Discretization(num_bins=5, output_mode=output_mode)
    expected.adapt(X)
    net = dk.Sequential([layers.Discretization(num_bins=5, output_mode=output_mode), layers.Flatten(), dk.Regressor()])
    model = adapted(net, X)
    np.testing.assert_array_equal(model.layers[1](X), expected(X))


@pytest.mark.slow
@pytest.mark.parametrize("output_mode", ["int", "one_hot", "multi_hot", "count", "tf_idf"])
@pytest.mark.parametrize("kind", ["string", "integer", "text"])
def test_a_lookup_equals_keras_and_fits_the_layers_after_it(kind, output_mode, tmp_path):
    if (kind, output_mode) == ("text", "one_hot"):
        pytest.skip("Keras has one row for each token of a text")
    cls, x = {
        "string": (layers.StringLookup, COLORS),
        "integer": (layers.IntegerLookup, np.arange(90)[:, None] % 4 + 10**12),
        "text": (layers.TextVectorization, np.array(["a b", "b c c", "a b b", ""] * 22 + ["a", "b"])),
    }[kind]
    expected = cls(output_mode=output_mode)
    expected.adapt(x)
    tail = [layers.Embedding(9, 2), layers.Flatten()] if output_mode == "int" and kind != "text" else []
    tail = [layers.Embedding(9, 2), layers.GlobalAveragePooling1D()] if output_mode == "int" and not tail else tail
    model = adapted(dk.Sequential([cls(output_mode=output_mode), *tail, dk.Regressor()]), x)
    inputs = tf.constant(x)
    np.testing.assert_allclose(model.layers[1](inputs), expected(inputs), rtol=1e-6)
    assert model.layers[1].get_vocabulary() == expected.get_vocabulary()
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(load(tmp_path / "m.keras")(inputs), model(inputs))


def test_a_layer_after_a_one_hot_lookup_has_the_width_of_the_vocabulary():
    net = dk.Sequential([layers.StringLookup(output_mode="one_hot"), dk.Regressor()])
    result, _ = compiled(net, COLORS)
    assert result.model.layers[1].get_vocabulary() == ["[UNK]", "red", "blue", "green"]
    assert result.model.layers[2].kernel.shape == (4, 1)
    assert result.notes == ("adapted string_lookup: a vocabulary of 3 values",)


@pytest.mark.slow
def test_trained_weights_equal_those_after_adapting_by_hand():
    by_hand = layers.Normalization(name="norm")
    by_hand.adapt(X)
    runs = [
        dk.fit(dk.Sequential([layer, dk.MLP([4]), dk.Regressor()]), (X, Y), epochs=2, verbose=0)
        for layer in (layers.Normalization(name="norm"), by_hand)
    ]
    for ours, theirs in zip(*(run.model.get_weights() for run in runs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_layers_are_adapted_in_order_on_outputs_of_the_layers_before_them():
    net = dk.Sequential([layers.Normalization(), layers.Rescaling(3.0), layers.Normalization(), dk.Regressor()])
    result, _ = compiled(net, X)
    np.testing.assert_allclose(result.model.layers[3].variance, 9.0 * np.ones((1, 3)), rtol=1e-4)
    assert result.notes == (
        "adapted normalization1: mean and variance of 3 features",
        "adapted normalization2: mean and variance of 3 features",
    )


def test_a_layer_sees_rescaled_images_as_the_model_does():
    images = RNG.integers(0, 256, (40, 5, 5, 3)).astype("uint8")
    net = dk.Sequential([layers.MaxPooling2D(1), layers.Normalization(), dk.Classifier(2)])
    mean = adapted(net, images, y=np.arange(40) % 2, loss=None).get_layer("normalization").mean
    np.testing.assert_allclose(mean[0, 0, 0], images.mean((0, 1, 2)) / 255, rtol=1e-5)


def test_only_the_training_split_is_used():
    data = dk.data.from_arrays(X, Y, validation=0.5)
    model = adapted(dk.Sequential([layers.Normalization(), dk.Regressor()]), data, y=None)
    np.testing.assert_allclose(model.layers[1].mean[0], X[:45].mean(0), rtol=1e-5)


def test_all_uses_of_a_shared_layer_are_joined():
    lookup = dk.Shared(layers.StringLookup(output_mode="multi_hot"), name="lookup")
    net = dk.Functional(
        inputs={name: dk.Input((1,), dtype="string") for name in ("left", "right")},
        nodes={
            "a": ("left", lookup),
            "b": ("right", lookup),
            "both": (["a", "b"], [dk.Merge("concat"), layers.Normalization(), dk.Regressor()]),
        },
        outputs="both",
    )
    result, states = compiled(net, {"left": COLORS, "right": np.array(["black", "red", "pink"] * 30)[:, None]})
    shared = result.model.get_layer("lookup.string_lookup")
    assert set(shared.get_vocabulary()[1:]) == {"red", "blue", "green", "black", "pink"}
    assert result.model.get_layer("both.normalization").mean.shape == (1, 12)
    assert len(result.notes) == len(states) == 2


@pytest.mark.slow
def test_layers_in_wrappers_models_and_pipelines_are_adapted():
    sequences = RNG.normal(7, 3, (90, 4, 2)).astype("float32")
    inner = keras.Sequential([keras.Input((4, 2)), layers.Rescaling(2.0), layers.Normalization()], name="inner")
    timed = layers.TimeDistributed(keras.Sequential([layers.Normalization(), layers.Dense(2)]))
    pipeline = layers.Pipeline([layers.Rescaling(0.5), layers.Normalization()])
    nets = {"model": inner, "timed": timed, "pipeline": pipeline}
    notes = {
        name: compiled(dk.Sequential([layer, layers.Flatten(), dk.Regressor()]), sequences)[0].notes[0]
        for name, layer in nets.items()
    }
    text = "mean and variance of 2 features"
    assert notes == {
        "model": f"adapted inner.normalization: {text}",
        "timed": f"adapted time_distributed.sequential.normalization: {text}",
        "pipeline": f"adapted pipeline.normalization: {text}",
    }
    np.testing.assert_allclose(inner.layers[1].mean[0, 0], 2 * sequences.mean((0, 1)), rtol=1e-5)


@pytest.mark.slow
def test_a_vae_adapts_the_layers_of_its_encoder():
    body = [layers.Dense(4, activation="tanh")]
    net = dk.VAE([layers.Normalization(), *body], latent_dim=2, decoder=body, likelihood="gaussian")
    result, _ = compiled(net, X, y=None, loss=None)
    assert result.notes == ("adapted normalization: mean and variance of 3 features",)


def test_statistics_are_computed_in_float32_under_mixed_precision():
    large = 1e5 + X
    model = adapted(dk.Sequential([layers.Normalization(), dk.Regressor()]), large, precision="mixed_float16")
    assert model.layers[1].compute_dtype == "float32"
    np.testing.assert_allclose(model.layers[1](large), (large - large.mean(0)) / large.std(0), atol=0.02)


def test_a_state_is_restored_instead_of_adapted():
    net = dk.Sequential([layers.StringLookup(output_mode="tf_idf", max_tokens=3), dk.Regressor()])
    first, states = compiled(net, COLORS)
    second, _ = compiled(net, np.array(["other"] * 90)[:, None], states=states)
    assert second.notes == ()
    inputs = tf.constant(COLORS)
    np.testing.assert_array_equal(second.model.layers[1](inputs), first.model.layers[1](inputs))


@pytest.mark.slow
def test_a_resumed_run_is_exact_and_keeps_its_state(tmp_path):
    def net():
        bins = layers.Discretization(num_bins=4, output_mode="one_hot")
        return dk.Sequential([layers.Normalization(), bins, layers.Flatten(), dk.MLP([8], dropout=0.3), dk.Regressor()])

    whole = dk.fit(net(), (X, Y), epochs=3, verbose=0)
    dk.fit(net(), (X, Y), epochs=1, run_dir=tmp_path, verbose=0)
    stored = (tmp_path / "preprocessing.json").read_text()
    resumed = dk.fit(net(), (X, Y), epochs=3, run_dir=tmp_path, verbose=0)
    assert resumed.resume == "exact"
    assert (tmp_path / "preprocessing.json").read_text() == stored
    for expected, received in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), resumed.model.predict(X, verbose=0))
    assert loaded.evaluate(X, Y, verbose=0) == resumed.model.evaluate(X, Y, verbose=0)


def test_a_compiled_model_is_adapted_with_a_message(capsys):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(1)(layers.Normalization(name="scale")(inputs)))
    model.compile("sgd", "mse")
    before = model.predict(X, verbose=0)  # Keras compiles a function with the initial statistics
    model.optimizer.learning_rate = 0.0
    dk.fit(model, (X, Y), verbose=2)
    assert "adapted scale: mean and variance of 3 features" in capsys.readouterr().out
    np.testing.assert_allclose(model.layers[1].mean[0], X.mean(0), rtol=1e-5)
    assert abs(model.predict(X, verbose=0)).max() < 0.1 * abs(before).max()


@pytest.mark.slow
def test_a_compiled_model_and_a_feature_space_resume_in_the_same_process(tmp_path):
    inputs = keras.Input((3,))
    bins = layers.Discretization(num_bins=4, output_mode="multi_hot")
    model = keras.Model(inputs, layers.Dense(1)(bins(inputs)))
    model.compile("sgd", "mse")
    space = keras.utils.FeatureSpace(
        {"size": keras.utils.FeatureSpace.float_discretized(3), "color": "string_categorical"}
    )
    columns = {"size": X[:, 0], "color": COLORS[:, 0]}
    for name, make, x in (
        ("model", lambda: model, X),
        ("space", lambda: dk.Sequential([space, dk.Regressor()]), columns),
    ):
        for epochs in (1, 2):
            assert dk.fit(make(), (x, Y), epochs=epochs, run_dir=tmp_path / name, verbose=0).resume == "exact"
    other = keras.utils.FeatureSpace(
        {"size": keras.utils.FeatureSpace.float_discretized(3), "color": "string_categorical"}
    )
    net = dk.Sequential([other, dk.Regressor()])
    assert dk.fit(net, (columns, Y), epochs=3, run_dir=tmp_path / "space", verbose=0).epochs == 3
    np.testing.assert_array_equal(other(columns), space(columns))


def test_a_sequential_that_is_not_built_is_adapted():
    model = keras.Sequential([layers.StringLookup(output_mode="one_hot"), layers.Dense(1)])
    model.compile("sgd", "mse")
    compiled(model, COLORS, loss=None)
    assert model.layers[0].get_vocabulary()[1:] == ["red", "blue", "green"]


@pytest.mark.slow
def test_a_vocabulary_with_line_breaks_survives_saving(tmp_path):
    words = np.array(["a\nb", "c\x85d", "e", ""] * 20 + ["e"] * 10)[:, None]  # the rarest sorts last: the empty one
    net = dk.Sequential([layers.StringLookup(), layers.Embedding(5, 2), layers.Flatten(), dk.Regressor()])
    model = adapted(net, words)
    model.save(tmp_path / "m.keras")
    inputs = tf.constant(words)
    np.testing.assert_array_equal(load(tmp_path / "m.keras")(inputs), model(inputs))


@pytest.mark.slow
def test_data_with_initial_statistics_is_not_adapted_again():
    signs = np.array([[-1.0], [1.0]] * 45, "float32")
    model = adapted(dk.Sequential([layers.Normalization(), dk.Regressor()]), signs)
    model.layers[1].adapt_mean.assign([0.0])
    state = {"normalization": {"class": "Normalization", "mean": [0.0], "variance": [1.0]}}
    model = adapted(dk.Sequential([layers.Normalization(), dk.Regressor()]), signs, states=state)
    assert dk.adapt(model, tf.data.Dataset.from_tensors(signs + 5)) == []


# ---- errors


class Holder(layers.Layer):
    """A layer that calls another one, which Keras does not see before the call."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Normalization(name="inner")

    def call(self, inputs):
        return self.inner(inputs)


@pytest.mark.parametrize(
    ("element", "x", "text"),
    [
        (
            layers.Normalization(),
            tf.data.Dataset.from_tensors((np.where(X > 5, X, np.nan), Y)),
            "the data that reaches it contains NaN\n  at    normalization\n  hint: remove those examples, or",
        ),
        (
            layers.Discretization(num_bins=2),
            tf.data.Dataset.from_tensors((np.full((90, 1), np.inf), Y)),
            "contains infinity\n  at    discretization",
        ),
        (layers.Normalization(invert=True), X, r"Normalization\(invert=True\) inverts another layer .*\n  at    norm"),
        (layers.StringLookup(), np.full((90, 1), "[UNK]"), "no value reached the lookup layer\n  at    string_lookup"),
        (
            Holder(),
            X,
            "Normalization is inside a layer or model whose graph is unknown\n  at    holder.inner\n  hint: call",
        ),
        (
            [layers.Hashing(5), layers.StringLookup()],
            COLORS,
            "StringLookup expects strings, received int64\n  at    sequential.string_lookup\n  hint: use",
        ),
    ],
    ids=["nan", "infinity", "invert", "special", "holder", "dtype"],
)
def test_data_that_does_not_fit_names_the_layer(element, x, text):
    y = None if isinstance(x, tf.data.Dataset) else Y
    with pytest.raises(ValueError, match=text):
        compiled(dk.Sequential([element, layers.Flatten(), dk.Regressor()]), x, y)


def test_empty_data_names_the_layer():
    empty = tf.data.Dataset.from_tensor_slices((X[:0], Y[:0])).batch(4)
    model = keras.Sequential([keras.Input((3,)), layers.Normalization(name="scale")])
    with pytest.raises(ValueError, match="Normalization cannot be adapted: no data reached it\n  at    scale\n  hint"):
        dk.adapt(model, empty)
