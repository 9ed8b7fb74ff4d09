"""The plan: choices, reasons, errors, and the global state that entering it changes and restores."""

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
        "gradient_accumulation_steps": 1,
    }


def test_every_choice_has_a_reason_and_a_row():
    table = dk.plan(devices="CPU:0").explain().splitlines()
    assert len(table) == 1 + len(dk.plan(devices="CPU:0").choices())
    reason_at = table[0].index("reason")
    assert all(len(line) > reason_at and line[reason_at - 1] == " " for line in table)
    assert str(dk.plan(devices="CPU:0")) == "\n".join(table)


def test_replacing_a_choice_replaces_its_reason():
    plan = dk.plan(devices="CPU:0")
    changed = plan.replace(reason="a test", steps_per_execution=2)
    assert (changed.steps_per_execution, dict(changed.reasons)["steps_per_execution"]) == (2, "a test")
    assert plan.replace(steps_per_execution=2).reasons == plan.reasons


def test_the_plan_lists_the_fields_left_auto(no_gpu):
    assert dk.plan().auto_fields == ("precision", "jit_compile", "steps_per_execution")
    assert dk.plan(precision="float32", steps_per_execution=1).auto_fields == ("jit_compile",)


def test_a_plan_is_a_value():
    assert dk.plan(devices="CPU:0") == dk.plan(devices="/device:cpu:0")
    assert hash(dk.plan(seed=1)) == hash(dk.plan(seed=1))
    assert dk.plan(seed=1) != dk.plan(seed=2)
    assert dk.plan(devices="CPU:0", precision="float32") == dk.plan(devices="CPU:0")  # only auto_fields differ


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
def test_precision_follows_the_compute_capability_of_the_gpu(capability, policy):
    assert choices.precision("auto", capability, on_gpu=True)[0] == policy


def test_all_gpus_are_used_with_their_own_defaults(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "GPU:0", "GPU:1"))
    monkeypatch.setattr(devices, "capability", lambda names: (8, 6))
    monkeypatch.setattr(devices, "grow_memory", lambda names, probe=False: False)
    monkeypatch.setattr(devices, "is_deterministic", lambda: False)
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
    assert "the global dtype policy" in dict(plan.reasons)["precision"]


def test_entering_changes_the_policy_and_leaving_restores_it():
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


def test_an_error_inside_restores_the_policy_too():
    with pytest.raises(KeyError), dk.plan(precision="float64"):
        raise KeyError
    assert keras.config.dtype_policy().name == "float32"
    assert current() is None


def test_entering_restarts_from_the_seed():
    def draw():
        with dk.plan(devices="CPU:0", seed=11):
            return np.random.rand(), float(keras.random.uniform(())), dk.Sequential([dk.Classifier(2)]).build((3,))

    (a, b, first), (c, d, second) = draw(), draw()
    assert (a, b) == (c, d)
    assert all(np.array_equal(x, y) for x, y in zip(first.get_weights(), second.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"devices": 99}, "devices=99: expected a number from 1 to"),
        ({"devices": ["TPU:0"]}, "there is no 'TPU:0' here, TensorFlow offers CPU:0"),
        ({"devices": "CPU:7"}, "set_logical_device_configuration"),
        ({"devices": []}, "expected 'auto', a number, or a list of names"),
        ({"devices": ["CPU:0", "cpu:0"]}, "CPU:0 is named more than once"),
        ({"precision": "half"}, "precision must be one of 'auto', 'float32'"),
        ({"precision": "half"}, "received 'half'"),
        ({"jit_compile": 1}, "jit_compile must be one of 'auto', True, False, received 1"),
        ({"deterministic": "no"}, "deterministic must be one of 'auto', True, False, received 'no'"),
        ({"steps_per_execution": 0}, "hint: use 'auto' or a positive integer"),
        ({"steps_per_execution": "four"}, "steps_per_execution must be a positive integer, received 'four'"),
        ({"seed": -1}, "seed must be an integer of at least 0, received -1"),
        ({"seed": 2**32}, "seed must be at most 4,294,967,295, received 4294967296"),
    ],
)
def test_an_invalid_argument_is_reported_with_the_expected_values(arguments, expected):
    with pytest.raises(ValueError, match="\n  hint: ") as caught:
        dk.plan(**arguments)
    assert expected in str(caught.value)


def test_numpy_numbers_are_accepted():
    plan = dk.plan(devices=np.int64(1), steps_per_execution=np.int32(4), seed=np.int64(3), jit_compile=np.bool_(False))
    assert (plan.steps_per_execution, plan.seed, plan.jit_compile) == (4, 3, False)
    assert {type(plan.steps_per_execution), type(plan.seed)} == {int}


def test_cpus_and_gpus_cannot_be_mixed(monkeypatch):
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "GPU:0"))
    with pytest.raises(ValueError, match="CPUs and GPUs cannot train one model together"):
        dk.plan(devices=["CPU:0", "GPU:0"])


@pytest.mark.parametrize("unsupported", [{"jit_compile": True}, {"steps_per_execution": 4}])
def test_settings_that_keras_does_not_support_over_several_devices_raise(monkeypatch, unsupported):
    monkeypatch.setattr(devices, "available", lambda: ("CPU:0", "CPU:1"))
    with pytest.raises(ValueError, match="with 2 devices"):
        dk.plan(devices=["CPU:0", "CPU:1"], **unsupported)


def test_xla_and_determinism_exclude_each_other(monkeypatch):
    plan = dk.plan(devices="CPU:0", jit_compile=True)
    assert (plan.jit_compile, plan.deterministic) == (True, False)
    assert "Keras compiles with XLA only without determinism" in dict(plan.reasons)["deterministic"]
    with pytest.raises(ValueError, match="hint: set only one of them to True"):
        dk.plan(devices="CPU:0", jit_compile=True, deterministic=True)
    monkeypatch.setattr(devices, "is_deterministic", lambda: True)
    with pytest.raises(ValueError, match="an earlier plan made this process deterministic"):
        plan.__enter__()


def test_another_backend_raises(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        dk.plan()


def test_a_plan_cannot_be_entered_inside_another_strategy():
    with (
        tf.distribute.OneDeviceStrategy("/CPU:0").scope(),
        pytest.raises(ValueError, match="another distribution strategy"),
    ):
        dk.plan(devices="CPU:0").__enter__()
