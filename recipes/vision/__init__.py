"""Recipes and definitions for images."""
