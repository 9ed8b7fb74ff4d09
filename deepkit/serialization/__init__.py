"""Definitions as dictionaries and YAML."""
