"""Definitions as values: elements, names, sharing, building, printing and errors."""

import copy
import dataclasses
import pickle
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


def test_a_layer_without_weights_is_a_template_that_each_build_copies():
    net = dk.Sequential([layers.Dense(4)])
    first, second = net.build((4,)), net.build((4,))
    assert isinstance(net.layers[0], LayerTemplate)
    assert first.layers[1] is not second.layers[1]
    assert not np.array_equal(first.layers[1].kernel, second.layers[1].kernel)


class ScaleWithoutConfig(keras.layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def get_config(self):
        return super().get_config()  # without factor


def test_a_layer_whose_config_lacks_an_argument_raises():
    with pytest.raises(dk.DefinitionError, match=r"missing 1 required .* 'factor'") as caught:
        dk.Sequential([ScaleWithoutConfig(2.0)]).build((4,))
    assert "return every argument of __init__ from ScaleWithoutConfig.get_config" in caught.value.hint


class CallsNumPy(keras.layers.Layer):
    def call(self, x):
        return np.abs(x)


class HasCondition(keras.layers.Layer):
    def call(self, x):
        return x if keras.ops.sum(x) > 0 else -x


@pytest.mark.parametrize(
    ("cls", "cause", "hint"),
    [
        (CallsNumPy, "Cannot convert a symbolic tf.Tensor", "use the functions of keras.ops"),
        (HasCondition, "Using a symbolic `tf.Tensor` as a Python `bool`", "use keras.ops.where or keras.ops.cond"),
    ],
)
def test_a_call_that_fails_for_symbolic_tensors_names_the_cause(cls, cause, hint):
    with pytest.raises(dk.DefinitionError, match=f"{cls.__name__}.call fails for a symbolic tensor: {cause}") as caught:
        dk.Sequential([cls()]).build((4,))
    assert caught.value.hint.startswith(hint)


def test_templates_are_compared_by_config_without_generated_names():
    assert dk.Sequential([layers.Dense(4), layers.Dense(4)]) == dk.Sequential([layers.Dense(4), layers.Dense(4)])
    assert dk.Sequential([layers.Dense(4)]) != dk.Sequential([layers.Dense(4, name="mine")])
    wrapped = [dk.Sequential([layers.TimeDistributed(layers.Dense(4))]) for _ in range(2)]
    assert wrapped[0] == wrapped[1]


def test_a_template_follows_the_precision_of_the_build():
    net = dk.Sequential([layers.Dense(4), layers.Dense(2, dtype="float32")])
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = net.build((4,))
    assert [layer.compute_dtype for layer in model.layers[1:]] == ["bfloat16", "bfloat16"]
    explicit = dk.Sequential([layers.Dense(2, dtype="float32")]).build((4,))
    assert explicit.layers[1].compute_dtype == "float32"


def test_each_copy_of_a_seeded_layer_has_another_seed():
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


def test_a_keras_sequential_without_weights_becomes_a_definition():
    net = dk.Sequential([keras.Sequential([layers.Dense(3), layers.ReLU()], name="inner"), dk.Classifier(2)])
    assert net.layers[0] == dk.Sequential([layers.Dense(3), layers.ReLU()], name="inner")
    assert names(net.build((4,)))[:2] == ["inner.dense", "inner.re_lu"]


def test_a_layer_that_needs_several_inputs_names_the_missing_one():
    with pytest.raises(dk.DefinitionError, match="missing a required argument: 'value'") as error:
        dk.Sequential([layers.MultiHeadAttention(2, 4)]).build((5, 4))
    assert error.value.path == "multi_head_attention"


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


def test_a_model_with_weights_inside_a_wrapper_is_used_as_it_is():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert isinstance(dk.Sequential([layers.TimeDistributed(inner)]).layers[0], LayerInstance)


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("relu", r"layers\[1\] must be a block, a Keras layer or a list of them, received str 'relu'"),
        (layers.Flatten, r"received the class Flatten\n  hint: use Flatten\(...\), an instance"),
        (3, "received int 3"),
    ],
)
def test_values_that_are_not_elements(element, text):
    with pytest.raises(TypeError, match=text):
        dk.Sequential([layers.Flatten(), element])


def test_a_keras_input_is_refused_with_a_hint_to_dk_input():
    with pytest.raises(TypeError, match=r"hint: use dk.Input\(shape\) as the first element"):
        dk.Sequential([keras.Input((3,))])
    with pytest.raises(dk.DefinitionError, match="hint: make it the first element"):
        dk.Sequential([layers.Flatten(), dk.Input((3,))])


# --- names ----------------------------------------------------------------------------------------------------------


def test_siblings_are_numbered_from_1_unless_there_is_one():
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


def test_a_name_replaces_the_default_name():
    model = dk.Sequential([layers.Dense(3, name="first"), layers.Dense(3), layers.Dense(3)], name="net").build((3,))
    assert (model.name, names(model)) == ("net", ["first", "dense1", "dense2"])


def test_a_name_that_looks_like_a_numbered_one_is_skipped():
    model = dk.Sequential([layers.Dense(3, name="dense1"), layers.Dense(3), layers.Dense(3)]).build((3,))
    assert len(set(names(model))) == 3


def test_an_element_of_a_body_may_have_the_default_name_of_a_layer_of_the_block():
    block = dk.Residual([layers.Dense(3), layers.Activation("tanh")])
    assert "activation1" in names(block.build((3,)))


@pytest.mark.parametrize("name", ["a.b", "a b", "", "ä", 3])
def test_names_are_checked(name):
    with pytest.raises(dk.DefinitionError, match="letters, digits"):
        dk.ConvBlock(3, name=name)


def test_two_siblings_with_one_name_are_refused():
    with pytest.raises(dk.DefinitionError, match="two siblings have the name 'x'"):
        dk.Sequential([dk.MLP([3], name="x"), dk.MLP([3], name="x")]).build((3,))


def test_blocks_called_on_tensors_are_numbered_as_keras_numbers_layers():
    x = keras.Input((8, 8, 3))
    y = dk.ConvBlock(3)(dk.ConvBlock(3)(x))
    model = keras.Model(x, y)
    assert names(model)[0] == "conv_block1.conv"
    assert names(model)[3] == "conv_block2.conv"


# --- sharing --------------------------------------------------------------------------------------------------------


def test_equal_shared_blocks_use_one_set_of_weights_at_every_place():
    tower = dk.Shared(dk.MLP([4]), name="tower")
    net = dk.Sequential([tower, dk.Sequential([tower], name="second"), dk.MLP([4])])
    model = net.build((4,))
    assert model.count_params() == 2 * (4 * 4 + 4)
    assert names(model) == ["tower.mlp.dense", "tower.mlp.activation", "mlp.dense", "mlp.activation"]


def test_two_names_make_two_towers():
    body = dk.MLP([4])
    model = dk.Sequential([dk.Shared(body, name="a"), dk.Shared(body, name="b")]).build((4,))
    assert model.count_params() == 2 * (4 * 4 + 4)


def test_an_input_that_does_not_fit_the_weights_of_a_shared_has_the_path_of_its_layer():
    net = dk.Sequential([dk.Shared(dk.MLP([3])), dk.Shared(dk.MLP([3]))])
    with pytest.raises(dk.DefinitionError, match="is incompatible with the layer") as error:
        net.build((4,))
    assert error.value.path == "shared.mlp"


def test_a_shared_called_on_a_tensor_is_refused():
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
    inputs = keras.Input((4,))
    plain = keras.Model(inputs, layers.Dense(3)(inputs))
    assert set(vars(model)) == set(vars(plain))  # nothing is patched on the instance


def test_an_empty_definition_is_the_identity():
    model = dk.Sequential([]).build((4,))
    np.testing.assert_array_equal(model(np.ones((2, 4), "float32")), np.ones((2, 4)))


def test_the_input_may_have_another_dtype():
    net = dk.Sequential([dk.Input((None,), dtype="int32"), layers.Embedding(10, 4), dk.Classifier(2, pool="avg")])
    assert net.build().input.dtype == "int32"


@pytest.mark.parametrize("shape", [(0, 3), (-1,), (2.5,), 7, "ab", (True,)])
def test_input_shapes_are_checked(shape):
    with pytest.raises(dk.DefinitionError, match="positive integers or None"):
        dk.MLP([3]).build(shape)
    with pytest.raises(dk.DefinitionError, match="positive integers or None"):
        dk.Input(shape)


def test_build_without_a_shape_has_a_hint_with_the_call():
    with pytest.raises(dk.DefinitionError, match=r"hint: use .build\(\(28, 28, 1\)\)"):
        dk.MLP([3]).build()


def test_calling_a_definition_on_data_is_refused():
    with pytest.raises(dk.DefinitionError, match=r"holds no weights(.|\n)*definition.build\(input_shape\)"):
        dk.MLP([3])(np.zeros((2, 4), "float32"))


def test_a_very_deep_net_is_built_without_a_changed_recursion_limit():
    before = sys.getrecursionlimit()
    unit = dk.Residual(dk.ConvBlock(1, kernel_size=1, norm=None), activation=None)
    model = dk.Repeat(unit, num_repeats=700).build((2, 2, 1))
    assert len(model.layers) == 1 + 700 * 3
    assert sys.getrecursionlimit() == before


# --- errors have a path ---------------------------------------------------------------------------------------------


def test_an_error_has_a_path_code_and_a_hint():
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
        'padding="valid" with kernel_size=5 needs an input of at least 5x5, received 3x3x8\n'
        "  at    stage2.residual.conv_block2\n"
        '  in    dk.ConvBlock(128, kernel_size=5, conv={"padding": "valid"})\n'
        '  hint: use padding="same", a smaller kernel, a larger input, or one fewer pooling step before it'
    )
    assert caught.value.path == "stage2.residual.conv_block2"


def test_pooling_windows_are_checked_too():
    text = r"padding=\"valid\" with pool_size=3 needs an input of at least 3x3, received 2x2x1\n  at    max_pooling2d"
    with pytest.raises(dk.DefinitionError, match=text):
        dk.Sequential([layers.MaxPooling2D(3)]).build((2, 2, 1))


def test_a_weight_that_does_not_fit_into_memory_has_its_shape_in_the_error():
    with pytest.raises(dk.DefinitionError) as error:
        dk.Sequential([layers.Dense(10**15)]).build((4,))
    assert str(error.value) == (
        "the device has not enough memory for a weight of shape (4, 1000000000000000)\n"
        "  at    dense\n"
        "  in    layers.Dense(1000000000000000)\n"
        "  hint: use a smaller layer, or reduce its input, for example by pooling"
    )


@pytest.mark.parametrize("shape", [(3, 1), (3, 3, 1), (3, 3, 3, 1)])
def test_windows_of_l2_pooling_are_checked_at_every_rank(shape):
    assert dk.ConvStack(2, pool="l2").build((8,) * (len(shape) - 1) + (1,)).output_shape[1] == 4
    needed = "x".join("4" * (len(shape) - 1))
    with pytest.raises(dk.DefinitionError, match=f"with pool_size=4 needs an input of at least {needed}, received 3"):
        dk.Sequential([dk.layers.L2Pooling(4)]).build(shape)


def test_an_error_of_keras_is_raised_with_the_path():
    net = dk.Sequential([dk.Sequential([layers.Dense(3), layers.Reshape((7, 7))], name="head")])
    with pytest.raises(dk.DefinitionError, match="The total size of the tensor must be unchanged") as error:
        net.build((4,))
    assert error.value.path == "head.reshape"


def test_a_long_definition_is_shortened_in_an_error():
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Sequential([dk.ConvStack(2**i) for i in range(20)]).build()
    assert str(caught.value).count("\n") < 12


# --- NumPy values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (lambda: dk.ConvBlock(np.int64(8)), dk.ConvBlock(8)),
        (lambda: dk.ConvBlock(8, strides=np.uint8(2)), dk.ConvBlock(8, strides=2)),
        (lambda: dk.ConvBlock(8, kernel_size=(np.int32(3), np.int64(1))), dk.ConvBlock(8, kernel_size=(3, 1))),
        (lambda: dk.MLP([np.int16(3), 2]), dk.MLP([3, 2])),
        (lambda: dk.MLP([3], dropout=np.float32(0.5)), dk.MLP([3], dropout=0.5)),
        (lambda: dk.MLP([3], flatten=np.bool_(False)), dk.MLP([3], flatten=False)),
        (lambda: dk.Highway(transform_bias=np.float16(-1.5)), dk.Highway(transform_bias=-1.5)),
        (lambda: dk.Highway(transform_bias=np.int8(-1)), dk.Highway(transform_bias=-1)),
        (lambda: dk.Recurrent("gru", 3, bidirectional=np.bool_(True)), dk.Recurrent("gru", 3, bidirectional=True)),
        (lambda: dk.Classifier(3, pool=np.str_("avg")), dk.Classifier(3, pool="avg")),
        (lambda: dk.ConvBlock(8, norm=np.str_("layer")), dk.ConvBlock(8, norm="layer")),
        (lambda: dk.ConvBlock(8, activation=np.str_("tanh")), dk.ConvBlock(8, activation="tanh")),
        (
            lambda: dk.ConvBlock(
                8, conv={"groups": np.int64(2), "use_bias": np.bool_(True), "padding": np.str_("same")}
            ),
            dk.ConvBlock(8, conv={"groups": 2, "use_bias": True, "padding": "same"}),
        ),
        (lambda: dk.Input((np.int64(3), None), batch_size=np.int64(2)), dk.Input((3, None), batch_size=2)),
        (lambda: dk.Input((3,), dtype=np.dtype("int32")), dk.Input((3,), dtype="int32")),
        (lambda: dk.MLP([3], name=np.str_("net")), dk.MLP([3], name="net")),
        (lambda: dk.Text(9, vocabulary=[np.str_("a"), "b"]), dk.Text(9, vocabulary=("a", "b"))),
        (
            lambda: dk.Functional(
                inputs={np.str_("x"): dk.Input((3,))},
                nodes={np.str_("y"): ([np.str_("x")], dk.MLP([2]))},
                outputs=[np.str_("y")],
            ),
            dk.Functional(inputs={"x": dk.Input((3,))}, nodes={"y": (["x"], dk.MLP([2]))}, outputs=["y"]),
        ),
        (lambda: dk.Parallel({np.str_("a"): []}), dk.Parallel({"a": []})),
        (lambda: dk.from_pattern("FC3*N", N=np.int64(2)), dk.from_pattern("FC3*N", N=2)),
    ],
)
def test_numpy_values_are_held_as_python_values(block, expected):
    assert block() == expected
    assert repr(block()) == repr(expected)
    assert "np." not in repr(block())
    assert dk.dump(block()) == dk.dump(expected)
    assert dk.from_dict(dk.to_dict(block())) == expected


# --- printing -------------------------------------------------------------------------------------------------------


def test_arguments_at_their_default_are_not_printed():
    assert repr(dk.ConvBlock(8)) == "dk.ConvBlock(8)"
    assert repr(dk.ConvBlock(8, strides=2, norm=None)) == "dk.ConvBlock(8, strides=2, norm=None)"
    assert repr(dk.Sequential([layers.MaxPooling2D(3, 2, padding="same")])) == (
        'dk.Sequential([layers.MaxPooling2D(pool_size=3, strides=2, padding="same")])'
    )
    assert repr(dk.Residual(dk.MLP([3]))) == "dk.Residual(dk.MLP([3]))"


def test_a_long_definition_is_printed_over_several_lines():
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
            "ConvBlock takes no 'padding', which is an argument of the Keras layer; pass conv={\"padding\": ...}",
        ),
        (
            lambda: dk.MLP([8], use_bias=False),
            "MLP takes no 'use_bias', which is an argument of the Keras layer; pass dense={\"use_bias\": ...}",
        ),
        (
            lambda: dk.Sequential(dk.MLP([8]), dk.MLP([8])),
            "Sequential takes layers by position, received 2 values\n"
            "  hint: pass a list, or the other arguments by name",
        ),
        (lambda: dk.Repeat(dk.MLP([8]), 3), "Repeat takes body by position, received 2 values"),
        (lambda: dk.ConvBlock(8, conv={"use_bias": "no"}), "ConvBlock(conv=...): use_bias must be True or False"),
    ],
)
def test_an_unknown_argument_has_a_suggestion(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert text in str(caught.value)


def public_blocks():
    values = (getattr(dk, name) for name in dir(dk))
    return [value for value in values if isinstance(value, type) and issubclass(value, dk.Block)]


@pytest.mark.parametrize(
    "cls",
    [cls for cls in public_blocks() if any(item.default is dataclasses.MISSING for item in dataclasses.fields(cls))],
)
def test_the_example_for_a_missing_argument_is_valid(cls):
    with pytest.raises(TypeError) as caught:
        cls()
    assert isinstance(caught.value, dk.DefinitionError)
    assert isinstance(eval(caught.value.hint.removeprefix("use "), {"dk": dk}), cls)


def test_missing_arguments_are_named():
    class Scaled(dk.Block):
        factor: float = dk.fields.number()
        _: dataclasses.KW_ONLY
        depth: int = dk.fields.integer(minimum=2, maximum=4)
        label: str = "a"

        def add(self, x, builder):
            return x

    with pytest.raises(
        dk.DefinitionError, match=r"^Classifier: the required argument num_classes is missing\n"
    ) as caught:
        dk.Classifier()
    assert caught.value.hint == "use dk.Classifier(10)"
    with pytest.raises(
        TypeError, match=r"^Recurrent: the required argument units is missing\n  hint: use dk\.Recurrent"
    ):
        dk.Recurrent("lstm", return_sequences=True)
    with pytest.raises(
        dk.DefinitionError, match="Scaled: the required arguments factor and depth are missing"
    ) as caught:
        Scaled(label="b")
    assert caught.value.hint.endswith("Scaled(..., depth=4)")
    assert Scaled(1, depth=2) == Scaled(factor=1.0, depth=2)


def test_an_argument_that_is_passed_twice_is_named():
    problem = r"MLP: units is passed twice, received \[3\] and units=\[4\]\n  hint: leave one out"
    with pytest.raises(dk.DefinitionError, match=problem):
        dk.MLP([3], units=[4])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a.b", "'a_b'"), ("a/b", "'a_b'"), ("my block", "'my_block'"), ("MyBlock", "'my_block'"), ("", "'block'"),
        ("2d", "'block'"), (3, "'block'"), (None, "'block'"),
    ],
)  # fmt: skip
def test_a_default_name_that_is_not_in_snake_case_is_refused(name, hint):
    class Named(dk.Block):
        default_name = name

        def add(self, x, builder):
            return x

    problem = rf"^Named\.default_name must be a name in snake case, received {name!r}\n"
    with pytest.raises(dk.DefinitionError, match=problem) as caught:
        Named()
    assert caught.value.hint == f"use {hint}"


def test_a_default_name_may_depend_on_the_arguments():
    class Scale(dk.Block):
        kind: str = "dense"

        @property
        def default_name(self):
            return f"{self.kind}_scale"

        def add(self, x, builder):
            return builder.add_layer(x, "layer", layers.Dense, 2)

    assert names(dk.Sequential([Scale(), Scale("größe"), Scale()]).build((3,))) == [
        "dense_scale1.layer",
        "größe_scale.layer",
        "dense_scale2.layer",
    ]
    with pytest.raises(dk.DefinitionError, match="received 'a-b_scale'"):
        Scale("a-b")


class Plain(dk.Block):
    """A block with plain arguments and a number."""

    value: object
    rate: float = dk.fields.number(default=0.5)

    def add(self, x, builder):
        return x


@pytest.mark.parametrize("make", [Plain, lambda value: Plain([2, [value]]), lambda value: dk.Residual([Plain(value)])])
def test_numbers_of_other_types_differ(make):
    blocks = [make(value) for value in (1, 1.0, True)]
    assert len(set(blocks)) == 3
    for i, first in enumerate(blocks):
        for j, second in enumerate(blocks):
            assert (first == second) == (i == j)
            assert (repr(first) == repr(second)) == (i == j)


def test_equal_blocks_have_equal_hashes():
    assert Plain([1, None]) == Plain((1, None)) != Plain((2, None))
    assert hash(Plain([1, None])) == hash(Plain((1, None)))
    assert Plain(0, rate=1) == Plain(0, rate=1.0)
    assert hash(Plain(0, rate=1)) == hash(Plain(0, rate=1.0))
    assert Plain(0) != dk.MLP([3])
    assert Plain(float("nan")) != Plain(float("nan"))


def test_a_default_of_another_type_is_printed():
    class Listed(dk.Block):
        values: tuple = (1, 2)

        def add(self, x, builder):
            return x

    assert repr(Listed()).endswith("Listed()")
    assert repr(Listed([True, 2])).endswith("Listed([True, 2])")


def test_a_block_may_define_its_equality():
    class Loose(dk.Block):
        value: object

        def add(self, x, builder):
            return x

        def __eq__(self, other):
            return isinstance(other, Loose)

    assert Loose(1) == Loose(2)


@pytest.mark.parametrize(
    ("net", "shape", "hint"),
    [
        (
            [dk.MLP([4])],
            (None, 28, 28, 1),
            "if None is the batch axis, leave it out with .build((28, 28, 1)); otherwise ",
        ),
        ([layers.Conv2D(4, 3)], (None, 9, 9, 1), "if None is the batch axis, leave it out with .build((9, 9, 1))"),
        ([layers.Conv2D(4, 3)], (1000, 9, 9, 1), "if 1,000 is the batch size, leave it out with .build((9, 9, 1))"),
        ([dk.MLP([4])], (None, 4), "if None is the batch axis, leave it out with .build((4,)); otherwise use a fixed"),
    ],
)
def test_a_batch_axis_in_the_input_shape_is_named(net, shape, hint):
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Sequential([*net, dk.Classifier(2)]).build(shape)
    assert caught.value.hint.startswith(hint)
    assert caught.value.path.startswith(("mlp", "conv2d"))


def test_a_first_axis_of_unknown_size_may_be_time():
    assert dk.Sequential([layers.LSTM(4), dk.Classifier(2)]).build((None, 64)).input_shape == (None, None, 64)
    assert (
        dk.Sequential([layers.Conv2D(4, 3), dk.Classifier(2, pool="avg")]).build((None, None, 3)).input_shape[1] is None
    )


def test_an_error_without_the_first_axis_gives_no_hint_to_a_batch_axis():
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Sequential([layers.Conv2D(4, 40, padding="valid"), dk.Classifier(2)]).build((None, 28, 28, 1))
    assert "batch" not in caught.value.hint
    with pytest.raises(dk.DefinitionError) as caught:
        dk.Sequential([layers.Conv1D(4, 3), dk.Classifier(2)]).build((28, 28, 1))
    assert "batch" not in caught.value.hint


# --- members of Keras's models --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (
            "fit",
            "use dk.fit(net, x, y), or build and compile a model: model = net.build(input_shape); model.compile(...)",
        ),
        ("compile", "pass optimizer=, loss= and metrics= to dk.fit(net, x, y), or use net.build(input_shape).compile"),
        ("summary", "build the model first: model = net.build(input_shape), then model.summary"),
        ("predict", "train it first: run = dk.fit(net, x, y), then run.predict(x)"),
        ("evaluate", "train it first: run = dk.fit(net, x, y), then run.evaluate(x, y)"),
        ("weights", "then model.weights"),
        ("save", 'use dk.dump(net, "net.yaml") for the definition'),
        ("count_params", "then model.count_params"),
    ],
)
def test_a_member_of_a_keras_model_is_an_error_with_a_hint(name, hint):
    for net in (dk.Sequential([layers.Dense(4)]), dk.MLP([8])):
        with pytest.raises(AttributeError) as caught:
            getattr(net, name)
        problem, _, received = str(caught.value).partition("\n  hint: ")
        assert problem == f"{type(net).__name__} has no {name!r}: it is a definition without weights, not a keras.Model"
        assert hint in received
        assert not hasattr(net, name)
        assert name not in dir(net)


def test_the_hint_to_build_omits_the_shape_that_the_definition_fixes():
    net = dk.Functional(inputs={"x": dk.Input((4,))}, nodes={"y": ("x", dk.MLP([8]))}, outputs="y")
    with pytest.raises(AttributeError, match=r"model = net\.build\(\), then model\.layers"):
        net.layers  # noqa: B018  the attribute raises


def test_other_attributes_of_a_definition_behave_as_in_python():
    net = dk.Sequential([dk.MLP([8]), dk.Classifier(3)])
    assert len(net.layers) == 2
    assert copy.deepcopy(net) == copy.copy(net) == pickle.loads(pickle.dumps(net)) == net
    with pytest.raises(AttributeError, match=r"^'Sequential' object has no attribute 'layer'"):
        net.layer  # noqa: B018  the attribute raises

    class Broken(dk.Block):
        def add(self, x, builder):
            return x

        @property
        def weights(self):
            return self.missing

    with pytest.raises(AttributeError, match=r"^'Broken' object has no attribute 'missing'"):
        Broken().weights  # noqa: B018  the property raises
