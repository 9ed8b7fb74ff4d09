"""The folder of a run: checked before training, locked while training, every file in it whole."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepkit.training import checkpoint
from deepkit.training.errors import RunDirError
from deepkit.training.state import State
from deepkit.utils import files as _files
from deepkit.utils import large_files as files

try:
    import fcntl
except ImportError:  # Windows has no such lock; there two processes on one folder are not noticed
    fcntl = None  # type: ignore[assignment]

_REMARKS = ("versions",)  # recorded, but no reason to refuse


class RunDir:
    """What lies in a run directory, and where.

    Args:
        path: The folder; made when it is not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.model = self.path / "model.keras"
        self.report = self.path / "report.html"
        self.is_held = False

    @contextlib.contextmanager
    def held(self) -> Iterator[RunDir]:
        """Check that the folder can be written, and keep other processes out while it is used.

        Raises:
            RunDirError: It cannot be written, or another process uses it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / ".lock", "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise self._unusable(error) from error
        with lock:
            self._lock(lock)
            try:
                files.sweep(self.path)
                _files.write(self.path / ".writable", b"yes")
                (self.path / ".writable").unlink()
            except OSError as error:
                raise self._unusable(error) from error
            self.is_held = True
            try:
                yield self
            finally:
                self.is_held = False

    def _unusable(self, error: OSError) -> RunDirError:
        return RunDirError(
            f"run_dir: {self.path} cannot be written: {error.strerror or error}; nothing was trained\n"
            "  hint: another folder, or mend its permissions or free space on its disk"
        )

    def _lock(self, lock: Any) -> None:
        """Take the lock, which the system gives back when this process ends in whatever way."""
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.seek(0)
                raise RunDirError(
                    f"run_dir: {self.path} is in use by process {lock.read().strip() or '?'}, which trains there\n"
                    "  hint: waiting for it, ending it, or another run_dir"
                ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()

    def settle_config(self, config: Mapping[str, Any]) -> None:
        """Write the config of a new run, or compare it with that of the run that is here.

        Raises:
            RunDirError: The run that is here has another config; the message shows the difference field by field.
        """
        config = json.loads(json.dumps(config))
        if not (self.path / "config.json").exists():
            self.write("config.json", json.dumps(config, indent=2) + "\n")
            return
        there = self.config()
        changed = [key for key in (*there, *config) if there.get(key) != config.get(key) and key not in _REMARKS]
        if changed:
            shown = "\n".join(_difference(key, there.get(key), config.get(key)) for key in dict.fromkeys(changed))
            epochs = "; dk.OneCycle and its kind depend on epochs" if "optimizer" in changed else ""
            raise RunDirError(
                f"run_dir: {self.path} holds a run of another config, which is left as it is:\n{shown}\n"
                f"  hint: another run_dir, or the settings of the run that is there{epochs}"
            )

    def config(self) -> dict[str, Any]:
        """Return the config of the run that is here; an empty one where none has begun."""
        path = self.path / "config.json"
        return self._json(path) if path.exists() else {}

    def versions_changed(self, versions: Mapping[str, str]) -> str | None:
        """Return which versions differ from those the run began with, in words."""
        there = self.config().get("versions", {})
        changed = [f"{name} {there[name]} -> {now}" for name, now in versions.items() if there.get(name, now) != now]
        return ", ".join(changed) or None

    def load(self) -> State | None:
        """Return the newest checkpoint, or None."""
        return checkpoint.load(self.path)

    def save(self, state: State) -> None:
        """Keep a checkpoint and the history.

        Raises:
            RunDirError: The disk is full or gone; what was kept before still is.
        """
        with self.writing(f"epoch {state.epoch} is not kept, what was kept before is"):
            checkpoint.save(self.path, state)
            self.write("history.json", json.dumps(state.history, indent=1) + "\n")
            self.write("history.csv", _table(state.history))

    def result(self) -> dict[str, Any] | None:
        """Return what a finished run said of itself, or None."""
        path = self.path / "result.json"
        return self._json(path) if path.exists() and self.model.exists() else None

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        _files.write(self.path / name, content)

    @contextlib.contextmanager
    def writing(self, said: str) -> Iterator[None]:
        """Turn what goes wrong with the disk into words."""
        try:
            yield
        except RunDirError:
            raise
        except OSError as error:
            raise RunDirError(
                f"run_dir: writing to {self.path} failed: {error.strerror or error}; {said}\n"
                "  hint: freeing space, then the same call again: it goes on from there"
            ) from error

    def _json(self, path: Path) -> dict[str, Any]:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunDirError(
                f"run_dir: {path} is damaged ({error})\n  hint: moving it away, or another run_dir"
            ) from error


def _difference(key: str, there: Any, here: Any) -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        inner = [k for k in dict.fromkeys((*there, *here)) if there.get(k) != here.get(k)]
        return "\n".join(_difference(f"{key}.{k}", there.get(k), here.get(k)) for k in inner)
    there, here = (value if isinstance(value, str) else json.dumps(value) for value in (there, here))
    shorter = min(len(there), len(here))
    same = next((i for i in range(shorter) if there[i] != here[i]), shorter)
    return f"    {key}: there {_around(there, same)}, now {_around(here, same)}"


def _around(text: str, at: int) -> str:
    """Return the part of a long text where it begins to differ."""
    if len(text) <= 100:
        return text
    begin, end = max(0, at - 40), at + 40
    return ("..." if begin else "") + text[begin:end] + ("..." if end < len(text) else "")


def _table(history: Mapping[str, list[float]]) -> str:
    """Return the history as CSV, one row an epoch."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["epoch", *history])
    length = max(map(len, history.values()), default=0)
    for i in range(length):
        rows.writerow([i + 1, *(values[i] if i < len(values) else "" for values in history.values())])
    return out.getvalue()
