"""The plan: choices, reasons, errors, and what entering it changes and puts back."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.execution import choices, devices
from deepkit.execution.plan import current


def test_auto_on_a_machine_without_gpus(no_gpu):
    plan = dk.plan()
    assert plan.choices() == {
        "devices": ("CPU:0",),
        "strategy": "none",
        "precision": "float32",
        "jit_compile": False,
        "steps_per_execution": 16,
        "memory_growth": None,
        "seed": 0,
        "deterministic": True,
        "measure": False,
    }


def test_every_choice_has_a_reason_and_a_row():
    table = dk.plan(devices="CPU:0").explain().splitlines()
    assert len(table) == 1 + len(dk.plan(devices="CPU:0").choices())
    reason_at = table[0].index("reason")
    assert all(len(line) > reason_at and line[reason_at - 1] == " " for line in table)
    assert str(dk.plan(devices="CPU:0")) == "\n".join(table)


def test_a_plan_is_a_value():
    assert dk.plan(devices="CPU:0") == dk.plan(devices="/device:cpu:0")
    assert hash(dk.plan(seed=1)) == hash(dk.plan(seed=1))
    assert dk.plan(seed=1) != dk.plan(seed=2)


@pytest.mark.parametrize(
    ("capability", "policy"),
    [
        ((9, 0), "mixed_bfloat16"),
        ((8, 0), "mixed_bfloat16"),
        ((7, 5), "mixed_float16"),
        ((6, 1), "float32"),
        (None, "float32"),
    ],
)
def test_precision_follows_the_gpu(capability, policy):
    assert choices.precision("auto", capability, on_gpu=True)[0] == policy


def test_gpus_are_all_taken_and_get_their_choices(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "GPU:0", "GPU:1"))
    monkeypatch.setattr(devices, "capability", lambda names: (8, 6))
    monkeypatch.setattr(devices, "grow_memory", lambda names, probe=False: False)
    monkeypatch.setattr(devices, "repeats_bits", lambda: False)
    several = dk.plan()
    assert several.devices == ("GPU:0", "GPU:1")
    assert (several.strategy, several.steps_per_execution, several.jit_compile) == ("mirrored", 1, False)
    assert not several.deterministic
    assert "had started the GPUs before" in dict(several.reasons)["memory_growth"]
    one = dk.plan(devices=1)
    assert one.devices == ("GPU:0",)
    assert (one.precision, one.jit_compile, one.steps_per_execution) == ("mixed_bfloat16", True, choices.GPU_STEPS)
    assert dk.plan(devices="GPU:1", deterministic=True).jit_compile is False


def test_a_policy_set_by_the_user_is_kept():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        plan = dk.plan(devices="CPU:0")
    finally:
        keras.config.set_dtype_policy("float32")
    assert plan.precision == "mixed_float16"
    assert "global policy in force" in dict(plan.reasons)["precision"]


def test_entering_sets_and_leaving_restores():
    outer, inner = dk.plan(precision="mixed_bfloat16", seed=3), dk.plan(precision="float64", seed=4)
    with outer:
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        with inner:
            assert current() == inner
            with inner:
                assert keras.config.dtype_policy().name == "float64"
            assert keras.config.dtype_policy().name == "float64"
        assert (keras.config.dtype_policy().name, current()) == ("mixed_bfloat16", outer)
    assert (keras.config.dtype_policy().name, current()) == ("float32", None)


def test_an_error_inside_restores_too():
    with pytest.raises(KeyError), dk.plan(precision="float64"):
        raise KeyError
    assert keras.config.dtype_policy().name == "float32"
    assert current() is None


def test_the_seed_starts_at_each_entering():
    def drawn():
        with dk.plan(devices="CPU:0", seed=11):
            return np.random.rand(), float(keras.random.uniform(())), dk.Sequential([dk.Classifier(2)]).build((3,))

    (a, b, first), (c, d, second) = drawn(), drawn()
    assert (a, b) == (c, d)
    assert all(np.array_equal(x, y) for x, y in zip(first.get_weights(), second.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"devices": 99}, "devices=99: expected a number from 1 to"),
        ({"devices": ["TPU:0"]}, "there is no 'TPU:0' here, TensorFlow offers CPU:0"),
        ({"devices": "CPU:7"}, "set_logical_device_configuration"),
        ({"devices": []}, "expected 'auto', a number, or a list of names"),
        ({"devices": ["CPU:0", "cpu:0"]}, "CPU:0 is named more than once"),
        ({"precision": "half"}, "precision='half': expected 'auto' or one of float32"),
        ({"jit_compile": 1}, "jit_compile=1: expected 'auto', True or False"),
        ({"deterministic": "no"}, "deterministic='no': expected 'auto', True or False"),
        ({"steps_per_execution": 0}, "expected 'auto' or a whole number from 1"),
        ({"seed": -1}, "seed=-1: expected a whole number"),
        ({"measure": "yes"}, "measure='yes': expected True or False"),
    ],
)
def test_wrong_arguments_say_what_is_expected(arguments, said):
    with pytest.raises(ValueError, match="\n  hint: ") as caught:
        dk.plan(**arguments)
    assert said in str(caught.value)


def test_cpus_and_gpus_do_not_mix(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "GPU:0"))
    with pytest.raises(ValueError, match="CPUs and GPUs cannot train one model together"):
        dk.plan(devices=["CPU:0", "GPU:0"])


@pytest.mark.parametrize("wrong", [{"jit_compile": True}, {"steps_per_execution": 4}])
def test_several_devices_refuse_what_keras_cannot_do(monkeypatch, wrong):
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "CPU:1"))
    with pytest.raises(ValueError, match="with 2 devices"):
        dk.plan(devices=["CPU:0", "CPU:1"], **wrong)


def test_xla_and_determinism_exclude_each_other(monkeypatch):
    plan = dk.plan(devices="CPU:0", jit_compile=True)
    assert (plan.jit_compile, plan.deterministic) == (True, False)
    assert "Keras compiles with XLA only without it" in dict(plan.reasons)["deterministic"]
    with pytest.raises(ValueError, match="hint: one of them without the other"):
        dk.plan(devices="CPU:0", jit_compile=True, deterministic=True)
    monkeypatch.setattr(devices, "repeats_bits", lambda: True)
    with pytest.raises(ValueError, match="an earlier plan made this process deterministic"):
        plan.__enter__()


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        dk.plan()


def test_a_plan_is_not_entered_inside_another_strategy():
    with (
        tf.distribute.OneDeviceStrategy("/CPU:0").scope(),
        pytest.raises(ValueError, match="another distribution strategy"),
    ):
        dk.plan(devices="CPU:0").__enter__()
