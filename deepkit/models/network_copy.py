"""Copies of a network with the same weights, such as a target network or an earlier version of an agent."""

from __future__ import annotations

import keras


def copy_network(network: keras.Model, name: str | None = None) -> keras.Model:
    """Return a copy of a network, which further training of the network does not change.

    Args:
        network: The network.
        name: Name of the copy; None for that of the network.
    """
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    return keras.Model(clone.input, clone.output, name=name or network.name)
