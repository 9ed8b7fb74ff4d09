"""Masks: every block keeps the mask of a sequence, or refuses it; padded steps change nothing."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk

NUM_TOKENS, WIDTH, PADDING = 30, 6, 4
rng = np.random.default_rng(0)
TOKENS = rng.integers(1, NUM_TOKENS, (3, 5))
PADDED = np.pad(TOKENS, ((0, 0), (0, PADDING)))
SEGMENTS = rng.integers(0, 2, (3, 5 + PADDING))


def embedding(mask_zero=True):
    return layers.Embedding(NUM_TOKENS, WIDTH, keras.initializers.RandomNormal(stddev=1.0), mask_zero=mask_zero)


def build(*body):
    return dk.Sequential([embedding(), *body]).build((None,))


def unmasked(width=WIDTH):
    """Return a convolution of the user, whose output has no mask; its warning is ignored by the tests that use it."""
    return layers.Conv1D(width, 1)


MASK_PASSED = {
    "dense": dk.MLP([4], norm="layer", dropout=0.1, flatten=False),
    "convolution of one step": dk.ConvBlock(4, kernel_size=1, norm="batch", conv={"padding": "valid"}),
    "convolution of one step on each axis": dk.ConvBlock(4, kernel_size=(1,), strides=(1,)),
    "stack": dk.ConvStack(4, kernel_size=1, pool=None),
    "pre-activation": dk.ConvBlock(4, kernel_size=1, order="norm-activation-conv"),
    "residual": dk.Residual(dk.MLP([WIDTH], flatten=False)),
    "residual with projection": dk.Residual(dk.ConvBlock(3, kernel_size=1), norm=None),
    "squeeze and excitation": dk.SqueezeExcitation(ratio=2),
    "residual with gates": dk.Residual([dk.MLP([WIDTH], flatten=False), dk.SqueezeExcitation(ratio=2)]),
    "highway": dk.Repeat(dk.Highway(kernel_size=1, transform_bias=0.0), num_repeats=2),
    "highway with body": dk.Highway([layers.Dense(9), layers.Dense(WIDTH)], kernel_size=1),
    "dense connections": dk.DenselyConnected(dk.MLP([3], flatten=False), num_repeats=2),
    "transition": dk.Transition(pool=None),
    "parallel": dk.Parallel({"a": dk.BiLSTM(3, return_sequences=True), "b": layers.Dropout(0.1), "c": []}),
    "merge of projections": dk.Sequential(
        [dk.Parallel({"a": dk.MLP([3], flatten=False), "b": []}, merge=None), dk.Merge("multiply", activation="tanh")]
    ),
    "attention": dk.Attention("multiplicative"),
    "heads": dk.MultiHeadAttention(2),
    "encoder": dk.Repeat(
        [
            dk.Residual(dk.MultiHeadAttention(2), activation=None),
            layers.LayerNormalization(),
            dk.Residual(dk.MLP([9, WIDTH], flatten=False)),
        ],
        num_repeats=2,
    ),
    "causal attention": dk.Repeat(dk.Residual(dk.MultiHeadAttention(2, causal=True)), num_repeats=2),
    "heads with one input": dk.Parallel({"a": dk.MultiHeadAttention(2), "b": dk.MultiHeadAttention(3), "c": []}),
    "recurrent": dk.Recurrent("gru", 3, return_sequences=True, num_layers=2, bidirectional="sum"),
    "noise and maxout": dk.Sequential([dk.MaskingNoise(0.1), dk.layers.Maxout(4), dk.layers.ChannelMax(2)]),
    "autoencoder": dk.Autoencoder(dk.MLP([3], flatten=False)),
}


@pytest.mark.parametrize("block", MASK_PASSED.values(), ids=MASK_PASSED)
def test_the_mask_is_kept_and_padded_steps_change_nothing(block):
    model = build(block)
    assert model.output._keras_mask is not None
    output = model(PADDED)
    np.testing.assert_array_equal(output._keras_mask, PADDED != 0)
    np.testing.assert_allclose(output[:, :5], model(TOKENS), rtol=1e-4, atol=1e-5)


POOLED = {
    "average": dk.Classifier(2, pool="avg"),
    "maximum": dk.Regressor(2, pool="max"),
    "last step": dk.BiLSTM(3),
    "gates before": dk.Sequential([dk.SqueezeExcitation(), dk.BiLSTM(4)]),
    "attention before": dk.Sequential([dk.Attention("dot"), dk.Highway(kernel_size=1), dk.Classifier(2, pool="avg")]),
}


@pytest.mark.parametrize("block", POOLED.values(), ids=POOLED)
def test_padded_steps_change_nothing_after_pooling(block):
    model = build(block)
    np.testing.assert_allclose(model(PADDED), model(TOKENS), rtol=1e-4, atol=1e-5)


def test_several_attentions_to_one_memory_ignore_its_padded_steps():
    """A call of Keras's layer removes the mask of its inputs, also for the calls after it."""
    net = dk.Functional(
        inputs={"words": dk.Input((None,), dtype="int32"), "query": dk.Input((2, WIDTH))},
        nodes={
            "memory": ("words", embedding()),
            "first": (["query", "memory"], dk.MultiHeadAttention(2)),
            "second": (["first", "memory"], dk.MultiHeadAttention(3)),
            "out": ("memory", dk.Highway(kernel_size=1)),
        },
        outputs=["second", "out"],
    )
    model, query = net.build(), rng.normal(size=(3, 2, WIDTH))
    padded, alone = model({"words": PADDED, "query": query}), model({"words": TOKENS, "query": query})
    np.testing.assert_allclose(padded["second"], alone["second"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(padded["out"]._keras_mask, PADDED != 0)


MERGES = ("concat", "add", "multiply", "average", "maximum", "minimum", "subtract")


def words_and_segments(merge, names=("words", "segments"), top=()):
    return dk.Functional(
        inputs={"words": dk.Input((None,), dtype="int32"), "segments": dk.Input((None,), dtype="int32")},
        nodes={
            "word": ("words", embedding()),
            "segment": ("segments", embedding(mask_zero=False)),
            "out": ([f"{name[:-1]}" for name in names], [merge, *top]),
        },
        outputs="out",
    )


MIXED = [(merge, ("words", "segments")) for merge in MERGES] + [
    ("add", ("segments", "words")),
    ("concat", ("segments", "words")),
]


@pytest.mark.parametrize(("merge", "names"), MIXED)
def test_a_merge_of_a_masked_and_an_unmasked_sequence_keeps_the_mask(merge, names):
    net = words_and_segments(dk.Merge(merge), names, [dk.MultiHeadAttention(2, key_dim=3)])
    model = net.build()
    padded, alone = {"words": PADDED, "segments": SEGMENTS}, {"words": TOKENS, "segments": SEGMENTS[:, :5]}
    output = model(padded)
    np.testing.assert_array_equal(output._keras_mask, PADDED != 0)
    np.testing.assert_allclose(output[:, :5], model(alone), rtol=1e-4, atol=1e-5)


def test_a_saved_merge_keeps_the_mask(tmp_path):
    model = words_and_segments(dk.Merge("concat"), top=[dk.MultiHeadAttention(2), dk.SqueezeExcitation()]).build()
    inputs = {"words": PADDED, "segments": SEGMENTS}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")(inputs)
    np.testing.assert_array_equal(loaded, model(inputs))
    np.testing.assert_array_equal(loaded._keras_mask, PADDED != 0)


def test_a_merge_of_two_masks_keeps_the_steps_that_either_keeps():
    for merge in ("add", "concat"):
        net = dk.Functional(
            inputs={name: dk.Input((None,), dtype="int32") for name in "abc"},
            nodes={
                "first": ("a", embedding()),
                "second": ("b", embedding()),
                "third": ("c", embedding(mask_zero=False)),
                "out": (["first", "third", "second"], dk.Merge(merge)),
            },
            outputs="out",
        )
        output = net.build()({"a": np.array([[1, 2, 0, 0]]), "b": np.array([[1, 0, 3, 0]]), "c": np.ones((1, 4), int)})
        np.testing.assert_array_equal(output._keras_mask, [[True, True, True, False]])


def test_a_merge_without_masks_uses_the_layers_of_keras():
    model = dk.Parallel({"a": layers.Dense(4), "b": []}, merge="add").build((5, 4))
    assert type(model.layers[-1]) is layers.Add
    assert (
        type(build(dk.Parallel({"a": dk.MLP([WIDTH], flatten=False), "b": []}, merge="add")).layers[-1]) is layers.Add
    )


def test_masked_steps_of_the_labels_are_left_out_of_the_loss():
    model = build(dk.Highway(kernel_size=1), dk.SqueezeExcitation(), dk.Regressor(pool=None))
    model.compile(loss="mse")
    labels = rng.normal(size=(*PADDED.shape, 1))
    changed = labels + 100.0 * (PADDED == 0)[:, :, None]
    assert model.evaluate(PADDED, labels, verbose=0) == model.evaluate(PADDED, changed, verbose=0)


@pytest.mark.filterwarnings("ignore:.*does not support masking")  # of the convolution in the body
@pytest.mark.parametrize(
    "block",
    [
        dk.Residual(unmasked(), strides=1),
        dk.Residual(unmasked(3), strides=1),
        dk.Highway(unmasked(), kernel_size=1),
        dk.DenselyConnected(unmasked(2), num_repeats=2),
        dk.Parallel({"a": unmasked(), "b": []}, merge="average"),
        dk.Repeat(dk.Residual(unmasked(), strides=1), num_repeats=2),
    ],
    ids=lambda block: type(block).__name__,
)
def test_a_body_that_loses_the_mask_is_merged_with_the_masked_shortcut(block):
    model = build(block)
    np.testing.assert_array_equal(model(PADDED)._keras_mask, PADDED != 0)
    np.testing.assert_allclose(model(PADDED)[:, :5], model(TOKENS), rtol=1e-4, atol=1e-5)


CONV_HINT = '\n  hint: use mask_zero=False in the Embedding, or pool before it as dk.Classifier(..., pool="avg") does'
FLATTEN = (
    "cannot flatten {}: the vector would contain padded steps of a masked sequence",
    '\n  hint: use pool="avg" in a head, or pool=None for an output at each step; flatten=False in a dk.MLP; or '
    "mask_zero=False in the Embedding",
)
REFUSED = {
    "convolution": (dk.ConvBlock(4), "Conv1D with kernel_size=3 reads padded steps of a masked sequence", CONV_HINT),
    "strides": (
        dk.ConvBlock(4, kernel_size=1, strides=2),
        "Conv1D with strides=2 reads padded steps of a masked sequence",
        CONV_HINT,
    ),
    "groups": (
        dk.ConvBlock(4, kernel_size=1, conv={"groups": 2}),
        "Conv1D loses the mask of a sequence",
        "\n  hint: use layers.Dense, which keeps it, or mask_zero=False in the Embedding",
    ),
    "pooling": (
        dk.ConvStack(4, kernel_size=1),
        "MaxPooling1D with pool_size=2 reads padded steps of a masked sequence",
        CONV_HINT,
    ),
    "pooling layer of the user": (
        dk.ConvStack(4, kernel_size=1, pool=layers.AveragePooling1D(3)),
        "AveragePooling1D with pool_size=3 reads padded steps of a masked sequence",
        CONV_HINT,
    ),
    "residual": (
        dk.Residual([dk.ConvBlock(WIDTH)]),
        "Conv1D with kernel_size=3 reads padded steps of a masked sequence",
        CONV_HINT,
    ),
    "padded channels": (
        dk.Residual(dk.MLP([9], flatten=False), shortcut="pad"),
        'shortcut="pad" loses the mask of a sequence',
        '\n  hint: use shortcut="projection", a dense layer that keeps it',
    ),
    "bottleneck": (dk.Bottleneck(2), "Conv1D with kernel_size=3 reads padded steps of a masked sequence", CONV_HINT),
    "transition": (
        dk.Transition(),
        "AveragePooling1D with pool_size=2 reads padded steps of a masked sequence",
        CONV_HINT,
    ),
    "separable": (
        dk.SeparableConvBlock(4),
        "DepthwiseConv1D with kernel_size=3 reads padded steps of a masked sequence",
        CONV_HINT,
    ),
    "highway": (
        dk.Highway(layers.Dense(WIDTH)),
        "convolutions with kernel_size=3 read padded steps of a masked sequence",
        "\n  hint: use kernel_size=1, which treats each step separately, or mask_zero=False in the Embedding",
    ),
    "perceptron": (dk.MLP([4]), FLATTEN[0].format("(None, 6)"), FLATTEN[1]),
    "classifier": (dk.Classifier(4), FLATTEN[0].format("(None, 6)"), FLATTEN[1]),
    "Gaussian": (dk.GaussianHead(4), FLATTEN[0].format("(None, 6)"), FLATTEN[1]),
    "autoencoder": (
        dk.Autoencoder(dk.ConvBlock(4)),
        "Conv1D with kernel_size=3 reads padded steps of a masked sequence",
        CONV_HINT,
    ),
    "product of the user": (
        dk.Parallel({"a": [], "b": []}, merge=layers.Dot(axes=1)),
        "Dot reads padded steps of a masked sequence",
        '\n  hint: use dk.Attention("dot"), or mask_zero=False in the Embedding, or pool before it',
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_blocks_that_would_read_padded_steps_refuse_a_mask(case):
    block, problem, hint = case
    with pytest.raises(dk.DefinitionError) as error:
        build(block)
    assert str(error.value).startswith(f"{problem}\n  at    {block.default_name}")
    assert hint in str(error.value)


def test_a_merging_layer_of_keras_refuses_masked_and_unmasked_tensors():
    for merge in (layers.Add(), dk.Merge(layers.Add())):
        with pytest.raises(dk.DefinitionError) as error:
            words_and_segments(merge).build()
        assert str(error.value).startswith("Add of a masked and an unmasked tensor loses the mask\n  at    out")
        hint = 'hint: use dk.Merge("add") or dk.layers.MaskedMerge(layers.Add()), which keep it'
        assert hint in str(error.value)
    with pytest.raises(
        dk.DefinitionError, match=r'Concatenate of a masked .*\n.*\n.*\n  hint: use dk\.Merge\("concat"\)'
    ):
        words_and_segments(layers.Concatenate()).build()
    assert words_and_segments(dk.Merge(dk.layers.MaskedMerge(layers.Add()))).build().output._keras_mask is not None


def test_sequences_joined_one_after_the_other_keep_the_mask_of_keras():
    output = words_and_segments(layers.Concatenate(axis=1)).build()({"words": PADDED, "segments": SEGMENTS})
    np.testing.assert_array_equal(output._keras_mask, np.concatenate([PADDED != 0, np.ones_like(SEGMENTS, bool)], 1))


def test_a_layer_of_the_user_loses_the_mask_with_the_warning_of_keras():
    with pytest.warns(UserWarning, match="does not support masking"):
        model = build(layers.Conv1D(4, 3, padding="same"))
    assert getattr(model.output, "_keras_mask", None) is None


def test_a_layer_without_mask_support_is_refused_as_the_activation_of_a_block():
    class Double(layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    with pytest.raises(dk.DefinitionError) as error:
        build(dk.MLP([4], activation=Double(), flatten=False))
    assert str(error.value).startswith("Double does not support the mask of its input\n  at    mlp.activation\n")
    assert "a custom layer that treats each step separately sets supports_masking = True" in str(error.value)


def test_a_mask_of_whole_examples_is_not_that_of_a_sequence():
    net = dk.Functional(
        inputs={"id": dk.Input((), dtype="int32"), "features": dk.Input((WIDTH,))},
        nodes={"embedded": ("id", embedding()), "out": (["embedded", "features"], [dk.Merge("add"), dk.Classifier(2)])},
        outputs="out",
    )
    assert getattr(net.build().output, "_keras_mask", None) is None


def test_a_shared_block_is_used_with_and_without_a_mask():
    gates = dk.Shared(dk.SqueezeExcitation(ratio=2), name="gates")
    net = dk.Sequential([embedding(), gates, dk.Classifier(WIDTH, pool="avg"), layers.Reshape((1, WIDTH)), gates])
    assert net.build((None,))(PADDED).shape == (3, 1, WIDTH)
