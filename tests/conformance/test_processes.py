"""Checks that need a separate process: one process for all cases."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from deepkit.testing.conformance import make_batch
from tests.conformance.cases import CASES

LOAD_WITHOUT_DEEPKIT = """
import sys
sys.modules["deepkit"] = None  # any import of it fails
import keras, numpy as np
for name in sys.argv[2:]:
    model = keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
    data = np.load(f"{sys.argv[1]}/{name}.npz")
    np.testing.assert_allclose(model(data["x"]), data["y"], rtol=1e-6, atol=1e-6, err_msg=name)
print("loaded", len(sys.argv) - 2)
"""

TWO_DEVICES = """
import numpy as np, tensorflow as tf, keras
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from deepkit.models.agent import AgentModel
from deepkit.models import DeepBeliefNetwork, HopfieldNetwork, PerceptronModel, RecurrentAttentionModel
from deepkit.testing.conformance import make_batch
from tests.conformance.cases import CASES, build
def refuses_several_devices(model):
    try:
        model.compile()
    except ValueError as error:
        return "several devices" in str(error) or "over 2 devices" in str(error)
    return False
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for case in CASES:
    with strategy.scope():
        model = build(case)
        one_device = HopfieldNetwork | PerceptronModel | RecurrentAttentionModel | DeepBeliefNetwork
        if isinstance(model, one_device) or getattr(model, "persistent", False):
            assert refuses_several_devices(model), case.name
            continue
        has_own_loss = type(model).compile is not keras.Model.compile
        model.compile("sgd", loss=None if has_own_loss else "mse", jit_compile=False)
    if isinstance(model, AgentModel):  # it learns from an environment, on one device
        continue
    x = make_batch(case.shape, size=4)
    if case.name == "boltzmann_machine":  # other values than 0 and 1 have an infinite loss
        x = (x > 0).astype("float32")
    y = np.zeros((4, *model.output_shape[1:]), "float32")
    refused = False
    try:
        assert np.all(np.isfinite(model.train_on_batch(x, y))), case.name
    except ValueError as error:
        refused = "HardAttention over several devices" in str(error)
        assert refused, (case.name, str(error))
    assert refused == (case.name == "hard_attention"), case.name
print("trained", len(CASES))
"""


def run(code, *arguments):
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.slow
def test_models_of_keras_layers_load_without_deepkit(tmp_path, built):
    names = [case.name for case in CASES if not case.custom]
    for case in CASES:
        if case.custom:
            continue
        model = built(case)
        x = make_batch(case.shape)
        model.save(tmp_path / f"{case.name}.keras")
        np.savez(tmp_path / f"{case.name}.npz", x=x, y=keras.ops.convert_to_numpy(model(x)))
    assert f"loaded {len(names)}" in run(LOAD_WITHOUT_DEEPKIT, str(tmp_path), *names)


@pytest.mark.slow
def test_every_case_is_trained_on_two_devices():
    assert f"trained {len(CASES)}" in run(TWO_DEVICES)
