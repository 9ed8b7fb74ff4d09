"""Class bodies of blocks that would lose an argument or a check: an error when the class is created."""

import dataclasses
import typing

import numpy as np
import pytest
from keras import layers

import deepkit as dk

COMPLAINTS = {
    "the field 'units' has no annotation": {"units": dk.fields.integer()},
    "a block cannot define __init__": {"__init__": lambda self: None},
    "a block cannot define __post_init__": {"__post_init__": lambda self: None},
    "the argument 'build' has the name of a method": {"__annotations__": {"build": int}},
    "the argument 'default_name' has the name of a method or property": {"__annotations__": {"default_name": str}},
}


@pytest.mark.parametrize("text", COMPLAINTS)
def test_a_class_body_that_loses_something_is_refused(text):
    with pytest.raises(dk.DefinitionError, match=text) as error:
        type(dk.Block)("Scale", (dk.Block,), {"__module__": __name__, **COMPLAINTS[text]})
    assert error.value.hint


def test_a_list_is_a_default_of_a_plain_argument():
    class Scale(dk.Block):
        sizes: list = [1, 2]  # noqa: RUF012

        def add(self, x, builder):
            return x

    assert Scale().sizes == (1, 2)
    assert Scale([3]).sizes == (3,)
    with pytest.raises(dk.DefinitionError, match="default must be a plain value"):
        type(dk.Block)("Scale", (dk.Block,), {"__module__": __name__, "__annotations__": {"a": dict}, "a": {}})


def test_an_unchecked_value_is_not_written_to_a_file():
    @dk.register_block("tests")
    class Holder(dk.Block):
        value: object = dk.fields.unchecked()

        def add(self, x, builder):
            return x

    with pytest.raises(dk.DefinitionError, match="cannot be written to a file: its field accepts any value"):
        dk.to_dict(Holder({1, 2}))


def test_keras_arguments_take_a_class_of_layers():
    with pytest.raises(TypeError, match="keras_arguments takes a class of Keras layers, received 'Dense'"):
        dk.fields.keras_arguments("Dense")


@pytest.mark.parametrize("package", [dk.Block, "", "my package", 3])
def test_a_block_is_registered_under_a_name(package):
    with pytest.raises(ValueError, match="register_block: package must be a name such as 'mine'"):
        dk.register_block(package)


def make(**namespace):
    """Return a block class with these attributes."""
    return type(dk.Block)("Made", (dk.Block,), {"__module__": __name__, "add": lambda self, x, builder: x, **namespace})


def test_an_inherited_argument_is_not_replaced_by_an_attribute():
    parent = make(units=dk.fields.integer(default=3), __annotations__={"units": int})
    with pytest.raises(dk.DefinitionError, match="'units' replaces an inherited argument"):
        type(dk.Block)("Child", (parent,), {"__module__": __name__, "units": 9})


def test_a_dataclass_field_is_refused():
    with pytest.raises(dk.DefinitionError, match="is a field of dataclasses"):
        make(sizes=dataclasses.field(default_factory=list), __annotations__={"sizes": list})


def test_one_field_is_one_argument():
    field = dk.fields.integer(default=3)
    with pytest.raises((TypeError, RuntimeError)):
        make(a=field, b=field, __annotations__={"a": int, "b": int})


@pytest.mark.parametrize("excluding", ["units", ("unit",)])
def test_excluded_arguments_exist(excluding):
    with pytest.raises(TypeError, match="excluding must be names of arguments of Dense"):
        dk.fields.keras_arguments(layers.Dense, excluding=excluding)


def test_a_plain_value_of_another_type_is_not_the_default():
    class Scale(dk.Block):
        units: int = 3

        def add(self, x, builder):
            return x

    assert "3.0" in repr(Scale(3.0))
    assert repr(Scale(3)).endswith("Scale()")


BUILDER_MISTAKES = {
    "add_block takes a name, a block and its input": lambda b, x: b.add_block("d", layers.Dense(3), x),
    "add_block takes a name, a block and its input, received <KerasTensor": lambda b, x: b.add_block(x, "d", x),
    "add_all takes a list of blocks": lambda b, x: b.add_all(x, [layers.Dense(3)]),
    "add_all takes a list of blocks, received dk.MLP": lambda b, x: b.add_all(x, dk.MLP([3])),
    "add_layer takes a name and a layer class": lambda b, x: b.add_layer(x, layers.Dense, 3),
    "add_layer takes a name and a layer class, received 'd' and <Dense": lambda b, x: b.add_layer(
        x, "d", layers.Dense(3, name="d")
    ),
}


@pytest.mark.parametrize("text", BUILDER_MISTAKES)
def test_mistakes_with_the_builder_have_a_hint(text):
    block = make(add=lambda self, x, builder: BUILDER_MISTAKES[text](builder, x))()
    with pytest.raises(dk.DefinitionError, match=text) as error:
        block.build((4,))
    assert error.value.hint


def test_a_message_about_a_block_with_an_array_can_be_read():
    class Holder(dk.Block):
        table: object = dk.fields.unchecked(default=None)

        def add(self, x, builder):
            raise builder.error("no input fits")

    with pytest.raises(dk.DefinitionError, match="no input fits"):
        Holder(np.zeros(3)).build((3,))


@pytest.mark.parametrize("name", [n for n in dk.__all__ if isinstance(getattr(dk, n), type(dk.Block))])
def test_type_hints_of_blocks_can_be_resolved(name):
    assert "name" in typing.get_type_hints(getattr(dk, name))


def test_arrays_are_not_arguments_of_a_layer():
    with pytest.raises(dk.DefinitionError, match="kernel_initializer must be a plain value or a Keras object"):
        dk.ConvBlock(3, conv={"kernel_initializer": np.zeros(10**7, "float32")})


def test_a_long_seed_is_written_and_read():
    net = dk.Sequential([layers.Dropout(0.5, seed=2**40)])
    assert dk.from_dict(dk.to_dict(net)) == net


@pytest.mark.parametrize("cls", [dk.Block, dk.ConvBlock])
def test_deepkits_blocks_are_not_registered(cls):
    with pytest.raises(TypeError, match="is deepkit's"):
        dk.register_block("mine")(cls)


def test_a_misspelled_training_target_raises():
    class Copy(dk.Block):
        training_target = "input"

        def add(self, x, builder):
            return builder.add_layer(x, "dense", layers.Dense, 3)

    with pytest.raises(ValueError, match="training_target must be one of 'labels', 'inputs', 'none', received 'input'"):
        dk.fit(Copy(), (np.zeros((8, 3)), np.zeros((8, 3))), loss="mse", verbose=0)
