"""Metrics with several values in the history, and in everything that reads it."""

import csv
import json

import keras
import numpy as np
import pytest
from keras import layers, metrics

import deepkit as dk
from deepkit.training import checkpoint
from deepkit.training.loop import check_monitored
from deepkit.utils.history import format_metric, history_rows, history_value


def multilabel(count=48):
    generator = np.random.default_rng(3)
    x = generator.normal(size=(count, 5)).astype("float32")
    return x, (x[:, :3] + generator.normal(size=(count, 3)) > 0).astype("float32")


def net():
    return dk.Sequential([dk.MLP([6]), dk.Classifier(3, activation="sigmoid")], name="net")


def several_values():
    return [metrics.F1Score(threshold=0.5, name="f1"), metrics.Precision(thresholds=[0.2, 0.4], name="precision")]


def fit(run_dir=None, epochs=2, **kwargs):
    x, y = multilabel()
    settings = {"metrics": several_values(), "validation_data": (x[:16], y[:16]), "verbose": 0, "plan": dk.plan(seed=1)}
    return dk.fit(net(), (x, y), run_dir=run_dir, epochs=epochs, **settings | kwargs)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("history") / "run")


def test_a_metric_with_several_values_has_a_list_for_each_epoch(run):
    assert [len(values) for values in run.history["f1"]] == [3, 3]
    assert [len(values) for values in run.history["val_precision"]] == [2, 2]
    assert {type(value) for value in run.history["f1"][-1] + run.history["loss"]} == {float}
    x, y = multilabel()
    results = run.model.evaluate(x[:16], y[:16], verbose=0, return_dict=True)
    for name, value in results.items():
        np.testing.assert_allclose(run.history[f"val_{name}"][-1], value, rtol=1e-6, err_msg=name)


def test_the_history_equals_that_of_keras():
    def compiled():
        keras.utils.set_random_seed(2)
        model = keras.Sequential([keras.Input((5,)), layers.Dense(3, activation="sigmoid")])
        model.compile("sgd", "mse", metrics=[metrics.R2Score(class_aggregation=None), *several_values()])
        return model

    x, y = multilabel()
    theirs = compiled().fit(x, y, batch_size=48, epochs=2, verbose=0).history
    ours = dk.fit(compiled(), (x, y), batch_size=48, epochs=2, verbose=0).history
    assert list(ours) == list(theirs)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], np.array(values), rtol=1e-5, err_msg=name)


def test_files_and_texts_show_every_value(run):
    assert json.loads((run.run_dir / "history.json").read_text()) == run.history
    assert json.loads((run.run_dir / "result.json").read_text())["history"] == run.history
    rows = list(csv.DictReader((run.run_dir / "history.csv").read_text().splitlines()))
    assert list(rows[0])[:6] == ["epoch", "f1[0]", "f1[1]", "f1[2]", "loss", "precision[0]"]
    assert [float(row["f1[1]"]) for row in rows] == [values[1] for values in run.history["f1"]]
    final = ", ".join(f"{value:.4g}" for value in run.history["f1"][-1])
    assert f"f1=[{final}]" in repr(run)
    assert f">{final}</td>" in run.report.read_text()
    assert (run.run_dir / "figures" / "curves.png").exists()


@pytest.mark.slow
def test_a_run_resumes_exactly_with_several_values(run, tmp_path):
    fit(tmp_path / "resumed", epochs=1)
    resumed = fit(tmp_path / "resumed", epochs=2)
    assert (resumed.history, resumed.resume) == (run.history, "exact")
    stored, expected = checkpoint.load(resumed.run_dir), checkpoint.load(run.run_dir)
    for group, pairs in expected.variables.items():
        for (path, value), (_, other) in zip(pairs, stored.variables[group], strict=True):
            np.testing.assert_array_equal(value, other, err_msg=path)
    finished = fit(tmp_path / "resumed", epochs=2)
    assert finished.history == run.history


@pytest.mark.parametrize("verbose", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_the_printed_value_is_the_mean_as_in_keras(verbose, capsys):
    run = fit(epochs=1, verbose=verbose, validation_data=None)
    assert f"f1: {np.mean(run.history['f1'][0]):.4f}" in capsys.readouterr().out


def test_curves_draw_a_line_for_each_value(run):
    figure = dk.visualize.curves(run.history)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["Loss", "F1", "Precision"]
    lines = figure.axes[1].lines
    assert len(lines) == 3 + 3
    np.testing.assert_allclose([line.get_ydata()[-1] for line in lines[:3]], run.history["f1"][-1])
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["Training", "Validation"]


def test_a_callback_cannot_monitor_several_values():
    with pytest.raises(ValueError, match="metric with one value") as caught:
        fit(callbacks=[keras.callbacks.ReduceLROnPlateau(monitor="val_f1", mode="max")])
    assert str(caught.value).splitlines() == [
        "callbacks: ReduceLROnPlateau monitors 'val_f1', which has 3 values in each epoch",
        "  hint: monitor a metric with one value, such as 'val_loss' or keras.metrics.F1Score(average='macro')",
    ]


def test_a_callback_may_monitor_one_value_or_save_every_epoch():
    logs = {"f1": np.ones(3), "loss": 0.5}
    every_epoch = keras.callbacks.ModelCheckpoint("{epoch}.keras", monitor="f1")
    check_monitored([every_epoch, keras.callbacks.EarlyStopping(monitor="val_loss")], logs)
    best = keras.callbacks.ModelCheckpoint("{epoch}.keras", monitor="f1", save_best_only=True)
    with pytest.raises(ValueError, match="ModelCheckpoint monitors 'f1', which has 3 values in each epoch"):
        check_monitored([best], logs)


def test_values_of_any_rank():
    assert history_value(np.ones((2, 1))) == [[1.0], [1.0]]
    assert history_value(np.array([0.5], "float32")) == 0.5
    assert format_metric(list(np.arange(8.0))) == "[0, 1, 2, 3, 4, 5, ...]"
    rows = history_rows({"loss": [1.0, 0.5], "matrix": [[[1.0, 2.0]]]})
    assert rows == [{"loss": 1.0, "matrix[0][0]": 1.0, "matrix[0][1]": 2.0}, {"loss": 0.5}]
