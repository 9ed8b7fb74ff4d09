"""Gradient accumulation: equal to a larger batch, exact on resume, and refused if it would differ silently."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, optimizers

import deepkit as dk
from deepkit.training.errors import RunDirError
from deepkit.training.gradient_accumulation import accumulate, accumulation_steps
from deepkit.training.plan_json import plan_fields, plan_from_json, plan_to_json
from deepkit.training.precompiled import check_precompiled
from deepkit.training.schedules import with_learning_rate

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(96, 6)).astype("float32"), rng.integers(0, 2, 96)
NET = dk.Sequential([dk.MLP([8], activation="tanh"), dk.Classifier(2)])


def fit(steps, batch_size, net=NET, x=X, epochs=3, precision="float32", **options):
    plan = dk.plan(seed=2, gradient_accumulation_steps=steps, precision=precision)
    options = {"shuffle": False, "verbose": 0, **options}
    return dk.fit(net, x, Y[: len(x)], batch_size=batch_size, epochs=epochs, plan=plan, **options)


def check_equal(run, other, tolerance=1e-6):
    for variable, expected in zip(run.model.trainable_variables, other.model.trainable_variables, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=0, atol=tolerance, err_msg=variable.path)


DECAY = optimizers.schedules.CosineDecay(0.1, 9)
OPTIMIZERS = {
    "momentum": optimizers.SGD(0.1, momentum=0.9),
    "Adam": optimizers.Adam(0.01),
    "clipping": optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=0.1),
    "schedule": optimizers.SGD(DECAY, momentum=0.9, weight_decay=0.01),
    "several": optimizers.MultiOptimizer(
        optimizers.OptimizerMap(optimizers.SGD(0.1), {"mlp.*": optimizers.Adam(0.01)})
    ),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in OPTIMIZERS if name != "schedule"]


@pytest.mark.parametrize("name", ["schedule", *SLOW])
def test_accumulated_batches_equal_a_larger_batch(name):
    run = fit(4, 8, optimizer=OPTIMIZERS[name])
    check_equal(run, fit("auto", 32, optimizer=OPTIMIZERS[name]))
    assert run.plan.gradient_accumulation_steps == 4


@pytest.mark.slow
@pytest.mark.parametrize("rate", [dk.OneCycle(0.1), dk.WarmUp(dk.StepDecay(0.1), epochs=1.5)])
def test_relative_schedules_count_updates(rate):
    expected = fit("auto", 32, learning_rate=rate)
    check_equal(fit(4, 8, learning_rate=rate), expected)
    optimizer = optimizers.Adam(gradient_accumulation_steps=4)
    check_equal(fit("auto", 8, learning_rate=rate, optimizer=optimizer), expected)


def test_a_keras_schedule_counts_batches_if_the_optimizer_has_its_own_number():
    optimizer = with_learning_rate(optimizers.SGD(gradient_accumulation_steps=4), DECAY, 12, 3, accumulation_steps=4)
    accumulate(optimizer, dk.plan())
    assert isinstance(optimizer._learning_rate, type(DECAY))


@pytest.mark.slow
def test_mixed_float16_scales_the_loss_of_each_batch():
    run = fit(4, 8, precision="mixed_float16")
    assert isinstance(run.model.optimizer, optimizers.LossScaleOptimizer)
    assert run.model.optimizer.inner_optimizer.gradient_accumulation_steps == 4
    check_equal(run, fit("auto", 32, precision="mixed_float16"), tolerance=1e-3)  # 10 bits of a float16


@pytest.mark.slow
def test_a_model_with_its_own_loss():
    net = dk.VAE(dk.MLP([8]), latent_dim=2, decoder=dk.MLP([8]), likelihood="gaussian")
    run = dk.fit(net, X, batch_size=8, epochs=1, plan=dk.plan(gradient_accumulation_steps=4), verbose=0)
    assert int(run.model.optimizer.iterations) == 3


@pytest.mark.slow
def test_a_run_that_is_stopped_within_a_group_resumes_exactly(tmp_path):
    expected = fit(2, 32, epochs=4, shuffle=True)  # three batches in an epoch
    fit(2, 32, epochs=1, shuffle=True, run_dir=tmp_path)
    run = fit(2, 32, epochs=4, shuffle=True, run_dir=tmp_path)
    assert run.resume == "exact"
    assert int(run.model.optimizer.iterations) == 6
    for variable, other in zip(run.model.variables, expected.model.variables, strict=True):
        np.testing.assert_array_equal(variable, other)


@pytest.mark.slow
def test_another_number_is_another_run(tmp_path):
    fit(2, 32, epochs=1, run_dir=tmp_path)
    with pytest.raises(RunDirError, match=r"plan.gradient_accumulation_steps: stored 2, now 3"):
        fit(3, 32, epochs=2, run_dir=tmp_path)
    run = dk.fit(NET, X, Y, batch_size=32, epochs=2, shuffle=False, run_dir=tmp_path, verbose=0)  # keeps its plan
    assert run.plan.gradient_accumulation_steps == 2
    assert "an update every 2 batches of 32: effective batch size 64" in run.report.read_text()


def test_plans_without_accumulation_are_those_of_earlier_versions():
    plan = dk.plan()
    assert "gradient_accumulation_steps" not in plan_fields(plan)
    stored = plan_to_json(plan)
    del stored["gradient_accumulation_steps"]
    assert plan_from_json(stored) == plan


def test_the_optimizers_own_number_is_kept():
    optimizer = optimizers.Adam(gradient_accumulation_steps=4)
    plan = accumulate(optimizer, dk.plan())
    assert plan.gradient_accumulation_steps == 4
    assert dict(plan.reasons)["gradient_accumulation_steps"] == "the optimizer was created with it"
    assert accumulation_steps(optimizer, dk.plan(gradient_accumulation_steps=4)) == 4


def test_a_compiled_model_keeps_its_number():
    model = NET.build((6,))
    model.compile(optimizers.Adam(gradient_accumulation_steps=2), "mse", jit_compile=False)
    compiled = check_precompiled(model, dk.plan(gradient_accumulation_steps=3), {})
    assert compiled.plan.gradient_accumulation_steps == 2
    assert compiled.notes == (
        "gradient_accumulation_steps=3 of the plan has no effect: the model is already compiled with 2",
    )


@pytest.mark.slow
def test_fit_prints_the_effective_batch_size(capsys):
    fit(4, 8, epochs=1, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("seed 2; an update every 4 batches of 8: effective batch size 32")
    assert not any(line.startswith("accumulating") for line in lines)


def notes(capsys, *args, **options):
    fit(*args, **options, epochs=1, verbose=2)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("accumulating")]
    return line


@pytest.mark.slow
def test_fit_prints_why_a_larger_batch_would_differ(capsys):
    normalized = dk.Sequential([dk.MLP([4], norm=layers.BatchNormalization(momentum=0.5)), dk.Classifier(2)])
    assert notes(capsys, 4, 8, normalized) == (
        "accumulating 4 batches does not equal batches 4 times as large: batch normalization uses the statistics of "
        "each batch"
    )
    line = notes(capsys, 2, 40)
    assert "the last batch of an epoch has 16 examples and counts as much as the others" in line
    assert "2 does not divide the 3 batches of an epoch" in line
    tokens = dk.Sequential([layers.Embedding(5, 4), layers.Flatten(), dk.Classifier(2)])
    assert "a row of an Embedding that occurs several times" in notes(
        capsys, 2, 48, tokens, x=rng.integers(0, 5, (96, 3))
    )


@pytest.mark.slow
def test_batches_of_a_dataset_of_unknown_size():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    plan = dk.plan(gradient_accumulation_steps=4)
    run = dk.fit(NET, dataset, plan=plan, verbose=0)
    assert int(run.model.optimizer.iterations) == 3


class Uncopyable(optimizers.SGD):
    """An optimizer whose config lacks an argument."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor


GAN = dk.GAN([dk.MLP([4]), dk.Regressor(6)], dk.MLP([4]), latent_dim=2)
PERCEPTRON = dk.Sequential([dk.Perceptron()])


def sgd(variable):
    return optimizers.SGD()


@pytest.mark.parametrize(
    ("steps", "options", "text"),
    [
        (4, {"optimizer": optimizers.Adam(use_ema=True)}, r"with use_ema=True(.|\n)*hint: use use_ema=False"),
        (4, {"optimizer": Uncopyable(1.0)}, r"Uncopyable cannot be copied(.|\n)*hint: pass gradient_accumulation"),
        (3, {"optimizer": optimizers.SGD(gradient_accumulation_steps=4)}, r"=3 of the plan(.|\n)*created with .*=4"),
        (13, {"epochs": 1}, r"the training has 12 batches, fewer than one update needs"),
        (2, {"net": PERCEPTRON}, r"the model has no optimizer(.|\n)*hint: use gradient_accumulation_steps='auto'"),
        (2, {"optimizer": optimizers.MultiOptimizer(sgd)}, "the optimizer MultiOptimizer cannot be copied"),
    ],
)
def test_what_would_differ_is_refused(steps, options, text):
    with pytest.raises(ValueError, match=text):
        fit(steps, 8, **options)


def test_a_gan_is_refused():
    with pytest.raises(ValueError, match=r"has 2 optimizers, expected 1(.|\n)*hint: use"):
        dk.fit(GAN, X, plan=dk.plan(gradient_accumulation_steps=2), verbose=0)


@pytest.mark.slow
def test_each_rate_of_the_range_test_has_its_update():
    plan = dk.plan(gradient_accumulation_steps=4)
    result = dk.find_learning_rate(NET, X, Y, batch_size=8, steps=20, plan=plan, verbose=0)
    expected = dk.find_learning_rate(NET, X, Y, batch_size=32, steps=20, verbose=0)
    np.testing.assert_allclose(result.losses[:15], expected.losses[:15], rtol=1e-4)


@pytest.mark.slow
def test_a_saved_model_continues_within_the_group(tmp_path):
    run = fit(2, 32, epochs=1)
    run.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.gradient_accumulation_steps == 2
    for variable, other in zip(loaded.optimizer.variables, run.model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(variable, other)
