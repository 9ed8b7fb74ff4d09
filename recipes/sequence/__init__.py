"""Sequences: text, and the networks that process it."""
