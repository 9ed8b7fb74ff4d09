"""Definitions as values: elements, names, sharing, building, printing and errors."""

import sys

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.definition.keras_layer import LayerInstance, LayerTemplate


def names(model):
    return [layer.name for layer in model.layers if not isinstance(layer, layers.InputLayer)]


# --- Keras layers as elements ---------------------------------------------------------------------------------------


def test_a_layer_without_weights_is_a_template_used_afresh():
    net = dk.Sequential([layers.Dense(4)])
    first, second = net.build((4,)), net.build((4,))
    assert isinstance(net.layers[0], LayerTemplate)
    assert first.layers[1] is not second.layers[1]
    assert not np.array_equal(first.layers[1].kernel, second.layers[1].kernel)


def test_templates_compare_by_what_they_say_not_by_the_names_keras_gave():
    assert dk.Sequential([layers.Dense(4), layers.Dense(4)]) == dk.Sequential([layers.Dense(4), layers.Dense(4)])
    assert dk.Sequential([layers.Dense(4)]) != dk.Sequential([layers.Dense(4, name="mine")])
    wrapped = [dk.Sequential([layers.TimeDistributed(layers.Dense(4))]) for _ in range(2)]
    assert wrapped[0] == wrapped[1]


def test_a_template_follows_the_precision_of_the_build():
    net = dk.Sequential([layers.Dense(4), layers.Dense(2, dtype="float32")])
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = net.build((4,))
    assert [layer.compute_dtype for layer in model.layers[1:]] == ["bfloat16", "bfloat16"]
    kept = dk.Sequential([layers.Dense(2, dtype="float32")]).build((4,))
    assert kept.layers[1].compute_dtype == "float32"


def test_each_copy_of_a_seeded_layer_has_a_seed_of_its_own():
    model = dk.Repeat(layers.Dropout(0.5, seed=7), num_repeats=3).build((100,))
    assert [layer.seed for layer in model.layers[1:]] == [7, 8, 9]


def test_a_layer_with_weights_is_used_as_it_is():
    trained = layers.Dense(3)
    trained.build((None, 4))
    net = dk.Sequential([trained, dk.Classifier(2)])
    assert isinstance(net.layers[0], LayerInstance)
    assert net.build((4,)).layers[1] is trained
    assert net == dk.Sequential([trained, dk.Classifier(2)])
    other = layers.Dense(3)
    other.build((None, 4))
    assert net != dk.Sequential([other, dk.Classifier(2)])


def test_a_keras_sequential_without_weights_is_taken_apart():
    net = dk.Sequential([keras.Sequential([layers.Dense(3), layers.ReLU()], name="inner"), dk.Classifier(2)])
    assert net.layers[0] == dk.Sequential([layers.Dense(3), layers.ReLU()], name="inner")
    assert names(net.build((4,)))[:2] == ["inner.dense", "inner.re_lu"]


def test_a_layer_with_several_inputs_says_what_is_missing():
    with pytest.raises(dk.DefinitionError, match=r"multi_head_attention: missing a required argument: 'value'"):
        dk.Sequential([layers.MultiHeadAttention(2, 4)]).build((5, 4))


def test_a_model_fixes_the_input_shape():
    base = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    model = dk.Sequential([base, dk.Classifier(5, pool="avg")]).build()
    assert model.input_shape == (None, 8, 8, 3)
    with pytest.raises(dk.DefinitionError, match=r"received input_shape=\(9, 9, 3\), but the definition fixes"):
        dk.Sequential([base, dk.Classifier(5)]).build((9, 9, 3))


def test_adapted_preprocessing_is_used_as_it_is():
    normal = layers.Normalization()
    normal.adapt(np.random.default_rng(0).normal(5.0, 2.0, (100, 3)).astype("float32"))
    lookup = layers.StringLookup()
    lookup.adapt(["a", "b"])
    assert isinstance(dk.Sequential([normal]).layers[0], LayerInstance)
    assert isinstance(dk.Sequential([lookup]).layers[0], LayerInstance)
    assert isinstance(dk.Sequential([layers.StringLookup(vocabulary=["a"])]).layers[0], LayerTemplate)
    assert isinstance(dk.Sequential([layers.MaxPooling2D()]).layers[0], LayerTemplate)


def test_a_model_with_weights_inside_a_wrapper_is_seen():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert isinstance(dk.Sequential([layers.TimeDistributed(inner)]).layers[0], LayerInstance)


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("relu", r"layers\[1\] must be a block, a Keras layer or a list of them, received str 'relu'"),
        (layers.Flatten, r"received the class Flatten\n  hint: Flatten\(...\), an instance"),
        (3, "received int 3"),
    ],
)
def test_what_is_no_element(element, text):
    with pytest.raises(TypeError, match=text):
        dk.Sequential([layers.Flatten(), element])


def test_a_keras_input_is_answered_with_dk_input():
    with pytest.raises(TypeError, match=r"hint: dk.Input\(shape\) as the first element"):
        dk.Sequential([keras.Input((3,))])
    with pytest.raises(dk.DefinitionError, match="as the first element"):
        dk.Sequential([layers.Flatten(), dk.Input((3,))])


# --- names ----------------------------------------------------------------------------------------------------------


def test_siblings_are_numbered_and_an_only_child_is_not():
    net = dk.Sequential(
        [dk.Residual([dk.ConvBlock(3), dk.ConvBlock(3, activation=None)], name="stage"), layers.Flatten()]
    )
    assert names(net.build((4, 4, 3))) == [
        "stage.conv_block1.conv",
        "stage.conv_block1.norm",
        "stage.conv_block1.activation",
        "stage.conv_block2.conv",
        "stage.conv_block2.norm",
        "stage.add",
        "stage.activation",
        "flatten",
    ]


def test_a_given_name_takes_the_place_of_the_kind():
    model = dk.Sequential([layers.Dense(3, name="first"), layers.Dense(3), layers.Dense(3)], name="net").build((3,))
    assert (model.name, names(model)) == ("net", ["first", "dense1", "dense2"])


def test_a_given_name_that_looks_like_a_numbered_one_is_stepped_over():
    model = dk.Sequential([layers.Dense(3, name="dense1"), layers.Dense(3), layers.Dense(3)]).build((3,))
    assert len(set(names(model))) == 3


def test_a_body_part_may_be_of_the_kind_of_the_blocks_own_parts():
    block = dk.Residual([layers.Dense(3), layers.Activation("tanh")])
    assert "activation1" in names(block.build((3,)))


@pytest.mark.parametrize("name", ["a.b", "a b", "", "ä", 3])
def test_names_are_checked(name):
    with pytest.raises(dk.DefinitionError, match="letters, digits"):
        dk.ConvBlock(3, name=name)


def test_one_name_for_two_siblings_is_refused():
    with pytest.raises(dk.DefinitionError, match="the name 'x' is given to two siblings"):
        dk.Sequential([dk.MLP([3], name="x"), dk.MLP([3], name="x")]).build((3,))


def test_blocks_called_by_hand_are_numbered_as_keras_numbers_layers():
    x = keras.Input((8, 8, 3))
    y = dk.ConvBlock(3)(dk.ConvBlock(3)(x))
    model = keras.Model(x, y)
    assert names(model)[0] == "conv_block1.conv"
    assert names(model)[3] == "conv_block2.conv"


# --- sharing --------------------------------------------------------------------------------------------------------


def test_equal_shared_parts_use_one_set_of_weights_wherever_they_are():
    tower = dk.Shared(dk.MLP([4]), name="tower")
    net = dk.Sequential([tower, dk.Sequential([tower], name="again"), dk.MLP([4])])
    model = net.build((4,))
    assert model.count_params() == 2 * (4 * 4 + 4)
    assert names(model) == ["tower.mlp.dense", "tower.mlp.activation", "mlp.dense", "mlp.activation"]


def test_two_names_make_two_towers():
    body = dk.MLP([4])
    model = dk.Sequential([dk.Shared(body, name="a"), dk.Shared(body, name="b")]).build((4,))
    assert model.count_params() == 2 * (4 * 4 + 4)


def test_a_shared_that_cannot_take_the_second_input_says_where():
    net = dk.Sequential([dk.Shared(dk.MLP([3])), dk.Shared(dk.MLP([3]))])
    with pytest.raises(dk.DefinitionError, match=r"shared\.mlp: "):
        net.build((4,))


def test_a_shared_called_by_hand_is_refused():
    with pytest.raises(dk.DefinitionError, match="would make new weights at each call"):
        dk.Shared(dk.MLP([3]))(keras.Input((3,)))


def test_sharing_across_nested_models_is_refused():
    layer = layers.Dense(4)
    nested = keras.Sequential([keras.Input((4,)), layer])
    with pytest.raises(dk.DefinitionError, match="Keras saves such a model to a file that it cannot load"):
        dk.Sequential([nested, layer]).build((4,))


# --- building -------------------------------------------------------------------------------------------------------


def test_build_returns_a_plain_keras_model():
    model = dk.Sequential([dk.MLP([3])]).build((4,))
    assert type(model).__module__.startswith("keras.")


def test_an_empty_definition_is_the_identity():
    model = dk.Sequential([]).build((4,))
    np.testing.assert_array_equal(model(np.ones((2, 4), "float32")), np.ones((2, 4)))


def test_the_input_may_have_another_type():
    net = dk.Sequential([dk.Input((None,), dtype="int32"), layers.Embedding(10, 4), dk.Classifier(2, pool="avg")])
    assert net.build().input.dtype == "int32"


@pytest.mark.parametrize("shape", [(0, 3), (-1,), (2.5,), 7, "ab", (True,)])
def test_input_shapes_are_checked(shape):
    with pytest.raises(dk.DefinitionError, match="positive integers or None"):
        dk.MLP([3]).build(shape)
    with pytest.raises(dk.DefinitionError, match="positive integers or None"):
        dk.Input(shape)


def test_build_without_a_shape_says_what_to_write():
    with pytest.raises(dk.DefinitionError, match=r"hint: .build\(\(28, 28, 1\)\)"):
        dk.MLP([3]).build()


def test_calling_a_definition_on_data_is_refused():
    with pytest.raises(dk.DefinitionError, match=r"holds no weights(.|\n)*definition.build\(input_shape\)"):
        dk.MLP([3])(np.zeros((2, 4), "float32"))


def test_a_very_deep_net_builds_and_leaves_the_recursion_limit_alone():
    before = sys.getrecursionlimit()
    unit = dk.Residual(dk.ConvBlock(1, kernel_size=1, norm=None), activation=None)
    model = dk.Repeat(unit, num_repeats=700).build((2, 2, 1))
    assert len(model.layers) == 1 + 700 * 3
    assert sys.getrecursionlimit() == before


# --- errors carry the place -----------------------------------------------------------------------------------------


def test_the_message_of_the_design():
    net = dk.Sequential(
        [
            dk.Sequential([dk.ConvBlock(4)], name="stage1"),
            dk.Sequential(
                [dk.Residual([dk.ConvBlock(8), dk.ConvBlock(128, kernel_size=5, conv={"padding": "valid"})])],
                name="stage2",
            ),
        ]
    )
    with pytest.raises(dk.DefinitionError) as caught:
        net.build((3, 3, 3))
    assert str(caught.value) == (
        'stage2.residual.conv_block2: padding="valid" with kernel_size=5 needs at least 5x5, received 3x3x8\n'
        '  in  dk.ConvBlock(128, kernel_size=5, conv={"padding": "valid"})\n'
        '  hint: padding="same", a smaller kernel, a larger input, or one pooling step less before it'
    )
    assert caught.value.place == "stage2.residual.conv_block2"


def test_pooling_windows_are_checked_too():
    with pytest.raises(dk.DefinitionError, match=r"max_pooling2d: padding=\"valid\" with pool_size=3 needs at least"):
        dk.Sequential([layers.MaxPooling2D(3)]).build((2, 2, 1))


def test_what_keras_refuses_is_reported_with_the_place():
    net = dk.Sequential([dk.Sequential([layers.Dense(3), layers.Reshape((7, 7))], name="head")])
    with pytest.raises(dk.DefinitionError, match=r"head\.reshape: "):
        net.build((4,))


def test_a_long_definition_is_shortened_in_an_error():
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Sequential([dk.ConvStack(2**i) for i in range(20)]).build()
    assert str(caught.value).count("\n") < 12


# --- printing -------------------------------------------------------------------------------------------------------


def test_only_what_is_not_default_is_printed():
    assert repr(dk.ConvBlock(8)) == "dk.ConvBlock(8)"
    assert repr(dk.ConvBlock(8, strides=2, norm=None)) == "dk.ConvBlock(8, strides=2, norm=None)"
    assert repr(dk.Sequential([layers.MaxPooling2D(3, 2, padding="same")])) == (
        'dk.Sequential([layers.MaxPooling2D(pool_size=3, strides=2, padding="same")])'
    )
    assert repr(dk.Residual(dk.MLP([3]))) == "dk.Residual(dk.MLP([3]))"


def test_a_long_definition_is_spread_over_lines():
    text = repr(dk.Sequential([dk.ConvStack(32, num_convs=2, norm=None)] * 4, name="net"))
    assert text.splitlines()[0] == "dk.Sequential(["
    assert text.splitlines()[1] == "    dk.ConvStack(32, norm=None),"
    assert text.splitlines()[-1] == '], name="net")'


def test_definitions_cannot_be_changed():
    with pytest.raises(AttributeError):
        dk.ConvBlock(3).filters = 4


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dk.ConvBlock(8, stride=2), "ConvBlock takes no 'stride'; did you mean 'strides'?"),
        (
            lambda: dk.ConvBlock(8, padding="valid"),
            "ConvBlock takes no 'padding', which is an argument of the Keras layer; say conv={\"padding\": ...}",
        ),
        (
            lambda: dk.MLP([8], use_bias=False),
            "MLP takes no 'use_bias', which is an argument of the Keras layer; say dense={\"use_bias\": ...}",
        ),
        (
            lambda: dk.Sequential(dk.MLP([8]), dk.MLP([8])),
            "Sequential takes layers by position, received 2 values\n  hint: a list, or names for the others",
        ),
        (lambda: dk.Repeat(dk.MLP([8]), 3), "Repeat takes body by position, received 2 values"),
        (lambda: dk.ConvBlock(8, conv={"use_bias": "no"}), "ConvBlock(conv=...): use_bias must be True or False"),
    ],
)
def test_an_argument_that_is_none_says_what_was_meant(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert text in str(caught.value)
