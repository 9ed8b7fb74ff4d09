"""The choices of a plan: one function for each field, which returns the value and the reason for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import keras

from deepkit.execution import devices as _devices
from deepkit.utils.errors import message
from deepkit.utils.validation import check_choice, check_integer, is_flag

Auto = Literal["auto"]
REQUESTED = "requested"
"""The beginning of the reason for a choice that the user made."""

GPU_STEPS = 16
CPU_STEPS = 16  # measured on LeNet-5, batches of 128, two cores: 4.9 ms a step with 1, 3.9 with 16, 3.8 with 64
_POLICIES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
_MINIMUM_CAPABILITY = {"mixed_bfloat16": 8, "mixed_float16": 7}


def check_backend() -> None:
    """Raise unless Keras runs on TensorFlow, the only backend that deepkit supports."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            message(
                f"deepkit runs Keras on TensorFlow, but Keras was started with the backend {backend!r}",
                hint="set KERAS_BACKEND=tensorflow in the environment before Keras is imported",
            )
        )


def precision(requested: object, capability: tuple[int, int] | None, on_gpu: bool) -> tuple[str, str]:
    """Return the name of the dtype policy: mixed precision if the GPU has tensor cores for it.

    Args:
        requested: `"auto"` or the name of a policy.
        capability: CUDA compute capability of the GPUs, or None if it is unknown.
        on_gpu: Whether the plan runs on GPUs.
    """
    requested = check_choice(requested, "precision", ("auto", *_POLICIES), hint="use precision='auto'")
    global_policy = keras.config.dtype_policy().name
    if requested != "auto":
        replaced = (
            f"; replaces the global dtype policy {global_policy}" if global_policy not in ("float32", requested) else ""
        )
        return requested, REQUESTED + replaced + _slow_on_cpu(requested, on_gpu)
    if global_policy != "float32":
        _check_trainable(global_policy)
        return global_policy, "the global dtype policy, as set in keras.config"
    if not on_gpu:
        return "float32", "lower precision is rarely faster on a CPU, and less accurate"
    if capability is None:
        return "float32", "the compute capability of the GPU is unknown"
    version = "compute capability " + ".".join(map(str, capability))
    for policy, minimum in _MINIMUM_CAPABILITY.items():
        if capability[0] >= minimum:
            return policy, f"{version} has tensor cores for it; variables and results stay float32"
    return "float32", f"{version} has no tensor cores"


def _check_trainable(global_policy: str) -> None:
    """Raise if a plan cannot train under the global dtype policy: a quantized policy, or a `DTypePolicyMap`."""
    if global_policy in _POLICIES:
        return
    hint = 'use keras.config.set_dtype_policy("float32"), and dtype= of the layers that need another precision'
    if "_from_" in global_policy:
        hint = 'use keras.config.set_dtype_policy("float32"), and model.quantize() after the training'
    raise ValueError(
        message(
            f"precision: a plan cannot train under the global dtype policy {global_policy!r}; it supports "
            f"{', '.join(_POLICIES)}",
            hint=hint,
        )
    )


def _slow_on_cpu(policy: str, on_gpu: bool) -> str:
    return "" if on_gpu or "16" not in policy else "; mostly slower than float32 on a CPU"


def determinism(requested: object, devices: tuple[str, ...], jit_compile: object = "auto") -> tuple[bool, str]:
    """Return whether every run with the same seed computes the same bits.

    Args:
        requested: `"auto"`, True or False.
        devices: Names of the devices.
        jit_compile: The request for XLA, which excludes determinism.
    """
    requested = _check_flag_or_auto(requested, "deterministic")
    jit_compile = _check_flag_or_auto(jit_compile, "jit_compile")
    scope = "holds for the whole process once the plan is entered"
    if requested is True and jit_compile is True:
        raise ValueError(
            message(
                "jit_compile=True with deterministic=True: Keras does not compile with XLA if determinism is enabled",
                hint="set only one of them to True",
            )
        )
    if requested is True:
        return True, f"{REQUESTED}; {scope}"
    if requested is False:
        return False, f"{REQUESTED}; resume is approximate without it"
    if jit_compile is True:
        return False, "jit_compile=True was requested, and Keras compiles with XLA only without determinism"
    if len(devices) > 1:
        return False, "sums across devices have no fixed order"
    if devices[0].startswith("GPU"):
        return False, "the deterministic GPU kernels are slower, and some do not exist"
    return True, f"costs next to nothing on a CPU; {scope}"


def xla(requested: object, devices: tuple[str, ...], deterministic: bool) -> tuple[bool, str]:
    """Return whether XLA compiles the training step.

    Args:
        requested: `"auto"`, True or False.
        devices: Names of the devices.
        deterministic: Whether the plan is deterministic, or an earlier plan made the process deterministic.
    """
    requested = _check_flag_or_auto(requested, "jit_compile")
    if len(devices) > 1:
        if requested is True:
            raise ValueError(
                message(
                    f"jit_compile=True with {len(devices)} devices: XLA cannot compile the exchange between them",
                    hint="use jit_compile='auto', or one device",
                )
            )
        return False, "XLA cannot compile the exchange between devices"
    if requested != "auto":
        return requested, REQUESTED
    if devices[0].startswith("CPU"):
        return False, "small convolutional networks train two to three times slower with it on a CPU"
    if deterministic:
        return False, "not every operation has a deterministic form in XLA"
    return True, "fuses the many small operations of a step on a GPU"


def steps(requested: object, devices: tuple[str, ...]) -> tuple[int, str]:
    """Return the maximum number of training steps in one call of the compiled function."""
    count = None if _is_auto(requested) else _check_steps(requested)
    if len(devices) > 1:
        if count not in (None, 1):
            raise ValueError(
                message(
                    f"steps_per_execution={count} with {len(devices)} devices: Keras takes one step at a time over "
                    "several devices",
                    hint="use steps_per_execution=1, or one device",
                )
            )
        return 1, "over several devices Keras takes one step at a time"
    if count is not None:
        return count, REQUESTED
    if devices[0].startswith("GPU"):
        return GPU_STEPS, "the GPU does not wait for Python between steps"
    return CPU_STEPS, "returns to Python less often, which shortens the steps of a small network"


def accumulation(requested: object, devices: tuple[str, ...]) -> tuple[int, str]:
    """Return the number of batches for each update of the weights."""
    if _is_auto(requested):
        return 1, "each batch updates the weights"
    name = "gradient_accumulation_steps"
    count = check_integer(requested, name, hint="use 'auto' or a positive integer")
    if count == 1:
        return 1, f"{REQUESTED}; each batch updates the weights"
    if len(devices) > 1:
        raise ValueError(
            message(
                f"{name}={count} with {len(devices)} devices: Keras cannot sum gradients over devices in an update "
                "that not every batch makes",
                hint=f"use {name}=1 with a larger batch_size, or one device",
            )
        )
    return count, (
        f"{REQUESTED}; equals batches {count} times as large, except that batch normalization uses the statistics of "
        "each batch"
    )


def seed(requested: object, global_seed: int | None) -> tuple[int | None, str]:
    """Return the validated seed.

    Args:
        requested: An integer, None for a different seed at every entry, or `"auto"`.
        global_seed: The global seed of Keras; None if there is none.
    """
    scope = "Python, NumPy, Keras and TensorFlow start from it whenever the plan is entered"
    if requested is None:
        return None, f"{REQUESTED}; every run differs"
    if _is_auto(requested) and global_seed is not None:
        return global_seed, f"the global seed, as set by keras.utils.set_random_seed; {scope}"
    if _is_auto(requested):
        return 0, scope
    hint = "use an integer from 0 to 2**32 - 1, or None"
    return check_integer(requested, "seed", minimum=0, maximum=2**32 - 1, hint=hint), scope


def auto_fields(requested: Mapping[str, object]) -> tuple[str, ...]:
    """Return the fields that were left "auto"; a global dtype policy counts as a request."""
    has_global_policy = keras.config.dtype_policy().name != "float32"
    automatic = [name for name, value in requested.items() if _is_auto(value)]
    return tuple(name for name in automatic if not (name == "precision" and has_global_policy))


def only_choice_reason(name: str, devices: tuple[str, ...], deterministic: bool) -> str | None:
    """Return why a field has only one possible value under the other choices, or None if it has several."""
    if len(devices) > 1 and name == "jit_compile":
        return xla("auto", devices, False)[1]
    if len(devices) > 1 and name == "steps_per_execution":
        return steps("auto", devices)[1]
    if name == "jit_compile" and deterministic:
        return "the plan is deterministic, and Keras compiles with XLA only without determinism"
    if name == "jit_compile" and _devices.is_deterministic():
        return "an earlier plan made this process deterministic, and Keras then does not compile with XLA"
    return None


def _is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"


def _check_flag_or_auto(value: object, name: str) -> bool | Auto:
    if is_flag(value):
        return bool(value)
    check_choice(value, name, ("auto", True, False), hint=f"use {name}='auto'")
    return "auto"


def _check_steps(value: object) -> int:
    hint = "use 'auto' or a positive integer"
    return check_integer(value, "steps_per_execution", hint=hint)
