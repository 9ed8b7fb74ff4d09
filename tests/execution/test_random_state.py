"""The random state of Python, NumPy, TensorFlow and Keras is the same before and after a training."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.execution import devices

pytestmark = pytest.mark.usefixtures("without_reports")


@tf.function
def draw_in_function():
    return tf.random.uniform(())


def draws(count=2):
    """Return random numbers of every library; TensorFlow counts the calls of operations and functions with a seed."""
    numbers = []
    for _ in range(count):
        numbers += [random.random(), np.random.rand(), keras.random.uniform(()), tf.random.uniform(())]
        numbers += [tf.random.uniform((), seed=5), draw_in_function()]
    return [float(number) for number in numbers]


def assert_unchanged_by(action):
    """Assert that the numbers drawn after the action continue those drawn before it.

    The action must not draw from stateful operations of TensorFlow, which restarts those with a seed of the user.
    """
    keras.utils.set_random_seed(4)
    expected = [draws(), draws()]
    keras.utils.set_random_seed(4)
    before = draws()
    action()
    assert [before, draws()] == expected


def make_data():
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32")


def make_net():
    return dk.Sequential([dk.MLP([4]), keras.layers.Dropout(0.5), dk.Classifier(2)])


class Interrupt(keras.callbacks.Callback):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def on_epoch_end(self, epoch, logs=None):
        np.random.rand()
        raise self.error


@pytest.mark.parametrize("seed", [0, 4, None])
def test_leaving_a_plan_restores_the_random_state(seed):
    def enter_plans():
        with dk.plan(seed=seed):
            random.random(), np.random.rand(), keras.random.uniform(())
            with dk.plan(seed=seed):
                random.seed(9)

    assert_unchanged_by(enter_plans)


def test_a_nested_plan_does_not_change_the_draws_of_the_outer_one():
    with dk.plan(seed=7):
        expected = [draws(), draws()]
    with dk.plan(seed=7):
        result = [draws()]
        with dk.plan(seed=8):
            np.random.rand(), keras.random.uniform(())
        result.append(draws())
    assert result == expected


def test_a_plan_draws_the_numbers_of_its_seed():
    keras.utils.set_random_seed(7)
    expected = draws()
    for _ in range(2):
        with dk.plan(seed=7):
            assert draws() == expected
            assert keras.config.dtype_policy().name == "float32"


def test_a_plan_without_a_seed_draws_different_numbers_at_every_entry():
    def weights():
        with dk.plan(seed=None):
            return dk.Sequential([dk.Classifier(2)]).build((3,)).get_weights()[0]

    assert not np.array_equal(weights(), weights())


def test_an_error_in_a_plan_restores_the_random_state():
    def interrupt():
        np.random.rand()
        raise KeyboardInterrupt

    def enter_plan():
        with pytest.raises(KeyboardInterrupt), dk.plan(seed=3):
            interrupt()

    assert_unchanged_by(enter_plan)


def test_tensorflow_without_a_seed_still_draws_after_a_deterministic_plan():
    def drawn():
        tf.random.set_seed(None)
        with dk.plan(seed=0, deterministic=True):
            pass
        assert devices.is_deterministic()
        return float(tf.random.uniform(()))

    assert drawn() != drawn()


def test_fit_restores_the_random_state():
    net = make_net()  # outside of the action, because Keras draws a seed for its dropout
    assert_unchanged_by(lambda: dk.fit(net, make_data(), validation_data=make_data(), verbose=0))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("stop")], ids=["interrupted", "failed"])
def test_fit_restores_the_random_state_after_an_error(error):
    net = make_net()

    def fit():
        with pytest.raises(type(error)):
            dk.fit(net, make_data(), callbacks=[Interrupt(error)], verbose=0)

    assert_unchanged_by(fit)


def test_fit_of_a_shuffled_dataset_in_a_directory_restores_the_random_state(tmp_path):
    net = make_net()
    tf.random.set_seed(2)
    dataset = tf.data.Dataset.from_tensor_slices(make_data()).shuffle(64).batch(16)
    assert_unchanged_by(lambda: dk.fit(net, dataset, run_dir=tmp_path / "run", verbose=0))


def test_find_learning_rate_restores_the_random_state():
    net = make_net()
    assert_unchanged_by(lambda: dk.find_learning_rate(net, make_data(), steps=12, verbose=0))


def test_a_random_search_around_fit_tries_different_values():
    rates = []
    for _ in range(3):
        rates.append(10 ** np.random.uniform(-4, -1))
        dk.fit(make_net(), make_data(), learning_rate=rates[-1], verbose=0)
    assert len(set(rates)) == 3


def test_dropout_of_a_model_built_under_a_plan_draws_new_units_after_it():
    with dk.plan(seed=3):
        model = make_net().build((4,))
    dropout = model.get_layer("dropout")
    first, second = (np.asarray(dropout(np.ones((1, 100)), training=True)) for _ in range(2))
    assert not np.array_equal(first, second)
