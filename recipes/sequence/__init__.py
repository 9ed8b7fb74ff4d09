"""Recipes for text and other sequences."""
