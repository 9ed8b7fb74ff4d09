"""Sequence recipes."""
