"""Conformance checks for the blocks of users: `check_block` runs the checks that deepkit's own blocks pass."""

from deepkit.testing.conformance import check_block

__all__ = ["check_block"]


def __dir__() -> list[str]:
    return sorted(__all__)
