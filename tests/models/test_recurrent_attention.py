"""The recurrent attention model: exact values, the gradient of the locations, training, saving and errors."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import deepkit as dk
from deepkit.errors import LabelError
from deepkit.models import RecurrentAttentionModel
from deepkit.models.glimpse_path import GlimpsePath

SIZE, CLASSES = 12, 3
X = np.random.default_rng(0).random((20, SIZE, SIZE, 1)).astype("float32")
Y = np.random.default_rng(1).integers(0, CLASSES, 20)


def net(**kwargs):
    return dk.RecurrentAttention(CLASSES, **{"num_glimpses": 3, "glimpse_size": 4, "units": 8, **kwargs})


def built(seed=0, shape=(SIZE, SIZE, 1), **kwargs):
    keras.utils.set_random_seed(seed)
    model = net(**kwargs).build(shape)
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        if "bias" in weight.path:
            weight.assign(rng.uniform(0, 0.2, weight.shape))  # not 0, and few units that are always 0
    return model


def weights_of(model):
    return {
        "/".join(weight.path.split("/")[-2:]): np.asarray(weight, "float64")
        for network in (model.step, model.locator, model.classifier)
        for weight in network.weights
    }


def relu(x):
    return np.maximum(x, 0)


def forward(model, image):
    """Return the locations and the logits after each glimpse at one image."""
    w = weights_of(model)
    units = w["from_state/bias"].size
    state, location, locations, logits = np.zeros(units), np.zeros(2), [], []
    for number in range(model.num_glimpses):
        if number > 0:
            location = np.tanh(state / np.sqrt(units) @ w["location/kernel"] + w["location/bias"])
        pair = ops.convert_to_tensor(image[None]), ops.convert_to_tensor(location[None], "float32")
        patch = np.asarray(model.glimpse(pair)).ravel()
        what = relu(patch @ w["what1/kernel"] + w["what1/bias"]) @ w["what2/kernel"] + w["what2/bias"]
        where = relu(location @ w["where1/kernel"] + w["where1/bias"]) @ w["where2/kernel"] + w["where2/bias"]
        new = relu(what + where) @ w["from_features/kernel"] + w["from_features/bias"]
        state = relu(new + state @ w["from_state/kernel"] + w["from_state/bias"])
        locations.append(location)
        logits.append(state @ w["classifier/kernel"] + w["classifier/bias"])
    return np.array(locations), np.array(logits)


# --- the network ------------------------------------------------------------------------------------------------------


def test_parameters_are_those_of_the_paper():
    baseline = 256 + 1
    assert dk.RecurrentAttention(10).build((28, 28, 1)).count_params() == 209_420 + baseline
    translated = dk.RecurrentAttention(10, glimpse_size=12, num_scales=3)
    assert translated.build((60, 60, 1)).count_params() == 256_524 + baseline
    assert translated.build((None, None, 1)).count_params() == 256_524 + baseline


def test_equals_a_loop_over_the_glimpses():
    model = built(num_scales=2)
    path = model.glimpses(X, batch_size=7)
    for i, image in enumerate(X[:5]):
        locations, logits = forward(model, image)
        np.testing.assert_allclose(path.locations[i], locations, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(path.logits[i], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict(X, verbose=0), path.logits[:, -1], rtol=1e-5, atol=1e-5)
    assert isinstance(path, GlimpsePath)
    assert path.window_sizes == (4, 8)
    assert np.ptp(path.locations[:, 1:], axis=0).min() > 0.01  # they depend on the image


def test_the_patches_are_those_at_the_locations():
    model = built(num_scales=2)
    path = model.glimpses(X, draw=True, seed=1)
    for number in range(3):
        expected = model.glimpse([ops.convert_to_tensor(X), ops.convert_to_tensor(path.locations[:, number])])
        np.testing.assert_array_equal(path.patches[:, number], expected)


def test_drawn_locations_are_gaussian_around_the_mean():
    model = built(stddev=0.05)
    x = np.repeat(X[:1], 4000, axis=0)
    drawn = model.glimpses(x, draw=True, seed=0, batch_size=4000).locations
    mean = model.glimpses(X[:1]).locations[0]
    np.testing.assert_array_equal(drawn[:, 0], 0)
    assert np.abs(mean[1]).max() + 0.2 < 1  # no draw is outside of the image
    np.testing.assert_allclose(drawn[:, 1].mean(axis=0), mean[1], atol=4 * 0.05 / np.sqrt(4000))
    np.testing.assert_allclose(drawn[:, 1].std(axis=0), 0.05, rtol=0.05)
    np.testing.assert_array_equal(model.glimpses(x, draw=True, seed=0, batch_size=4000).locations, drawn)
    assert np.any(model.glimpses(x, draw=True, seed=1, batch_size=4000).locations != drawn)
    assert np.abs(built(stddev=3.0).glimpses(X, draw=True).locations).max() == 1


def test_random_locations_are_uniform_and_fixed_at_inference():
    model = built(policy="random", num_glimpses=4)
    assert model.locator is None
    path = model.glimpses(X)
    np.testing.assert_array_equal(path.locations, np.broadcast_to(path.locations[0], (20, 4, 2)))
    np.testing.assert_array_equal(built(seed=5, policy="random", num_glimpses=4).glimpses(X).locations, path.locations)
    np.testing.assert_allclose(model.predict(X, verbose=0), path.logits[:, -1], rtol=1e-5, atol=1e-5)
    drawn = model.glimpses(np.repeat(X[:1], 2000, axis=0), draw=True, seed=0, batch_size=2000).locations
    assert np.all(drawn[:, 0] == 0)
    np.testing.assert_allclose(drawn[:, 1:].mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(drawn[:, 1:].std(axis=0), 1 / np.sqrt(3), rtol=0.05)


def test_one_glimpse_has_no_location_network():
    model = net(num_glimpses=1).build((SIZE, SIZE, 1))
    assert model.locator is None
    np.testing.assert_array_equal(model(X, training=True), model(X))


# --- the gradient -----------------------------------------------------------------------------------------------------


def gradients(model, x, y, sample_weight=None):
    """Return the loss and the gradients of a batch, by the name of the layer and the variable."""
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True), sample_weight)
    values = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    names = ["/".join(weight.path.split("/")[-2:]) for weight in model.trainable_weights]
    return float(loss), dict(zip(names, map(np.asarray, values), strict=True))


def compiled(**kwargs):
    model = built(**kwargs)
    model.compile("adam", run_eagerly=True)
    return model


def expected_reward_gradient(model, image, label, points=61):
    """Return the derivative of the expected reward by the mean of the second location, integrated on a grid."""
    mean = model.glimpses(image[None]).locations[0, 1]
    offsets = np.linspace(-5, 5, points) * model.stddev
    grid = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2)
    images = ops.convert_to_tensor(np.repeat(image[None], len(grid), axis=0))
    state = model.step([images, ops.zeros((len(grid), 2)), ops.zeros((len(grid), model.step.output_shape[-1]))])
    state = model.step([images, ops.convert_to_tensor(np.clip(mean + grid, -1, 1), "float32"), state])
    reward = np.argmax(model.classifier(state), axis=-1) == label
    density = np.exp(-0.5 * np.sum(grid**2, axis=-1) / model.stddev**2)
    score = grid / model.stddev**2
    return np.sum((density * reward)[:, None] * score, axis=0) / np.sum(density), mean


@pytest.mark.parametrize("baseline", [0.0, 0.5, 1.2])
def test_the_gradient_of_the_locations_is_that_of_the_expected_reward(baseline):
    model = compiled(num_glimpses=2, stddev=0.3, seed=3)
    model.locator.get_layer("baseline").set_weights([np.zeros((8, 1)), np.array([baseline])])
    image, batches = X[0], 40
    label = int(np.argmax(model.predict(image[None], verbose=0)))
    by_mean, mean = expected_reward_gradient(model, image, label)
    assert np.abs(by_mean).max() > 0.1
    x, y = np.repeat(image[None], 500, axis=0), np.full(500, label)
    estimates = np.array([gradients(model, x, y)[1]["location/bias"] for _ in range(batches)])
    expected = -by_mean * (1 - mean**2)  # through tanh; the loss contains the negative reward
    error = estimates.std(axis=0, ddof=1) / np.sqrt(batches)
    assert np.all(np.abs(estimates.mean(axis=0) - expected) < 4 * error + 0.01 * np.abs(expected))
    assert error.max() < 0.5 * np.abs(expected).max()


def test_the_other_layers_learn_from_the_cross_entropy_only():
    model = compiled()
    others = [weight.value for network in (model.step, model.classifier) for weight in network.trainable_weights]
    with tf.GradientTape(persistent=True) as tape:
        logits = model(X, training=True)
        loss = model.compute_loss(X, Y, logits)
        crossentropy = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y, logits, from_logits=True))
    np.testing.assert_allclose(loss, crossentropy, rtol=1e-6)
    for first, second in zip(tape.gradient(loss, others), tape.gradient(crossentropy, others), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-7)


def test_the_baseline_learns_the_reward_from_its_squared_error():
    model = compiled(num_glimpses=2)
    model.locator.get_layer("baseline").set_weights([np.zeros((8, 1)), np.array([0.25])])
    logits = model(X, training=True)
    reward = np.mean(np.argmax(logits, axis=-1) == Y)
    with tf.GradientTape() as tape:
        logits = model(X, training=True)
        loss = model.compute_loss(X, Y, logits)
    reward = np.mean(np.argmax(logits, axis=-1) == Y)
    gradient = tape.gradient(loss, model.locator.get_layer("baseline").bias.value)
    np.testing.assert_allclose(gradient, [-2 * (reward - 0.25)], rtol=1e-5)


def test_sample_weights_weight_every_term():
    model = compiled()
    weights = np.array([1.0] * 8 + [0.0] * 12, "float32")

    def run(x, y, sample_weight=None):
        model.location_seed.state.assign([1, 2])
        return gradients(model, x, y, sample_weight)

    _, doubled = run(X, Y, np.full((20, 1), 2.0, "float32"))
    _, single = run(X, Y)
    for name, gradient in single.items():
        np.testing.assert_allclose(doubled[name], 2 * gradient, rtol=1e-4, atol=1e-6)
    _, masked = run(X, Y, weights)
    _, changed = run(X, np.where(weights > 0, Y, (Y + 1) % CLASSES), weights)
    for name, gradient in masked.items():
        np.testing.assert_array_equal(changed[name], gradient)
    assert any(np.any(single[name] != gradient) for name, gradient in masked.items())


def test_one_hot_labels_have_the_gradient_of_class_indices():
    model = compiled()
    model.location_seed.state.assign([1, 2])
    _, expected = gradients(model, X, Y[:, None])
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.location_seed.state.assign([1, 2])
    _, received = gradients(model, X, np.eye(CLASSES, dtype="float32")[Y])
    for name, gradient in expected.items():
        np.testing.assert_allclose(received[name], gradient, rtol=1e-4, atol=1e-6)


# --- training ---------------------------------------------------------------------------------------------------------


def signposts(count, seed=0):
    """Return images whose center says on which side the label is, and a distractor on the other side."""
    rng = np.random.default_rng(seed)
    x, y, side = np.zeros((count, 5, 15, 1), "float32"), rng.integers(0, 2, count), rng.integers(0, 2, count)
    rows = np.arange(count)
    x[:, 1:4, 7] = np.where(side == 1, 1, -1)[:, None, None]
    for number in (0, 1):
        shown = np.where(side == number, y, rng.integers(0, 2, count))
        x[rows, 1:4, 11 if number else 3] = np.where(shown == 1, 1, -1)[:, None, None]
    return x, y


@pytest.mark.slow
def test_it_learns_where_to_look():
    x, y = signposts(4000)
    errors = {}
    for policy in ("learned", "random"):
        definition = dk.RecurrentAttention(2, num_glimpses=2, glimpse_size=5, units=32, stddev=0.3, policy=policy)
        run = dk.fit(definition, x, y, epochs=6, learning_rate=3e-3, batch_size=100, verbose=0)
        errors[policy] = 1 - run.evaluate(*signposts(1000, seed=1))["accuracy"]
    assert errors["learned"] < 0.02
    assert errors["random"] > 0.25


def test_evaluation_is_the_cross_entropy_of_the_predictions():
    model = built()
    model.compile("adam", metrics=["accuracy"], run_eagerly=True)
    logits = model.predict(X, verbose=0)
    results = model.evaluate(X, Y, verbose=0, return_dict=True)
    expected = np.mean(keras.losses.sparse_categorical_crossentropy(Y, logits, from_logits=True))
    assert results["loss"] == pytest.approx(expected, rel=1e-5)
    assert results["accuracy"] == pytest.approx(np.mean(np.argmax(logits, axis=-1) == Y))
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == results


def test_fit_takes_weights_and_images_without_channels():
    model = built()
    model.compile("adam", metrics=["accuracy"], run_eagerly=True)
    before = model.get_weights()
    model.fit(X[..., 0], Y, class_weight={0: 1.0, 1: 2.0, 2: 1.0}, verbose=0)
    assert all(np.any(old != new) for old, new in zip(before, model.get_weights(), strict=True))
    with pytest.raises(ValueError, match=r"expected images of the shape \(12, 12, 1\), received \(12,\)"):
        model(X[:, 0, :, 0], training=True)


def test_integers_and_mixed_precision():
    pixels = (255 * X).astype("uint8")
    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = net().build((None, None, 1))
        finally:
            keras.config.set_dtype_policy("float32")
        model.compile("adam", run_eagerly=True)
        assert np.isfinite(model.fit(pixels, Y, verbose=0).history["loss"]).all()
        assert model(pixels, training=True).dtype == "float32"


def test_preprocessing_is_part_of_the_model(tmp_path):
    pixels = (255 * X).astype("uint8")
    images = keras.Input((SIZE, SIZE, 1), dtype="uint8")
    model = net().build_from(images, keras.layers.Rescaling(1 / 255)(images))
    path = model.glimpses(pixels)
    assert path.patches.max() <= 1
    np.testing.assert_allclose(model.predict(pixels, verbose=0), path.logits[:, -1], rtol=1e-5, atol=1e-5)
    model.compile("adam", run_eagerly=True)
    assert np.isfinite(model.fit(pixels, Y, verbose=0).history["loss"]).all()
    path = model.glimpses(pixels)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.glimpses(pixels).logits, path.logits)


@pytest.mark.slow
def test_fit_rescales_bytes():
    run = dk.fit(net(), (255 * X).astype("uint8"), Y, verbose=0)
    assert run.model.glimpses((255 * X).astype("uint8")).patches.max() <= 1


@pytest.mark.slow
def test_a_resumed_run_equals_a_whole_one(tmp_path):
    data = dk.data.from_arrays(X, Y, validation=(X[:8], Y[:8]), batch_size=5)
    dk.fit(net(), data, epochs=1, run_dir=tmp_path / "run", verbose=0)
    resumed = dk.fit(net(), data, epochs=2, run_dir=tmp_path / "run", verbose=0)
    whole = dk.fit(net(), data, epochs=2, verbose=0)
    assert resumed.resume == "exact"
    assert resumed.history == whole.history
    assert sorted(whole.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    for weight, expected in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_it_is_saved_with_its_training(tmp_path):
    model = built(num_scales=2)
    model.compile("adam", metrics=["accuracy"], run_eagerly=True)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, RecurrentAttentionModel)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    loaded.location_seed.state.assign(model.location_seed.state)
    for other in (loaded, model):
        other.train_on_batch(X, Y)
    for first, second in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_glimpses_reads_datasets():
    model = built()
    expected = model.glimpses(X)
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(6)
    for x in (dataset, dataset.map(lambda x, y: x), X[..., 0]):
        np.testing.assert_allclose(model.glimpses(x).logits, expected.logits, rtol=1e-5, atol=1e-6)


def test_the_loss_releases_the_tensors_of_its_batch():
    model = compiled()
    model.fit(X, Y, verbose=0)
    assert model._episode.log_probability is None
    assert model._episode.baseline is None
    assert ops.shape(model(X[:2]))[0] == 2


# --- definitions and errors -------------------------------------------------------------------------------------------


def test_it_is_a_value():
    definition = net(num_scales=2, policy="random")
    assert eval(repr(definition), {"dk": dk}) == definition == dk.from_dict(dk.to_dict(definition)) != net()


@pytest.mark.parametrize(
    ("make", "lines"),
    [
        (
            lambda: net(glimpse_size=13).build((SIZE, 14, 1)),
            [
                "glimpse_size=13 is larger than the image, received images of 12 by 14 pixels",
                "at    step.glimpse",
                "hint: use a glimpse_size of at most 12; num_scales adds larger windows",
            ],
        ),
        (lambda: net().build((144,)), ["needs the shape of an image, (height, width, channels), received (144,)"]),
        (lambda: net().build((12, 12, None)), ["hint: use .build((28, 28, 1)), where height and width may be None"]),
        (lambda: net().build(), ["needs an input_shape", "hint: use .build((28, 28, 1))"]),
        (lambda: net(stddev=0), ["stddev must be a number above 0, received 0", "dk.RecurrentAttention(10, stddev="]),
        (lambda: net(policy="fixed"), ["policy must be one of 'learned', 'random', received 'fixed'"]),
        (lambda: dk.RecurrentAttention(1), ["num_classes must be an integer of at least 2, received 1"]),
        (
            lambda: dk.Sequential([dk.ConvBlock(2), net()]).build((SIZE, SIZE, 1)),
            ["is trained as a whole and cannot be part of another model", "at    recurrent_attention"],
        ),
    ],
)
def test_errors_of_definitions(make, lines):
    with pytest.raises(dk.DefinitionError) as error:
        make()
    for line in lines:
        assert line in str(error.value)


def test_a_loss_of_probabilities_is_an_error():
    model = net().build((SIZE, SIZE, 1))
    with pytest.raises(ValueError, match="SparseCategoricalCrossentropy expects probabilities") as error:
        model.compile("adam", "sparse_categorical_crossentropy")
    assert "hint: use the default loss, or keras.losses.SparseCategoricalCrossentropy(from_logits=True)" in str(
        error.value
    )


class _OnTwoDevices:
    """A model that reports two devices."""

    name = "ram"
    distribute_strategy = SimpleNamespace(num_replicas_in_sync=2)


def test_several_devices_are_an_error():
    with pytest.raises(ValueError, match="ram over 2 devices: each device holds a copy of the random state") as error:
        RecurrentAttentionModel.compile(_OnTwoDevices(), "adam")
    assert "at    ram\n" in str(error.value)
    assert 'hint: use one device: dk.plan(devices="CPU:0")' in str(error.value)


@pytest.mark.parametrize(("name", "value"), [("num_glimpses", 0), ("stddev", -1.0)])
def test_errors_of_the_model(name, value):
    model = net().build((SIZE, SIZE, 1))
    with pytest.raises(ValueError, match=f"RecurrentAttentionModel: {name} must be"):
        RecurrentAttentionModel(model.step, model.locator, model.classifier, **{name: value})


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (X * np.nan, "expected images of finite numbers, received NaN or infinity"),
        ((X * 255).astype("uint8"), "expected images in the scale of the training, float32, received uint8"),
        (X[:, :9], "expected images of shape .* received \\(20, 9, 12, 1\\)"),
        (np.repeat(X, 3, -1), "expected images of shape .* received \\(20, 12, 12, 3\\)"),
        (
            X[0],
            "expected images of shape .* received \\(12, 12, 1\\)\n .*\n  hint: pass a batch of images, x\\[None\\]",
        ),
        (X[:0], "there are no images\n .*\n  hint: pass at least one image"),
        (None, "expected an array of images, or a dataset of such batches, received None"),
        (dk.data.from_arrays(X, Y), "expected an array of images.*\n  hint: pass model.glimpses\\(data.test\\)"),
        (tf.data.Dataset.from_tensors({"image": X}), "expected an array of images, or a dataset of such batches"),
    ],
)
def test_glimpses_refuses_other_images(images, problem):
    with pytest.raises((ValueError, TypeError), match=problem):
        built().glimpses(images)


@pytest.mark.parametrize("arguments", [{"seed": -1}, {"seed": 1.5}, {"draw": "yes"}, {"batch_size": 0}])
def test_glimpses_refuses_other_arguments(arguments):
    with pytest.raises(ValueError, match=f"glimpses: {next(iter(arguments))} must be .*\n  hint: use"):
        built().glimpses(X, **{"draw": True, **arguments})


def test_missing_labels_are_an_error():
    with pytest.raises(LabelError, match=r"expected labels for dk.RecurrentAttention\(3, .* received inputs only"):
        dk.fit(net(), X, epochs=1, verbose=0)


@pytest.mark.parametrize("policy", ["learned", "random"])
def test_training_in_float64(policy):
    run = dk.fit(net(policy=policy), X, Y, epochs=1, verbose=0, plan=dk.plan(precision="float64"))
    assert np.isfinite(run.history["loss"][0])
    assert run.model.glimpses(X[:2]).locations.shape == (2, 3, 2)
