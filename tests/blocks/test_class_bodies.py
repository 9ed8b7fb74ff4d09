"""Class bodies of blocks that would lose an argument or a check: an error when the class is created."""

import pytest

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
