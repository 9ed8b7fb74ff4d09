"""Rich display: figures, definitions, data, plans, runs, exports and results as a notebook shows them."""

import base64
import io
import random
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import deepkit as dk
from deepkit.execution.measurement import Measurement
from deepkit.export.exporter import ExportResult
from deepkit.recipe import Claim, Paper, Recipe, Result, Settings
from deepkit.recipe.report import Report
from deepkit.training.learning_rate import LearningRateTest
from deepkit.training.trained_run import Run
from deepkit.visualize.html_figures import png_file_fragment

MAX_BYTES = 200_000
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 9, 9, 3)).astype("uint8")


def images(page):
    """Return the contents of the images of a page by their alternative text."""
    pattern = r'<img alt="([^"]*)" src="data:image/[a-z+]+;base64,([^"]*)"'
    return {alternative: base64.b64decode(content) for alternative, content in re.findall(pattern, page)}


def texts(page):
    """Return the cells of all tables of a page."""
    return re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", page)


def display(value):
    page = value._repr_html_()
    assert len(page) < MAX_BYTES
    assert "The display failed" not in page
    return page


def test_a_figure_is_displayed_as_png_and_a_diagram_as_svg():
    figure = dk.visualize.curves({"loss": [1.0, 0.5]})
    assert figure._repr_png_().startswith(b"\x89PNG")
    drawn = dk.visualize.diagram(dk.Sequential([dk.Classifier(10)]).build((8,)))
    assert drawn._repr_svg_().startswith("<?xml")
    assert "Dense" in drawn._repr_svg_()
    assert not hasattr(drawn, "_repr_png_")


def test_a_definition_is_displayed_as_its_diagram_and_its_code():
    net = dk.Sequential([dk.Input((12, 12, 1)), dk.ConvBlock(8), dk.Classifier(3)], name="small")
    page = display(net)
    (content,) = images(page).values()
    assert list(images(page)) == ["Diagram of small"]
    assert "12×12×8" in content.decode()
    assert "dk.ConvBlock(8)" in page
    assert "example input" not in page


@pytest.mark.parametrize(
    ("net", "shape", "label"),
    [
        (dk.Sequential([dk.MLP([5]), dk.Classifier(3)]), "(16,)", "16"),
        (dk.Sequential([dk.ConvBlock(7), dk.Classifier(3)]), "(32, 32, 3)", "32×32×7"),
        (dk.Sequential([dk.BiLSTM(4), dk.Classifier(3)]), "(16, 8)", "16×8"),
        (dk.Sequential([layers.Embedding(50, 6), dk.Recurrent("gru", 4)]), "(16,)", "16×6"),
        (dk.Sequential([layers.Normalization(), dk.Classifier(3)]), "(16,)", "Dense"),
        (dk.VAE([dk.MLP([8])], decoder=[dk.MLP([8])], latent_dim=2), "(16,)", "16"),
    ],
)
def test_a_definition_without_an_input_shape_is_drawn_for_an_example(net, shape, label):
    page = display(net)
    assert f"Drawn for an example input of shape {shape}" in page
    assert label in next(iter(images(page).values())).decode()


def test_the_networks_of_a_definition_with_its_own_training_step_are_drawn():
    generator = [dk.MLP([8]), dk.Regressor(16), layers.Reshape((4, 4, 1))]
    page = display(dk.GAN(generator, discriminator=[dk.MLP([8])], latent_dim=3))
    assert list(images(page)) == ["Diagram of generator", "Diagram of discriminator"]
    assert "4×4×1" in images(page)["Diagram of discriminator"].decode()
    assert "example input" not in page


def test_a_definition_that_cannot_be_drawn_shows_its_code_and_the_reason():
    page = display(dk.Sequential([dk.Input((4,)), layers.Conv2D(3, 3)]))
    assert not images(page)
    assert "layers.Conv2D(3" in page
    assert "There is no diagram: " in page
    page = display(dk.Merge())
    assert "because the definition fixes no input shape" in page


def test_the_display_of_a_large_definition_is_small():
    unit = dk.Residual([dk.ConvBlock(8), dk.ConvBlock(8, activation=None)])
    stages = [dk.Sequential([unit, dk.ConvBlock(8 * i)], name=f"part{i}") for i in range(1, 9)]
    assert images(display(dk.Sequential([dk.Input((8, 8, 8)), *stages, dk.Classifier(2)])))


class Unbuilt(keras.Model):
    """A model of the user: one layer has weights, the other one gets them from the first call."""

    def __init__(self):
        super().__init__(name="unbuilt")
        self.first, self.second = layers.Dense(3, name="first"), layers.Dense(2, name="second")
        self.second.build((None, 3))

    def call(self, x):
        return self.second(self.first(x))


def test_a_display_changes_neither_layers_nor_the_random_state_nor_names():
    base = keras.Sequential([keras.Input((8,)), layers.Dense(4), layers.Dropout(0.5)])
    weights = [weight.numpy() for weight in base.weights]
    net, unbuilt = dk.Sequential([base, dk.Classifier(3)]), dk.Sequential([dk.Input((4,)), Unbuilt()])
    num_nodes = len(base._inbound_nodes)
    python_state, numpy_state = random.getstate(), np.random.get_state()[1].copy()
    number = keras.backend.get_uid("dense")
    assert images(display(net))
    assert "the layer 'unbuilt' is not built".replace("'", "&#x27;") in display(unbuilt)
    assert random.getstate() == python_state
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)
    assert keras.backend.get_uid("dense") == number + 1
    assert len(base._inbound_nodes) == num_nodes
    assert not unbuilt.layers[1].layer.first.built
    for weight, before in zip(base.weights, weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), before)
    assert net.build().count_params() == 8 * 4 + 4 + 4 * 3 + 3


def test_a_display_uses_the_dtype_policy_of_the_notebook():
    with dk.plan(devices="CPU:0", precision="mixed_bfloat16"):
        assert images(display(dk.Sequential([dk.Input((4,)), dk.MLP([3]), dk.Classifier(2)])))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_data_is_displayed_with_examples_counts_and_origin():
    data = dk.data.from_arrays(IMAGES, np.arange(20) % 2, validation=0.25, batch_size=4)
    assert repr(data) == f"<Data {data.describe()}>"
    page = display(data)
    ((alternative, content),) = images(page).items()
    assert alternative == "The first 8 training examples of arrays"
    assert Image.open(io.BytesIO(content)).format == "PNG"
    assert texts(page)[4:12] == ["train", "15", "4", "4", "validation", "5", "2", "4"]
    assert "in memory" in page
    assert "(9, 9, 3)" in page


def test_a_display_of_data_does_not_advance_the_epoch():
    x = np.arange(40.0)[:, None]
    data, other = dk.data.from_arrays(x, batch_size=20), dk.data.from_arrays(x, batch_size=20)
    for _ in range(2):
        display(data)
        for batch, expected in zip(data.train, other.train, strict=True):
            np.testing.assert_array_equal(batch, expected)


def test_data_whose_examples_cannot_be_read_is_displayed_with_the_reason(monkeypatch):
    data = dk.data.from_arrays(IMAGES, np.arange(20) % 2)
    monkeypatch.setattr(type(data), "show", lambda self, count: 1 / 0)
    page = display(data)
    assert "The examples cannot be drawn: ZeroDivisionError" in page
    assert "20" in texts(page)


def test_a_table_is_displayed_with_the_kinds_of_its_columns():
    houses = {
        "area": [50.0, 80.0, 120.5] * 4,
        "city": ["<Oslo>", "Rome", "Rome"] * 4,
        "price": ["low", "high", "low"] * 4,
    }
    page = display(dk.data.from_table(houses, target="price", verbose=False))
    assert "area (numeric), city (categorical)" in page
    assert "high, low" in page


def test_a_plan_is_displayed_as_a_table_with_reasons():
    plan = dk.plan(devices="CPU:0", seed=7)
    plan = plan.replace(measurements=(Measurement("jit_compile", "yes", 1.5, (1.0, 2.0), 0.5, "<faster>"),))
    page = display(plan)
    for row in plan.rows():
        assert all(cell in texts(page) for cell in row if "'" not in cell)
    assert "&lt;faster&gt;" in page
    assert "<faster>" not in page


def make_run(history, **changes):
    model = dk.Sequential([dk.Classifier(3)], name="tiny").build((4,))
    values = {"run_dir": Path("runs/<first>"), "report": Path("runs/<first>/report.html")}
    return Run(model, history, dk.plan(devices="CPU:0"), resume="exact", seconds=2.5, epochs=2, **(values | changes))


def test_a_run_is_displayed_with_curves_final_metrics_and_the_path_of_the_report():
    history = {
        "loss": [1.0, 0.25],
        "accuracy": [0.5, 0.75],
        "val_loss": [1.5, 0.5],
        "f1_score": [[0.1, 0.2], [0.3, 0.4]],
    }
    page = display(make_run(history))
    assert list(images(page)) == ["Learning curves of tiny"]
    assert texts(page)[:12] == [
        "last epoch", "training", "validation", "loss", "0.25", "0.5",
        "accuracy", "75.0 %", "", "F1 score", "0.3, 0.4", "",
    ]  # fmt: skip
    assert "runs/&lt;first&gt;/report.html" in page
    assert "15 parameters" in page


def test_a_run_without_an_epoch_or_a_report_is_displayed():
    page = display(make_run({}, run_dir=None, report=None))
    assert not images(page)
    assert "There is no finished epoch." in page
    assert "report" not in texts(page)


def test_a_run_with_many_metrics_is_small():
    history = {f"metric{i}": list(np.random.default_rng(i).random(200)) for i in range(30)}
    page = display(make_run({"loss": [1.0] * 200, **history}))
    assert "metric29" in texts(page)


def test_a_learning_rate_test_is_displayed_as_its_figure():
    rates = np.geomspace(1e-6, 1, 20)
    page = display(LearningRateTest(rates, np.ones(20), np.ones(20), 0.01, ""))
    assert list(images(page)) == ["The loss over the learning rate"]
    assert "steepest at 0.01" in page


def test_an_export_is_displayed_as_a_table():
    exported = ExportResult(Path("runs/net.onnx"), "onnx", 1_234_567, 4.77e-7, 2.1e-7, 1e-4, ((3, 28, 28, 1),))
    assert repr(exported).startswith("<ExportResult runs/net.onnx: onnx, 1.23 MB")
    assert {"runs/net.onnx", "1.23 MB", "(3, 28, 28, 1)"} <= set(texts(display(exported)))


def make_recipe():
    """A recipe of one claim."""
    paper = Paper("On <b>Nets</b>", ("Ada Ames",), 1999, "Journal 1")
    claim = Claim(metric="error", value=0.8, unit="%", where="Table 1", setting="test", lower_is_better=True)
    return Recipe(
        name="ames",
        paper=paper,
        config=Settings,
        train=make_result,
        definition=lambda config: dk.Classifier(2),
        input_shape=(4,),
        metrics={"error": "test error", "parameters": "weights"},
        claims=(claim,),
        deviations=("Adam instead of <SGD>.",),
    )


def make_result(config, **changes):
    return Result(**{"measured": {"error": 0.5, "parameters": 1200.0}, "data": "digits: 10 train", **changes})


def test_a_result_of_a_recipe_is_displayed_with_numbers_and_figures(tmp_path):
    figure = tmp_path / "figure.png"
    dk.visualize.save(dk.visualize.curves({"loss": [1.0, 0.5]}), figure)
    result = make_result(None, comparable=False, figures={"<Curves>": figure, "missing": tmp_path / "none.png"})
    assert repr(result) == "<Result error=0.5, parameters=1200; digits: 10 train; not comparable>"
    page = display(result)
    assert {"error", "0.5", "parameters", "1,200", "digits: 10 train"} <= set(texts(page))
    assert list(images(page)) == ["&lt;Curves&gt;"]
    assert "The result is not comparable with the paper." in page


def test_a_report_of_a_recipe_is_displayed_with_measured_beside_claimed_values():
    recipe = make_recipe()
    report = Report.of(recipe, Settings(), [make_result(None)], [2.0])
    assert repr(report) == "<Report ames: error=0.5 %, parameters=1,200; digits: 10 train>"
    page = display(report)
    assert texts(page)[5:10] == ["error", "0.8 %", "Table 1", "0.5 %", "0.3 better"]
    assert "Adam instead of &lt;SGD&gt;." in page
    assert "On &lt;b&gt;Nets&lt;/b&gt;" in page
    assert "deepkit run ames" in page


def test_a_large_png_file_is_reduced():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype("uint8")).save(file, format="png")
    content = file.getvalue()
    assert images(png_file_fragment(content, "noise", max_bytes=len(content)))["noise"] == content
    reduced = images(png_file_fragment(content, "noise", max_bytes=len(content) // 5))["noise"]
    assert len(reduced) <= len(content) // 5
    assert Image.open(io.BytesIO(reduced)).size == (210, 210)
