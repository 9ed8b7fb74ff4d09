"""The plan: on which devices, how precisely and how reproducibly a model is built and trained."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from types import TracebackType
from typing import Any, Literal

import keras
import tensorflow as tf

from deepkit.execution import choices, strategy
from deepkit.execution import devices as _devices
from deepkit.execution.errors import ClusterError
from deepkit.execution.measurement import Measurement
from deepkit.execution.random_state import global_seed, temporary_seed
from deepkit.execution.strategy import Strategy
from deepkit.utils.cluster import Cluster, find_cluster
from deepkit.utils.display import Displayable
from deepkit.utils.errors import make_error, message

StrategyName = Literal["none", "mirrored", "multi_worker"]
_NOT_CHOICES = ("auto_fields", "reasons", "measurements", "cluster")


class _ActivePlans(threading.local):
    """The plans entered in this thread, innermost last, each with the context that leaving it closes."""

    def __init__(self) -> None:
        self.stack: list[tuple[Plan, contextlib.ExitStack]] = []


_active = _ActivePlans()


@dataclass(frozen=True)
class Plan(Displayable):
    """How a model is executed: a value with a reason for each choice, and a context to build and train in.

    Entering it sets the seed, the dtype policy, the devices and determinism; leaving it restores the random state of
    Python, NumPy, TensorFlow and Keras, the policy and the devices. (TensorFlow cannot undo determinism or memory
    growth.) Plans nest, and one plan can be entered repeatedly. Printing it shows a table. Plans are equal if they
    execute a model in the same way.

    Args:
        devices: Names such as `("GPU:0", "GPU:1")`; each worker has these.
        strategy: `"none"` for one device, `"mirrored"` over several, `"multi_worker"` over several processes.
        precision: Name of the Keras dtype policy.
        jit_compile: Whether XLA compiles the training step.
        steps_per_execution: Maximum number of training steps in one call of the compiled function; the last call of an
            epoch takes those that are left.
        memory_growth: Whether GPUs allocate memory as needed; None without GPUs.
        seed: Seed of everything random; None for a different one at every entry.
        deterministic: Whether the same seed computes the same bits.
        gradient_accumulation_steps: Number of batches whose mean gradient makes one update of the weights.
        num_workers: Number of processes, on one or several machines, that train one model together.
        cluster: The addresses of these processes, and which one this is; None for one process.
        auto_fields: Fields that were left "auto", which `dk.autotune` may time.
        reasons: The reason for each choice, as pairs of field and text.
        measurements: The timings from which `dk.autotune` chose.

    Examples:
        >>> import deepkit as dk
        >>> with dk.plan(precision="float32", seed=7):
        ...     model = dk.Sequential([dk.Classifier(10)]).build((8,))
        >>> print(dk.plan(devices="CPU:0").explain().splitlines()[1].split()[:2])
        ['devices', 'CPU:0']
    """

    devices: tuple[str, ...]
    strategy: StrategyName
    precision: str
    jit_compile: bool
    steps_per_execution: int
    memory_growth: bool | None
    seed: int | None
    deterministic: bool
    gradient_accumulation_steps: int = 1
    num_workers: int = 1
    cluster: Cluster | None = field(default=None, compare=False, repr=False)
    auto_fields: tuple[str, ...] = field(default=(), compare=False, repr=False)
    reasons: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)
    measurements: tuple[Measurement, ...] = field(default=(), compare=False, repr=False)

    def explain(self) -> str:
        """Return the choices and their reasons as an aligned table: field, choice, reason."""
        rows = [("field", "choice", "reason"), *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        lines = []
        for name, choice, reason in rows:
            lines.append(f"{name:<{widths[0]}}  {choice:<{widths[1]}}  {reason}".rstrip())
        return "\n".join(lines)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (field, choice, reason) for each choice."""
        reasons = dict(self.reasons)
        return [(name, format_choice(value), reasons.get(name, "")) for name, value in self.choices().items()]

    @property
    def replicas(self) -> tuple[str, ...]:
        """The device of each replica of the model, on all workers."""
        return self.devices * self.num_workers

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files: it trains alone, or is the first worker."""
        return self.cluster is None or self.cluster.is_chief

    def choices(self) -> dict[str, Any]:
        """Return the choices by field, as plain values; without the number of workers if there is only one."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _NOT_CHOICES}
        if self.num_workers == 1:
            del values["num_workers"]
        return values

    def replace(self, *, reason: str = "", **changes: Any) -> Plan:
        """Return a copy of this plan with some fields changed.

        Args:
            reason: The reason for the changed choices; if empty, the reasons stay as they are.
            changes: New values by field.

        Raises:
            TypeError: A field does not exist.

        Examples:
            >>> import deepkit as dk
            >>> plan = dk.plan(seed=0).replace(seed=7, reason="the second repeat")
            >>> plan.seed, dict(plan.reasons)["seed"]
            (7, 'the second repeat')
        """
        if reason:
            reasons = dict(self.reasons)
            reasons.update({name: reason for name in changes if name not in _NOT_CHOICES})
            changes["reasons"] = tuple(reasons.items())
        return dataclasses.replace(self, **changes)

    @property
    def distribution(self) -> Strategy | None:
        """The `tf.distribute.Strategy` over the devices; None for one device."""
        if self.strategy == "mirrored":
            return strategy.mirrored(self.devices)
        if self.strategy == "multi_worker":
            return strategy.multi_worker(connected(self))
        return None

    def on_one_worker(self) -> Plan:
        """Return the plan without the other workers, on the first device."""
        return self.replace(devices=self.devices[:1], strategy="none", num_workers=1, cluster=None)

    def __str__(self) -> str:
        return self.explain()

    def __enter__(self) -> Plan:
        _check_surrounding_strategy(self)
        _check_xla(self)
        with contextlib.ExitStack() as stack:
            self._apply(stack)
            _active.stack.append((self, stack.pop_all()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _, stack = _active.stack.pop()
        stack.__exit__(kind, error, trace)

    def _apply(self, stack: contextlib.ExitStack) -> None:
        _devices.grow_memory(self.devices)
        if self.deterministic:
            _devices.enable_determinism()
        stack.enter_context(temporary_seed(self.seed))
        stack.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
        keras.config.set_dtype_policy(self.precision)
        plan_strategy = self.distribution
        if plan_strategy is not None:
            stack.enter_context(plan_strategy.scope())
        elif self.devices[0] != _devices.default():
            stack.enter_context(tf.device(self.devices[0]))


def plan(
    *,
    devices: str | int | Sequence[str] = "auto",
    workers: Literal["auto"] | Sequence[str] | int | None = "auto",
    precision: str = "auto",
    jit_compile: bool | Literal["auto"] = "auto",
    steps_per_execution: int | Literal["auto"] = "auto",
    seed: int | Literal["auto"] | None = "auto",
    deterministic: bool | Literal["auto"] = "auto",
    gradient_accumulation_steps: int | Literal["auto"] = "auto",
) -> Plan:
    """Decide how to execute a model, with a reason for each choice.

    Nothing is started before the plan is entered, except that one of several workers meets the others here, because
    TensorFlow connects workers only before it computes anything. `dk.autotune` times precision, XLA and steps per
    execution on a definition and data if they are left `"auto"` here.

    Args:
        devices: `"auto"` for every GPU of this machine, else the CPU; a number of devices; a name such as
            `"GPU:1"`, or a list of names. Several devices train one model together, each on its share of a batch.
        workers: `"auto"` for the workers that `TF_CONFIG` names, else the tasks of a SLURM step; the addresses of all
            workers, such as `["host0:2222", "host1:2222"]`; None to train in this process alone.
        precision: A Keras dtype policy such as `"mixed_bfloat16"`, or `"auto"` for the best one on the devices. A
            global policy that you have set takes precedence.
        jit_compile: Whether XLA compiles the training step.
        steps_per_execution: Training steps in one call of the compiled function.
        seed: Seed of everything random; None for a different one at every entry; `"auto"` for the seed that
            `keras.utils.set_random_seed` has set, else 0.
        deterministic: Whether the same seed computes the same bits. It holds for the rest of the process.
        gradient_accumulation_steps: Number of batches whose mean gradient makes one update of the weights, as if one
            batch held all their examples: for batches that do not fit in memory. `"auto"` for the optimizer's own
            number, else 1.

    Returns:
        The plan, to be printed, entered with `with`, or passed to `dk.fit`.

    Raises:
        ValueError: A choice is unknown, or impossible with the others or on this machine.
        ClusterError: Another worker is missing, or has other versions.

    Examples:
        >>> import deepkit as dk
        >>> plan = dk.plan(devices="CPU:0", seed=7)
        >>> plan.precision, plan.seed, plan.deterministic
        ('float32', 7, True)
    """
    choices.check_backend()
    names, devices_reason = _devices.choose(devices)
    on_gpu = names[0].startswith("GPU")
    cluster = find_cluster(workers)
    num_workers = 1 if cluster is None else len(cluster.addresses)
    replicas = names * num_workers
    chosen: dict[str, tuple[Any, str]] = {
        "devices": (names, devices_reason),
        "strategy": _choose_strategy(names, num_workers),
    }
    chosen["precision"] = choices.precision(precision, _devices.capability(names), on_gpu)
    chosen["deterministic"] = choices.determinism(deterministic, replicas, jit_compile)
    process_deterministic = chosen["deterministic"][0] or _devices.is_deterministic()
    chosen["jit_compile"] = choices.xla(jit_compile, replicas, process_deterministic)
    chosen["steps_per_execution"] = choices.steps(steps_per_execution, replicas)
    chosen["memory_growth"] = _choose_memory_growth(names)
    chosen["seed"] = choices.seed(seed, global_seed())
    chosen["gradient_accumulation_steps"] = choices.accumulation(gradient_accumulation_steps, replicas)
    if cluster is not None:
        chosen["num_workers"] = num_workers, f"{cluster.source}; this is {cluster.describe(cluster.index)}"
    tunable = {"precision": precision, "jit_compile": jit_compile, "steps_per_execution": steps_per_execution}
    values = {name: value for name, (value, _) in chosen.items()}
    reasons = tuple((name, reason) for name, (_, reason) in chosen.items())
    new_plan = Plan(**values, cluster=cluster, auto_fields=choices.auto_fields(tunable), reasons=reasons)
    if cluster is not None:
        _connect(new_plan)
    return new_plan


def connected(plan: Plan) -> Cluster:
    """Return the cluster of a plan for several workers.

    Raises:
        ClusterError: The plan was stored by a run of several workers, and this process trains alone.
    """
    if plan.cluster is None:
        raise ClusterError(
            f"the plan is for {plan.num_workers} workers, and this process trains alone",
            hint="start the same command on all hosts, as deepkit launch does, or use dk.plan(workers=None)",
        )
    return plan.cluster


def _connect(plan: Plan) -> None:
    """Connect to the other workers: TensorFlow can do so only before it computes anything."""
    expected = tuple(name for name in _devices.available() if name.startswith("GPU")) or ("CPU:0",)
    if plan.devices != expected:
        raise make_error(
            ValueError,
            f"devices={', '.join(plan.devices)}: a worker trains on all of its devices, {', '.join(expected)}",
            hint="leave devices out, and hide GPUs with CUDA_VISIBLE_DEVICES",
        )
    _devices.grow_memory(plan.devices)
    strategy.multi_worker(connected(plan))


def current() -> Plan | None:
    """Return the innermost plan that is entered, or None."""
    return _active.stack[-1][0] if _active.stack else None


def resolve_plan(argument: object) -> Plan:
    """Return the plan passed to a function; if None was passed, the current plan, else the default plan.

    Raises:
        TypeError: The argument is neither a plan nor None.
    """
    if argument is None:
        return current() or plan()
    if not isinstance(argument, Plan):
        problem = f"plan: expected a Plan, received {type(argument).__name__}"
        raise TypeError(message(problem, hint="pass plan=dk.plan(...)"))
    return argument


def is_requested(plan: Plan, name: str) -> bool:
    """Return whether the user requested the choice of a field of a plan."""
    return dict(plan.reasons).get(name, "").startswith(choices.REQUESTED)


def format_choice(value: object) -> str:
    """Return the value of a field as the table of a plan shows it."""
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _choose_strategy(names: tuple[str, ...], num_workers: int) -> tuple[StrategyName, str]:
    if num_workers > 1:
        return "multi_worker", "each worker holds the model and takes its share of a batch; the gradients are summed"
    if len(names) == 1:
        return "none", "one device needs no strategy"
    return "mirrored", "each device holds the model and takes its share of a batch; the gradients are summed"


def _choose_memory_growth(names: tuple[str, ...]) -> tuple[bool | None, str]:
    is_possible = _devices.grow_memory(names, probe=True)
    if is_possible is None:
        return None, "applies to GPUs only"
    if is_possible:
        return True, "leaves the rest of the GPU's memory to other processes"
    return False, "could not be set: TensorFlow had started the GPUs before this plan, or they are split"


def _check_surrounding_strategy(entered: Plan) -> None:
    """Raise inside the scope of another strategy than the plan's: TensorFlow cannot nest strategies."""
    if not tf.distribute.has_strategy():
        return
    if entered.strategy != "none" and tf.distribute.get_strategy() is entered.distribution:
        return
    raise ValueError(
        message(
            f"a plan over {', '.join(entered.devices)} cannot be entered inside another distribution strategy",
            hint="leave that scope first, or use dk.plan(devices=[...]) with the same devices",
        )
    )


def _check_xla(entered: Plan) -> None:
    """Raise if the plan uses XLA in a process that is deterministic: Keras would not compile with XLA."""
    if entered.jit_compile and _devices.is_deterministic():
        raise ValueError(
            message(
                "jit_compile: an earlier plan made this process deterministic, "
                "and Keras then does not compile with XLA",
                hint="start a new process, or set deterministic=False in every plan before this one",
            )
        )
