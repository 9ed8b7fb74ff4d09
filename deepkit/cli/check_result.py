"""The result of one check of `deepkit doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Args:
        name: Name of the check.
        status: `"fail"` if something that deepkit needs does not work, `"warn"` if something optional does not.
        message: The finding.
        hint: How to solve the problem; empty if there is none.
    """

    name: str
    status: Status
    message: str
    hint: str = ""
