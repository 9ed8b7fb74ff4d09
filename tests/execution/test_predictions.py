"""`Run.predict` and `Run.evaluate`: readable results for every kind of head, and the conversions of the training."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.errors import LabelError
from deepkit.training.predictions import ClassPrediction

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = np.arange(40) % 3
NAMES = np.array(["rose", "aster", "tulip"])  # not in sorted order
IMAGES = np.random.default_rng(1).integers(0, 256, (40, 6, 6, 1)).astype("uint8")


def train(head, y, x=X, **kwargs):
    return dk.fit(dk.Sequential([head]), (x, y), verbose=0, **kwargs)


@functools.cache
def flowers():
    """Return a run with class names that no test changes."""
    return train(dk.Classifier(3), NAMES[Y])


@functools.cache
def images():
    """Return a run whose model rescales uint8 images."""
    return train(dk.Classifier(2), np.arange(40) % 2, IMAGES)


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


# --- predictions of each head ---------------------------------------------------------------------------------------


def test_a_classifier_predicts_class_names_and_probabilities():
    predictions = flowers().predict(X)
    logits = flowers().model.predict(X, verbose=0)
    np.testing.assert_allclose(predictions.probabilities, softmax(logits), rtol=1e-5)
    assert predictions.labels.tolist() == [("aster", "rose", "tulip")[i] for i in logits.argmax(-1)]


def test_predictions_are_unpacked_and_read_by_numpy_as_probabilities():
    labels, probabilities = predictions = flowers().predict(X)
    np.testing.assert_array_equal(np.argmax(predictions, -1), probabilities.argmax(-1))
    assert labels.tolist() == [("aster", "rose", "tulip")[i] for i in np.argmax(predictions, -1)]
    assert np.asarray(predictions, "float64").dtype == "float64"


def test_a_classifier_without_names_predicts_indices():
    labels = train(dk.Classifier(3), Y).predict(X).labels
    assert labels.dtype.kind == "i"
    assert labels.shape == (40,)


def test_a_binary_classifier_predicts_the_second_class_above_one_half():
    run = train(dk.Classifier(1), np.array(["no", "yes"])[Y % 2])
    predictions = run.predict(X)
    probabilities = 1 / (1 + np.exp(-run.model.predict(X, verbose=0)))
    np.testing.assert_allclose(predictions.probabilities[:, 1:], probabilities, rtol=1e-5)
    np.testing.assert_allclose(predictions.probabilities.sum(1), 1, rtol=1e-6)
    assert predictions.labels.tolist() == ["yes" if p > 0.5 else "no" for p in probabilities[:, 0]]


def test_a_multilabel_classifier_predicts_a_list_for_each_example():
    predictions = train(dk.Classifier(3, activation="sigmoid"), np.eye(3)[Y]).predict(X)
    expected = [np.flatnonzero(row > 0.5).tolist() for row in predictions.probabilities]
    assert predictions.labels == expected
    rows = zip(expected, predictions.probabilities, strict=True)
    texts = [", ".join(f"{i} {100 * row[i]:.1f} %" for i in indices) or "none" for indices, row in rows]
    assert [line[6:] for line in repr(predictions).splitlines()[1:11]] == texts[:10]


@pytest.mark.slow
def test_the_loss_decides_what_the_outputs_mean():
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    run = train(layers.Dense(3), np.eye(3)[Y], loss=loss)
    probabilities = 1 / (1 + np.exp(-run.model.predict(X, verbose=0)))
    np.testing.assert_allclose(run.predict(X).probabilities, probabilities, rtol=1e-5)
    run = train(layers.Dense(3, activation="softmax"), Y, loss="sparse_categorical_crossentropy")
    np.testing.assert_array_equal(run.predict(X).probabilities, run.model.predict(X, verbose=0))


def test_a_compiled_keras_model_predicts_classes():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    run = dk.fit(model, (X, Y), verbose=0)
    np.testing.assert_array_equal(run.predict(X).labels, model.predict(X, verbose=0).argmax(-1))


def test_a_regressor_predicts_an_array():
    run = train(dk.Regressor(2), X[:, :2])
    assert type(run.predict(X)) is np.ndarray
    np.testing.assert_array_equal(run.predict(X), run.model.predict(X, verbose=0))


def test_a_gaussian_regressor_predicts_mean_and_stddev():
    run = train(dk.Regressor(2, distribution="gaussian"), X[:, :2])
    mean, stddev = run.predict(X)
    outputs = run.model.predict(X, verbose=0)
    np.testing.assert_array_equal(mean, outputs[..., 0])
    np.testing.assert_array_equal(stddev, outputs[..., 1])


@pytest.mark.slow
def test_several_outputs_are_predicted_by_name():
    net = dk.Functional(
        inputs={"a": dk.Input((4,)), "b": dk.Input((2,))},
        nodes={
            "both": (["a", "b"], dk.Merge("concat")),
            "kind": ("both", dk.Classifier(3)),
            "size": ("both", dk.Regressor()),
        },
        outputs=["kind", "size"],
    )
    x, y = {"a": X, "b": X[:, :2]}, {"kind": NAMES[Y], "size": X[:, 0]}
    run = dk.fit(net, (x, y), verbose=0)
    predictions = run.predict(x)
    assert set(predictions["kind"].labels) <= set(NAMES)
    assert predictions["size"].shape == (40, 1)
    np.testing.assert_array_equal(run.predict([X, X[:, :2]])["size"], predictions["size"])
    expected = run.model.evaluate(x, y | {"kind": np.argsort(NAMES).argsort()[Y]}, return_dict=True, verbose=0)
    assert run.evaluate(x, y) == pytest.approx(expected)
    assert run.evaluate([X, X[:, :2]], [NAMES[Y], X[:, 0]]) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"x: expected the inputs a, b, received a\n  hint: pass {'a': \.\.\., 'b'"):
        run.predict({"a": X})


def test_outputs_by_position_are_predicted_as_a_list():
    x = keras.Input((4,))
    model = keras.Model(x, [layers.Dense(1)(x), layers.Dense(3, activation="softmax")(x)])
    model.compile("adam", ["mse", "sparse_categorical_crossentropy"])
    run = dk.fit(model, X, [X[:, :1], Y], verbose=0)
    size, kind = run.predict(X)
    assert size.shape == (40, 1)
    assert kind.labels.shape == (40,)
    expected = model.evaluate(X, [X[:, :1], Y], return_dict=True, verbose=0)
    assert run.evaluate(X, [X[:, :1], Y]) == pytest.approx(expected)


@pytest.mark.slow
def test_a_prediction_per_position():
    ids = np.random.default_rng(0).integers(0, 5, (20, 6))
    net = dk.Sequential([layers.Embedding(5, 3), dk.Classifier(3, pool=None)])
    predictions = dk.fit(net, (ids, ids % 3), verbose=0).predict(ids)
    assert predictions.labels.shape == (20, 6)
    assert repr(predictions).splitlines()[1] == "   0  " + ", ".join(map(str, predictions.labels[0]))


IDS = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [2, 2, 0, 0]])  # 0 is the padding


@functools.cache
def tagger():
    """Return a run whose model classifies each step of a masked sequence."""
    net = dk.Sequential([layers.Embedding(5, 3, mask_zero=True), dk.Classifier(3, pool=None)])
    return dk.fit(net, IDS, np.array(["a", "b", "c"])[IDS % 3], verbose=0)


def test_masked_steps_have_no_label():
    run = tagger()
    predictions = run.predict(IDS)
    outputs = run.model.predict(IDS, verbose=0)
    np.testing.assert_array_equal(np.ma.getmaskarray(predictions.labels), IDS == 0)
    expected = np.array(["a", "b", "c"])[outputs.argmax(-1)].astype(object)
    assert predictions.labels.tolist() == np.where(IDS == 0, None, expected).tolist()
    np.testing.assert_allclose(predictions.probabilities, softmax(outputs), rtol=1e-5)
    lines = [", ".join(row[ids > 0]) for row, ids in zip(expected, IDS, strict=True)]
    assert [line[6:] for line in repr(predictions).splitlines()[1:]] == lines
    assert (predictions.labels == expected).mean() == 1  # NumPy leaves masked steps out


def test_masked_steps_of_several_labels_have_no_list():
    net = dk.Sequential([layers.Embedding(5, 3, mask_zero=True), dk.Classifier(2, activation="sigmoid", pool=None)])
    predictions = dk.fit(net, IDS, np.ones((3, 4, 2)), verbose=0).predict(IDS)
    for labels, row, ids in zip(predictions.labels, predictions.probabilities, IDS, strict=True):
        assert labels == [np.flatnonzero(p > 0.5).tolist() if i else None for p, i in zip(row, ids, strict=True)]
    assert "None" not in repr(predictions)


def test_batches_of_different_lengths_are_padded_and_masked():
    expected = tagger().predict(IDS)
    sequences = ([1, 2, 3], [4], [2, 2])
    batches = tf.data.Dataset.from_generator(lambda: sequences, output_signature=tf.TensorSpec((None,), "int64"))
    predictions = tagger().predict(batches.batch(1))
    assert predictions.labels.tolist() == expected.labels[:, :3].tolist()


def test_a_loaded_run_and_a_keras_model_mask_their_steps(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Embedding(5, 3, mask_zero=True), layers.Dense(3, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    run = dk.fit(model, IDS, IDS % 3, run_dir=tmp_path / "run", verbose=0)
    expected = run.predict(IDS).labels.tolist()
    assert (np.array(expected) == None).tolist() == (IDS == 0).tolist()  # noqa: E711  of each element
    assert dk.load_run(tmp_path / "run").predict(IDS).labels.tolist() == expected


def test_the_masks_of_several_outputs_are_found_by_name():
    net = dk.Functional(
        inputs={"ids": dk.Input((4,), dtype="int64")},
        nodes={
            "embedded": ("ids", layers.Embedding(5, 3, mask_zero=True)),
            "whole": ("embedded", dk.Classifier(2, pool="avg")),
            "steps": ("embedded", dk.Classifier(3, pool=None)),
        },
        outputs=["whole", "steps"],
    )
    predictions = dk.fit(net, IDS, {"whole": np.array([0, 1, 0]), "steps": IDS % 3}, verbose=0).predict(IDS)
    assert not isinstance(predictions["whole"].labels, np.ma.MaskedArray)
    np.testing.assert_array_equal(np.ma.getmaskarray(predictions["steps"].labels), IDS == 0)


@pytest.mark.slow
def test_an_autoencoder_predicts_its_reconstruction():
    x = (X > 0).astype("float32")
    run = dk.fit(dk.Autoencoder(dk.MLP([2]), activation="sigmoid"), (x,), verbose=0)
    np.testing.assert_array_equal(run.predict(x), run.model.predict(x, verbose=0))
    assert run.evaluate(x) == pytest.approx(run.model.evaluate(x, x, return_dict=True, verbose=0))


WORDS = dk.Text(4, vocabulary=("a", "b"))
TEXT_NETWORKS = {
    "translator": dk.Seq2Seq(WORDS, embedding_dim=4, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("gru", 4)),
    "language model": dk.LanguageModel(WORDS, embedding_dim=4, decoder=dk.Recurrent("gru", 4)),
    "captioner": dk.Captioner([dk.ConvBlock(4)], text=WORDS, embedding_dim=4, decoder=dk.Recurrent("gru", 4)),
}


@pytest.mark.parametrize(
    ("net", "hint"),
    [
        (dk.VAE(dk.MLP([4]), latent_dim=2, decoder=dk.MLP([4])), "use run.model.reconstruct(x)"),
        (dk.GAN(dk.MLP([4]), discriminator=dk.MLP([4]), latent_dim=2), "use run.model.sample(num_samples)"),
        (dk.HelmholtzMachine([2]), "use run.model.sample(num_samples)"),
        (dk.Hopfield(4), "use run.model.recall(x)"),
        (TEXT_NETWORKS["translator"], "use run.model.translate(texts)"),
        (TEXT_NETWORKS["language model"], "use run.model.generate(text)"),
        (TEXT_NETWORKS["captioner"], "use run.model.caption(images)"),
    ],
)
def test_a_generative_model_names_its_methods(net, hint):
    shape = {dk.Captioner: (4, 4, 1), dk.Seq2Seq: None, dk.LanguageModel: None}.get(type(net), (4,))
    run = dk.Run(net.build(shape), {}, dk.plan(), None, None, "exact", 0.0, 1)
    with pytest.raises(TypeError) as caught:
        run.predict(np.eye(4))
    assert f"does not predict labels of its inputs\n  hint: {hint}" in str(caught.value)


TEXTS = np.array(["a b", "b", "b a a", ""])
EVALUATIONS = {
    "translator": (TEXTS, TEXTS[::-1]),
    "language model": (TEXTS,),
    "captioner": (np.ones((4, 4, 4, 1), "float32"), TEXTS),
}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_the_labels_of_a_model_of_texts_are_texts(name):
    model = TEXT_NETWORKS[name].build((4, 4, 1) if name == "captioner" else None)
    model.compile("adam")
    arrays = EVALUATIONS[name]
    expected = model.evaluate(*arrays, verbose=0, return_dict=True)
    run = dk.Run(model, {}, dk.plan(), None, None, "exact", 0.0, 1)
    assert sorted(expected) == ["accuracy", "loss", "perplexity"]
    assert run.evaluate(*arrays) == pytest.approx(expected)
    assert run.evaluate(dk.data.from_arrays(*arrays).train) == pytest.approx(expected)
    assert run.evaluate(*(array.tolist() for array in arrays)) == pytest.approx(expected)


# --- text -----------------------------------------------------------------------------------------------------------


def test_predictions_are_printed_as_rows():
    labels, probabilities = np.array(["owl", *["cat"] * 12]), np.array([[0.125, 0.875], *[[1.0, 0.0]] * 12])
    lines = repr(ClassPrediction(labels, probabilities)).splitlines()
    assert lines[:3] == ["<ClassPrediction of 13 examples>", "   0  owl 87.5 %", "   1  cat 100.0 %"]
    assert lines[-1] == "      ... and 3 more"
    assert repr(ClassPrediction(labels[:1], probabilities[:1])).startswith("<ClassPrediction of 1 example>")


# --- data -----------------------------------------------------------------------------------------------------------


def test_texts_are_predicted_as_a_list_or_an_array():
    net = dk.Sequential([dk.Text(20), layers.Embedding(20, 4), dk.Classifier(2, pool="avg")])
    run = dk.fit(net, (["a b", "c d"] * 4, ["x", "y"] * 4), verbose=0)
    texts = ["a b", "c"]
    expected = softmax(np.asarray(run.model(tf.constant(texts))))
    for x in (texts, np.array(texts), np.array(texts, object), tf.constant(texts)):
        np.testing.assert_allclose(run.predict(x).probabilities, expected, rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"x: expected a batch of texts, received one text, 'a b'\n  hint: pass a list"
    ):
        run.predict("a b")
    with pytest.raises(ValueError, match=r"x: expected strings, received float32\n  hint: pass a list of strings"):
        run.predict(X)


def test_texts_of_a_pipeline_are_predicted_beside_other_inputs():
    net = dk.Functional(
        inputs={"text": dk.Input((), dtype="string"), "number": dk.Input((4,))},
        nodes={
            "read": ("text", [dk.Text(9), layers.Embedding(9, 4), layers.GlobalAveragePooling1D()]),
            "class": (["read", "number"], [dk.Merge("concat"), dk.Classifier(2)]),
        },
        outputs="class",
    )
    x = {"text": np.array(["a b", "c ä"] * 20), "number": X}
    data = dk.data.from_arrays(x, Y % 2)
    run = dk.fit(net, data, verbose=0)
    arrays = data.train.arrays()[0]
    assert isinstance(arrays["text"][0], bytes)  # which Keras's predict refuses in arrays, not in datasets
    with pytest.raises(ValueError, match="Invalid dtype: object"):
        run.model.predict(arrays, verbose=0)
    expected = run.predict(data.train).probabilities
    strings = [text.decode() for text in arrays["text"]]
    for texts in (arrays["text"], x["text"], strings, np.array(strings, object), tf.constant(strings)):
        np.testing.assert_array_equal(run.predict({**arrays, "text": texts}).probabilities, expected)
    logits = run.model.predict({**arrays, "text": np.array(strings, object)}, verbose=0)
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-5)


def test_datasets_are_predicted_in_the_order_of_their_examples():
    run, data = flowers(), dk.data.from_arrays(X, NAMES[Y], validation=10, augment=())
    expected = run.predict(X[:30]).labels.tolist()
    first_batch = next(iter(data.train.epochs().take(1)))[0]
    assert run.predict(data.train).labels.tolist() == expected
    batches = tf.data.Dataset.from_tensor_slices((X[:30], Y[:30])).batch(7)
    assert run.predict(batches).labels.tolist() == expected
    generator = (X[i : i + 10] for i in range(0, 30, 10))  # the first batch is not lost
    assert run.predict(generator).labels.tolist() == expected
    np.testing.assert_array_equal(next(iter(data.train))[0], first_batch)  # the epoch counter did not advance
    labels = np.argsort(NAMES).argsort()[Y[30:]]
    assert run.evaluate(data.validation) == pytest.approx(
        run.model.evaluate(X[30:], labels, return_dict=True, verbose=0)
    )


@pytest.mark.slow
def test_images_are_converted_as_in_the_training():
    run = images()
    np.testing.assert_allclose(
        run.predict(IMAGES).probabilities, softmax(run.model.predict(IMAGES, verbose=0)), rtol=1e-5
    )
    data = dk.data.load("digits", verbose=False).head(64)
    run = dk.fit(dk.Sequential([dk.Classifier(10)]), data, verbose=0)
    stored = data.test._source.arrays[0]
    assert stored.dtype == np.uint8
    np.testing.assert_allclose(run.predict(stored).probabilities, run.predict(data.test).probabilities, rtol=1e-5)


@pytest.mark.slow
def test_the_map_of_the_training_data_is_applied():
    run = dk.fit(dk.Sequential([dk.Classifier(3)]), dk.data.from_arrays(X, Y, map=lambda x: 2 * x), verbose=0)
    expected = softmax(run.model.predict(2 * X, verbose=0))
    np.testing.assert_allclose(run.predict(X).probabilities, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("run", "x", "text"),
    [
        (flowers, X[0], "expected a batch of shape (batch, 4), received an array of shape (4,)\n  hint: pass x[None]"),
        (flowers, X[:, :3], "expected a batch of shape (batch, 4), received an array of shape (40, 3)\n  hint: pass x"),
        (flowers, {"a": X}, "x: expected one array, received a mapping with the keys a\n  hint: pass the array itself"),
        (flowers, X + 1j, "x: expected real numbers, received complex64\n  hint: convert x as the training data"),
        (flowers, ["a"], "x: expected numbers, received strings\n  hint: pass the numbers"),
        (flowers, (X, Y), "x: expected one array, received a tuple of 2\n  hint: pass x alone, without labels"),
        (flowers, [X[0], X[1]], "received a list of 2\n  hint: use np.stack(x) if each array is an example"),
        (
            flowers,
            X * [[np.nan]] + 0,
            "x: expected finite numbers in x, received nan (first at index 0, in 40 of 40 examples)\n  hint: fill",
        ),
        (
            flowers,
            tf.data.Dataset.from_tensor_slices(X),
            "received batches of shape (4,)\n  hint: use dataset.batch(32)",
        ),
        (flowers, tf.data.Dataset.from_tensors(X).repeat(), "the dataset is infinite\n  hint: use dataset.take(steps)"),
        (images, IMAGES[0], "hint: pass x[None], a batch of one example, or x[..., None] to add a channel axis"),
        (images, IMAGES / 255, "values up to 1, the training images up to 255\n  hint: pass images in"),
    ],
)
def test_data_that_does_not_fit_is_refused(run, x, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        run().predict(x)
    assert text in str(caught.value)


def test_data_with_several_splits_is_refused():
    with pytest.raises(
        TypeError, match=r"received a Data with the splits train, validation\n  hint: pass data\.valida"
    ):
        flowers().predict(dk.data.from_arrays(X, Y, validation=10))


# --- evaluation -----------------------------------------------------------------------------------------------------


def test_labels_are_class_names_or_indices():
    run, indices = flowers(), np.argsort(NAMES).argsort()[Y]
    expected = run.model.evaluate(X, indices, return_dict=True, verbose=0)
    for y in (NAMES[Y], list(NAMES[Y]), NAMES[Y].astype(object), indices):
        assert run.evaluate(X, y) == pytest.approx(expected)
    assert run.evaluate((X, NAMES[Y])) == pytest.approx(expected)
    assert run.evaluate(X, NAMES[Y], batch_size=7) == pytest.approx(expected, rel=1e-5)
    weights = np.arange(40.0)
    weighted = run.model.evaluate(X, indices, sample_weight=weights, return_dict=True, verbose=0)
    assert run.evaluate(X, NAMES[Y], sample_weight=weights) == pytest.approx(weighted, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((X, np.repeat("lily", 40)), "'aster', 'rose', 'tulip', received 'lily' (first at index 0)\n  at    y"),
        ((X, Y + 1), "expected class indices from 0 to 2 for the trained model, received 3 (first at index 2)"),
        ((X, np.eye(4)[Y]), "received shape (batch, 4)"),
        ((X,), "y: expected labels, received inputs only\n  hint: use run.evaluate(x, y)"),
        ((X, Y[:-1]), "x and y must have the same number of examples"),
        ((dk.data.from_arrays(X, Y), Y), "y: expected arrays as x, received a dk.data Data\n  hint: leave y out"),
    ],
)
def test_labels_that_do_not_fit_are_refused(arguments, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  a LabelError is one; the text is checked below
        flowers().evaluate(*arguments)
    assert text in str(caught.value)


def test_names_without_class_names_and_weights_of_another_length_are_refused():
    with pytest.raises(LabelError, match=r"the run has no class names.*\n  at    y\n  hint: pass class indices"):
        train(dk.Classifier(3), Y).evaluate(X, NAMES[Y])
    with pytest.raises(ValueError, match=r"sample_weight must have one weight for each of 40 examples"):
        flowers().evaluate(X, Y, sample_weight=np.ones(3))


def test_probabilities_that_are_nan_are_refused():
    run = dk.fit(dk.Sequential([dk.Classifier(3)]), X, Y, verbose=0)
    run.model.set_weights([np.full_like(weight, np.nan) for weight in run.model.get_weights()])
    with pytest.raises(ValueError, match=r"the probabilities of 40 of 40 examples are NaN \(first at index 0\)"):
        run.predict(X)
