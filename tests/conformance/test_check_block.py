"""Blocks of users: a complete one passes `check_block`, and each violation of the protocol is reported."""

import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.testing.conformance import check_mask
from tests.conformance import user_blocks
from tests.conformance.user_blocks import GatedDense, PlainFields

FULL = GatedDense(
    4,
    [dk.MLP([5]), layers.ReLU()],
    gate="hard_sigmoid",
    dropout=0.25,
    bias=-2.0,
    sizes=[7, 6],
    has_activation=True,
    activation=keras.activations.gelu,
    dense={"use_bias": False, "kernel_initializer": "he_normal"},
    name="mine",
)


@pytest.mark.parametrize("block", [GatedDense(4), FULL, PlainFields(3), PlainFields(3, rates=[0.5])], ids=repr)
def test_complete_blocks_pass(block):
    dk.testing.check_block(block, (8,))


def test_a_user_block_is_printed_with_the_name_of_its_module():
    assert repr(GatedDense(4, dropout=0.5)) == "tests.conformance.user_blocks.GatedDense(4, dropout=0.5)"
    assert repr(FULL) == (
        "tests.conformance.user_blocks.GatedDense(\n"
        "    4,\n"
        "    [dk.MLP([5]), layers.ReLU()],\n"
        '    gate="hard_sigmoid",\n'
        "    dropout=0.25,\n"
        "    bias=-2.0,\n"
        "    sizes=[7, 6],\n"
        "    has_activation=True,\n"
        '    activation="gelu",\n'
        '    dense={"kernel_initializer": "he_normal", "use_bias": False},\n'
        '    name="mine",\n'
        ")"
    )


def test_a_user_block_is_built_and_saved(tmp_path):
    model = dk.Sequential([FULL, GatedDense(3), GatedDense(2)]).build((8,))
    names = [layer.name for layer in model.layers[1:]]
    assert names[:3] == ["mine.hidden1", "mine.hidden2", "mine.mlp.dense"]
    assert {"gated1.values", "gated2.gate"} <= set(names)
    assert model.get_layer("mine.gate").bias.numpy().tolist() == [-2.0] * 4
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


def test_a_user_block_is_written_as_data_and_as_yaml(tmp_path):
    assert dk.to_dict(GatedDense(4, dk.MLP([5]), sizes=[3])) == {
        "deepkit": 1,
        "block": "tests.GatedDense",
        "units": 4,
        "body": {"block": "MLP", "units": [5]},
        "sizes": [3],
    }
    assert dk.from_dict(dk.to_dict(FULL)) == FULL
    net = dk.Sequential([FULL, dk.Repeat(PlainFields(3), num_repeats=2)])
    assert "block: tests.GatedDense" in dk.dump(net, tmp_path / "net.yaml")
    assert dk.load(tmp_path / "net.yaml") == net


def test_a_block_of_a_script_and_a_file_whose_module_is_not_imported(tmp_path):
    dk.dump(GatedDense(4), tmp_path / "net.yaml")
    code = (
        "import sys, deepkit as dk\n"
        "from keras import layers\n"
        "@dk.register_block('script')\n"
        "class Scale(dk.Block):\n"
        "    units: int = dk.fields.integer()\n"
        "    def add(self, x, builder):\n"
        "        return builder.add_layer(x, 'dense', layers.Dense, self.units)\n"
        "dk.testing.check_block(Scale(4), (3,))\n"
        "print(Scale(4))\n"
        "dk.load(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "net.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "Scale(4)\n"
    assert "there is no block 'tests.GatedDense'; import the module that registers it first" in result.stderr


def test_signatures_have_the_arguments_with_their_defaults():
    parameters = inspect.signature(dk.ConvBlock).parameters
    assert list(parameters) == ["filters", "kernel_size", "strides", "activation", "norm", "order", "conv", "name"]
    assert {name: parameter.default for name, parameter in parameters.items() if name != "filters"} == {
        "kernel_size": 3,
        "strides": 1,
        "activation": "relu",
        "norm": "batch",
        "order": "conv-norm-activation",
        "conv": {},
        "name": None,
    }
    assert parameters["filters"].default is inspect.Parameter.empty
    assert parameters["filters"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert parameters["kernel_size"].kind is inspect.Parameter.KEYWORD_ONLY
    assert [*inspect.signature(PlainFields).parameters] == ["units", "label", "rates", "name"]


def test_annotations_without_a_field_hold_plain_values():
    block = PlainFields(np.int64(3), rates=[np.float32(0.5), 1])
    assert (block.units, type(block.units), block.rates) == (3, int, (0.5, 1))
    assert block == PlainFields(3, rates=(0.5, 1))
    assert PlainFields.registry == {}
    with pytest.raises(dk.DefinitionError, match="PlainFields: units must be a plain value, received <ndarray of"):
        PlainFields(np.zeros(3))
    with pytest.raises(dk.DefinitionError, match=r"label must be a plain value, received dk\.MLP"):
        PlainFields(3, dk.MLP([3]))


def test_arguments_of_a_user_block_are_checked():
    with pytest.raises(dk.DefinitionError, match="GatedDense: units must be a positive integer, received 0"):
        GatedDense(0)
    with pytest.raises(dk.DefinitionError, match="GatedDense takes no 'unit'; did you mean 'units'"):
        GatedDense(unit=3)
    with pytest.raises(dk.DefinitionError, match=r"=True needs an activation\n  hint: pass activation="):
        GatedDense(3, has_activation=True, activation=None)
    with pytest.raises(dk.DefinitionError, match=r"keras\.layers\.Dense takes no 'use_bais'; did you mean 'use_bias'"):
        GatedDense(3, dense={"use_bais": False})


@pytest.mark.parametrize(
    ("block", "check", "text"),
    [
        (user_blocks.WrongRepr(2), "repr", "is not equal to the block"),
        (user_blocks.WrongData(2), "serialization", "from_dict(to_dict(block)) is another block"),
        (user_blocks.WrongOutputShape(), "output shape", "received (1, 1), expected (1, 8)"),
        (user_blocks.HalfPrecisionWeights(), "precision", "is bfloat16 under mixed_bfloat16"),
        (user_blocks.LostInFile(), "saving", "the loaded model has other outputs"),
        (user_blocks.RefusedByLoading(), "saving", "ValueError: "),
        (user_blocks.WeightWithoutGradient(), "gradients", "idle/unused has no gradient"),
        (user_blocks.SharedBetweenBuilds(), "separate weights", "two builds share weights"),
        (user_blocks.RandomName(), "separate weights", "a second build has the weights"),
        (user_blocks.InvalidLayerName(), "layer names", "invalid name 'a layer'"),
        (user_blocks.OtherLayersInCall(), "call", "Not equal to tolerance"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, dk.Block) else "",
)
def test_each_violation_of_the_protocol_is_reported(block, check, text):
    with pytest.raises(AssertionError) as error:
        dk.testing.check_block(block, (8,))
    assert str(error.value).startswith(f"{type(block).__name__} fails the check {check!r}: ")
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (user_blocks.LosesMask(), "the output has lost the mask of the input"),
        (user_blocks.ReadsPaddedSteps(), "padded steps change the output"),
        (user_blocks.RefusesEmbeddings(), "the block refuses a masked sequence for another reason: no embeddings"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, dk.Block) else "",
)
@pytest.mark.parametrize("steps", [4, None])
def test_a_block_that_reads_padded_steps_is_reported(block, text, steps):
    with pytest.raises(AssertionError) as error:
        check_mask(block, (steps, 3), block.build((steps, 3)), None)
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("conv", "Conv1D with kernel_size=3 reads padded steps of a masked sequence"),
        ("multiply", "Multiply of a masked and an unmasked tensor loses the mask"),
    ],
)
def test_a_layer_of_a_user_block_may_not_lose_the_mask(kind, problem):
    block = user_blocks.GatedSteps(kind)
    with pytest.raises(dk.DefinitionError) as error:
        dk.Sequential([layers.Masking(), block]).build((None, 3))
    assert str(error.value).startswith(
        f"{problem}\n  at    gated_steps\n  in    tests.conformance.user_blocks.GatedSteps("
    )
    check_mask(block, (None, 3), block.build((None, 3)), None)


def test_a_user_block_with_a_masked_merge_keeps_the_mask():
    block = user_blocks.GatedSteps("merge")
    check_mask(block, (None, 3), block.build((None, 3)), None)
    output = dk.Sequential([layers.Masking(), block]).build((None, 3))(np.ones((2, 4, 3)))
    assert output._keras_mask.shape == (2, 4)


def test_a_class_defined_in_a_function_is_reported():
    @dk.register_block("tests")
    class Local(dk.Block):
        def add(self, x, builder):
            return builder.add_layer(x, "dense", layers.Dense, 3)

    with pytest.raises(AssertionError, match="Local fails the check 'repr': define the class at the top level"):
        dk.testing.check_block(Local(), (8,))


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (user_blocks.Unregistered(), "the block tests.conformance.user_blocks.Unregistered is not registered"),
        (user_blocks.NothingReturned(), "add must return a symbolic tensor, received None"),
    ],
)
def test_blocks_that_cannot_be_built_or_written(block, text):
    with pytest.raises(dk.DefinitionError, match=text):
        dk.testing.check_block(block, (8,))


def test_values_that_are_not_blocks():
    with pytest.raises(TypeError, match="check_block takes a block, received Dense"):
        dk.testing.check_block(layers.Dense(3), (8,))
    with pytest.raises(TypeError, match="abstract"):
        dk.Block()


def test_errors_of_register_block():
    with pytest.raises(TypeError, match=r"register_block takes a subclass of dk\.Block, received <class 'dict'>"):
        dk.register_block("tests")(dict)
    with pytest.raises(ValueError, match="the package 'deepkit' is reserved"):
        dk.register_block("deepkit")
    with pytest.raises(ValueError, match=r"'tests.GatedDense' is the name of .*GatedDense'>\n  hint: pass another"):
        dk.register_block("tests", "GatedDense")(PlainFields)
    assert dk.register_block("tests")(GatedDense) is GatedDense  # registered again by the same module
