"""The version of deepkit."""

__version__ = "0.1.0"
