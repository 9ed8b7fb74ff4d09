"""The one error of its own that the data part has."""

from __future__ import annotations


class DataError(OSError):
    """A data set cannot be had: not there, not reachable, or damaged. The text says where and how to mend it.

    Wrong arguments are `ValueError` and `TypeError`, as everywhere; this is about files and networks.

    Examples:
        >>> issubclass(DataError, OSError)
        True

    """
