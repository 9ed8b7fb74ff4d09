"""Definitions as data: what a file may contain, what it may not, and the path of an error."""

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


def load_text(text, folder):
    path = folder / "model.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return dk.load(path)


def test_a_file_equals_the_definition_in_python(tmp_path):
    expected = dk.Sequential(
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
    assert load_text(NET, tmp_path) == expected


def test_a_list_is_a_sequential(tmp_path):
    assert load_text("- {block: MLP, units: [3]}\n- [{layer: ReLU}]", tmp_path) == dk.Sequential(
        [dk.MLP([3]), [layers.ReLU()]]
    )


def test_numbers_and_words_follow_yaml_1_2(tmp_path):
    text = "{block: Parallel, branches: {on: {layer: Dropout, rate: 1e-1}, 3x3: [], null_: []}}"
    definition = load_text(text, tmp_path)
    assert definition == dk.Parallel({"on": layers.Dropout(0.1), "3x3": [], "null_": []})
    assert load_text(dk.dump(definition), tmp_path) == definition


@pytest.mark.parametrize("word", ["yes", "off", "1e3", "1_0", "0x1F", "12:30", "2001-01-01", "~", "null", "1.5", "<<"])
def test_words_with_a_meaning_in_yaml_1_1_are_read_as_texts(word, tmp_path):
    definition = dk.Sequential([layers.TextVectorization(vocabulary=[word, "b"])])
    assert load_text(dk.dump(definition), tmp_path) == definition


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


ARGUMENTS = {
    "activation": "relu", "axes": 1, "cell": layers.GRUCell(2), "cells": [layers.GRUCell(2)], "dims": (2, 1),
    "equation": "ab,bc->ac", "factor": 0.1, "filters": 3, "head_dim": 2, "height": 4, "height_factor": 0.1,
    "input_dim": 5, "kernel_size": 3, "key_dim": 2, "layer": layers.GRU(2), "layers": [layers.ReLU()],
    "max_number": 3, "n": 2, "size": 3,
    "num_bins": 3, "num_heads": 2, "num_key_value_heads": 1, "num_query_heads": 2, "num_tokens": 4, "output_dim": 2,
    "output_shape": 3, "output_size": 2, "pool_size": 2, "rate": 0.5, "scale": 2.0, "sequence_length": 3, "stddev": 0.1,
    "target_shape": (4,), "units": 3, "width": 4, "width_factor": 0.1,
}  # fmt: skip
MAKERS = {
    "deepkit.TableConv2D": lambda cls: cls([(0,)], 3),
    "deepkit.TiedConv": lambda cls: cls(layers.Conv1D(2, 3)),
    "deepkit.RBF": lambda cls: cls([[0.0]]),
    "CategoryEncoding": lambda cls: cls(num_tokens=4),
    "Discretization": lambda cls: cls(num_bins=3),
    "RandomPosterization": lambda cls: cls(factor=4),
}


@pytest.mark.parametrize("name", sorted(classes("layer")))
def test_every_layer_that_a_file_can_name_is_read_back(name):
    cls = classes("layer")[name]
    required = [key for key, p in keras_config.parameters(cls).items() if p.default is p.empty]
    layer = MAKERS[name](cls) if name in MAKERS else cls(**{key: ARGUMENTS[key] for key in required})
    definition = dk.Sequential([layer])
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
def test_types_of_numbers_are_kept(definition):
    assert dk.from_dict(dk.to_dict(definition)) == definition
    assert eval(repr(definition), {"dk": dk, "layers": layers, "keras": keras}) == definition


def test_a_file_may_describe_a_single_layer(tmp_path):
    dense = dk.from_dict({"layer": "Dense", "units": 3})
    dk.dump(dense, tmp_path / "dense.yaml")
    assert dk.load(tmp_path / "dense.yaml") == dense
    assert dense.build((4,)).output_shape == (None, 3)


def test_a_failed_dump_does_not_change_the_file(tmp_path):
    path = tmp_path / "model.yaml"
    path.write_text("earlier")
    with pytest.raises(dk.DefinitionError):
        dk.dump(dk.Sequential([keras.Sequential([keras.Input((3,)), layers.Dense(2)])]), path)
    assert path.read_text() == "earlier"


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        (
            lambda: dk.Sequential([keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="base")]),
            "<Sequential 'base' with its state> cannot be written to a file: it has weights or other state\n"
            "  hint: save the built model: model.save('model.keras')",
        ),
        (
            lambda: dk.Sequential([Unregistered()]),
            "a file cannot name Unregistered: it is neither Keras's nor deepkit's",
        ),
        (lambda: 3, "to_dict takes a definition, received 3\n  hint: pass dk.Sequential([...]), before .build()"),
    ],
)
def test_definitions_that_cannot_be_written(definition, text):
    with pytest.raises((dk.DefinitionError, TypeError)) as caught:
        dk.to_dict(definition())
    assert str(caught.value) == text


class Unregistered(layers.Layer):
    pass


CONV = "{block: ConvBlock, filters: 8}"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            NET.replace("filters: 8, activation: null", "filters: eight, activation: null"),
            "ConvBlock: filters must be a positive integer, received 'eight'\n"
            "  at    model.yaml: layers[3].body[1].filters",
        ),
        (
            NET.replace("{block: ConvBlock, filters: 8}\n-", "{block: ConvBlock, filter: 8}\n-"),
            "ConvBlock takes no 'filter'; did you mean 'filters'?\n  at    model.yaml: layers[1].filter",
        ),
        (
            NET.replace("pool_size: 2", "pool_size: wide"),
            "The `pool_size` argument must be a tuple of 2 integers. Received pool_size=wide\n"
            "  at    model.yaml: layers[2].pool_size",
        ),
        (
            NET.replace("l2: 1e-4", "l3: 1e-4"),
            "L2 takes no 'l3'; it takes l2\n  at    model.yaml: layers[3].body[1].conv.kernel_regularizer.l3",
        ),
        (
            NET.replace("L2,", "L4,"),
            "there is no regularizer 'L4'\n  at    model.yaml: layers[3].body[1].conv.kernel_regularizer.regularizer",
        ),
        (
            "{block: ConvBlok, filters: 8}",
            "there is no block 'ConvBlok'; did you mean 'ConvBlock'?\n  at    model.yaml: block",
        ),
        (
            "{block: Conv2D, filters: 8}",
            "there is no block 'Conv2D'; it is a layer: write layer: Conv2D\n  at    model.yaml: block",
        ),
        (
            "{layer: ConvBlock}",
            "there is no layer 'ConvBlock'; it is a block: write block: ConvBlock\n  at    model.yaml: layer",
        ),
        (
            "{layer: RBF, centers: [[0]]}",
            "there is no layer 'RBF'; did you mean 'deepkit.RBF'?\n  at    model.yaml: layer",
        ),
        (
            "{block: ConvBlock}",
            "ConvBlock needs 'filters'\n  at    model.yaml",
        ),
        (
            "{layer: Dense}",
            "Dense needs 'units'\n  at    model.yaml",
        ),
        (
            "3",
            "expected a mapping with `block:` or `layer:`, or a list of them, received 3\n  at    model.yaml",
        ),
        (
            "",
            "expected a mapping with `block:` or `layer:`, or a list of them, received None\n  at    model.yaml",
        ),
        (
            "{block: Sequential, layer: Dense}",
            "expected `block:` or `layer:`, received both\n  at    model.yaml",
        ),
        (
            "{blok: Sequential}",
            "expected `block:` or `layer:` among the keys, received blok; did you mean `block:` or `layer:` by "
            "'blok'?\n"
            "  at    model.yaml",
        ),
        (
            "{layer: Conv2D, filters: 8, kernel_size: 3, use_bias: no}",
            "Conv2D: use_bias must be True or False, received 'no'\n  at    model.yaml: use_bias\n  hint: write false",
        ),
        (
            "{block: MLP, units: [3], flatten: off}",
            "MLP: flatten must be True or False, received 'off'\n  at    model.yaml: flatten\n  hint: write false",
        ),
        (
            "{block: MLP, units: [3], dense: {use_bias: yes}}",
            "MLP(dense=...): use_bias must be True or False, received 'yes'\n  at    model.yaml: dense",
        ),
        (
            "{block: ConvBlock, filters: 8, norm: None}",
            "ConvBlock: norm must be one of 'batch', 'layer', None, received 'None'\n"
            "  at    model.yaml: norm\n"
            "  hint: write null",
        ),
        (
            "{block: ConvBlock, filters: 8, padding: valid}",
            "ConvBlock takes no 'padding', which is an argument of the Keras layer; pass conv={\"padding\": ...}\n"
            "  at    model.yaml: padding",
        ),
        (
            "{block: Sequential, layers: 3}",
            "expected a mapping with `block:` or `layer:`, or a list of them, received 3\n  at    model.yaml: layers",
        ),
        (
            "{block: Residual, body: [3]}",
            "expected a mapping with `block:` or `layer:`, or a list of them, received 3\n  at    model.yaml: body[0]",
        ),
        (
            "{block: Parallel, branches: [3]}",
            "expected a mapping of names, received [3]\n  at    model.yaml: branches",
        ),
        (
            "{block: Parallel, branches: {1: []}}",
            'expected a string as name, received 1\n  at    model.yaml: branches\n  hint: write "1" in quotes',
        ),
        (
            "{block: ConvBlock, filters: 8, conv: 3}",
            "expected a mapping of arguments, received 3\n  at    model.yaml: conv",
        ),
        (
            "{block: ConvBlock, filters: 8, conv: {dilation: 3}}",
            "ConvBlock(conv=...): keras.layers.Conv2D takes no 'dilation'; did you mean 'dilation_rate'?\n"
            "  at    model.yaml: conv",
        ),
        (
            "{block: ConvBlock, filters: 8, activation: {x: 1}}",
            "expected a value, or a mapping with one of `layer:`, `initializer:`, `regularizer:`, "
            "`constraint:`; received {'x': 1}\n"
            "  at    model.yaml: activation\n"
            "  hint: write {regularizer: L2, l2: 1e-4}, or {layer: ReLU}",
        ),
        (
            f"{{block: Repeat, body: {CONV}, num_repeats: 1000000000}}",
            "Repeat: num_repeats must be at most 10,000, received 1000000000\n  at    model.yaml: num_repeats",
        ),
        (
            "{block: MLP, units: [99999999999]}",
            "expected a number of at most 2,147,483,647, received a larger one\n  at    model.yaml: units[0]",
        ),
        (
            "{deepkit: 2, block: MLP, units: [3]}",
            "deepkit: the format has version 1, received 2\n"
            "  at    model.yaml\n"
            "  hint: use the release of deepkit that wrote it, or a later one",
        ),
        (
            "{layer: Lambda, function: x}",
            "Lambda cannot be named in a file: it runs code, which a file may not do\n  at    model.yaml: layer",
        ),
        (
            "{layer: TFSMLayer, filepath: x}",
            "TFSMLayer cannot be named in a file: it reads a folder, which a file may not name\n"
            "  at    model.yaml: layer",
        ),
        (
            "{layer: StringLookup, vocabulary: /etc/passwd}",
            "a file may not name another file; expected the list itself\n  at    model.yaml: vocabulary",
        ),
        (
            "{layer: TextVectorization, standardize: {class_name: f}}",
            "expected a value, or a mapping with one of `layer:`, `initializer:`, `regularizer:`, "
            "`constraint:`; received {'class_name': 'f'}\n"
            "  at    model.yaml: standardize\n"
            "  hint: write {regularizer: L2, l2: 1e-4}, or {layer: ReLU}",
        ),
        (
            "{block: Functional, inputs: {x: {shape: [4]}}, outputs: y}",
            "Functional needs 'nodes'\n  at    model.yaml",
        ),
        (
            "{block: Functional, inputs: {x: {shape: [4]}}, nodes: {y: {form: x, body: []}}, outputs: y}",
            "a node takes no 'form'; did you mean 'from'?\n  at    model.yaml: nodes.y.form",
        ),
        (
            "{block: Functional, inputs: {x: {block: MLP}}, nodes: {y: {from: x, body: []}}, outputs: y}",
            "expected an Input, received 'MLP'\n  at    model.yaml: inputs.x.block",
        ),
        (
            "{block: Functional, inputs: {x: {shape: [4]}}, nodes: {y: {from: z, body: []}}, outputs: y}",
            "Functional: nodes: the source 'z' of node 'y' does not exist; it may be x\n  at    model.yaml: nodes",
        ),
        (
            "{layer: Dense, units: 2, activation: {block: MLP, units: [2]}}",
            "Dense takes no block, received {'block': 'MLP', 'units': [2]}\n  at    model.yaml: activation",
        ),
        (
            "{layer: Pipeline, layers: 3}",
            "Pipeline: Value after * must be an iterable, not int\n  at    model.yaml",
        ),
        (
            "{layer: IntegerLookup, num_oov_indices: 2.5}",
            "IntegerLookup: 'float' object cannot be interpreted as an integer\n  at    model.yaml",
        ),
        (
            "{layer: Embedding, input_dim: 9, output_dim: 2, weights: [[0]]}",
            "a file cannot hold weights\n  at    model.yaml: weights\n  hint: use model.save('model.keras')",
        ),
        (
            "{layer: StringLookup, vocabulary: [a], num_oov_indices: 30000000}",
            "expected at most 100,000, received 30,000,000\n  at    model.yaml: num_oov_indices",
        ),
        (
            "{layer: TextVectorization, ngrams: 300}",
            "expected at most 20, received 300\n  at    model.yaml: ngrams",
        ),
        (
            "{block: ConvBlock, filters: 2, activation: 'deepkit>Maxout'}",
            "ConvBlock: activation must be an activation of Keras or a registered one, received 'deepkit>Maxout'\n"
            "  at    model.yaml: activation\n"
            '  hint: use "relu", "tanh", "gelu" or a layer',
        ),
        (
            "{block: Input, shape: [3], dtype: foo}",
            "Input: dtype must be the name of a dtype, received 'foo'\n"
            "  at    model.yaml: dtype\n"
            '  hint: use dtype="int32"',
        ),
        (
            "{block: Input, shape: [3], batch_size: -2}",
            "Input: batch_size must be a positive integer, received -2\n  at    model.yaml: batch_size",
        ),
        (
            "!!timestamp foo",
            "expected YAML: line 1, column 1: the tag '!!timestamp' is not allowed\n"
            "  at    model.yaml\n"
            "  hint: remove the tag",
        ),
        (
            "{layer: TimeDistributed, wrapped: " * 12 + "{layer: ReLU}" + "}" * 12,
            "nested too deeply: at most 8 wrappers inside each other, received more\n"
            "  at    model.yaml: wrapped.wrapped.wrapped.wrapped.wrapped.wrapped.wrapped.wrap...\n"
            "  hint: remove wrappers",
        ),
        (
            "a: &x [1]\nb: *x",
            "expected YAML: line 2, column 4: *x: anchors and aliases are not allowed\n"
            "  at    model.yaml\n"
            "  hint: repeat the value, or use a Repeat block",
        ),
        (
            "{block: MLP, block: MLP}",
            "expected YAML: line 1, column 14: 'block' is a duplicate key\n  at    model.yaml",
        ),
        (
            "{block: [",
            "expected YAML: line 2, column 1: did not find expected node content\n  at    model.yaml",
        ),
        (
            "!!python/object/apply:os.system [ls]",
            "expected YAML: line 1, column 1: the tag '!!python/object/apply:os.system' is not allowed\n"
            "  at    model.yaml\n"
            "  hint: remove the tag",
        ),
        (
            "{block: MLP, units: !!set {3}}",
            "expected YAML: line 1, column 21: the tag '!!set' is not allowed\n"
            "  at    model.yaml\n"
            "  hint: remove the tag",
        ),
        (
            b"\xff\xfe\x00",
            "expected YAML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte\n"
            "  at    model.yaml\n"
            "  hint: save the file as UTF-8",
        ),
        ("[" * 50 + "]" * 50, None),
    ],
)
def test_errors_have_the_path_in_the_file(text, error, tmp_path):
    if error is None:
        assert isinstance(load_text(text, tmp_path), dk.Sequential)
        return
    with pytest.raises(dk.DefinitionError) as caught:
        load_text(text, tmp_path)
    assert str(caught.value) == error


def test_a_text_instead_of_a_path():
    with pytest.raises(dk.DefinitionError, match="load takes the path of a file, received a text of several lines"):
        dk.load("- {block: MLP, units: [3]}\n- {layer: ReLU}")


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.yaml"):
        dk.load(tmp_path / "nothing.yaml")


FUZZED = 2000
VALUES = [None, True, -1, 0, 2, 3.5, 10**12, "", "relu", "same", "x" * 50, [], [3, 3], [None], {}]
VALUES += [{"layer": "Dense"}, {"block": "MLP", "units": [2]}]
PIECES = ["", ":", "- ", "{", "]", "\t", "&a ", "*a", "!!int ", "'", "\x07", "é"]
KEYS = ["name", "strides", "body", "units", "dtype", "activation", "wrapped"]
NAMES = ["ConvBlock", "Sequential", "Functional", "Dense", "Lambda", "LSTM", "Add", "Bidirectional", "StringLookup"]


def test_mutated_files_give_a_definition_or_a_clear_error(tmp_path):
    """Change keys, values, names and characters of thousands of files: each is read or raises a DefinitionError."""
    rng = random.Random(0)
    seeds = [dk.to_dict(case.definition()) for case in CASES]
    counts = {"definition": 0, "error": 0}
    for _ in range(FUZZED):
        text = mutate(rng, rng.choice(seeds))
        definition, error = try_to_load(text, tmp_path)
        counts["error" if error else "definition"] += 1
        if error:
            assert "\n  at    model.yaml" in error
            assert len(error) < 2_000
        else:
            assert dk.load(rewrite(definition, tmp_path)) == definition
    assert min(counts.values()) > FUZZED / 20


def try_to_load(text, folder):
    try:
        return load_text(text, folder), ""
    except dk.DefinitionError as error:
        return None, str(error)


def rewrite(definition, folder):
    dk.dump(definition, folder / "loaded.yaml")
    return folder / "loaded.yaml"


def mutate(rng, data):
    data = yaml.safe_load(yaml.safe_dump(data))
    for _ in range(rng.choice([1, 1, 2, 4])):
        container = rng.choice(list(containers(data)))
        if rng.random() < 0.6:
            change_number(rng, container)
        elif isinstance(container, dict) and container:
            change_mapping(rng, container)
        elif isinstance(container, list):
            change_list(rng, container)
    text = yaml.safe_dump(data)
    if rng.random() < 0.15 and text:
        position = rng.randrange(len(text))
        text = text[:position] + rng.choice(PIECES) + text[position + 1 :]
    return text


def containers(data):
    if isinstance(data, dict | list):
        yield data
        for item in data.values() if isinstance(data, dict) else data:
            yield from containers(item)


def change_number(rng, container):
    keys = list(container) if isinstance(container, dict) else range(len(container))
    numbers = [key for key in keys if type(container[key]) in (int, float)]
    if numbers:
        container[rng.choice(numbers)] = rng.choice([0, 1, 2, 3, 7, 0.5, 40, 2**31 - 1, 10**12])


def change_mapping(rng, container):
    key = rng.choice(list(container))
    action = rng.randrange(5)
    if action == 0:
        del container[key]
    elif action == 1:
        container[key + rng.choice("sx")] = container.pop(key)
    elif action == 2 and key in ("block", "layer"):
        container[key] = rng.choice(NAMES)
    elif action == 3:
        container[rng.choice(KEYS)] = copy.deepcopy(rng.choice(VALUES))
    else:
        container[key] = copy.deepcopy(rng.choice(VALUES))


def change_list(rng, container):
    if container and rng.random() < 0.5:
        container.pop(rng.randrange(len(container)))
    else:
        container.insert(rng.randrange(len(container) + 1), copy.deepcopy(rng.choice(VALUES)))
