"""Learning rates in shares of the training."""

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.models.keras_schedules import WarmUpSchedule
from deepkit.training.schedules import as_schedule, with_rate


def rates(schedule, steps):
    return np.array([float(schedule(step)) for step in range(steps)])


def test_one_cycle_rises_in_a_line_to_its_peak_and_falls_along_half_a_cosine():
    found = rates(dk.OneCycle(2.0, warmup_fraction=0.25, start=0.1, end=0.0).build(100), 101)
    rise = 0.2 + (2.0 - 0.2) * np.arange(25) / 25
    fall = 2.0 * (1 + np.cos(np.pi * np.arange(76) / 75)) / 2
    np.testing.assert_allclose(found, [*rise, *fall], atol=1e-6)


def test_one_cycle_without_a_rise_begins_at_its_peak():
    found = rates(dk.OneCycle(2.0, warmup_fraction=0).build(10), 11)
    assert found.argmax() == 0
    np.testing.assert_allclose(found[[0, -1]], [2.0, 2.0 * 0.0004], rtol=1e-4)


def test_step_decay_falls_at_its_shares_of_the_training():
    found = rates(dk.StepDecay(1.0, milestones=(0.5, 0.8), gamma=0.5).build(10), 10)
    np.testing.assert_allclose(found, [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25])
    few = rates(dk.StepDecay(1.0, milestones=(0.1, 0.5), gamma=0.5).build(2), 2)  # the first share is no whole step
    np.testing.assert_allclose(few, [0.5, 0.25])


@pytest.mark.parametrize(
    "after", [0.3, dk.StepDecay(0.3, milestones=(0.5,)), keras.optimizers.schedules.CosineDecay(0.3, 20)]
)
def test_warm_up_scales_the_first_epochs_and_nothing_after(after):
    found = rates(dk.WarmUp(after, epochs=1.5, start_factor=0.2).build(20, steps_per_epoch=4), 20)
    plain = as_schedule(after, 20, 4)
    whole = rates(plain, 20) if callable(plain) else np.full(20, float(plain))
    share = np.minimum(0.2 + 0.8 * np.arange(20) / 6, 1)
    np.testing.assert_allclose(found, share * whole, rtol=1e-5)


def test_a_warm_up_to_a_number_is_a_schedule_of_keras():
    assert type(dk.WarmUp(0.3).build(20)) is keras.optimizers.schedules.CosineDecay
    found = rates(dk.WarmUp(0.3, epochs=2).build(20, steps_per_epoch=5), 20)
    np.testing.assert_allclose(found, 0.3 * np.minimum(np.arange(20) / 10, 1), rtol=1e-6)


def test_the_rate_of_a_loss_scaling_optimizer_is_that_of_the_one_inside():
    given = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9), initial_scale=8.0)
    made = with_rate(given, dk.OneCycle(0.4), 10, 3)
    inner = made.inner_optimizer
    assert (made.initial_scale, inner.momentum, inner.get_config()["learning_rate"]["class_name"]) == (
        8.0,
        0.9,
        "CosineDecay",
    )
    assert float(given.inner_optimizer.learning_rate) == pytest.approx(0.1)


def test_a_warm_up_comes_back_from_its_config():
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


def test_fit_takes_a_number_and_leaves_the_optimizer_it_was_given_alone():
    x, y = np.zeros((8, 3), "float32"), np.arange(8) % 2
    given = keras.optimizers.SGD(0.1, momentum=0.9)
    run = dk.fit(dk.Classifier(2), (x, y), optimizer=given, learning_rate=0.02, verbose=0)
    config = run.model.optimizer.get_config()
    assert (config["learning_rate"], config["momentum"]) == (pytest.approx(0.02), 0.9)
    assert float(given.learning_rate) == pytest.approx(0.1)


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
        (lambda: dk.StepDecay(0.1, milestones=(0.7, 0.5)), "shares of the training that ascend between 0 and 1"),
        (lambda: dk.StepDecay(0.1, milestones=()), "shares of the training that ascend between 0 and 1"),
        (lambda: dk.WarmUp(0.1, epochs=0), "WarmUp: epochs must be a number above 0, received 0"),
    ],
)
def test_a_number_out_of_range_is_refused(make, expected):
    with pytest.raises(ValueError, match=expected):
        make()


def test_what_is_no_learning_rate_is_refused():
    with pytest.raises(TypeError, match="WarmUp: schedule must be a number or a schedule, received str"):
        dk.WarmUp("fast")
    with pytest.raises(TypeError, match="learning_rate: expected a number or a schedule, received list"):
        dk.fit(dk.Classifier(2), (np.zeros((4, 3)), np.zeros(4, "int32")), learning_rate=[0.1], verbose=0)


def test_a_compiled_model_keeps_its_learning_rate():
    model = dk.Classifier(2).build((3,))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="learning_rate: the model came with its optimiser"):
        dk.fit(model, (np.zeros((4, 3)), np.zeros((4, 2))), learning_rate=0.1, verbose=0)


def test_shares_of_a_training_of_unknown_length_are_refused():
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices((np.zeros((8, 3), "float32"), np.zeros(8, "int32"))).batch(4)
    unknown = batches.filter(lambda *_: True)
    with pytest.raises(ValueError, match="does not say how many batches an epoch has"):
        dk.fit(dk.Classifier(2), unknown, learning_rate=dk.OneCycle(0.1), verbose=0)
