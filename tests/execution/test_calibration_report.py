"""Calibration of a regression with uncertainty: in the report of a run, and after training on known noise."""

import numpy as np
import pytest

import deepkit as dk

PLAN = dk.plan(devices="CPU:0", seed=0)
X = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
HEAD = dk.Regressor(distribution="gaussian")


def fit(net, data, **kwargs):
    return dk.fit(net, data, **{"verbose": 0, "plan": PLAN, **kwargs})


def test_the_report_shows_the_calibration_and_the_settings(tmp_path):
    y = (X[:, 0] > 0).astype("int32")[:, None]  # not classes, although they are integers
    run = fit(dk.Sequential([HEAD]), (X, y), validation_data=(X, y), run_dir=tmp_path / "run")
    coverage = dk.visualize.arrays.calibration(run.model, (X, y))
    page = run.report.read_text()
    assert f"Calibration on the validation split: {coverage.summary()}" in page
    assert "MeanAbsoluteError() of the mean" in page
    names = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert names == {"curves.png", "curves_mae.png", "true_predicted.png", "residuals.png", "calibration.png"}


@pytest.mark.slow
def test_the_report_of_several_outputs_has_a_figure_for_each_gaussian(tmp_path):
    nodes = {"price": ("x", dk.Regressor(2, distribution="gaussian")), "kind": ("x", dk.Classifier(3))}
    net = dk.Functional(inputs={"x": dk.Input((4,))}, nodes=nodes, outputs=["price", "kind"])
    y = {"price": X[:, :2], "kind": np.arange(48) % 3}
    run = fit(net, (X, y), validation_data=(X, y), run_dir=tmp_path / "run")
    names = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert {name for name in names if name.startswith("calibration")} == {"calibration_price.png"}
    assert "Calibration of price on the validation split: 68% intervals contain" in run.report.read_text()


@pytest.mark.slow
def test_the_standard_deviation_and_the_coverage_follow_the_noise_of_the_labels():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (6000, 1)).astype("float32")
    noise = 0.1 + 0.4 * np.abs(x[:, 0])
    y = (np.sin(3 * x[:, 0]) + noise * rng.normal(size=6000)).astype("float32")
    net = dk.Sequential([dk.MLP([32, 32]), HEAD])
    train, test = (x[:4000], y[:4000]), (x[4000:], y[4000:])
    run = fit(net, train, epochs=40, batch_size=64, learning_rate=dk.OneCycle(0.01))
    mean, stddev = dk.mean_and_stddev(run.model.predict(x[4000:], verbose=0))
    assert np.abs(mean[:, 0] - np.sin(3 * x[4000:, 0])).mean() < 0.05
    assert np.abs(stddev[:, 0] / noise[4000:] - 1).mean() < 0.12
    coverage = dk.visualize.arrays.calibration(run.model, test)
    np.testing.assert_allclose(coverage.coverage[:, 0], coverage.levels, atol=0.04)
