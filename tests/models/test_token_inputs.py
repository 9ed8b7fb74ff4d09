"""The inputs of models that generate texts: ids in place of texts, losses, metrics, weights and precisions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.errors import TokenIdError

VOCABULARY = ("a", "b", "c")
TEXT = dk.Text(5, vocabulary=VOCABULARY)
IMAGES = np.random.default_rng(0).random((4, 6, 6, 2)).astype("float32")
IDS = np.array([[2, 3, 0], [4, 0, 0], [2, 2, 2], [3, 4, 0]])
TEXTS = ["a b", "c", "a a a", "b c"]
LEFT_PADDED = np.array([[0, 2, 3], [0, 0, 4], [2, 2, 2], [0, 3, 4]])
GRU = dk.Recurrent("gru", 4)


def translator(text=TEXT):
    return dk.Seq2Seq(text, embedding_dim=4, encoder=GRU, decoder=GRU)


def language_model(text=TEXT):
    return dk.LanguageModel(text, embedding_dim=4, decoder=GRU)


def captioner(text=TEXT, **kwargs):
    encoder = [keras.layers.Conv2D(3, 3)]
    return dk.Captioner(encoder, text=text, **{"embedding_dim": 4, "decoder": GRU, **kwargs})


def fit(net, *data, **kwargs):
    return dk.fit(net, *data, **{"epochs": 1, "verbose": 0, **kwargs})


def test_ids_train_as_their_texts():
    by_text = fit(translator(), TEXTS, TEXTS).history
    assert fit(translator(), IDS, IDS.astype("uint8")).history == by_text
    assert fit(language_model(), IDS).history == fit(language_model(), TEXTS).history


WRONG_IDS = [
    (
        lambda: fit(translator(), LEFT_PADDED, TEXTS),
        "padding, id 0, only at the end of a row.*in epoch 1, the model is",
    ),
    (lambda: fit(translator(), TEXTS, LEFT_PADDED), "padding, id 0, only at the end of a row"),
    (lambda: fit(language_model(), LEFT_PADDED), "padding, id 0, only at the end of a row"),
    (lambda: fit(captioner(), IMAGES, LEFT_PADDED), "padding, id 0, only at the end of a row"),
    (lambda: fit(translator(), IDS * [[1], [0], [1], [1]], TEXTS), "at least one id for a source"),
    (lambda: translator().build()((LEFT_PADDED, IDS)), "padding, id 0, only at the end of a row"),
    (lambda: translator().build()((IDS, IDS + 3)), "expected token ids from 0 to 4, received 7"),
    (lambda: fit(translator(), IDS.astype("float32"), TEXTS), "sources: expected strings .* received float32"),
    (lambda: fit(translator(), IMAGES, TEXTS), r"sources: expected .* received float32 of shape \(None, 6, 6, 2\)"),
    (lambda: fit(translator(), TEXTS, [0, 1, 2, 3]), r"targets: expected .* received int64 of shape \(None,\)"),
    (lambda: fit(translator(), TEXTS, [TEXTS[:2]] * 4), r"targets: expected .* received string of shape \(None, 2\)"),
    (lambda: fit(translator(), IDS[:, :0], TEXTS), r"sources: expected .* received int64 of shape \(None, 0\)"),
    (lambda: fit(translator(), TEXTS), "expected pairs of texts, received only sources"),
    (lambda: fit(captioner(), IMAGES, IDS[:, 0]), r"captions: expected .* received int64 of shape \(None,\)"),
    (
        lambda: fit(language_model(dk.Text(5)), IDS),
        "has no vocabulary, and the texts are token ids\n  hint: pass texts",
    ),
]


@pytest.mark.parametrize(("call", "text"), WRONG_IDS)
def test_wrong_ids_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize("token", [-1, 5])
def test_ids_out_of_range_are_refused_with_the_embedding(token):
    with pytest.raises(TokenIdError, match=f"'embedding' received the token id {token}"):
        fit(translator(), IDS, np.full((4, 2), token))


def test_keras_refuses_padding_before_an_id_too():
    model = language_model().build()
    model.compile("sgd")
    with pytest.raises(tf.errors.InvalidArgumentError, match="padding before a token id"):
        model.fit(LEFT_PADDED, verbose=0)


@pytest.mark.parametrize("loss", ["mse", keras.losses.CategoricalCrossentropy(from_logits=True)])
def test_a_loss_that_does_not_fit_class_indices_is_refused(loss):
    with pytest.raises(ValueError, match=r"loss: expected one that compares class indices \(tokens,\) with logits"):
        fit(translator(), TEXTS, TEXTS, loss=loss)


def test_a_metric_that_does_not_fit_class_indices_is_refused():
    with pytest.raises(ValueError, match=r"metrics: expected one that compares .* received 'mse'\n  hint: use keras"):
        fit(language_model(), TEXTS, metrics=["accuracy", "mse"])
    metric = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")
    assert "top2" in fit(language_model(), TEXTS, metrics=["accuracy", metric]).history


def test_class_weights_of_texts_are_refused():
    for class_weight in ("balanced", {0: 1.0}):
        with pytest.raises(
            ValueError, match="class_weight: expected labels that are classes, received texts\n  hint: "
        ):
            fit(translator(), TEXTS, TEXTS, class_weight=class_weight)


@pytest.mark.parametrize("precision", ["float64", "mixed_float16", "float16"])
def test_every_precision_trains_and_decodes(precision):
    plan = dk.plan(precision=precision)
    model = fit(translator(), TEXTS, TEXTS, plan=plan).model
    assert len(model.translate(TEXTS, max_length=2)) == 4
    model = fit(captioner(hard=True, doubly_stochastic=0.5), IMAGES, TEXTS, plan=plan).model
    captions, maps = model.caption(IMAGES, max_length=2, return_attention=True)
    assert maps[0].weights.dtype == np.float32
    assert np.isfinite(model.log_likelihood(IMAGES, captions)).all()


def test_generated_texts_cannot_be_ngrams():
    text = dk.Text(9, text={"ngrams": 2})
    for net in (translator, language_model, captioner):
        with pytest.raises(ValueError, match="must be sequences of tokens, received ngrams=2"):
            net(text)


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (np.array("a"), "expected a list of texts, received ndarray 'a'"),
        (b"\xff", "expected Unicode texts, received"),
        (["a\ud800"], "expected Unicode texts, received .*surrogates not allowed.*\n  hint: use text.encode"),
        ([b"\xff"], "expected Unicode texts, received .*\n  hint: use text.encode"),
    ],
)
def test_values_that_are_not_texts_are_refused(texts, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        translator().build().translate(texts)
    with pytest.raises((TypeError, ValueError), match=problem):
        language_model().build().generate(texts)


def test_a_single_text_has_the_result_of_a_list_of_it():
    search = {"num_beams": 2, "max_length": 3}
    seq2seq = translator().build()
    source, target = TEXTS[0], TEXTS[1]
    assert seq2seq.translate(source, **search) == seq2seq.translate([source], **search)[0]
    assert seq2seq.translate(source.encode(), **search) == seq2seq.translate([source], **search)[0]
    assert seq2seq.translate("", **search) == ""
    text, alignment = seq2seq.translate(source, return_attention=True, **search)
    assert (text, alignment.source) == (seq2seq.translate(source, **search), source.split())
    np.testing.assert_array_equal(
        seq2seq.attention_maps(source, target).weights, seq2seq.attention_maps([source], [target])[0].weights
    )
    assert seq2seq.log_likelihood(source, target) == seq2seq.log_likelihood([source], [target])[0]
    language = language_model().build()
    assert language.generate(b"a", max_new_tokens=2, seed=0) == language.generate(["a"], max_new_tokens=2, seed=0)[0]
    assert language.log_likelihood(source) == language.log_likelihood([source])[0]
    np.testing.assert_array_equal(language.token_log_likelihoods(source), language.token_log_likelihoods([source])[0])
    captions = captioner().build(IMAGES.shape[1:])
    image = IMAGES[0]
    assert captions.caption(image, **search) == captions.caption(image[None], **search)[0]
    text, attention = captions.caption(image, return_attention=True, **search)
    np.testing.assert_array_equal(attention.weights, captions.attention_maps(image, text).weights)
    assert captions.log_likelihood(image, target) == captions.log_likelihood(image[None], [target])[0]


def test_one_text_does_not_pair_with_a_list():
    model = translator().build()
    for method in (model.log_likelihood, model.attention_maps):
        with pytest.raises(TypeError, match=r"two texts or two lists of texts, received a list and one text\n  hint: "):
            method(["a"], "a")
    model = captioner().build(IMAGES.shape[1:])
    for method in (model.log_likelihood, model.attention_maps):
        with pytest.raises(TypeError, match="captions: expected a text for one image, received a list\n  hint: pass"):
            method(IMAGES[0], ["a"])
        with pytest.raises(TypeError, match="captions: expected a list of texts for 4 images, received one text"):
            method(IMAGES, "a")


def test_lengths_that_no_memory_holds_are_refused():
    with pytest.raises(ValueError, match="max_length must be at most 1,000,000"):
        translator().build().translate(TEXTS, max_length=10**10)
    with pytest.raises(ValueError, match="num_beams must be at most 10,000"):
        translator().build().translate(TEXTS, num_beams=10**10)
    with pytest.raises(ValueError, match="max_new_tokens must be at most 1,000,000"):
        language_model().build().generate("a", max_new_tokens=10**10)


def test_more_beams_than_words_find_the_most_probable_text():
    model = translator().build()
    texts = ["", *VOCABULARY, *(f"{first} {second}" for first in VOCABULARY for second in VOCABULARY)]
    log_p = model.log_likelihood(["a b"] * len(texts), texts)
    assert model.translate(["a b"], num_beams=50, max_length=2, length_penalty=0) == [texts[np.argmax(log_p)]]
