"""Definitions: frozen values that describe networks and hold no weights."""

from deepkit.definition.functional import Functional
from deepkit.definition.sequential import Input, Sequential, Shared

__all__ = ["Functional", "Input", "Sequential", "Shared"]
