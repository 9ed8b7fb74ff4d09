"""Generative recipes."""
