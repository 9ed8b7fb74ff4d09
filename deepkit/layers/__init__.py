"""Keras layers for math and weights that Keras lacks.

Each is a `keras.layers.Layer` written on `keras.ops` and registered under the package name `deepkit`. A `.keras` file
that holds one loads after `import deepkit`.
"""

from deepkit.layers.cross_attention import MultiHeadCrossAttention
from deepkit.layers.date_features import DateFeatures
from deepkit.layers.gaussian_sampling import GaussianSampling
from deepkit.layers.glimpse import Glimpse
from deepkit.layers.hard_attention import HardAttention
from deepkit.layers.imputed_normalization import ImputedNormalization
from deepkit.layers.initializers import FanInUniform
from deepkit.layers.l2_pooling import L2Pooling
from deepkit.layers.local_response import LocalResponseNormalization
from deepkit.layers.masked_merge import MaskedMerge
from deepkit.layers.masked_pooling import MaskedPooling1D
from deepkit.layers.maxout import ChannelMax, Maxout
from deepkit.layers.mean_and_stddev import MeanAndStddev
from deepkit.layers.noise import MaskingNoise, SaltAndPepperNoise
from deepkit.layers.polar_features import PolarFeatures
from deepkit.layers.position_embedding import PositionEmbedding
from deepkit.layers.quadratic_features import QuadraticFeatures
from deepkit.layers.rbf import RBF
from deepkit.layers.squash import scaled_tanh
from deepkit.layers.stochastic_depth import StochasticDepth
from deepkit.layers.subsampling import Subsampling2D
from deepkit.layers.table_conv import TableConv2D
from deepkit.layers.threshold import Threshold
from deepkit.layers.tied_conv import TiedConv
from deepkit.layers.tied_dense import TiedDense
from deepkit.layers.token_ids import TokenIds
from deepkit.layers.unrolled_bidirectional import UnrolledBidirectional
from deepkit.layers.weighted_pooling import WeightedAveragePooling

__all__ = [
    "ChannelMax",
    "DateFeatures",
    "FanInUniform",
    "GaussianSampling",
    "HardAttention",
    "Glimpse",
    "ImputedNormalization",
    "L2Pooling",
    "LocalResponseNormalization",
    "MaskedMerge",
    "MaskedPooling1D",
    "MaskingNoise",
    "Maxout",
    "MeanAndStddev",
    "MultiHeadCrossAttention",
    "PolarFeatures",
    "PositionEmbedding",
    "QuadraticFeatures",
    "RBF",
    "SaltAndPepperNoise",
    "StochasticDepth",
    "Subsampling2D",
    "TableConv2D",
    "Threshold",
    "TiedConv",
    "TiedDense",
    "TokenIds",
    "UnrolledBidirectional",
    "WeightedAveragePooling",
    "scaled_tanh",
]


def __dir__() -> list[str]:
    return sorted(__all__)
