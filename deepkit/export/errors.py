"""The error of a failed export."""

from __future__ import annotations

from deepkit.utils.errors import StructuredError


class ExportError(StructuredError, ValueError):
    """A model cannot be exported, or the outputs of the exported file differ from those of the model.

    Args:
        problem: The reason, with the layer or the output concerned.
        hint: How to solve the problem.
    """
