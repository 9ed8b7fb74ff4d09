"""The learning rate range test: its losses, its suggestion, and that the model is restored."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.training import learning_rate, state
from deepkit.training.learning_rate import smooth, steepest
from tests.execution.crashing import images


@pytest.fixture(autouse=True)
def one_cpu(no_gpu):
    """Use the CPU."""


def linear_model(optimizer="sgd", **compile_args):
    """Return a compiled model of one weight, whose best value is 3."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer, "mse", **compile_args)
    return model


ONES = np.ones((8, 1), "float32"), np.full((8, 1), 3.0, "float32")


def run_test(net, data=ONES, **options):
    return dk.find_learning_rate(net, data, **{"steps": 20, "batch_size": 4, "verbose": 0} | options)


def gradient_descent(rates):
    """Return the losses (w - 3)^2 of gradient descent with these rates, from w = 0."""
    weight, losses = 0.0, []
    for rate in rates:
        losses.append((weight - 3) ** 2)
        weight -= rate * 2 * (weight - 3)
    return losses


def test_rates_rise_by_a_constant_factor_and_each_step_uses_its_own():
    result = run_test(linear_model(), smallest=1e-3, largest=0.5)
    np.testing.assert_allclose(result.rates, np.geomspace(1e-3, 0.5, 20))
    np.testing.assert_allclose(result.losses, gradient_descent(result.rates), rtol=1e-4)
    assert result.stopped == ""


def test_the_test_stops_when_the_loss_explodes():
    result = run_test(linear_model(), smallest=0.1, largest=1e6, steps=40)
    expected = gradient_descent(np.geomspace(0.1, 1e6, 40))
    assert 5 < len(result.losses) < 40
    np.testing.assert_allclose(result.losses, expected[: len(result.losses)], rtol=1e-3, atol=1e-5)
    recent = [np.median(result.losses[max(0, i - 4) : i + 1]) for i in range(len(result.losses))]
    threshold = min(recent[4:]) + 3 * (9 - min(recent[4:]))
    assert recent[-1] > threshold >= max(recent[4:-1])
    assert result.stopped == f"the loss explodes at {result.rates[-1]:.2g}"
    assert result.stopped in str(result)


def test_the_test_stops_at_a_nan_loss_and_omits_it():
    class NanAbove(keras.losses.Loss):
        def __init__(self, limit=0.1, **kwargs):
            super().__init__(**kwargs)
            self.limit = limit

        def get_config(self):
            return {"limit": self.limit}

        def call(self, y, outputs):
            return keras.ops.where(outputs > self.limit, np.nan, (y - outputs) ** 2)

    net = dk.Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    result = run_test(net, smallest=1e-3, largest=1.0, optimizer="sgd", loss=NanAbove())
    expected = gradient_descent(result.rates)
    assert 0 < len(result.losses) < 20
    np.testing.assert_allclose(result.losses, expected, rtol=1e-4)
    assert result.stopped.startswith("the loss is nan at ")
    with pytest.raises(
        ValueError, match=r"the loss is nan at 0\.001, the smallest rate\n  hint: pass a smaller smallest="
    ):
        run_test(net, (ONES[0], np.full((8, 1), 9.0)), smallest=1e-3, optimizer="sgd", loss=NanAbove(limit=-1.0))


def test_the_suggestion_is_at_the_steepest_fall_before_the_minimum():
    positions = np.linspace(-3, 3, 121)
    rates = 10.0**positions
    fall = 2.0 - np.tanh(2 * (positions + 1)) + np.exp(5 * (positions - 1.5))
    assert steepest(rates, fall, smooth(fall, 121)) == pytest.approx(0.1, rel=0.06)
    drop_after = np.where(positions > 2, -20 * (positions - 2), 0) + np.where(positions > 1, 30.0, 0) + fall
    assert steepest(rates, drop_after, drop_after) == pytest.approx(0.1, rel=0.06)
    assert steepest(rates, positions + 5, positions + 5) is None
    assert steepest(rates, np.ones(121), np.ones(121)) is None
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=121)
        assert steepest(rates, noise, smooth(noise, 121)) is None
        assert steepest(rates, fall + 0.1 * noise, smooth(fall + 0.1 * noise, 121)) == pytest.approx(0.1, rel=0.6)


def test_smoothing_keeps_a_constant_and_averages_neighbors():
    np.testing.assert_allclose(smooth(np.full(30, 4.0), 100), 4.0)
    noise = np.random.default_rng(0).normal(size=300)
    assert smooth(noise, 300)[50:250].std() < 0.3 * noise.std()
    spike = smooth(np.eye(21)[10], 100)
    assert spike.argmax() == 10
    np.testing.assert_allclose(spike[:10], spike[:10:-1])


def stateful_model(optimizer, steps_per_execution=1):
    """Return a compiled model with every kind of state: moving averages, dropout, moments, metrics."""
    keras.utils.set_random_seed(1)
    model = dk.Sequential([layers.Flatten(), layers.BatchNormalization(), layers.Dropout(0.5), dk.Classifier(2)])
    model = model.build((6, 6, 1))
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
        steps_per_execution=steps_per_execution,
    )
    return model


def test_a_compiled_model_is_restored_exactly_and_trains_on_as_before():
    data = images(32)
    models = [stateful_model(keras.optimizers.Adam(3e-3), steps_per_execution=2) for _ in range(2)]
    for model in models:
        model.fit(*data, batch_size=8, verbose=0, shuffle=False)
    before = state.capture(models[0])
    attributes = {name: vars(models[0])[name] for name in learning_rate._MODEL_ATTRIBUTES}
    assert len(run_test(models[0], data, smallest=1e-4, largest=1.0).losses) == 20
    after = state.capture(models[0])
    assert {name: [path for path, _ in group] for name, group in after.items()} == {
        name: [path for path, _ in group] for name, group in before.items()
    }
    for name, group in before.items():
        for (path, value), (_, now) in zip(group, after[name], strict=True):
            np.testing.assert_array_equal(now, value, err_msg=path)
    assert {name: vars(models[0])[name] for name in learning_rate._MODEL_ATTRIBUTES} == attributes
    histories = [model.fit(*data, batch_size=8, verbose=0, shuffle=False).history for model in models]
    assert histories[0] == histories[1]
    for one, other in zip(models[0].variables, models[1].variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_schedule_is_replaced_and_restored():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
    model = linear_model(keras.optimizers.SGD(schedule))
    model.fit(*ONES, verbose=0)
    before = state.capture(model)
    result = run_test(model, smallest=1e-3, largest=0.4)
    assert model.optimizer._learning_rate is schedule
    np.testing.assert_equal(state.capture(model), before)
    start = float(before["model"][0][1].item())
    assert result.losses[0] == pytest.approx((start - 3) ** 2, rel=1e-4)
    assert result.losses[1] == pytest.approx((3 - start) ** 2 * (1 - 2 * result.rates[0]) ** 2, rel=1e-4)


def test_a_model_that_was_never_trained_is_restored():
    model = stateful_model("adam")
    weights = model.get_weights()
    run_test(model, images(32))
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert not any(np.asarray(v).any() for v in model.optimizer.variables if "learning_rate" not in v.path)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)
    assert not any(np.asarray(v).any() for v in model.metrics_variables)
    assert "history" not in vars(model)
    assert model.train_function is None


def test_a_definition_is_built_anew_and_its_shared_layers_are_restored():
    shared = layers.Dense(4, name="own")
    shared.build((None, 36))
    net = dk.Sequential([layers.Flatten(), shared, dk.Classifier(2)])
    before = shared.get_weights()
    first = run_test(net, images(32), plan=dk.plan(seed=3))
    assert all(np.array_equal(a, b) for a, b in zip(before, shared.get_weights(), strict=True))
    again = run_test(net, images(32), plan=dk.plan(seed=3))
    np.testing.assert_array_equal(first.losses, again.losses)


def test_a_definition_accepts_optimizer_loss_and_datasets_as_in_fit():
    data = dk.data.from_arrays(*ONES, batch_size=4)
    net = dk.Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    options = {"smallest": 1e-3, "largest": 0.5, "batch_size": None}
    result = run_test(net, data, optimizer="sgd", loss="mse", **options)
    np.testing.assert_allclose(result.losses, gradient_descent(result.rates), rtol=1e-4)
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices(ONES).batch(4)
    np.testing.assert_array_equal(run_test(net, batches, optimizer="sgd", loss="mse", **options).losses, result.losses)


class TwoOptimizers(keras.Model):
    """Trains two weights, each with its own optimizer, and reports two losses."""

    def __init__(self):
        super().__init__()
        self.one = layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        self.two = layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        self.trackers = [keras.metrics.Mean(name="one_loss"), keras.metrics.Mean(name="two_loss")]

    @property
    def metrics(self):
        return self.trackers

    def build(self, shape):
        self.one.build(shape)
        self.two.build(shape)

    def compile(self, **kwargs):
        super().compile(optimizer=keras.optimizers.SGD(0.1), loss=None, **kwargs)
        self.other_optimizer = keras.optimizers.SGD(0.1)
        self.build((None, 1))
        self.other_optimizer.build(self.two.trainable_variables)
        self.optimizer.build(self.one.trainable_variables)

    def call(self, x):
        return self.one(x) + self.two(x)

    def train_step(self, data):
        import tensorflow as tf

        x, y = data
        for layer, optimizer, tracker in zip(
            (self.one, self.two), (self.optimizer, self.other_optimizer), self.trackers, strict=True
        ):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(layer(x) - y))
            optimizer.apply(tape.gradient(loss, layer.trainable_weights), layer.trainable_weights)
            tracker.update_state(loss)
        return {tracker.name: tracker.result() for tracker in self.trackers}


def test_a_model_with_its_own_training_step_uses_the_rate_in_all_optimizers():
    model = TwoOptimizers()
    model.compile()
    result = run_test(model, smallest=1e-3, largest=0.5)
    np.testing.assert_allclose(result.losses, 2 * np.array(gradient_descent(result.rates)), rtol=1e-4)
    assert [float(o.learning_rate) for o in state.optimizers(model)] == pytest.approx([0.1, 0.1])
    assert not np.asarray(model.one.kernel).any()


def test_the_range_test_works_in_half_precision():
    model = dk.Sequential([dk.MLP([8]), dk.Classifier(2)])
    result = run_test(
        model, (np.random.default_rng(0).random((32, 4)), np.arange(32) % 2), plan=dk.plan(precision="mixed_float16")
    )
    assert len(result.losses) == 20


def test_the_plot_shows_the_losses_and_the_suggestion():
    result = run_test(linear_model(), smallest=1e-3, largest=0.5)
    [axes] = result.plot().axes
    each, smoothed, mark = axes.lines
    np.testing.assert_array_equal(each.get_ydata(), result.losses)
    np.testing.assert_array_equal(smoothed.get_ydata(), result.smoothed)
    assert mark.get_xdata() == [result.suggestion]
    assert axes.get_xscale() == "log"
    flat = run_test(linear_model(), (ONES[0], np.zeros((8, 1))), smallest=1e-3, largest=0.5)
    assert flat.suggestion is None
    assert "does not fall" in repr(flat)
    assert len(flat.plot().axes[0].lines) == 2


def test_the_explosion_of_the_loss_does_not_hide_its_fall_in_the_plot():
    rates, losses = np.geomspace(1e-4, 1, 5), np.array([1.0, 1.0, 0.5, 0.2, 80.0])
    result = learning_rate.LearningRateTest(rates, losses, losses, 1e-2, "the loss explodes at 1")
    lower, upper = result.plot().axes[0].get_ylim()
    assert lower < 0.2
    assert 1.0 < upper < 2.0


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match=r"expected 0 < smallest < largest, received 1\.0 and 0\.1"):
        run_test(linear_model(), smallest=1.0, largest=0.1)
    with pytest.raises(ValueError, match=r"steps must be an integer of at least 10, received 3\n  hint: use steps=100"):
        run_test(linear_model(), steps=3)
    with pytest.raises(TypeError, match="plan: expected a Plan, received str"):
        run_test(linear_model(), plan="fast")
    with pytest.raises(ValueError, match="optimizer: a compiled model is trained with its own"):
        run_test(linear_model(), optimizer="adam")


def test_progress_is_printed(capsys):
    run_test(linear_model(), smallest=1e-3, largest=0.5, verbose=2)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "learning rates from 0.001 to 0.5 in 20 steps"
    assert printed[1].startswith("20 rates from 0.001 to 0.5: steepest at 0.")
