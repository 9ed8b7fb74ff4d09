"""Quantization of a model that consists of other models."""

from __future__ import annotations

import keras


def reset_functions(*models: keras.Model) -> None:
    """Let models that are part of a quantized model compile `predict` again: Keras resets the outer model only."""
    for model in models:
        model.train_function = model.test_function = model.predict_function = None
