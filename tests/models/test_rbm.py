"""RestrictedBoltzmannMachine and FullBoltzmannMachine: energies, likelihoods and gradients equal sums over states."""

import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.errors import DivergedError
from deepkit.models import FullBoltzmannMachine, RestrictedBoltzmannMachine

VISIBLE, HIDDEN = 4, 3


def states(count):
    return np.array(list(itertools.product((0.0, 1.0), repeat=count)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def copy_of(weight):
    return np.asarray(weight, "float64")


def randomized(model, seed=0, scale=1.0):
    """Return the model with random weights; its seeds and chains stay."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(scale * rng.normal(size=weight.shape))
    return model


def make_rbm(scale=1.0, **kwargs):
    return randomized(dk.RBM(HIDDEN, **kwargs).build((VISIBLE,)), scale=scale)


def weights_of(model):
    return (np.asarray(w, "float64") for w in (model.hidden.kernel, model.visible_bias, model.hidden.bias))


def joint_log_probabilities(model):
    """Return log p(v, h) of every pair of states, `(2**visible, 2**hidden)`, and log Z."""
    kernel, b, c = weights_of(model)
    v, h = states(VISIBLE), states(HIDDEN)
    negative_energies = (v @ b)[:, None] + h @ c + v @ kernel @ h.T
    log_z = np.log(np.exp(negative_energies).sum())
    return negative_energies - log_z, log_z


def binary(count=64, size=VISIBLE, seed=0):
    return (np.random.default_rng(seed).random((count, size)) < 0.4).astype("float32")


# energies and likelihoods


def test_free_energy_and_likelihood_equal_sums_over_the_hidden_states():
    model = make_rbm()
    log_joint, log_z = joint_log_probabilities(model)
    expected = np.log(np.exp(log_joint).sum(axis=1))
    np.testing.assert_allclose(model.log_likelihood(states(VISIBLE)), expected, rtol=1e-10)
    np.testing.assert_allclose(model.free_energy(states(VISIBLE)), -expected - log_z, rtol=1e-10)
    exact = model.log_partition()
    assert (exact.value, exact.standard_error, exact.method) == (pytest.approx(log_z, rel=1e-12), 0, "exact")


@pytest.mark.parametrize(("units", "size"), [(6, 3), (3, 6)])
def test_the_sum_over_either_side_is_the_partition_function(units, size):
    model = randomized(dk.RBM(units).build((size,)))
    energies = model.free_energy(states(size))
    assert model.log_partition().value == pytest.approx(np.log(np.exp(-energies).sum()), rel=1e-12)


def test_the_density_of_gaussian_units_is_a_mixture_of_gaussians():
    model = make_rbm(visible="gaussian")
    kernel, b, c = weights_of(model)
    h, x = states(HIDDEN), np.random.default_rng(1).normal(size=(6, VISIBLE)).astype("float32")
    means = b + h @ kernel.T
    log_mass = h @ c + 0.5 * (means**2).sum(1) - 0.5 * (b**2).sum()  # of each hidden state
    mixture = np.exp(log_mass) / np.exp(log_mass).sum()
    density = np.exp(-0.5 * ((x[:, None] - means) ** 2).sum(2)) / (2 * np.pi) ** (VISIBLE / 2)
    np.testing.assert_allclose(model.log_likelihood(x), np.log(density @ mixture), rtol=1e-8)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_annealed_importance_sampling_is_near_the_exact_sum(visible):
    model = make_rbm(visible=visible, scale=0.7)
    x = model.sample(300, num_steps=50, seed=0, noise=True)
    estimate = model.log_partition(x, method="annealed", num_temperatures=500, seed=0)
    exact = model.log_partition().value
    assert 0 < estimate.standard_error < 0.05
    assert abs(estimate.value - exact) < min(0.1, 4 * estimate.standard_error)
    biased = model.log_partition(method="annealed", num_temperatures=500, seed=1)  # base: the visible biases
    assert abs(biased.value - exact) < 0.1
    assert model.log_partition(x, method="annealed", num_temperatures=9, seed=0) == model.log_partition(
        x, method="annealed", num_temperatures=9, seed=0
    )


def test_the_estimate_of_the_partition_function_is_unbiased_after_one_step():
    model = make_rbm(scale=0.5)
    estimate = model.log_partition(method="annealed", num_chains=200_000, num_temperatures=1, seed=0)
    assert estimate.value == pytest.approx(model.log_partition().value, abs=5 * estimate.standard_error)


def test_more_than_20_units_are_estimated_and_not_summed():
    model = dk.RBM(21).build((30,))
    with pytest.raises(ValueError, match="an exact sum over the states of 21 units, expected at most 20") as error:
        model.log_partition(method="exact")
    assert '  at    rbm\n  hint: use method="annealed", here about 3e+09 floating-point operations' in str(error.value)
    estimate = model.log_partition(num_temperatures=10, seed=0)
    assert estimate.method == "annealed"
    x = binary(5, 30)
    expected = -model.free_energy(x) - estimate.value
    np.testing.assert_allclose(model.log_likelihood(x, estimate), expected)


def test_gibbs_sampling_draws_from_the_distribution_of_the_model():
    model = make_rbm()
    samples = model.sample(4000, num_steps=30, seed=0, noise=True)
    assert set(np.unique(samples)) == {0, 1}
    probabilities = np.exp(joint_log_probabilities(model)[0]).sum(axis=1)
    numbers = samples @ 2 ** np.arange(VISIBLE)[::-1]
    frequencies = np.bincount(numbers.astype(int), minlength=2**VISIBLE) / len(samples)
    assert np.all(np.abs(frequencies - probabilities) < 5 * np.sqrt(probabilities / len(samples)) + 1e-3)
    means = model.sample(4000, num_steps=30, seed=0)
    np.testing.assert_allclose(means.mean(axis=0), probabilities @ states(VISIBLE), atol=0.05)


def test_sampling_starts_from_given_states_and_keeps_the_shape():
    model = dk.RBM(HIDDEN).build((2, 2, 1))
    randomized(model)
    start = np.zeros((5, 2, 2, 1))
    assert model.sample(5, start=start, num_steps=1, seed=0).shape == (5, 2, 2, 1)
    kernel, b, c = weights_of(model)
    hidden = states(HIDDEN)
    probability = np.prod(np.where(hidden == 1, sigmoid(c), 1 - sigmoid(c)), axis=1)
    means = model.sample(5000, start=np.zeros((5000, 2, 2, 1)), num_steps=1, seed=0).reshape(-1, 4).mean(axis=0)
    np.testing.assert_allclose(means, probability @ sigmoid(hidden @ kernel.T + b), atol=0.03)
    with pytest.raises(ValueError, match="start has 5 examples, expected num_samples=3"):
        model.sample(3, start=start)


# training


def gibbs_transition(model):
    """Return the matrix p(v' | v) of one Gibbs step, by enumeration."""
    kernel, b, c = weights_of(model)
    v, h = states(VISIBLE), states(HIDDEN)
    p_h, p_v = sigmoid(v @ kernel + c), sigmoid(h @ kernel.T + b)
    hidden = np.prod(np.where(h[None] == 1, p_h[:, None], 1 - p_h[:, None]), axis=2)
    visible = np.prod(np.where(v[None] == 1, p_v[:, None], 1 - p_v[:, None]), axis=2)
    return hidden @ visible


def statistics(model, distribution):
    """Return the expectations of v p(h | v), p(h | v) and v under a distribution of visible states."""
    kernel, _, c = weights_of(model)
    v = states(VISIBLE)
    p_h = sigmoid(v @ kernel + c)
    return (v * distribution[:, None]).T @ p_h, distribution @ p_h, distribution @ v


@pytest.mark.parametrize("num_gibbs_steps", [1, 3])
def test_the_expected_update_is_that_of_an_enumerated_chain(num_gibbs_steps):
    model = make_rbm(num_gibbs_steps=num_gibbs_steps)
    model.compile(keras.optimizers.SGD(1.0))
    data = np.zeros(2**VISIBLE)
    data[[3, 5, 6, 15]] = 0.25
    chain = data @ np.linalg.matrix_power(gibbs_transition(model), num_gibbs_steps)
    expected = [plus - minus for plus, minus in zip(statistics(model, data), statistics(model, chain), strict=True)]
    before = [copy_of(w) for w in (model.hidden.kernel, model.hidden.bias, model.visible_bias)]
    x = np.repeat(states(VISIBLE)[[3, 5, 6, 15]], 25_000, axis=0).astype("float32")
    model.train_on_batch(x)
    after = [copy_of(w) for w in (model.hidden.kernel, model.hidden.bias, model.visible_bias)]
    for old, new, update in zip(before, after, expected, strict=True):
        np.testing.assert_allclose(new - old, update, atol=0.01)
    assert np.abs(expected[0]).max() > 0.05


@pytest.mark.slow
def test_many_gibbs_steps_give_the_gradient_of_the_likelihood():
    model = make_rbm(scale=0.5, num_gibbs_steps=60)
    kernel = copy_of(model.hidden.kernel)
    x = states(VISIBLE)[[3, 5, 6, 15]]
    gradient = np.zeros_like(kernel)
    for index in np.ndindex(*kernel.shape):
        values = []
        for step in (1e-3, -1e-3):
            changed = kernel.copy()
            changed[index] += step
            model.hidden.kernel.assign(changed)
            values.append(model.log_likelihood(x).mean())
        gradient[index] = (values[0] - values[1]) / 2e-3
    model.hidden.kernel.assign(kernel)
    model.compile(keras.optimizers.SGD(1.0))
    model.train_on_batch(np.repeat(x, 15_000, axis=0).astype("float32"))
    np.testing.assert_allclose(copy_of(model.hidden.kernel) - kernel, gradient, atol=0.01)


def test_the_reported_metrics_are_those_of_the_weights_before_the_step():
    model = make_rbm()
    model.compile(keras.optimizers.SGD(0.5))
    x = binary()
    kernel, b, c = weights_of(model)
    error = ((x - sigmoid(sigmoid(x @ kernel + c) @ kernel.T + b)) ** 2).sum(axis=1).mean()
    assert model.evaluate(x, verbose=0, return_dict=True)["reconstruction"] == pytest.approx(error, rel=1e-5)
    assert model.train_on_batch(x, return_dict=True)["reconstruction"] == pytest.approx(error, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", [{}, {"persistent": True}, {"num_gibbs_steps": 3}])
def test_training_improves_the_likelihood(kwargs):
    keras.utils.set_random_seed(1)
    patterns = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], "float32")
    run = dk.fit(
        dk.RBM(4, **kwargs), np.repeat(patterns, 32, axis=0), optimizer=keras.optimizers.SGD(0.5), epochs=60, verbose=0
    )
    assert run.model.log_likelihood(patterns).mean() > np.log(0.5) - 0.35


@pytest.mark.slow
def test_gaussian_units_learn_two_clusters():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = (rng.choice([-2.0, 2.0], (256, 1)) + rng.normal(size=(256, 2))).astype("float32")
    model = dk.RBM(2, visible="gaussian").build((2,))
    before = model.log_likelihood(x).mean()
    model.compile(keras.optimizers.SGD(0.05))
    model.fit(x, epochs=30, verbose=0)
    assert model.log_likelihood(x).mean() > before + 0.5


def test_persistent_chains_continue_from_step_to_step():
    model = dk.RBM(HIDDEN, persistent=True).build((VISIBLE,))
    model.compile(keras.optimizers.SGD(0.0))
    assert model.chains.shape == (100, VISIBLE)
    assert not model.chains.trainable
    model.train_on_batch(binary())
    first = copy_of(model.chains)
    model.evaluate(binary(), verbose=0)
    np.testing.assert_array_equal(model.chains, first)
    model.train_on_batch(binary())
    assert np.any(copy_of(model.chains) != first)
    assert set(np.unique(model.chains)) == {0, 1}


def test_validation_does_not_change_the_training():
    states_after = []
    for validation in (None, binary(seed=1)):
        keras.utils.set_random_seed(3)
        model = dk.RBM(HIDDEN).build((VISIBLE,))
        model.compile("sgd")
        model.fit(binary(), epochs=2, validation_data=validation, verbose=0, shuffle=False)
        states_after.append(model.get_weights())
    for one, other in zip(*states_after, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_mixed_policy_computes_energies_in_float32(policy):
    weights = []
    for name in ("float32", policy):
        keras.config.set_dtype_policy(name)
        keras.utils.set_random_seed(2)
        model = dk.RBM(HIDDEN).build((VISIBLE,))
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(binary(), epochs=2, verbose=0, shuffle=False)
        weights.append(model.get_weights())
        assert model(binary()).dtype == "float32"
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# saving and resuming


NETS = {
    "rbm": dk.RBM(HIDDEN),
    "persistent": dk.RBM(HIDDEN, persistent=True, num_gibbs_steps=2),
    "gaussian": dk.RBM(HIDDEN, visible="gaussian"),
    "boltzmann": dk.BoltzmannMachine(HIDDEN),
}


@pytest.mark.slow
@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize("name", NETS)
def test_a_run_resumes_exactly(name, tmp_path):
    def train(folder, epochs):
        plan = dk.plan(seed=5, devices="cpu", jit_compile=False)
        data = dk.data.from_arrays(binary(), np.arange(64) % 3, batch_size=16)  # its labels are ignored
        return dk.fit(NETS[name], data, epochs=epochs, run_dir=folder, verbose=0, plan=plan)

    whole = train(tmp_path / "whole", 3)
    train(tmp_path / "resumed", 1)
    resumed = train(tmp_path / "resumed", 3)
    assert resumed.resume == "exact"
    assert resumed.history == whole.history
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


SAMPLES = """
import sys, numpy, keras, deepkit
for path in sys.argv[1:]:
    numpy.save(path + ".npy", keras.models.load_model(path).sample(4, seed=7))
"""


def test_saved_models_give_the_same_samples_in_a_new_process(tmp_path):
    paths, expected = [], []
    for name, net in NETS.items():
        model = net.build((VISIBLE,))
        model.compile("adam")
        model.fit(binary(), verbose=0)
        model.save(tmp_path / f"{name}.keras")
        paths.append(str(tmp_path / f"{name}.keras"))
        expected.append(model.sample(4, seed=7))
        restored = keras.models.load_model(paths[-1])
        assert (type(restored), restored.get_config()) == (type(model), model.get_config())
        for one, other in zip(model.optimizer.variables, restored.optimizer.variables, strict=True):
            np.testing.assert_array_equal(one, other)
    process = subprocess.run([sys.executable, "-c", SAMPLES, *paths], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-2000:]
    for path, samples in zip(paths, expected, strict=True):
        np.testing.assert_allclose(np.load(f"{path}.npy"), samples, rtol=1e-6)


# the fully connected machine


def make_full(units=HIDDEN, size=VISIBLE):
    return randomized(dk.BoltzmannMachine(units).build((size,)), scale=0.8)


def full_log_probabilities(model):
    """Return log p of every state of all units, by a loop over pairs; visible units vary slowest."""
    total = model.num_visible + model.units
    pairs = dict(zip(itertools.combinations(range(total), 2), np.asarray(model.pair_weights, "float64"), strict=True))
    bias = np.asarray(model.bias, "float64")
    values = [
        sum(w * s[i] * s[j] for (i, j), w in pairs.items()) + sum(b * u for b, u in zip(bias, s, strict=True))
        for s in states(total)
    ]
    return np.array(values) - np.log(np.exp(values).sum())


@pytest.mark.parametrize("units", [0, 1, 4])
def test_the_likelihood_of_a_full_machine_equals_a_loop_over_pairs(units):
    model = make_full(units)
    expected = np.log(np.exp(full_log_probabilities(model)).reshape(2**VISIBLE, -1).sum(axis=1))
    np.testing.assert_allclose(model.log_likelihood(states(VISIBLE)), expected, rtol=1e-10)
    assert model.count_params() == (VISIBLE + units) * (VISIBLE + units + 1) // 2


def test_hidden_probabilities_of_a_full_machine_are_conditional():
    model = make_full()
    joint = np.exp(full_log_probabilities(model)).reshape(2**VISIBLE, 2**HIDDEN)
    expected = joint @ states(HIDDEN) / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model(states(VISIBLE)), expected, rtol=1e-5)


def test_the_gradient_of_a_full_machine_is_the_difference_of_correlations():
    model = make_full()
    joint = np.exp(full_log_probabilities(model)).reshape(2**VISIBLE, 2**HIDDEN)
    chosen = [3, 5, 6, 15]
    clamped = np.zeros_like(joint)
    clamped[chosen] = joint[chosen] / joint[chosen].sum(axis=1, keepdims=True) / len(chosen)
    difference = (clamped - joint).reshape(-1)
    every = states(VISIBLE + HIDDEN)
    expected = [difference @ (every[:, i] * every[:, j]) for i, j in itertools.combinations(range(every.shape[1]), 2)]
    before = copy_of(model.pair_weights), copy_of(model.bias)
    model.compile(keras.optimizers.SGD(1.0))
    loss = model.train_on_batch(states(VISIBLE)[chosen].astype("float32"))
    np.testing.assert_allclose(copy_of(model.pair_weights) - before[0], expected, atol=1e-5)
    np.testing.assert_allclose(copy_of(model.bias) - before[1], difference @ every, atol=1e-5)
    log_p = np.log(joint.sum(axis=1))
    assert loss == pytest.approx(-log_p[chosen].mean(), rel=1e-5)


def test_a_full_machine_learns_and_samples_two_patterns():
    keras.utils.set_random_seed(0)
    patterns = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], "float32")
    run = dk.fit(dk.BoltzmannMachine(1), np.repeat(patterns, 8, axis=0), optimizer="adam", learning_rate=0.3,
                 epochs=60, verbose=0)  # fmt: skip
    assert run.model.log_likelihood(patterns).mean() > np.log(0.5) - 0.1
    samples = run.model.sample(200, seed=0)
    assert np.mean([np.any(np.all(row == patterns, axis=1)) for row in samples]) > 0.9


# errors


@pytest.mark.parametrize("net", [dk.RBM(3), dk.BoltzmannMachine(3)])
def test_gray_values_are_refused_with_a_hint(net):
    gray = np.linspace(0, 255, 40, dtype="float32").reshape(10, 4)
    model = net.build((4,))
    model.compile("sgd")
    dataset = tf.data.Dataset.from_tensor_slices(gray).batch(5)
    for use in (
        lambda: model.fit(gray, verbose=0),
        lambda: model.evaluate(dataset, verbose=0),
        lambda: model.log_likelihood(gray),
        lambda: dk.fit(net, (gray,), verbose=0),
    ):
        with pytest.raises(
            ValueError, match=r"Bernoulli units expect the values 0 and 1, received 6\.538 among values"
        ) as error:
            use()
        assert "hint: binarize the values" in str(error.value)
        assert ('visible="gaussian"' in str(error.value)) == isinstance(net, dk.RBM)


@pytest.mark.slow
def test_gray_values_after_the_first_batch_are_explained():
    x = binary()
    x[-1] = 0.5
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(16)
    with pytest.raises(DivergedError, match="the loss became inf in epoch 1") as error:
        dk.fit(dk.RBM(3), dataset, plan=dk.plan(devices="cpu", steps_per_execution=1), verbose=0)
    assert "Bernoulli units expect the values 0 and 1, received 0." in str(error.value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dk.RBM(0), "RBM: units must be a positive integer, received 0"),
        (lambda: dk.RBM(3, visible="binary"), "visible must be one of 'bernoulli', 'gaussian', received 'binary'"),
        (lambda: dk.RBM(3).build((None, 4)), r"RBM.build needs the shape of an example with all sizes, received \(No"),
        (lambda: dk.BoltzmannMachine(-1), "units must be an integer of at least 0, received -1"),
        (
            lambda: dk.BoltzmannMachine(6).build((4, 4)),
            r"16 visible and 6 hidden units, expected at most 20 in sum\n  in .*\n  hint: .* 2\^22 states",
        ),
        (lambda: dk.Sequential([dk.RBM(3), dk.MLP([2])]).build((4,)), "an RBM is trained as a whole and cannot be"),
        (lambda: dk.Sequential([dk.BoltzmannMachine(3)]).build((4,)), "a Boltzmann machine is trained as a whole"),
    ],
)
def test_invalid_definitions_are_refused(make, text):
    with pytest.raises(dk.DefinitionError, match=text):
        make()


@pytest.mark.parametrize("net", [dk.RBM(3), dk.BoltzmannMachine(3)])
def test_weights_of_16_bits_are_refused(net):
    keras.config.set_dtype_policy("float16")
    with pytest.raises(dk.DefinitionError, match="need float32, received weights in float16\n") as error:
        net.build((4,))
    assert 'use the policy "mixed_float16" or "float32"' in str(error.value)


@pytest.mark.parametrize("net", [dk.RBM(3), dk.BoltzmannMachine(3)])
def test_losses_metrics_weights_and_other_shapes_are_refused(net):
    model = net.build((4,))
    with pytest.raises(ValueError, match=r"loss: a.* has its own .*, received 'mse'\n  hint: compile without loss"):
        model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match=r"metrics: a.* has its own metrics, received \['mse'\]"):
        model.compile("sgd", metrics=["mse"])
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"sample_weight: a.* does not support weights of examples"):
        model.fit(binary(), binary(), sample_weight=np.ones(64), verbose=0)
    with pytest.raises(ValueError, match=r"expected examples of the shape \(4,\), received \(6,\)"):
        model.log_likelihood(binary(3, 6))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda model: model.log_partition(method="x"), "log_partition: method must be one of 'auto', 'exact', 'ann"),
        (lambda model: model.log_partition(num_chains=0), "num_chains must be a positive integer, received 0"),
        (lambda model: model.sample(0), "sample: num_samples must be a positive integer, received 0"),
        (lambda model: model.sample(2, num_steps=0), "sample: num_steps must be a positive integer, received 0"),
        (lambda model: RestrictedBoltzmannMachine(2, (4,), num_gibbs_steps=0), "num_gibbs_steps must be a positive"),
        (lambda model: FullBoltzmannMachine(-1, (4,)), "units must be an integer of at least 0"),
    ],
)
def test_invalid_arguments_of_the_model_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call(dk.RBM(3).build((4,)))


def test_persistent_chains_on_several_devices_are_refused(monkeypatch):
    model = dk.RBM(3, persistent=True).build((4,))

    class Strategy:
        num_replicas_in_sync = 2

    monkeypatch.setattr(type(model), "distribute_strategy", Strategy())
    with pytest.raises(ValueError, match=r"persistent=True over several devices: .*\n  hint: use one device"):
        model.compile("sgd")
