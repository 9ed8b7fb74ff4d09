"""The limits of files and plain data: what is read of an oversized one, and its error."""

import pytest
import yaml
from keras import layers

import deepkit as dk
from deepkit.serialization import limits, yaml_format

VALUES = "a definition has at most 200,000 keys and values, received more"
OBJECTS = "a definition has at most 5,000 blocks, layers and other objects, received more"
DEPTH = "nested too deeply: at most 60 lists and mappings inside each other, received more"
CHARACTERS = "expected a string of at most 10,000 characters, received "
ALIASES = "anchors and aliases are not allowed"


def load_text(text, folder):
    path = folder / "model.yaml"
    path.write_text(text)
    return dk.load(path)


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("#" * 4_000_001, "a definition has at most 4,000,000 bytes of YAML, received more", "use Repeat blocks, "),
        ("[" + "1," * 1_900_000 + "1]", f"line 1, column 400000: {VALUES}", "shorten its lists, or create a layer"),
        ("- 1\n" * 900_000, f"line 200000, column 3: {VALUES}", "shorten its lists, or create a layer"),
        ("{a: " * 900_000, f"line 1, column 241: {DEPTH}", "replace lists inside lists by one list"),
        ("[" * 3_900_000, f"line 1, column 61: {DEPTH}", "replace lists inside lists by one list"),
        ("- " * 1_900_000 + "1", f"line 1, column 121: {DEPTH}", "replace lists inside lists by one list"),
        ("a" * 3_900_000, f"line 1, column 1: {CHARACTERS}3,900,000", "shorten the string"),
        ("a: |\n" + " b\n" * 9_000, f"line 1, column 4: {CHARACTERS}18,000", "shorten the string"),
        ("? " + "k" * 20_000 + "\n: 1", f"line 1, column 3: {CHARACTERS}20,000", "shorten the string"),
        ("9" * 3_900_000, f"line 1, column 1: {CHARACTERS}3,900,000", "shorten the string"),
        (
            "{block: MLP, units: [-" + "9" * 9_000 + "]}",
            "line 1, column 22: expected a number of at most 2,147,483,647, received one of 9,000 digits",
            "use a smaller number",
        ),
        ("\n".join(f"- &a{i} 1" for i in range(250_000)), f"line 200000, column 3: {VALUES}", "shorten its lists"),
        ("a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]", f"line 2, column 8: *a: {ALIASES}", "repeat the value"),
        ("\r".join(f"%TAG !t{i}! x" for i in range(100_000)), "%TAG directives are not allowed", "remove them"),
        ("--- 1\n" * 100_000, "line 2, column 1: expected one document, received several", "remove the lines `---`"),
        ("? [a, b]\n: 1", "line 1, column 3: expected a string as key, received a list or a mapping", ""),
        ("{block: !!int three}", "line 1, column 9: expected a value of the tag !!int, received 'three'", ""),
    ],
    ids=lambda value: value[:12],
)
def test_an_oversized_file(text, problem, hint, tmp_path):
    with pytest.raises(dk.DefinitionError) as caught:
        load_text(text, tmp_path)
    assert caught.value.problem.removeprefix("expected YAML: ") == problem
    assert caught.value.hint.startswith(hint)
    assert caught.value.path == "model.yaml"
    assert len(str(caught.value)) < 500


class Events:
    """The events of a YAML parser, counted."""

    def __init__(self, text):
        self.events = yaml.parse(text, Loader=yaml.CSafeLoader)
        self.count = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.count += 1
        return next(self.events)


@pytest.mark.parametrize(
    ("text", "num_events"),
    [
        ("[" + "1," * 1_900_000 + "1]", limits.MAX_VALUES + 3),
        ("[" * 3_900_000, limits.MAX_DEPTH + 3),
        ("[*a, " + "1," * 1_900_000, 4),
    ],
    ids=["values", "depth", "alias"],
)
def test_the_rest_of_an_oversized_file_is_not_parsed(text, num_events, monkeypatch):
    events = Events(text)
    monkeypatch.setattr(yaml_format.yaml, "parse", lambda text, Loader: events)
    with pytest.raises(yaml_format.YamlError):
        yaml_format.parse(text)
    assert events.count == num_events


def test_the_parser_without_libyaml_has_the_same_limits(monkeypatch):
    monkeypatch.setattr(yaml_format, "_PARSER", yaml.SafeLoader)
    assert yaml_format.parse("{a: [1, 2.5, null, yes, 1e3], b: {}}") == {"a": [1, 2.5, None, "yes", 1e3], "b": {}}
    with pytest.raises(yaml_format.YamlError, match=f"line 1, column 61: {DEPTH}"):
        yaml_format.parse("[" * 100_000)


def test_a_file_at_the_limits_is_read(tmp_path):
    vocabulary = [f"word{i}" for i in range(20_000)]
    net = dk.Sequential([layers.StringLookup(vocabulary=vocabulary), layers.EinsumDense("ab,bc->ac", 3)])
    dk.dump(net, tmp_path / "net.yaml")
    assert dk.load(tmp_path / "net.yaml") == net
    assert load_text("[" * 60 + "]" * 60, tmp_path).build((3,)).output_shape == (None, 3)


def shared_lists():
    data = []
    for _ in range(40):
        data = [data, data, data]
    return data


def cyclic_list():
    data = [{"layer": "ReLU"}]
    data.append(data)
    return data


def cyclic_mapping():
    data = {"block": "Residual", "name": "a"}
    data["body"] = [{"layer": "ReLU"}, data]
    return data


def deep_list():
    data = []
    for _ in range(100_000):
        data = [data]
    return data


@pytest.mark.parametrize(
    ("make", "problem", "path", "hint"),
    [
        (shared_lists, VALUES, "[0][0]", "shorten its lists"),
        (cyclic_list, "a list or mapping contains itself", "[1]", "pass a copy of the inner one"),
        (cyclic_mapping, "a list or mapping contains itself", "body[1]", "pass a copy of the inner one"),
        (deep_list, DEPTH, "[0][0]", "replace lists inside lists by one list"),
        (lambda: [{"layer": "ReLU"}] * 5_001, OBJECTS, "[5000]", "use a Repeat block"),
        (lambda: {"block": "MLP", "units": [1] * 200_000}, VALUES, "units[", "shorten its lists"),
        (lambda: {"block": "MLP", "name": "a" * 10_001}, f"{CHARACTERS}10,001", "name", "shorten the string"),
        (lambda: {"block": "MLP", "a" * 10_001: 1}, f"{CHARACTERS}10,001", "", "shorten the string"),
    ],
)
def test_oversized_plain_data(make, problem, path, hint):
    with pytest.raises(dk.DefinitionError) as caught:
        dk.from_dict(make())
    assert caught.value.problem == problem
    assert caught.value.path.startswith(path)
    assert caught.value.hint.startswith(hint)
    assert len(str(caught.value)) < 500


def test_one_value_may_occur_several_times():
    relu = {"layer": "ReLU"}
    assert dk.from_dict([relu, [relu, relu], relu]) == dk.Sequential(
        [layers.ReLU(), [layers.ReLU(), layers.ReLU()], layers.ReLU()]
    )


def test_a_mapping_with_many_unknown_keys():
    with pytest.raises(dk.DefinitionError, match=r"received key0, key1, .*, key9, \.\.\.\n?"):
        dk.from_dict({f"key{i}": i for i in range(20_000)})


def test_a_definition_that_cannot_be_read_back_is_not_written(tmp_path):
    path = tmp_path / "net.yaml"
    with pytest.raises(dk.DefinitionError, match=OBJECTS):
        dk.dump(dk.Sequential([dk.MLP([3])] * 5_000), path)
    assert not path.exists()
