"""Recipes of the smallest networks."""
