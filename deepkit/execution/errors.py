"""Errors of several workers that train one model."""

from __future__ import annotations

from deepkit.utils.errors import StructuredError


class ClusterError(StructuredError, RuntimeError):
    """The workers of a cluster cannot train together: one is missing, has stopped, or differs from the chief.

    The message names the worker. The run directory holds the last checkpoint, and the same command on all hosts
    resumes the run.

    Args:
        problem: The worker, and what is wrong with it.
        path: Empty.
        code: Empty.
        hint: How to solve the problem.

    Examples:
        >>> import deepkit as dk
        >>> plan = dk.plan().replace(strategy="multi_worker", num_workers=2)
        >>> try:
        ...     with plan:
        ...         pass
        ... except dk.errors.ClusterError as error:
        ...     print(error.problem)
        the plan is for 2 workers, and this process trains alone
    """
