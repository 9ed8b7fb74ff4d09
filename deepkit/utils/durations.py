"""Durations as text."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Return a time in hours and minutes, minutes and seconds, or seconds.

    >>> format_duration(75), format_duration(2.5)
    ('1 min 15 s', '2.5 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, remainder = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {remainder} s"
    return f"{minutes // 60} h {minutes % 60} min"
