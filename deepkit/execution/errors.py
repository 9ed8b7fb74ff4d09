"""Errors of several workers that train one model."""

from __future__ import annotations

from deepkit.utils.errors import StructuredError


class ClusterError(StructuredError, RuntimeError):
    """The workers of a cluster cannot train together: one is missing, has stopped, or differs from the chief.

    The message names the worker. The run directory holds the last complete epoch, and the same command on all hosts
    resumes the run.
    """
