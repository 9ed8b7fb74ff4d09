"""Keras layers for maths and weights that Keras lacks.

Each is a plain `keras.layers.Layer` on `keras.ops`, registered under the package name `deepkit`, so that a
`.keras` file that holds one loads wherever `deepkit.layers` was imported.
"""

from deepkit.layers.initializers import FanInUniform
from deepkit.layers.rbf import RBF
from deepkit.layers.squash import scaled_tanh
from deepkit.layers.subsampling import Subsampling2D
from deepkit.layers.table_conv import TableConv2D

__all__ = ["FanInUniform", "RBF", "Subsampling2D", "TableConv2D", "scaled_tanh"]
