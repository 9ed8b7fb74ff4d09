"""`result.json`: the result of a finished run, and the checksum of its model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.training import run_files

if TYPE_CHECKING:
    from deepkit.utils.types import History

_HINT = "move it away: the same call writes it again from the checkpoint"


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


@dataclasses.dataclass(frozen=True)
class StoredResult:
    """The content of `result.json`.

    Args:
        result: The result.
        run_id: The run that wrote it.
        model_checksum: SHA-256 of `model.keras`.
    """

    result: RunResult
    run_id: str
    model_checksum: str

    def to_text(self) -> str:
        """Return the text of the file."""
        identity = {"run_id": self.run_id, "model_checksum": self.model_checksum}
        return run_files.with_checksum(dataclasses.asdict(self.result) | identity)


def read(folder: Path) -> StoredResult | None:
    """Return the content of `result.json`, or None if there is no such file.

    Raises:
        RunDirError: The file cannot be read, or is damaged.
    """
    path = folder / run_files.RESULT
    if not run_files.exists(path):
        return None
    content = run_files.read_json(path, _HINT)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(RunResult):
        if field.name not in content:
            raise run_files.damaged(path, f"{field.name!r} is missing", _HINT)
        fields[field.name] = content[field.name]
    values = run_files.check_checksum(path, content, _HINT)
    run_id, model_checksum = values.get("run_id"), values.get("model_checksum")
    if not isinstance(run_id, str) or not isinstance(model_checksum, str):
        raise run_files.damaged(path, "it has no 'run_id', or no 'model_checksum'", _HINT)
    return StoredResult(RunResult(**fields), run_id, model_checksum)
