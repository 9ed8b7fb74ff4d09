"""Run directories: locked during training, with atomic file writes, and bound to the config and plan of one run.

A file certifies others by their checksums, or by the random id of the run, so that a damaged, missing or swapped file
is detected. A process may be killed between any two writes. Therefore a file certifies only files that were written
before it, and is removed before one of those is replaced. The order is:

1. `config.json`: the config, the id of the run, and a checksum of its content. It is the first file of a run.
2. `preprocessing.json`, if the model has preprocessing layers. Then `config.json` is replaced by one that holds the
   checksum of this file. Without that checksum, nothing is trained yet, and the file is written again.
3. After each epoch, `checkpoint.zip`: the id of the run, and a checksum for each array. Then `history.json` and
   `history.csv`, which repeat the history in the checkpoint: after a kill they lack one epoch, and `lock` completes
   them.
4. At the end, `model.keras` and `result.json`, which holds the id of the run, the checksum of the model, and that of
   its content. Both are first written as temporary files. Then the old `result.json` is removed, the new model
   renamed, and the new result renamed. A directory without a result is an unfinished run, which the next call
   completes from its checkpoint.
5. `report.html` and the figures, which no other file certifies because deepkit never reads them. The old report is
   removed with the old result, so a missing report is written again.

A run that continues with more epochs writes checkpoints beside the result of the earlier end, which therefore
certifies no checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.training import checkpoint, history_files, run_files, run_verification, stored_config, stored_result
from deepkit.training.configured_dir import ConfiguredDir
from deepkit.training.directory_lock import DirectoryLock
from deepkit.training.errors import CheckpointError, RunDirError
from deepkit.training.run_dir_checks import check_files, check_path
from deepkit.training.run_verification import RunContent
from deepkit.training.state import TrainingState, is_finite
from deepkit.training.stored_result import RunResult, StoredResult
from deepkit.utils import files
from deepkit.utils.checksums import file_checksum
from deepkit.utils.console import echo

if TYPE_CHECKING:
    from deepkit.execution.plan import Plan
    from deepkit.utils.types import History, PathLike

_WRITE_TEST = ".deepkit-write-test"


class RunDir(ConfiguredDir):
    """The directory of a run and the files in it.

    Args:
        path: The directory; it is created if it does not exist.

    Raises:
        TypeError: `path` is neither a string nor a `pathlib.Path`.
        ValueError: The path is empty.
    """

    is_writable = True
    """Whether this process writes the files of the run: not on a worker other than the chief."""

    def __init__(self, path: PathLike) -> None:
        super().__init__(check_path(path))
        self.model = self.path / run_files.MODEL
        self.report = self.path / run_files.REPORT

    @contextlib.contextmanager
    def lock(self) -> Iterator[RunDir]:
        """Lock the directory against other processes, check that it is writable, and verify the files in it.

        Raises:
            RunDirError: The directory is not writable, holds files of another program, another process uses it, or a
                file of its run is missing, damaged, or of another run.
            CheckpointError: The checkpoint cannot be read, is damaged, or of another run.
        """
        self.check_files()
        lock = DirectoryLock(self.path)
        try:
            files.make_folder(self.path)
            lock.acquire()
        except RunDirError:
            raise
        except OSError as error:
            raise run_files.not_writable(self.path, error) from error
        try:
            self._prepare()
            yield self
        finally:
            lock.release()

    def _prepare(self) -> None:
        """Remove temporary files of ended processes, and verify and complete the files of the run."""
        try:
            files.remove_stale_temporaries(self.path)
            files.remove_stale_temporaries(self.path / run_files.FIGURES)
            files.atomic_write(self.path / _WRITE_TEST, b"yes")
            (self.path / _WRITE_TEST).unlink()
        except OSError as error:
            raise run_files.not_writable(self.path, error) from error
        content = self.verify()
        if content is not None:
            self._complete(content)

    def verify(self) -> RunContent | None:
        """Verify the files of the run, and return their content; None if no run has begun. Nothing is changed.

        Another process that trains in the directory meanwhile may cause an error.

        Raises:
            RunDirError: A file is missing, damaged, or of another run.
            CheckpointError: The checkpoint cannot be read, is damaged, or of another run.
        """
        return run_verification.verify(self.path)

    def check_files(self) -> None:
        """Raise if the directory holds no run, but files or folders with the names that a run writes.

        Raises:
            RunDirError: There are such files, they belong to a run whose config is missing, or the path is that of a
                file.
        """
        check_files(self.path)

    def _complete(self, content: RunContent) -> None:
        """Write the files again that an interruption or the user has removed, if other files have their content."""
        if content.checkpoint is None:
            return
        source, history = content.checkpoint.name, content.checkpoint.history
        if content.result is not None and content.result.result.epochs > content.checkpoint.epoch:
            source, history = run_files.RESULT, content.result.result.history  # the newest checkpoint is missing
        names = (history_files.JSON_NAME, history_files.CSV_NAME)
        missing = [name for name in names if not run_files.exists(self.path / name)]
        if missing or run_files.read_json(self.path / history_files.JSON_NAME) != history:
            if missing and history:
                echo(f"{' and '.join(missing)} missing in {self.path}: written again from {source}")
            with self.convert_disk_errors("nothing was trained"):
                self._write_history(history)
        if content.result is not None and not run_files.exists(self.model):
            echo(f"{self.model} is missing: it is written again from {content.checkpoint.name}")

    def load_checkpoint(self) -> TrainingState | None:
        """Return the newest checkpoint, or None if there is none; print it if only the previous one exists.

        Raises:
            CheckpointError: The checkpoint cannot be read, is damaged, or holds NaN.
        """
        stored = checkpoint.load(self.path)
        if stored is None:
            return None
        path = self.path / checkpoint.NAME
        if not run_files.exists(path):
            echo(
                f"{path} is missing, as after a kill while it was written: {checkpoint.PREVIOUS} replaces it, with "
                f"the state after epoch {stored.epoch}"
            )
            path = self.path / checkpoint.PREVIOUS
        if stored.epoch > 0:  # the initial weights of a compiled model may be anything
            for name, value in stored.variables["model"]:
                if not is_finite(value):
                    raise CheckpointError(
                        f"{path} holds NaN or infinity in the weight {name}, which fit never saves",
                        hint=checkpoint.recovery_hint(self.path, path),
                    )
        return stored

    def save_checkpoint(self, state: TrainingState) -> None:
        """Write a checkpoint and the history.

        Raises:
            RunDirError: The disk is full or missing; earlier checkpoints are intact.
        """
        identified = self._with_run_id(state)
        with self.convert_disk_errors(f"epoch {state.epoch} is not saved, earlier epochs are"):
            checkpoint.save(self.path, identified)
        with self.convert_disk_errors(f"epoch {state.epoch} is saved, its history is only in the checkpoint"):
            self._write_history(state.history)

    def replace_checkpoint(self, state: TrainingState) -> None:
        """Replace the newest checkpoint by a state of the same epoch.

        Raises:
            RunDirError: The disk is full or missing; the checkpoint is intact.
        """
        with self.convert_disk_errors(f"epoch {state.epoch} is saved"):
            checkpoint.replace_newest(self.path, self._with_run_id(state))

    def _with_run_id(self, state: TrainingState) -> TrainingState:
        return dataclasses.replace(state, run_id=self.stored_config().run_id)

    def _write_history(self, history: History) -> None:
        self.write(history_files.JSON_NAME, history_files.history_json(history))
        self.write(history_files.CSV_NAME, history_files.history_csv(history))

    def result(self) -> RunResult | None:
        """Return the result of a finished run with its model, or None.

        Raises:
            RunDirError: The file of the result is damaged.
        """
        stored = stored_result.read(self.path)
        return None if stored is None or not run_files.exists(self.model) else stored.result

    def save_result(self, result: RunResult, write_model: Callable[[Path], None]) -> None:
        """Write the model and the result of a finished run; remove the report of an earlier end.

        Args:
            result: The result.
            write_model: Writes the model to the path of a temporary file.

        Raises:
            RunDirError: The disk is full or missing; the last checkpoint is complete.
        """
        run_id, path = self.stored_config().run_id, self.path / run_files.RESULT
        with (
            self.convert_disk_errors("the last checkpoint is complete"),
            files.atomic_path(path) as new_result,
            files.atomic_path(self.model) as new_model,  # renamed before the result
        ):
            write_model(new_model)
            files.fsync(new_model)  # a full disk raises here, before the files of an earlier end are removed
            new_result.write_text(StoredResult(result, run_id, file_checksum(new_model)).to_text())
            files.fsync(new_result)
            for outdated in (self.report, path):
                outdated.unlink(missing_ok=True)
            files.fsync_folder(self.path)

    def fitted_states(self) -> dict[str, Any]:
        """Return the fitted states of the run's preprocessing layers by name; empty if no run has begun.

        Raises:
            RunDirError: The file is missing or damaged.
        """
        stored = stored_config.read(self.path)
        if stored is None or run_files.PREPROCESSING not in stored.checksums:
            return {}
        run_verification.check_preprocessing(self.path, stored)
        return run_files.read_json(self.path / run_files.PREPROCESSING)

    def save_fitted_states(self, states: Mapping[str, object]) -> None:
        """Write the fitted states of the run's preprocessing layers, unless the run has these already.

        Raises:
            RunDirError: The disk is full or missing.
        """
        if not states or self.fitted_states() == states:
            return
        stored = self.stored_config()
        with self.convert_disk_errors("the preprocessing layers are not saved, and nothing was trained"):
            if stored.checksums:  # of other states
                self.write_config(dataclasses.replace(stored, checksums={}))
            self.write(run_files.PREPROCESSING, json.dumps(states, ensure_ascii=False, indent=1) + "\n")
            checksum = file_checksum(self.path / run_files.PREPROCESSING)
            self.write_config(dataclasses.replace(stored, checksums={run_files.PREPROCESSING: checksum}))


def stored_plan(run_dir: PathLike) -> Plan | None:
    """Return the plan that the run in a directory began with, with its measurements; None if no run has begun.

    Raises:
        RunDirError: A device of the plan is missing on this machine, the config is damaged, or the directory holds
            files of another program.
    """
    directory = RunDir(run_dir)
    directory.check_files()
    return directory.available_plan()
