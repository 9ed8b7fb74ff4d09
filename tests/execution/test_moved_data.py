"""A run and the location of its data: a moved folder or table continues it, and other contents do not."""

import re

import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.training.config_difference import config_differences


class Photos:
    """A folder of images of two classes."""

    net = dk.Sequential([keras.layers.Flatten(), dk.Classifier(2)])

    def write(self, path, level=200):
        for label, folder in enumerate(("dark", "light")):
            (path / folder).mkdir(parents=True, exist_ok=True)
            for i in range(4):
                keras.utils.save_img(path / folder / f"{i}.png", np.full((4, 4, 3), label * level + i), scale=False)

    def load(self, path):
        return dk.data.from_folder(path, image_size=4, validation=2, verbose=False)


class StreamedPhotos(Photos):
    """Images that are decoded again in each epoch."""


class Houses:
    """A CSV file with two columns and a target."""

    net = dk.Functional(
        inputs={"area": dk.Input(()), "age": dk.Input(())},
        nodes={
            "size": ("area", keras.layers.Reshape((1,))),
            "years": ("age", keras.layers.Reshape((1,))),
            "price": (["size", "years"], [dk.Merge("concat"), dk.Regressor(1)]),
        },
        outputs="price",
    )

    def write(self, path, level=200):
        rows = "".join(f"{i * i},{i % 5 * 2},{level + i}.5\n" for i in range(1, 13))
        path.write_text(f"area,age,price\n{rows}", encoding="utf-8")

    def load(self, path):
        return dk.data.from_table(path, target="price", validation=2, verbose=False)


@pytest.fixture(params=[Photos, StreamedPhotos, Houses])
def example(request, monkeypatch):
    if request.param is StreamedPhotos:
        monkeypatch.setattr("deepkit.data.memory.available_bytes", lambda: 1)
    return request.param()


def fit(example, data, epochs, run_dir):
    plan = dk.plan(deterministic=True)
    return dk.fit(example.net, data, epochs=epochs, plan=plan, run_dir=run_dir, verbose=0)


def test_the_fingerprint_does_not_depend_on_the_path(example, tmp_path, monkeypatch):
    example.write(tmp_path / "first")
    expected = example.load(tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    relative = example.load("first")
    (tmp_path / "first").rename(tmp_path / "second")
    renamed = example.load("second")
    for data in (relative, renamed):
        assert data.train.fingerprint == expected.train.fingerprint
        assert data.validation.fingerprint == expected.validation.fingerprint
    assert relative.summary() == expected.summary()
    assert relative.describe() != expected.describe()


@pytest.mark.slow
def test_a_run_resumes_if_its_data_moved_and_refuses_other_contents(example, tmp_path, monkeypatch, no_report):
    path, run_dir = tmp_path / "first", tmp_path / "run"
    example.write(path)
    fit(example, example.load(path), 1, run_dir)
    assert str(tmp_path) not in (run_dir / "config.json").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert fit(example, example.load("first"), 2, run_dir).resume == "exact"
    (tmp_path / "folder").mkdir()
    path.rename(tmp_path / "folder" / "second")
    assert fit(example, example.load("folder/second"), 3, run_dir).resume == "exact"
    example.write(tmp_path / "folder" / "second", level=100)
    with pytest.raises(dk.errors.RunDirError) as caught:
        fit(example, example.load("folder/second"), 4, run_dir)
    assert re.search(r"data\.fingerprint: stored \w+, now \w+", str(caught.value))


def test_the_name_of_the_data_is_compared_together_with_its_contents():
    stored = {"data": {"description": "photos: 6 train", "fingerprint": "a"}}
    renamed = {"data": {"description": "images: 6 train", "fingerprint": "a"}}
    changed = {"data": {"description": "images: 6 train", "fingerprint": "b"}}
    assert config_differences(stored, renamed) == {}
    assert list(config_differences(stored, changed)) == ["data.description", "data.fingerprint"]
