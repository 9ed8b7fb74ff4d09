"""The Hopfield network: energies and updates equal brute-force sums, recall descends, storing, saving and errors."""

import itertools
import re

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.models import HopfieldNetwork

RANDOM = np.random.default_rng(0)
STATES = np.array(list(itertools.product([-1, 1], repeat=6)))
PATTERNS = STATES[[5, 22, 51]]


def network(patterns=PATTERNS, shape=None):
    model = dk.Hopfield(patterns[0].size).build(shape)
    model.store(patterns)
    return model


def brute_force_weights(patterns):
    num_units = patterns.shape[1]
    weights = np.zeros((num_units, num_units))
    for pattern in patterns:
        for i, j in itertools.permutations(range(num_units), 2):
            weights[i, j] += pattern[i] * pattern[j]
    return weights


def brute_force_energy(weights, state):
    pairs = itertools.combinations(range(len(state)), 2)
    return -sum(weights[i, j] * state[i] * state[j] for i, j in pairs)


def test_hebbs_rule_and_energies_equal_brute_force_sums():
    model, weights = network(), brute_force_weights(PATTERNS)
    np.testing.assert_array_equal(model.kernel, weights)
    expected = [brute_force_energy(weights, state) for state in STATES]
    np.testing.assert_array_equal(model.energy(STATES), expected)
    assert model.energy(STATES).dtype == "float32"
    assert int(model.num_patterns) == 3


def test_an_asynchronous_step_equals_a_loop_over_the_units():
    model, weights = network(), brute_force_weights(PATTERNS)
    path = model.recall_path(STATES, 1, seed=3)
    units = keras.ops.convert_to_numpy(keras.random.shuffle(np.arange(6), seed=keras.random.SeedGenerator(3)))
    expected = STATES.copy()
    for state in expected:
        for unit in units:
            field = weights[unit] @ state
            state[unit] = np.sign(field) if field else state[unit]
    np.testing.assert_array_equal(path[0], STATES)
    np.testing.assert_array_equal(path[1], expected)


def test_a_synchronous_step_updates_all_units_at_once():
    model, weights = network(), brute_force_weights(PATTERNS)
    fields = STATES @ weights
    expected = np.where(fields == 0, STATES, np.sign(fields))
    np.testing.assert_array_equal(model.recall(STATES, 1, order="synchronous"), expected)
    np.testing.assert_array_equal(model(STATES), expected)


def test_an_asynchronous_recall_never_increases_the_energy_and_ends_in_a_minimum():
    model = network()
    path = model.recall_path(STATES, seed=0)
    energies = np.stack([model.energy(states) for states in path])
    assert np.all(np.diff(energies, axis=0) <= 0)
    assert np.any(np.diff(energies, axis=0) < 0)
    np.testing.assert_array_equal(path[-1], path[-2])
    for unit in range(6):
        neighbors = path[-1] * np.where(np.arange(6) == unit, -1, 1)
        assert np.all(model.energy(neighbors) >= energies[-1])


def test_a_synchronous_recall_may_alternate():
    model = network(np.array([[1, -1]]))  # each unit becomes the opposite of the other
    path = model.recall_path(np.array([[1, 1]]), 4, order="synchronous")
    np.testing.assert_array_equal(path[:, 0], [[1, 1], [-1, -1], [1, 1], [-1, -1], [1, 1]])


def test_a_damaged_picture_is_recalled_in_its_shape_and_the_order_depends_on_the_seed():
    patterns = RANDOM.choice([-1, 1], size=(3, 10, 10))
    model = network(patterns, (10, 10))
    damaged = np.where(RANDOM.random(patterns.shape) < 0.15, -patterns, patterns)
    np.testing.assert_array_equal(model.recall(damaged, seed=1), patterns)
    crowded = network(RANDOM.choice([-1, 1], size=(40, 100)))
    states = RANDOM.choice([-1, 1], size=(20, 100))
    np.testing.assert_array_equal(crowded.recall(states, seed=1), crowded.recall(states, seed=1))
    assert np.any(crowded.recall(states, seed=1) != crowded.recall(states, seed=2))


def test_zeros_and_ones_are_converted_with_a_message(capsys):
    model = network((PATTERNS + 1) // 2)
    assert "the values 0 and 1 of the patterns are converted to -1 and 1" in capsys.readouterr().out
    np.testing.assert_array_equal(model.kernel, brute_force_weights(PATTERNS))
    np.testing.assert_array_equal(model.energy(PATTERNS > 0), model.energy(PATTERNS))
    capsys.readouterr()
    network(PATTERNS)
    assert not capsys.readouterr().out


def test_fit_stores_the_patterns_in_one_epoch(capsys):
    run = dk.fit(dk.Hopfield(6), (PATTERNS > 0).astype("float32"), batch_size=2, plan=dk.plan(devices="cpu"))
    np.testing.assert_array_equal(run.model.kernel, brute_force_weights(PATTERNS))
    assert int(run.model.num_patterns) == 3
    assert set(run.history) == {"energy", "stability"}
    text = capsys.readouterr().out
    assert "converted to -1 and 1" in text
    assert "optimizer none; loss that of HopfieldNetwork" in text
    results = run.model.evaluate(PATTERNS, verbose=0, return_dict=True)
    assert results["energy"] == pytest.approx(network().energy(PATTERNS).mean())
    updated = network().recall(PATTERNS, 1, order="synchronous")
    assert results["stability"] == pytest.approx(np.mean(updated == PATTERNS))


@pytest.mark.slow
def test_a_run_that_was_killed_stores_each_pattern_once(tmp_path):
    class Stop(keras.callbacks.Callback):
        stateless = True

        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1 and not (tmp_path / "stopped").exists():
                (tmp_path / "stopped").touch()
                raise KeyboardInterrupt

    arguments = {"batch_size": 1, "run_dir": tmp_path / "run", "verbose": 0}
    plan = dk.plan(seed=1, devices="cpu", steps_per_execution=1)
    with pytest.raises(KeyboardInterrupt):
        dk.fit(dk.Hopfield(6), PATTERNS, plan=plan, callbacks=[Stop()], **arguments)
    resumed = dk.fit(dk.Hopfield(6), PATTERNS, plan=plan, callbacks=[Stop()], **arguments)
    np.testing.assert_array_equal(resumed.model.kernel, brute_force_weights(PATTERNS))
    assert int(resumed.model.num_patterns) == 3


def test_a_saved_network_recalls_the_same(tmp_path):
    model = network()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, HopfieldNetwork)
    np.testing.assert_array_equal(loaded.recall(STATES, seed=2), model.recall(STATES, seed=2))
    assert int(loaded.num_patterns) == 3


def test_energies_in_16_bits_are_refused():
    assert HopfieldNetwork((4,), dtype="float64").energy(np.ones((1, 4))).dtype == "float64"
    assert HopfieldNetwork((4,), dtype="mixed_float16").energy(np.ones((1, 4))).dtype == "float32"
    for policy in ("float16", "bfloat16"):
        with pytest.raises(ValueError, match=rf"which {policy} cannot hold\n  hint: use keras.config.set_dtype_policy"):
            HopfieldNetwork((4,), dtype=policy)


def fit_epochs(model):
    model.compile()
    model.fit(PATTERNS, epochs=2)


@pytest.mark.parametrize(
    ("call", "problem", "hint"),
    [
        (lambda m: m.store(PATTERNS / 2), "received -0.5 among values from -0.5 to 0.5", "use np.where(x > threshold"),
        (lambda m: m.recall([[-1, 0, 1, 1, 1, 1]]), "or of 0 and 1, received -1, 0 and 1", "use np.where"),
        (lambda m: m.energy(PATTERNS[0]), "expected states of shape (batch, 6), received (6,)", "x[None] for one"),
        (lambda m: m.recall(PATTERNS, 0), "recall: num_steps must be a positive integer", "use num_steps=100"),
        (lambda m: m.recall(PATTERNS, order="random"), "recall: order must be", 'use order="asynchronous"'),
        (
            lambda m: m.compile("adam"),
            "optimizer: a Hopfield network stores patterns by Hebb's rule",
            "leave optimizer",
        ),
        (lambda m: m.compile(loss="mse"), "loss: a Hopfield network stores patterns", "leave loss out"),
        (lambda m: m.fit(PATTERNS, None, 1, 2), "received 2 epochs", "use epochs=1"),
        (fit_epochs, "one pass of Hebb's rule stores the patterns, received 2 epochs", "model.store(patterns)"),
    ],
)
def test_wrong_arguments_raise_errors(call, problem, hint):
    with pytest.raises(ValueError, match=re.escape(problem)) as error:
        call(dk.Hopfield(6).build())
    assert hint in str(error.value).partition("hint: ")[2]


def test_wrong_values_of_fit_raise_errors():
    with pytest.raises(ValueError, match=r"received 0\.5 among values from 0\.5 to 0\.5"):
        dk.fit(dk.Hopfield(6), np.full((4, 6), 0.5, "float32"), verbose=0)
    mixed = np.concatenate([np.ones((4, 6)), -np.ones((4, 6)), np.zeros((4, 6))]).astype("float32")
    with pytest.raises(ValueError, match="received -1, 0 and 1"):
        dk.fit(dk.Hopfield(6), mixed, batch_size=4, verbose=0)
    with pytest.raises(ValueError, match=r"1 epochs?|received 2 epochs"):
        dk.fit(dk.Hopfield(6), PATTERNS, epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("shape", "problem", "hint"),
    [
        ((3, 3), "a Hopfield network of 6 units received patterns of 9 values: (3, 3)", "use dk.Hopfield(9)"),
        ((None,), "needs the shape of an example with all sizes, received (None,)", "use .build((6,))"),
    ],
)
def test_a_shape_that_does_not_fit_raises_an_error(shape, problem, hint):
    with pytest.raises(dk.DefinitionError) as error:
        dk.Hopfield(6).build(shape)
    assert problem in error.value.problem
    assert hint in error.value.hint


def test_it_cannot_be_part_of_another_model():
    with pytest.raises(dk.DefinitionError, match="stores patterns as a whole and cannot be part of another model"):
        dk.Sequential([dk.Hopfield(6)]).build((6,))


def test_the_diagram_has_the_weights_of_the_network():
    graph = network(shape=(3, 2)).layer_graph()
    assert [layer.name for layer in graph.layers] == ["states", "flatten", "weights"]
    assert graph.count_params() == 36
