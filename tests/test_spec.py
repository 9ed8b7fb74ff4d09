"""Definitions as data: what a file may say, what it may not, and where an error is."""

import copy
import random

import keras
import numpy as np
import pytest
import yaml
from keras import layers

import deepkit as dk
from deepkit.definition import keras_config
from deepkit.serialization.registry import classes
from tests.conformance.cases import CASES

NET = """
block: Sequential
layers:
- {block: Input, shape: [28, 28, 1]}
- {block: ConvBlock, filters: 8}
- {layer: MaxPooling2D, pool_size: 2}
- block: Residual
  body:
  - {block: ConvBlock, filters: 8}
  - {block: ConvBlock, filters: 8, activation: null, conv: {kernel_regularizer: {regularizer: L2, l2: 1e-4}}}
- {block: Classifier, num_classes: 10}
"""


def loaded(text, folder):
    path = folder / "model.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return dk.load(path)


def test_a_file_as_people_write_it(tmp_path):
    by_hand = dk.Sequential(
        [
            dk.Input((28, 28, 1)),
            dk.ConvBlock(8),
            layers.MaxPooling2D(2),
            dk.Residual(
                [
                    dk.ConvBlock(8),
                    dk.ConvBlock(8, activation=None, conv={"kernel_regularizer": keras.regularizers.L2(1e-4)}),
                ]
            ),
            dk.Classifier(10),
        ]
    )
    assert loaded(NET, tmp_path) == by_hand


def test_a_list_is_a_sequence(tmp_path):
    assert loaded("- {block: MLP, units: [3]}\n- [{layer: ReLU}]", tmp_path) == dk.Sequential(
        [dk.MLP([3]), [layers.ReLU()]]
    )


def test_numbers_and_words_are_as_people_mean_them(tmp_path):
    text = "{block: Parallel, branches: {on: {layer: Dropout, rate: 1e-1}, 3x3: [], null_: []}}"
    definition = loaded(text, tmp_path)
    assert definition == dk.Parallel({"on": layers.Dropout(0.1), "3x3": [], "null_": []})
    assert loaded(dk.dump(definition), tmp_path) == definition


@pytest.mark.parametrize("word", ["yes", "off", "1e3", "1_0", "0x1F", "12:30", "2001-01-01", "~", "null", "1.5", "<<"])
def test_words_that_yaml_might_take_for_something_else_come_back(word, tmp_path):
    definition = dk.Sequential([layers.TextVectorization(vocabulary=[word, "b"])])
    assert loaded(dk.dump(definition), tmp_path) == definition


def test_wrapped_layers_and_cells():
    definition = dk.Sequential(
        [
            layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="sum"),
            layers.TimeDistributed(layers.Dense(3, kernel_initializer=keras.initializers.HeNormal(seed=3))),
            layers.RNN([layers.GRUCell(2), layers.GRUCell(3)]),
        ]
    )
    data = dk.to_dict(definition)
    assert data["layers"][0] == {
        "layer": "Bidirectional",
        "wrapped": {"layer": "LSTM", "units": 4, "return_sequences": True},
        "merge_mode": "sum",
    }
    assert dk.from_dict(data) == definition


GIVEN = {
    "activation": "relu", "axes": 1, "cell": layers.GRUCell(2), "cells": [layers.GRUCell(2)], "dims": (2, 1),
    "equation": "ab,bc->ac", "factor": 0.1, "filters": 3, "head_dim": 2, "height": 4, "height_factor": 0.1,
    "input_dim": 5, "kernel_size": 3, "key_dim": 2, "layer": layers.GRU(2), "layers": [layers.ReLU()],
    "max_number": 3, "n": 2,
    "num_bins": 3, "num_heads": 2, "num_key_value_heads": 1, "num_query_heads": 2, "num_tokens": 4, "output_dim": 2,
    "output_shape": 3, "output_size": 2, "pool_size": 2, "rate": 0.5, "scale": 2.0, "sequence_length": 3, "stddev": 0.1,
    "target_shape": (4,), "units": 3, "width": 4, "width_factor": 0.1,
}  # fmt: skip
OWN = {
    "deepkit.TableConv2D": lambda cls: cls([(0,)], 3),
    "deepkit.TiedConv": lambda cls: cls(layers.Conv1D(2, 3)),
    "deepkit.RBF": lambda cls: cls([[0.0]]),
    "CategoryEncoding": lambda cls: cls(num_tokens=4),
    "Discretization": lambda cls: cls(num_bins=3),
    "RandomPosterization": lambda cls: cls(factor=4),
}


@pytest.mark.parametrize("name", sorted(classes("layer")))
def test_every_layer_that_a_file_can_name_comes_back(name):
    cls = classes("layer")[name]
    needed = [key for key, p in keras_config.parameters(cls).items() if p.default is p.empty]
    made = OWN[name](cls) if name in OWN else cls(**{key: GIVEN[key] for key in needed})
    definition = dk.Sequential([made])
    assert dk.from_dict(dk.to_dict(definition)) == definition
    assert eval(repr(definition), {"dk": dk, "layers": layers, "keras": keras}) == definition


@pytest.mark.parametrize(
    "definition",
    [
        dk.Sequential([layers.ReLU(negative_slope=0), layers.Rescaling(1, offset=0), layers.Dense(2, use_bias=1)]),
        dk.Sequential([layers.BatchNormalization(renorm=True), layers.ELU(dtype="float16")]),
        dk.Sequential([layers.Masking(float("-inf"))]),
        dk.ConvBlock(2, conv={"dtype": "float32"}),
        dk.Input((3,), dtype=np.int32),
    ],
    ids=["integers", "policies", "infinite", "dtype", "input"],
)
def test_exact_to_the_type_of_a_number(definition):
    assert dk.from_dict(dk.to_dict(definition)) == definition
    assert eval(repr(definition), {"dk": dk, "layers": layers, "keras": keras}) == definition


def test_a_single_layer_is_a_file_too(tmp_path):
    dense = dk.from_dict({"layer": "Dense", "units": 3})
    dk.dump(dense, tmp_path / "dense.yaml")
    assert dk.load(tmp_path / "dense.yaml") == dense
    assert dense.build((4,)).output_shape == (None, 3)


def test_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model.yaml"
    path.write_text("mine")
    with pytest.raises(dk.DefinitionError):
        dk.dump(dk.Sequential([keras.Sequential([keras.Input((3,)), layers.Dense(2)])]), path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        (
            lambda: dk.Sequential([keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="base")]),
            "<Sequential 'base' with its state> cannot be said in plain data: it has weights or other state "
            "of its own\n  hint: saving the built model: model.save('model.keras')",
        ),
        (lambda: dk.Sequential([Mine()]), "a file cannot name Mine: it is neither Keras's nor deepkit's"),
        (lambda: 3, "to_dict takes a definition, received int\n  hint: dk.Sequential([...]), before .build()"),
    ],
)
def test_what_cannot_be_said(definition, text):
    with pytest.raises((dk.DefinitionError, TypeError)) as caught:
        dk.to_dict(definition())
    assert str(caught.value) == text


class Mine(layers.Layer):
    pass


CONV = "{block: ConvBlock, filters: 8}"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            NET.replace("filters: 8, activation: null", "filters: eight, activation: null"),
            "model.yaml: layers[3].body[1].filters: ConvBlock: filters must be a positive integer, received 'eight'",
        ),
        (
            NET.replace("{block: ConvBlock, filters: 8}\n-", "{block: ConvBlock, filter: 8}\n-"),
            "model.yaml: layers[1].filter: ConvBlock takes no 'filter'; did you mean 'filters'?",
        ),
        (
            NET.replace("pool_size: 2", "pool_size: wide"),
            "model.yaml: layers[2].pool_size: The `pool_size` argument must be a tuple of 2 integers. Received "
            "pool_size=wide",
        ),
        (
            NET.replace("l2: 1e-4", "l3: 1e-4"),
            ".conv.kernel_regularizer.l3: L2 takes no 'l3'; it takes l2",
        ),
        (
            NET.replace("L2,", "L4,"),
            ".conv.kernel_regularizer.regularizer: there is no regularizer 'L4'",
        ),
        ("{block: ConvBlok, filters: 8}", "model.yaml: block: there is no block 'ConvBlok'; did you mean ConvBlock?"),
        (
            "{block: Conv2D, filters: 8}",
            "model.yaml: block: there is no block 'Conv2D'; it is a layer: say layer: Conv2D",
        ),
        ("{layer: ConvBlock}", "layer: there is no layer 'ConvBlock'; it is a block: say block: ConvBlock"),
        ("{layer: RBF, centers: [[0]]}", "layer: there is no layer 'RBF'; did you mean deepkit.RBF?"),
        ("{block: ConvBlock}", "model.yaml: ConvBlock needs 'filters'"),
        ("{layer: Dense}", "model.yaml: Dense needs 'units'"),
        ("3", "model.yaml: expected a mapping with `block:` or `layer:`, or a list of them, received 3"),
        ("", "model.yaml: expected a mapping with `block:` or `layer:`, or a list of them, received None"),
        ("{block: Sequential, layer: Dense}", "this has both `block:` and `layer:`; it can be one of them"),
        ("{blok: Sequential}", "among the keys, received blok; did you mean `block:` or `layer:` by 'blok'?"),
        (
            "{layer: Conv2D, filters: 8, kernel_size: 3, use_bias: no}",
            "model.yaml: use_bias: Conv2D: use_bias must be True or False, received 'no'\n  hint: false",
        ),
        (
            "{block: MLP, units: [3], flatten: off}",
            "flatten: MLP: flatten must be True or False, received 'off'\n  try",
        ),
        ("{block: MLP, units: [3], dense: {use_bias: yes}}", "dense: MLP(dense=...): use_bias must be True or False"),
        (
            "{block: ConvBlock, filters: 8, norm: None}",
            "model.yaml: norm: ConvBlock: norm must be one of 'batch', 'layer', None, received 'None'\n  hint: null",
        ),
        (
            "{block: ConvBlock, filters: 8, padding: valid}",
            "model.yaml: padding: ConvBlock takes no 'padding', which is an argument of the Keras layer; "
            'say conv={"padding": ...}',
        ),
        ("{block: Sequential, layers: 3}", "model.yaml: layers: expected a list, received 3"),
        ("{block: Residual, body: [3]}", "model.yaml: body[0]: expected a mapping with `block:` or `layer:`"),
        ("{block: Parallel, branches: [3]}", "model.yaml: branches: expected a mapping of names, received [3]"),
        (
            "{block: Parallel, branches: {1: []}}",
            'model.yaml: branches: a name must be text, received 1\n  hint: "1" in quotes',
        ),
        ("{block: ConvBlock, filters: 8, conv: 3}", "model.yaml: conv: expected a mapping of arguments, received 3"),
        (
            "{block: ConvBlock, filters: 8, conv: {dilation: 3}}",
            "model.yaml: conv: ConvBlock(conv=...): keras.layers.Conv2D takes no 'dilation'",
        ),
        ("{block: ConvBlock, filters: 8, activation: {x: 1}}", "activation: expected a value, or a mapping with one"),
        (
            f"{{block: Repeat, body: {CONV}, num_repeats: 1000000000}}",
            "num_repeats: Repeat: num_repeats must be at most 10,000",
        ),
        (
            "{block: MLP, units: [99999999999]}",
            "units[0]: expected a number of at most 2,147,483,647, received a larger",
        ),
        ("{deepkit: 2, block: MLP, units: [3]}", "model.yaml: deepkit: the format has the version 1, received 2"),
        (
            "{layer: Lambda, function: x}",
            "layer: Lambda cannot be named in a file: it runs code, which a file",
        ),
        (
            "{layer: TFSMLayer, filepath: x}",
            "layer: TFSMLayer cannot be named in a file: it reads a folder, which a file",
        ),
        (
            "{layer: StringLookup, vocabulary: /etc/passwd}",
            "model.yaml: vocabulary: a file may not name another file; expected the list itself",
        ),
        ("{layer: TextVectorization, standardize: {class_name: f}}", "standardize: expected a value, or a mapping"),
        ("{block: Functional, inputs: {x: {shape: [4]}}, outputs: y}", "model.yaml: Functional needs 'nodes'"),
        (
            "{block: Functional, inputs: {x: {shape: [4]}}, nodes: {y: {form: x, body: []}}, outputs: y}",
            "model.yaml: nodes.y.form: a node takes no 'form'; did you mean 'from'?",
        ),
        (
            "{block: Functional, inputs: {x: {block: MLP}}, nodes: {y: {from: x, body: []}}, outputs: y}",
            "model.yaml: inputs.x.block: expected an Input, received 'MLP'",
        ),
        (
            "{block: Functional, inputs: {x: {shape: [4]}}, nodes: {y: {from: z, body: []}}, outputs: y}",
            "model.yaml: nodes: Functional: nodes['y'] is behind 'z', and there is no such input or node",
        ),
        (
            "{layer: Dense, units: 2, activation: {block: MLP, units: [2]}}",
            "model.yaml: activation: Dense takes no block, received {'block': 'MLP', 'units': [2]}",
        ),
        ("{layer: Pipeline, layers: 3}", "model.yaml: Pipeline: "),
        ("{layer: IntegerLookup, num_oov_indices: 2.5}", "model.yaml: IntegerLookup: "),
        (
            "{layer: Embedding, input_dim: 9, output_dim: 2, weights: [[0]]}",
            "model.yaml: weights: a file cannot hold weights\n  hint: model.save('model.keras')",
        ),
        (
            "{layer: StringLookup, vocabulary: [a], num_oov_indices: 30000000}",
            "model.yaml: num_oov_indices: expected at most 100,000, received 30,000,000",
        ),
        ("{layer: TextVectorization, ngrams: 300}", "model.yaml: ngrams: expected at most 20, received 300"),
        ("{block: ConvBlock, filters: 2, activation: 'deepkit>Maxout'}", "activation 'deepkit>Maxout' is neither"),
        ("{block: Input, shape: [3], dtype: foo}", "dtype: Input: dtype must be the name of a type, received 'foo'"),
        ("{block: Input, shape: [3], batch_size: -2}", "batch_size: Input: batch_size must be a positive integer"),
        ("!!timestamp foo", "no YAML: line 1, column 1: could not determine a constructor for the tag"),
        ("{layer: TimeDistributed, wrapped: " * 12 + "{layer: ReLU}" + "}" * 12, ": nested too deeply"),
        ("a: &x [1]\nb: *x", "model.yaml: no YAML: line 2, column 4: *x: anchors and aliases are not allowed"),
        ("{block: MLP, block: MLP}", "model.yaml: no YAML: line 1, column 14: 'block' is given twice"),
        ("{block: [", "model.yaml: no YAML: line 1, column 10: expected the node content, but found '<stream end>'"),
        (
            "!!python/object/apply:os.system [ls]",
            "no YAML: line 1, column 1: could not determine a constructor for the",
        ),
        ("{block: MLP, units: !!set {3}}", "no YAML: line 1, column 21: could not determine a constructor for the tag"),
        (b"\xff\xfe\x00", "model.yaml: no YAML: 'utf-8' codec can't decode byte 0xff in position 0"),
        ("[" * 5000, "model.yaml: no YAML: it is nested too deeply"),
        ("[" * 50 + "]" * 50, None),
        ("[" * 70 + "]" * 70, ": nested too deeply"),
        ("#" * 4_000_001, "model.yaml: a definition has 4,000,000 bytes at most, this is larger"),
    ],
)
def test_errors_say_where(text, error, tmp_path):
    if error is None:
        assert isinstance(loaded(text, tmp_path), dk.Sequential)
        return
    with pytest.raises(dk.DefinitionError) as caught:
        loaded(text, tmp_path)
    assert error in str(caught.value)


def test_a_text_is_no_path():
    with pytest.raises(dk.DefinitionError, match="load takes the path of a file, received a text of several lines"):
        dk.load("- {block: MLP, units: [3]}\n- {layer: ReLU}")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.yaml"):
        dk.load(tmp_path / "nothing.yaml")


FUZZED = 2000
VALUES = [None, True, -1, 0, 2, 3.5, 10**12, "", "relu", "same", "x" * 50, [], [3, 3], [None], {}]
VALUES += [{"layer": "Dense"}, {"block": "MLP", "units": [2]}]
PIECES = ["", ":", "- ", "{", "]", "\t", "&a ", "*a", "!!int ", "'", "\x07", "é"]
KEYS = ["name", "strides", "body", "units", "dtype", "activation", "wrapped"]
NAMES = ["ConvBlock", "Sequential", "Functional", "Dense", "Lambda", "LSTM", "Add", "Bidirectional", "StringLookup"]


def test_mutated_files_give_a_definition_or_a_clear_error(tmp_path):
    """Thousands of files with keys, values, names and characters changed: nothing but a model or its error."""
    rng = random.Random(0)
    seeds = [dk.to_dict(case.definition()) for case in CASES]
    ends = {"model": 0, "error": 0}
    for _ in range(FUZZED):
        text = mutated(rng, rng.choice(seeds))
        definition, error = attempted(text, tmp_path)
        ends["error" if error else "model"] += 1
        assert error.startswith("model.yaml") if error else dk.load(rewritten(definition, tmp_path)) == definition
    assert min(ends.values()) > FUZZED / 20


def attempted(text, folder):
    try:
        return loaded(text, folder), ""
    except dk.DefinitionError as error:
        return None, str(error)


def rewritten(definition, folder):
    dk.dump(definition, folder / "again.yaml")
    return folder / "again.yaml"


def mutated(rng, data):
    data = yaml.safe_load(yaml.safe_dump(data))
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.choice(list(containers(data)))
        if rng.random() < 0.6:
            change_number(rng, place)
        elif isinstance(place, dict) and place:
            change_mapping(rng, place)
        elif isinstance(place, list):
            change_list(rng, place)
    text = yaml.safe_dump(data)
    if rng.random() < 0.15 and text:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(PIECES) + text[at + 1 :]
    return text


def containers(data):
    if isinstance(data, dict | list):
        yield data
        for part in data.values() if isinstance(data, dict) else data:
            yield from containers(part)


def change_number(rng, place):
    keys = list(place) if isinstance(place, dict) else range(len(place))
    numbers = [key for key in keys if type(place[key]) in (int, float)]
    if numbers:
        place[rng.choice(numbers)] = rng.choice([0, 1, 2, 3, 7, 0.5, 40, 2**31 - 1, 10**12])


def change_mapping(rng, place):
    key = rng.choice(list(place))
    action = rng.randrange(5)
    if action == 0:
        del place[key]
    elif action == 1:
        place[key + rng.choice("sx")] = place.pop(key)
    elif action == 2 and key in ("block", "layer"):
        place[key] = rng.choice(NAMES)
    elif action == 3:
        place[rng.choice(KEYS)] = copy.deepcopy(rng.choice(VALUES))
    else:
        place[key] = copy.deepcopy(rng.choice(VALUES))


def change_list(rng, place):
    if place and rng.random() < 0.5:
        place.pop(rng.randrange(len(place)))
    else:
        place.insert(rng.randrange(len(place) + 1), copy.deepcopy(rng.choice(VALUES)))
