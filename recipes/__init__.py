"""Recipes: each module reproduces one paper, end to end, with one command."""
