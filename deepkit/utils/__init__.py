"""Helpers without knowledge of networks: errors, validation, files, console, machine."""
