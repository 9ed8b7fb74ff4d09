"""Keras loads every file of deepkit after `import deepkit`: one process, which imports nothing else of deepkit."""

import importlib
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit import layers as dkl
from deepkit.definition.rematerialization import Rematerialized
from deepkit.losses import (
    GaussianNegativeLogLikelihood,
    MetricOfMean,
    MovingBaseline,
    MulticlassHinge,
    SmoothedCrossentropy,
)
from deepkit.models.keras_schedules import PerStepSchedule, PerUpdateSchedule, WarmUpSchedule
from deepkit.utils import keras_registration

LOAD = """
import json, sys
import deepkit, keras
assert not [name for name in sys.modules if name.startswith(("deepkit.layers", "deepkit.models", "deepkit.losses"))]
folder = sys.argv[1]
for name, config in json.load(open(f"{folder}/configs.json")).items():
    restored = keras.saving.deserialize_keras_object(config)
    assert type(restored).__name__ == name, (restored, name)
    assert keras.saving.get_registered_name(type(restored)) == f"deepkit>{name}"
model = keras.models.load_model(f"{folder}/gaussian.keras")
assert type(model.loss).__name__ == "GaussianNegativeLogLikelihood", model.loss
assert keras.models.load_model(f"{folder}/vae.keras").sample(3, seed=0).shape == (3, 4)
model.save(f"{folder}/again.keras")
try:
    keras.models.load_model(f"{folder}/custom.keras")
except Exception as error:
    print(error)
"""


@keras.saving.register_keras_serializable(package="tests")
class Double(keras.layers.Layer):
    """A layer of a user."""

    def call(self, x):
        """Return twice the input."""
        return 2 * x


def objects():
    """Return an object of each registered class."""
    layers = keras.layers
    vae = dk.VAE(dk.MLP([4]), latent_dim=2, decoder=dk.MLP([4])).build((4,))
    gan = dk.GAN(dk.MLP([4]), discriminator=dk.MLP([4]), latent_dim=2).build((4,))
    text = dk.Text(6, vocabulary=("a", "b"))
    seq2seq = dk.Seq2Seq(text, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("lstm", 8), embedding_dim=5).build()
    language_model = dk.LanguageModel(text, decoder=dk.Recurrent("lstm", 8), embedding_dim=5).build()
    captioner = dk.Captioner([dk.ConvBlock(3)], text=text, decoder=dk.Recurrent("gru", 8), embedding_dim=5).build(
        (4, 4, 1)
    )
    glimpses = dk.RecurrentAttention(2, num_glimpses=2, glimpse_size=2, units=2).build((4, 4, 1))
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    inputs = keras.Input((3,))
    return [
        dkl.ChannelMax(), dkl.DateFeatures(), dkl.FanInUniform(), dkl.GaussianSampling(),
        dkl.Glimpse(3), dkl.HardAttention(),
        dkl.ImputedNormalization([0], mean=[0.0], variance=[1.0]), dkl.L2Pooling(),
        dkl.LocalResponseNormalization(), dkl.MaskedMerge(layers.Add()), dkl.MaskedPooling1D("avg"),
        dkl.MaskingNoise(0.3), dkl.Maxout(3), dkl.MeanAndStddev(), dkl.MultiHeadCrossAttention(2, 4),
        dkl.PolarFeatures(), dkl.PositionEmbedding(), dkl.QuadraticFeatures(), dkl.RBF([[0.5] * 6]),
        dkl.SaltAndPepperNoise(0.5), dkl.StochasticDepth(0.3), dkl.Subsampling2D(), dkl.TableConv2D([(0, 1)], 3),
        dkl.Threshold(0.5), dkl.TiedConv(layers.Conv2D(2, 3)), dkl.TiedDense(3), dkl.WeightedAveragePooling(5),
        dkl.TokenIds(max_tokens=9, vocabulary=["a", "b"]), dkl.UnrolledBidirectional(layers.LSTM(3, unroll=True)),
        GaussianNegativeLogLikelihood(), MulticlassHinge(2.0), SmoothedCrossentropy(0.1), MovingBaseline(),
        MetricOfMean(keras.metrics.MeanSquaredError()),
        PerStepSchedule(schedule, 2), PerUpdateSchedule(schedule, 2), WarmUpSchedule(schedule, 5), vae, gan, seq2seq,
        language_model, captioner, glimpses, dk.Perceptron().build((2,)),
        dk.RBM(3).build((4,)), dk.BoltzmannMachine(2).build((4,)), dk.DBN([3, 2]).build((4,)),
        dk.Hopfield(2).build(), dk.HelmholtzMachine([2]).build((2,)),
        dk.DQN([dk.Regressor(2)]).build((2,)), dk.Reinforce([dk.Classifier(2)]).build((2,)),
        dk.ActorCritic(dk.Classifier(2), dk.Regressor(1)).build((2,)),
        Rematerialized(inputs, layers.Dense(2)(inputs)),
    ]  # fmt: skip


def registered_names():
    """Return the names that the modules of deepkit register."""
    for module in {**keras_registration.CLASS_MODULES, **keras_registration.FUNCTION_MODULES}.values():
        importlib.import_module(module)
    names = [name for name in keras.saving.get_custom_objects() if name.startswith("deepkit>")]
    return {name.removeprefix("deepkit>") for name in names}


def test_the_table_names_every_registered_class():
    """Also those of modules that `deepkit.models` imports and the table lacks."""
    importlib.import_module("deepkit.models")
    tables = keras_registration.CLASS_MODULES | keras_registration.FUNCTION_MODULES
    assert registered_names() == set(tables)
    for name, module in tables.items():
        registered = keras.saving.get_custom_objects()[f"deepkit>{name}"]
        assert registered is getattr(importlib.import_module(module), name)
        assert registered.__module__ == module


def test_keras_loads_every_class_after_import_deepkit(tmp_path):
    configs = {type(item).__name__: keras.saving.serialize_keras_object(item) for item in objects()}
    assert set(configs) == set(keras_registration.CLASS_MODULES)
    (tmp_path / "configs.json").write_text(json.dumps(configs))
    body = [dk.MLP([4], activation=dkl.scaled_tanh), dk.Regressor(2, distribution="gaussian")]
    run = dk.fit(dk.Sequential(body), (np.zeros((8, 3)), np.zeros((8, 2))), learning_rate=dk.OneCycle(0.1), verbose=0)
    run.model.save(tmp_path / "gaussian.keras")
    patterns = np.eye(4, dtype="float32")
    vae = dk.fit(dk.VAE(dk.MLP([4]), latent_dim=2, decoder=dk.MLP([4])), (patterns,), verbose=0)
    vae.model.save(tmp_path / "vae.keras")
    dk.Sequential([Double(), dk.MLP([3])]).build((3,)).save(tmp_path / "custom.keras")
    process = subprocess.run([sys.executable, "-c", LOAD, tmp_path], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    assert "Could not locate class 'Double'" in process.stdout
    assert "'module': 'tests.conformance.test_loading'" in process.stdout
    loaded = keras.models.load_model(tmp_path / "again.keras")
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(loaded(x), run.model(x))


def test_a_stand_in_restores_the_class_itself():
    stand_in = keras_registration._class_stand_in("RBF", "deepkit.layers.rbf")
    config = dkl.RBF([[0.5] * 6]).get_config()
    assert type(stand_in.from_config(config)) is dkl.RBF
    function = keras_registration._function_stand_in("scaled_tanh", "deepkit.layers.squash")
    np.testing.assert_array_equal(function(np.ones(3)), dkl.scaled_tanh(np.ones(3)))
    assert function.__name__ == "scaled_tanh"


def test_the_import_hook_is_removed_after_keras_is_imported():
    assert not [finder for finder in sys.meta_path if isinstance(finder, keras_registration._KerasFinder)]
    assert keras_registration._KerasFinder().find_spec("numpy", None) is None


@pytest.mark.parametrize("name", ["deepkit>RBF", "deepkit>scaled_tanh"])
def test_registration_keeps_a_class_that_is_already_registered(name):
    registered_names()
    before = keras.saving.get_custom_objects()[name]
    keras_registration.register_classes()
    assert keras.saving.get_custom_objects()[name] is before
