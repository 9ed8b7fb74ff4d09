"""Train recipes on two logical CPUs and on one: run by the tests in a separate process."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from recipes.generative import denoising, gan, vae
from recipes.sequence import sentiment

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def images(count=64):
    return np.random.default_rng(0).integers(0, 2, (count, 28, 28, 1)).astype("float32")


def check_equal(net, arrays, **factories):
    """Compare two epochs on two devices with two epochs on one."""
    runs = []
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        data = dk.data.from_arrays(*arrays, batch_size=16, seed=1)
        with dk.plan(devices=devices, seed=2) as plan:
            arguments = {name: make() for name, make in factories.items()}
            runs.append(dk.fit(net, data, epochs=2, plan=plan, verbose=0, **arguments))
    one, two = runs
    for a, b in zip(one.model.trainable_weights, two.model.trainable_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4, err_msg=a.path)  # Adam amplifies rounding errors
    for name in one.history:
        np.testing.assert_allclose(one.history[name], two.history[name], rtol=1e-5, err_msg=name)
    assert one.history["loss"][0] != one.history["loss"][1]
    print(one.model.name, one.history["loss"])


def check_refused(net):
    texts, labels = sentiment.synthetic_reviews(sentiment.Config(), 160).train.arrays()
    with pytest.raises(ValueError, match="strings, which Keras cannot split over 2 devices") as caught:
        dk.fit(net, (texts, labels), batch_size=16, plan=dk.plan(devices=["CPU:0", "CPU:1"]), verbose=0)
    assert "\n  hint: use one device, or convert the strings" in str(caught.value)


if __name__ == "__main__":
    net = vae.definition(vae.Config(units=20, latent_dim=3))
    check_equal(net, (images(),), learning_rate=lambda: dk.OneCycle(4e-3, warmup_fraction=0.05))
    check_equal(vae.definition(vae.Config(units=20, latent_dim=3, num_importance_samples=3)), (images(),))
    check_equal(
        gan.definition(gan.Config(data="ring")),
        (gan.ring(64, seed=0),),
        optimizer=lambda: keras.optimizers.Adam(beta_1=0.5),
        learning_rate=lambda: dk.OneCycle(1e-3, warmup_fraction=0.0),
    )
    filters = denoising.Config(task="filters", units=20)
    check_equal(denoising.autoencoder(filters, noise=0), (images(),), loss=lambda: "mse")
    reviews = np.random.default_rng(0).integers(1, 30, (64, 8)) * (np.arange(8) < np.arange(64)[:, None] % 8 + 1)
    net = sentiment.sentiment("bilstm", vocabulary_size=30, sequence_length=8)
    check_equal(dk.Sequential(net.layers[1:]), (reviews, reviews[:, 0] % 2))  # without dk.Text
    check_refused(net)
    print("all equal, strings refused")
