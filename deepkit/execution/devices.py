"""Which devices there are and which ones a plan takes, found without starting any of them."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence

import tensorflow as tf

_NAME = re.compile(r"/?(?:device:)?(CPU|GPU)(?::(\d+))?", re.IGNORECASE)


def available() -> tuple[str, ...]:
    """Return the devices TensorFlow would offer, such as `("CPU:0", "GPU:0")`, without starting them."""
    counts = {kind: sum(map(_parts, tf.config.get_visible_devices(kind))) for kind in ("CPU", "GPU")}
    return tuple(f"{kind}:{i}" for kind, count in counts.items() for i in range(count))


def _parts(device: tf.config.PhysicalDevice) -> int:
    """Return into how many logical devices a physical one is split."""
    return len(tf.config.get_logical_device_configuration(device) or [None])


def choose(wanted: str | int | Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return the devices to use and the reason.

    Args:
        wanted: `"auto"`, how many, a name, or a list of names.

    Raises:
        ValueError: There are no such devices; the message lists those that exist.
    """
    names = available()
    gpus = tuple(name for name in names if name.startswith("GPU"))
    if wanted == "auto" and not gpus:
        return ("CPU:0",), "no GPU was found by TensorFlow"
    if wanted == "auto":
        return gpus, "every GPU of this machine"
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        return _first(wanted, gpus or names, names), "asked for by number"
    return _named(wanted, names), "asked for by name"


def _first(count: int, pool: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= count <= len(pool):
        kind = pool[0].partition(":")[0]
        raise ValueError(
            f"devices={count}: expected a number from 1 to {len(pool)}, the {kind}s that TensorFlow offers "
            f"({', '.join(names)})\n  hint: devices='auto'"
        )
    return pool[:count]


def _named(wanted: object, names: tuple[str, ...]) -> tuple[str, ...]:
    items = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(items, list | tuple) or not items or not all(isinstance(item, str) for item in items):
        raise ValueError(
            f"devices={wanted!r}: expected 'auto', a number, or a list of names\n  hint: devices=['{names[-1]}']"
        )
    chosen = tuple(_known(item, names) for item in items)
    if len(set(chosen)) < len(chosen):
        twice = ", ".join(name for name, count in Counter(chosen).items() if count > 1)
        raise ValueError(f"devices={wanted!r}: {twice} is named more than once\n  hint: naming each device once")
    if len({name.partition(":")[0] for name in chosen}) > 1:
        raise ValueError(f"devices={wanted!r}: CPUs and GPUs cannot train one model together\n  hint: only the GPUs")
    return chosen


def _known(item: str, names: tuple[str, ...]) -> str:
    match = _NAME.fullmatch(item)
    name = f"{match[1].upper()}:{match[2] or 0}" if match else item
    if name in names:
        return name
    hint = "devices='auto'"
    if name.startswith("CPU"):
        hint = "tf.config.set_logical_device_configuration before anything else, to split the CPU"
    elif name.startswith("GPU") and not any(n.startswith("GPU") for n in names):
        hint = "deepkit doctor, which says why no GPU is found; or devices='auto'"
    raise ValueError(f"devices: there is no {item!r} here, TensorFlow offers {', '.join(names)}\n  hint: {hint}")


def default() -> str:
    """Return the device that TensorFlow takes when it is not told."""
    return "GPU:0" if tf.config.get_visible_devices("GPU") else "CPU:0"


def capability(devices: Sequence[str]) -> tuple[int, int] | None:
    """Return the lowest CUDA compute capability among the devices, or None for CPUs and unknown ones."""
    found = []
    for name in devices:
        if name.startswith("CPU"):
            return None
        details = tf.config.experimental.get_device_details(_physical(name))
        found.append(details.get("compute_capability"))
    return min(found) if found and all(found) else None


def _physical(name: str) -> tf.config.PhysicalDevice:
    """Return the physical device that holds a logical one."""
    kind, _, index = name.partition(":")
    physical = tf.config.get_visible_devices(kind)
    owners = [device for device in physical for _ in range(_parts(device))]
    return owners[int(index)]


_repeating = threading.Event()


def repeat_bits() -> None:
    """Make TensorFlow deterministic, which it stays until the process ends."""
    tf.config.experimental.enable_op_determinism()
    _repeating.set()


def repeats_bits() -> bool:
    """Return whether a plan has made this process deterministic."""
    return _repeating.is_set()


def grow_memory(devices: Sequence[str], *, probe: bool = False) -> bool | None:
    """Let GPUs take memory as it is needed rather than all of it.

    Args:
        devices: Names; only GPUs count.
        probe: Find out whether it could be done, and leave everything as it was.

    Returns:
        Whether it is so now (or could be); None where there is no GPU.
    """
    physical = {_physical(name) for name in devices if name.startswith("GPU")}
    if not physical:
        return None
    done = [_grow(device, probe) for device in physical]
    return all(done)


def _grow(device: tf.config.PhysicalDevice, probe: bool) -> bool:
    try:
        before = tf.config.experimental.get_memory_growth(device)
        tf.config.experimental.set_memory_growth(device, True)
        if probe:
            tf.config.experimental.set_memory_growth(device, bool(before))
    except (RuntimeError, ValueError):  # already started, or split into logical devices of fixed sizes
        return False
    return True
