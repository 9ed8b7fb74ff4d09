"""Captioner: likelihoods, attention maps, the two losses of the attention, saving and errors."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.models.captioner import ImageCaptioner

WORDS = ("a", "b", "c")
TEXT = dk.Text(5, vocabulary=WORDS)
IMAGES = np.random.default_rng(0).random((3, 8, 8, 2)).astype("float32")
CAPTIONS = ["a b", "", "c c b a"]
VARIANTS = {
    "soft": {"decoder": dk.Recurrent("gru", 6), "doubly_stochastic": 0.5},
    "hard": {"decoder": dk.Recurrent("lstm", 6), "attention": "multiplicative", "hard": True},
    "transformer": {"decoder": dk.TransformerDecoder(2, num_layers=2), "doubly_stochastic": 0.5},
    "none": {"decoder": dk.Recurrent("gru", 6), "attention": None},
}
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def definition(variant="soft", **kwargs):
    encoder = [layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")]
    return dk.Captioner(encoder, text=TEXT, **{"embedding_dim": 4, **VARIANTS[variant], **kwargs})


def build(variant="soft", **kwargs):
    """Return a model with large random weights."""
    model = definition(variant, **kwargs).build((8, 8, 2))
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, 0.7, w.shape) if w.dtype == np.float32 else w for w in model.get_weights()])
    return model


shared_model = functools.cache(build)


@each_variant
def test_the_likelihood_and_the_search_agree(variant):
    model = shared_model(variant)
    captions = ["", *WORDS, *(f"{first} {second}" for first in WORDS for second in WORDS)]
    for image, caption in zip(IMAGES, model.caption(IMAGES, num_beams=32, max_length=2, length_penalty=0), strict=True):
        log_p = model.log_likelihood(np.repeat(image[None], len(captions), 0), captions)
        assert caption == captions[np.argmax(log_p)]
    np.testing.assert_allclose(
        model.log_likelihood(IMAGES, CAPTIONS), model.log_likelihood(IMAGES, CAPTIONS, batch_size=1), rtol=1e-5
    )


@pytest.mark.parametrize("variant", ["soft", "hard", "transformer"])
def test_attention_maps_have_a_map_for_each_token_and_the_end(variant):
    model = shared_model(variant)
    captions, maps = model.caption(IMAGES, max_length=4, return_attention=True)
    for caption, attention in zip(captions, maps, strict=True):
        assert attention.target == [*caption.split(), ""]
        assert attention.weights.shape == (len(attention.target), 4, 4)
        np.testing.assert_allclose(attention.weights.sum((1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize("variant", ["soft", "transformer"])
def test_the_doubly_stochastic_penalty_is_that_of_the_attention_maps(variant):
    model, plain = build(variant), build(variant, doubly_stochastic=0.0)
    for each in (model, plain):
        each.compile("sgd")
    losses = [each.evaluate(IMAGES, np.array(CAPTIONS), verbose=0) for each in (model, plain)]
    losses = [loss[0] if isinstance(loss, list) else loss for loss in losses]
    maps = model.attention_maps(IMAGES, CAPTIONS)
    penalty = np.mean([np.square(1 - attention.weights.sum(0)).sum() for attention in maps])
    assert losses[0] - losses[1] == pytest.approx(0.5 * penalty, rel=1e-4)


def test_the_gradient_of_hard_attention_is_that_of_the_expected_likelihood():
    """The mean of many estimates equals the gradient of the expectation over all positions, computed exactly."""
    model = build("hard")
    model.entropy_weight = 0.0
    model.decoder.get_layer("selection").expectation_rate = 0.0
    target = tf.constant([[2]], "int64")
    kernel = model.decoder.get_layer("attention.query").kernel
    with tf.GradientTape() as tape:
        outputs = model._teacher_forced(IMAGES[:1], target, training=False)
        memory = tf.reshape(model.encode(IMAGES[:1])["memory"], (16, 6))
        hidden = model.decoder.get_layer("context")  # the classifier's input for each position, by the layers after it
        recurrent = _recurrent_outputs(model, target)
        expected = 0.0
        for step, label in enumerate((2, 0)):
            weights = tf.reshape(outputs["weights"][0, step], (16,))
            query = tf.repeat(recurrent[:, step], 16, axis=0)
            attended = model.decoder.get_layer("attentional")(hidden([memory, query]))
            log_p = tf.nn.log_softmax(model.classifier(attended))[:, label]
            expected += tf.reduce_sum(weights * tf.stop_gradient(log_p)) / 2
    exact = tape.gradient(expected, kernel)
    repeated = np.repeat(IMAGES[:1], 4000, 0)
    targets = tf.repeat(target, 4000, axis=0)
    with tf.GradientTape() as tape:
        model((repeated, targets), training=True)
        loss = sum(model.losses)
    estimate = tape.gradient(loss, kernel)
    assert float(loss) == 0
    np.testing.assert_allclose(-estimate, exact, atol=0.1 * float(tf.reduce_max(tf.abs(exact))))


def _recurrent_outputs(model, target):
    """Return the outputs of the recurrent decoder before the attention."""
    decoder = keras.Model(model.decoder.input, model.decoder.get_layer("write.lstm").output[0])
    ids = tf.pad(target, [[0, 0], [1, 0]])
    return decoder({"ids": ids, **model.encode(IMAGES[:1])})


@pytest.mark.parametrize("variant", ["soft", "hard"])
def test_an_example_of_weight_0_changes_no_weight(variant):
    """Neither by its tokens, nor by the losses of the attention."""
    weights = []
    for second in (0, 2):
        model = build(variant, doubly_stochastic=0.5)
        if variant == "hard":
            model.decoder.get_layer("selection").seed_generator.state.assign([1, 2])
        model.compile(keras.optimizers.SGD(0.1))
        rows, captions = [0, second], np.array([CAPTIONS[0], CAPTIONS[second]], object)
        model.fit(IMAGES[rows], captions, sample_weight=np.array([1.0, 0.0]), shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for first, other in zip(*weights, strict=True):
        np.testing.assert_allclose(first, other, rtol=1e-4, atol=1e-6)


@each_variant
def test_every_weight_is_trained(variant):
    model = build(variant)
    before = [weight.numpy() for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(IMAGES, np.array(CAPTIONS), verbose=0).history
    assert np.isfinite(history["loss"][0])
    pairs = zip(model.trainable_weights, before, strict=True)
    unchanged = [weight.path for weight, old in pairs if np.array_equal(weight.numpy(), old)]
    assert [path for path in unchanged if not path.endswith("heads/key/bias")] == []  # a softmax ignores this bias


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["hard", "transformer"])
def test_it_learns_and_a_loaded_model_gives_the_same_captions(variant, tmp_path):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    images = np.zeros((300, 8, 8, 3), "float32")
    rows, columns = 2 * rng.integers(0, 4, (2, 300))
    for shift in (0, 1):  # a square of four pixels
        for other in (0, 1):
            images[np.arange(300), rows + shift, columns + other, labels] = 1
    captions = np.array([WORDS[label] for label in labels])
    net = definition(variant, embedding_dim=8, doubly_stochastic=0.0)
    run = dk.fit(net, (images, captions), epochs=15, batch_size=16, learning_rate=0.01, verbose=0)
    assert np.mean(np.array(run.model.caption(images, num_beams=1, max_length=3)) == captions) > 0.9
    run.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.caption(images[:5]) == run.model.caption(images[:5])


@pytest.mark.slow
def test_resuming_is_bit_exact(tmp_path):
    pairs = np.repeat(IMAGES, 4, 0), np.array(CAPTIONS * 4)
    kwargs = {"batch_size": 4, "verbose": 0, "plan": dk.plan(seed=1, deterministic=True)}
    net = definition("hard", dropout=0.2)
    whole = dk.fit(net, pairs, epochs=2, run_dir=tmp_path / "whole", **kwargs)
    dk.fit(net, pairs, epochs=1, run_dir=tmp_path / "resumed", **kwargs)
    resumed = dk.fit(net, pairs, epochs=2, run_dir=tmp_path / "resumed", **kwargs)
    assert resumed.resume == "exact"
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_definition_is_comparable_and_serializable():
    net = definition("soft", name="captioner")
    assert eval(repr(net), {"dk": dk, "layers": layers}) == net
    assert dk.from_dict(dk.to_dict(net)) == net


def unadapted():
    return dk.Captioner([dk.ConvBlock(4)], text=dk.Text(9), embedding_dim=4, decoder=dk.Recurrent("gru", 4))


def gray_net():
    return dk.Captioner([dk.ConvStack(4)], text=TEXT, embedding_dim=4, decoder=dk.Recurrent("gru", 4))


INVALID = [
    (lambda: dk.Captioner([dk.MLP([4])], text=TEXT, decoder=dk.Recurrent("gru", 4)).build((8, 8, 2)), "a feature map"),
    (lambda: definition("transformer", hard=True), "several heads in each layer\n  hint: use decoder="),
    (lambda: definition("none", hard=True), "hard has no effect without attention"),
    (lambda: definition("none", doubly_stochastic=1.0), "doubly_stochastic has no effect without attention"),
    (lambda: definition(doubly_stochastic=-1.0), "doubly_stochastic must be at least 0, received -1"),
    (lambda: definition(attention="dot", decoder=dk.Recurrent("gru", 5)).build((8, 8, 2)), "received 5 and 6 features"),
    (lambda: definition(decoder=dk.Recurrent("gru", 5, bidirectional=True)), "the decoder must have one direction"),
    (lambda: dk.Sequential([definition()]).build((8, 8, 2)), "cannot be part of another model"),
    (lambda: shared_model().caption(IMAGES[..., 0]), r"received \(3, 8, 8\)\n  hint: pass .* or images\[..., None\]"),
    (lambda: shared_model().caption((IMAGES * 255).astype("uint8")), "float32, received uint8\n  hint: pass images.as"),
    (lambda: shared_model().caption(IMAGES[..., :1]), r"received \(3, 8, 8, 1\)\n  hint: resize or convert the images"),
    (lambda: shared_model().caption(IMAGES * np.nan), "expected images of finite numbers, received NaN or infinity"),
    (lambda: shared_model().caption(IMAGES * 1j), "expected images of finite numbers"),
    (lambda: shared_model().caption(IMAGES, num_beams=0), "caption: num_beams must be a positive integer"),
    (lambda: shared_model().attention_maps(IMAGES, ["a"]), "expected a caption for each image, received 3 and 1"),
    (lambda: shared_model("none").attention_maps(IMAGES, CAPTIONS), "has no attention\n  hint: build it from"),
    (lambda: shared_model()(IMAGES), "expected a pair of images and captions, received one input"),
    (lambda: dk.fit(definition(), (IMAGES * 255).astype("uint8"), CAPTIONS, verbose=0), "uint8 images"),
    (lambda: dk.fit(gray_net(), IMAGES[..., 0], CAPTIONS, verbose=0), r"4x4\n  hint: .*channel axis, x\[..., None\]"),
    (lambda: dk.fit(unadapted(), IMAGES, np.arange(3), verbose=0), "captions: expected strings .* received int64"),
    (lambda: dk.fit(unadapted(), IMAGES, verbose=0), "^captioner: expected pairs of images .*, received only images"),
]


@pytest.mark.parametrize(("call", "text"), INVALID)
def test_invalid_arguments_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_hard_attention_over_several_devices_is_refused():
    class TwoDevices:
        num_replicas_in_sync = 2

    model = build("hard")
    assert isinstance(model, ImageCaptioner)
    model._distribute_strategy = TwoDevices()
    with pytest.raises(ValueError, match="captioner over 2 devices: the loss is the mean over the tokens"):
        model.compile("sgd")
