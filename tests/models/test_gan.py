"""The adversarial game: its losses, whose weights move when, and all that a Keras model must go through."""

import math
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


def trained(*last):
    return keras.Sequential([keras.Input((2,)), layers.Dense(8, "relu"), *last])


def same(before, after):
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


def test_a_step_of_each_moves_the_weights_of_its_own_network_only():
    model = compiled(toy(norm="batch"))
    before = weights(model.generator), weights(model.discriminator)
    model._step_discriminator(tf.constant(X))
    assert all(same(before[0], weights(model.generator)))
    assert not any(same(before[1], weights(model.discriminator)))
    before = weights(model.generator), weights(model.discriminator)
    model._step_generator(32)
    assert not any(same(before[0], weights(model.generator)))
    assert all(same(before[1], weights(model.discriminator)))


def test_a_discriminator_step_is_gradient_descent_on_its_loss():
    model = compiled(rate=0.5)
    noise = model._draw(32, 7)
    model._draw = lambda count, seed: noise
    with tf.GradientTape() as tape:
        loss = gan._discriminator_loss(model.discriminator(X), model.discriminator(model.generator(noise)))
    gradients = tape.gradient(loss, [weight.value for weight in model.discriminator.trainable_weights])
    expected = [w - 0.5 * np.array(g) for w, g in zip(weights(model.discriminator), gradients, strict=True)]
    model._step_discriminator(tf.constant(X))
    for found, wanted in zip(weights(model.discriminator), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def test_penalties_are_part_of_what_each_network_minimises():
    heavy = {"kernel_regularizer": keras.regularizers.L2(0.25)}
    model = compiled(dk.GAN([dk.MLP([4]), dk.Regressor(2)], layers.Dense(1, **heavy), latent_dim=3))
    kernel = weights(model.discriminator)[0]
    scaled = model._scaled(tf.constant(1.0), model.discriminator, model.discriminator_optimizer)
    assert float(scaled) == pytest.approx(1 + 0.25 * float(np.sum(kernel**2)), rel=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_generator_has_its_turn_after_so_many_batches_counted_across_epochs(steps):
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
    model = dk.fit(net, (X,), batch_size=8, epochs=3, learning_rate=rate, verbose=0).model  # 12 batches, 4 turns
    model.save(tmp_path / "gan.keras")
    for found in (model, keras.models.load_model(tmp_path / "gan.keras")):
        both = found.optimizer, found.discriminator_optimizer
        assert [int(optimizer.iterations) for optimizer in both] == [4, 12]
        schedules = [keras.optimizers.schedules.deserialize(each.get_config()["learning_rate"]) for each in both]
        rates = [
            [float(schedule(step)) for step in range(steps)] for schedule, steps in zip(schedules, (4, 12), strict=True)
        ]
        np.testing.assert_allclose(rates[0], rates[1][2::3], rtol=1e-6)
        assert rates[0][-1] < rates[0][0]


def test_of_two_optimisers_each_schedule_counts_its_own_steps():
    rates = [keras.optimizers.schedules.CosineDecay(0.1, steps) for steps in (4, 12)]
    model = toy(discriminator_steps=3).build((2,))
    model.compile(keras.optimizers.SGD(rates[0]), discriminator_optimizer=keras.optimizers.SGD(rates[1]))
    both = model.optimizer, model.discriminator_optimizer
    assert [each.get_config()["learning_rate"]["config"]["decay_steps"] for each in both] == [4, 12]


def test_every_step_draws_noise_of_its_own():
    drawn = []
    model = compiled()
    draw = model._draw
    model._draw = lambda count, seed: drawn.append(np.array(draw(count, seed))) or drawn[-1]
    model.fit(X, batch_size=16, verbose=0)
    assert [len(noise) for noise in drawn] == [16] * 4
    assert len({noise.tobytes() for noise in drawn}) == 4


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_the_noise_has_mean_0_and_variance_1(prior):
    noise = np.array(toy(prior=prior, latent_dim=50).build((2,))._draw(2000, 0))
    assert abs(noise.mean()) < 0.02
    assert noise.var() == pytest.approx(1, abs=0.02)
    assert (np.abs(noise).max() <= math.sqrt(3)) == (prior == "uniform")


def test_batch_normalisation_learns_in_training_and_rests_in_inference():
    model = compiled(toy(norm="batch"))

    def moving():
        return values(w for w in model.weights if "moving" in w.path)

    before = moving()
    model.evaluate(X, verbose=0)
    model.sample(5, seed=0)
    assert all(same(before, moving()))
    model.fit(X, verbose=0)
    assert not any(same(before, moving()))


def test_the_logs_have_the_loss_that_fit_watches():
    logs = compiled().fit(X, verbose=0).history
    assert logs["loss"][0] == pytest.approx(logs["discriminator_loss"][0] + logs["generator_loss"][0], rel=1e-6)
    assert set(logs) == {"loss", "discriminator_loss", "generator_loss", "real_accuracy", "fake_accuracy"}


@pytest.mark.parametrize("eagerly", [True, False])
def test_an_epoch_without_a_turn_of_the_generator_has_its_loss_all_the_same(eagerly):
    keras.utils.set_random_seed(3)
    model = compiled(toy(discriminator_steps=5), rate=0.0, run_eagerly=eagerly)
    noise = model._draw(8, 7)
    model._draw = lambda count, seed: noise
    history = model.fit(X[:8], batch_size=8, epochs=6, verbose=0).history["generator_loss"]
    expected = float(gan._generator_loss(model.discriminator(model.generator(noise)), "non_saturating"))
    assert history == pytest.approx([expected] * 6, rel=1e-5)  # the fifth is the generator's turn


def test_accuracies_are_of_the_real_and_of_the_generated():
    model = compiled()
    model._track(tf.constant(0.0), tf.constant([[1.0], [2.0], [-1.0], [3.0]]), tf.constant([[-1.0], [2.0]]))
    found = {metric.name: float(metric.result()) for metric in model.metrics}
    assert (found["real_accuracy"], found["fake_accuracy"]) == (0.75, 0.5)


def test_labels_are_ignored_and_weights_of_examples_refused():
    model = compiled()
    model.fit(X, np.arange(32), verbose=0)
    with pytest.raises(ValueError, match="sample_weight: a GAN's examples all count alike"):
        model.fit(X, np.arange(32), sample_weight=np.ones(32), verbose=0)
    with pytest.raises(ValueError, match="sample_weight: a GAN's examples all count alike"):
        model.evaluate(X, np.arange(32), sample_weight=np.ones(32), verbose=0)


def test_validation_and_samples_leave_the_training_as_it_is():
    def trained(disturbed):
        keras.utils.set_random_seed(3)
        model = compiled(run_eagerly=False)
        for _ in range(2):
            model.fit(X, batch_size=16, shuffle=False, verbose=0, validation_data=(X,) if disturbed else None)
            if disturbed:
                model.sample(3)
        return weights(model)

    assert all(same(trained(False), trained(True)))


def test_compiled_by_xla_with_turns_and_several_steps_an_execution(xla):
    model = compiled(toy(norm="batch", discriminator_steps=2), run_eagerly=False, jit_compile=True)
    model.steps_per_execution = 2
    logs = model.fit(X, batch_size=8, verbose=0).history
    assert np.isfinite(logs["loss"][0])
    assert int(model.optimizer.iterations) == 2


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_scales_the_losses_of_both_where_it_must(policy):
    keras.config.set_dtype_policy(policy)
    model = compiled()
    before = weights(model.generator)
    logs = model.fit(X, verbose=0).history
    scales = policy == "mixed_float16"
    for optimizer in (model.optimizer, model.discriminator_optimizer):
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == scales
    assert np.isfinite(logs["loss"][0])
    assert not all(same(before, weights(model.generator)))
    assert model.sample(2, seed=0).dtype == np.float32


def test_the_optimisers_are_two_and_have_their_variables_before_the_first_step():
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
        ({"loss": "mse"}, "loss: a GAN brings its own, received 'mse'\n  hint: compile without loss"),
        ({"metrics": ["mae"]}, "metrics: a GAN brings its own, received ['mae']"),
    ],
)
def test_a_loss_or_metrics_are_refused(arguments, text):
    with pytest.raises(ValueError, match="brings its own") as caught:
        toy().build((2,)).compile("adam", **arguments)
    assert text in str(caught.value)


def test_one_optimiser_for_both_is_refused():
    one = keras.optimizers.SGD()
    with pytest.raises(ValueError, match="one optimiser cannot keep the state of two networks"):
        toy().build((2,)).compile(one, discriminator_optimizer=one)


def test_samples_depend_on_the_seed_alone():
    model = toy().build((2,))
    np.testing.assert_array_equal(model.sample(4, seed=1), model.sample(4, seed=1))
    assert not np.array_equal(model.sample(4, seed=1), model.sample(4, seed=2))
    assert not np.array_equal(model.sample(4), model.sample(4))
    with pytest.raises(ValueError, match="sample: num_samples must be a positive integer, received 0"):
        model.sample(0)


def test_called_it_is_the_discriminator():
    model = toy().build((2,))
    np.testing.assert_array_equal(model(X), model.discriminator(X))
    assert (model.input_shape, model.output_shape) == ((None, 2), (None, 1))


def test_saved_and_loaded_it_goes_on_as_it_was(tmp_path):
    model = compiled(toy(norm="batch", discriminator_steps=2, loss="minimax", prior="uniform"), run_eagerly=False)
    model.compile(keras.optimizers.Adam(0.01), discriminator_optimizer=keras.optimizers.SGD(0.1, momentum=0.5))
    model.fit(X, batch_size=8, verbose=0)
    model.save(tmp_path / "gan.keras")
    again = keras.models.load_model(tmp_path / "gan.keras")
    assert (again.discriminator_steps, again.generator_objective, again.prior) == (2, "minimax", "uniform")
    np.testing.assert_array_equal(again.sample(3, seed=5), model.sample(3, seed=5))
    pairs = ((model, again), (model.optimizer, again.optimizer))
    for one, other in (*pairs, (model.discriminator_optimizer, again.discriminator_optimizer)):
        kept, loaded = (getattr(each, "weights", None) or each.variables for each in (one, other))
        assert all(same(values(kept), values(loaded)))
    again.fit(X, batch_size=8, verbose=0)


class Stop(keras.callbacks.Callback):
    """Ends the training in the middle of its second epoch, if it is to."""

    stateless = True

    def __init__(self, stops):
        super().__init__()
        self.stops = stops

    def on_train_batch_begin(self, batch, logs=None):
        if self.stops and int(self.model.discriminator_optimizer.iterations) == 5:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("without_reports")
def test_fit_drops_the_labels_and_a_resumed_training_is_the_same_to_the_last_bit(tmp_path):
    def fit(folder, stops=False):
        data = dk.data.from_arrays(X, np.arange(32), batch_size=8, validation=8, seed=2)  # three batches an epoch
        net = dk.GAN([dk.MLP([4]), dk.Regressor(2)], dk.MLP([4], dropout=0.5), latent_dim=3, discriminator_steps=2)
        plan = dk.plan(seed=4, devices="cpu", steps_per_execution=1)
        return dk.fit(net, data, epochs=3, run_dir=folder, plan=plan, verbose=0, callbacks=[Stop(stops)])

    assert toy().training_target == "none"
    whole = fit(tmp_path / "whole")
    assert len(whole.history["loss"]) == 3
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped", stops=True)
    resumed = fit(tmp_path / "stopped")
    assert whole.resume == "exact"
    assert whole.history == resumed.history
    first, second = state.capture(whole.model), state.capture(resumed.model)
    for group in first:
        for (path, one), (_, other) in zip(first[group], second[group], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=path)


def test_a_body_that_does_not_end_in_a_logit_gets_a_head():
    model = toy().build((2,))
    assert [layer.name for layer in model.discriminator.layers][-1] == "logit.dense"
    own = dk.GAN([dk.MLP([4]), dk.Regressor(2)], [dk.MLP([4]), layers.Dense(1, name="mine")]).build((2,))
    assert own.discriminator.layers[-1].name == "mine"
    nested = dk.GAN(dk.Regressor(2), [trained(layers.Dense(1)), layers.Activation("linear")]).build((2,))
    assert nested.discriminator.layers[-1].name == "activation"
    image = dk.GAN([layers.Dense(16), layers.Reshape((4, 4, 1))], layers.Conv2D(2, 3), latent_dim=3).build((4, 4, 1))
    assert image.output_shape == (None, 1)


@pytest.mark.parametrize(
    ("definition", "shape", "text"),
    [
        (
            dk.GAN(dk.MLP([16]), dk.MLP([4]), latent_dim=3),
            (4, 4, 1),
            "generator: the generator makes (16,), and the data has (4, 4, 1)\n"
            "  in  dk.GAN(dk.MLP([16]), dk.MLP([4]), latent_dim=3)\n"
            "  hint: layers.Reshape((4, 4, 1)) as its last element",
        ),
        (dk.GAN(dk.MLP([3]), dk.MLP([4])), (2,), "hint: dk.Regressor(2), layers.Reshape((2,)) as its last element"),
        (
            dk.GAN(dk.Regressor(2), dk.Classifier(1, activation="sigmoid")),
            (2,),
            "discriminator.classifier.dense: expected a logit, received a probability",
        ),
        (
            dk.GAN(dk.Regressor(2), trained(layers.Dense(1, activation="sigmoid", name="end"))),
            (2,),
            "discriminator.end: expected a logit, received a probability",
        ),
        (
            dk.GAN(dk.Regressor(2), [layers.Dense(1), layers.ReLU(), layers.Activation("linear")]),
            (2,),
            "discriminator.re_lu: expected a logit, received what is not any number: the discriminator ends in ReLU",
        ),
        (
            dk.GAN(dk.Regressor(2), dk.MLP([8, 1], dropout=0.5)),
            (2,),
            "discriminator.mlp.activation2: expected a logit, received what is not any number: the discriminator ends "
            "in relu\n  in    dk.GAN(dk.Regressor(2), dk.MLP([8, 1], dropout=0.5))\n  hint: activation=None in the last",
        ),
        (dk.GAN(dk.Regressor(2), layers.Conv2D(2, 3)), (2,), "discriminator.conv2d: "),
        (toy(), (None, 2), "GAN.build needs the shape of an example, every size known, received (None, 2)"),
        (toy(), None, "every size known, received None"),
    ],
)
def test_parts_that_do_not_fit_are_refused_with_their_place(definition, shape, text):
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
def test_arguments_that_make_no_sense_are_refused(arguments, text):
    with pytest.raises(dk.DefinitionError) as caught:
        toy(**arguments)
    assert text in str(caught.value)


def test_it_cannot_be_a_part():
    with pytest.raises(dk.DefinitionError, match="gan: a GAN is trained as a whole, and cannot be a part") as caught:
        dk.Sequential([toy(), dk.Classifier(2)]).build((2,))
    assert "hint: model = definition.build(input_shape)" in str(caught.value)


@pytest.mark.slow
def test_over_two_devices_it_is_equal_or_refused():
    script = Path(__file__).with_name("gan_two_devices.py")
    found = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=Path(dk.__file__).parents[1]
    )
    assert found.stdout.strip().endswith("equal, refused"), found.stdout + found.stderr
