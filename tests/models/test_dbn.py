"""DeepBeliefNetwork: greedy training, copies of its layers, the unfolded autoencoder, samples, and resuming."""

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.models.contrastive_divergence import Machine

NET = dk.DBN([5, 3], epochs_per_layer=2)


def examples(count=64, seed=0):
    return (np.random.default_rng(seed).random((count, 6)) < 0.4).astype("float32")


def fit(net=NET, epochs=4, **kwargs):
    plan = dk.plan(seed=5, devices="cpu", jit_compile=False)
    return dk.fit(net, (examples(),), epochs=epochs, batch_size=16, verbose=0, plan=plan, **kwargs)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def weights(model):
    return [np.asarray(weight, "float64") for weight in model.trainable_weights]


def test_each_machine_is_trained_in_its_epochs():
    model = NET.build((6,))
    model.compile(keras.optimizers.SGD(0.1))
    before = {weight.path: np.asarray(weight, "float64") for weight in model.trainable_weights}
    model.fit(examples(), epochs=2, verbose=0)
    lower = {weight.path: np.asarray(weight, "float64") for weight in model.trainable_weights}
    assert int(model.layer_in_training) == 0
    changed = {path for path in before if np.any(lower[path] != before[path])}
    assert changed == {"dbn/visible_bias1", "hidden1/kernel", "hidden1/bias"}
    model.fit(examples(), initial_epoch=2, epochs=5, verbose=0)
    assert int(model.layer_in_training) == 1
    after = {weight.path: np.asarray(weight, "float64") for weight in model.trainable_weights}
    changed = {path for path in before if np.any(after[path] != lower[path])}
    assert changed == {"dbn/visible_bias2", "hidden2/kernel", "hidden2/bias"}


def test_the_first_machine_is_trained_as_an_rbm_of_binary_data():
    """One step with rate 1 on many copies of an example: the updates agree up to the noise of the samples."""
    x = np.repeat(examples(4), 10_000, axis=0)
    rbm, dbn = dk.RBM(5).build((6,)), NET.build((6,))
    kernel = np.random.default_rng(0).normal(size=(6, 5))
    for model, variable in ((rbm, rbm.hidden.kernel), (dbn, dbn.hidden_layers[0].kernel)):
        variable.assign(kernel)
        model.compile(keras.optimizers.SGD(1.0))
        model.train_on_batch(x)
    np.testing.assert_allclose(rbm.hidden.kernel, dbn.hidden_layers[0].kernel, atol=0.03)
    np.testing.assert_allclose(rbm.visible_bias, dbn.visible_biases[0], atol=0.03)


def test_copied_layers_have_the_outputs_of_the_network():
    model = dk.DBN([5, 3]).build((2, 3, 1))
    x = examples().reshape(-1, 2, 3, 1)
    stack = dk.Sequential([*model.encoder_layers()]).build((2, 3, 1))
    np.testing.assert_allclose(stack(x), model(x), rtol=1e-5)
    classifier = dk.Sequential([*model.encoder_layers(), dk.Classifier(2)])
    run = dk.fit(classifier, x, np.arange(64) % 2, learning_rate=0.1, verbose=0)
    assert np.any(run.model.get_weights()[0] != np.asarray(model.hidden_layers[0].kernel))
    np.testing.assert_allclose(dk.Sequential([*model.encoder_layers()]).build((2, 3, 1))(x), model(x), rtol=1e-5)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_the_unfolded_decoder_begins_with_the_transposed_weights(visible):
    model = dk.DBN([5, 3], visible=visible).build((6,))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    x = examples()
    lower, upper = model.hidden_layers
    code = np.asarray(model(x))
    middle = sigmoid(code @ np.asarray(upper.kernel).T + np.asarray(model.visible_biases[1]))
    output = middle @ np.asarray(lower.kernel).T + np.asarray(model.visible_biases[0])
    expected = sigmoid(output) if visible == "bernoulli" else output
    autoencoder = model.unfold().build((6,))
    np.testing.assert_allclose(autoencoder(x), expected, rtol=1e-4, atol=1e-5)
    assert autoencoder.count_params() == 2 * (6 * 5 + 5 * 3) + 5 + 3 + 5 + 6


def test_gaussian_units_at_the_top_are_linear():
    model = dk.DBN([5, 3], top="gaussian").build((6,))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    x = examples()
    lower, upper = model.hidden_layers
    code = sigmoid(x @ np.asarray(lower.kernel) + np.asarray(lower.bias)) @ np.asarray(upper.kernel)
    code = code + np.asarray(upper.bias)
    np.testing.assert_allclose(model(x), code, rtol=1e-4, atol=1e-5)
    unfolded = model.unfold().build((6,))
    np.testing.assert_allclose(keras.Model(unfolded.input, unfolded.get_layer("code").output)(x), code, rtol=1e-4)
    sigmoid_code = model.unfold("sigmoid").build((6,))
    limited = keras.Model(sigmoid_code.input, sigmoid_code.get_layer("code").output)(x)
    np.testing.assert_allclose(limited, sigmoid(code), rtol=1e-4)
    assert model.sample(4, num_steps=2, seed=0).shape == (4, 6)


def test_the_free_energy_with_gaussian_hidden_units_is_the_integral_over_them():
    """The probabilities of all visible states equal those of the energy, integrated over a grid of one hidden unit."""
    rng = np.random.default_rng(1)
    kernel, hidden_bias, visible_bias = rng.normal(size=(3, 1)), rng.normal(size=1), rng.normal(size=3)
    weights = [keras.Variable(value.astype("float32")) for value in (kernel, hidden_bias, visible_bias)]
    machine = Machine(*weights, has_gaussian_hidden=True)
    visible = np.array(list(np.ndindex(2, 2, 2)), "float32")
    h = np.linspace(-30, 30, 20_001)
    inputs = (visible @ kernel + hidden_bias)[:, 0]
    log_weights = visible @ visible_bias + np.outer(h, inputs) - h[:, None] ** 2 / 2
    expected = np.exp(log_weights).sum(axis=0)
    actual = np.exp(-np.asarray(machine.free_energy(visible), "float64"))
    np.testing.assert_allclose(actual / actual.sum(), expected / expected.sum(), rtol=1e-5)
    means = np.exp(log_weights).T @ h / expected
    np.testing.assert_allclose(machine.hidden(visible)[:, 0], means, rtol=1e-4, atol=1e-5)
    many = np.full((50_000, 1), means[0], "float32")
    drawn = np.asarray(machine.draw_hidden(many, keras.random.SeedGenerator(0)))
    np.testing.assert_allclose([np.mean(drawn), np.std(drawn)], [means[0], 1], atol=0.02)


def test_fine_tuning_changes_the_two_halves_independently():
    model = NET.build((6,))
    before = weights(model)
    run = dk.fit(model.unfold(), (examples(),), learning_rate=0.05, epochs=2, verbose=0)
    kernels = [weight for weight in run.model.get_weights() if weight.ndim == 2]
    assert not np.allclose(kernels[0], kernels[-1].T)
    for one, other in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(one, other)
    linear = model.unfold("linear").build((6,))
    assert np.asarray(keras.Model(linear.input, linear.get_layer("code").output)(examples())).min() < 0


def test_pretraining_finds_two_patterns():
    keras.utils.set_random_seed(0)
    patterns = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], "float32")
    net = dk.DBN([6, 4], epochs_per_layer=40)
    run = dk.fit(net, np.repeat(patterns, 32, axis=0), optimizer=keras.optimizers.SGD(0.5), epochs=80, verbose=0)
    samples = np.round(run.model.sample(100, num_steps=200, seed=0, start=np.repeat(patterns, 50, axis=0)))
    assert np.mean([np.any(np.all(row == patterns, axis=1)) for row in samples]) > 0.8


@pytest.mark.usefixtures("without_reports")
def test_a_run_resumes_exactly_within_and_between_machines(tmp_path):
    whole = fit(run_dir=tmp_path / "whole")
    for epochs in (1, 3):
        fit(epochs=epochs, run_dir=tmp_path / "resumed")
    resumed = fit(run_dir=tmp_path / "resumed")
    assert resumed.resume == "exact"
    assert resumed.history == whole.history
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    whole.model.save(tmp_path / "dbn.keras")
    restored = keras.models.load_model(tmp_path / "dbn.keras")
    np.testing.assert_array_equal(restored.sample(3, num_steps=5, seed=1), whole.model.sample(3, num_steps=5, seed=1))
    assert restored.get_config() == whole.model.get_config()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: dk.DBN([]), dk.DefinitionError, "units"),
        (lambda: dk.DBN([3], epochs_per_layer=0), dk.DefinitionError, "epochs_per_layer must be a positive integer"),
        (lambda: dk.DBN([3], top="binary"), dk.DefinitionError, "top"),
        (lambda: dk.DBN([3], visible="gaussian", top="gaussian").build((6,)), dk.DefinitionError, "on both sides"),
        (lambda: dk.Sequential([NET]).build((6,)), dk.DefinitionError, "a DBN is trained as a whole and cannot be"),
        (lambda: NET.build((None,)), dk.DefinitionError, "DBN.build needs the shape of an example with all sizes"),
        (lambda: dk.fit(NET, (255 * examples(),), verbose=0), ValueError, "units expect values from 0 to 1, received"),
        (lambda: NET.build((6,)).compile("sgd", loss="mse"), ValueError, "loss: a DBN has its own training step"),
        (lambda: NET.build((6,)).unfold("relu"), ValueError, "unfold: code_activation must be one of 'sigmoid', 'lin"),
        (lambda: NET.build((6,)).sample(2, start=examples()), ValueError, "start has 64 examples, expected num_sampl"),
    ],
)
def test_invalid_arguments_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_too_few_epochs_for_all_machines_are_announced(capsys):
    x = np.eye(4, dtype="float32")
    for epochs in (3, 4, 6):
        dk.fit(dk.DBN([3, 2], epochs_per_layer=3), x, epochs=epochs, verbose=0)
    assert capsys.readouterr().out == "dbn: epochs=3 trains 1 of its 2 machines; 6 trains all\n"
