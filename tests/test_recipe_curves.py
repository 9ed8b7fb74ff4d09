from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.figure import Figure

from deepkit.cli import main as cli
from deepkit.recipe import Curve, Result, results, run
from tests.recipe_fakes import Config, Trainer, fake, install


class CurveTrainer(Trainer):
    def __call__(self, config: Config) -> Result:
        curve = Curve([1, 10, 100], np.array([0.5, 1 / 3, math.nan]) + config.seed)
        return Result(measured={"error": 0.1}, curves={"loss": curve}, data="MNIST")


def draw_curves(config: Config, results: Sequence[Result]) -> dict[str, Figure]:
    figure = Figure(figsize=(1, 1))
    axes = figure.subplots()
    for result in results:
        axes.plot(result.curves["loss"].x, result.curves["loss"].y)
    return {"Loss over the width": figure}


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        ([1, 2], [1], "one y for each x, received 2 x and 1 y\n  hint: pass two sequences of the same length"),
        ([], [], r"1 to 1,000 points, received 0\n  hint: store every k-th point"),
        (range(1001), range(1001), "received 1,001"),
        (["a"], [1], "expects numbers, received 'a' in x\n  hint: pass floats"),
        ([1], [True], "received True in y"),
        ([[1, 2]], [1], r"received \[1, 2\] in x"),
    ],
)
def test_a_curve_of_wrong_values_raises(x, y, text):
    with pytest.raises(ValueError, match=text):
        Curve(x, y)


def test_a_curve_survives_the_results_file_with_six_digits_and_its_gaps(tmp_path):
    path = tmp_path / "results.json"
    results.record(path, run(fake(CurveTrainer(), draw=None), Config(seeds=2)))
    (record,) = results.load(path).values()
    assert record["curves"] == [
        {"loss": {"x": [1.0, 10.0, 100.0], "y": [0.5, 0.333333, None]}},
        {"loss": {"x": [1.0, 10.0, 100.0], "y": [1.5, 1.33333, None]}},
    ]
    curve = Curve.from_record(record["curves"][0]["loss"])
    assert curve.y[:2] == (0.5, 0.333333)
    assert math.isnan(curve.y[2])


def test_a_record_without_curves_has_no_entry_for_them(tmp_path):
    results.record(tmp_path / "results.json", run(fake(), Config()))
    (record,) = results.load(tmp_path / "results.json").values()
    assert "curves" not in record


def test_redraw_draws_recorded_curves_again_without_training(tmp_path, monkeypatch, capsys):
    package = install(monkeypatch, tmp_path, fake='"""A fake."""\n')
    recipe = fake(CurveTrainer(), draw_curves=draw_curves)
    path = package / "results.json"
    run(recipe, Config(seeds=2, record=path))
    (record,) = results.load(path).values()
    assert list(record["figures"]) == ["An empty figure", "Loss over the width"]
    image = package / record["figures"]["Loss over the width"]
    other = package / record["figures"]["An empty figure"]
    before = image.read_bytes()
    image.write_bytes(b"old")
    other.write_bytes(b"needs a model")

    trainer = CurveTrainer()
    monkeypatch.setattr(
        "deepkit.recipe.discovery.RecipeEntry.load", lambda entry: fake(trainer, draw_curves=draw_curves)
    )
    capsys.readouterr()
    assert cli.main(["results", "--redraw", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: 1 figures drawn\nLoss over the width\n"
    assert image.read_bytes() == before
    assert other.read_bytes() == b"needs a model"
    assert trainer.calls == []
    assert results.load(path) == {next(iter(results.load(path))): record}


def test_redraw_of_an_unknown_recipe_raises(tmp_path, capsys):
    results.record(tmp_path / "results.json", run(fake(), Config()))
    assert cli.main(["results", "--redraw", str(tmp_path / "results.json"), "--records", "fakes"]) == 1
    error = capsys.readouterr().err
    assert "has no result of 'fakes'; did you mean 'fake'?" in error
    assert "hint: use the name of a recipe" in error


def test_a_recipe_without_a_network_says_so():
    recipe = fake(definition=None, input_shape=None)
    with pytest.raises(ValueError, match="recipe fake has no single network\n  hint: run it: deepkit run fake"):
        recipe.build(Config())


@pytest.mark.parametrize("missing", ["definition", "input_shape"])
def test_a_definition_needs_an_input_shape_and_the_other_way_round(missing):
    with pytest.raises(ValueError, match=f"expected both definition= and input_shape=.*; {missing}= is missing"):
        fake(**{missing: None})


def test_a_difference_within_the_tolerance_is_equal(capsys):
    (claim, _) = fake().claims
    recipe = fake(claims=(dataclasses.replace(claim, value=0.8004, tolerance=0.0005),))
    assert run(recipe, Config()).rows()[0][-1] == "equal"
    recipe = fake(claims=(dataclasses.replace(claim, value=0.801, tolerance=0.0005),))
    assert run(recipe, Config()).rows()[0][-1] == "0.001 better"


@pytest.mark.parametrize(
    ("x", "text"), [(5, "a sequence of numbers as x, received 5"), ([10**400], "numbers, received 1000")]
)
def test_a_curve_of_other_values_is_refused(x, text):
    with pytest.raises(ValueError, match=f"(?s)a curve expects {text}.*hint: "):
        Curve(x, [1.0])
