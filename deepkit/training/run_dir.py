"""Run directories: locked during training, with atomic file writes, and bound to the config and plan of one run."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from deepkit.execution import devices
from deepkit.execution.plan import Measurement, Plan
from deepkit.training import checkpoint
from deepkit.training.errors import RunDirError
from deepkit.utils import files
from deepkit.utils.history import history_rows

if TYPE_CHECKING:
    from deepkit.training.state import TrainingState
    from deepkit.utils.types import History, PathLike

try:
    import fcntl
except ImportError:  # Windows has no such lock: two processes in one run directory are not detected there
    fcntl = None  # type: ignore[assignment]

_NOT_COMPARED = ("versions", "requested_plan")  # recorded, but no reason to refuse a run
_MAX_DIFFERENCE_LENGTH = 100
_CONTEXT_LENGTH = 40  # characters shown on either side of the first difference


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The result of a finished run, as `result.json` holds it.

    Args:
        epochs: Number of finished epochs.
        stopped: Whether a callback stopped the training.
        resume: `"exact"`, or why a resumed run is only approximately equal.
        seconds: Duration of training and validation, over all calls.
        history: Loss and metrics of every epoch, by name.
    """

    epochs: int
    stopped: bool
    resume: str
    seconds: float
    history: History


class RunDir:
    """The directory of a run and the files in it.

    Args:
        path: The directory; it is created if it does not exist.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path).expanduser()
        self.model = self.path / "model.keras"
        self.report = self.path / "report.html"

    @contextlib.contextmanager
    def lock(self) -> Iterator[RunDir]:
        """Check that the directory is writable, and lock it against other processes.

        Raises:
            RunDirError: The directory is not writable, or another process uses it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock_file = open(self.path / ".lock", "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise self._not_writable(error) from error
        with lock_file:
            self._take_lock(lock_file)
            try:
                files.remove_stale_temporaries(self.path)
                files.atomic_write(self.path / ".writable", b"yes")
                (self.path / ".writable").unlink()
            except OSError as error:
                raise self._not_writable(error) from error
            yield self

    def _not_writable(self, error: OSError) -> RunDirError:
        return RunDirError(
            f"run_dir: {self.path} cannot be written: {error.strerror or error}; nothing was trained",
            hint="use another directory, or fix its permissions or free space on its disk",
        )

    def _take_lock(self, lock_file: TextIO) -> None:
        """Take the lock; the operating system releases it when this process ends, also if it is killed."""
        if fcntl is not None:
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock_file.seek(0)
                process = lock_file.read().strip() or "?"
                raise RunDirError(
                    f"run_dir: {self.path} is in use by process {process}, which trains there",
                    hint="wait for that process, end it, or use another run_dir",
                ) from error
        lock_file.truncate(0)
        lock_file.write(str(os.getpid()))
        lock_file.flush()

    def config(self) -> dict[str, Any]:
        """Return the config of the run; empty if no run has begun."""
        path = self.path / "config.json"
        if not self._exists(path):
            return {}
        config = self._read_json(path)
        if "requested_plan" not in config:
            raise self._damaged(path, "it has no plan")
        return config

    def check_or_write_config(self, config: Mapping[str, object]) -> None:
        """Write the config of a new run, or compare it with the config of the run in this directory.

        Raises:
            RunDirError: The run in this directory has another config; the message lists the fields that differ.
        """
        new = json.loads(json.dumps(config))
        stored = self.config()
        if not stored:
            self.write("config.json", json.dumps(new, indent=2) + "\n")
            return
        keys = dict.fromkeys((*stored, *new))
        changed = [key for key in keys if stored.get(key) != new.get(key) and key not in _NOT_COMPARED]
        if not changed:
            return
        differences = "\n".join(_describe_difference(key, stored.get(key), new.get(key)) for key in changed)
        schedules = "; a schedule such as dk.OneCycle depends on epochs" if "optimizer" in changed else ""
        raise RunDirError(
            f"run_dir: {self.path} holds a run with another config, which is left unchanged:\n{differences}",
            hint=f"use another run_dir, or the settings of the stored run{schedules}",
        )

    def plan(self) -> Plan | None:
        """Return the plan that the run began with, or None if no run has begun.

        Raises:
            RunDirError: The config is damaged.
        """
        config = self.config()
        if not config:
            return None
        try:
            return _plan_from_json(config["requested_plan"])
        except (TypeError, ValueError) as error:
            raise self._damaged(self.path / "config.json", error) from error

    def available_plan(self) -> Plan | None:
        """Return the plan that the run began with, if this machine has its devices.

        Raises:
            RunDirError: A device of the plan is missing, or the config is damaged.
        """
        plan = self.plan()
        missing = sorted(set(plan.devices) - set(devices.available())) if plan else []
        if missing:
            raise RunDirError(
                f"run_dir: {self.path} holds a run on {', '.join(missing)}, and TensorFlow offers "
                f"{', '.join(devices.available())} here",
                hint="use another run_dir, or continue on a machine with these devices",
            )
        return plan

    def changed_versions(self, versions: Mapping[str, str]) -> str:
        """Return the versions that changed since the run began, as text; empty if none did."""
        stored = self.config().get("versions", {})
        if not isinstance(stored, dict):
            return ""
        changed = [f"{name} {stored[name]} -> {now}" for name, now in versions.items() if stored.get(name, now) != now]
        return ", ".join(changed)

    def load_checkpoint(self) -> TrainingState | None:
        """Return the newest checkpoint, or None if there is none."""
        return checkpoint.load(self.path)

    def save_checkpoint(self, state: TrainingState) -> None:
        """Write a checkpoint and the history.

        Raises:
            RunDirError: The disk is full or missing; earlier checkpoints are intact.
        """
        with self.convert_disk_errors(f"epoch {state.epoch} is not saved, earlier epochs are"):
            checkpoint.save(self.path, state)
            self.write("history.json", json.dumps(state.history, indent=1) + "\n")
            self.write("history.csv", _history_csv(state.history))

    def result(self) -> RunResult | None:
        """Return the result of a finished run, or None.

        Raises:
            RunDirError: The file of the result is damaged.
        """
        path = self.path / "result.json"
        if not path.exists() or not self.model.exists():
            return None
        stored = self._read_json(path)
        try:
            return RunResult(**{field.name: stored[field.name] for field in dataclasses.fields(RunResult)})
        except KeyError as error:
            raise self._damaged(path, f"{error} is missing") from error

    def save_result(self, result: RunResult) -> None:
        """Write the result of a finished run."""
        self.write("result.json", json.dumps(dataclasses.asdict(result), indent=1) + "\n")

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file atomically."""
        files.atomic_write(self.path / name, content)

    @contextlib.contextmanager
    def convert_disk_errors(self, consequence: str) -> Iterator[None]:
        """Raise a `RunDirError` that names the consequence if a file cannot be written."""
        try:
            yield
        except RunDirError:
            raise
        except OSError as error:
            raise RunDirError(
                f"run_dir: writing to {self.path} failed: {error.strerror or error}; {consequence}",
                hint="free space on the disk and repeat the call: it resumes from there",
            ) from error

    def _exists(self, path: Path) -> bool:
        try:
            return path.exists()
        except OSError as error:  # a directory that may not be read
            raise self._not_writable(error) from error

    def _read_json(self, path: Path) -> dict[str, Any]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise self._not_writable(error) from error
        except ValueError as error:
            raise self._damaged(path, error) from error
        if not isinstance(content, dict):
            raise self._damaged(path, f"expected a JSON object, received {type(content).__name__}")
        return content

    def _damaged(self, path: Path, reason: object) -> RunDirError:
        return RunDirError(f"run_dir: {path} is damaged ({reason})", hint="move it away, or use another run_dir")


def stored_plan(run_dir: PathLike) -> Plan | None:
    """Return the plan that the run in a directory began with, with its measurements; None if no run has begun.

    Raises:
        RunDirError: A device of the plan is missing on this machine, or the config is damaged.
    """
    return RunDir(run_dir).available_plan()


def plan_fields(plan: Plan) -> dict[str, object]:
    """Return the fields of a plan that define a run, as JSON values: two runs with the same fields are the same."""
    return plan.choices() | {"devices": list(plan.devices)}


def plan_to_json(plan: Plan) -> dict[str, object]:
    """Return a whole plan, with its reasons and measurements, as JSON values."""
    return dataclasses.asdict(plan)


def _plan_from_json(stored: object) -> Plan:
    """Return the plan whose JSON values `plan_to_json` returned."""
    if not isinstance(stored, dict):
        raise TypeError(f"requested_plan: expected a JSON object, received {type(stored).__name__}")
    names = {field.name for field in dataclasses.fields(Plan)}
    values = {name: value for name, value in stored.items() if name in names}
    for name in ("devices", "auto_fields"):
        if name in values:
            values[name] = tuple(values[name])
    values["reasons"] = tuple((name, reason) for name, reason in values.get("reasons", ()))
    values["measurements"] = tuple(_measurement_from_json(row) for row in values.get("measurements", ()))
    return Plan(**values)


def _measurement_from_json(row: Mapping[str, object]) -> Measurement:
    measurement = Measurement(**row)  # type: ignore[arg-type]
    if measurement.spread is None:
        return measurement
    fastest, slowest = measurement.spread
    return dataclasses.replace(measurement, spread=(fastest, slowest))


def _describe_difference(key: str, stored: object, new: object) -> str:
    if isinstance(stored, dict) and isinstance(new, dict):
        names = [name for name in dict.fromkeys((*stored, *new)) if stored.get(name) != new.get(name)]
        return "\n".join(_describe_difference(f"{key}.{name}", stored.get(name), new.get(name)) for name in names)
    stored_text = stored if isinstance(stored, str) else json.dumps(stored)
    new_text = new if isinstance(new, str) else json.dumps(new)
    length = min(len(stored_text), len(new_text))
    position = next((i for i in range(length) if stored_text[i] != new_text[i]), length)
    return f"    {key}: stored {_excerpt(stored_text, position)}, now {_excerpt(new_text, position)}"


def _excerpt(text: str, position: int) -> str:
    """Return the part of a long text around a position."""
    if len(text) <= _MAX_DIFFERENCE_LENGTH:
        return text
    begin, end = max(0, position - _CONTEXT_LENGTH), position + _CONTEXT_LENGTH
    return ("..." if begin else "") + text[begin:end] + ("..." if end < len(text) else "")


def _history_csv(history: History) -> str:
    """Return the history as CSV, one row per epoch; a metric with several values has a column for each of them."""
    rows = history_rows(history)
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *names], restval="", lineterminator="\n")
    writer.writeheader()
    for epoch, row in enumerate(rows, start=1):
        writer.writerow({"epoch": epoch} | row)
    return text.getvalue()
