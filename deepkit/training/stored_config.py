"""`config.json`: the config of a run, its id, and the checksums of the files that belong to it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deepkit.training import checkpoint, run_files
from deepkit.training.errors import RunDirError

_RUN_ID, _CHECKSUMS = "run_id", "checksums"


@dataclass(frozen=True)
class StoredConfig:
    """The content of `config.json`.

    Args:
        config: The config of the run.
        run_id: A random id, which the checkpoints and the result of the run repeat.
        checksums: SHA-256 of each file of the run that does not change, by name.
    """

    config: Mapping[str, object]
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    checksums: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return the text of the file."""
        identity = {_RUN_ID: self.run_id, _CHECKSUMS: dict(self.checksums)}
        return run_files.with_checksum(dict(self.config) | identity)


def read(folder: Path) -> StoredConfig | None:
    """Return the content of `config.json`, or None if there is no such file.

    Raises:
        RunDirError: The file cannot be read, is damaged, or belongs to another program or an earlier version.
    """
    path = folder / run_files.CONFIG
    if not run_files.exists(path):
        return None
    has_other_files = any(run_files.exists(folder / name) for name in run_files.FILES if name != run_files.CONFIG)
    hint = run_files.RESTORE if has_other_files else "move it away, or use another run_dir"
    content = run_files.read_json(path, hint)
    if "requested_plan" not in content:
        raise run_files.damaged(path, "it has no plan", hint)
    if "versions" in content and not content.keys() & {_RUN_ID, _CHECKSUMS, run_files.CHECKSUM}:
        raise RunDirError(
            f"run_dir: {folder} holds a run of an earlier version of deepkit, which wrote no checksums; nothing was "
            "changed",
            hint="use another run_dir, or continue with that version",
        )
    values = run_files.check_checksum(path, content, hint)
    run_id, checksums = values.pop(_RUN_ID, None), values.pop(_CHECKSUMS, None)
    if not isinstance(run_id, str) or not isinstance(checksums, dict):
        raise run_files.damaged(path, f"it has no {_RUN_ID}, or no {_CHECKSUMS}", hint)
    return StoredConfig(values, run_id, checksums)


def is_run(folder: Path) -> bool:
    """Return whether `config.json` belongs to a run, or is damaged and may belong to one; neither is overwritten."""
    path = folder / run_files.CONFIG
    if not run_files.exists(path):
        return False
    try:
        content = run_files.read_json(path)
    except RunDirError:
        return True  # `read` raises the error
    return "requested_plan" in content or run_files.exists(folder / checkpoint.NAME)
