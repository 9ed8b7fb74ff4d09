"""VariationalAutoencoder: bound and likelihood restoredst exact values, training, saving and errors."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.errors import DivergedError
from deepkit.models.vae import VariationalAutoencoder

TANH = dk.MLP([500], activation="tanh")


def small(**kwargs):
    return dk.VAE(dk.MLP([6]), decoder=dk.MLP([7]), **{"latent_dim": 2, **kwargs})


def binary(count=40, size=5, seed=0):
    return (np.random.default_rng(seed).random((count, size)) < 0.4).astype("float32")


def compiled(definition, shape=(5,), **kwargs):
    model = definition.build(shape)
    model.compile(**{"optimizer": "adam", "run_eagerly": True, "jit_compile": False, **kwargs})
    return model


def evaluated(model, x):
    return model.evaluate(x, batch_size=2000, verbose=0, return_dict=True)


def normal_log_density(x, mean, variance):
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


def bernoulli_log_probability(x, logits):
    return np.sum(x * logits - np.logaddexp(0, logits), axis=-1)


# numbers of weights


@pytest.mark.parametrize(
    ("definition", "shape", "count"),
    [  # counted layer by layer
        (dk.VAE(TANH, latent_dim=20, decoder=TANH), (28, 28, 1), 815_824),
        (dk.VAE(dk.MLP([400]), latent_dim=20, decoder=dk.MLP([400])), (784,), 652_824),
        (dk.VAE(dk.MLP([200]), latent_dim=2, decoder=dk.MLP([200]), likelihood="gaussian"), (28, 20), 338_724),
        (dk.VAE(dk.MLP([200, 200]), latent_dim=50, decoder=dk.MLP([200, 200])), (784,), 425_284),
    ],
)
def test_parameters_are_those_of_the_papers(definition, shape, count):
    model = definition.build(shape)
    assert model.encoder.count_params() + model.decoder.count_params() == count
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == count


def convolutional():
    down = [layers.Conv2D(n, 3, strides=2, padding="same", activation="relu") for n in (32, 64)]
    up = [layers.Conv2DTranspose(n, 3, strides=2, padding="same", activation="relu") for n in (64, 32)]
    return dk.VAE([*down, dk.MLP([16])], latent_dim=2, decoder=[dk.MLP([7 * 7 * 64]), layers.Reshape((7, 7, 64)), *up])


def test_a_convolutional_model_has_the_parameters_of_the_keras_example():
    model = convolutional().build((28, 28, 1))
    assert (model.encoder.count_params(), model.decoder.count_params()) == (69_076, 65_089)
    assert model.decoder.output["logits"].shape == (None, 28, 28, 1)
    assert model.sample(2, seed=0).shape == (2, 28, 28, 1)


# the bound


def test_the_divergence_equals_the_integral():
    model = compiled(small(latent_dim=1))
    x = binary(1)
    code = model.encode(x)
    mean, variance = code["mean"][0, 0], np.exp(code["log_variance"][0, 0])
    z = np.linspace(mean - 12, mean + 12, 200_001)
    log_q = normal_log_density(z, mean, variance)
    integral = np.trapezoid(np.exp(log_q) * (log_q - normal_log_density(z, 0, 1)), z)
    assert evaluated(model, x)["kl"] == pytest.approx(integral, rel=1e-4)


def test_the_reconstruction_equals_the_expectation_by_integration():
    model = compiled(small(latent_dim=1))
    x = binary(1)
    code = model.encode(x)
    mean, deviation = code["mean"][0, 0], np.exp(code["log_variance"][0, 0] / 2)
    z = np.linspace(mean - 8 * deviation, mean + 8 * deviation, 2001)
    logits = np.asarray(model.decoder(z[:, None].astype("float32"))["logits"])
    losses = -bernoulli_log_probability(x, logits)
    q = np.exp(normal_log_density(z, mean, deviation**2))
    exact = np.trapezoid(q * losses, z)
    spread = np.sqrt(np.trapezoid(q * (losses - exact) ** 2, z))
    estimate = evaluated(model, np.repeat(x, 4000, axis=0))
    assert estimate["reconstruction"] == pytest.approx(exact, abs=5 * spread / np.sqrt(4000) + 1e-4)
    assert estimate["loss"] == pytest.approx(estimate["reconstruction"] + estimate["kl"], rel=1e-5)


def test_beta_weights_the_divergence():
    model = compiled(small(beta=4.0))
    results = evaluated(model, binary())
    assert results["loss"] == pytest.approx(results["reconstruction"] + 4 * results["kl"], rel=1e-5)


def test_beta_changed_between_trainings_applies_to_the_next():
    model = compiled(small(beta=0.0), run_eagerly=False)
    model.fit(binary(), verbose=0)
    model.beta = 100.0
    logs = {name: values[0] for name, values in model.fit(binary(), batch_size=40, verbose=0).history.items()}
    assert logs["kl"] > 1e-3
    assert logs["loss"] == pytest.approx(logs["reconstruction"] + 100 * logs["kl"], rel=1e-4)


def test_beta_is_a_non_trainable_weight_and_is_saved(tmp_path):
    model = small(beta=0.1).build((5,))
    assert (model.beta, model.get_config()["beta"]) == (0.1, 0.1)
    assert [weight.path for weight in model.non_trainable_weights] == ["vae/beta"]
    assert model.count_params() == model.encoder.count_params() + model.decoder.count_params() + 1
    model.beta = 0.7
    model.save(tmp_path / "vae.keras")
    assert keras.models.load_model(tmp_path / "vae.keras").beta == 0.7
    model.save_weights(tmp_path / "vae.weights.h5")
    other = small().build((5,))
    other.load_weights(tmp_path / "vae.weights.h5")
    assert other.beta == 0.7


class Annealing(keras.callbacks.Callback):
    """Increase beta by 0.5 after each epoch; as the step is relative, a lost value would be noticed."""

    stateless = True

    def on_epoch_end(self, epoch, logs=None):
        self.model.beta += 0.5


@pytest.mark.usefixtures("without_reports")
def test_beta_changed_by_a_callback_resumes_exactly(tmp_path):
    def train(folder, epochs):
        plan = dk.plan(seed=5, devices="cpu", jit_compile=False)
        kwargs = {"epochs": epochs, "run_dir": folder, "plan": plan, "callbacks": [Annealing()]}
        return dk.fit(small(beta=0.0), (binary(64),), batch_size=16, verbose=0, **kwargs)

    whole = train(tmp_path / "whole", 3)
    train(tmp_path / "resumed", 1)
    resumed = train(tmp_path / "resumed", 3)
    assert whole.model.beta == resumed.model.beta == 1.5
    assert resumed.history == whole.history
    for loss, kl, rest, beta in zip(
        *(whole.history[k] for k in ("loss", "kl", "reconstruction")), (0, 0.5, 1), strict=True
    ):
        assert loss == pytest.approx(rest + beta * kl, rel=1e-5)


def test_more_draws_tighten_the_bound_up_to_the_likelihood():
    plain = compiled(small())
    x = np.repeat(binary(8), 500, axis=0)
    bounds = []
    for num_samples in (1, 5, 50):
        model = compiled(small(num_importance_samples=num_samples))
        model.set_weights(plain.get_weights())
        bounds.append(-evaluated(model, x)["loss"])
    exact = plain.log_likelihood(binary(8), num_samples=20_000, seed=0).mean()
    assert bounds[0] < bounds[1] < bounds[2] < exact + 0.01
    assert bounds[2] == pytest.approx(exact, abs=0.05)


def test_the_plain_bound_equals_the_importance_weighted_bound_of_one_draw():
    model = compiled(small())
    x = np.repeat(binary(1), 20_000, axis=0)
    elbo = -evaluated(model, x)["loss"]
    weights = [model.log_likelihood(x[:4000], num_samples=1, seed=seed) for seed in range(3)]
    error = 5 * np.std(weights) / np.sqrt(np.size(weights)) + 5 * np.std(weights) / np.sqrt(len(x))
    assert np.mean(weights) == pytest.approx(elbo, abs=error)


def test_a_penalty_on_weights_is_part_of_the_loss():
    net = dk.VAE(dk.MLP([3], dense={"kernel_regularizer": "l2"}), latent_dim=2, decoder=dk.MLP([3]))
    model = compiled(net)
    results = evaluated(model, binary())
    penalty = 0.01 * sum(float(np.sum(w.numpy() ** 2)) for w in model.weights if w.regularizer is not None)
    assert results["loss"] - results["reconstruction"] - results["kl"] == pytest.approx(penalty, rel=1e-3)


# the likelihood


def linear_gaussian(variance=0.3):
    """Return a model of x = w z + b + noise, with a Gaussian likelihood and a proposal that is not the posterior."""
    model = dk.VAE(
        layers.Activation("linear"), latent_dim=2, decoder=layers.Activation("linear"), likelihood="gaussian"
    )
    model = model.build((3,))
    w = np.array([[1.0, 0.5, -0.3], [0.2, -0.8, 0.6]], "float32")
    b = np.array([0.1, -0.2, 0.3], "float32")
    decoder = {layer.name: layer for layer in model.decoder.layers}
    decoder["data.mean"].set_weights([w, b])
    decoder["data.log_variance"].set_weights([np.zeros_like(w), np.full(3, math.log(variance), "float32")])
    return model, w, b, variance


def test_the_likelihood_of_a_linear_gaussian_model_is_exact():
    model, w, b, variance = linear_gaussian()
    x = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    covariance = w.T @ w + variance * np.eye(3)
    distance = np.einsum("ni,ij,nj->n", x - b, np.linalg.inv(covariance), x - b)
    exact = -0.5 * (distance + np.linalg.slogdet(2 * np.pi * covariance)[1])
    np.testing.assert_allclose(model.log_likelihood(x, num_samples=200_000, seed=0), exact, atol=1e-2)


def test_the_likelihood_of_a_bernoulli_model_is_the_integral_and_sums_to_one():
    model = small(latent_dim=1).build((3,))
    model.encoder.set_weights([w / 10 for w in model.encoder.get_weights()])  # near the prior: weights vary little
    all_examples = np.array([[i >> k & 1 for k in range(3)] for i in range(8)], "float32")
    z = np.linspace(-9, 9, 4001)
    logits = np.asarray(model.decoder(z[:, None].astype("float32"))["logits"])
    prior = np.exp(normal_log_density(z, 0, 1))
    exact = [np.log(np.trapezoid(prior * np.exp(bernoulli_log_probability(x, logits)), z)) for x in all_examples]
    estimates = model.log_likelihood(all_examples, num_samples=20_000, seed=0)
    np.testing.assert_allclose(estimates, exact, atol=2e-2)
    assert np.exp(estimates).sum() == pytest.approx(1, abs=1e-2)


def test_unit_variance_is_half_the_squared_error_plus_a_constant():
    model = compiled(small(likelihood="unit_gaussian"))
    model.decoder.set_weights([np.zeros_like(w) for w in model.decoder.get_weights()])
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    expected = np.mean(np.sum(x**2, axis=1)) / 2 + 2.5 * np.log(2 * np.pi)
    assert evaluated(model, x)["reconstruction"] == pytest.approx(expected, rel=1e-5)


def test_the_estimate_does_not_depend_on_chunks_and_batches():
    model = small().build((5,))
    model.encoder.set_weights([np.zeros_like(w) for w in model.encoder.get_weights()])  # the prior: weights vary little
    x = binary(30)
    whole = model.log_likelihood(x, num_samples=3001, batch_size=30, seed=0)
    np.testing.assert_allclose(model.log_likelihood(x, num_samples=3001, batch_size=7, seed=1), whole, atol=0.05)
    np.testing.assert_array_equal(model.log_likelihood(x, num_samples=3001, batch_size=30, seed=0), whole)
    labeled = tf.data.Dataset.from_tensor_slices((x, np.arange(30))).batch(12)
    np.testing.assert_array_equal(model.log_likelihood(labeled, num_samples=3001, batch_size=30, seed=0), whole)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda model: model.log_likelihood(binary(), num_samples=0), "samples must be a positive integer, received 0"),
        (
            lambda model: model.log_likelihood(binary(), batch_size=0),
            "batch_size must be a positive integer, received 0",
        ),
        (
            lambda model: model.sample(0),
            r"sample: num_samples must be a positive integer, received 0\n  hint: use sample\(16",
        ),
        (lambda model: model.sample(2.5), r"num_samples must be a positive integer, received 2\.5"),
    ],
)
def test_numbers_that_are_not_positive_integers_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call(small().build((5,)))


# training


def test_it_learns_a_distribution_of_two_patterns():
    patterns = np.array([[1, 1, 0, 0, 1], [0, 0, 1, 1, 0]], "float32")
    model = compiled(small(), optimizer=keras.optimizers.Adam(0.05), run_eagerly=False)
    x = patterns[np.random.default_rng(0).integers(0, 2, 256)]
    model.fit(x, epochs=40, batch_size=64, verbose=0)
    assert (
        model.log_likelihood(patterns, num_samples=2000, seed=0).mean() > np.log(0.5) - 0.2
    )  # exactly log 1/2 at best
    samples = model.sample(200, seed=0, noise=True)
    assert set(np.unique(samples)) == {0, 1}
    assert np.mean([np.any(np.all(row == patterns, axis=1)) for row in samples]) > 0.85
    np.testing.assert_array_equal(np.round(model.reconstruct(patterns)), patterns)


def test_batch_normalization_is_updated_once_a_step():
    net = dk.VAE(dk.MLP([4], norm=layers.BatchNormalization(momentum=0.5)), latent_dim=2, decoder=dk.MLP([4]))
    model = compiled(net, optimizer=keras.optimizers.SGD(0.0))
    x = binary(8)
    norm = next(layer for layer in model.encoder.layers if isinstance(layer, layers.BatchNormalization))
    before = keras.Model(model.encoder.input, norm.input)(x).numpy()
    model.train_on_batch(x)
    np.testing.assert_allclose(norm.moving_mean, before.mean(axis=0) / 2, rtol=1e-4, atol=1e-6)


def test_validating_does_not_change_the_training():
    states = []
    for validation in (None, binary(16, seed=1)):
        keras.utils.set_random_seed(3)
        model = compiled(small())
        model.fit(binary(), epochs=2, validation_data=validation, verbose=0, shuffle=False)
        states.append(model.get_weights())
    for one, other in zip(*states, strict=True):
        np.testing.assert_array_equal(one, other)


def test_compiled_metrics_are_reported():
    model = compiled(small(), loss=None, metrics=[keras.metrics.MeanSquaredError(name="mse")])
    history = model.fit(binary(), binary(), epochs=1, verbose=0).history
    assert set(history) == {"loss", "reconstruction", "kl", "mse"}


def test_a_loss_is_refused():
    expected = r"loss: a VAE has its own loss, the bound on log p\(x\), received 'mse'\n  hint: compile without loss"
    with pytest.raises(ValueError, match=expected):
        small().build((5,)).compile("adam", "mse")
    with pytest.raises(ValueError, match=expected):
        dk.fit(small(), (binary(),), loss="mse", verbose=0)


def test_a_compiled_model_is_loaded_compiled(tmp_path):
    model = compiled(small(), optimizer=keras.optimizers.Adam(0.25), metrics=["mse"])
    model.fit(binary(), verbose=0)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert (float(restored.optimizer.learning_rate), restored.optimizer.built) == (0.25, True)
    assert sorted(evaluated(restored, binary())) == ["kl", "loss", "mse", "reconstruction"]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_with_16_bits_the_bound_is_in_float32(policy):
    keras.config.set_dtype_policy(policy)
    model = compiled(small(num_importance_samples=3))
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    history = model.fit(binary(), epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    keras.config.set_dtype_policy("float32")
    single_precision = small(num_importance_samples=3).build((5,))
    single_precision.set_weights(model.get_weights())
    x = np.repeat(binary(4), 200, axis=0)
    single_precision.compile(run_eagerly=True)
    assert evaluated(model, x)["loss"] == pytest.approx(evaluated(single_precision, x)["loss"], abs=0.1)
    assert model.sample(2, seed=0).dtype == np.float32


def test_xla_with_several_steps_per_execution(xla):
    kwargs = {"run_eagerly": False, "jit_compile": True, "steps_per_execution": 2}
    model = compiled(small(num_importance_samples=2), optimizer="sgd", **kwargs)
    assert np.isfinite(model.fit(binary(64), batch_size=16, epochs=1, verbose=0).history["loss"][0])


# saving and resuming


def test_a_loaded_model_has_the_same_methods_and_samples(tmp_path):
    model = compiled(small(num_importance_samples=3))
    model.fit(binary(), epochs=1, verbose=0)
    model.save(tmp_path / "vae.keras")
    restored = keras.models.load_model(tmp_path / "vae.keras")
    assert isinstance(restored, VariationalAutoencoder)
    assert (restored.num_importance_samples, restored.likelihood, restored.name) == (3, "bernoulli", "vae")
    np.testing.assert_array_equal(restored.sample(4, seed=1), model.sample(4, seed=1))
    np.testing.assert_array_equal(restored.reconstruct(binary()), model.reconstruct(binary()))
    one, other = (m.log_likelihood(binary(), num_samples=10, seed=2) for m in (restored, model))
    np.testing.assert_array_equal(one, other)
    restored.fit(binary(), epochs=1, verbose=0)


@pytest.mark.usefixtures("without_reports")
def test_fit_ignores_labels_and_resumes_exactly(tmp_path):
    def train(folder, epochs):
        return dk.fit(
            small(), dk.data.from_arrays(binary(64), np.arange(64) % 3, batch_size=16), epochs=epochs, run_dir=folder,
            verbose=0, plan=dk.plan(seed=5, devices="cpu", jit_compile=False),
        )  # fmt: skip

    whole = train(tmp_path / "whole", 3)
    assert set(whole.history) == {"loss", "reconstruction", "kl"}
    train(tmp_path / "resumed", 1)
    resumed = train(tmp_path / "resumed", 3)
    assert resumed.resume == "exact"
    assert resumed.history == whole.history
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# errors


def gray(low=0.0, high=1.0):
    return np.linspace(low, high, 200, dtype="float32").reshape(40, 5)


@pytest.mark.parametrize(
    ("low", "high", "received"), [(0, 1, "from 0 to 1"), (0, 255, "from 0 to 255"), (-1, 1, "from -1 to 1")]
)
def test_gray_values_are_refused_with_a_hint(low, high, received):
    model = compiled(small())
    x = gray(low, high)
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(10)
    for use in (
        lambda: model.fit(x, verbose=0),
        lambda: model.evaluate(x, verbose=0),
        lambda: model.log_likelihood(x, num_samples=2),
        lambda: model.adapt(tf.data.Dataset.from_tensor_slices((x, x)).batch(40)),
        lambda: dk.fit(small(), (x,), epochs=1, verbose=0, batch_size=40),
    ):
        with pytest.raises(ValueError, match="Bernoulli likelihood expects the values 0 and 1, received") as error:
            use()
        assert f" among values {received}\n  at    vae.decoder\n" in str(error.value)
        assert '  hint: use likelihood="gaussian"' in str(error.value)
    with pytest.raises(ValueError, match="Bernoulli likelihood"):
        model.evaluate(dataset, verbose=0)


def test_unchecked_gray_values_have_an_infinite_loss():
    model = compiled(small())
    assert model.test_on_batch(gray(), return_dict=True)["loss"] == np.inf


def test_a_gaussian_likelihood_accepts_gray_values():
    model = compiled(small(likelihood="gaussian"))
    assert np.isfinite(model.fit(gray(), epochs=1, verbose=0).history["loss"][0])


def test_data_without_noise_has_a_finite_density():
    model = compiled(small(likelihood="gaussian"))
    model.decoder.get_layer("data.log_variance").set_weights([np.zeros((7, 5)), np.full(5, -500.0)])
    model.decoder.get_layer("data.mean").set_weights([np.zeros((7, 5)), np.zeros(5)])
    x = np.zeros((4, 5), "float32")
    assert evaluated(model, x)["reconstruction"] == pytest.approx(2.5 * (np.log(2 * np.pi) + np.log(1e-6)), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"latent_dim": 0}, "VAE: latent_dim must be a positive integer, received 0"),
        ({"likelihood": "bernouli"}, "received 'bernouli'; did you mean 'bernoulli'?"),
        ({"beta": -1.0}, "VAE: beta must be a number from 0, received -1.0"),
        ({"num_importance_samples": 0}, "VAE: num_importance_samples must be a positive integer, received 0"),
        (
            {"beta": 2.0, "num_importance_samples": 5},
            "the importance-weighted bound does not contain\n  hint: use num_importance_samples=1",
        ),
    ],
)
def test_invalid_arguments_are_refused(arguments, text):
    with pytest.raises(dk.DefinitionError) as error:
        small(**arguments)
    assert text in str(error.value)


def test_an_unknown_size_of_the_data_is_refused():
    net = dk.VAE([dk.ConvBlock(2), layers.GlobalAveragePooling2D()], latent_dim=2, decoder=dk.MLP([3]))
    with pytest.raises(dk.DefinitionError, match=r"unknown size: \(None, None, 1\)\n  at    decoder\.data\n") as error:
        net.build((None, None, 1))
    assert "hint: use an input_shape without None" in str(error.value)


def test_an_error_names_the_path_of_the_network():
    net = dk.VAE([dk.MLP([4]), dk.ConvBlock(3)], latent_dim=2, decoder=dk.MLP([3]))
    with pytest.raises(dk.DefinitionError, match=r"\n  at    encoder\.conv_block\n"):
        net.build((5,))
    with pytest.raises(dk.DefinitionError, match=r"VAE\.build needs an input_shape"):
        small().build()


def test_the_encoder_may_set_the_input_shape():
    net = dk.VAE([dk.Input((5,)), dk.MLP([4])], latent_dim=2, decoder=dk.MLP([3]))
    assert net.build().input_shape == (None, 5)


def test_networks_with_other_outputs_are_refused():
    plain = keras.Sequential([keras.Input((5,)), layers.Dense(2)])
    decoder = small().build((5,)).decoder
    with pytest.raises(ValueError, match="the encoder must have the outputs mean, log_variance, received one without"):
        VariationalAutoencoder(plain, decoder)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"likelihood": "x"}, r"likelihood must be one of 'bernoulli', .*, received 'x'\n  hint: use likelihood="),
        ({"num_importance_samples": 0}, "num_importance_samples must be a positive integer, received 0"),
        ({"beta": -1}, "beta must be a number from 0, received -1\n  hint: use beta"),
    ],
)
def test_invalid_arguments_of_the_model_are_refused(arguments, text):
    model = small().build((5,))
    with pytest.raises(ValueError, match=text):
        VariationalAutoencoder(model.encoder, model.decoder, **arguments)


@pytest.mark.parametrize("beta", [1e-9, 0.1, 123456.7, np.float32(0.3)])
def test_beta_returns_the_decimal_that_was_set(beta):
    model = small().build((5,))
    model.beta = beta
    assert model.beta == float(str(beta))


def test_setting_an_invalid_beta_is_refused():
    with pytest.raises(ValueError, match="vae: beta must be a number from 0, received -1"):
        small().build((5,)).beta = -1
    weighted = small(num_importance_samples=2).build((5,))
    with pytest.raises(
        ValueError, match=r"the importance-weighted bound does not contain\n  hint: use num_importance_samples=1"
    ):
        weighted.beta = 2.0


@pytest.mark.parametrize(("received", "expected"), [((8,), (4,)), ((4, 6), (6, 4)), ((2, 2), (4,)), ((4, 2), (4,))])
def test_examples_of_another_shape_are_refused(received, expected):
    model = small().build(expected)
    with pytest.raises(ValueError, match="vae: expected examples of the shape") as error:
        model.log_likelihood(binary(24).reshape(-1, *received), num_samples=2)
    assert (
        f"{expected}, received {received}\n  hint: pass data of that shape, or build the model with .build({received})"
        in str(error.value)
    )


@pytest.mark.parametrize("received", [(3, 2), (3, 2, 1)])
@pytest.mark.parametrize("expected", [(3, 2), (3, 2, 1)])
def test_a_channel_axis_of_size_1_may_be_missing_or_added(received, expected):
    model, x = small().build(expected), binary(10, 6)
    whole = model.log_likelihood(x.reshape(-1, *expected), num_samples=5, seed=0)
    np.testing.assert_array_equal(model.log_likelihood(x.reshape(-1, *received), num_samples=5, seed=0), whole)
    model.compile("sgd")
    assert np.isfinite(model.evaluate(x.reshape(-1, *received), verbose=0, return_dict=True)["loss"])


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_sample_weights_are_refused(method):
    with pytest.raises(ValueError, match="sample_weight: a VAE does not support weights of examples\n  hint: leave"):
        getattr(compiled(small()), method)(binary(), binary(), sample_weight=np.zeros(40), verbose=0)


def mostly_binary():
    """Return batches of binary data whose last row is gray."""
    x = binary(64)
    x[-1] = 0.5
    return tf.data.Dataset.from_tensor_slices(x).batch(16)


def test_gray_values_in_a_dataset_are_refused_by_fit_too():
    dataset = tf.data.Dataset.from_tensor_slices(gray()).batch(10)
    for x in (dataset, tf.data.Dataset.zip((dataset, dataset)), tf.constant(gray())):
        with pytest.raises(ValueError, match="Bernoulli likelihood expects the values 0 and 1"):
            compiled(small()).fit(x, verbose=0)


def test_checking_the_first_batch_does_not_advance_the_epoch_of_a_pipeline():
    train = dk.data.from_arrays(binary(64), batch_size=16, seed=1).train
    reseeded = train.reseed(1)
    compiled(small()).evaluate(reseeded, verbose=0)
    np.testing.assert_array_equal(
        np.concatenate(list(train.epochs(1).take(4).as_numpy_iterator())),
        np.concatenate(list(reseeded.as_numpy_iterator())),
    )


def test_gray_values_after_the_first_batch_explain_an_infinite_loss():
    with pytest.raises(DivergedError, match="the loss became inf in epoch 1, step 4; the model is back") as error:
        dk.fit(small(), mostly_binary(), plan=dk.plan(devices="cpu", steps_per_execution=1), verbose=0)
    assert "a Bernoulli likelihood expects the values 0 and 1, received 0." in str(error.value)
    assert '  hint: use likelihood="gaussian"' in str(error.value)
    assert "learning rate" not in str(error.value)
    assert error.value.epoch == 1


def test_a_mixed_float16_file_loads_under_another_policy(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = compiled(small())
    model.fit(binary(), verbose=0)
    model.save(tmp_path / "vae.keras")
    keras.config.set_dtype_policy("float32")
    restored = keras.models.load_model(tmp_path / "vae.keras")
    assert restored.dtype_policy.name == "mixed_float16"
    assert isinstance(restored.optimizer, keras.optimizers.LossScaleOptimizer)
    assert int(restored.optimizer.iterations) == int(model.optimizer.iterations) == 2
    for one, other in zip(restored.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_from_the_config_has_new_weights_and_trains():
    model = compiled(small(beta=0.5))
    restored = type(model).from_config(model.get_config())
    assert restored.get_config() == model.get_config()
    assert {id(w) for w in restored.weights}.isdisjoint(id(w) for w in model.weights)
    restored.compile("sgd")
    assert set(restored.fit(binary(), verbose=0).history) == {"loss", "reconstruction", "kl"}


def test_a_metric_without_labels_compares_with_the_input():
    run = dk.fit(small(), (binary(),), metrics=["mse"], batch_size=40, verbose=0)
    model = run.model
    assert set(run.history) == {"loss", "reconstruction", "kl", "mse"}
    results = evaluated(model, binary())
    assert results["mse"] == pytest.approx(np.mean((model.reconstruct(binary()) - binary()) ** 2), rel=1e-5)
