"""Learning rate schedules relative to the length of the training."""

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.models.keras_schedules import WarmUpSchedule
from deepkit.training.schedules import as_schedule, with_learning_rate


def rates(schedule, steps):
    return np.array([float(schedule(step)) for step in range(steps)])


def test_one_cycle_rises_linearly_to_its_maximum_and_falls_along_half_a_cosine():
    result = rates(dk.OneCycle(2.0, warmup_fraction=0.25, start=0.1, end=0.0).build(100), 101)
    rise = 0.2 + (2.0 - 0.2) * np.arange(25) / 25
    fall = 2.0 * (1 + np.cos(np.pi * np.arange(76) / 75)) / 2
    np.testing.assert_allclose(result, [*rise, *fall], atol=1e-6)


def test_one_cycle_without_warm_up_starts_at_its_maximum():
    result = rates(dk.OneCycle(2.0, warmup_fraction=0).build(10), 11)
    assert result.argmax() == 0
    np.testing.assert_allclose(result[[0, -1]], [2.0, 2.0 * 0.0004], rtol=1e-4)


def test_step_decay_falls_at_its_milestones():
    result = rates(dk.StepDecay(1.0, milestones=(0.5, 0.8), gamma=0.5).build(10), 10)
    np.testing.assert_allclose(result, [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25])
    few = rates(
        dk.StepDecay(1.0, milestones=(0.1, 0.5), gamma=0.5).build(2), 2
    )  # the first milestone is before the end of the first step
    np.testing.assert_allclose(few, [0.5, 0.25])


@pytest.mark.parametrize(
    "schedule", [0.3, dk.StepDecay(0.3, milestones=(0.5,)), keras.optimizers.schedules.CosineDecay(0.3, 20)]
)
def test_warm_up_scales_the_first_epochs_only(schedule):
    result = rates(dk.WarmUp(schedule, epochs=1.5, start_factor=0.2).build(20, steps_per_epoch=4), 20)
    plain = as_schedule(schedule, 20, 4)
    whole = rates(plain, 20) if callable(plain) else np.full(20, float(plain))
    share = np.minimum(0.2 + 0.8 * np.arange(20) / 6, 1)
    np.testing.assert_allclose(result, share * whole, rtol=1e-5)


def test_a_warm_up_to_a_number_is_a_stock_keras_schedule():
    assert type(dk.WarmUp(0.3).build(20)) is keras.optimizers.schedules.CosineDecay
    result = rates(dk.WarmUp(0.3, epochs=2).build(20, steps_per_epoch=5), 20)
    np.testing.assert_allclose(result, 0.3 * np.minimum(np.arange(20) / 10, 1), rtol=1e-6)


def test_a_loss_scale_optimizer_passes_the_rate_to_its_inner_optimizer():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9), initial_scale=8.0)
    copy = with_learning_rate(optimizer, dk.OneCycle(0.4), 10, 3)
    inner = copy.inner_optimizer
    assert (copy.initial_scale, inner.momentum, inner.get_config()["learning_rate"]["class_name"]) == (
        8.0,
        0.9,
        "CosineDecay",
    )
    assert float(optimizer.inner_optimizer.learning_rate) == pytest.approx(0.1)


def test_a_warm_up_is_restored_from_its_config():
    schedule = dk.WarmUp(dk.OneCycle(0.4), epochs=2).build(100, 10)
    again = WarmUpSchedule.from_config(schedule.get_config())
    np.testing.assert_allclose(rates(again, 100), rates(schedule, 100))


def test_fit_counts_the_steps_of_all_epochs():
    x, y = np.zeros((40, 3), "float32"), np.arange(40) % 2
    run = dk.fit(
        dk.Classifier(2), (x, y), epochs=3, batch_size=10, optimizer="sgd", learning_rate=dk.OneCycle(0.4), verbose=0
    )
    schedule = run.model.optimizer.get_config()["learning_rate"]["config"]
    assert type(run.model.optimizer).__name__ == "SGD"
    assert (schedule["warmup_steps"], schedule["decay_steps"]) == (4, 8)  # 3 epochs of 4 steps


def test_fit_accepts_a_number_and_does_not_change_the_optimizer():
    x, y = np.zeros((8, 3), "float32"), np.arange(8) % 2
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    run = dk.fit(dk.Classifier(2), (x, y), optimizer=optimizer, learning_rate=0.02, verbose=0)
    config = run.model.optimizer.get_config()
    assert (config["learning_rate"], config["momentum"]) == (pytest.approx(0.02), 0.9)
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_an_integer_is_a_learning_rate():
    optimizer = with_learning_rate("sgd", 1, 10, 3)
    assert float(optimizer.learning_rate) == 1.0


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: dk.OneCycle(0), "OneCycle: max_learning_rate must be a number above 0, received 0"),
        (
            lambda: dk.OneCycle(1, warmup_fraction=1.0),
            "OneCycle: warmup_fraction must be a number from 0 to below 1, received 1.0",
        ),
        (lambda: dk.OneCycle(1, start=2), "OneCycle: start must be a number from 0 to 1, received 2"),
        (lambda: dk.OneCycle("high"), "OneCycle: max_learning_rate must be a number above 0, received 'high'"),
        (lambda: dk.StepDecay(0.1, milestones=(0.7, 0.5)), "fractions of the training that ascend between 0 and 1"),
        (lambda: dk.StepDecay(0.1, milestones=()), "fractions of the training that ascend between 0 and 1"),
        (lambda: dk.WarmUp(0.1, epochs=0), "WarmUp: epochs must be a number above 0, received 0"),
    ],
)
def test_a_number_out_of_range_raises(make, expected):
    with pytest.raises(ValueError, match=expected):
        make()


def test_other_types_of_learning_rates_raise():
    with pytest.raises(TypeError, match="WarmUp: schedule must be a number or a schedule, received str"):
        dk.WarmUp("fast")
    with pytest.raises(TypeError, match="learning_rate: expected a number or a schedule, received list"):
        dk.fit(dk.Classifier(2), (np.zeros((4, 3)), np.zeros(4, "int32")), learning_rate=[0.1], verbose=0)


def test_a_compiled_model_keeps_its_learning_rate():
    model = dk.Classifier(2).build((3,))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="learning_rate: a compiled model is trained with its own optimizer"):
        dk.fit(model, (np.zeros((4, 3)), np.zeros((4, 2))), learning_rate=0.1, verbose=0)


def test_a_relative_schedule_needs_the_number_of_batches():
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((np.zeros((8, 3), "float32"), np.zeros(8, "int32"))).batch(4)
    unknown = batches.filter(lambda *_: True)
    with pytest.raises(ValueError, match="the number of batches in an epoch of the data is unknown"):
        dk.fit(dk.Classifier(2), unknown, learning_rate=dk.OneCycle(0.1), verbose=0)
