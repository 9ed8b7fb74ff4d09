"""Helpers that know nothing about networks: files, console, machine."""
