"""Diagrams of several networks as SVG files of limited size."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from deepkit.visualize.diagrams.diagram import diagram
from deepkit.visualize.figures import figure_bytes

_DEPTHS = (None, 1, 0)  # of the diagram, tried in this order until it is small enough
_MANY_LAYERS = 200  # of networks that are drawn without `depth=None`, which would be slow and too large


def svg_diagrams(networks: Sequence[keras.Model], max_bytes: int) -> list[bytes] | None:
    """Return the diagram of each network as an SVG file, with fewer open blocks if they would be too large.

    Args:
        networks: Built models.
        max_bytes: The largest size of all files together.

    Returns:
        The files, or None if even the outermost blocks need more.

    Raises:
        ValueError: A model does not have a graph of layers.
    """
    num_layers = sum(len(network.layers) for network in networks)
    for depth in _DEPTHS if num_layers < _MANY_LAYERS else _DEPTHS[1:]:
        contents = [figure_bytes(diagram(network, depth=depth), "svg") for network in networks]
        if sum(map(len, contents)) <= max_bytes:
            return contents
    return None
