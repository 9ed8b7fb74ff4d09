"""Prebuilt blocks, composed of Keras layers: one family per file."""
