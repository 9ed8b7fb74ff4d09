"""`fit` suggests to measure mixed_bfloat16 for large networks on CPUs that have instructions for it."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from benchmarks import records
from deepkit.training.precision_hint import EXPECTED, num_multiplications, precision_hint
from deepkit.utils import machine
from recipes.vision.lenet import modern
from recipes.vision.resnet import cifar_resnet

LARGE = dk.Sequential([layers.Conv2D(64, 3, padding="same"), layers.Conv2D(64, 3, padding="same"), dk.Classifier(2)])


@pytest.fixture(autouse=True)
def instructions(monkeypatch):
    flags = ["avx512_bf16"]
    monkeypatch.setattr(machine, "cpu_flags", lambda: flags)
    return flags


def test_multiplications_of_dense_and_convolutional_layers_are_counted():
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5), layers.ReLU()]
    )
    assert num_multiplications(model) == 4 * 4 * (3 * 3 * 3 * 4) + 64 * 5


def test_the_expected_time_is_the_recorded_one():
    rows = records.load(Path(__file__).parents[2] / "benchmarks" / "results.json")
    assert round(rows["resnet20-bfloat16"].summary().ratio.median, 2) == EXPECTED


def test_the_count_of_known_networks():
    assert num_multiplications(cifar_resnet(20).build((32, 32, 3))) == pytest.approx(40.6e6, rel=0.01)
    assert num_multiplications(modern().build((28, 28, 1))) < 1e6


def test_a_large_network_gets_a_hint_on_a_cpu_with_the_instructions(instructions):
    model = LARGE.build((32, 32, 3))
    assert precision_hint(model, dk.plan()).startswith(
        "hint: this CPU has bfloat16 instructions (avx512_bf16), with which a step of ResNet-20 takes 0.93"
    )
    assert precision_hint(model, dk.plan(precision="float32")) is None
    assert precision_hint(LARGE.build((8, 8, 3)), dk.plan()) is None
    instructions.clear()
    assert precision_hint(model, dk.plan()) is None


def test_fit_prints_the_hint(capsys):
    x, y = np.zeros((2, 32, 32, 3), "float32"), np.array([0, 1])
    dk.fit(LARGE, x, y, verbose=2)
    assert "dk.autotune measures precision='mixed_bfloat16'" in capsys.readouterr().out
