"""The errors that deepkit raises besides Python's own `ValueError`, `TypeError` and `OSError`."""

from __future__ import annotations

from deepkit.data.errors import DataError
from deepkit.definition.errors import DefinitionError
from deepkit.execution.errors import ClusterError
from deepkit.export.errors import ExportError
from deepkit.training.errors import CheckpointError, DivergedError, LabelError, RunDirError, TokenIdError

__all__ = [
    "CheckpointError", "ClusterError", "DataError", "DefinitionError", "DivergedError", "ExportError", "LabelError",
    "RunDirError", "TokenIdError",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
