"""Recipes that learn without labels."""
