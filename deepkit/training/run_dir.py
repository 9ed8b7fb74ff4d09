"""Run directories: locked during training, with atomic file writes, and bound to the config and plan of one run."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from deepkit.execution import devices
from deepkit.execution.plan import Measurement, Plan
from deepkit.training import checkpoint
from deepkit.training.config_difference import config_differences
from deepkit.training.errors import RunDirError
from deepkit.utils import files
from deepkit.utils.errors import format_value, make_error
from deepkit.utils.history import history_rows

if TYPE_CHECKING:
    from deepkit.training.state import TrainingState
    from deepkit.utils.types import History, PathLike

try:
    import fcntl
except ImportError:  # Windows has no such lock: two processes in one run directory are not detected there
    fcntl = None  # type: ignore[assignment]

FILES = (
    "config.json", checkpoint.NAME, checkpoint.PREVIOUS, "history.json", "history.csv", "result.json", "model.keras",
    "report.html", "figures", "preprocessing.json",
)  # fmt: skip
"""Names of the files and folders that a run writes into its directory."""
_LOCK = ".lock"
_WRITE_TEST = ".deepkit-write-test"


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

    Raises:
        TypeError: `path` is neither a string nor a `pathlib.Path`.
        ValueError: The path is empty.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = _check_path(path)
        self.model = self.path / "model.keras"
        self.report = self.path / "report.html"

    @contextlib.contextmanager
    def lock(self) -> Iterator[RunDir]:
        """Check that the directory is writable, and lock it against other processes.

        Raises:
            RunDirError: The directory is not writable, holds files of another program, or another process uses it.
        """
        self.check_files()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock_file = open(self.path / _LOCK, "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise self._not_writable(error) from error
        with lock_file:
            self._take_lock(lock_file)
            try:
                files.remove_stale_temporaries(self.path)
                files.remove_stale_temporaries(self.path / "figures")
                files.atomic_write(self.path / _WRITE_TEST, b"yes")
                (self.path / _WRITE_TEST).unlink()
            except OSError as error:
                raise self._not_writable(error) from error
            yield self

    def check_files(self) -> None:
        """Raise if the directory holds no run, but files or folders with the names that a run writes.

        Raises:
            RunDirError: There are such files, or the path is that of a file.
        """
        if self._is_file(self.path):
            raise RunDirError(
                f"run_dir: {self.path} cannot be written: it is a file, not a directory; nothing was trained",
                hint="pass the path of a directory, which is created if it does not exist",
            )
        if self._holds_run():
            return
        names = [name for name in FILES if self._exists(self.path / name)]
        if self._has_foreign_lock():
            names.append(_LOCK)
        if names:
            raise RunDirError(
                f"run_dir: {self.path} is not the directory of a run, and the run would overwrite {', '.join(names)}; "
                "nothing was written",
                hint="use another run_dir, such as a new folder in it, or move these files away",
            )

    def _holds_run(self) -> bool:
        """Return whether the config belongs to a run, or is damaged and may belong to one; neither is overwritten."""
        path = self.path / "config.json"
        if not self._exists(path):
            return False
        try:
            return "requested_plan" in self._read_json(path) or self._exists(self.path / checkpoint.NAME)
        except RunDirError:
            return True  # `config` raises the error

    def _has_foreign_lock(self) -> bool:
        """Return whether the lock is a file of another program: deepkit's holds the number of a process."""
        path = self.path / _LOCK
        if not self._exists(path):
            return False
        try:
            content = path.read_bytes().strip()
        except OSError:  # a folder, or a file that may not be read
            return True
        return bool(content) and not content.isdigit()

    def _is_file(self, path: Path) -> bool:
        try:
            return path.is_file()
        except OSError as error:
            raise self._not_writable(error) from error

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
        differences = config_differences(stored, new)
        if not differences:
            return
        schedules = "; a schedule such as dk.OneCycle depends on epochs" if "optimizer" in differences else ""
        raise RunDirError(
            f"run_dir: {self.path} holds a run with another config, which is left unchanged:\n"
            + "\n".join(differences.values()),
            hint=f"use another run_dir, or the settings of the stored run{schedules}",
        )

    def varying_fields(self) -> list[str]:
        """Return the fields of the config that the training itself changes, so that they are not compared."""
        stored = self.config().get("varying", [])
        return [str(name) for name in stored] if isinstance(stored, list) else []

    def add_varying_fields(self, names: Iterable[str]) -> None:
        """Store that the training itself changes these fields of the config."""
        before = self.varying_fields()
        merged = sorted({*before, *names})
        if merged != before:
            self.write("config.json", json.dumps(self.config() | {"varying": merged}, indent=2) + "\n")

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

    def replace_checkpoint(self, state: TrainingState) -> None:
        """Replace the newest checkpoint by a state of the same epoch.

        Raises:
            RunDirError: The disk is full or missing; the checkpoint is intact.
        """
        with self.convert_disk_errors(f"epoch {state.epoch} is saved"):
            checkpoint.replace_newest(self.path, state)

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

    def fitted_states(self) -> dict[str, Any]:
        """Return the fitted states of the run's preprocessing layers by name; empty if no run has begun.

        Raises:
            RunDirError: The file is damaged.
        """
        path = self.path / "preprocessing.json"
        return self._read_json(path) if self._exists(path) else {}

    def save_fitted_states(self, states: Mapping[str, object]) -> None:
        """Write the fitted states of the run's preprocessing layers, unless the run has these already."""
        if states and self.fitted_states() != states:
            with self.convert_disk_errors("the preprocessing layers are not saved, and nothing was trained"):
                self.write("preprocessing.json", json.dumps(states, ensure_ascii=False, indent=1) + "\n")

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


def _check_path(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise make_error(
            TypeError,
            f"run_dir must be a string or a pathlib.Path, received {format_value(path)}",
            hint="use run_dir='runs/first'",
        )
    text = os.fspath(path)
    if not isinstance(text, str):
        raise make_error(
            TypeError, f"run_dir must be a string, received {format_value(text)}", hint="use run_dir='runs/first'"
        )
    if not text.strip() or "\0" in text:
        raise make_error(
            ValueError,
            f"run_dir must be the path of a directory, received {format_value(text)}",
            hint="use run_dir='runs/first', or run_dir=None to save nothing",
        )
    return Path(text).expanduser()


def stored_plan(run_dir: PathLike) -> Plan | None:
    """Return the plan that the run in a directory began with, with its measurements; None if no run has begun.

    Raises:
        RunDirError: A device of the plan is missing on this machine, the config is damaged, or the directory holds
            files of another program.
    """
    directory = RunDir(run_dir)
    directory.check_files()
    return directory.available_plan()


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
