"""Times on the GPU, with any backend of Keras: training steps, and the share of a step outside kernels."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from benchmarks.gpu_nets import NETS, TITLES, training_step
from benchmarks.gpu_records import KernelShare, StepTime
from benchmarks.gpu_workloads import batch, sizes, timer
from benchmarks.records import without_paths
from benchmarks.worker import Failed, Unavailable, Worker

NUM_ROUNDS = 9
NET_SECONDS = {"lenet": 15, "bilstm": 25, "vae": 15, "attention": 20, "transformer": 25, "resnet50": 80}  # on a GPU
BATCH_FACTORS = (1, 8, 64, 256)  # of the batch size of LeNet-5
GROWTH = 4.0  # of the time of a step, after which larger batches are not measured


def step_times(
    names: Sequence[str], *, dry: bool, seconds_left: Callable[[], float]
) -> tuple[list[StepTime], Mapping[str, str]]:
    """Return the times of the training steps of nets, by deepkit, Keras and PyTorch, and facts about PyTorch.

    Args:
        names: Names of the nets.
        dry: Whether to use tiny nets.
        seconds_left: Function that returns the seconds that are left; a net that needs more is skipped.
    """
    rows: list[StepTime] = []
    facts: dict[str, str] = {}
    for name in names:
        seconds, left = NET_SECONDS[name], seconds_left()
        if left < (1 if dry else seconds):
            problem = f"skipped: it takes about {seconds} s, and {max(0, left):.0f} s are left"
            rows.append(StepTime(TITLES[name], "deepkit", problem=problem))
            continue
        with _torch_worker(name, dry=dry) as (torch, problem):
            facts.update(torch.facts if torch else {})
            rows += _measure_net(name, torch, problem, dry=dry)
    return rows, facts


@contextlib.contextmanager
def _torch_worker(name: str, *, dry: bool) -> Iterator[tuple[Worker | None, str]]:
    """Yield a process that trains a net in PyTorch, or the reason why there is none."""
    if importlib.util.find_spec("torch") is None:
        yield None, "not measured: PyTorch is not installed"
        return
    try:
        worker = Worker([f"benchmarks.gpu_torch:{'dry_torch_side' if dry else 'torch_side'}:{name}"])
    except (Failed, Unavailable) as error:
        yield None, f"failed: {without_paths(str(error))}"
        return
    with contextlib.closing(worker):
        yield worker, ""


def _measure_net(name: str, torch: Worker | None, torch_problem: str, *, dry: bool) -> list[StepTime]:
    """Measure the sides of a net in turn, each round beginning with another one."""
    net, size = NETS[name], sizes(dry=dry)[name]
    problems: dict[str, str] = {"PyTorch": torch_problem} if torch_problem else {}
    sides: dict[str, Callable[[], float]] = {}
    for side, make in (("deepkit", net.deepkit), ("Keras", net.handwritten)):
        try:
            step = training_step(make(size), batch(name, size), has_loss=net.has_loss, dry=dry)
            sides[side] = timer(step, dry=dry)
        except Exception as error:
            problems[side] = f"failed: {without_paths(f'{type(error).__name__}: {error}')}"
    if torch is not None:
        sides["PyTorch"] = functools.partial(torch.measure, 0)
    times: dict[str, list[float]] = {side: [] for side in sides}
    names = list(sides)
    for number in range(1 if dry else NUM_ROUNDS):
        for offset in range(len(names)):
            side = names[(number + offset) % len(names)]
            times[side].append(sides[side]())
    rows = {side: StepTime(TITLES[name], side, tuple(values)) for side, values in times.items()}
    rows.update({side: StepTime(TITLES[name], side, problem=problem) for side, problem in problems.items()})
    return [rows[side] for side in ("deepkit", "Keras", "PyTorch") if side in rows]


def kernel_shares(*, dry: bool) -> list[KernelShare]:
    """Estimate the share of a step of LeNet-5 that is spent outside kernels, from steps on batches of several sizes.

    The time of kernels grows with the batch, that of Python, of launches and of waiting does not. The largest batches
    give the time that the kernels need for an example.
    """
    net, size = NETS["lenet"], sizes(dry=dry)["lenet"]
    milliseconds: dict[int, float] = {}
    for factor in BATCH_FACTORS[:2] if dry else BATCH_FACTORS:
        batch_size = factor * size.batch_size
        arrays = batch("lenet", size, batch_size)
        step = training_step(net.deepkit(size), arrays, has_loss=net.has_loss, dry=dry)
        measure = timer(step, dry=dry)
        milliseconds[batch_size] = median(measure() for _ in range(1 if dry else 3))
        if len(milliseconds) > 1 and milliseconds[batch_size] > GROWTH * milliseconds[size.batch_size]:
            break
    texts = {str(key): value for key, value in milliseconds.items()}
    return [KernelShare(TITLES["lenet"], size.batch_size, outside_share(milliseconds), texts)]


def outside_share(milliseconds: Mapping[int, float]) -> float:
    """Return the share of a step on the smallest batch that does not belong to its examples.

    Args:
        milliseconds: Time of a step by batch size; the two largest batches give the time of an example.

    Examples:
        >>> outside_share({10: 3.0, 100: 12.0, 200: 22.0})
        0.6666666666666667
    """
    *_, smaller, larger = sorted(milliseconds)
    smallest = min(milliseconds)
    per_example = (milliseconds[larger] - milliseconds[smaller]) / (larger - smaller)
    return min(1.0, max(0.0, 1 - per_example * smallest / milliseconds[smallest]))
