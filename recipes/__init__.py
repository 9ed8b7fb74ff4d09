"""Recipes: each module reproduces one paper by one command, or defines the networks of one."""
