"""Patterns: networks in textbook notation, from the parser to the layers."""
