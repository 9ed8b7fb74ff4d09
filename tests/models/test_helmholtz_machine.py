"""The Helmholtz machine: probabilities and gradients equal brute-force sums, dreams, resume, saving and errors."""

import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.models import HelmholtzMachineModel

X = np.array(list(itertools.product([0, 1], repeat=4)), "float32")


def machine(units=(3, 2), scale=1.5, seed=0):
    """Return a machine of 4 visible units whose weights and biases are random."""
    model = dk.HelmholtzMachine(units).build((4,))
    random = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(random.normal(0, scale, weight.shape))
    return model


def probability(units, logits):
    """Return the probability of binary units, as a product."""
    p = 1 / (1 + np.exp(-np.asarray(logits, "float64")))
    return np.prod(np.where(np.asarray(units) == 1, p, 1 - p))


def apply(layer, below):
    return np.asarray(below, "float64") @ layer.kernel.numpy().astype("float64") + layer.bias.numpy()


def hidden_states(units=(3, 2)):
    for bits in itertools.product([0, 1], repeat=sum(units)):
        yield np.split(np.array(bits), np.cumsum(units)[:-1])


def joint(model, x, hidden):
    """Return p(x, h)."""
    drawn = [x, *hidden]
    p = probability(hidden[-1], model.top_bias.numpy())
    for layer, below, above in zip(model.generative, drawn[:-1], drawn[1:], strict=True):
        p *= probability(below, apply(layer, above))
    return p


def posterior(model, x, hidden):
    """Return q(h | x)."""
    drawn, q = [x, *hidden], 1.0
    for layer, below, above in zip(model.recognition, drawn[:-1], drawn[1:], strict=True):
        q *= probability(above, apply(layer, below))
    return q


@pytest.mark.parametrize("units", [(3, 2), (4,), (2, 1, 1)])
def test_likelihood_and_bound_equal_brute_force_sums(units):
    model = machine(units)
    states = list(hidden_states(units))
    p = np.array([sum(joint(model, x, hidden) for hidden in states) for x in X])
    assert p.sum() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(model.log_likelihood(X), np.log(p), rtol=1e-9)
    bounds = []
    for x in X:
        q = [posterior(model, x, hidden) for hidden in states]
        assert sum(q) == pytest.approx(1, abs=1e-9)
        log_ratios = [np.log(joint(model, x, h) / qh) for h, qh in zip(states, q, strict=True)]
        bounds.append(np.dot(q, log_ratios))
    np.testing.assert_allclose(model.bound(X), bounds, rtol=1e-9)
    assert np.all(model.bound(X) < model.log_likelihood(X))


def test_estimates_are_within_five_standard_errors_of_the_exact_values():
    model, num_samples = machine(scale=0.7), 5000
    likelihoods = np.exp(model.log_likelihood(X, num_samples, seed=0))
    bounds = model.bound(X, num_samples, seed=0)
    for x, likelihood, bound in zip(X, likelihoods, bounds, strict=True):
        q = np.array([posterior(model, x, hidden) for hidden in hidden_states()])
        weights = np.array([joint(model, x, hidden) for hidden in hidden_states()]) / q
        for estimate, values in ((likelihood, weights), (bound, np.log(weights))):
            mean = q @ values
            error = np.sqrt(q @ (values - mean) ** 2 / num_samples)
            assert abs(estimate - mean) < 5 * error
    np.testing.assert_array_equal(model.bound(X, 7, seed=4), model.bound(X, 7, seed=4))


def test_large_sums_are_evaluated_in_chunks():
    model = dk.HelmholtzMachine([12, 2]).build((2, 2))
    images = X.reshape(-1, 2, 2)
    assert np.exp(model.log_likelihood(images)).sum() == pytest.approx(1, abs=1e-9)


def test_the_gradients_of_a_step_equal_the_delta_rule_on_its_draws():
    model = machine()
    drawn = []
    dream = model._dream

    def recorded_dream(num_rows, draw):
        drawn.append(dream(num_rows, draw))
        return drawn[-1]

    def recorded_log_prob(units):
        drawn.append(units)
        return log_generative(units)

    log_generative, model._log_generative = model._log_generative, recorded_log_prob
    model._dream = recorded_dream
    with tf.GradientTape() as tape:
        model(X, training=True)
        (loss,) = model.losses
    weights = model.trainable_weights
    gradients = dict(zip([w.path for w in weights], tape.gradient(loss, [w.value for w in weights]), strict=True))
    awake, dreams = ([keras.ops.convert_to_numpy(units) for units in layers] for layers in drawn)
    pairs = [(model.generative, awake[1:], awake[:-1]), (model.recognition, dreams[:-1], dreams[1:])]
    for layers, sources, targets in pairs:
        for layer, source, target in zip(layers, sources, targets, strict=True):
            error = 1 / (1 + np.exp(-apply(layer, source))) - target
            np.testing.assert_allclose(gradients[layer.kernel.path], source.T @ error / len(X), atol=1e-6)
            np.testing.assert_allclose(gradients[layer.bias.path], error.mean(axis=0), atol=1e-6)
    top = 1 / (1 + np.exp(-model.top_bias.numpy())) - awake[-1]
    np.testing.assert_allclose(gradients[model.top_bias.path], top.mean(axis=0), atol=1e-6)


@pytest.mark.slow
def test_dreams_and_metrics_have_the_exact_expectations():
    model = machine(scale=0.8)
    dreams = model.sample(20_000, seed=0)
    counts = np.array([np.mean(np.all(dreams == x, axis=1)) for x in X])
    np.testing.assert_allclose(counts, np.exp(model.log_likelihood(X)), atol=0.015)
    np.testing.assert_array_equal(model.sample(5, seed=1), model.sample(5, seed=1))
    model.compile()
    results = model.evaluate(np.repeat(X, 500, axis=0), batch_size=1000, verbose=0, return_dict=True)
    assert results["bound"] == pytest.approx(model.bound(X).mean(), abs=0.1)
    assert results["loss"] == pytest.approx(results["wake"] + results["sleep"], rel=1e-4)


def test_the_output_is_the_probability_of_the_first_hidden_layer():
    model = machine()
    expected = 1 / (1 + np.exp(-apply(model.recognition[0], X)))
    np.testing.assert_allclose(model(X), expected, rtol=1e-5)
    assert not model.losses


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
def test_a_killed_run_resumes_bit_exactly(tmp_path):
    class Stop(keras.callbacks.Callback):
        stateless = True

        def on_train_batch_begin(self, batch, logs=None):
            marker = tmp_path / "stopped"
            if self.model.optimizer.iterations == 5 and (tmp_path / "stop").exists() and not marker.exists():
                marker.touch()
                raise KeyboardInterrupt

    def fit(folder):
        plan = dk.plan(seed=4, devices="cpu", steps_per_execution=1)
        net = dk.HelmholtzMachine([3, 2])
        data = dk.data.from_arrays(X, np.arange(16), batch_size=4, validation=4, seed=2)  # three batches an epoch
        return dk.fit(net, data, epochs=3, run_dir=tmp_path / folder, plan=plan, verbose=0, callbacks=[Stop()])

    whole = fit("whole")
    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        fit("killed")
    resumed = fit("killed")
    assert (tmp_path / "stopped").exists()
    assert whole.resume == "exact"
    assert resumed.history == whole.history
    for one, other in zip(resumed.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(resumed.model.training_seed.state, whole.model.training_seed.state)


@pytest.mark.slow
def test_a_saved_model_has_the_same_dreams_and_continues(tmp_path):
    model = dk.HelmholtzMachine([3, 2]).build((4,))
    model.compile("adam")
    model.fit(X, batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, HelmholtzMachineModel)
    np.testing.assert_array_equal(loaded.sample(9, seed=0), model.sample(9, seed=0))
    np.testing.assert_array_equal(loaded.log_likelihood(X), model.log_likelihood(X))
    loaded.training_seed.state.assign(model.training_seed.state)  # a file does not hold it; a checkpoint does
    for each in (model, loaded):
        each.fit(X, batch_size=8, shuffle=False, verbose=0)
    for one, other in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_losses_are_computed_in_float32_under_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = dk.HelmholtzMachine([3]).build((4,))
    finally:
        keras.config.set_dtype_policy(before)
    model(X, training=True)
    assert model.losses[0].dtype == "float32"
    assert model(X).dtype == "float32"


def weighted(model):
    model.compile()
    model.fit(X, np.zeros(16), sample_weight=np.ones(16), verbose=0)


@pytest.mark.parametrize(
    ("call", "problem", "hint"),
    [
        (
            lambda m: m.bound(X / 2),
            "expects the values 0 and 1, received 0.5 among values from 0 to 0.5",
            "binarize gray values",
        ),
        (lambda m: m.fit(X / 2), "expects the values 0 and 1", "binarize gray values"),
        (lambda m: m.log_likelihood(X[0]), "expected examples of shape (batch, 4), received (4,)", "x[None] for one"),
        (lambda m: m.log_likelihood(X, 0), "log_likelihood: num_samples must be a positive", "use num_samples=1000"),
        (lambda m: m.sample(0), "sample: num_samples must be a positive integer", "use sample(16, seed=0)"),
        (lambda m: m.compile(loss="mse"), "loss: a Helmholtz machine has its own losses", "compile without loss"),
        (lambda m: m.compile(metrics=["mae"]), "metrics: a Helmholtz machine has its own", "compile without metrics"),
        (weighted, "a Helmholtz machine does not support weights of examples", "leave sample_weight out"),
    ],
)
def test_wrong_arguments_raise_errors(call, problem, hint):
    with pytest.raises(ValueError, match=re.escape(problem)) as error:
        call(machine())
    assert hint in str(error.value).partition("hint: ")[2]


def test_an_exact_sum_over_more_than_20_units_states_its_cost():
    model = dk.HelmholtzMachine([20, 1]).build((4,))
    expected = r"at most 20 hidden units; 21 units have 2\^21 = 2,097,152 states(.|\n)*hint: use num_samples=1000"
    for method in (model.log_likelihood, model.bound):
        with pytest.raises(ValueError, match=expected):
            method(X)
        assert method(X, num_samples=3, seed=0).shape == (16,)


def test_gray_values_in_fit_raise_an_error():
    with pytest.raises(
        ValueError, match=r"received 0\.5 among values from 0\.5 to 0\.5(.|\n)*hint: binarize gray values"
    ):
        dk.fit(dk.HelmholtzMachine([2]), np.full((4, 3), 0.5, "float32"), verbose=0)


def test_definitions_without_layers_or_sizes_raise_errors():
    with pytest.raises(dk.DefinitionError, match="units: expected a hidden layer, received none"):
        dk.HelmholtzMachine([])
    with pytest.raises(dk.DefinitionError, match=r"with all sizes, received \(None, 4\)"):
        dk.HelmholtzMachine([2]).build((None, 4))
    with pytest.raises(dk.DefinitionError, match="is trained as a whole and cannot be part of another model"):
        dk.Sequential([dk.HelmholtzMachine([2])]).build((4,))


def test_the_diagram_has_the_layers_of_both_models():
    graph = machine().layer_graph()
    names = ["data", "recognition1", "recognition2", "generative2", "generative1"]
    assert [layer.name for layer in graph.layers] == names
    assert graph.count_params() == machine().count_params() - 2  # the biases of the top
