"""Fuzzing of arguments: a wrong value raises an error of deepkit, never one of Python, NumPy or Keras."""

import dataclasses
import traceback
from pathlib import Path

import numpy as np
import pytest

import deepkit as dk
from deepkit.definition.block_type import field_of
from deepkit.definition.keras_config import parameters
from deepkit.serialization.registry import builtin_blocks
from deepkit.utils.errors import format_value
from tests.conformance.cases import CASES

PACKAGE = str(Path(dk.__file__).parent)
MAX_MESSAGE = 2_000


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no repr")


class Incomparable:
    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("no comparison")


ODD_VALUES = {
    "None": None,
    "true": True,
    "empty array": np.array([]),
    "scalar array": np.array(3),
    "array of one": np.array([1]),
    "array": np.array([1, 2]),
    "large array": np.zeros((300, 300)),
    "array of objects": np.array([None, "a"], dtype=object),
    "NumPy string": np.str_("relu"),
    "NumPy time": np.datetime64("2020-01-01"),
    "empty dict": {},
    "dict with None": {None: 1},
    "dict with mixed keys": {1: 2, "a": 3},
    "dict with arrays": {"a": np.zeros(2000)},
    "set": {1, 2},
    "bytes": b"ab",
    "complex": 1j,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "NumPy NaN": np.float32("nan"),
    "huge": 10**400,
    "huger than Python prints": 10**5_000,
    "negative": -(10**30),
    "fraction": 0.3,
    "long text": "x" * 5_000,
    "text": "concat",
    "text with braces": "{0}%s\n",
    "empty list": [],
    "nested lists": [[[[]]]],
    "list of arrays": [np.array([1, 2]), np.array([3])],
    "list of lists": [[1], 2],
    "long list": list(range(5_000)),
    "pairs": [3, 4],
    "class": dict,
    "function": len,
    "lambda": lambda x: x,
    "generator": (i for i in range(3)),
    "range": range(3),
    "unprintable": Unprintable(),
    "list of unprintable": [Unprintable()],
    "incomparable": Incomparable(),
    "list of incomparable": [Incomparable()],
    "dict of incomparable": {"a": Incomparable()},
}


def blocks_in(value):
    """Yield the blocks in a definition, itself included."""
    if isinstance(value, dk.Block):
        yield value
        for field in dataclasses.fields(value):
            yield from blocks_in(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from blocks_in(item)
    elif hasattr(value, "values") and not isinstance(value, type):
        for item in value.values():
            yield from blocks_in(item)


def examples():
    """Return one instance of each public block."""
    seq2seq = dk.Seq2Seq(dk.Text(10), encoder=dk.BiLSTM(2), decoder=dk.Recurrent("gru", 2))
    instances = {type(block).__name__: block for case in CASES for block in blocks_in(case.definition())}
    table_encoder = dk.TableEncoder({"area": "numeric", "city": "categorical"})  # its input is a mapping
    language_model = dk.LanguageModel(dk.Text(10), decoder=dk.Recurrent("gru", 2))
    captioner = dk.Captioner([dk.ConvBlock(2)], text=dk.Text(10), decoder=dk.Recurrent("gru", 2))
    instances |= {"Seq2Seq": seq2seq, "LanguageModel": language_model, "Captioner": captioner}
    instances |= {"TableEncoder": table_encoder}
    return {name: instances[name] for name in builtin_blocks()}


EXAMPLES = examples()
FIELDS = [(name, field.name) for name, block in EXAMPLES.items() for field in dataclasses.fields(block)]


def check_error(error):
    """Raise unless an error was raised by deepkit itself, in its layout, with a short text."""
    assert isinstance(error, ValueError | TypeError), repr(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert last.filename.startswith(PACKAGE), f"{type(error).__name__} from {last.filename}:{last.lineno}: {error}"
    assert "raise" in (last.line or ""), f"{type(error).__name__} from {last.filename}:{last.lineno}: {error}"
    text = str(error)
    assert len(text) < MAX_MESSAGE, len(text)
    for line in text.split("\n")[1:]:
        assert line.startswith(("  at    ", "  in    ", "  hint: ", "        ")), text


def keras_arguments_of(block):
    """Return the fields of a block that are arguments of a Keras layer, with the layer."""
    fields = {field.name: field_of(type(block), field.name).keras_layer() for field in dataclasses.fields(block)}
    return {name: layer for name, layer in fields.items() if layer is not None}


def find_problems(block, arguments):
    """Return what is wrong with the errors that a block raises for odd arguments."""
    problems = []
    for label, kwargs in arguments.items():
        try:
            changed = dataclasses.replace(block, **kwargs)
            assert isinstance(repr(changed), str)
            assert hash(changed) == hash(dataclasses.replace(changed))
            assert changed == dataclasses.replace(changed)
        except AssertionError:
            raise
        except Exception as error:  # every kind is checked
            try:
                check_error(error)
            except AssertionError as problem:
                problems.append(f"{label}: {problem}")
    return problems


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[f"{name}.{field}" for name, field in FIELDS])
def test_an_odd_value_is_accepted_or_raises_an_error_of_deepkit(name, field):
    problems = find_problems(EXAMPLES[name], {label: {field: value} for label, value in ODD_VALUES.items()})
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", [name for name, block in EXAMPLES.items() if keras_arguments_of(block)])
def test_an_odd_argument_of_a_keras_layer_is_accepted_or_raises_an_error_of_deepkit(name):
    arguments = {}
    for field, layer in keras_arguments_of(EXAMPLES[name]).items():
        keys = [key for key in ("use_bias", "kernel_initializer", "ngrams", "dtype") if key in parameters(layer)]
        for key in keys[:2]:
            arguments |= {f"{field}.{key}, {label}": {field: {key: value}} for label, value in ODD_VALUES.items()}
    problems = find_problems(EXAMPLES[name], arguments)
    assert not problems, "\n".join(problems)


def odd_data():
    """Yield plain data with an odd value in each place."""
    for value in ODD_VALUES.values():
        yield value
        yield {"block": value}
        yield {"layer": value}
        yield {"deepkit": value, "block": "MLP", "units": [3]}
        yield {"block": "Sequential", "layers": value}
        yield {"block": "Sequential", "layers": [value]}
        yield {"block": "MLP", "units": value}
        yield {"block": "MLP", "units": [value]}
        yield {"block": "ConvBlock", "filters": 8, "conv": value}
        yield {"block": "ConvBlock", "filters": 8, "conv": {"kernel_initializer": value}}
        yield {"block": "ConvBlock", "filters": 8, "conv": {"kernel_initializer": {"initializer": value}}}
        yield {"block": "ConvBlock", "filters": 8, "activation": value, "name": value}
        yield {"block": "Parallel", "branches": value}
        yield {"block": "Parallel", "branches": {"a": value}}
        yield {"block": "Functional", "inputs": value, "nodes": value, "outputs": value}
        yield {"block": "Functional", "inputs": {"x": value}, "nodes": {"y": value}, "outputs": "y"}
        yield {"block": "Functional", "inputs": {"x": {"shape": value}}, "nodes": {"y": value}, "outputs": "y"}
        yield {"block": "Functional", "inputs": {"x": {"shape": [3]}}, "nodes": {"y": {"from": value, "body": value}}}
        yield {"layer": "Dense", "units": value}
        yield {"layer": "Dense", "units": 3, "kernel_regularizer": {"regularizer": "L2", "l2": value}}
        yield {"layer": "TimeDistributed", "wrapped": value}
        if isinstance(value, str | int | bytes | complex | float | type(None)):
            yield {value: value}
            yield {"block": "MLP", value: 3}
            yield {"layer": "Dense", "units": 3, value: 3}


def test_odd_plain_data_raise_an_error_of_deepkit():
    problems = []
    for data in odd_data():
        try:
            assert isinstance(dk.from_dict(data), dk.Block)
        except AssertionError:
            raise
        except Exception as error:  # every kind is checked
            try:
                check_error(error)
            except AssertionError as problem:
                problems.append(f"{format_value(data)}: {problem}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: dk.Recurrent("lstm", 8, bidirectional="both"),
            "Recurrent: bidirectional must be one of False, True, 'concat', 'sum', 'mul', 'ave', None, received 'both'",
        ),
        (
            lambda: dk.Merge(dense={None: 1}),
            "Merge(dense=...) takes a mapping of argument names to values, received {None: 1}\n"
            '  hint: use a dictionary such as {"kernel_initializer": "he_normal"}',
        ),
        (lambda: dk.Pattern("FC3", arguments=[3, 4]), "arguments must be a mapping"),
        (
            lambda: dk.Transition(norm=np.array([1, 2])),
            "Transition: norm must be one of 'batch', 'layer', None, received <ndarray of shape (2,) and dtype int64>",
        ),
        (
            lambda: dk.ConvBlock(8, conv={"padding": 1}).build((8, 8, 3)),
            "the layer 'conv' cannot be made with padding=1, use_bias=False: 'int' object has no attribute 'lower'\n"
            '  in    dk.ConvBlock(8, conv={"padding": 1})',
        ),
        (lambda: dk.ConvBlock(8, strides=np.array([2, 2])), "strides must be a positive integer, received <ndarray of"),
        (
            lambda: dk.MLP([3], dropout=10**400),
            "dropout must be a fraction in [0, 1), received 1000000",
        ),
        (
            lambda: dk.ConvBlock(10**30),
            "ConvBlock: filters must be at most 9,223,372,036,854,775,807, received 1000000000000000000000000000000",
        ),
    ],
)
def test_errors_of_wrong_types(make, text):
    with pytest.raises((dk.DefinitionError, TypeError)) as caught:
        make()
    check_error(caught.value)
    assert text in str(caught.value)
