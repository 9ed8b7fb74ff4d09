"""Branches and their merging."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk


def random_array(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_branches_receive_the_same_input_and_are_concatenated_in_order():
    net = dk.Parallel({"b": dk.ConvBlock(2, norm=None), "a": [], "c": [dk.ConvBlock(3), dk.ConvBlock(4, norm=None)]})
    model = net.build((5, 5, 3))
    x = random_array(2, 5, 5, 3)
    np.testing.assert_array_equal(model(x)[..., 2:5], x)
    first = np.maximum(model.get_layer("b.conv")(x), 0)
    np.testing.assert_allclose(model(x)[..., :2], first, rtol=1e-6)
    assert model.output_shape[-1] == 9
    assert {layer.name for layer in model.layers} >= {"b.conv", "c.conv_block1.conv", "c.conv_block2.conv", "concat"}


def test_branches_in_another_order_are_another_block():
    a, b = dk.ConvBlock(2), dk.ConvBlock(3)
    assert dk.Parallel({"a": a, "b": b}) != dk.Parallel({"b": b, "a": a})
    assert dk.Parallel({"a": a, "b": b}) == dk.Parallel({"a": [a], "b": (b,)})


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        ("add", lambda a, b: a + b),
        ("multiply", lambda a, b: a * b),
        ("average", lambda a, b: (a + b) / 2),
        ("maximum", np.maximum),
        ("minimum", np.minimum),
        ("subtract", lambda a, b: a - b),
        (layers.Dot(axes=1, normalize=True), lambda a, b: cosine(a, b)),
    ],
    ids=["add", "multiply", "average", "maximum", "minimum", "subtract", "layer"],
)
def test_merges(merge, expected):
    model = dk.Parallel({"input": [], "half": layers.Rescaling(0.5, offset=1.0)}, merge=merge).build((4,))
    x = random_array(3, 4)
    np.testing.assert_allclose(model(x), expected(x, x / 2 + 1), rtol=1e-5, atol=1e-6)


def cosine(a, b):
    return (
        np.sum(a * b, 1, keepdims=True)
        / np.linalg.norm(a, axis=1, keepdims=True)
        / np.linalg.norm(b, axis=1, keepdims=True)
    )


def test_without_a_merge_the_outputs_are_a_list():
    model = dk.Parallel({"a": dk.MLP([2]), "b": dk.MLP([3])}, merge=None).build((4,))
    assert model.output_shape == [(None, 2), (None, 3)]


def test_a_single_branch_has_no_merge_layer():
    assert [layer.name for layer in dk.Parallel({"only": dk.MLP([2])}).build((4,)).layers[1:]] == [
        "only.dense", "only.activation",
    ]  # fmt: skip


def test_under_channels_first_the_channels_are_concatenated():
    keras.config.set_image_data_format("channels_first")
    try:
        model = dk.Parallel({"a": [], "b": []}).build((3, 5, 5))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert model.output_shape == (None, 6, 5, 5)


def build_merge(merge, *widths):
    inputs = [keras.Input((width,)) for width in widths]
    return keras.Model(inputs, merge(inputs))


def test_narrow_tensors_are_projected_to_the_width_of_the_widest():
    model = build_merge(dk.Merge("multiply", name="merge"), 4, 6, 6)
    assert model.output_shape == (None, 6)
    assert [w.path for w in model.weights] == ["merge.project1/kernel", "merge.project1/bias"]


def test_all_tensors_are_projected_to_the_units():
    model = build_merge(dk.Merge("multiply", units=5, activation="tanh", dense={"use_bias": False}), 5, 6)
    assert model.output_shape == (None, 5)
    assert [tuple(w.shape) for w in model.weights] == [(5, 5), (6, 5)]


def test_named_tensors_are_merged_in_order():
    branches = dk.Functional(
        inputs={"x": dk.Input((2,))},
        nodes={"b": ("x", []), "a": ("x", layers.Rescaling(10.0))},
        outputs=["b", "a"],
    )
    x = random_array(3, 2)
    np.testing.assert_allclose(dk.Sequential([branches, dk.Merge("subtract")]).build()(x), x - 10 * x, rtol=1e-6)


def test_a_concatenation_has_no_weights():
    model = build_merge(dk.Merge(), 4, 6)
    assert (model.output_shape, model.count_params()) == ((None, 10), 0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: dk.Parallel([dk.MLP([2])]),
            "Parallel: branches must be a mapping of names to bodies, received [dk.MLP([2])]\n"
            '  hint: use dk.Parallel({"left": dk.ConvBlock(8), "right": []})',
        ),
        (lambda: dk.Parallel({}), "Parallel: branches must be a mapping of names to bodies, received {}"),
        (
            lambda: dk.Parallel({"a.b": []}),
            "Parallel: branches: a name must consist of letters, digits, '_' or '-', received 'a.b'\n  hint: use 'a_b'",
        ),
        (lambda: dk.Parallel({"a": 3}), "Parallel: branches['a'][0] must be a block, a Keras layer or a list of them"),
        (
            lambda: dk.Parallel({"a": []}, merge="sum"),
            "Parallel: merge must be one of 'concat', 'add', 'multiply', 'average', 'maximum', 'minimum', 'subtract', "
            "None, received 'sum'\n  hint: use a merging layer such as layers.Dot(axes=1) for any other",
        ),
        (
            lambda: dk.Parallel({"a": [], "b": dk.ConvBlock(2, strides=2)}).build((8, 8, 3)),
            "expected tensors of the same sizes except for the channels, received [8x8x3, 4x4x2]",
        ),
        (
            lambda: dk.Parallel({"a": [], "b": dk.ConvBlock(2)}, merge="add").build((8, 8, 3)),
            "expected tensors of the same shape, received [8x8x3, 8x8x2]",
        ),
        (
            lambda: dk.Merge("add")([keras.Input((4, 4, 3)), keras.Input((7,))]),
            "expected tensors with the same number of axes, received [4x4x3, 7]\n"
            "  at    merge1\n"
            '  in    dk.Merge("add")\n'
            "  hint: add layers.GlobalAveragePooling2D() or layers.Flatten() after the larger one",
        ),
        (
            lambda: dk.Merge("add")([keras.Input((31, 31, 3)), keras.Input((30, 30, 7))]),
            "expected tensors of the same sizes except for the channels, received [31x31x3, 30x30x7]",
        ),
        (lambda: dk.Merge("concatenate"), "received 'concatenate'; did you mean 'concat'?"),
        (
            lambda: dk.Parallel({"concat": [], "b": []}).build((3,)),
            "a branch has the name of the merge, 'concat'",
        ),
        (
            lambda: dk.Merge().build((4,)),
            "expected several tensors to merge, received one: 4\n"
            "  in    dk.Merge()\n"
            '  hint: use nodes={"answer": (["image", "question"], [dk.Merge(), ...])} in a dk.Functional',
        ),
        (
            lambda: dk.Sequential([dk.Parallel({"a": [], "b": []}, merge=None), dk.ConvBlock(2)]).build((4, 4, 3)),
            "expected one tensor, received 2: [4x4x3, 4x4x3]\n"
            "  at    conv_block\n"
            "  in    dk.ConvBlock(2)\n"
            "  hint: add dk.Merge() after them",
        ),
        (
            lambda: dk.Residual(dk.Parallel({"a": [], "b": []}, merge=None)).build((4, 3)),
            "the body must return one tensor, but returns 2: [4x3, 4x3]",
        ),
        (
            lambda: dk.Parallel({"x": dk.Parallel({"a": [], "b": []}, merge=None), "y": []}).build((3,)),
            "branch 'x' must return one tensor, but returns 2: [3, 3]",
        ),
        (lambda: dk.MLP([3])([keras.Input((3,)), keras.Input((3,))]), "expected one tensor, received 2: [3, 3]"),
        (
            lambda: dk.Merge(activation="tanh"),
            "Merge: activation and dense are for the projections before the merge, which 'concat' does not need\n"
            "  hint: pass units=, the common width",
        ),
        (lambda: dk.Merge("add", units=0), "Merge: units must be a positive integer, received 0"),
    ],
)
def test_errors(make, text):
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert text in str(caught.value)
