"""Prebuilt blocks: composition of stock Keras layers only, one family a file."""
