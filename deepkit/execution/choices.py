"""The choices of a plan, each a function that returns the value and the reason in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import keras

from deepkit.execution import devices as _devices

Auto = Literal["auto"]
_POLICIES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
_MIXED = {"mixed_bfloat16": 8, "mixed_float16": 7}
GPU_STEPS = 16
CPU_STEPS = 16  # measured on LeNet-5, batches of 128, two cores: 4.9 ms a step with 1, 3.9 with 16, 3.8 with 64


def check_backend() -> None:
    """Raise where Keras does not run on TensorFlow, which everything here is written for."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"deepkit runs Keras on TensorFlow, but Keras was started with the backend {backend!r}\n"
            "  hint: KERAS_BACKEND=tensorflow in the environment, before Keras is imported"
        )


def precision(wanted: str, capability: tuple[int, int] | None, on_gpu: bool) -> tuple[str, str]:
    """Return the name of the dtype policy: mixed where the GPU has units for it."""
    if wanted != "auto":
        if wanted not in _POLICIES:
            raise ValueError(
                f"precision={wanted!r}: expected 'auto' or one of {', '.join(_POLICIES)}\n  hint: precision='auto'"
            )
        return wanted, "asked for" + _slow_halves(wanted, on_gpu)
    in_force = keras.config.dtype_policy().name
    if in_force != "float32":
        return in_force, "the global policy in force (keras.config), kept"
    if not on_gpu:
        return "float32", "CPUs are rarely faster with less, and lose accuracy"
    if capability is None:
        return "float32", "the compute capability of the GPU is not known"
    said = "compute capability " + ".".join(map(str, capability))
    for policy, at_least in _MIXED.items():
        if capability[0] >= at_least:
            return policy, f"{said} has tensor cores for it; variables and results stay float32"
    return "float32", f"{said} has no tensor cores"


def _slow_halves(policy: str, on_gpu: bool) -> str:
    return "" if on_gpu or "16" not in policy else "; mostly slower than float32 on a CPU"


def determinism(wanted: bool | Auto, devices: tuple[str, ...], jit_compile: bool | Auto = "auto") -> tuple[bool, str]:
    """Return whether every run with the same seed gives the same bits."""
    _check_switch("deterministic", wanted)
    _check_switch("jit_compile", jit_compile)
    everywhere = "holds for the whole process once entered"
    if wanted is True and jit_compile is True:
        raise ValueError(
            "jit_compile=True with deterministic=True: Keras does not compile with XLA where the bits must repeat\n"
            "  hint: one of them without the other"
        )
    if wanted is True:
        return True, f"asked for; {everywhere}"
    if wanted is False:
        return False, "asked for; resume is then approximate"
    if jit_compile is True:
        return False, "jit_compile=True was asked for, and Keras compiles with XLA only without it"
    if len(devices) > 1:
        return False, "sums across devices have no fixed order"
    if devices[0].startswith("GPU"):
        return False, "the deterministic GPU kernels are slower, and some do not exist"
    return True, f"costs next to nothing on a CPU; {everywhere}"


def xla(wanted: bool | Auto, devices: tuple[str, ...], deterministic: bool) -> tuple[bool, str]:
    """Return whether the training step is compiled by XLA.

    Args:
        wanted: What was asked for.
        devices: Their names.
        deterministic: Whether the plan is deterministic, or an earlier one has made this process so.
    """
    _check_switch("jit_compile", wanted)
    if len(devices) > 1:
        if wanted is True:
            raise ValueError(
                f"jit_compile=True with {len(devices)} devices: XLA cannot compile the exchange between them\n"
                "  hint: jit_compile='auto', or one device"
            )
        return False, "XLA cannot compile the exchange between devices"
    if wanted != "auto":
        return bool(wanted), "asked for"
    if devices[0].startswith("CPU"):
        return False, "small convolutional networks train two to three times slower with it on a CPU"
    if deterministic:
        return False, "not every operation has a deterministic form in XLA"
    return True, "fuses the many small operations of a step on a GPU"


def steps(wanted: int | Auto, devices: tuple[str, ...]) -> tuple[int, str]:
    """Return how many training steps one call of the compiled function takes, at most."""
    if wanted != "auto" and (not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1):
        raise ValueError(
            f"steps_per_execution={wanted!r}: expected 'auto' or a whole number from 1\n"
            "  hint: steps_per_execution='auto'"
        )
    if len(devices) > 1:
        if wanted not in ("auto", 1):
            raise ValueError(
                f"steps_per_execution={wanted} with {len(devices)} devices: Keras takes one step at a time over "
                "several devices\n  hint: steps_per_execution=1, or one device"
            )
        return 1, "over several devices Keras takes one step at a time"
    if wanted != "auto":
        return int(wanted), "asked for"
    if devices[0].startswith("GPU"):
        return GPU_STEPS, "spares the GPU waiting for Python between steps"
    return CPU_STEPS, "saves small networks a tenth to a fifth of a step: the way back to Python"


def seed(wanted: Any) -> tuple[int | None, str]:
    """Return the seed, checked."""
    if wanted is None:
        return None, "asked for; every run differs"
    if not isinstance(wanted, int) or isinstance(wanted, bool) or not 0 <= wanted < 2**32:
        raise ValueError(f"seed={wanted!r}: expected a whole number from 0 to 2**32 - 1, or None\n  hint: seed=0")
    return wanted, "Python, NumPy, Keras and TensorFlow start from it at each entering"


def undecided(wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which of the fields that can be measured were left to deepkit; a global policy counts as given."""
    given = {"precision"} if keras.config.dtype_policy().name != "float32" else set()
    return tuple(name for name, value in wanted.items() if value == "auto" and name not in given)


def measuring(wanted: Any, left: tuple[str, ...], devices: tuple[str, ...], deterministic: bool) -> tuple[bool, str]:
    """Return whether `dk.fit` is to measure, and what of it is open."""
    if not isinstance(wanted, bool):
        raise ValueError(f"measure={wanted!r}: expected True or False\n  hint: measure=True")
    if not wanted:
        return False, "the choices above hold as they are"
    why_not = {name: forbidden(name, devices, deterministic) for name in left}
    timed = [name for name, why in why_not.items() if why is None]
    if not left:
        return True, "nothing is open, as everything that could be measured was given"
    said = f"open: dk.fit times {_listed(timed)} before it trains" if timed else "nothing is open"
    return True, "; ".join([said, *(f"not {name}: {why}" for name, why in why_not.items() if why)])


def forbidden(name: str, devices: tuple[str, ...], deterministic: bool) -> str | None:
    """Return why a field has one possible value only, so that there is nothing to measure; or None."""
    if name != "precision" and len(devices) > 1:
        return (xla("auto", devices, False) if name == "jit_compile" else steps("auto", devices))[1]
    if name == "jit_compile" and deterministic:
        return "the plan is deterministic, and Keras compiles with XLA only without it"
    if name == "jit_compile" and _devices.repeats_bits():
        return "an earlier plan made this process deterministic, where Keras does not compile with XLA"
    return None


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _check_switch(name: str, wanted: Any) -> None:
    if wanted != "auto" and not isinstance(wanted, bool):
        raise ValueError(f"{name}={wanted!r}: expected 'auto', True or False\n  hint: {name}='auto'")
