"""The `deepkit build` command: the model of a file, its diagram and its exports."""

import random

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.cli import main as cli
from deepkit.cli.build import check_size
from tests.conformance.cases import CASES
from tests.test_spec import mutate, try_to_load

NET = dk.Sequential([dk.Input((12, 12, 1)), dk.ConvStack(4), dk.Classifier(3)], name="small")


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "quiet_tensorflow", lambda **_: None)
    monkeypatch.delenv("DEEPKIT_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)
    dk.dump(NET, "small.yaml")
    return "small.yaml"


def test_prints_the_number_of_parameters_and_layers(file, capsys):
    assert cli.main(["build", file]) == 0
    assert capsys.readouterr().out == "small: 647 parameters in 10 layers\n"


def test_summary_prints_definition_layers_and_parameters(file, capsys):
    assert cli.main(["build", file, "--summary"]) == 0
    output = capsys.readouterr().out
    assert repr(NET) in output
    assert "conv_stack.conv_block1.conv" in output
    assert output.endswith("647 parameters, 631 of them trainable\n")


def test_the_same_seed_saves_the_same_weights(file, tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert cli.main(["build", file, "--save", f"{name}.keras", "--seed", seed]) == 0
    a, b, c = (keras.models.load_model(tmp_path / f"{name}.keras").get_weights() for name in "abc")
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(np.array_equal(x, y) for x, y in zip(a, c, strict=True))


def test_files_that_are_replaced_are_reported(file, capsys):
    flags = ["--diagram", "small.svg", "--save", "small.keras"]
    assert cli.main(["build", file, *flags]) == 0
    assert "replaced" not in capsys.readouterr().out
    assert cli.main(["build", file, *flags]) == 0
    assert "diagram: small.svg (replaced)\nsaved: small.keras (replaced)\n" in capsys.readouterr().out


def test_diagram_and_export(file, tmp_path, capsys):
    flags = ["--diagram", "figures/small.svg", "--export", "saved_model", "--output", "served"]
    assert cli.main(["build", file, *flags]) == 0
    assert "647 parameters" in (tmp_path / "figures/small.svg").read_text()
    assert (tmp_path / "served/saved_model.pb").exists()
    output = capsys.readouterr().out
    assert "diagram: figures/small.svg\n" in output
    assert "exported: served: saved_model" in output


def test_the_default_path_of_an_export_is_beside_the_file(file, tmp_path):
    assert cli.main(["build", file, "--export", "litert"]) == 0
    assert (tmp_path / "small.tflite").exists()


@pytest.mark.parametrize(
    ("text", "flags", "error"),
    [
        (
            "[{block: MLP, units: [3]}]",
            [],
            "DefinitionError: the definition has no input shape\n"
            "  in    dk.Sequential([dk.MLP([3])])\n"
            "  hint: pass --input-shape, the shape of one example without the batch axis, such as 28 28 1\n",
        ),
        (
            "[{block: MLP, units: [99999, 99999999]}]",
            ["--input-shape", "3"],
            "ValueError: the model has 36.4 TiB of weights, but only ",
        ),
        (
            "[{block: MPL}]",
            [],
            "DefinitionError: there is no block 'MPL'; did you mean 'MLP'?\n  at    net.yaml: [0].block\n",
        ),
        (
            "[]",
            ["--save", "x.h5"],
            "ValueError: --save must be a file that ends in .keras, received x.h5\n  hint: use --save x.keras\n",
        ),
        (
            "[]",
            ["--output", "x"],
            "ValueError: --output is the path of an export, but --export is missing\n"
            "  hint: add --export saved_model, onnx or litert\n",
        ),
        (
            "[{block: MLP, units: [3]}]",
            ["--input-shape", "3", "--diagram", "x.bmp"],
            "x.bmp",
        ),
    ],
)
def test_invalid_files_and_options_are_reported(file, tmp_path, capsys, text, flags, error):
    (tmp_path / "net.yaml").write_text(text)
    assert cli.main(["build", "net.yaml", *flags]) == 1
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (
            ["folder"],
            "IsADirectoryError: expected a file, received the folder folder\n  hint: pass the path of a file\n",
        ),
        (["missing.yaml"], "FileNotFoundError: there is no file missing.yaml\n"),
        (
            ["net.yaml", "--export", "onx"],
            "--export must be one of 'saved_model', 'onnx', 'litert', received 'onx'; did you mean 'onnx'?\n",
        ),
    ],
)
def test_paths_and_formats_are_checked(file, tmp_path, capsys, args, error):
    (tmp_path / "folder").mkdir()
    (tmp_path / "net.yaml").write_text("[]")
    assert cli.main(["build", *args]) == 1
    assert error in capsys.readouterr().err


def test_none_is_not_among_the_formats_in_the_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["build", "--help"])
    assert "--export {saved_model,onnx,litert}" in " ".join(capsys.readouterr().out.split())


def test_sizes_of_the_input_shape_can_be_unknown(file, tmp_path, capsys):
    dk.dump(dk.Sequential([dk.ConvBlock(4, norm=None)]), "any.yaml")
    assert cli.main(["build", "any.yaml", "--input-shape", "None", "None", "3"]) == 0
    assert "112 parameters" in capsys.readouterr().out


@pytest.mark.slow
def test_mutated_files_result_in_a_model_or_a_clear_error(tmp_path):
    """Like the fast test of files, but build every definition that can be read."""
    rng = random.Random(1)
    counts = {"unreadable": 0, "too large": 0, "does not fit": 0, "built": 0}
    for _ in range(1500):
        case = rng.choice(CASES)
        definition, _ = try_to_load(mutate(rng, dk.to_dict(case.definition())), tmp_path)
        counts[result_of_building(definition, case.shape)] += 1
    assert min(counts.values()) > 5, counts


def result_of_building(definition, shape):
    if definition is None:
        return "unreadable"
    shape = None if definition.input_spec() is not None else shape
    try:
        check_size(definition, shape)
    except dk.DefinitionError:
        return "does not fit"
    except ValueError as error:
        return "too large" if "of weights" in str(error) else repr(error)
    definition.build(shape)
    return "built"
