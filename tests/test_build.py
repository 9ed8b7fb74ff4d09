"""The `deepkit build` command: from a file to a model, its picture and its exports."""

import random

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.cli import main as cli
from deepkit.cli.build import check_size
from tests.conformance.cases import CASES
from tests.test_spec import attempted, mutated

NET = dk.Sequential([dk.Input((12, 12, 1)), dk.ConvStack(4), dk.Classifier(3)], name="small")


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "quiet_tensorflow", lambda **_: None)
    monkeypatch.delenv("DEEPKIT_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)
    dk.dump(NET, "small.yaml")
    return "small.yaml"


def test_says_what_was_built(file, capsys):
    assert cli.main(["build", file]) == 0
    assert capsys.readouterr().out == "small: 647 parameters in 10 layers\n"


def test_the_summary_shows_definition_layers_and_parameters(file, capsys):
    assert cli.main(["build", file, "--summary"]) == 0
    shown = capsys.readouterr().out
    assert repr(NET) in shown
    assert "conv_stack.conv_block1.conv" in shown
    assert shown.endswith("647 parameters, 631 of them trainable\n")


def test_the_same_seed_saves_the_same_weights(file, tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert cli.main(["build", file, "--save", f"{name}.keras", "--seed", seed]) == 0
    a, b, c = (keras.models.load_model(tmp_path / f"{name}.keras").get_weights() for name in "abc")
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(np.array_equal(x, y) for x, y in zip(a, c, strict=True))


def test_draws_and_exports(file, tmp_path, capsys):
    words = ["--diagram", "pictures/small.svg", "--export", "saved_model", "--output", "served"]
    assert cli.main(["build", file, *words]) == 0
    assert "647 parameters" in (tmp_path / "pictures/small.svg").read_text()
    assert (tmp_path / "served/saved_model.pb").exists()
    shown = capsys.readouterr().out
    assert "diagram: pictures/small.svg\n" in shown
    assert "exported: served: saved_model" in shown


def test_an_export_goes_beside_the_file(file, tmp_path):
    assert cli.main(["build", file, "--export", "litert"]) == 0
    assert (tmp_path / "small.tflite").exists()


@pytest.mark.parametrize(
    ("text", "words", "error"),
    [
        (
            "[{block: MLP, units: [3]}]",
            [],
            "DefinitionError: nothing in the definition fixes the shape of its input\n"
            "  in  dk.Sequential([dk.MLP([3])])\n"
            "  hint: --input-shape 28 28 1, the shape of one example without the batch axis\n",
        ),
        (
            "[{block: MLP, units: [99999, 99999999]}]",
            ["--input-shape", "3"],
            "ValueError: the model has 36.4 TiB of weights, and ",
        ),
        ("[{block: MPL}]", [], "DefinitionError: net.yaml: [0].block: there is no block 'MPL'; did you mean MLP?\n"),
        ("[]", ["--save", "x.h5"], "ValueError: --save: expected a file that ends in .keras, received x.h5\n"),
        (
            "[]",
            ["--output", "x"],
            "ValueError: --output is where an export goes\n  hint: --export saved_model, onnx or",
        ),
        (
            "[{block: MLP, units: [3]}]",
            ["--input-shape", "3", "--diagram", "x.bmp"],
            "x.bmp",
        ),
    ],
)
def test_errors(file, tmp_path, capsys, text, words, error):
    (tmp_path / "net.yaml").write_text(text)
    assert cli.main(["build", "net.yaml", *words]) == 1
    assert error in capsys.readouterr().err


def test_a_shape_may_be_unknown(file, tmp_path, capsys):
    dk.dump(dk.Sequential([dk.ConvBlock(4, norm=None)]), "any.yaml")
    assert cli.main(["build", "any.yaml", "--input-shape", "None", "None", "3"]) == 0
    assert "112 parameters" in capsys.readouterr().out


@pytest.mark.slow
def test_mutated_files_end_in_a_model_or_a_clear_error(tmp_path):
    """As in the fast test of files, and what is read is built as well."""
    rng = random.Random(1)
    ends = {"not read": 0, "too large": 0, "does not fit": 0, "built": 0}
    for _ in range(1500):
        case = rng.choice(CASES)
        definition, _ = attempted(mutated(rng, dk.to_dict(case.definition())), tmp_path)
        ends[end_of(definition, case.shape)] += 1
    assert min(ends.values()) > 5, ends


def end_of(definition, shape):
    if definition is None:
        return "not read"
    shape = None if definition.input_spec() is not None else shape
    try:
        check_size(definition, shape)
    except dk.DefinitionError:
        return "does not fit"
    except ValueError as error:
        return "too large" if "of weights" in str(error) else repr(error)
    definition.build(shape)
    return "built"
