"""GAN: losses, training steps, optimizers, saving and errors."""

import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.models import gan
from deepkit.training import state

X = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")


def toy(norm=None, **kwargs):
    return dk.GAN([dk.MLP([4], norm=norm), dk.Regressor(2)], dk.MLP([4], norm=norm), **{"latent_dim": 3, **kwargs})


def compiled(definition=None, rate=0.1, **kwargs):
    model = (definition or toy()).build((2,))
    model.compile(keras.optimizers.SGD(rate), **{"run_eagerly": True, "jit_compile": False, **kwargs})
    return model


def values(variables):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def weights(network):
    return values(network.trainable_weights)


def discriminator_ending_in(*last):
    return keras.Sequential([keras.Input((2,)), layers.Dense(8, "relu"), *last])


def equal(before, after):
    return [bool(np.array_equal(a, b)) for a, b in zip(before, after, strict=True)]


def test_the_losses_are_those_of_section_3():
    real, fake = np.array([[2.0], [-0.5]]), np.array([[1.0], [-3.0]])
    p_real, p_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    assert float(gan._discriminator_loss(real, fake)) == pytest.approx(-np.mean(np.log(p_real) + np.log(1 - p_fake)))
    assert float(gan._generator_loss(fake, "minimax")) == pytest.approx(np.mean(np.log(1 - p_fake)))
    assert float(gan._generator_loss(fake, "non_saturating")) == pytest.approx(-np.mean(np.log(p_fake)))


def test_losses_of_large_logits_are_finite():
    large = np.array([[80.0], [-80.0]], "float32")
    assert float(gan._discriminator_loss(large, large)) == pytest.approx(80.0)
    assert float(gan._generator_loss(large, "non_saturating")) == pytest.approx(40.0)


def test_an_undecided_discriminator_has_the_loss_of_theorem_1():
    model = compiled()
    for weight in model.discriminator.weights:
        weight.assign(np.zeros(weight.shape))
    assert model.evaluate(X, verbose=0, return_dict=True)["discriminator_loss"] == pytest.approx(math.log(4))


def test_each_step_changes_only_the_weights_of_its_network():
    model = compiled(toy(norm="batch"))
    before = weights(model.generator), weights(model.discriminator)
    model._step_discriminator(tf.constant(X))
    assert all(equal(before[0], weights(model.generator)))
    assert not any(equal(before[1], weights(model.discriminator)))
    before = weights(model.generator), weights(model.discriminator)
    model._step_generator(32)
    assert not any(equal(before[0], weights(model.generator)))
    assert all(equal(before[1], weights(model.discriminator)))


def test_a_discriminator_step_is_gradient_descent_on_its_loss():
    model = compiled(rate=0.5)
    noise = model._draw_noise(32, 7)
    model._draw_noise = lambda count, seed: noise
    with tf.GradientTape() as tape:
        loss = gan._discriminator_loss(model.discriminator(X), model.discriminator(model.generator(noise)))
    gradients = tape.gradient(loss, [weight.value for weight in model.discriminator.trainable_weights])
    expected = [w - 0.5 * np.array(g) for w, g in zip(weights(model.discriminator), gradients, strict=True)]
    model._step_discriminator(tf.constant(X))
    for actual, desired in zip(weights(model.discriminator), expected, strict=True):
        np.testing.assert_allclose(actual, desired, rtol=1e-5, atol=1e-7)


def test_penalties_are_part_of_the_objective_of_each_network():
    regularizer = {"kernel_regularizer": keras.regularizers.L2(0.25)}
    model = compiled(dk.GAN([dk.MLP([4]), dk.Regressor(2)], layers.Dense(1, **regularizer), latent_dim=3))
    kernel = weights(model.discriminator)[0]
    objective = model._objective(tf.constant(1.0), tf.zeros((4, 2)), model.discriminator, model.discriminator_optimizer)
    assert float(objective) == pytest.approx(1 + 0.25 * float(np.sum(kernel**2)), rel=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_generator_steps_are_counted_across_epochs(steps):
    model = compiled(toy(discriminator_steps=steps), run_eagerly=False)
    model.fit(X, batch_size=8, epochs=1, verbose=0)  # four batches
    model.fit(X[:16], batch_size=8, epochs=1, verbose=0)  # two more
    assert int(model.discriminator_optimizer.iterations) == 6
    assert int(model.optimizer.iterations) == 6 // steps


@pytest.mark.parametrize(
    "rate", [dk.OneCycle(0.1, warmup_fraction=0.2), keras.optimizers.schedules.CosineDecay(0.1, 12)]
)
def test_a_schedule_counts_batches_for_both_networks(rate, tmp_path):
    net = toy(discriminator_steps=3)
    model = dk.fit(
        net, (X,), batch_size=8, epochs=3, learning_rate=rate, verbose=0
    ).model  # 12 batches, 4 generator steps
    model.save(tmp_path / "gan.keras")
    for each_model in (model, keras.models.load_model(tmp_path / "gan.keras")):
        both = each_model.optimizer, each_model.discriminator_optimizer
        assert [int(optimizer.iterations) for optimizer in both] == [4, 12]
        schedules = [keras.optimizers.schedules.deserialize(each.get_config()["learning_rate"]) for each in both]
        rates = [
            [float(schedule(step)) for step in range(steps)] for schedule, steps in zip(schedules, (4, 12), strict=True)
        ]
        np.testing.assert_allclose(rates[0], rates[1][2::3], rtol=1e-6)
        assert rates[0][-1] < rates[0][0]


def test_with_two_optimizers_each_schedule_counts_its_own_steps():
    rates = [keras.optimizers.schedules.CosineDecay(0.1, steps) for steps in (4, 12)]
    model = toy(discriminator_steps=3).build((2,))
    model.compile(keras.optimizers.SGD(rates[0]), discriminator_optimizer=keras.optimizers.SGD(rates[1]))
    both = model.optimizer, model.discriminator_optimizer
    assert [each.get_config()["learning_rate"]["config"]["decay_steps"] for each in both] == [4, 12]


def test_every_step_draws_new_noise():
    drawn = []
    model = compiled()
    draw = model._draw_noise
    model._draw_noise = lambda count, seed: drawn.append(np.array(draw(count, seed))) or drawn[-1]
    model.fit(X, batch_size=16, verbose=0)
    assert [len(noise) for noise in drawn] == [16] * 4
    assert len({noise.tobytes() for noise in drawn}) == 4


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_the_noise_has_mean_0_and_variance_1(prior):
    noise = np.array(toy(prior=prior, latent_dim=50).build((2,))._draw_noise(2000, 0))
    assert abs(noise.mean()) < 0.02
    assert noise.var() == pytest.approx(1, abs=0.02)
    assert (np.abs(noise).max() <= math.sqrt(3)) == (prior == "uniform")


def test_batch_normalization_is_updated_only_in_training():
    model = compiled(toy(norm="batch"))

    def moving():
        return values(w for w in model.weights if "moving" in w.path)

    before = moving()
    model.evaluate(X, verbose=0)
    model.sample(5, seed=0)
    assert all(equal(before, moving()))
    model.fit(X, verbose=0)
    assert not any(equal(before, moving()))


def test_the_logs_have_the_sum_of_both_losses():
    logs = compiled().fit(X, verbose=0).history
    assert logs["loss"][0] == pytest.approx(logs["discriminator_loss"][0] + logs["generator_loss"][0], rel=1e-6)
    assert set(logs) == {"loss", "discriminator_loss", "generator_loss", "real_accuracy", "fake_accuracy"}


@pytest.mark.parametrize("eagerly", [True, False])
def test_an_epoch_without_a_generator_step_reports_its_loss(eagerly):
    keras.utils.set_random_seed(3)
    model = compiled(toy(discriminator_steps=5), rate=0.0, run_eagerly=eagerly)
    noise = model._draw_noise(8, 7)
    model._draw_noise = lambda count, seed: noise
    history = model.fit(X[:8], batch_size=8, epochs=6, verbose=0).history["generator_loss"]
    expected = float(gan._generator_loss(model.discriminator(model.generator(noise)), "non_saturating"))
    assert history == pytest.approx([expected] * 6, rel=1e-5)  # the fifth batch has a generator step


def test_accuracies_of_real_and_of_generated_examples():
    model = compiled()
    model._update_discriminator_metrics(
        tf.constant(0.0), tf.constant([[1.0], [2.0], [-1.0], [3.0]]), tf.constant([[-1.0], [2.0]])
    )
    results = {metric.name: float(metric.result()) for metric in model.metrics}
    assert (results["real_accuracy"], results["fake_accuracy"]) == (0.75, 0.5)


def test_labels_are_ignored_and_sample_weights_refused():
    model = compiled()
    model.fit(X, np.arange(32), verbose=0)
    with pytest.raises(ValueError, match="sample_weight: a GAN does not support weights of examples"):
        model.fit(X, np.arange(32), sample_weight=np.ones(32), verbose=0)
    with pytest.raises(ValueError, match="sample_weight: a GAN does not support weights of examples"):
        model.evaluate(X, np.arange(32), sample_weight=np.ones(32), verbose=0)


def test_validation_and_sampling_do_not_change_the_training():
    def train(disturbed):
        keras.utils.set_random_seed(3)
        model = compiled(run_eagerly=False)
        for _ in range(2):
            model.fit(X, batch_size=16, shuffle=False, verbose=0, validation_data=(X,) if disturbed else None)
            if disturbed:
                model.sample(3)
        return weights(model)

    assert all(equal(train(False), train(True)))


def test_xla_with_discriminator_steps_and_several_steps_per_execution(xla):
    model = compiled(toy(norm="batch", discriminator_steps=2), run_eagerly=False, jit_compile=True)
    model.steps_per_execution = 2
    logs = model.fit(X, batch_size=8, verbose=0).history
    assert np.isfinite(logs["loss"][0])
    assert int(model.optimizer.iterations) == 2


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_float16_scales_both_losses(policy):
    keras.config.set_dtype_policy(policy)
    model = compiled()
    before = weights(model.generator)
    logs = model.fit(X, verbose=0).history
    scales = policy == "mixed_float16"
    for optimizer in (model.optimizer, model.discriminator_optimizer):
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == scales
    assert np.isfinite(logs["loss"][0])
    assert not all(equal(before, weights(model.generator)))
    assert model.sample(2, seed=0).dtype == np.float32


def test_both_optimizers_have_their_variables_before_the_first_step():
    model = toy().build((2,))
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5))
    assert state.optimizers(model) == [model.optimizer, model.discriminator_optimizer]
    assert model.discriminator_optimizer.beta_1 == 0.5
    for optimizer, network in (
        (model.optimizer, model.generator),
        (model.discriminator_optimizer, model.discriminator),
    ):
        assert len(optimizer.variables) == 2 + 2 * len(network.trainable_weights)
    model.compile("adam", discriminator_optimizer=keras.optimizers.SGD(0.5))
    assert isinstance(model.discriminator_optimizer, keras.optimizers.SGD)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"loss": "mse"}, "loss: a GAN has its own losses and metrics, received 'mse'\n  hint: compile without loss"),
        ({"metrics": ["mae"]}, "metrics: a GAN has its own losses and metrics, received ['mae']"),
    ],
)
def test_a_loss_or_metrics_are_refused(arguments, text):
    with pytest.raises(ValueError, match="has its own losses and metrics") as caught:
        toy().build((2,)).compile("adam", **arguments)
    assert text in str(caught.value)


def test_one_optimizer_object_for_both_networks_is_refused():
    optimizer = keras.optimizers.SGD()
    with pytest.raises(ValueError, match="one optimizer cannot hold the state of two networks"):
        toy().build((2,)).compile(optimizer, discriminator_optimizer=optimizer)


def test_samples_depend_only_on_the_seed():
    model = toy().build((2,))
    np.testing.assert_array_equal(model.sample(4, seed=1), model.sample(4, seed=1))
    assert not np.array_equal(model.sample(4, seed=1), model.sample(4, seed=2))
    assert not np.array_equal(model.sample(4), model.sample(4))
    with pytest.raises(ValueError, match="sample: num_samples must be a positive integer, received 0"):
        model.sample(0)


def test_a_call_runs_the_discriminator():
    model = toy().build((2,))
    np.testing.assert_array_equal(model(X), model.discriminator(X))
    assert (model.input_shape, model.output_shape) == ((None, 2), (None, 1))


def test_a_loaded_model_has_the_same_state_and_continues_training(tmp_path):
    model = compiled(toy(norm="batch", discriminator_steps=2, loss="minimax", prior="uniform"), run_eagerly=False)
    model.compile(keras.optimizers.Adam(0.01), discriminator_optimizer=keras.optimizers.SGD(0.1, momentum=0.5))
    model.fit(X, batch_size=8, verbose=0)
    model.save(tmp_path / "gan.keras")
    restored = keras.models.load_model(tmp_path / "gan.keras")
    assert (restored.discriminator_steps, restored.generator_objective, restored.prior) == (2, "minimax", "uniform")
    np.testing.assert_array_equal(restored.sample(3, seed=5), model.sample(3, seed=5))
    pairs = ((model, restored), (model.optimizer, restored.optimizer))
    for one, other in (*pairs, (model.discriminator_optimizer, restored.discriminator_optimizer)):
        expected, actual = (getattr(each, "weights", None) or each.variables for each in (one, other))
        assert all(equal(values(expected), values(actual)))
    restored.fit(X, batch_size=8, verbose=0)


class Stop(keras.callbacks.Callback):
    """Interrupt the second epoch if the environment says so; an argument would make it another run."""

    stateless = True

    def on_train_batch_begin(self, batch, logs=None):
        if "STOP_TRAINING" in os.environ and int(self.model.discriminator_optimizer.iterations) == 5:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("without_reports")
def test_fit_drops_the_labels_and_resumes_bit_exactly(tmp_path, monkeypatch):
    def fit(folder):
        data = dk.data.from_arrays(X, np.arange(32), batch_size=8, validation=8, seed=2)  # three batches an epoch
        net = dk.GAN([dk.MLP([4]), dk.Regressor(2)], dk.MLP([4], dropout=0.5), latent_dim=3, discriminator_steps=2)
        plan = dk.plan(seed=4, devices="cpu", steps_per_execution=1)
        return dk.fit(net, data, epochs=3, run_dir=folder, plan=plan, verbose=0, callbacks=[Stop()])

    assert toy().training_target == "none"
    whole = fit(tmp_path / "whole")
    assert len(whole.history["loss"]) == 3
    monkeypatch.setenv("STOP_TRAINING", "1")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped")
    monkeypatch.delenv("STOP_TRAINING")
    resumed = fit(tmp_path / "stopped")
    assert whole.resume == "exact"
    assert whole.history == resumed.history
    first, second = state.capture(whole.model), state.capture(resumed.model)
    for group in first:
        for (path, one), (_, other) in zip(first[group], second[group], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=path)


def test_a_discriminator_without_a_logit_gets_a_head():
    model = toy().build((2,))
    assert [layer.name for layer in model.discriminator.layers][-1] == "logit.dense"
    explicit = dk.GAN([dk.MLP([4]), dk.Regressor(2)], [dk.MLP([4]), layers.Dense(1, name="mine")]).build((2,))
    assert explicit.discriminator.layers[-1].name == "mine"
    nested = dk.GAN(dk.Regressor(2), [discriminator_ending_in(layers.Dense(1)), layers.Activation("linear")]).build(
        (2,)
    )
    assert nested.discriminator.layers[-1].name == "activation"
    image = dk.GAN([layers.Dense(16), layers.Reshape((4, 4, 1))], layers.Conv2D(2, 3), latent_dim=3).build((4, 4, 1))
    assert image.output_shape == (None, 1)


@pytest.mark.parametrize(
    ("definition", "shape", "text"),
    [
        (
            dk.GAN(dk.MLP([16]), dk.MLP([4]), latent_dim=3),
            (4, 4, 1),
            "the generator returns (16,), but the data has the shape (4, 4, 1)\n"
            "  at    generator\n"
            "  in    dk.GAN(dk.MLP([16]), dk.MLP([4]), latent_dim=3)\n"
            "  hint: use layers.Reshape((4, 4, 1)) as its last element",
        ),
        (dk.GAN(dk.MLP([3]), dk.MLP([4])), (2,), "hint: use dk.Regressor(2), layers.Reshape((2,)) as its last element"),
        (
            dk.GAN(dk.Regressor(2), dk.Classifier(1, activation="sigmoid")),
            (2,),
            "expected a logit, received a probability, and the losses contain the sigmoid: the discriminator ends in "
            "sigmoid\n  at    discriminator.classifier.dense\n",
        ),
        (
            dk.GAN(dk.Regressor(2), discriminator_ending_in(layers.Dense(1, activation="sigmoid", name="end"))),
            (2,),
            "expected a logit, received a probability, and the losses contain the sigmoid: the discriminator ends in "
            "sigmoid\n  at    discriminator.end\n",
        ),
        (
            dk.GAN(dk.Regressor(2), [layers.Dense(1), layers.ReLU(), layers.Activation("linear")]),
            (2,),
            "expected a logit, received a restricted range: the discriminator ends in ReLU\n"
            "  at    discriminator.re_lu\n",
        ),
        (
            dk.GAN(dk.Regressor(2), dk.MLP([8, 1], dropout=0.5)),
            (2,),
            "expected a logit, received a restricted range: the discriminator ends in relu\n"
            "  at    discriminator.mlp.activation2\n"
            "  in    dk.GAN(dk.Regressor(2), dk.MLP([8, 1], dropout=0.5))\n"
            "  hint: use activation=None in the last",
        ),
        (dk.GAN(dk.Regressor(2), layers.Conv2D(2, 3)), (2,), "\n  at    discriminator.conv2d\n"),
        (toy(), (None, 2), "GAN.build needs the shape of an example with all sizes, received (None, 2)"),
        (toy(), None, "the shape of an example with all sizes, received None"),
    ],
)
def test_bodies_with_wrong_outputs_are_refused_with_their_path(definition, shape, text):
    with pytest.raises(dk.DefinitionError) as caught:
        definition.build(shape)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"latent_dim": 0}, "GAN: latent_dim must be a positive integer, received 0"),
        ({"discriminator_steps": 0}, "GAN: discriminator_steps must be a positive integer, received 0"),
        ({"loss": "wasserstein"}, "GAN: loss must be one of 'non_saturating', 'minimax', received 'wasserstein'"),
        ({"prior": "gaussian"}, "GAN: prior must be one of 'normal', 'uniform', received 'gaussian'"),
    ],
)
def test_invalid_arguments_are_refused(arguments, text):
    with pytest.raises(dk.DefinitionError) as caught:
        toy(**arguments)
    assert text in str(caught.value)


def test_it_cannot_be_an_element_of_another_model():
    with pytest.raises(
        dk.DefinitionError, match=r"a GAN is trained as a whole and cannot be part of another model\n  at    gan\n"
    ) as caught:
        dk.Sequential([toy(), dk.Classifier(2)]).build((2,))
    assert "hint: use model = definition.build(input_shape)" in str(caught.value)


@pytest.mark.slow
def test_two_devices_equal_one_or_are_refused():
    script = Path(__file__).with_name("gan_two_devices.py")
    completed = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=Path(dk.__file__).parents[1]
    )
    assert completed.stdout.strip().endswith("equal, refused"), completed.stdout + completed.stderr
