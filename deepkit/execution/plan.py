"""The plan: on which devices, how precisely and how reproducibly a model is built and trained."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from types import TracebackType
from typing import Any, Literal

import keras
import tensorflow as tf

from deepkit.execution import choices, strategy
from deepkit.execution import devices as _devices


class _Entered(threading.local):
    """The plans that are in force in this thread, innermost last."""

    def __init__(self) -> None:
        self.stack: list[tuple[Plan, contextlib.ExitStack]] = []


_entered = _Entered()


@dataclass(frozen=True)
class Measurement:
    """One candidate of one field of the plan, as it was measured.

    Args:
        field: Of the plan.
        value: Its value in words; `"yes"` and `"no"` for XLA.
        milliseconds: A training step in the median round; None where it was not timed.
        spread: The fastest and the slowest round, in milliseconds a step.
        loss: Mean loss of the first steps, from the same weights and on the same batches as the others'.
        verdict: What came of it, and why.
    """

    field: str
    value: str
    milliseconds: float | None = None
    spread: tuple[float, float] | None = None
    loss: float | None = None
    verdict: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return its row of a table under `HEADINGS`."""
        took = "" if self.milliseconds is None else _short(self.milliseconds)
        spread = "" if self.spread is None else f"{_short(self.spread[0])} to {_short(self.spread[1])}"
        loss = "" if self.loss is None else f"{self.loss:.5g}"
        return self.field, self.value, took, spread, loss, self.verdict

    def __str__(self) -> str:
        head = f"{self.field}={self.value}" if self.value else self.field
        took = "" if self.milliseconds is None else f"{_short(self.milliseconds)} ms a step, "
        return f"{head}: {took}{self.verdict}"


@dataclass(frozen=True)
class Plan:
    """How a model is executed: a value with a reason for each choice, and a context to build and train in.

    Entering it sets the seed, the dtype policy, the devices and determinism; leaving it puts back the policy and
    the devices. (TensorFlow cannot take back determinism or memory growth.) Plans nest, and one plan can be entered
    again. Printed, it is a table.

    Args:
        devices: Names such as `("GPU:0", "GPU:1")`.
        strategy: `"none"` for one device, `"mirrored"` over several.
        precision: Name of the Keras dtype policy.
        jit_compile: Whether XLA compiles the training step.
        steps_per_execution: Training steps in one call of the compiled function, at most; `fit` takes the largest
            number up to it that divides an epoch.
        memory_growth: Whether GPUs take memory as needed; None without GPUs.
        seed: Seed of everything random, or None.
        deterministic: Whether the same seed gives the same bits.
        measure: Whether `dk.fit` times what is undecided before it trains.
        undecided: The fields that it may time, as they were left to deepkit.
        reasons: Why, in words, by field.
        measurements: The candidates that were timed to choose this plan.

    Examples:
        >>> import deepkit as dk
        >>> with dk.plan(precision="float32", seed=7):
        ...     model = dk.Sequential([dk.Classifier(10)]).build((8,))
        >>> print(dk.plan(devices="CPU:0").explain().splitlines()[1].split()[:2])
        ['devices', 'CPU:0']
    """

    devices: tuple[str, ...]
    strategy: Literal["none", "mirrored"]
    precision: str
    jit_compile: bool
    steps_per_execution: int
    memory_growth: bool | None
    seed: int | None
    deterministic: bool
    measure: bool = False
    undecided: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    measurements: tuple[Measurement, ...] = field(default=(), compare=False, repr=False)

    def explain(self) -> str:
        """Return the choices and their reasons as an aligned table: field, choice, reason."""
        rows = [("field", "choice", "reason"), *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (field, choice, reason) for each choice."""
        reasons = dict(self.reasons)
        return [(name, _words(value), reasons.get(name, "")) for name, value in self.choices().items()]

    def choices(self) -> dict[str, Any]:
        """Return the choices by field, as plain values."""
        apart = ("undecided", "reasons", "measurements")
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name not in apart}

    def replace(self, *, reason: str, **changes: Any) -> Plan:
        """Return this plan with some choices changed for one reason."""
        reasons = tuple((dict(self.reasons) | dict.fromkeys(changes, reason)).items())
        return replace(self, reasons=reasons, **changes)

    def __str__(self) -> str:
        return self.explain()

    def __enter__(self) -> Plan:
        _refuse_crossed_strategies(self)
        _refuse_late_xla(self)
        with contextlib.ExitStack() as stack:
            self._put_in_force(stack)
            _entered.stack.append((self, stack.pop_all()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _, stack = _entered.stack.pop()
        stack.__exit__(kind, error, trace)

    def _put_in_force(self, stack: contextlib.ExitStack) -> None:
        _devices.grow_memory(self.devices)
        if self.deterministic:
            _devices.repeat_bits()
        if self.seed is not None:
            keras.utils.set_random_seed(self.seed)
        stack.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
        keras.config.set_dtype_policy(self.precision)
        if self.strategy == "mirrored":
            stack.enter_context(strategy.mirrored(self.devices).scope())
        elif self.devices[0] != _devices.default():
            stack.enter_context(tf.device(self.devices[0]))


def plan(
    *,
    devices: str | int | Sequence[str] = "auto",
    precision: str = "auto",
    jit_compile: bool | Literal["auto"] = "auto",
    steps_per_execution: int | Literal["auto"] = "auto",
    seed: int | None = 0,
    deterministic: bool | Literal["auto"] = "auto",
    measure: bool = False,
) -> Plan:
    """Decide how to execute, with a reason for each choice; nothing is started before the plan is entered.

    Args:
        devices: `"auto"` for every GPU of this machine, else the CPU; a number of devices; a name such as
            `"GPU:1"`, or a list of names. Several devices train one model together, each on its share of a batch.
        precision: A Keras dtype policy such as `"mixed_bfloat16"`, or `"auto"` for what the devices do best. A
            global policy that you set yourself is kept.
        jit_compile: Whether XLA compiles the training step.
        steps_per_execution: Training steps in one call of the compiled function.
        seed: Seed of everything random; None for none.
        deterministic: Whether the same seed gives the same bits. It holds for the rest of the process.
        measure: Whether `dk.fit` times precision, XLA and steps per execution on the real model and data before it
            trains, and keeps the fastest with the same loss. What is given here is not measured.

    Returns:
        The plan, to be printed, entered with `with`, or given to `dk.fit`.

    Raises:
        ValueError: A choice is unknown, or impossible with the others or on this machine.

    Examples:
        >>> import deepkit as dk
        >>> plan = dk.plan(devices="CPU:0", seed=7)
        >>> plan.precision, plan.seed, plan.deterministic
        ('float32', 7, True)
    """
    choices.check_backend()
    names, why = _devices.choose(devices)
    on_gpu = names[0].startswith("GPU")
    chosen: dict[str, tuple[Any, str]] = {"devices": (names, why), "strategy": _strategy(names)}
    chosen["precision"] = choices.precision(precision, _devices.capability(names), on_gpu)
    chosen["deterministic"] = choices.determinism(deterministic, names, jit_compile)
    chosen["jit_compile"] = choices.xla(jit_compile, names, chosen["deterministic"][0] or _devices.repeats_bits())
    chosen["steps_per_execution"] = choices.steps(steps_per_execution, names)
    chosen["memory_growth"] = _memory(names)
    chosen["seed"] = choices.seed(seed)
    wanted = {"precision": precision, "jit_compile": jit_compile, "steps_per_execution": steps_per_execution}
    left = choices.undecided(wanted)
    chosen["measure"] = choices.measuring(measure, left, names, chosen["deterministic"][0])
    chosen["undecided"] = left if measure else (), ""
    values = {name: value for name, (value, _) in chosen.items()}
    return Plan(**values, reasons=tuple((name, reason) for name, (_, reason) in chosen.items()))


def current() -> Plan | None:
    """Return the innermost plan that is in force, if one is."""
    return _entered.stack[-1][0] if _entered.stack else None


def _strategy(names: tuple[str, ...]) -> tuple[str, str]:
    if len(names) == 1:
        return "none", "one device needs none"
    return "mirrored", "each device holds the model, takes its share of a batch, and gradients are summed"


def _memory(names: tuple[str, ...]) -> tuple[bool | None, str]:
    able = _devices.grow_memory(names, probe=True)
    if able is None:
        return None, "concerns GPUs only"
    if able:
        return True, "leaves the rest of the GPU's memory to others"
    return False, "could not be set: TensorFlow had started the GPUs before this plan, or they are split"


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _refuse_crossed_strategies(wanted: Plan) -> None:
    """Raise where the devices of the surroundings are not those of the plan: TensorFlow cannot nest strategies."""
    if not tf.distribute.has_strategy():
        return
    if wanted.strategy == "mirrored" and tf.distribute.get_strategy() is strategy.mirrored(wanted.devices):
        return
    raise ValueError(
        f"a plan over {', '.join(wanted.devices)} cannot be entered inside another distribution strategy\n"
        "  hint: leaving that scope first, or dk.plan(devices=[...]) with the same devices"
    )


def _refuse_late_xla(wanted: Plan) -> None:
    """Raise where XLA is wanted and an earlier plan made the process deterministic: Keras would leave XLA out."""
    if wanted.jit_compile and _devices.repeats_bits():
        raise ValueError(
            "jit_compile: an earlier plan made this process deterministic, where Keras does not compile with XLA\n"
            "  hint: a new process, or deterministic=False in every plan before this one"
        )


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"
