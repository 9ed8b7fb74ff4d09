"""The GPU benchmark: `python -m benchmarks.gpu [--dry] [--seconds 300] [--results FILE] [--page] [--check]`.

Its parts run in a fixed order, the checks first. Without a GPU the run is dry: it compares the CPU with the CPU on tiny
sizes, to test the benchmark itself. Without TensorFlow, Keras runs on JAX, and the parts that need deepkit's training
are left out.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import gpu_page, gpu_records
from benchmarks.gpu_records import PartResult, Run
from benchmarks.gpu_workloads import SIZES
from benchmarks.records import RecordsError, without_paths
from deepkit.utils import files, machine
from deepkit.utils.errors import message
from deepkit.utils.tracing import without_retracing_warnings

ROOT = Path(__file__).parent.parent
RESULTS, PAGE = "benchmarks/gpu_results.json", "docs/gpu_benchmarks.md"
SECONDS = 300.0
NEEDS_TENSORFLOW = "not measured: `dk.fit` and `dk.autotune` need TensorFlow"


@dataclass(frozen=True)
class Session:
    """What the parts of a run share.

    Args:
        devices: Names of the devices: the GPUs, or the CPUs of a dry run.
        dry: Whether the run is dry.
        deadline: Time at which the run should end, by `time.monotonic`.
    """

    devices: tuple[str, ...]
    dry: bool
    deadline: float

    def seconds_left(self) -> float:
        """Return the seconds until the deadline."""
        return self.deadline - time.monotonic()

    def is_over(self) -> bool:
        """Return whether the deadline has passed."""
        return self.seconds_left() <= 0


@dataclass(frozen=True)
class Part:
    """A part of the run.

    Args:
        name: Name of the part in the results.
        seconds: Approximate seconds on a GPU; the part is skipped if fewer are left.
        run: Function that runs it.
    """

    name: str
    seconds: float
    run: Callable[[Session], PartResult]


def main(args: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """Run the benchmark, record it and write the page; return an exit code.

    The code is 0, 1 (a check or a part failed, or the page is out of date), 2 (invalid arguments) or 130 (interrupted).
    """
    options = _parser().parse_args(args)
    results = Path(options.results) if options.results else root / RESULTS
    try:
        recorded = gpu_records.load(root / RESULTS)
        if options.check or options.page:
            return _write_or_check_page(recorded, root / PAGE, check=options.check)
        run = run_parts(dry=options.dry, seconds=options.seconds, command=_command(args))
        gpu_records.save(results, [*{**recorded, run.name: run}.values()])
        if not options.results:
            _write_or_check_page(gpu_records.load(results), root / PAGE, check=False)
    except RecordsError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is recorded", file=sys.stderr)
        return 130
    print(gpu_page.summary(run))
    return 1 if run.has_failed() else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Check and time deepkit on a GPU.")
    parser.add_argument("--dry", action="store_true", help="use the CPU on tiny sizes even if there is a GPU")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time for the whole run (default: 300)")
    parser.add_argument("--results", metavar="FILE", help=f"write the results there instead of {RESULTS} and the page")
    parser.add_argument("--page", action="store_true", help=f"only write {PAGE}")
    parser.add_argument("--check", action="store_true", help=f"only check that {PAGE} follows from {RESULTS}")
    return parser


def _command(args: Sequence[str] | None) -> str:
    """Return the command of this run, without the name of a file, which is a path of this machine."""
    arguments = list(sys.argv[1:] if args is None else args)
    if "--results" in arguments:
        index = arguments.index("--results")
        del arguments[index : index + 2]
    return " ".join(["python -m benchmarks.gpu", *arguments])


def _write_or_check_page(runs: dict[str, Run], path: Path, *, check: bool) -> int:
    text = gpu_page.render(runs)
    if not check:
        files.atomic_write(path, text)
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == text:
        print(f"{PAGE}: up to date")
        return 0
    hint = "run `python -m benchmarks.gpu --page`"
    print(message(f"{PAGE} differs from {RESULTS}", hint=hint), file=sys.stderr)
    return 1


@without_retracing_warnings()
def run_parts(*, dry: bool, seconds: float, command: str) -> Run:
    """Run all parts in their order, and return the results.

    Args:
        dry: Whether to use the CPU on tiny sizes; without a GPU the run is dry in any case.
        seconds: Seconds for the whole run; a part that needs more than are left is skipped.
        command: Command of the run.
    """
    deadline = time.monotonic() + seconds
    _set_environment(dry=dry)
    import keras

    from benchmarks.gpu_backend import gpu_names

    names = () if dry else tuple(gpu_names())
    session = Session(_devices(names), not names, deadline)
    backend = keras.backend.backend()
    place = f"{len(names)} x {names[0]}" if names else "dry run on the CPU: no GPU is measured"
    print(f"Keras {keras.__version__} on {backend}, {place}", flush=True)
    results = [_run_part(part, session, f"[{number}/{len(PARTS)}]") for number, part in enumerate(PARTS, start=1)]
    hardware = {name: text for name, text in machine.hardware().items() if name != "gpu"}
    return Run(backend, names, command, _today(), hardware, _versions(backend), tuple(results))


def _set_environment(*, dry: bool) -> None:
    """Choose the backend, and let it allocate the memory of a GPU as needed: PyTorch runs in another process."""
    if importlib.util.find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if dry:
        os.environ.update({"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"})


def _devices(gpus: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the devices; TensorFlow splits the CPU of a dry run into two."""
    if gpus:
        return tuple(f"GPU:{index}" for index in range(len(gpus)))
    if not _has_tensorflow():
        return ("CPU:0",)
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    half = tf.config.LogicalDeviceConfiguration()
    try:
        tf.config.set_logical_device_configuration(cpu, [half, half])
    except RuntimeError:  # TensorFlow has started
        return tuple(f"CPU:{index}" for index in range(len(tf.config.list_logical_devices("CPU"))))
    return "CPU:0", "CPU:1"


def _has_tensorflow() -> bool:
    import keras

    return bool(keras.backend.backend() == "tensorflow")


def _today() -> str:
    return datetime.date.today().isoformat()


def _versions(backend: str) -> dict[str, str]:
    """Return the versions of the packages that matter: those of TensorFlow, or that of JAX."""
    versions = machine.versions()
    if backend == "jax":
        import jax

        versions = {name: text for name, text in versions.items() if name != "tensorflow"} | {"jax": jax.__version__}
    return versions


def _run_part(part: Part, session: Session, number: str) -> PartResult:
    """Run a part, unless too little time is left; a failure is a result too."""
    print(f"{number} {part.name:<8} ", end="", flush=True)
    start, left = time.monotonic(), session.seconds_left()
    if left < (1 if session.dry else part.seconds):
        problem = f"skipped: it takes about {part.seconds:.0f} s, and {max(0.0, left):.0f} s are left"
        result = PartResult(part.name, problem=problem)
    else:
        try:
            result = part.run(session)
        except Exception as error:
            result = PartResult(part.name, problem=f"failed: {without_paths(f'{type(error).__name__}: {error}')}")
    result = replace(result, seconds=time.monotonic() - start)
    print(f"{result.seconds:6.1f} s  {gpu_page.part_summary(result)}", flush=True)
    return result


def _check(session: Session) -> PartResult:
    from benchmarks.gpu_cases import DRY_CASES, check_cases, select_cases

    policies, names = ("float32", _mixed_policy()), DRY_CASES if session.dry else ()
    checks = check_cases(policies, names, session.is_over)
    num_missing = len(policies) * len(select_cases(names)) - len(checks)
    problem = f"incomplete: {num_missing} checks are missing, as the time was up" if num_missing else ""
    return PartResult("checks", problem=problem, rows=tuple(checks))


def _mixed_policy() -> str:
    """Return the mixed precision that the plan chooses on this machine; mixed_bfloat16 if it chooses none."""
    if not _has_tensorflow():
        return "mixed_bfloat16"
    import deepkit as dk

    precision = dk.plan(devices=1).precision
    return precision if precision.startswith("mixed") else "mixed_bfloat16"


def _measure_steps(session: Session) -> PartResult:
    from benchmarks.gpu_steps import step_times

    rows, facts = step_times(list(SIZES), dry=session.dry, seconds_left=session.seconds_left)
    has_failed = any(row.problem.startswith("failed") for row in rows)
    return PartResult("steps", problem="failed: see its rows" if has_failed else "", rows=tuple(rows), facts=facts)


def _measure_kernels(session: Session) -> PartResult:
    from benchmarks.gpu_steps import kernel_shares

    return PartResult("kernels", rows=tuple(kernel_shares(dry=session.dry)))


def _compare_choices(session: Session) -> PartResult:
    if not _has_tensorflow():
        return PartResult("choices", problem=NEEDS_TENSORFLOW)
    from benchmarks.gpu_plans import plan_choices

    return PartResult("choices", rows=tuple(plan_choices(dry=session.dry)))


def _measure_devices(session: Session) -> PartResult:
    if not _has_tensorflow():
        return PartResult("devices", problem=NEEDS_TENSORFLOW)
    if len(session.devices) < 2:
        return PartResult("devices", problem="not measured: there is one device")
    from benchmarks.gpu_plans import device_times

    return PartResult("devices", rows=tuple(device_times(session.devices, dry=session.dry)))


PARTS = (
    Part("checks", 60, _check),
    Part("choices", 60, _compare_choices),
    Part("kernels", 20, _measure_kernels),
    Part("devices", 30, _measure_devices),
    Part("steps", 15, _measure_steps),
)


if __name__ == "__main__":
    raise SystemExit(main())
