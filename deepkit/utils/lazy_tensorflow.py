"""TensorFlow as `tf`, imported at its first use.

Blocks, layers and models that import it from here can be defined and built on another backend of Keras, in an
environment without TensorFlow.
"""

from __future__ import annotations

import importlib
import types
from typing import TYPE_CHECKING


class _LazyModule(types.ModuleType):
    """A module that is imported when its first attribute is read."""

    def __getattr__(self, name: str) -> object:
        return getattr(importlib.import_module(self.__name__), name)


if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = _LazyModule("tensorflow")

__all__ = ["tf"]
