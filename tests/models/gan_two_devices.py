"""Compare a GAN on two logical CPUs with one on a single CPU; the tests run this script in a separate process."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def train(devices, steps=1):
    x = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
    net = dk.GAN([dk.MLP([8]), dk.Regressor(2)], dk.MLP([8]), latent_dim=3, discriminator_steps=steps)
    plan, optimizer = dk.plan(devices=devices, seed=2), keras.optimizers.Adam(0.01)
    return dk.fit(net, (x,), batch_size=16, epochs=2, plan=plan, optimizer=optimizer, verbose=0)


if __name__ == "__main__":
    one, two = train(["CPU:0"]), train(["CPU:0", "CPU:1"])
    for a, b in zip(one.model.weights, two.model.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=a.path)
    np.testing.assert_allclose(one.history["loss"], two.history["loss"], rtol=1e-5)
    with pytest.raises(ValueError, match="discriminator_steps=2 over several devices") as caught:
        train(["CPU:0", "CPU:1"], steps=2)
    assert "\n  hint: use one device, or discriminator_steps=1" in str(caught.value)
    print("equal, refused")
