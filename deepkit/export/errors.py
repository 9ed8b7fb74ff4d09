"""The error of a failed export."""

from __future__ import annotations

from deepkit.utils.errors import StructuredError


class ExportError(StructuredError, ValueError):
    """A model cannot be exported, or the outputs of the exported file differ from those of the model.

    Args:
        problem: The reason, with the layer or the output concerned.
        path: The part of the model concerned; empty if the problem names it.
        code: The code concerned; empty if there is none.
        hint: How to solve the problem.

    Examples:
        >>> import pathlib, deepkit as dk
        >>> pathlib.Path("notes").mkdir()
        >>> _ = pathlib.Path("notes/ideas.txt").write_text("more data")
        >>> dk.export(dk.Classifier(2).build((4,)), "notes")
        Traceback (most recent call last):
            ...
        deepkit.export.errors.ExportError: notes contains other files than those of a SavedModel (ideas.txt), ...
          hint: use path='notes/saved_model'
    """
