"""Definitions: frozen values that describe networks and hold no weights."""
