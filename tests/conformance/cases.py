"""One case per public block and layer; every conformance check runs on every case."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

import deepkit as dk

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Case:
    """A definition or layer to check.

    Args:
        name: Identifier of the case.
        covers: Public names that it tests, separated by spaces.
        make: Returns the definition or layer.
        shape: Shape of one example.
        unknown: A second input shape, with unknown sizes; None if the sizes must be known.
        custom: Whether a layer of deepkit is part of the model, so that loading its file needs deepkit.
        trained_as_a_whole: Whether the model has its own training step, and cannot be part of another model.
    """

    name: str
    covers: str
    make: Callable[[], Any]
    shape: Shape
    unknown: Shape | None = None
    custom: bool = False
    trained_as_a_whole: bool = False

    def definition(self) -> dk.Block:
        """Return the definition, a new one at each call."""
        element = self.make()
        return element if isinstance(element, dk.Block) else dk.Sequential([element], name="layer")


def build(case: Case, shape: Shape | None = None) -> keras.Model:
    """Return a new model of a case, by default for its shape."""
    return case.definition().build(shape or case.shape)


def _basic(filters: int, strides: int = 1, **kwargs: Any) -> dk.Residual:
    body = [dk.ConvBlock(filters, strides=strides), dk.ConvBlock(filters, activation=None)]
    return dk.Residual(body, strides=strides, **kwargs)


# the first two of three numbers, by layers without weights
_FIRST_TWO = [layers.Reshape((3, 1)), layers.Cropping1D((0, 1)), layers.Flatten()]

STRING: Shape = ()  # of the dtype string
IMAGE, ANY_IMAGE = (8, 8, 3), (None, None, 3)
SEQUENCE, ANY_SEQUENCE = (6, 4), (None, 4)

CASES = (
    Case("conv_block", "ConvBlock", lambda: dk.ConvBlock(4), IMAGE, ANY_IMAGE),
    Case("conv_block_1d", "ConvBlock", lambda: dk.ConvBlock(4), SEQUENCE, ANY_SEQUENCE),
    Case("conv_block_steps", "ConvBlock", lambda: dk.ConvBlock(4, kernel_size=1), SEQUENCE, ANY_SEQUENCE),
    Case("conv_block_3d", "ConvBlock", lambda: dk.ConvBlock(4), (4, 4, 4, 2), (None, None, None, 2)),
    Case(
        "conv_block_preactivation",
        "ConvBlock",
        lambda: dk.ConvBlock(4, order="norm-activation-conv", strides=2, kernel_size=(3, 1)),
        IMAGE,
        ANY_IMAGE,
    ),
    Case(
        "conv_block_layers",
        "ConvBlock",
        lambda: dk.ConvBlock(
            6,
            activation=layers.LeakyReLU(negative_slope=0.1),
            norm=layers.GroupNormalization(groups=3),
            conv={"dilation_rate": 2, "groups": 3, "kernel_regularizer": keras.regularizers.L2(1e-4)},
        ),
        IMAGE,
        ANY_IMAGE,
    ),
    Case("conv_stack", "ConvStack", lambda: dk.ConvStack(4, num_convs=2), IMAGE, ANY_IMAGE),
    Case("conv_stack_l2", "ConvStack", lambda: dk.ConvStack(4, num_convs=1, pool="l2"), IMAGE, ANY_IMAGE, True),
    Case("conv_stack_avg", "ConvStack", lambda: dk.ConvStack(4, num_convs=1, pool="avg", norm="layer"), SEQUENCE),
    Case("residual_identity", "Residual", lambda: _basic(3), IMAGE, ANY_IMAGE),
    Case("residual_strides_of_the_sizes", "Residual", lambda: dk.Residual(dk.ConvBlock(6, strides=2)), IMAGE),
    Case("residual_projection", "Residual", lambda: _basic(6, strides=2), IMAGE, ANY_IMAGE),
    Case("residual_pad", "Residual", lambda: _basic(6, strides=2, shortcut="pad"), (7, 8, 3), ANY_IMAGE),
    Case("residual_pad_1d", "Residual", lambda: _basic(6, strides=2, shortcut="pad"), SEQUENCE, ANY_SEQUENCE),
    Case("residual_pad_dense", "Residual", lambda: dk.Residual(dk.MLP([9]), shortcut="pad"), (5,)),
    Case("residual_dense", "Residual", lambda: dk.Residual(dk.MLP([9]), norm=None), (5,)),
    Case(
        "residual_positions",
        "Residual",
        lambda: dk.Residual(dk.MLP([5], flatten=False), strides=1, norm=None),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case("bottleneck", "Bottleneck", lambda: dk.Bottleneck(2, strides=2), IMAGE, ANY_IMAGE),
    Case(
        "bottleneck_preactivation_groups",
        "Bottleneck",
        lambda: dk.Bottleneck(4, expansion=2, order="norm-activation-conv", conv={"groups": 2, "use_bias": True}),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case(
        "densely_connected",
        "DenselyConnected",
        lambda: dk.DenselyConnected(dk.ConvBlock(2, order="norm-activation-conv"), num_repeats=3),
        IMAGE,
        ANY_IMAGE,
    ),
    Case(
        "densely_connected_bottleneck",
        "DenselyConnected",
        lambda: dk.DenselyConnected([dk.ConvBlock(8, kernel_size=1), dk.ConvBlock(2)], num_repeats=2),
        IMAGE,
        ANY_IMAGE,
    ),
    Case(
        "densely_connected_steps",
        "DenselyConnected",
        lambda: dk.DenselyConnected(dk.MLP([3], flatten=False), num_repeats=2),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case("transition", "Transition", lambda: dk.Transition(), IMAGE, ANY_IMAGE),
    Case("transition_layers", "Transition", lambda: dk.Transition(compression=1.0, pool="max", norm=None), SEQUENCE),
    Case("highway_dense", "Highway", lambda: dk.Repeat(dk.Highway(), num_repeats=2), (5,)),
    Case("highway_conv", "Highway", lambda: dk.Highway(activation="tanh", transform_bias=-1), IMAGE, ANY_IMAGE),
    Case("highway_steps", "Highway", lambda: dk.Highway(kernel_size=1), SEQUENCE, ANY_SEQUENCE),
    Case(
        "highway_body",
        "Highway",
        lambda: dk.Highway(
            [dk.ConvBlock(4), dk.ConvBlock(4)],
            kernel_size=1,
            gate={"kernel_initializer": keras.initializers.HeNormal()},
        ),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case("attention_dot", "Attention", lambda: dk.Attention("dot", scaled=True, causal=True), SEQUENCE, ANY_SEQUENCE),
    Case("attention_map", "Attention", lambda: dk.Attention("multiplicative", dropout=0.2), IMAGE),
    Case(
        "attention_cross",
        "Attention",
        lambda: dk.Sequential(
            [
                dk.Parallel(
                    {"query": layers.GlobalAveragePooling1D(), "memory": dk.MLP([3], flatten=False)}, merge=None
                ),
                dk.Attention("additive", units=5, dense={"use_bias": True}),
            ]
        ),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case(
        "attention_heads", "MultiHeadAttention", lambda: dk.MultiHeadAttention(2, dropout=0.1), SEQUENCE, ANY_SEQUENCE
    ),
    Case(
        "attention_heads_cross",
        "MultiHeadAttention",
        lambda: dk.Sequential(
            [
                dk.Parallel({"query": layers.GlobalAveragePooling2D(), "memory": dk.ConvBlock(5)}, merge=None),
                dk.MultiHeadAttention(3, key_dim=2, attention={"value_dim": 4, "use_bias": False}),
            ]
        ),
        IMAGE,
        ANY_IMAGE,
    ),
    Case(
        "attention_heads_weights",
        "MultiHeadCrossAttention",
        lambda: dk.Sequential(
            [
                dk.Parallel({"query": layers.GlobalAveragePooling2D(), "memory": dk.ConvBlock(5)}, merge=None),
                dk.MultiHeadAttention(3, key_dim=2, return_weights=True),
                dk.Functional(
                    inputs={"mean": dk.Input((None,)), "weights": dk.Input((3, 8, 8))},
                    nodes={"flat": ("weights", layers.Flatten()), "out": (["mean", "flat"], dk.Merge())},
                    outputs="out",
                ),
            ]
        ),
        IMAGE,
        None,
        True,
    ),
    Case(
        "hard_attention",
        "HardAttention",
        lambda: dk.Sequential(
            [
                dk.Parallel({"weights": layers.Permute((3, 1, 2)), "memory": []}, merge=None),
                dk.layers.HardAttention(),
                dk.Functional(
                    inputs={"features": dk.Input((None, None)), "selected": dk.Input((None, 8, 8))},
                    nodes={
                        "mean": ("features", layers.GlobalAveragePooling1D()),
                        "flat": ("selected", [layers.Permute((2, 3, 1)), layers.GlobalAveragePooling2D()]),
                        "out": (["mean", "flat"], dk.Merge()),
                    },
                    outputs="out",
                ),
            ]
        ),
        IMAGE,
        None,
        True,
    ),
    Case(
        "transformer_encoder",
        "TransformerEncoder PositionEmbedding",
        lambda: dk.Sequential(
            [dk.layers.PositionEmbedding(), dk.TransformerEncoder(2, dropout=0.1, num_layers=2), layers.Dense(3)]
        ),
        SEQUENCE,
        ANY_SEQUENCE,
        True,
    ),
    Case(
        "transformer_decoder",
        "TransformerDecoder PositionEmbedding",
        lambda: dk.Sequential(
            [
                dk.layers.PositionEmbedding("learned", max_length=16),
                dk.TransformerDecoder(1, intermediate_dim=5, normalize_first=True),
            ]
        ),
        SEQUENCE,
        None,  # LiteRT does not support Keras's causal mask for an unknown length
        True,
    ),
    Case(
        "text_punctuation",
        "Text TokenIds",
        lambda: dk.Sequential(
            [
                dk.Text(7, vocabulary=("the", "dog", "runs", "."), standardize="lower_and_split_punctuation"),
                layers.Embedding(7, 3, mask_zero=True),
                dk.Classifier(2, pool="avg"),
            ]
        ),
        STRING,
        custom=True,
    ),
    Case(
        "glimpse",
        "Glimpse",
        lambda: dk.Sequential(
            [
                dk.Parallel({"images": [], "locations": [layers.GlobalAveragePooling2D(), *_FIRST_TWO]}, merge=None),
                dk.layers.Glimpse(3, num_scales=2),
                dk.Classifier(2),
            ]
        ),
        IMAGE,
        ANY_IMAGE,
        True,
    ),
    Case(
        "recurrent_attention",
        "RecurrentAttention",
        lambda: dk.RecurrentAttention(3, num_glimpses=3, glimpse_size=4, num_scales=2, units=6),
        IMAGE,
        ANY_IMAGE,
        custom=True,
        trained_as_a_whole=True,
    ),
    Case(
        "recurrent_attention_random",
        "RecurrentAttention",
        lambda: dk.RecurrentAttention(3, num_glimpses=2, glimpse_size=3, units=6, policy="random"),
        IMAGE,
        ANY_IMAGE,
        custom=True,
        trained_as_a_whole=True,
    ),
    Case("squeeze_excitation", "SqueezeExcitation", lambda: dk.SqueezeExcitation(ratio=2), (8, 8, 4), (None, None, 4)),
    Case("squeeze_excitation_1d", "SqueezeExcitation", lambda: dk.SqueezeExcitation(), SEQUENCE, ANY_SEQUENCE),
    Case("separable", "SeparableConvBlock", lambda: dk.SeparableConvBlock(4, strides=2), IMAGE, ANY_IMAGE),
    Case(
        "separable_1d",
        "SeparableConvBlock",
        lambda: dk.SeparableConvBlock(4, norm=None, depthwise={"depth_multiplier": 2}, pointwise={"use_bias": False}),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case(
        "parallel_inception",
        "Parallel",
        lambda: dk.Parallel(
            {
                "1x1": dk.ConvBlock(2, kernel_size=1),
                "3x3": [dk.ConvBlock(2, kernel_size=1), dk.ConvBlock(4)],
                "pool": [layers.MaxPooling2D(3, 1, padding="same"), dk.ConvBlock(1, kernel_size=1)],
                "input": [],
            }
        ),
        IMAGE,
        ANY_IMAGE,
    ),
    Case("parallel_add", "Parallel", lambda: dk.Parallel({"a": dk.MLP([3]), "b": dk.MLP([3])}, merge="average"), (5,)),
    Case(
        "parallel_steps",
        "Parallel",
        lambda: dk.Parallel(
            {
                "input": [],
                "dense": dk.MLP([3], flatten=False),
                "recurrent": dk.Recurrent("gru", 2, return_sequences=True),
            }
        ),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case(
        "masked_merge",
        "MaskedMerge",
        lambda: dk.Parallel({"masked": layers.Masking(), "input": []}, merge="add"),
        SEQUENCE,
        ANY_SEQUENCE,
        custom=True,
    ),
    Case(
        "merge_projected",
        "Merge",
        lambda: dk.Sequential(
            [dk.Parallel({"a": dk.MLP([3]), "b": dk.MLP([4])}, merge=None), dk.Merge("multiply", activation="tanh")]
        ),
        (5,),
    ),
    Case(
        "merge_layer",
        "Merge",
        lambda: dk.Sequential(
            [dk.Parallel({"a": dk.MLP([3]), "b": []}, merge=None), dk.Merge(layers.Dot(axes=1), units=4, dense={})]
        ),
        (5,),
    ),
    Case(
        "recurrent_stack",
        "Recurrent",
        lambda: dk.Recurrent("gru", 3, num_layers=2, return_sequences=True, rnn={"recurrent_dropout": 0.2, "seed": 1}),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case(
        "recurrent_plain_loop",
        "Recurrent",
        lambda: dk.Recurrent("lstm", 3, bidirectional="sum", rnn={"use_cudnn": False, "dropout": 0.1}),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case("recurrent_simple_unrolled", "Recurrent", lambda: dk.Recurrent("simple", 3, rnn={"unroll": True}), SEQUENCE),
    Case("bilstm", "BiLSTM", lambda: dk.BiLSTM(3), SEQUENCE, ANY_SEQUENCE),
    Case("bilstm_unrolled", "BiLSTM", lambda: dk.BiLSTM(3, return_sequences=True, rnn={"unroll": True}), SEQUENCE),
    Case(
        "unrolled_bidirectional",
        "UnrolledBidirectional",
        lambda: dk.Sequential([layers.Masking(), dk.BiLSTM(3, return_sequences=True, rnn={"unroll": True})]),
        SEQUENCE,
        custom=True,
    ),
    Case(
        "masked_pooling",
        "MaskedPooling1D",
        lambda: dk.Sequential([layers.Masking(), dk.Classifier(2, pool="max")]),
        SEQUENCE,
        ANY_SEQUENCE,
        True,
    ),
    Case(
        "text",
        "Text TokenIds",
        lambda: dk.Sequential(
            [
                dk.Text(6, vocabulary=("the", "dog", "runs")),
                layers.Embedding(6, 3, mask_zero=True),
                dk.Classifier(2, pool="avg"),
            ]
        ),
        STRING,
        custom=True,
    ),
    Case("repeat", "Repeat", lambda: dk.Repeat(_basic(3), num_repeats=2), IMAGE, ANY_IMAGE),
    Case(
        "repeat_rematerialized",
        "Repeat",
        lambda: dk.Repeat(_basic(3), num_repeats=2, rematerialize=True),
        IMAGE,
        ANY_IMAGE,
        True,
    ),
    Case("mlp", "MLP", lambda: dk.MLP([7, 5], dropout=0.5), IMAGE),
    Case("mlp_norm", "MLP", lambda: dk.MLP([7], norm="batch", activation="gelu"), (5,)),
    Case("mlp_positions", "MLP", lambda: dk.MLP([7], flatten=False), SEQUENCE, ANY_SEQUENCE),
    Case("classifier", "Classifier", lambda: dk.Classifier(3), IMAGE),
    Case(
        "classifier_avg",
        "Classifier",
        lambda: dk.Classifier(3, pool="avg", activation="softmax", dropout=0.2),
        IMAGE,
        ANY_IMAGE,
    ),
    Case("classifier_positions", "Classifier", lambda: dk.Classifier(3, pool=None), SEQUENCE, ANY_SEQUENCE),
    Case("regressor", "Regressor", lambda: dk.Regressor(), IMAGE),
    Case(
        "regressor_avg",
        "Regressor",
        lambda: dk.Regressor(2, pool="avg", activation="softplus", dropout=0.1, dense={"use_bias": False}),
        SEQUENCE,
        ANY_SEQUENCE,
    ),
    Case("regressor_gaussian", "Regressor", lambda: dk.Regressor(2, distribution="gaussian"), IMAGE, custom=True),
    Case(
        "regressor_gaussian_avg",
        "Regressor",
        lambda: dk.Regressor(pool="avg", distribution="gaussian", dropout=0.1, dense={"use_bias": False}),
        SEQUENCE,
        ANY_SEQUENCE,
        True,
    ),
    Case(
        "regressor_gaussian_positions",
        "Regressor",
        lambda: dk.Regressor(3, pool=None, distribution="gaussian"),
        SEQUENCE,
        ANY_SEQUENCE,
        True,
    ),
    Case(
        "perceptron",
        "Perceptron",
        lambda: dk.Sequential([dk.layers.QuadraticFeatures(), dk.Perceptron(learning_rate=0.5)]),
        (3,),
        custom=True,
        trained_as_a_whole=True,
    ),
    Case("perceptron_alone", "Perceptron", lambda: dk.Perceptron(stop_when_converged=True), (2, 2), None, True, True),
    Case(
        "functional",
        "Functional",
        lambda: dk.Functional(
            inputs={"image": dk.Input(IMAGE)},
            nodes={
                "stem": ("image", dk.ConvBlock(4)),
                "left": ("stem", [dk.ConvBlock(4), dk.ConvBlock(4)]),
                "sum": (["stem", "left"], [dk.Merge("add"), dk.Classifier(3)]),
            },
            outputs="sum",
        ),
        IMAGE,
    ),
    Case(
        "functional_towers",
        "Functional",
        lambda: dk.Sequential(
            [
                dk.Parallel({"a": [], "b": dk.ConvBlock(3)}, merge=None),
                dk.Functional(
                    inputs={"one": dk.Input(ANY_IMAGE), "other": dk.Input(ANY_IMAGE)},
                    nodes={
                        "a": ("one", dk.Shared(dk.ConvBlock(4), name="tower")),
                        "b": ("other", dk.Shared(dk.ConvBlock(4), name="tower")),
                        "difference": (["a", "b"], [dk.Merge("subtract"), dk.Classifier(2, pool="avg")]),
                    },
                    outputs="difference",
                ),
            ]
        ),
        IMAGE,
        ANY_IMAGE,
    ),
    Case(
        "sequential",
        "Sequential Input",
        lambda: dk.Sequential(
            [dk.Input(IMAGE), dk.ConvStack(4), [layers.Dropout(0.5, seed=1), dk.Classifier(3)]], name="net"
        ),
        IMAGE,
    ),
    Case(
        "shared",
        "Shared",
        lambda: dk.Sequential([dk.Shared(dk.ConvBlock(3), name="twice"), dk.Shared(dk.ConvBlock(3), name="twice")]),
        IMAGE,
        ANY_IMAGE,
    ),
    Case(
        "table_conv",
        "TableConv2D FanInUniform scaled_tanh",
        lambda: dk.layers.TableConv2D(
            [(0, 1), (1, 2), (0, 1, 2)],
            3,
            activation=dk.layers.scaled_tanh,
            kernel_initializer=dk.layers.FanInUniform(2.4),
        ),
        IMAGE,
        ANY_IMAGE,
        custom=True,
    ),
    Case("subsampling", "Subsampling2D", lambda: dk.layers.Subsampling2D(2, activation="tanh"), IMAGE, ANY_IMAGE, True),
    Case("rbf", "RBF", lambda: dk.Sequential([dk.MLP([2]), dk.layers.RBF([[0.0, 0.0], [1.0, 2.0]])]), (5,), None, True),
    Case(
        "imputed_normalization",
        "ImputedNormalization",
        lambda: dk.layers.ImputedNormalization(indicators=[3, 0], mean=[0.0, 1.0, 2.0, 3.0, 4.0], variance=[4.0] * 5),
        (5,),
        custom=True,
    ),
    Case("date_features", "DateFeatures", lambda: dk.layers.DateFeatures(), (1,), custom=True),
    Case("maxout", "Maxout", lambda: dk.layers.Maxout(4, num_pieces=3), SEQUENCE, ANY_SEQUENCE, True),
    Case("channel_max", "ChannelMax", lambda: dk.layers.ChannelMax(3), IMAGE, ANY_IMAGE, True),
    Case(
        "l2_pooling",
        "L2Pooling",
        lambda: dk.layers.L2Pooling((3, 2), strides=2, padding="same"),
        IMAGE,
        ANY_IMAGE,
        True,
    ),
    Case(
        "weighted_pooling",
        "WeightedAveragePooling",
        lambda: dk.layers.WeightedAveragePooling((3, 2), strides=2, padding="same", sigma=1.5),
        IMAGE,
        ANY_IMAGE,
        True,
    ),
    Case(
        "quadratic_features", "QuadraticFeatures", lambda: dk.layers.QuadraticFeatures(), SEQUENCE, ANY_SEQUENCE, True
    ),
    Case("polar_features", "PolarFeatures", lambda: dk.layers.PolarFeatures(), (2,), custom=True),
    Case(
        "threshold",
        "Threshold",
        lambda: dk.Sequential([dk.layers.Threshold(0.5), dk.MLP([3], flatten=False)]),
        SEQUENCE,
        ANY_SEQUENCE,
        True,
    ),
    Case(
        "stochastic_depth",
        "StochasticDepth",
        lambda: dk.Residual([dk.ConvBlock(3, activation=None), dk.layers.StochasticDepth(0.5, seed=1)], strides=1),
        IMAGE,
        ANY_IMAGE,
        True,
    ),
    Case(
        "local_response",
        "LocalResponseNormalization",
        lambda: dk.layers.LocalResponseNormalization(1, alpha=0.1),
        IMAGE,
        ANY_IMAGE,
        True,
    ),
    Case(
        "tied_dense",
        "TiedDense",
        lambda: dk.layers.TiedDense(4, activation="relu", use_reverse_bias=False),
        SEQUENCE,
        ANY_SEQUENCE,
        True,
    ),
    Case(
        "tied_conv",
        "TiedConv",
        lambda: dk.layers.TiedConv(layers.Conv2D(4, 3, 2, "same", activation="relu"), use_reverse_bias=False),
        IMAGE,
        ANY_IMAGE,
        True,
    ),
    Case("masking_noise", "MaskingNoise", lambda: dk.layers.MaskingNoise(0.25, seed=1), SEQUENCE, ANY_SEQUENCE, True),
    Case(
        "salt_and_pepper_noise",
        "SaltAndPepperNoise",
        lambda: dk.layers.SaltAndPepperNoise(0.25, low=-1.0, seed=1),
        IMAGE,
        ANY_IMAGE,
        True,
    ),
    Case(
        "autoencoder", "Autoencoder", lambda: dk.Autoencoder(dk.MLP([7, 5], norm="batch"), activation="sigmoid"), IMAGE
    ),
    Case(
        "autoencoder_conv",
        "Autoencoder",
        lambda: dk.Autoencoder(
            [dk.ConvStack(4, num_convs=1), dk.ConvBlock(2)], corruption=layers.GaussianNoise(0.5, seed=1)
        ),
        (7, 8, 3),
    ),
    Case("autoencoder_any_size", "Autoencoder", lambda: dk.Autoencoder(dk.ConvBlock(2)), SEQUENCE, ANY_SEQUENCE),
    Case(
        "autoencoder_custom_decoder",
        "Autoencoder",
        lambda: dk.Autoencoder(dk.MLP([4]), decoder=[dk.MLP([6]), layers.Dense(192)], activation="tanh"),
        IMAGE,
    ),
    Case(
        "autoencoder_tied", "Autoencoder", lambda: dk.Autoencoder(dk.MLP([4, 3]), tied_weights=True), (5,), custom=True
    ),
    Case(
        "autoencoder_tied_conv",
        "Autoencoder",
        lambda: dk.Autoencoder([dk.ConvBlock(4, strides=2), dk.MLP([3])], tied_weights=True),
        (7, 8, 3),
        custom=True,
    ),
    Case(
        "pattern",
        "Pattern",
        lambda: dk.from_pattern(
            "[(CONV-BN?-RELU)*N-POOL]*M-(FC-RELU-DROPOUT0.5)*K-SOFTMAX",
            N=1,
            M=2,
            K=1,
            bn=[False, True],
            filters=[4, 6],
            units=[5],
            num_classes=3,
        ),
        IMAGE,
    ),
    Case("pattern_any_size", "Pattern", lambda: dk.from_pattern("CONV4/2-LEAKYRELU-GAP-FC3"), IMAGE, ANY_IMAGE),
    Case("pattern_custom_layers", "Pattern", lambda: dk.from_pattern("CONV4-LRN-L2POOL-TANH"), IMAGE, ANY_IMAGE, True),
    Case("pattern_dense", "Pattern", lambda: dk.from_pattern("(FC4-RELU)*2-FC1-SIGMOID", name="net"), (5,)),
    Case(
        "gaussian_sampling",
        "GaussianHead GaussianSampling",
        lambda: dk.Sequential([dk.GaussianHead(4), dk.layers.GaussianSampling(2, seed=1)]),
        (5,),
        None,
        True,
    ),
    Case(
        "mean_and_stddev",
        "MeanAndStddev",
        lambda: dk.Sequential([dk.GaussianHead(4), dk.layers.MeanAndStddev()]),
        (5,),
        None,
        True,
    ),
    Case(
        "vae",
        "VAE",
        lambda: dk.VAE([dk.ConvStack(4), dk.MLP([5])], latent_dim=3, decoder=dk.MLP([6]), likelihood="unit_gaussian"),
        IMAGE,
        None,
        True,
    ),
    Case(
        "gan",
        "GAN",
        lambda: dk.GAN([dk.MLP([4]), dk.Regressor(5)], [dk.MLP([4], dropout=0.5)], latent_dim=3),
        (5,),
        custom=True,
        trained_as_a_whole=True,
    ),
    Case("rbm", "RBM", lambda: dk.RBM(4, num_gibbs_steps=2, persistent=True), (5,), None, True, True),
    Case("rbm_gaussian", "RBM", lambda: dk.RBM(4, visible="gaussian"), (4, 4, 1), None, True, True),
    Case("boltzmann_machine", "BoltzmannMachine", lambda: dk.BoltzmannMachine(3), (2, 2, 1), None, True, True),
    Case("dbn", "DBN", lambda: dk.DBN([4, 3], epochs_per_layer=2), (2, 3, 1), None, True, True),
    Case("dbn_gaussian_top", "DBN", lambda: dk.DBN([4, 3], top="gaussian"), (2, 3, 1), None, True, True),
    Case("hopfield", "Hopfield", lambda: dk.Hopfield(6), (6,), custom=True, trained_as_a_whole=True),
    Case("dqn", "DQN", lambda: dk.DQN([dk.ConvBlock(4), dk.Regressor(3)]), IMAGE, None, True, True),
    Case(
        "reinforce",
        "Reinforce",
        lambda: dk.Reinforce([dk.MLP([6]), dk.Classifier(3)], baseline=[dk.MLP([4]), dk.Regressor(1)]),
        (5,),
        None,
        True,
        True,
    ),
    Case(
        "actor_critic",
        "ActorCritic",
        lambda: dk.ActorCritic(dk.Classifier(3), dk.Regressor(1), shared=dk.MLP([6])),
        (5,),
        None,
        True,
        True,
    ),
    Case(
        "helmholtz_machine",
        "HelmholtzMachine",
        lambda: dk.HelmholtzMachine([4, 2]),
        (5,),
        custom=True,
        trained_as_a_whole=True,
    ),
)
