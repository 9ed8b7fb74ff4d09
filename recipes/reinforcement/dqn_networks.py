"""Networks of deep Q-learning: from an image to the value of each action."""

from __future__ import annotations

from keras import layers

import deepkit as dk


def small(num_actions: int) -> dk.Sequential:
    """Return a network for images of 10 x 10 pixels."""
    convs = [layers.Conv2D(filters, 3, 2, "same", activation="relu") for filters in (16, 32)]
    return dk.Sequential([*convs, dk.MLP([96]), dk.Regressor(num_actions)], name="small")


def nips(num_actions: int) -> dk.Sequential:
    """Return the network of Mnih et al. (2013), for four images of 84 x 84 pixels."""
    convs = [layers.Conv2D(16, 8, 4, activation="relu"), layers.Conv2D(32, 4, 2, activation="relu")]
    return dk.Sequential([*convs, dk.MLP([256]), dk.Regressor(num_actions)], name="nips")


def nature(num_actions: int) -> dk.Sequential:
    """Return the network of Mnih et al. (2015), for four images of 84 x 84 pixels."""
    convs = [
        layers.Conv2D(filters, size, strides, activation="relu")
        for filters, size, strides in ((32, 8, 4), (64, 4, 2), (64, 3, 1))
    ]
    return dk.Sequential([*convs, dk.MLP([512]), dk.Regressor(num_actions)], name="nature")
