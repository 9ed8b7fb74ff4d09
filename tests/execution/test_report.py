"""The report of a run: its contents, and figures that are left out."""

import numpy as np
import pytest

import deepkit as dk
from deepkit.errors import RunDirError
from deepkit.training import run_report as report


def images(count=96):
    x = np.random.default_rng(0).random((count, 8, 8, 1)).astype("float32")
    return x, (x.mean((1, 2, 3)) > 0.5).astype("int32")


def test_the_report_of_an_image_classifier(tmp_path):
    data = dk.data.from_arrays(*images(), validation=32)
    net = dk.Sequential([dk.ConvBlock(4), dk.Classifier(2)], name="small")
    run = dk.fit(net, data, batch_size=4, epochs=2, run_dir=tmp_path / "run", verbose=0)
    page = run.report.read_text()
    for text in (
        "Learning curves",
        "Misclassified",
        "Confusion matrix",
        "first layer",
        "SparseCategoricalCrossentropy",
    ):
        assert text in page
    assert page.count("data:image/png;base64,") == 4
    assert "dk.ConvBlock(4)" in page
    assert f"{run.history['val_loss'][-1]:.4g}" in page
    names = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert names == {"curves.png", "confusion.png", "misclassified.png", "filters.png"}


def test_figures_that_cannot_be_drawn_are_left_out(tmp_path):
    x = np.random.default_rng(0).random((64, 3)).astype("float32")
    net = dk.Sequential([dk.MLP([4]), dk.MLP([1], activation=None)])
    run = dk.fit(net, (x, x[:, :1]), epochs=1, run_dir=tmp_path / "run", loss="mse", verbose=0)
    assert run.report.read_text().count("data:image/png") == 1
    assert [path.name for path in (tmp_path / "run" / "figures").iterdir()] == ["curves.png"]


def test_the_report_is_self_contained(tmp_path):
    run = dk.fit(dk.Sequential([dk.Classifier(2)]), images(), epochs=1, run_dir=tmp_path / "run", verbose=0)
    page = run.report.read_text()
    assert "http" not in page
    assert "<script" not in page


def test_the_next_call_writes_a_missing_report(tmp_path, monkeypatch):
    def call():
        return dk.fit(dk.Sequential([dk.Classifier(2)]), images(), epochs=1, run_dir=tmp_path / "run", verbose=0)

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(report, "write", full)
        with pytest.raises(RunDirError, match="the model is saved, its report is not"):
            call()
    assert call().report.exists()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["python3", "/home/me/bin/deepkit", "run", "lenet"], "deepkit run lenet"),
        (["python3", "src/train.py", "--rate", "0.1"], "python train.py --rate 0.1"),
        (["python3", "-m", "recipes.basics.xor"], "python -m recipes.basics.xor"),
        (["python3", "-c", "..."], None),
        (["python3"], None),
    ],
)
def test_the_report_shows_the_command_of_a_program(arguments, command):
    assert report._command(arguments) == command
