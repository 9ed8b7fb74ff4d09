"""The variational autoencoder: its bound against integration, its likelihood against exact ones, and its life."""

import math
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.errors import DivergedError
from deepkit.models.vae import VariationalAutoencoder

TANH = dk.MLP([500], activation="tanh")


def small(**arguments):
    return dk.VAE(dk.MLP([6]), decoder=dk.MLP([7]), **{"latent_dim": 2, **arguments})


def binary(count=40, size=5, seed=0):
    return (np.random.default_rng(seed).random((count, size)) < 0.4).astype("float32")


def compiled(definition, shape=(5,), **arguments):
    model = definition.build(shape)
    model.compile(**{"optimizer": "adam", "run_eagerly": True, "jit_compile": False, **arguments})
    return model


def evaluated(model, x):
    return model.evaluate(x, batch_size=2000, verbose=0, return_dict=True)


def normal_log_density(x, mean, variance):
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


def bernoulli_log_probability(x, logits):
    return np.sum(x * logits - np.logaddexp(0, logits), axis=-1)


# exact numbers


@pytest.mark.parametrize(
    ("definition", "shape", "count"),
    [  # by hand, layer by layer; the last is the printed count of the Keras example
        (dk.VAE(TANH, latent_dim=20, decoder=TANH), (28, 28, 1), 815_824),
        (dk.VAE(dk.MLP([400]), latent_dim=20, decoder=dk.MLP([400])), (784,), 652_824),
        (dk.VAE(dk.MLP([200]), latent_dim=2, decoder=dk.MLP([200]), likelihood="gaussian"), (28, 20), 338_724),
        (dk.VAE(dk.MLP([200, 200]), latent_dim=50, decoder=dk.MLP([200, 200])), (784,), 425_284),
    ],
)
def test_parameters_are_those_of_the_papers(definition, shape, count):
    assert definition.build(shape).count_params() == count


def convolutional():
    down = [layers.Conv2D(n, 3, strides=2, padding="same", activation="relu") for n in (32, 64)]
    up = [layers.Conv2DTranspose(n, 3, strides=2, padding="same", activation="relu") for n in (64, 32)]
    return dk.VAE([*down, dk.MLP([16])], latent_dim=2, decoder=[dk.MLP([7 * 7 * 64]), layers.Reshape((7, 7, 64)), *up])


def test_a_convolutional_one_has_the_parameters_of_the_keras_example():
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
    many = evaluated(model, np.repeat(x, 4000, axis=0))
    assert many["reconstruction"] == pytest.approx(exact, abs=5 * spread / np.sqrt(4000) + 1e-4)
    assert many["loss"] == pytest.approx(many["reconstruction"] + many["kl"], rel=1e-5)


def test_beta_weights_the_divergence():
    model = compiled(small(beta=4.0))
    found = evaluated(model, binary())
    assert found["loss"] == pytest.approx(found["reconstruction"] + 4 * found["kl"], rel=1e-5)


def test_beta_set_after_a_training_holds_in_the_next():
    model = compiled(small(beta=0.0), run_eagerly=False)
    model.fit(binary(), verbose=0)
    model.beta = 100.0
    logs = {name: values[0] for name, values in model.fit(binary(), batch_size=40, verbose=0).history.items()}
    assert logs["kl"] > 1e-3
    assert logs["loss"] == pytest.approx(logs["reconstruction"] + 100 * logs["kl"], rel=1e-4)


def test_beta_is_no_weight_and_is_saved(tmp_path):
    model = small(beta=0.1).build((5,))
    assert (model.beta, model.get_config()["beta"]) == (0.1, 0.1)
    assert model.count_params() == model.encoder.count_params() + model.decoder.count_params()
    model.beta = 0.7
    model.save(tmp_path / "vae.keras")
    assert keras.models.load_model(tmp_path / "vae.keras").beta == 0.7


class Annealing(keras.callbacks.Callback):
    """Raises beta from what it is: one that starts from the number it was given would hide that it is not kept."""

    stateless = True

    def on_epoch_end(self, epoch, logs=None):
        self.model.beta += 0.5


@pytest.mark.usefixtures("without_reports")
def test_a_beta_that_a_callback_moves_goes_on_exactly(tmp_path):
    def train(folder, epochs):
        plan = dk.plan(seed=5, devices="cpu", jit_compile=False)
        given = {"epochs": epochs, "run_dir": folder, "plan": plan, "callbacks": [Annealing()]}
        return dk.fit(small(beta=0.0), (binary(64),), batch_size=16, verbose=0, **given)

    whole = train(tmp_path / "whole", 3)
    train(tmp_path / "parts", 1)
    parts = train(tmp_path / "parts", 3)
    assert whole.model.beta == parts.model.beta == 1.5
    assert parts.history == whole.history
    for loss, kl, rest, beta in zip(
        *(whole.history[k] for k in ("loss", "kl", "reconstruction")), (0, 0.5, 1), strict=True
    ):
        assert loss == pytest.approx(rest + beta * kl, rel=1e-5)


def test_several_draws_tighten_the_bound_up_to_the_likelihood():
    one = compiled(small())
    x = np.repeat(binary(8), 500, axis=0)
    bounds = []
    for samples in (1, 5, 50):
        model = compiled(small(num_importance_samples=samples))
        model.set_weights(one.get_weights())
        bounds.append(-evaluated(model, x)["loss"])
    exact = one.log_likelihood(binary(8), num_samples=20_000, seed=0).mean()
    assert bounds[0] < bounds[1] < bounds[2] < exact + 0.01
    assert bounds[2] == pytest.approx(exact, abs=0.05)


def test_the_bound_of_one_draw_is_the_weighted_one_with_one_sample():
    model = compiled(small())
    x = np.repeat(binary(1), 20_000, axis=0)
    elbo = -evaluated(model, x)["loss"]
    weights = [model.log_likelihood(x[:4000], num_samples=1, seed=seed) for seed in range(3)]
    error = 5 * np.std(weights) / np.sqrt(np.size(weights)) + 5 * np.std(weights) / np.sqrt(len(x))
    assert np.mean(weights) == pytest.approx(elbo, abs=error)


def test_a_penalty_on_weights_is_part_of_the_loss():
    net = dk.VAE(dk.MLP([3], dense={"kernel_regularizer": "l2"}), latent_dim=2, decoder=dk.MLP([3]))
    model = compiled(net)
    found = evaluated(model, binary())
    penalty = 0.01 * sum(float(np.sum(w.numpy() ** 2)) for w in model.weights if w.regularizer is not None)
    assert found["loss"] - found["reconstruction"] - found["kl"] == pytest.approx(penalty, rel=1e-3)


# the likelihood


def linear_gaussian(variance=0.3):
    """Return x = w z + b + noise, whose likelihood is a Gaussian, with a proposal that is not the posterior."""
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
    everything = np.array([[i >> k & 1 for k in range(3)] for i in range(8)], "float32")
    z = np.linspace(-9, 9, 4001)
    logits = np.asarray(model.decoder(z[:, None].astype("float32"))["logits"])
    prior = np.exp(normal_log_density(z, 0, 1))
    exact = [np.log(np.trapezoid(prior * np.exp(bernoulli_log_probability(x, logits)), z)) for x in everything]
    found = model.log_likelihood(everything, num_samples=20_000, seed=0)
    np.testing.assert_allclose(found, exact, atol=2e-2)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-2)


def test_unit_variance_is_half_the_squared_error_and_a_constant():
    model = compiled(small(likelihood="unit_gaussian"))
    model.decoder.set_weights([np.zeros_like(w) for w in model.decoder.get_weights()])
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    expected = np.mean(np.sum(x**2, axis=1)) / 2 + 2.5 * np.log(2 * np.pi)
    assert evaluated(model, x)["reconstruction"] == pytest.approx(expected, rel=1e-5)


def test_samples_are_cut_in_chunks_and_batches_without_a_trace():
    model = small().build((5,))
    model.encoder.set_weights([np.zeros_like(w) for w in model.encoder.get_weights()])  # the prior: weights vary little
    x = binary(30)
    whole = model.log_likelihood(x, num_samples=3001, batch_size=30, seed=0)
    np.testing.assert_allclose(model.log_likelihood(x, num_samples=3001, batch_size=7, seed=1), whole, atol=0.05)
    np.testing.assert_array_equal(model.log_likelihood(x, num_samples=3001, batch_size=30, seed=0), whole)
    labelled = tf.data.Dataset.from_tensor_slices((x, np.arange(30))).batch(12)
    np.testing.assert_array_equal(model.log_likelihood(labelled, num_samples=3001, batch_size=30, seed=0), whole)


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
            r"sample: num_samples must be a positive integer, received 0\n  hint: sample\(16",
        ),
        (lambda model: model.sample(2.5), r"num_samples must be a positive integer, received 2\.5"),
    ],
)
def test_numbers_that_are_none(call, text):
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
    drawn = model.sample(200, seed=0, noise=True)
    assert set(np.unique(drawn)) == {0, 1}
    assert np.mean([np.any(np.all(row == patterns, axis=1)) for row in drawn]) > 0.85
    np.testing.assert_array_equal(np.round(model.reconstruct(patterns)), patterns)


def test_training_batch_normalisation_is_updated_once_a_step():
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


def test_a_penalty_and_a_metric_of_the_users():
    model = compiled(small(), loss=None, metrics=[keras.metrics.MeanSquaredError(name="mse")])
    history = model.fit(binary(), binary(), epochs=1, verbose=0).history
    assert set(history) == {"loss", "reconstruction", "kl", "mse"}


def test_another_loss_would_be_added_to_the_bound():
    expected = r"loss: a VAE brings its own, the bound on log p\(x\), received 'mse'\n  hint: leaving loss out"
    with pytest.raises(ValueError, match=expected):
        small().build((5,)).compile("adam", "mse")
    with pytest.raises(ValueError, match=expected):
        dk.fit(small(), (binary(),), loss="mse", verbose=0)


def test_a_compiled_one_is_loaded_compiled(tmp_path):
    model = compiled(small(), optimizer=keras.optimizers.Adam(0.25), metrics=["mse"])
    model.fit(binary(), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert (float(again.optimizer.learning_rate), again.optimizer.built) == (0.25, True)
    assert sorted(evaluated(again, binary())) == ["kl", "loss", "mse", "reconstruction"]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_with_16_bits_the_bound_is_in_float32(policy):
    keras.config.set_dtype_policy(policy)
    model = compiled(small(num_importance_samples=3))
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    history = model.fit(binary(), epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    keras.config.set_dtype_policy("float32")
    whole = small(num_importance_samples=3).build((5,))
    whole.set_weights(model.get_weights())
    x = np.repeat(binary(4), 200, axis=0)
    whole.compile(run_eagerly=True)
    assert evaluated(model, x)["loss"] == pytest.approx(evaluated(whole, x)["loss"], abs=0.1)
    assert model.sample(2, seed=0).dtype == np.float32


def test_several_steps_a_call_and_xla(xla):
    how = {"run_eagerly": False, "jit_compile": True, "steps_per_execution": 2}
    model = compiled(small(num_importance_samples=2), optimizer="sgd", **how)
    assert np.isfinite(model.fit(binary(64), batch_size=16, epochs=1, verbose=0).history["loss"][0])


# saving and going on


def test_saved_and_loaded_it_keeps_its_methods_and_its_samples(tmp_path):
    model = compiled(small(num_importance_samples=3))
    model.fit(binary(), epochs=1, verbose=0)
    model.save(tmp_path / "vae.keras")
    again = keras.models.load_model(tmp_path / "vae.keras")
    assert isinstance(again, VariationalAutoencoder)
    assert (again.num_importance_samples, again.likelihood, again.name) == (3, "bernoulli", "vae")
    np.testing.assert_array_equal(again.sample(4, seed=1), model.sample(4, seed=1))
    np.testing.assert_array_equal(again.reconstruct(binary()), model.reconstruct(binary()))
    one, other = (m.log_likelihood(binary(), num_samples=10, seed=2) for m in (again, model))
    np.testing.assert_array_equal(one, other)
    again.fit(binary(), epochs=1, verbose=0)


IN_A_NEW_PROCESS = """
import sys, keras, numpy as np
import deepkit.models.gan, deepkit.models.vae
for name in ("vae", "gan"):
    model = keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
    np.save(f"{sys.argv[1]}/{name}.npy", model.sample(3, seed=5))
"""


def test_a_new_process_draws_the_same_from_it_and_from_a_gan(tmp_path):
    gan = dk.GAN(dk.Regressor(2), dk.MLP([4]), latent_dim=3, prior="uniform")
    models = {"vae": small(num_importance_samples=3).build((5,)), "gan": gan.build((2,))}
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
    command = [sys.executable, "-c", IN_A_NEW_PROCESS, str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(dk.__file__).parents[1])
    for name, model in models.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), model.sample(3, seed=5))


@pytest.mark.usefixtures("without_reports")
def test_fit_leaves_labels_out_and_goes_on_exactly(tmp_path):
    def train(folder, epochs):
        return dk.fit(
            small(), (binary(64), np.arange(64) % 3), epochs=epochs, run_dir=folder, batch_size=16, verbose=0,
            plan=dk.plan(seed=5, devices="cpu", jit_compile=False),
        )  # fmt: skip

    whole = train(tmp_path / "whole", 3)
    assert set(whole.history) == {"loss", "reconstruction", "kl"}
    train(tmp_path / "parts", 1)
    parts = train(tmp_path / "parts", 3)
    assert parts.resume == "exact"
    assert parts.history == whole.history
    for one, other in zip(whole.model.get_weights(), parts.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# what cannot be


def grey(low=0.0, high=1.0):
    return np.linspace(low, high, 200, dtype="float32").reshape(40, 5)


@pytest.mark.parametrize(
    ("low", "high", "received"), [(0, 1, "from 0 to 1"), (0, 255, "from 0 to 255"), (-1, 1, "from -1 to 1")]
)
def test_grey_values_are_refused_with_the_mend(low, high, received):
    model = compiled(small())
    x = grey(low, high)
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(10)
    for use in (
        lambda: model.fit(x, verbose=0),
        lambda: model.evaluate(x, verbose=0),
        lambda: model.log_likelihood(x, num_samples=2),
        lambda: model.adapt(tf.data.Dataset.from_tensor_slices((x, x)).batch(40)),
        lambda: dk.fit(small(), (x,), epochs=1, verbose=0, batch_size=40),
    ):
        with pytest.raises(ValueError, match="Bernoulli likelihood is of the values 0 and 1") as error:
            use()
        assert f"vae.decoder: a Bernoulli likelihood is of the values 0 and 1, received values {received}\n" in str(
            error.value
        )
        assert '  hint: likelihood="gaussian"' in str(error.value)
    with pytest.raises(ValueError, match="Bernoulli likelihood"):
        model.evaluate(dataset, verbose=0)


def test_grey_values_that_nothing_looked_at_have_no_probability():
    model = compiled(small())
    assert model.test_on_batch(grey(), return_dict=True)["loss"] == np.inf


def test_grey_values_are_welcome_to_a_gaussian():
    model = compiled(small(likelihood="gaussian"))
    assert np.isfinite(model.fit(grey(), epochs=1, verbose=0).history["loss"][0])


def test_data_without_noise_does_not_make_the_density_infinite():
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
        ({"beta": -1.0}, "VAE: beta must be a number of at least 0, received -1.0"),
        ({"num_importance_samples": 0}, "VAE: num_importance_samples must be a positive integer, received 0"),
        (
            {"beta": 2.0, "num_importance_samples": 5},
            "the bound of several draws does not have\n  hint: num_importance_samples=1",
        ),
    ],
)
def test_arguments_that_make_no_sense(arguments, text):
    with pytest.raises(dk.DefinitionError) as error:
        small(**arguments)
    assert text in str(error.value)


def test_an_unknown_size_is_refused_where_it_matters():
    net = dk.VAE([dk.ConvBlock(2), layers.GlobalAveragePooling2D()], latent_dim=2, decoder=dk.MLP([3]))
    with pytest.raises(dk.DefinitionError, match=r"^decoder.data: .* an unknown size: \(None, None, 1\)") as error:
        net.build((None, None, 1))
    assert "hint: an input_shape without None" in str(error.value)


def test_an_error_in_a_part_says_which_part():
    net = dk.VAE([dk.MLP([4]), dk.ConvBlock(3)], latent_dim=2, decoder=dk.MLP([3]))
    with pytest.raises(dk.DefinitionError, match=r"^encoder\.conv_block"):
        net.build((5,))
    with pytest.raises(dk.DefinitionError, match=r"VAE\.build needs an input_shape"):
        small().build()


def test_the_input_may_be_fixed_by_the_encoder():
    net = dk.VAE([dk.Input((5,)), dk.MLP([4])], latent_dim=2, decoder=dk.MLP([3]))
    assert net.build().input_shape == (None, 5)


def test_parts_without_the_outputs_of_one_are_refused():
    plain = keras.Sequential([keras.Input((5,)), layers.Dense(2)])
    decoder = small().build((5,)).decoder
    with pytest.raises(ValueError, match="the encoder must have the outputs mean, log_variance, received one without"):
        VariationalAutoencoder(plain, decoder)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"likelihood": "x"}, r"likelihood must be one of 'bernoulli', .*, received 'x'\n  hint: likelihood="),
        ({"num_importance_samples": 0}, "num_importance_samples must be a positive integer, received 0"),
        ({"beta": -1}, "beta must be a number of at least 0, received -1\n  hint: beta"),
    ],
)
def test_arguments_of_the_model_that_make_no_sense(arguments, text):
    model = small().build((5,))
    with pytest.raises(ValueError, match=text):
        VariationalAutoencoder(model.encoder, model.decoder, **arguments)


@pytest.mark.parametrize("beta", [1e-9, 0.1, 123456.7, np.float32(0.3)])
def test_beta_is_the_number_that_was_set(beta):
    model = small().build((5,))
    model.beta = beta
    assert model.beta == float(str(beta))


def test_a_beta_that_makes_no_sense_is_refused_later_too():
    with pytest.raises(ValueError, match="vae: beta must be a number of at least 0, received -1"):
        small().build((5,)).beta = -1
    several = small(num_importance_samples=2).build((5,))
    with pytest.raises(ValueError, match=r"the bound of several draws does not have\n  hint: num_importance_samples=1"):
        several.beta = 2.0


@pytest.mark.parametrize(("given", "fixed"), [((8,), (4,)), ((4, 6), (6, 4)), ((2, 2), (4,)), ((4, 2), (4,))])
def test_examples_of_another_shape_have_no_likelihood(given, fixed):
    model = small().build(fixed)
    with pytest.raises(ValueError, match="vae: expected examples of the shape") as error:
        model.log_likelihood(binary(24).reshape(-1, *given), num_samples=2)
    assert f"{fixed}, received {given}\n  hint: data of that shape, or .build({given})" in str(error.value)


@pytest.mark.parametrize("given", [(3, 2), (3, 2, 1)])
@pytest.mark.parametrize("fixed", [(3, 2), (3, 2, 1)])
def test_an_axis_of_one_channel_may_be_missing_or_too_many(given, fixed):
    model, x = small().build(fixed), binary(10, 6)
    whole = model.log_likelihood(x.reshape(-1, *fixed), num_samples=5, seed=0)
    np.testing.assert_array_equal(model.log_likelihood(x.reshape(-1, *given), num_samples=5, seed=0), whole)
    model.compile("sgd")
    assert np.isfinite(model.evaluate(x.reshape(-1, *given), verbose=0, return_dict=True)["loss"])


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_weights_of_examples_are_refused(method):
    with pytest.raises(ValueError, match="sample_weight: a VAE's examples all count alike\n  hint: leaving"):
        getattr(compiled(small()), method)(binary(), binary(), sample_weight=np.zeros(40), verbose=0)


def mostly_binary():
    """Return data whose last row is grey, in batches of which the first is not."""
    x = binary(64)
    x[-1] = 0.5
    return tf.data.Dataset.from_tensor_slices(x).batch(16)


def test_grey_values_in_a_dataset_are_refused_by_fit_too():
    dataset = tf.data.Dataset.from_tensor_slices(grey()).batch(10)
    for x in (dataset, tf.data.Dataset.zip((dataset, dataset)), tf.constant(grey())):
        with pytest.raises(ValueError, match="Bernoulli likelihood is of the values 0 and 1"):
            compiled(small()).fit(x, verbose=0)


def test_a_look_at_the_first_batch_leaves_a_pipeline_at_its_first_epoch():
    train = dk.data.from_arrays(binary(64), batch_size=16, seed=1).train
    fed = train.reseed(1)
    compiled(small()).evaluate(fed, verbose=0)
    np.testing.assert_array_equal(
        np.concatenate(list(train.epochs(1).take(4).as_numpy_iterator())), np.concatenate(list(fed.as_numpy_iterator()))
    )


def test_grey_values_behind_the_first_batch_are_why_the_loss_is_infinite():
    with pytest.raises(DivergedError, match="the loss became inf in epoch 1, step 4; the model is back") as error:
        dk.fit(small(), mostly_binary(), plan=dk.plan(devices="cpu", steps_per_execution=1), verbose=0)
    assert "a Bernoulli likelihood is of the values 0 and 1, received values from 0 to 1\n" in str(error.value)
    assert '  hint: likelihood="gaussian"' in str(error.value)
    assert "learning rate" not in str(error.value)
    assert error.value.epoch == 1


def test_a_file_of_16_bits_goes_on_as_it_was_wherever_it_is_loaded(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = compiled(small())
    model.fit(binary(), verbose=0)
    model.save(tmp_path / "vae.keras")
    keras.config.set_dtype_policy("float32")
    again = keras.models.load_model(tmp_path / "vae.keras")
    assert again.dtype_policy.name == "mixed_float16"
    assert isinstance(again.optimizer, keras.optimizers.LossScaleOptimizer)
    assert int(again.optimizer.iterations) == int(model.optimizer.iterations) == 2
    for one, other in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_of_the_same_config_has_weights_of_its_own_and_trains():
    model = compiled(small(beta=0.5))
    again = type(model).from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert {id(w) for w in again.weights}.isdisjoint(id(w) for w in model.weights)
    again.compile("sgd")
    assert set(again.fit(binary(), verbose=0).history) == {"loss", "reconstruction", "kl"}


def test_a_metric_without_labels_compares_with_the_input():
    run = dk.fit(small(), (binary(),), metrics=["mse"], batch_size=40, verbose=0)
    model = run.model
    assert set(run.history) == {"loss", "reconstruction", "kl", "mse"}
    found = evaluated(model, binary())
    assert found["mse"] == pytest.approx(np.mean((model.reconstruct(binary()) - binary()) ** 2), rel=1e-5)
