"""Checks for blocks of your own: `check_block` runs what deepkit's blocks pass."""

from deepkit.testing.conformance import check_block

__all__ = ["check_block"]
