"""The recorded runs of the GPU benchmark: one generated JSON file, with a run per backend and one dry run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from benchmarks.records import read
from deepkit.utils import files

FORMAT = 1


@dataclass(frozen=True)
class Check:
    """A conformance case on the GPU, compared with the CPU.

    Args:
        case: Name of the case.
        precision: Name of the dtype policy.
        outputs: Deviation of the outputs; None if it was not computed.
        gradients: Deviation of the gradients; None if it was not computed.
        outputs_tolerance: Largest deviation of the outputs that passes.
        gradients_tolerance: Largest deviation of the gradients that passes.
        problem: Why the case could not run on the GPU; or, if `is_unsupported`, on this backend of Keras at all.
        is_unsupported: Whether the backend cannot run the case on the CPU either.
    """

    case: str
    precision: str
    outputs: float | None = None
    gradients: float | None = None
    outputs_tolerance: float = 0.0
    gradients_tolerance: float = 0.0
    problem: str = ""
    is_unsupported: bool = False

    def verdict(self) -> str:
        """Return `"passed"`, `"failed"` or `"unsupported"`."""
        if self.is_unsupported:
            return "unsupported"
        pairs = [(self.outputs, self.outputs_tolerance), (self.gradients, self.gradients_tolerance)]
        is_within = all(deviation is None or deviation <= tolerance for deviation, tolerance in pairs)  # NaN fails
        return "passed" if is_within and not self.problem else "failed"


@dataclass(frozen=True)
class Choice:
    """A choice of the plan, compared with that of `dk.autotune`.

    Args:
        net: Title of the net.
        field: Field of the plan.
        planned: Choice of the plan.
        measured: Choice of `dk.autotune`.
        milliseconds: Milliseconds a step of each candidate that was timed.
        note: Why the field was not measured; empty if it was.
    """

    net: str
    field: str
    planned: str
    measured: str
    milliseconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class StepTime:
    """The time of a training step of a net.

    Args:
        net: Title of the net.
        side: `"deepkit"`, `"Keras"` or `"PyTorch"`.
        milliseconds: Milliseconds a step, by round; empty if there is a problem.
        problem: Why it was not measured.
    """

    net: str
    side: str
    milliseconds: tuple[float, ...] = ()
    problem: str = ""

    def median(self) -> float:
        """Return the median over the rounds."""
        return float(median(self.milliseconds))


@dataclass(frozen=True)
class KernelShare:
    """The share of a step that the kernels do not account for.

    Args:
        net: Title of the net.
        batch_size: The batch size of the step.
        outside: The share outside kernels, from 0 to 1.
        milliseconds: Milliseconds a step by batch size.
    """

    net: str
    batch_size: int
    outside: float
    milliseconds: Mapping[str, float]


@dataclass(frozen=True)
class DeviceTime:
    """The time of a training step of one batch, split over some devices.

    Args:
        net: Title of the net.
        num_devices: Number of devices.
        batch_size: Examples in the whole batch.
        milliseconds: Milliseconds a step.
    """

    net: str
    num_devices: int
    batch_size: int
    milliseconds: float


Measured: TypeAlias = Check | Choice | StepTime | KernelShare | DeviceTime
ROW_TYPES: Mapping[str, type] = {
    "checks": Check,
    "choices": Choice,
    "kernels": KernelShare,
    "devices": DeviceTime,
    "steps": StepTime,
}


@dataclass(frozen=True)
class PartResult:
    """The result of one part of a run.

    Args:
        name: Name of the part.
        seconds: Wall time.
        problem: Why it is missing or incomplete.
        rows: Its rows.
        facts: Facts about it, such as the version of PyTorch.
    """

    name: str
    seconds: float = 0.0
    problem: str = ""
    rows: tuple[Any, ...] = ()
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run of the GPU benchmark on a machine.

    Args:
        backend: Backend of Keras.
        gpus: Names of the GPUs; empty for a dry run, which compares the CPU with the CPU.
        command: Command of the run.
        date: Day of the run, as `2026-01-31`.
        hardware: Hardware of the machine.
        versions: Versions of the software.
        parts: Results of the parts.
    """

    backend: str
    gpus: tuple[str, ...]
    command: str
    date: str
    hardware: Mapping[str, str]
    versions: Mapping[str, str]
    parts: tuple[PartResult, ...]

    @property
    def name(self) -> str:
        """The backend, or `"dry"`: the run replaces an earlier one of the same name."""
        return self.backend if self.gpus else "dry"

    def rows(self, part: str) -> list[Any]:
        """Return the rows of a part."""
        return [row for result in self.parts if result.name == part for row in result.rows]

    def has_failed(self) -> bool:
        """Return whether a check or a whole part failed."""
        has_failed_check = any(check.verdict() == "failed" for check in self.rows("checks"))
        return has_failed_check or any(part.problem.startswith("failed") for part in self.parts)


def load(path: Path) -> dict[str, Run]:
    """Return the recorded runs by name; an empty mapping if the file does not exist.

    Raises:
        RecordsError: The file exists and is not a file of GPU results.
    """
    return read(path, FORMAT, lambda content: {run.name: run for run in map(_run, content["runs"])})


def _run(content: Mapping[str, Any]) -> Run:
    parts = tuple(_part(part) for part in content["parts"])
    return Run(**{**content, "gpus": tuple(content["gpus"]), "parts": parts})


def _part(content: Mapping[str, Any]) -> PartResult:
    row_type = ROW_TYPES[content["name"]]
    rows = tuple(row_type(**{key: _tuples(value) for key, value in row.items()}) for row in content["rows"])
    return PartResult(**{**content, "rows": rows})


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def save(path: Path, runs: Sequence[Run]) -> None:
    """Write all runs to the file.

    Raises:
        OSError: The file cannot be written.
    """
    ordered = sorted(runs, key=lambda run: run.name)
    lines = ",\n".join(_text(run) for run in ordered)
    files.atomic_write(path, f'{{"format": {FORMAT}, "runs": [\n{lines}\n]}}\n')


def _text(run: Run) -> str:
    """Return a run as JSON with a row on each line, for short diffs."""
    content = _rounded(asdict(run))
    parts = []
    for part in content.pop("parts"):
        rows = ",".join(f"\n  {json.dumps(row)}" for row in part.pop("rows"))
        parts.append(f' {json.dumps(part)[:-1]}, "rows": [{rows}]}}')
    joined = ",\n".join(parts)
    return f'{json.dumps(content)[:-1]}, "parts": [\n{joined}\n]}}'


def _rounded(value: Any) -> Any:
    """Return plain data with numbers of four significant digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
