"""The devices of this machine and those of a plan, found without starting any of them."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import is_integer

_NAME = re.compile(r"/?(?:device:)?(CPU|GPU)(?::(\d+))?", re.IGNORECASE)
_determinism_enabled = threading.Event()


class PhysicalDevice(Protocol):
    """A `tf.config.PhysicalDevice`."""

    @property
    def name(self) -> str:
        """Name such as `"/physical_device:GPU:0"`."""
        ...


def available() -> tuple[str, ...]:
    """Return the devices that TensorFlow offers, such as `("CPU:0", "GPU:0")`, without starting them."""
    names = []
    for kind in ("CPU", "GPU"):
        count = sum(_num_logical_devices(device) for device in tf.config.get_visible_devices(kind))
        names += [f"{kind}:{index}" for index in range(count)]
    return tuple(names)


def _num_logical_devices(device: PhysicalDevice) -> int:
    """Return the number of logical devices into which a physical one is split."""
    return len(tf.config.get_logical_device_configuration(device) or [None])


def choose(requested: object) -> tuple[tuple[str, ...], str]:
    """Return the devices to use and the reason.

    Args:
        requested: `"auto"`, a number of devices, a name, or a list of names.

    Raises:
        ValueError: There are no such devices; the message lists those that exist.
    """
    names = available()
    gpus = tuple(name for name in names if name.startswith("GPU"))
    if isinstance(requested, str) and requested == "auto":
        if gpus:
            return gpus, "every GPU of this machine"
        return ("CPU:0",), "TensorFlow found no GPU"
    if is_integer(requested):
        return _choose_first(int(requested), gpus or names, names), "requested by number"  # type: ignore[call-overload]
    return _choose_named(requested, names), "requested by name"


def _choose_first(count: int, pool: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= count <= len(pool):
        kind = pool[0].partition(":")[0]
        raise ValueError(
            message(
                f"devices={count}: expected a number from 1 to {len(pool)}, the {kind}s that TensorFlow offers "
                f"({', '.join(names)})",
                hint="use devices='auto'",
            )
        )
    return pool[:count]


def _choose_named(requested: object, names: tuple[str, ...]) -> tuple[str, ...]:
    items = [requested] if isinstance(requested, str) else requested
    received = f"devices={format_value(requested)}"
    if not isinstance(items, list | tuple) or not items or not all(isinstance(item, str) for item in items):
        raise ValueError(
            message(
                f"{received}: expected 'auto', a number, or a list of names",
                hint=f"use a list such as devices=['{names[-1]}']",
            )
        )
    chosen = tuple(_canonical_name(item, names) for item in items)
    if len(set(chosen)) < len(chosen):
        repeated = ", ".join(name for name, count in Counter(chosen).items() if count > 1)
        raise ValueError(message(f"{received}: {repeated} is named more than once", hint="name each device once"))
    if len({name.partition(":")[0] for name in chosen}) > 1:
        raise ValueError(
            message(f"{received}: CPUs and GPUs cannot train one model together", hint="name only the GPUs")
        )
    return chosen


def _canonical_name(item: str, names: tuple[str, ...]) -> str:
    match = _NAME.fullmatch(item)
    name = f"{match[1].upper()}:{match[2] or 0}" if match else item
    if name in names:
        return name
    hint = "use devices='auto'"
    if name.startswith("CPU"):
        hint = "call tf.config.set_logical_device_configuration before anything else to split the CPU"
    elif name.startswith("GPU") and not any(other.startswith("GPU") for other in names):
        hint = "run deepkit doctor to see why TensorFlow finds no GPU, or use devices='auto'"
    problem = f"devices: there is no {format_value(item)} here, TensorFlow offers {', '.join(names)}"
    raise ValueError(message(problem, hint=hint))


def default() -> str:
    """Return the device on which TensorFlow places operations by default."""
    return "GPU:0" if tf.config.get_visible_devices("GPU") else "CPU:0"


def capability(devices: Sequence[str]) -> tuple[int, int] | None:
    """Return the lowest CUDA compute capability among the devices, or None for CPUs and unknown ones."""
    capabilities = []
    for name in devices:
        if name.startswith("CPU"):
            return None
        details = tf.config.experimental.get_device_details(_physical_device(name))
        capabilities.append(details.get("compute_capability"))
    return min(capabilities) if capabilities and all(capabilities) else None


def _physical_device(name: str) -> PhysicalDevice:
    """Return the physical device that holds a logical one."""
    kind, _, index = name.partition(":")
    owners: list[PhysicalDevice] = []
    for device in tf.config.get_visible_devices(kind):
        owners += [device] * _num_logical_devices(device)
    return owners[int(index)]


def enable_determinism() -> None:
    """Make TensorFlow deterministic; it stays so until the process ends."""
    tf.config.experimental.enable_op_determinism()
    _determinism_enabled.set()


def is_deterministic() -> bool:
    """Return whether a plan has made this process deterministic."""
    return _determinism_enabled.is_set()


def grow_memory(devices: Sequence[str], *, probe: bool = False) -> bool | None:
    """Let GPUs allocate memory as they need it rather than all of it at once.

    Args:
        devices: Names of the devices; CPUs are ignored.
        probe: Find out whether it is possible, and leave the setting as it was.

    Returns:
        Whether memory growth is on (or could be); None without a GPU.
    """
    physical = {_physical_device(name) for name in devices if name.startswith("GPU")}
    if not physical:
        return None
    results = [_set_memory_growth(device, probe) for device in physical]
    return all(results)


def _set_memory_growth(device: PhysicalDevice, probe: bool) -> bool:
    try:
        before = tf.config.experimental.get_memory_growth(device)
        tf.config.experimental.set_memory_growth(device, True)
        if probe:
            tf.config.experimental.set_memory_growth(device, bool(before))
    except (RuntimeError, ValueError):  # already started, or split into logical devices of fixed sizes
        return False
    return True
